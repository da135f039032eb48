"""Measure, write the results as JSON and say which bounds hold: ``python -m bench --help``."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench import drawing, grounds, messages, paths
from tests.backends import BackendAbsent

_HERE = Path(__file__).parent
RESULTS = _HERE / "results.json"
_PAGE = _HERE.parent / "docs" / "performance"

SQLITE_BOUND, POSTGRES_BOUND, PROCESSES_BOUND = 2.0, 3.0, 1.15


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _messages(options: argparse.Namespace) -> dict[str, Any]:
    return messages.measure(slices=2 if options.quick else 10)


def _path(options: argparse.Namespace) -> dict[str, Any]:
    instructions, rounds = (1_000, 3) if options.quick else (4_000, paths.ROUNDS)
    with grounds.embedded() as ground:
        _say("SQLite, embedded broker")
        result = {"sqlite": paths.against_floor(ground, SQLITE_BOUND, instructions, rounds, _say, options.profile)}
    result["postgresql"] = _on_real(
        "PostgreSQL, Apache Kafka",
        lambda ground: paths.against_floor(ground, POSTGRES_BOUND, instructions, rounds, _say),
    )
    return result


def _processes(options: argparse.Namespace) -> dict[str, Any]:
    instructions, rounds = (1_000, 3) if options.quick else (4_000, paths.ROUNDS)
    return _on_real(
        "PostgreSQL, Apache Kafka, one and two processes",
        lambda ground: paths.processes(ground, PROCESSES_BOUND, instructions, rounds, _say),
    )


def _memory(options: argparse.Namespace) -> dict[str, Any]:
    with grounds.embedded() as ground:
        return paths.memory(ground, 10_000 if options.quick else 200_000, _say)


def _on_real(name: str, measure: Callable[[grounds.Ground], dict[str, Any]]) -> dict[str, Any]:
    try:
        with grounds.real() as ground:
            _say(name)
            return measure(ground)
    except BackendAbsent as absent:
        _say(f"skipped: {name}: {absent}")
        return {"skipped": str(absent)}


_SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "messages": _messages,
    "path": _path,
    "processes": _processes,
    "memory": _memory,
}


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the gateway against the native floor."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events: a few minutes, rough figures")
    parser.add_argument("--only", action="append", choices=list(_SECTIONS), help="this section; may be repeated")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write into FILE; sections not measured now stay in it"
    )
    parser.add_argument("--profile", type=Path, metavar="FILE", help="sample the gateway of the path section into FILE")
    parser.add_argument("--draw", action="store_true", help="only draw docs/performance from bench/results.json")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Measure the sections, print a table, write the JSON. A bound that is not held is said, and no failure."""
    options = _options(words)
    if options.draw:
        drawing.draw(json.loads(RESULTS.read_text()), _PAGE)
        return 0
    file = options.json or _HERE / "out" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only or _SECTIONS:
        print(name, file=sys.stderr, flush=True)
        taken = {"taken_at": f"{datetime.now(UTC):%Y-%m-%d}", "machine": _machine(), "quick": options.quick}
        results[name] = _SECTIONS[name](options) | taken
        file.write_text(json.dumps(results, indent=1) + "\n")
    print(drawing.table(results))
    print(f"written to {file}")
    return 0


def _machine() -> dict[str, Any]:
    return {
        "processors": psutil.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
