"""Run the gateway and sample where its processor time goes: ``python -m bench.profiled FILE run --config CONFIG``.

A sample is taken each time the process has used another millisecond of the processor, so waiting costs nothing and the
gateway runs at its own speed (cProfile takes three times as long, most of it for small functions). What a function of
the C library takes belongs to the line that called it. The samples are written when the gateway ends.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

_SECONDS = 0.001
# Functions that do nothing but call into C.
_NATIVE = {
    ("gateway/messages/validation.py", "is_valid"): "libxml2",
    ("gateway/messages/parsing.py", "_root"): "libxml2",
    ("sqlalchemy/engine/default.py", "do_execute"): "driver",
    ("sqlalchemy/engine/default.py", "do_executemany"): "driver",
    ("sqlalchemy/engine/cursor.py", "fetchone"): "driver",
    ("sqlalchemy/engine/cursor.py", "fetchall"): "driver",
}


class Sampler:
    """Count samples by line, and by function with everything that it calls."""

    def __init__(self) -> None:
        self.lines: Counter[tuple[str, int, str]] = Counter()
        self.functions: Counter[tuple[str, str]] = Counter()
        self.parts: Counter[str] = Counter()
        self.samples = 0

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        """Take one sample."""
        if frame is None:
            return
        self.samples += 1
        self.parts[_part(frame)] += 1
        self.lines[frame.f_code.co_filename, frame.f_lineno, _name(frame)] += 1
        seen = set()
        step: FrameType | None = frame
        while step is not None:
            seen.add((step.f_code.co_filename, _name(step)))
            step = step.f_back
        self.functions.update(seen)

    def result(self) -> dict[str, Any]:
        """Return shares of the whole, largest first; files below the package's folders."""
        own: Counter[tuple[str, str]] = Counter()
        for (file, _, name), count in self.lines.items():
            own[file, name] += count
        return {
            "samples": self.samples,
            "parts": {name: round(count / self.samples, 3) for name, count in self.parts.most_common()},
            "own": [(_short(f), n, c / self.samples) for (f, n), c in own.most_common(80)],
            "lines": [(_short(f), line, n, c / self.samples) for (f, line, n), c in self.lines.most_common(80)],
            "cumulative": [(_short(f), n, c / self.samples) for (f, n), c in self.functions.most_common(120)],
        }


def _part(frame: FrameType) -> str:
    """Tell what a sample belongs to: libxml2, the driver, a package, or the room of the gateway that called it."""
    step: FrameType | None = frame
    while step is not None:
        code, file = step.f_code, _short(step.f_code.co_filename)
        if (file, code.co_name) in _NATIVE:
            return _NATIVE[file, code.co_name]
        room, _, rest = file.partition("/")
        if room == "gateway":
            return f"gateway/{rest.partition('/')[0]}"
        if "site-packages" in code.co_filename or room == "asyncio":
            return room
        step = step.f_back
    return "interpreter"


def _name(frame: FrameType) -> str:
    """Name a function; one that dataclasses or SQLAlchemy wrote at run time by the class that it makes."""
    name = frame.f_code.co_name
    if frame.f_code.co_filename.startswith("<") and "self" in frame.f_locals:
        return f"{type(frame.f_locals['self']).__name__}.{name}"
    return name


def _short(file: str) -> str:
    parts = Path(file).parts
    for root in ("site-packages", "gateway"):
        if root in parts:
            place = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[place + (root == "site-packages") :])
    return "/".join(parts[-2:])


def main() -> None:
    """Run the gateway's command line and write the samples."""
    import gateway.app
    import gateway.cli.run  # noqa: F401  # imports are not what is measured
    from gateway.cli import main as command_line

    file = sys.argv.pop(1)
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS, _SECONDS)
    try:
        command_line()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(file).write_text(json.dumps(sampler.result()))


if __name__ == "__main__":
    main()
