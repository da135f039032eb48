"""Whole dialogues through the loops, edge by edge: event, message, replies, state.

Each edge, and the test that drives it (in this file unless another is named):

- replies out of order and twice: ``test_replies_in_any_order_and_twice_end_in_the_same_state``
- a confirmation before any status: ``test_a_confirmation_before_any_status_settles_and_late_statuses_stay_history``
- a part, then the remainder is cancelled: ``test_a_part_settles_and_the_remainder_is_cancelled``
- a reversal after settlement: ``test_a_reversal_after_settlement_and_the_settlement_again``; before its confirmation:
  ``test_replies.test_a_confirmation_after_its_reversal_never_counts``
- a cancellation that crosses a settlement: ``test_a_cancellation_and_a_settlement_cross``
- a rejected cancellation, and another: ``test_a_refused_cancellation_leaves_the_instruction_and_may_be_asked_again``
- held, released, held again: ``test_an_instruction_is_held_released_and_held_again``
- a cancellation that both sides must want: ``test_a_matched_instruction_is_cancelled_only_once_both_sides_want_it``
- a generated transaction that nobody instructed: ``test_a_transaction_that_nobody_instructed_is_alerted_once``
- an allegement of what is parked or held: ``test_answers.test_what_is_still_parked_or_held_is_shown_beside_it...``,
  and until ours has gone out: ``test_an_allegement_of_what_is_parked_ends_once_ours_has_gone_out``
- an allegement of what nobody knows, and its removal: ``test_an_allegement_of_nothing_is_alerted_until_its_removal``
- a reply that belongs elsewhere: ``test_a_reply_of_another_dialogue_is_parked_with_what_would_belong``,
  ``test_a_header_that_names_another_definition_is_never_believed``
- a status that no code set has: ``test_a_status_outside_the_code_set_is_kept_as_proprietary_and_alerted``
- amounts in another currency, sums beyond: ``test_a_confirmation_in_another_currency_is_a_break_with_the_field_named``,
  ``test_replies.test_more_than_was_instructed_is_alerted``
- a request before its instruction: ``test_early_requests``; parts that go together: ``test_links``
"""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from gateway.messages.data_files import read_tables
from gateway.messages.reading import Reader, parse_table
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.transitions import Dialogue
from gateway.store.views import Story
from tests.loops import (
    ACCEPTED,
    MATCHED,
    PENDING,
    UNMATCHED,
    Loops,
    affirmation,
    cancel,
    cancellation_advice,
    confirm,
    envelope,
    instruct,
    settled,
    status,
    transaction,
)
from tests.test_allegements import alleged, generated, removal, theirs
from tests.test_early_requests import request


def at(minute: int) -> str:
    return f"2026-03-02T11:{minute:02}:00Z"


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


def axes(story: Story) -> dict[str, str]:
    return {name: axis.status.value for name, axis in (story.state.axes or {}).items()}


async def sent(loops: Loops, *events: dict[str, Any]) -> None:
    await loops.take_in(*(events or (instruct(),)))
    await loops.send()


async def ask_to_cancel(loops: Loops, event_id: str = "CANCEL1") -> str:
    """Ask, and return the business message identifier of the request."""
    [result] = await loops.take_in(cancel(event_id=event_id))
    assert result.outcome == "cancelling", result
    await loops.send()
    return str(loops.arrived()[-1].business_message_id)


def condition(asked: str, said: str, identifier: str, minute: int) -> bytes:
    """Return what became of our request to hold or to release."""
    root = "SctiesSttlmCondModStsAdvc"
    reason = "" if said == "Cmpltd" else "<NoSpcfdRsn>NORE</NoSpcfdRsn>"
    body = f"<ReqRef>{asked}</ReqRef><PrcgSts><{said}>{reason}</{said}></PrcgSts>"
    return envelope("sese.031.001.11", f"<{root}>{body}</{root}>", identifier, created_at=at(minute))


