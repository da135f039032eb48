"""The results as a table for the terminal, a table for the documentation, and a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

# Result, what is compared, and whether it is a ratio to a floor: (section, key) -> words.
_RATIOS = (
    (("messages", "comparisons", "build"), "build and serialise sese.023", "libxml2 validates it"),
    (
        ("messages", "comparisons", "build_checked"),
        "build, parse, validate sese.023",
        "libxml2 parses and validates it",
    ),
    (("messages", "comparisons", "read_confirmation"), "read sese.025, validated", "libxml2 parses and validates it"),
    (("messages", "comparisons", "read_status_advice"), "read sese.024, validated", "libxml2 parses and validates it"),
    (("messages", "comparisons", "rules"), "rules on sese.023 (standard, csdr, smpg)", "libxml2 validates it"),
    (("messages", "comparisons", "fin_read"), "read MT541, validated", "libxml2 parses and validates its sese.023"),
    (("messages", "comparisons", "fin_build"), "build MT541", "libxml2 parses and validates its sese.023"),
    (("path", "sqlite"), "whole path, SQLite, embedded broker", "native floor"),
    (("path", "postgresql"), "whole path, PostgreSQL, Apache Kafka", "native floor"),
    (("processes",), "processor time, two processes", "one process"),
)
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


def _found(results: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for keys, ours, native in _RATIOS:
        value: Any = results
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if value:
            yield ours, native, value


def _verdict(value: dict[str, Any]) -> str:
    return "held" if value["ratio"] <= value["bound"] else "not held"


def table(results: dict[str, Any]) -> str:
    """Return what was measured as lines for a terminal, each bound with whether it holds."""
    lines = []
    for ours, native, value in _found(results):
        if "skipped" in value:
            lines.append(f"{ours:38} skipped: {value['skipped']}")
            continue
        spread = f"{min(value['ratios']):.2f}-{max(value['ratios']):.2f}"
        figures = f"{value['ratio']:6.2f}  bound {value['bound']:4.2f}  {_verdict(value):8}  rounds {spread}"
        lines.append(f"{ours:38} {figures}  / {native}")
    lines += ["", *(f"{name:60} {shown}" for name, shown in _recorded(results))]
    return "\n".join(lines)


def _recorded(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    at_length = results.get("messages", {}).get("comparisons", {}).get("rules_at_length")
    if at_length:
        yield "rules on a message whose markup was not seen before: times its validation", f"{at_length['ratio']:.2f}"
    for key, name in (("sqlite", "SQLite, embedded broker"), ("postgresql", "PostgreSQL, Apache Kafka")):
        value = results.get("path", {}).get(key, {})
        if "ratio" not in value:
            continue
        latency = value["read_to_sent_milliseconds"]
        yield f"{name}: instructions a second", f"{value['instructions_a_second']}"
        yield (
            f"{name}: event read to message sent at {value['half_load_a_second']}/s",
            f"p50 {latency['p50']} ms, p99 {latency['p99']} ms, max {latency['max']} ms",
        )
        yield f"{name}: start to ready", f"{value['start_seconds']} s"
        yield f"{name}: ledger, an instruction", f"{value['ledger_bytes_an_instruction'] / 1024:.1f} KiB"
        cpu = ", ".join(f"{who} {us:.0f}" for who, us in value["cpu_microseconds"].items())
        yield f"{name}: processor microseconds an instruction", cpu
    kept = results.get("memory", {})
    if kept:
        yield (
            f"memory over {kept['events']} events",
            f"{kept['resident_mebibytes_from_10_to_30_percent']} MiB early, "
            f"{kept['resident_mebibytes_from_80_percent']} MiB late ({kept['growth_bytes_an_event']} bytes an event)",
        )


def draw(results: dict[str, Any], page: Path) -> None:
    """Write ``page``.svg, and the figures into ``page``.md between their marks."""
    page.with_suffix(".svg").write_text(picture(results))
    markdown = page.with_suffix(".md")
    text = markdown.read_text()
    figures = "\n".join([_BEGIN, "", *_markdown(results), "", _END])
    markdown.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: figures, text, flags=re.DOTALL))


def _taken(results: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Return the sections by the day and the machine of their figures; a section's ratios are of one run."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, value in results.items():
        machine = value["machine"]
        said = f"{machine['processors']} cores of {machine['processor']}, Python {machine['python']}"
        found.setdefault((value["taken_at"], said), []).append(name)
    return found


def _markdown(results: dict[str, Any]) -> Iterator[str]:
    for (day, machine), sections in _taken(results).items():
        yield f"- Taken {day} on {machine}: {', '.join(sections)}."
    short = [name for name, value in results.items() if value.get("quick")]
    if short:
        yield f"Short runs (`--quick`), rough figures: {', '.join(short)}."
    yield ""
    yield "| measured | against | ratio | rounds | bound | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for ours, native, value in _found(results):
        if "skipped" in value:
            yield f"| {ours} | {native} | | | | skipped: {value['skipped']} |"
            continue
        rounds = f"{min(value['ratios']):.2f} to {max(value['ratios']):.2f}"
        yield f"| {ours} | {native} | {value['ratio']:.2f} | {rounds} | {value['bound']:.2f} | {_verdict(value)} |"
    yield ""
    yield "| recorded | |"
    yield "| --- | --- |"
    for name, shown in _recorded(results):
        yield f"| {name} | {shown} |"


# The picture ----------------------------------------------------------------------------------------------------------

_WIDTH, _LEFT, _RIGHT = 860, 270, 120
_ROW = 34
_INK, _PALE, _GOOD, _BAD, _LINE = "#24292f", "#6e7781", "#2da44e", "#cf222e", "#d0d7de"


def picture(results: dict[str, Any]) -> str:
    """Return an SVG: each ratio with its five rounds and its bound, and the resident set over the events."""
    parts: list[str] = []
    rows = [(ours, value) for ours, _, value in _found(results) if "ratio" in value]
    most = max(max(value["bound"], *value["ratios"]) for _, value in rows) * 1.05
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts.append(_text(20, 28, "Time against the native floor (1 = as fast as libxml2 and the bare driver)", _INK, 15))
    for number, (ours, value) in enumerate(rows):
        top = 48 + number * _ROW
        colour = _GOOD if value["ratio"] <= value["bound"] else _BAD
        bound = _LEFT + value["bound"] * scale
        parts.append(_text(_LEFT - 10, top + 16, ours, _INK, 12, "end"))
        parts.append(_box(_LEFT, top + 4, value["ratio"] * scale, 16, colour))
        parts += [_dot(_LEFT + ratio * scale, top + 12) for ratio in value["ratios"]]
        parts.append(f'<path d="M{bound:.1f} {top}v24" stroke="{_INK}" stroke-width="2"/>')
        end = max(bound, *(_LEFT + ratio * scale for ratio in value["ratios"])) + 8
        words = f"{value['ratio']:.2f}, bound {value['bound']:.2f}"
        parts.append(_text(end, top + 16, words, _PALE, 11))
    below = 48 + len(rows) * _ROW
    parts.append(f'<path d="M{_LEFT} 44V{below}" stroke="{_LINE}"/>')
    unit = _LEFT + scale
    parts.append(f'<path d="M{unit:.1f} 44V{below}" stroke="{_LINE}" stroke-dasharray="3 3"/>')
    parts.append(_text(unit, below + 14, "1", _PALE, 11, "middle"))
    parts.append(_text(20, below + 14, "bars: median; dots: rounds; upright: bound", _PALE, 11))
    height = below + 34
    if results.get("memory", {}).get("over_time"):
        parts += _memory(results["memory"], height)
        height += 190
    body = "\n".join(parts)
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    return f'{opening}\n<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'


def _memory(kept: dict[str, Any], top: float) -> list[str]:
    left, right, floor, ceiling = 70, _WIDTH - 40, top + 150, top + 40
    highest = max(size for _, size in kept["over_time"]) * 1.15
    points = " ".join(
        f"{left + at / kept['events'] * (right - left):.1f},{floor - size / highest * (floor - ceiling):.1f}"
        for at, size in kept["over_time"]
    )
    last = kept["over_time"][-1][1]
    return [
        _text(20, top + 20, f"Resident set of one process over {kept['events']:,} events (MiB)", _INK, 15),
        f'<path d="M{left} {ceiling}V{floor}H{right}" fill="none" stroke="{_LINE}"/>',
        f'<polyline points="{points}" fill="none" stroke="{_GOOD}" stroke-width="2"/>',
        _text(left - 8, floor + 4, "0", _PALE, 11, "end"),
        _text(left - 8, floor - last / highest * (floor - ceiling) + 4, f"{last:.0f}", _PALE, 11, "end"),
        _text(right, floor + 16, f"{kept['events']:,} events", _PALE, 11, "end"),
    ]


def _text(x: float, y: float, words: str, colour: str, size: int, anchor: str = "") -> str:
    at = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{at}>{escape(words)}</text>'


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}" opacity="0.75"/>'
    )


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{_INK}"/>'
