"""Messages against libxml2: build, validate and read, each beside the native work on the very same bytes.

Processor time of one thread, so that other work on the machine does not count. A round alternates short slices of both
sides; its ratio is that of the sums.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from lxml import etree

from bench import material
from bench.floor import Judge
from gateway.messages import Identity, Messages
from gateway.messages.catalogue import Catalogue
from gateway.messages.parsing import ParsedMessage
from gateway.messages.rules import Rulebook
from gateway.messages.schema_files import load_calendars, load_catalogue, load_rulebook
from gateway.model.events import TradeEvent, parse_event
from gateway.model.profile import Profile

VARIETY = 200  # distinct messages, amounts too, so that no cache of one answers for all
ROUNDS = 5
PACKS = ("csdr", "smpg")  # what a European custodian asks for, besides the standard pack

Item = Any
Work = Callable[[Item], object]


class _Unvalidated(Messages):
    """Build and serialise only: what is measured against validation alone."""

    def _accept(self, content: bytes, profile: Profile | None, direction: str) -> Any:
        del content, profile, direction
        return None, ()


def measure(slices: int, only: str | None = None) -> dict[str, Any]:
    """Return each comparison, or one: microseconds of both sides, the ratio of every round, and its bound."""
    catalogue = load_catalogue()
    profile = material.profile()
    rulebook = load_rulebook(catalogue)
    no_rules = Rulebook(catalogue, {}, {}, {}, load_calendars())  # they have a comparison of their own
    messages = Messages(catalogue, [profile], material.OWN_BIC, no_rules)
    unvalidated = _Unvalidated(catalogue, [profile], material.OWN_BIC, no_rules)
    judge = Judge()
    now = datetime(2026, 3, 2, 9, 15, 1, 250_000, tzinfo=UTC)
    instructed: list[tuple[TradeEvent, Identity]] = []
    for content in _events():
        event = parse_event(content)
        instructed.append((event, Identity(*material.identifiers(event.trade_id), now)))

    def build(item: tuple[TradeEvent, Identity]) -> bytes:
        return messages.build(item[0], profile, item[1]).content

    def build_only(item: tuple[TradeEvent, Identity]) -> bytes:
        return unvalidated.build(item[0], profile, item[1]).content

    outgoing = [build(item) for item in instructed]
    assert outgoing == [build_only(item) for item in instructed]
    parsed = [judge.parse(content) for content in outgoing]
    confirmations, advices = (
        [_reply(definition, identity, number) for number, (_, identity) in enumerate(instructed)]
        for definition in (material.CONFIRMATION, material.STATUS_ADVICE)
    )
    for content in (*outgoing, *confirmations, *advices):
        judge(content)
    judged = [messages.validator.parse(content) for content in outgoing]
    for message in judged:
        assert not rulebook.judge(message, PACKS, "outgoing")

    def judge_by_rules(item: tuple[ParsedMessage, bytes]) -> None:
        rulebook.judge(item[0], PACKS, "outgoing", item[1])

    def judge_at_length(message: ParsedMessage) -> None:
        rulebook.judge(message, PACKS, "outgoing")

    comparisons: dict[str, Comparison] = {
        "build": (
            "build and serialise sese.023",
            "libxml2 validates it",
            0.5,
            build_only,
            instructed,
            _validate,
            parsed,
        ),
        "build_checked": (
            "build, parse and validate sese.023",
            "libxml2 parses and validates it",
            1.4,
            build,
            instructed,
            judge,
            outgoing,
        ),
        "read_confirmation": (
            "read sese.025 into facts, validated",
            "libxml2 parses and validates it",
            1.5,
            messages.read,
            confirmations,
            judge,
            confirmations,
        ),
        "read_status_advice": (
            "read sese.024 into facts, validated",
            "libxml2 parses and validates it",
            2.0,
            messages.read,
            advices,
            judge,
            advices,
        ),
    }
    comparisons["rules"] = (
        f"rules on sese.023: standard, {', '.join(PACKS)}",
        "libxml2 validates it",
        1.0,
        judge_by_rules,
        list(zip(judged, outgoing, strict=True)),
        _validate,
        parsed,
    )
    comparisons["rules_at_length"] = (
        "the same for a markup not seen before",
        "libxml2 validates it",
        None,
        judge_at_length,
        judged,
        _validate,
        parsed,
    )
    comparisons |= _fin(catalogue, instructed, judge, outgoing)
    if only is not None:
        comparisons = {only: comparisons[only]}
    results: dict[str, Any] = {
        "bytes": {
            "event": len(next(material.events(1, "bench"))),
            "sese.023.001.12": len(outgoing[0]),
            material.CONFIRMATION: len(confirmations[0]),
            material.STATUS_ADVICE: len(advices[0]),
        },
        "libxml2": ".".join(map(str, etree.LIBXML_VERSION)),
        "comparisons": {},
    }
    for name, (ours_text, native_text, bound, ours, our_items, native, native_items) in comparisons.items():
        rounds = [_round(ours, our_items, native, native_items, slices) for _ in range(ROUNDS + 1)][1:]
        results["comparisons"][name] = {
            "ours": ours_text,
            "native": native_text,
            "bound": bound,
            "ratio": round(median(a / b for a, b in rounds), 3),
            "ratios": [round(a / b, 3) for a, b in rounds],
            "microseconds": round(median(a for a, _ in rounds), 1),
            "native_microseconds": round(median(b for _, b in rounds), 1),
        }
    return results


Comparison = tuple[str, str, float | None, Work, Sequence[Item], Work, Sequence[Item]]


def _fin(
    catalogue: Catalogue, instructed: Sequence[tuple[TradeEvent, Identity]], judge: Work, outgoing: Sequence[bytes]
) -> dict[str, Comparison]:
    """Compare the same trades in SWIFT FIN with what libxml2 takes for them in ISO 20022."""
    profile = material.profile(language="fin")
    messages = Messages(catalogue, [profile], material.OWN_BIC)
    unvalidated = _Unvalidated(catalogue, [profile], material.OWN_BIC)
    events = map(material.in_fin, _events())
    carried = [(event, identity) for event, (_, identity) in zip(events, instructed, strict=True)]
    received = [messages.build(event, profile, identity).content for event, identity in carried]
    for content in received:
        messages.read(content)

    def build(item: tuple[TradeEvent, Identity]) -> object:
        return unvalidated.build(item[0], profile, item[1])

    against = "libxml2 parses and validates its sese.023"
    return {
        "fin_read": ("read MT541 into facts, validated", against, 1.0, messages.read, received, judge, outgoing),
        "fin_build": ("build MT541", against, 0.2, build, carried, judge, outgoing),
    }


def _events() -> Iterator[bytes]:
    """Give the events of distinct trades, each with a quantity and amounts of its own."""
    return (material.varied(event, number) for number, event in enumerate(material.events(VARIETY, "bench")))


def _reply(definition: str, identity: Identity, number: int) -> bytes:
    reply = material.reply(definition, identity.transaction_id, f"R{identity.transaction_id}")
    return material.varied(reply, number)


def _validate(parsed: Sequence[tuple[etree.XMLSchema, Any]]) -> None:
    for schema, element in parsed:
        schema.validate(element)


def _round(ours: Work, our_items: Sequence[Item], native: Work, native_items: Sequence[Item], slices: int) -> Any:
    """Return microseconds a message of both sides, in alternating slices."""
    spent = [0.0, 0.0]
    sides = ((ours, our_items), (native, native_items))
    for number in range(slices):
        for side in (0, 1) if number % 2 else (1, 0):
            work, items = sides[side]
            started = time.thread_time()
            for item in items:
                work(item)
            spent[side] += time.thread_time() - started
    return tuple(total / slices / VARIETY * 1e6 for total in spent)
