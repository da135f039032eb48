"""Replies: the bytes are kept first, each is applied once, and none for somebody else is ever accepted."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from gateway import lifecycle
from gateway.errors import StoreUnavailable
from gateway.messages.data_files import read_tables
from gateway.model.transitions import HEADLINES, TRANSITIONS, Dialogue
from gateway.store import ArchiveState, tables
from tests.loops import (
    ACCEPTED,
    CHANNEL,
    MATCHED,
    OTHER,
    PENDING,
    REJECTED,
    UNMATCHED,
    Loops,
    affirmation,
    arrives_and_crashes,
    cancel,
    cancellation_advice,
    confirm,
    envelope,
    instruct,
    rejection,
    settled,
    status,
    transaction,
)


async def sent(loops: Loops, *events: dict[str, object]) -> None:
    """Record and send events (one instruction unless said otherwise)."""
    await loops.take_in(*(events or (instruct(),)))
    await loops.send()


async def archive(loops: Loops) -> list[str]:
    """Return the state of every archived reply."""
    return [ArchiveState(row["state"]).name.lower() for row in await loops.rows(tables.archive)]


async def parked_code(loops: Loops) -> str:
    item = await loops.only_parked()
    assert item.summary.stage == "reply"
    return item.summary.code


# Kept first -----------------------------------------------------------------------------------------------------------


async def test_replies_are_archived_before_they_are_read_and_let_go_of_at_the_carrier(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.archive(status(MATCHED), b"\xff garbage")
    assert await archive(both_loops) == ["waiting", "waiting"]
    assert both_loops.wires[CHANNEL].done == {"in/0/0", "in/0/1"}
    both_loops.crash()
    assert await both_loops.apply() == 2
    assert await archive(both_loops) == ["applied", "parked"]
    assert [bytes(row["content"]) for row in await both_loops.rows(tables.archive)] == [
        status(MATCHED),
        b"\xff garbage",
    ]


async def test_what_cannot_be_archived_is_not_let_go_of_and_comes_again(loops: Loops) -> None:
    await sent(loops)
    await loops.ledger.execute(lambda connection: connection.execute(text("PRAGMA max_page_count=1")).scalar())
    with pytest.raises(StoreUnavailable):
        await loops.archive(*(status(MATCHED, identifier=f"STATUS{number}") for number in range(60)))
    assert loops.wires[CHANNEL].done == set()
    await loops.ledger.execute(lambda connection: connection.execute(text("PRAGMA max_page_count=1000000")).scalar())
    await loops.hear()
    assert await archive(loops) == ["applied"] * 60


async def test_a_reply_moves_an_axis_and_tells_upstream_why(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(status(UNMATCHED))
    story = await both_loops.story()
    assert story.instruction.headline == "unmatched"
    assert story.account_servicer_transaction_id == "SERVICER-1"
    told = (await both_loops.published("status"))[-1]
    assert told["status_id"] == f"{transaction()}-{told['sequence']}"
    assert told["head_hash"] == story.history[-1].hash
    assert told["cause"] == {"kind": "message", "identifier": "STATUS1", "message_definition": "sese.024.001.14"}
    [change] = told["changes"]
    assert (change["axis"], change["before"], change["after"]) == ("matching", None, "unmatched")
    assert change["reasons"][0]["code"] == "DMON"
    assert told["axes"]["matching"]["asserted_at"] == "2026-03-02T11:00:00Z"
    await both_loops.prove()


# Once -----------------------------------------------------------------------------------------------------------------


async def test_the_same_bytes_again_change_nothing(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled())
    before = await both_loops.counts()
    await both_loops.hear(settled(), settled())
    assert await both_loops.counts() == before
    assert [row["repeats"] for row in await both_loops.rows(tables.archive)] == [2]


async def test_a_marked_repeat_of_a_reply_is_archived_and_changes_nothing(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled())
    before = len((await both_loops.story()).history)
    await both_loops.hear(settled(duplicate=True))
    assert await archive(both_loops) == ["applied", "duplicate"]
    assert len((await both_loops.story()).history) == before


async def test_a_reply_and_its_marked_repeat_in_one_batch_count_once(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled(), settled(duplicate=True), settled())
    assert await archive(both_loops) == ["applied", "duplicate"]
    assert (await both_loops.story()).state.parts[0].quantity.value == Decimal(500)  # type: ignore[union-attr]
    assert len((await both_loops.story()).state.parts) == 1


async def test_the_same_identifier_with_other_content_is_parked(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED))
    await both_loops.hear(status(UNMATCHED))
    assert await parked_code(both_loops) == "reply_conflict"
    assert await both_loops.headline() == "matched"


async def test_another_counterparty_may_use_the_same_message_identifier(loops: Loops) -> None:
    await sent(loops)
    await loops.take_in(instruct("T2", counterparty=OTHER))
    await loops.send(OTHER)
    await loops.hear(status(MATCHED))
    await loops.hear(status(MATCHED, transaction("T2"), sender=OTHER), channel=OTHER)
    assert await loops.headline("T2") == "matched"


# Order ----------------------------------------------------------------------------------------------------------------


async def test_a_reply_before_the_outcome_of_the_send_is_recorded_is_applied(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [arrives_and_crashes]
    await both_loops.send_and_crash()
    await both_loops.hear(status(MATCHED))
    assert await archive(both_loops) == ["applied"]
    story = await both_loops.story()
    assert (story.instruction.headline, story.state.delivery) == ("matched", "sent")


async def test_an_older_assertion_that_comes_later_is_history_and_moves_nothing(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED, identifier="NEW", created_at="2026-03-02T12:00:00Z"))
    await both_loops.hear(status(UNMATCHED, identifier="OLD", created_at="2026-03-02T11:00:00Z"))
    assert await both_loops.headline() == "matched"
    assert await archive(both_loops) == ["applied", "applied"]
    assert (await both_loops.story()).history[-1].changes == ()


async def test_a_status_never_undoes_a_confirmation(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled())
    await both_loops.hear(status(PENDING, created_at="2026-03-02T13:00:00Z"))
    assert await both_loops.headline() == "settled"
    await both_loops.hear(settled(reverses="SETTLED1", identifier="REVERSAL1", created_at="2026-03-02T14:00:00Z"))
    assert await both_loops.headline() == "reversed"


# Whose is it ----------------------------------------------------------------------------------------------------------


async def test_a_reply_for_an_unknown_transaction_is_parked(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED, "NOBODYKNOWSTHIS0"))
    assert await parked_code(both_loops) == "reply_unknown_transaction"
    assert (await both_loops.published("exceptions"))[0]["stage"] == "reply"


async def test_a_reply_over_another_counterpartys_channel_is_never_accepted(both_loops: Loops) -> None:
    await sent(both_loops)
    before = len((await both_loops.story()).history)
    await both_loops.hear(settled(sender=CHANNEL), channel=OTHER)
    assert await parked_code(both_loops) == "reply_wrong_counterparty"
    assert len((await both_loops.story()).history) == before


async def test_a_reply_whose_header_names_another_sender_is_never_accepted(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled(sender="IMPSDEFFXXX"))
    assert await parked_code(both_loops) == "reply_wrong_counterparty"
    assert await both_loops.headline() == "sent"


async def test_the_servicers_reference_alone_finds_what_it_named_before(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(ACCEPTED))
    await loops.hear(status(MATCHED, "NONREF", identifier="STATUS2"))
    assert await loops.headline() == "matched"


async def test_the_head_office_of_the_sender_is_the_same_party(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(MATCHED, sender=CHANNEL[:8]))
    assert await loops.headline() == "matched"


# What cannot be read --------------------------------------------------------------------------------------------------

_NAMESPACE = b"urn:iso:std:iso:20022:tech:xsd:"
_UNREADABLE = {
    "garbage": (b"\x00\xff garbage", "xml_malformed"),
    "empty": (b"", "xml_malformed"),
    "cut-off": (status(MATCHED)[:-40], "xml_malformed"),
    "external-entity": (
        b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + status("<MtchgSts>&x;</MtchgSts>"),
        "xml_forbidden",
    ),
    "entity-bomb": (
        b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + status("<MtchgSts>&b;</MtchgSts>"),
        "xml_forbidden",
    ),
    "too-large": (status(MATCHED) + b" " * 1_100_000, "xml_too_large"),
    "too-deep": (b"<a>" * 400 + b"</a>" * 400, "xml_too_deep"),
    "no-envelope": (b"<order><item/></order>", "envelope_unknown"),
    "definition-not-here": (status(MATCHED).replace(b"sese.024.001.14", b"sese.024.001.77"), "definition_unknown"),
    "definition-not-read": (
        envelope("semt.002.001.12", "<SctiesBalCtdyRpt/>", "X"),
        None,
    ),
    "schema": (status("<MtchgSts><Perhaps/></MtchgSts>"), None),
}


@pytest.mark.parametrize(("content", "code"), _UNREADABLE.values(), ids=list(_UNREADABLE))
async def test_what_cannot_be_read_is_archived_parked_and_the_rest_goes_on(
    loops: Loops, content: bytes, code: str | None
) -> None:
    await sent(loops)
    await loops.hear(content, status(MATCHED, identifier="GOOD"))
    assert await loops.headline() == "matched"
    item = await loops.only_parked()
    assert item.summary.stage == "reply"
    assert code is None or item.summary.code == code
    assert item.summary.counterparty == CHANNEL
    [told] = await loops.published("exceptions")
    assert (told["code"], told["origin"]) == (item.summary.code, f"{CHANNEL}/in/0/0")
    assert [bytes(row["content"]) for row in await loops.rows(tables.archive) if row["state"] == 3] == [content]


async def test_an_unknown_definition_says_how_to_import_it(loops: Loops) -> None:
    await loops.hear(status(MATCHED).replace(b"sese.024.001.14", b"sese.024.001.77"))
    item = await loops.only_parked()
    assert "gateway schemas import" in item.summary.text
    assert "sese.024.001.77" in item.summary.text


async def test_every_violation_of_an_invalid_reply_is_told(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status("<MtchgSts><Perhaps/></MtchgSts><PrcgSts><Never/></PrcgSts>"))
    item = await loops.only_parked()
    assert item.summary.code == "message_invalid"
    assert item.violations
    assert all(violation.path and violation.rule for violation in item.violations)


async def test_a_reply_that_the_ledger_refuses_is_isolated_and_parked(loops: Loops) -> None:
    await sent(loops, *(instruct(f"T{number}") for number in range(10)))
    await loops.ledger.execute(
        lambda connection: connection.execute(
            text(
                "CREATE TRIGGER refuse_update BEFORE UPDATE ON instruction "
                f"WHEN NEW.transaction_id = '{transaction('T3')}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        )
    )
    with capture_logs() as logs:
        await loops.hear(*(status(MATCHED, transaction(f"T{n}"), identifier=f"STATUS{n}") for n in range(10)))
    assert [line["event"] for line in logs].count("reply.not_applied") == 1
    assert await parked_code(loops) == "reply_refused_by_ledger"
    assert [await loops.headline(f"T{number}") for number in range(10)] == ["matched"] * 3 + ["sent"] + ["matched"] * 6


async def test_a_fault_of_ours_parks_the_reply_and_never_its_channel(
    loops: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent(loops, instruct(), instruct("T2"))
    real = lifecycle.headline

    def fail(state: object) -> str:
        if getattr(state, "axes", None) and "inferred_matching" in state.axes:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return real(state)  # type: ignore[arg-type]

    monkeypatch.setattr("gateway.lifecycle.headline", fail)
    inferred = status("<IfrrdMtchgSts><Mtchd/></IfrrdMtchgSts>", transaction("T2"), identifier="STATUS2")
    with capture_logs():
        await loops.hear(status(MATCHED), inferred)
    assert await parked_code(loops) == "internal_error"
    assert await loops.headline() == "matched"


async def test_an_edge_that_the_table_does_not_have_parks_the_reply_with_its_instruction(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(status(REJECTED))
    await both_loops.hear(status(ACCEPTED, identifier="STATUS2", created_at="2026-03-02T12:00:00Z"))
    item = await both_loops.only_parked()
    assert (item.summary.code, item.summary.trade_id) == ("illegal_transition", "T1")
    assert item.transaction_id == transaction()
    assert await both_loops.headline() == "rejected"


async def test_a_parked_reply_does_not_hold_the_trade(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(REJECTED))
    await loops.hear(status(ACCEPTED, identifier="STATUS2", created_at="2026-03-02T12:00:00Z"))
    [result] = await loops.take_in(instruct(number=2))
    assert result.outcome == "instructed"


# Settlement -----------------------------------------------------------------------------------------------------------


async def test_partial_settlements_add_up(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled("200", "24493.82", identifier="PART1", partial="PAIN"))
    assert await both_loops.headline() == "partially_settled"
    await both_loops.hear(settled("300", "36740.74", identifier="PART2", partial="PARC"))
    assert await both_loops.headline() == "settled"
    told = (await both_loops.published("status"))[-1]
    assert told["settled_quantity"] == [{"value": "500", "type": "unit"}]
    assert told["settled_amount"] == [{"value": "61234.56", "currency": "EUR"}]
    assert told["alerts"] == []


async def test_more_than_was_instructed_is_alerted(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled("400", None, identifier="PART1", partial="PAIN"))
    await both_loops.hear(settled("300", None, identifier="PART2", partial="PARC"))
    told = (await both_loops.published("status"))[-1]
    assert "settled_beyond_instruction" in {alert["code"] for alert in told["alerts"]}


async def test_a_break_names_the_fields_that_differ(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled("499", "61000.00", account="OTHER-1", settlement_date="2026-03-05"))
    told = (await both_loops.published("status"))[-1]
    assert {"amount", "quantity", "safekeeping_account", "settlement_date"} <= {
        each["field"] for each in told["breaks"]
    }
    assert "settlement_break" in {alert["code"] for alert in told["alerts"]}


async def test_a_confirmation_after_its_reversal_never_counts(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled(reverses="SETTLED1", identifier="REVERSAL1"))
    await both_loops.hear(settled())
    assert await both_loops.headline() == "reversed"
    assert (await both_loops.story()).state.parts[0].reversed


# Cancellations, rejections, confirmations -----------------------------------------------------------------------------


async def test_a_cancellation_has_a_life_of_its_own(both_loops: Loops) -> None:
    await sent(both_loops)
    await sent(both_loops, cancel())
    request = both_loops.arrived()[1].business_message_id
    await both_loops.hear(cancellation_advice(request, "AckdAccptd", identifier="ADVICE1"))
    assert await both_loops.headline() == "cancellation_requested"
    await both_loops.hear(cancellation_advice(request, identifier="ADVICE2", created_at="2026-03-02T12:00:00Z"))
    assert await both_loops.headline() == "cancelled"


async def test_a_technical_rejection_of_the_instruction_rejects_it(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(rejection(both_loops.arrived()[0].business_message_id))
    assert await both_loops.headline() == "rejected"
    told = (await both_loops.published("status"))[-1]
    assert "not a participant" in told["changes"][-1]["reasons"][0]["text"]


async def test_a_technical_rejection_of_the_cancellation_leaves_the_instruction_alone(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED))
    await sent(both_loops, cancel())
    await both_loops.hear(rejection(both_loops.arrived()[1].business_message_id))
    story = await both_loops.story()
    axes = {name: axis.status.value for name, axis in (story.state.axes or {}).items()}
    assert axes == {"matching": "matched", "cancellation": "rejected"}


async def test_a_trade_confirmation_is_affirmed(both_loops: Loops) -> None:
    await sent(both_loops, confirm())
    await both_loops.hear(affirmation(transaction(dialogue=Dialogue.CONFIRMATION)))
    assert (await both_loops.story(dialogue=Dialogue.CONFIRMATION)).instruction.headline == "affirmed"


# The tables agree -----------------------------------------------------------------------------------------------------


def test_every_status_word_that_a_reading_table_gives_is_known_to_the_transition_tables() -> None:
    dialogues = {
        "sese.024": Dialogue.SETTLEMENT,
        "sese.027": Dialogue.SETTLEMENT,
        "setr.030": Dialogue.CONFIRMATION,
        "setr.044": Dialogue.CONFIRMATION,
    }
    read = 0
    for name, table in read_tables("reading", ".read").items():
        dialogue = next((found for family, found in dialogues.items() if name.startswith(family)), None)
        axis = ""
        for line in table.splitlines():
            words = line.partition("#")[0].split()
            if line.startswith("codes"):
                axis = words[1]
            elif dialogue is not None and axis and line.startswith(" ") and len(words) == 2:
                known = {after for row in TRANSITIONS[dialogue, axis] for after in row.after}
                assert words[1] in known, f"{name}: {axis} {words[1]} leads nowhere"
                headlines = {(row[0], row[1]) for row in HEADLINES[dialogue]}
                assert axis == "cancellation" or (axis, words[1]) in headlines or words[1] == "proprietary"
                read += 1
    assert read > 40