# Statuses and confirmations -------------------------------------------------------------------------------------------

REPLIES = {
    "accepted": status(ACCEPTED, identifier="S1", created_at=at(1)),
    "unmatched": status(UNMATCHED, identifier="S2", created_at=at(2)),
    "matched": status(MATCHED, identifier="S3", created_at=at(3)),
    "settled": settled(identifier="S4", created_at=at(4)),
}


@pytest.mark.parametrize("order", list(permutations(REPLIES)), ids="-".join)
async def test_replies_in_any_order_and_twice_end_in_the_same_state(loops: Loops, order: tuple[str, ...]) -> None:
    await sent(loops)
    for name in (*order, *order[::-1]):
        await loops.hear(REPLIES[name])
    story = await loops.story()
    assert axes(story) == {"processing": "accepted", "matching": "matched", "settlement": "settled"}
    assert (story.instruction.headline, len(story.state.parts), story.state.breaks) == ("settled", 1, ())
    assert await loops.parked() == []
    await loops.prove()


async def test_a_confirmation_before_any_status_settles_and_late_statuses_stay_history(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled(created_at=at(30)))
    story = await both_loops.story()
    assert (story.instruction.headline, story.state.delivery, alerts(story)) == ("settled", "sent", [])
    await both_loops.hear(status(PENDING, created_at=at(10)))
    story = await both_loops.story()
    assert (story.instruction.headline, axes(story)["settlement"]) == ("settled", "settled")


async def test_a_part_settles_and_the_remainder_is_cancelled(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled("200", "24493.82", partial="PAIN", created_at=at(10)))
    assert await both_loops.headline() == "partially_settled"
    asked = await ask_to_cancel(both_loops)
    await both_loops.hear(cancellation_advice(asked, created_at=at(20)))
    story = await both_loops.story()
    assert axes(story) == {"settlement": "partially_settled", "cancellation": "cancelled"}
    assert story.instruction.headline == "partially_settled"  # what settled is never undone by a status
    assert (alerts(story), story.state.breaks) == ([], ())
    [told] = [event for event in await both_loops.published("status") if event["axes"].get("cancellation")][-1:]
    assert [quantity["value"] for quantity in told["settled_quantity"]] == ["200"]
    await both_loops.prove()


async def test_a_reversal_after_settlement_and_the_settlement_again(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled(identifier="SETTLED1", created_at=at(10)))
    await both_loops.hear(settled(identifier="REVERSED1", reverses="SETTLED1", created_at=at(20)))
    story = await both_loops.story()
    assert (story.instruction.headline, [part.reversed for part in story.state.parts]) == ("reversed", [True])
    await both_loops.hear(settled(identifier="REVERSED1", reverses="SETTLED1", created_at=at(20), duplicate=True))
    await both_loops.hear(status(PENDING, created_at=at(30)))
    assert await both_loops.headline() == "pending"
    await both_loops.hear(settled(identifier="SETTLED2", created_at=at(40)))
    story = await both_loops.story()
    assert (story.instruction.headline, story.state.breaks, alerts(story)) == ("settled", (), [])
    await both_loops.prove()


