"""Every pair of messages, there and back: each value that is not the same again is named by one of the two reports.

``GATEWAY_TEST_FULL=1`` draws twenty times as many of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.errors import BuildError, GatewayError
from gateway.messages import Messages, fin
from gateway.messages.schema_files import load_catalogue
from gateway.messages.translation import Translation, Untranslatable
from gateway.messages.translation.leaves import Leaf, leaves_of
from gateway.model.events import parse_event
from tests import test_fin_payments as fin_payments
from tests import test_fin_settlement as fin_settlement
from tests.examples import IDENTITY, OWN_BIC, TABLES, build, document, encode, leaves, messages, remove, terms_about
from tests.test_allegements import alleged, removal
from tests.translating import NOW, translate, validator

EXAMPLES = 240 if os.environ.get("GATEWAY_TEST_FULL") == "1" else 10
HERE = Path(__file__).parent
FIN = {
    path.name.removesuffix(".txt"): path
    for path in sorted((HERE / "golden" / "fin").glob("MT*.txt"))
    if path.name != "MT548.complete.txt"  # says everything at once, and so is about nothing
}
ISO = {
    **{path.name: path for path in sorted((HERE / "golden").glob("*.xml"))},
    **{path.name: path for path in sorted((HERE / "messages" / "replies").glob("*.xml"))},
    **{path.name: path for path in sorted((HERE / "messages" / "statements").glob("*.xml"))},
}
OUTGOING = {
    "instruct_settlement/1": "MT54",
    "change_settlement_conditions/1": "MT530",
    "query_settlement_status/1": "MT549",
    "instruct_intra_position_movement/1": "MT524",
    "transfer_between_institutions/1": "MT202",
    "transfer_for_customer/1": "MT103",
    "notify_to_receive/1": "MT210",
    "cancel_payment/1": "MT292",
    "query_payment_status/1": "MT295",
    "instruct_foreign_exchange/1": "MT300",
    "amend_foreign_exchange/1": "MT300",
    "confirm_trade/1": "MT51",
    "answer_trade/1": "MT5",
}
"""The kinds of event that both languages have a message for, and what that of FIN begins with."""

WANTED = {"confirm_trade/1": {"payment"}}
"""What a message of FIN has to state, and ISO 20022 leaves open."""

STATEMENTS = ("MT940", "MT950", "MT535", "MT536", "MT537", "MT538", "MT586")
INCOMING = (
    *("MT544", "MT545", "MT546", "MT547", "MT548", "MT578", "MT508", "MT900", "MT910", "MT196", "MT296", "MT509"),
    *STATEMENTS,
)
OUT = (
    *("MT103", "MT202", "MT202COV", "MT210", "MT300", "MT515", "MT517", "MT518", "MT524", "MT530"),
    *("MT540", "MT541", "MT542", "MT543", "MT549"),
)
TRANSLATED = {
    *(f"{message}.typical" for message in (*INCOMING, *OUT)),
    *(f"{message}.minimal" for message in (*INCOMING, *OUT)),
} - {"MT196.minimal", "MT296.minimal", "MT202COV.minimal"}  # lack what ISO 20022 cannot be without: a status, an agent

ANSWERS = {"MT509.typical"}
"""What is an answer in ISO 20022, with a fact of its own, and in FIN a status on the axis of affirmation."""


def in_fin(message: str, text: str) -> bytes:
    """Put the blocks around the text of a message."""
    return fin.envelope("OURSGB2LXXX", "CUSTGB2LXXX", message, "REF0001", None, text)


def sample(name: str) -> bytes:
    """Return a message in FIN by the name of its file."""
    return in_fin(name.split(".", maxsplit=1)[0], FIN[name].read_text())


def leaves_in(content: bytes) -> list[Leaf]:
    parsed = validator().parse(content)
    assert parsed.document is not None
    return leaves_of(parsed.document[0])


def plain(path: str | None) -> str:
    """Leave numbers out: where one of several is lost, the others move up; those of the parties of a chain too."""
    return re.sub(r"\[\d+\]|(?<=Pty)\d|(?<=Agt)\d", "", path or "")


def same(value: str) -> str:
    """Write a value in one way: numbers without zeros at their end, instants in UTC to the second, no lines."""
    currency, _, amount = value.rpartition(" ")
    if re.fullmatch("([A-Z]{3})?", currency) and re.fullmatch(r"-?\d+(\.\d*)?", amount):
        try:
            return f"{currency} {Decimal(amount).normalize():f}"
        except InvalidOperation:
            pass
    if re.fullmatch("[A-Z]{6}[A-Z0-9]{2}XXX", value):
        return value[:8]  # the head office, which a header of FIN does not name apart
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0).isoformat()
    return " ".join(value.split())


def count(content: bytes) -> Counter[tuple[str, str]]:
    return Counter((plain(leaf.shown), same(leaf.value)) for leaf in leaves_in(content))


def named(there: Translation, back: Translation) -> Iterator[str]:
    """Yield the paths of the values that a report says are lost, or put in other words, or in another place."""
    gone = {first(entry.source) for entry in (*back.report.not_carried, *back.report.truncated)}
    gone |= {first(entry.source) for entry in back.report.carried if entry.why}
    moved = {first(entry.source): plain(entry.target) for entry in back.report.carried}
    for entry in (*there.report.not_carried, *there.report.truncated, *there.report.carried):
        lost = entry in there.report.not_carried or entry in there.report.truncated or entry.why
        target = first(entry.target)
        elsewhere = target in moved and moved[target] != plain(entry.source)
        if entry.source is not None and (lost or target in gone or elsewhere):
            yield entry.source


def first(path: str | None) -> str:
    """Write a path as a target is: the first of several has no number."""
    return (path or "").replace("[1]", "")


def unexplained(content: bytes, there: Translation, back: Translation) -> list[tuple[str, str]]:
    """Return the values of a message that are gone, or another, and that nobody says anything of."""
    missing = count(content) - count(back.content)
    told = set(named(there, back))
    by_text: dict[tuple[str, str], list[Leaf]] = defaultdict(list)
    for leaf in leaves_in(content):
        by_text[plain(leaf.shown), same(leaf.value)].append(leaf)
    return [text for text, often in missing.items() if sum(_is_told(leaf, told) for leaf in by_text[text]) < often]


def _is_told(leaf: Leaf, told: set[str]) -> bool:
    if leaf.shown in told:
        return True
    moment = leaf.tags[-1] in ("date", "time", "offset", "decimals", "moment")  # told as one, or by its parts
    around = leaf.shown.rpartition("/")[0]
    return moment and any(path.rpartition("/")[0] == around for path in told)


def accounts_for_everything(content: bytes, made: Translation) -> None:
    """Every value of the source is told of: carried, truncated or not carried."""
    report = made.report
    told = {str(entry.source) for kind in (report.carried, report.truncated, report.not_carried) for entry in kind}
    silent = [leaf.shown for leaf in leaves_in(content) if not _is_told(leaf, told)]
    assert silent == []


def says_why(refused: GatewayError, there: Translation | None = None) -> None:
    """What cannot be translated says what is wanted; on the way back, that is what the first report names as lost."""
    assert refused.violations or refused.code == "translation_needs_original"
    assert there is None or not there.report.complete


def there_and_back(content: bytes, to: str | None = None) -> Translation:
    """Translate there and back, and let nothing be lost in silence."""
    there = translate(content, to)
    accounts_for_everything(content, there)
    try:
        back = translate(there.content, there.source)
    except Untranslatable as refused:
        says_why(refused, there)
        return there
    accounts_for_everything(there.content, back)
    assert unexplained(content, there, back) == []
    return there


def again(there: Translation) -> None:
    """Translate what was made, there and back: a message of ISO 20022, which must lose nothing either."""
    try:
        there_and_back(there.content, there.source.replace("STP", "").replace("REMIT", ""))
    except Untranslatable as refused:
        says_why(refused, there)


# Every sample ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FIN))
def test_a_message_in_fin_there_and_back(name: str) -> None:
    """The way back begins with what the first one made: that is a message of ISO 20022, which must lose nothing too."""
    try:
        there = there_and_back(sample(name))
    except GatewayError as refused:
        if name in TRANSLATED:
            raise
        says_why(refused)
        return
    again(there)


@pytest.mark.parametrize("name", sorted(ISO))
def test_a_message_of_iso_20022_there_and_back(name: str) -> None:
    try:
        there_and_back(ISO[name].read_bytes())
    except (BuildError, Untranslatable) as refused:
        says_why(refused)


@pytest.mark.parametrize("name", sorted(name for name in TRANSLATED - ANSWERS if name.split(".")[0] in INCOMING))
def test_a_message_to_us_means_the_same_in_the_other_language(name: str) -> None:
    """The gateway reads from what is made all that it reads from FIN; ISO 20022 may say more, such as a direction."""
    content = sample(name)
    ((_, said),), ((_, again),) = messages().read(content).facts, messages().read(translate(content).content).facts
    assert type(again) is type(said)
    told = what_is_said(asdict(said))
    assert within(asdict(again), told) == told


def within(again: Any, said: Any) -> Any:
    """Leave out what only the second says; what the first is silent about is as it is silent there."""
    if isinstance(said, dict) and isinstance(again, dict):
        return {each: within(again[each], value) if value else value for each, value in said.items()}
    if isinstance(said, tuple) and isinstance(again, tuple) and len(said) == len(again):
        return tuple([within(one, other) for one, other in zip(again, said, strict=True)])
    return again


def what_is_said(said: dict[str, Any]) -> dict[str, Any]:
    """Leave out what FIN says of an entry without a reference, and the number of a statement where it is said twice."""
    if said.get("sequence") is not None:
        said["number"] = None
    for entry in said.get("entries", ()):
        if [each["account_owner_transaction_id"] for each in entry["transactions"]] == ["NONREF"]:
            entry["transactions"] = ()
    return said


def test_an_allegement_there_and_back() -> None:
    assert there_and_back(alleged()).definition == "MT578"


def test_the_removal_of_an_allegement_repeats_it_in_fin_and_so_goes_one_way() -> None:
    with pytest.raises(Untranslatable, match="MT578"):
        translate(removal())
    link = ":16R:LINK\n:20C::PREV//ALLEGE0001\n:16S:LINK\n:16S:GENL"
    text = FIN["MT578.typical"].read_text().replace(":23G:NEWM", ":23G:REMO").replace(":16S:GENL", link)
    made = translate(in_fin("MT578", text.replace("SEME//ALLEGE0001", "SEME//REMOVE0001")))
    assert made.definition == "sese.029.001.08"
    assert count(made.content)["AcctSvcrTxId/TxId", "ALLEGE0001"] == 1


# The table of the documentation ---------------------------------------------------------------------------------------

PAGE = (HERE.parent / "docs" / "howto-translate.md").read_text()
PAIRS = re.findall(r"(?m)^\| (MT[^|]+) \| ([a-z]{4}\.\d{3}[^|]*) \| (yes|no) \| (yes|no) \|$", PAGE)


@cache
def becomes(content: bytes) -> str:
    """Return what a message becomes; empty where that is refused."""
    try:
        return translate(content).definition
    except GatewayError as refused:
        says_why(refused)
        return ""


@pytest.mark.parametrize(("fin_types", "iso_types", "to_iso", "to_fin"), PAIRS)
def test_the_page_says_which_messages_become_which(fin_types: str, iso_types: str, to_iso: str, to_fin: str) -> None:
    messages_of_fin = fin_types.split(", ")
    families = tuple(f"{each}." for each in iso_types.split(", "))
    for message in messages_of_fin:
        made = [becomes(sample(name)) for name in FIN if name.split(".")[0] == message]
        made += [becomes(path.read_bytes()) for path in (HERE / "golden" / "fin").glob(f"built.{message}.*.txt")]
        assert made, message
        assert any(each.startswith(families) for each in made) == (to_iso == "yes"), message
    known = [path.read_bytes() for name, path in ISO.items() if name.startswith(families)]
    if to_iso == "yes":
        there = [sample(f"{message}.typical") for message in messages_of_fin]
        known += [translate(each).content for each in there if becomes(each)]
    assert any(becomes(each).startswith(tuple(messages_of_fin)) for each in known) == (to_fin == "yes")


def test_the_page_speaks_of_every_message_in_fin_that_there_is() -> None:
    told = {message for row in PAIRS for message in row[0].split(", ")}
    assert {name.split(".")[0] for name in FIN} <= told


# Generated ------------------------------------------------------------------------------------------------------------


def _payment(kind: str, changes: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return lambda: fin_payments._given(fin_payments.event(kind, **changes))


BASES: dict[str, list[Callable[[], dict[str, Any]]]] = {
    kind: [partial(document, kind), partial(document, kind, minimal=True)] for kind in OUTGOING
}
"""Events to begin with: all that there is to say, as little as there is, and what FIN has a place for."""

BASES["instruct_settlement/1"].append(fin_settlement.complete)
for _kind, _changes, _ in fin_payments.BUILT.values():
    BASES.setdefault(f"{_kind}/1", []).append(_payment(_kind, _changes))


@st.composite
def events(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw an event of a kind that both languages speak of, with some of what it may say left out."""
    kind = draw(st.sampled_from(sorted(OUTGOING)))
    event = draw(st.sampled_from(BASES[kind]))()
    paths = sorted({re.sub(r"\[\d+\]$", "", path) for path in leaves(event)} | event.keys())
    for path in draw(st.lists(st.sampled_from(paths), max_size=12, unique=True)):
        remove(event, path)
    return kind, event


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(events())
def test_any_event_of_ours_there_and_back(drawn: tuple[str, dict[str, Any]]) -> None:
    kind, event = drawn
    try:
        content = build(event, TABLES[kind].default).content
    except GatewayError:  # what no message can say is not what is asked here
        assume(False)
    try:
        there = there_and_back(content)
    except Untranslatable as refused:  # only where something of the source has no place in the target
        says_why(refused)
        if not refused.report.not_carried and event.keys() >= WANTED.get(kind, set()):
            raise
        return
    assert there.definition.startswith(OUTGOING[kind])


