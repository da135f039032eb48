"""Counts, latencies and the final summary, as plain values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from gateway.demo.play import Progress, Verdict
from gateway.demo.stage import Stage
from gateway.demo.upstream import Heard
from gateway.model.transitions import FINISHED, Dialogue
from gateway.simulator import Repeat, request_dialogues

_SETTLED = {"settled", "booked", "credited", "closed"}

# What is counted of everything heard of: of how many it holds.
COLUMNS: dict[str, Callable[[Heard], bool]] = {
    "sent": lambda heard: heard.sent_at is not None,
    "matched": lambda heard: ("matching", "matched") in heard.ever,
    "settled": lambda heard: heard.headline in _SETTLED,
    "partial": lambda heard: "partially_settled" in heard.headlines,
    "affirmed": lambda heard: heard.headline == "affirmed",
    "rejected": lambda heard: heard.headline in ("rejected", "disaffirmed"),
    "cancelled": lambda heard: heard.headline in ("cancelled", "withdrawn"),
    "open": lambda heard: heard.headline not in FINISHED[heard.dialogue],
    "alerted": lambda heard: bool(heard.alerts),
}


def counts(instructions: Iterable[Heard]) -> dict[str, int]:
    """Count what was heard of by what became of it; one may count in several columns."""
    known = list(instructions)
    return {name: sum(map(holds, known)) for name, holds in COLUMNS.items()}


def by_counterparty(progress: Progress) -> dict[str, dict[str, int]]:
    """Count for each counterparty by itself."""
    known = progress.upstream.instructions.values()
    return {
        item.bic: counts(heard for heard in known if heard.counterparty == item.bic)
        for item in progress.day.tables.counterparties
    }


def dialogues(progress: Progress) -> dict[str, int]:
    """Count what was heard of by dialogue, and apart from the others what the counterparties began by themselves."""
    known = progress.upstream.instructions.values()
    found = Counter("theirs" if heard.theirs else heard.dialogue for heard in known)
    theirs = Counter(
        "generated" if heard.dialogue == Dialogue.SETTLEMENT else heard.dialogue for heard in known if heard.theirs
    )
    del found["theirs"]
    return dict(found.most_common()) | dict(theirs.most_common())


def parked(progress: Progress) -> dict[str, int]:
    """Count the exceptions by label, the most frequent first."""
    found: Counter[str] = Counter()
    for (_, name), count in progress.upstream.parked.items():
        found[name] += count
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def latencies(progress: Progress) -> dict[str, dict[str, float]]:
    """Return p50, p99 and maximum, in milliseconds, from the event to sent and to the last status.

    What waited on purpose, until its counterparty's share was mounted, is left out.
    """
    sent, final = [], []
    shares = {item.bic for item in progress.day.tables.counterparties if item.carrier == "folder"}
    for expected in progress.day.expected.values():
        heard = progress.upstream.instructions.get(expected.transaction_id)
        if expected.event is None:
            continue
        begun = progress.first_event_at.get(f"{expected.event['trade_id']}/{expected.event['event_id']}")
        if heard is None or begun is None:
            continue
        if expected.counterparty in shares and (progress.mounted_at is None or begun < progress.mounted_at):
            continue
        if heard.sent_at is not None:
            sent.append((heard.sent_at - begun).total_seconds() * 1000)
        if heard.last_at is not None:
            final.append((heard.last_at - begun).total_seconds() * 1000)
    return {"event_to_sent": _quantiles(sent), "event_to_final_status": _quantiles(final)}


def _quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        "p50": round(ordered[(len(ordered) - 1) // 2], 1),
        "p99": round(ordered[round((len(ordered) - 1) * 0.99)], 1),
        "maximum": round(ordered[-1], 1),
    }


def summary(progress: Progress, verdict: Verdict, stage: Stage, seed: int) -> dict[str, Any]:
    """Return everything that the demo found out, as JSON can carry it."""
    day, upstream, history = progress.day, progress.upstream, verdict.history
    entries = [entry for book in verdict.books.values() for entry in book]
    requests = request_dialogues()
    headlines = Counter(heard.headline for heard in upstream.instructions.values())
    return {
        "passed": not verdict.findings,
        "trades": len(day.trades),
        "seed": seed,
        "seconds": round(verdict.seconds, 2),
        "broker": "embedded" if stage.embedded else stage.kafka.bootstrap_servers,
        "folder": str(stage.folder),
        **counts(upstream.instructions.values()),
        "withdrawn": sum(
            heard.headline == "withdrawn" and not heard.theirs for heard in upstream.instructions.values()
        ),
        "theirs": sum(heard.theirs for heard in upstream.instructions.values()),
        "dialogues": dialogues(progress),
        "requests": dict(Counter(entry.dialogue for entry in entries if entry.dialogue in requests).most_common()),
        "headlines": dict(headlines.most_common()),
        "parked": parked(progress),
        "counterparties": by_counterparty(progress),
        "latency_milliseconds": latencies(progress),
        "events_per_second": round(progress.events / verdict.seconds, 1),
        "books": {
            "publisher": {"trades": len(day.trades), "events": progress.events, "expected": len(day.expected)},
            "counterparties": {
                "arrived": len(entries),
                "repeated": sum(entry.repeat is not None for entry in entries),
                "repeated_and_marked": sum(entry.repeat is Repeat.MARKED for entry in entries),
                "answers": sum(len(entry.answers) for entry in entries),
            },
            "upstream": {
                "instructions": len(upstream.instructions),
                "events": upstream.events,
                "repeated": upstream.repeats,
            },
        },
        "history": None
        if history is None
        else {"instructions": history.instructions, "entries": history.entries, "proven": history.proven},
        "findings": [{"trade_id": finding.trade_id, "text": finding.text} for finding in verdict.findings],
        "logs": {child.name: [str(log) for log in child.logs] for child in stage.children},
    }