async def test_a_confirmation_in_another_currency_is_a_break_with_the_field_named(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(settled().replace(b'Ccy="EUR"', b'Ccy="USD"'))
    story = await both_loops.story()
    assert (story.instruction.headline, alerts(story)) == ("settled", ["settlement_break"])
    found = {difference.field: (difference.instructed, difference.confirmed) for difference in story.state.breaks}
    assert found["currency"] == ("EUR", "USD")


async def test_parts_in_another_currency_never_add_up_to_the_amount(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(settled("200", "24493.82", partial="PAIN", identifier="P1", created_at=at(1)))
    last = settled("300", "36740.74", partial="PARC", identifier="P2", created_at=at(2))
    await loops.hear(last.replace(b'Ccy="EUR"', b'Ccy="USD"'))
    story = await loops.story()
    assert story.instruction.headline == "settled"
    assert "currency" in {difference.field for difference in story.state.breaks}


# Cancellations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["settlement", "cancellation"])
async def test_a_cancellation_and_a_settlement_cross(both_loops: Loops, first: str) -> None:
    await sent(both_loops)
    asked = await ask_to_cancel(both_loops)
    crossing = [settled(created_at=at(20)), cancellation_advice(asked, created_at=at(21))]
    await both_loops.hear(*(crossing if first == "settlement" else crossing[::-1]))
    story = await both_loops.story()
    assert story.instruction.headline == "settled"
    assert axes(story) == {"settlement": "settled", "cancellation": "cancelled"}
    assert set(alerts(story)) == {"cancellation_crossed_settlement"}
    await both_loops.prove()


async def test_a_settlement_that_crosses_our_request_is_alerted_until_the_request_is_refused(loops: Loops) -> None:
    await sent(loops)
    asked = await ask_to_cancel(loops)
    await loops.hear(settled(created_at=at(20)))
    assert alerts(await loops.story()) == ["cancellation_crossed_settlement"]
    await loops.hear(cancellation_advice(asked, "Dnd", created_at=at(30)))
    story = await loops.story()
    assert (story.instruction.headline, axes(story)["cancellation"]) == ("settled", "denied")
    assert alerts(story) == ["cancellation_crossed_settlement"]


@pytest.mark.parametrize(("said", "word"), [("Rjctd", "rejected"), ("Dnd", "denied")])
async def test_a_refused_cancellation_leaves_the_instruction_and_may_be_asked_again(
    both_loops: Loops, said: str, word: str
) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED, created_at=at(5)))
    first = await ask_to_cancel(both_loops)
    assert await both_loops.headline() == "cancellation_requested"
    await both_loops.hear(cancellation_advice(first, said, identifier="REFUSED1", created_at=at(10)))
    story = await both_loops.story()
    assert (story.instruction.headline, axes(story)["cancellation"]) == ("matched", word)
    second = await ask_to_cancel(both_loops, "CANCEL2")
    assert second != first
    await both_loops.hear(cancellation_advice(second, created_at=at(20)))
    # A late repeat of the first refusal is of the first request.
    await both_loops.hear(cancellation_advice(first, said, identifier="REFUSED2", created_at=at(30)))
    assert await both_loops.headline() == "cancelled"
    await both_loops.prove()


async def test_a_matched_instruction_is_cancelled_only_once_both_sides_want_it(both_loops: Loops) -> None:
    """The servicer takes our request and waits for the other side's; and the other way round, it tells us of theirs."""
    await sent(both_loops, instruct("T1"), instruct("T2"))
    await both_loops.hear(status(MATCHED, transaction("T1"), identifier="M1", created_at=at(5)))
    asked = await ask_to_cancel(both_loops)
    taken = cancellation_advice(asked, "AckdAccptd", identifier="TAKEN1", created_at=at(10))
    waits = cancellation_advice(asked, "PdgCxl", identifier="WAITS1", created_at=at(11)).replace(
        b"<NoSpcfdRsn>NORE</NoSpcfdRsn>", b"<Rsn><Cd><Cd>CONF</Cd></Cd></Rsn>"
    )
    await both_loops.hear(taken, waits)
    story = await both_loops.story("T1")
    assert (story.instruction.headline, axes(story)["cancellation"]) == ("cancellation_pending", "pending")
    assert [reason.code for reason in (story.state.axes or {})["cancellation"].status.reasons] == ["CONF"]
    await both_loops.hear(cancellation_advice(asked, created_at=at(20)))
    assert await both_loops.headline("T1") == "cancelled"

    theirs_first = "<PrcgSts><CxlReqd/></PrcgSts>"
    asks = status(theirs_first, transaction("T2"), identifier="ASKS1", servicer_id=None, created_at=at(30))
    await both_loops.hear(asks)
    assert await both_loops.parked() == []
    assert await both_loops.headline("T2") == "cancellation_requested"
    [result] = await both_loops.take_in(cancel("T2"))
    assert result.outcome == "cancelling"
    await both_loops.send()
    agreed = both_loops.arrived()[-1].business_message_id
    await both_loops.hear(cancellation_advice(agreed, identifier="AGREED1", created_at=at(40)))
    story = await both_loops.story("T2")
    assert (story.instruction.headline, alerts(story)) == ("cancelled", [])
    await both_loops.prove()