@cache
def builder() -> Messages:
    return Messages(load_catalogue(), [IN_FIN], OWN_BIC)


IN_FIN = fin_settlement.profile("fin").model_copy(update={"bic": "CUSTGB2LXXX"})
ABOUT = {"cancel_payment/1": "MT202", "query_payment_status/1": "MT202"}
GIVEN = ("11S/message_type", "11S/date")  # which the gateway knows of the original, and a message need not say


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(events())
def test_an_event_sent_in_fin_says_what_its_message_in_iso_20022_does(drawn: tuple[str, dict[str, Any]]) -> None:
    """What the gateway builds in FIN is, value by value, what the translation makes of what it builds in ISO 20022."""
    kind, event = drawn
    if kind == "transfer_for_customer/1":  # which FIN says as the event does, and pacs.008 as the identity
        event = {**event, "end_to_end_id": IDENTITY.end_to_end_id}
    identity = replace(IDENTITY, original_definition=ABOUT.get(kind), original_created_at=NOW)
    try:
        parsed = parse_event(encode(event))
        iso = build(event, TABLES[kind].default).content
        ours = builder().build(parsed, IN_FIN, identity, terms_about(parsed.dialogue)).content
    except GatewayError:  # one of them cannot say it, and names why
        assume(False)
    theirs = translate(iso).content
    own = {("GENL/LINK_TRRF/20C/reference", name) for name in (event.get("trade_id"), IDENTITY.transaction_id)}
    said, made = (
        [text for text in count(each).elements() if text[0] not in GIVEN and text not in own] for each in (ours, theirs)
    )
    assert sorted(made) == sorted(said)


@st.composite
def messages_in_fin(draw: st.DrawFn) -> bytes:
    """Draw a message in FIN that lacks some of the fields of a sample."""
    name = draw(st.sampled_from(sorted(TRANSLATED | {f"{message}.complete" for message in INCOMING} & set(FIN))))
    fields = re.split(r"(?m)^(?=:\d\d[A-Z]?:)", FIN[name].read_text())
    optional = [number for number, field in enumerate(fields) if not field.startswith((":16R:", ":16S:"))]
    gone = draw(st.sets(st.sampled_from(optional), max_size=4))
    text = "".join(field for number, field in enumerate(fields) if number not in gone)
    return in_fin(name.split(".")[0], re.sub(r":16R:(\w+)\n:16S:\1\n", "", text))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(messages_in_fin())
def test_any_message_in_fin_there_and_back(content: bytes) -> None:
    try:
        there = there_and_back(content)
    except GatewayError as refused:  # not valid, or without what the other language wants
        says_why(refused)
        return
    again(there)
