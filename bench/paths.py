"""The whole path against the native floor, two processes against one, and memory over many events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench import material
from bench.floor import Judge, Replayed
from bench.grounds import Ground
from bench.path import Round, WholePath

ROUNDS = 5
_UNHURRIED_SECONDS = 15

Say = Callable[[str], None]


def against_floor(
    ground: Ground, bound: float, instructions: int, rounds: int, say: Say, samples: Path | None = None
) -> dict[str, Any]:
    """Alternate floor and path; then half the load for the latencies. A floor's round writes the path's last one."""
    floor = ground.new_floor(Judge())
    pairs: list[tuple[Replayed, Round]] = []
    with WholePath(ground.new_folder(), ground.around, ground.new_ledger(), samples=samples) as path:
        path.run(instructions)
        for number in range(rounds):
            replayed = floor.run(path.book.new_rows())
            took = path.run(instructions)
            pairs.append((replayed, took))
            say(
                f"round {number + 1}: floor {replayed.microseconds:.0f} us, path {took.microseconds:.0f} us, "
                f"ratio {took.microseconds / replayed.microseconds:.2f}"
            )
        floor.close()
        ledger_bytes = path.book.size() / (instructions * (rounds + 1))
        a_second = 1e6 / median(took.microseconds for _, took in pairs)
        half = a_second / 2
        say(f"half load: {half:.0f} instructions a second")
        unhurried = max(200, round(half * _UNHURRIED_SECONDS))
        path.run(unhurried, a_second=half)
        latencies = path.book.latencies(unhurried)
    ratios = [took.microseconds / replayed.microseconds for replayed, took in pairs]
    rows = [took for _, took in pairs]
    return {
        "bound": bound,
        "ratio": round(median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "instructions_a_round": instructions,
        "floor_microseconds": _median(replayed.microseconds for replayed, _ in pairs),
        "floor_libxml2_microseconds": _median(replayed.libxml2 for replayed, _ in pairs),
        "floor_cpu_microseconds": _median(replayed.cpu_microseconds for replayed, _ in pairs),
        "floor_store_microseconds": _median(replayed.store for replayed, _ in pairs),
        "path_microseconds": _median(took.microseconds for took in rows),
        "cpu_microseconds": {
            name: _median(took.cpu_microseconds(name) for took in rows) for name in rows[0].cpu_seconds
        },
        "gateway_busy": round(median(took.cpu_seconds["gateway"] / took.seconds for took in rows), 2),
        "instructions_a_second": round(a_second),
        "half_load_a_second": round(half),
        "read_to_sent_milliseconds": _percentiles(latencies),
        "start_seconds": round(median(_start(ground) for _ in range(3)), 2),
        "ledger_bytes_an_instruction": round(ledger_bytes),
    }


def _start(ground: Ground) -> float:
    """Return the seconds from starting a gateway process to its readiness, with the sessions that the broker is for."""
    around = replace(ground.around, session_seconds=ground.usual_session_seconds)
    with WholePath(ground.new_folder(), around, ground.new_ledger()) as path:
        return path.start_seconds


def processes(ground: Ground, bound: float, instructions: int, rounds: int, say: Say) -> dict[str, Any]:
    """Alternate one gateway process and two, each with a ledger of its own and two counterparties."""
    parties = (material.CUSTODIAN, material.BROKER)

    def path(count: int) -> WholePath:
        folder, ledger = ground.new_folder(), ground.new_ledger()
        return WholePath(folder, ground.around, ledger, processes=count, counterparties=parties)

    pairs: list[tuple[Round, Round]] = []
    with path(1) as single, path(2) as double:
        single.run(instructions)
        double.run(instructions)
        for number in range(rounds):
            one, two = single.run(instructions), double.run(instructions)
            pairs.append((one, two))
            say(
                f"round {number + 1}: one {one.cpu_microseconds():.0f} us, two {two.cpu_microseconds():.0f} us of "
                f"processor time, ratio {two.cpu_microseconds() / one.cpu_microseconds():.2f}"
            )
        holders = double.book.holders()
    ratios = [two.cpu_microseconds() / one.cpu_microseconds() for one, two in pairs]
    names = {process: f"process {number}" for number, process in enumerate(sorted(set(holders.values())), 1)}
    return {
        "bound": bound,
        "ratio": round(median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "instructions_a_round": instructions,
        "one_cpu_microseconds": _median(one.cpu_microseconds() for one, _ in pairs),
        "two_cpu_microseconds": _median(two.cpu_microseconds() for _, two in pairs),
        "one_microseconds": _median(one.microseconds for one, _ in pairs),
        "two_microseconds": _median(two.microseconds for _, two in pairs),
        "leases_of_two": {lease: names[process] for lease, process in sorted(holders.items())},
    }


def memory(ground: Ground, events: int, say: Say) -> dict[str, Any]:
    """Send many events through one gateway process and follow its resident set."""
    part = min(10_000, events)
    samples: list[tuple[int, int]] = []
    seconds = 0.0
    with WholePath(ground.new_folder(), ground.around, ground.new_ledger()) as path:
        for done in range(0, events, part):
            took = path.run(part)
            seconds += took.seconds
            samples += [
                (done + round(part * (n + 1) / len(took.resident_bytes)), bytes_)
                for n, bytes_ in enumerate(took.resident_bytes)
            ]
            say(f"{done + part} events: {took.resident_bytes[-1] / 2**20:.0f} MiB")
        ledger_bytes = path.book.size()
    first = [size for at, size in samples if events * 0.1 <= at < events * 0.3]
    last = [size for at, size in samples if at >= events * 0.8]
    return {
        "events": events,
        "instructions_a_second": round(events / seconds),
        "resident_mebibytes_from_10_to_30_percent": round(median(first) / 2**20, 1),
        "resident_mebibytes_from_80_percent": round(median(last) / 2**20, 1),
        "growth_bytes_an_event": round((median(last) - median(first)) / (events * 0.7), 1),
        "ledger_bytes_an_instruction": round(ledger_bytes / events),
        "over_time": [[at, round(size / 2**20, 1)] for at, size in _thin(samples, 100)],
    }


def _thin(samples: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    step = max(1, len(samples) // most)
    return list(samples[::step])


def _median(values: Any) -> float:
    return float(round(median(values)))


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the milliseconds within which half, 99 in 100, and all are; ``values`` are seconds in ascending order."""
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(values) - 1
    return {name: round(values[round(share * last)] * 1000, 1) for name, share in places.items()}