# Held and released ----------------------------------------------------------------------------------------------------


async def test_an_instruction_is_held_released_and_held_again(both_loops: Loops) -> None:
    await sent(both_loops)
    minute = 10
    for number, (hold, word) in enumerate([(True, "held"), (False, "released"), (True, "held")]):
        change = request("change_settlement_conditions/1", hold=hold, event_id=f"CHANGE{number}")
        await both_loops.take_in(change)
        await both_loops.send()
        asked = both_loops.arrived()[-1].business_message_id
        before = axes(await both_loops.story()).get("hold")
        assert before != word  # asking is not yet done
        await both_loops.hear(condition(asked, "AckdAccptd", f"A{number}", minute))
        assert axes(await both_loops.story()).get("hold") == before
        await both_loops.hear(condition(asked, "Cmpltd", f"C{number}", minute + 1))
        assert axes(await both_loops.story())["hold"] == word
        minute += 2
    assert await both_loops.parked() == []
    assert len(both_loops.arrived()) == 4
    await both_loops.hear(settled(created_at=at(50)))
    assert await both_loops.headline() == "settled"
    await both_loops.prove()


# What the other side begins -------------------------------------------------------------------------------------------


async def test_a_transaction_that_nobody_instructed_is_alerted_once(loops: Loops) -> None:
    await loops.hear(generated())
    story = await theirs(loops, "GENERATED1", Dialogue.SETTLEMENT)
    assert (story.instruction.headline, alerts(story)) == ("generated", ["transaction_generated"])
    assert "500 unit DE0007164600" in story.history[0].alerts[0].text
    assert story.counterparts == ()
    await loops.hear(generated(identifier="GENERATION2"))
    story = await theirs(loops, "GENERATED1", Dialogue.SETTLEMENT)
    assert alerts(story) == ["transaction_generated"]


async def test_an_allegement_of_what_is_parked_ends_once_ours_has_gone_out(both_loops: Loops) -> None:
    bad = instruct("T1", transaction_type="ZZZZ")
    await both_loops.take_in(bad)
    await both_loops.hear(alleged())
    assert alerts(await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)) == ["allegement_of_unsent"]
    item = await both_loops.only_parked()
    view = await both_loops.command("repair", item.summary.id, json.dumps(instruct("T1")).encode())
    assert view.state == "done"
    await both_loops.send()
    assert (await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)).instruction.headline == "agrees"
    await both_loops.hear(removal(created_at=at(30)))
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert story.instruction.headline == "removed"
    assert (story.counterparts[0].identifier, story.counterparts[0].stands) == (transaction("T1"), "sent")
    assert alerts(story) == ["allegement_of_unsent"]
    await both_loops.prove()


async def test_an_allegement_of_nothing_is_alerted_until_its_removal(loops: Loops) -> None:
    await loops.hear(alleged())
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert alerts(story) == ["allegement_unknown"]
    assert "500 unit DE0007164600 against 61234.56 EUR" in story.history[0].alerts[0].text
    await loops.hear(removal(created_at=at(30)))
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert (story.instruction.headline, alerts(story)) == ("removed", ["allegement_unknown"])


async def test_the_same_allegement_that_differs_is_alerted_once(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(alleged(amount="61234.57"))
    await loops.hear(alleged(amount="61234.57", identifier="AGAIN", created_at=at(30)))
    assert alerts(await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)) == ["allegement_differs"]


# What belongs elsewhere, and what no table has ------------------------------------------------------------------------


