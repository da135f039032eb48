"""What a counterparty's statement lists: the open transactions of its book, with what was said of each so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.simulator.book import AnswerState, BookEntry

_ENDS = frozenset(
    {
        ("settlement", "settled"),
        ("processing", "rejected"),
        ("processing", "cancelled"),
        ("message", "rejected"),
        ("cancellation", "cancelled"),
    }
)
_AXES = ("matching", "settlement")


def open_transactions(entries: Iterable[BookEntry], dialogue: str, account: str | None) -> list[dict[str, str]]:
    """Return the terms of what is open on an account, or on any, with ``standing``: the steps that say where it is."""
    steps: dict[str, dict[str, str]] = {}
    axes: dict[str, dict[str, str]] = {}
    terms: dict[str, dict[str, str]] = {}
    for entry in sorted(entries, key=lambda entry: entry.number):
        name = entry.transaction_id
        if name is None or not entry.valid or entry.repeat is not None:
            continue
        if entry.dialogue == dialogue and account in (None, entry.terms.get("safekeeping_account")):
            terms[name] = entry.terms
        for answer in sorted(entry.answers, key=lambda answer: answer.said_at):
            if answer.state is AnswerState.SENT and answer.axis and answer.value:
                axes.setdefault(name, {})[answer.axis] = answer.value
                steps.setdefault(name, {})[answer.axis] = answer.step
    return [
        own | {"standing": ",".join(step for axis, step in steps.get(name, {}).items() if axis in _AXES)}
        for name, own in terms.items()
        if not _ENDS.intersection(axes.get(name, {}).items())
    ]