async def test_a_reply_of_another_dialogue_is_parked_with_what_would_belong(both_loops: Loops) -> None:
    await sent(both_loops, instruct(), confirm())
    await both_loops.hear(affirmation(transaction()))
    item = await both_loops.only_parked()
    assert item.summary.code == "reply_not_of_dialogue"
    assert item.transaction_id == transaction()
    for said in ("setr.030.001.03", "settlement dialogue", "sese.024", "sese.025", "sese.027", "admi.002"):
        assert said in item.summary.text
    assert "setr.044" not in item.summary.text
    assert item.violations[0].value == "setr.030.001.03"
    assert await both_loops.headline() == "sent"


async def test_an_answer_to_a_request_that_the_dialogue_does_not_know_is_parked_too(loops: Loops) -> None:
    await sent(loops, confirm())
    asked = loops.arrived()[-1].business_message_id
    await loops.hear(condition(asked, "Cmpltd", "C1", 10))
    item = await loops.only_parked()
    assert item.summary.code == "reply_not_of_dialogue"
    assert "setr.044" in item.summary.text
    assert "sese.031," not in item.summary.text


async def test_a_header_that_names_another_definition_is_never_believed(both_loops: Loops) -> None:
    await sent(both_loops)
    wrong = status(MATCHED).replace(b"<MsgDefIdr>sese.024.001.14", b"<MsgDefIdr>sese.025.001.13")
    await both_loops.hear(wrong)
    item = await both_loops.only_parked()
    assert item.summary.code == "reply_definition_misstated"
    assert "sese.025.001.13, but its document is sese.024.001.14" in item.summary.text
    assert await both_loops.headline() == "sent"


def _reader(family: str, without: str) -> Reader:
    """Return a reader whose table lacks a line, as for a code that a newer version of a message brings."""
    catalogue = load_catalogue()
    texts = read_tables("reading", ".read")
    [name] = [name for name in texts if name.startswith(family)]
    text = "\n".join(line for line in texts[name].splitlines() if line.split()[:1] != [without])
    assert text != texts[name]
    header = next(name for name in texts if name.startswith("head.001"))
    return Reader(Validator(catalogue), catalogue, [parse_table(text, name), parse_table(texts[header], header)])


@pytest.mark.parametrize("times", [1, 60], ids=["read at length", "of a shape that is known"])
async def test_a_status_outside_the_code_set_is_kept_as_proprietary_and_alerted(
    loops: Loops, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    reader = _reader("sese.024", "Umtchd")
    for _ in range(times - 1):
        reader.read(status(MATCHED))
    monkeypatch.setattr(loops.messages, "_reader", reader)
    await sent(loops)
    await loops.hear(status(UNMATCHED))
    story = await loops.story()
    held = (story.state.axes or {})["matching"].status
    assert (held.value, held.proprietary, held.reasons[0].code) == ("proprietary", "Umtchd", "DMON")
    assert (story.instruction.headline, alerts(story)) == ("proprietary", ["status_code_unknown"])
    assert "matching: Umtchd." in story.history[-1].alerts[0].text


@pytest.mark.parametrize("times", [1, 60], ids=["read at length", "of a shape that is known"])
async def test_a_status_code_outside_the_code_set_is_kept_too(
    loops: Loops, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    reader = _reader("setr.030", "AFFI")
    other = affirmation("X").replace(b"AFFI", b"NAFI")
    for _ in range(times - 1):
        reader.read(other)
    monkeypatch.setattr(loops.messages, "_reader", reader)
    await sent(loops, confirm())
    await loops.hear(affirmation(transaction(dialogue=Dialogue.CONFIRMATION)))
    story = await loops.story(dialogue=Dialogue.CONFIRMATION)
    held = (story.state.axes or {})["affirmation"].status
    assert (held.value, held.proprietary) == ("proprietary", "AFFI")
    assert alerts(story) == ["status_code_unknown"]
