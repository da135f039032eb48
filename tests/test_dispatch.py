"""Dispatch: an attempt is on record before the bytes leave, and what is in doubt goes again, marked, never silently."""

# ruff: noqa: F401  # the carriers' contract is imported by name
from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gateway.dispatch import LeaseLost
from gateway.messages.header import without_header
from gateway.model.profile import Profile
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, tables
from gateway.transports import Transport
from tests.loops import (
    CHANNEL,
    LEASE_SECONDS,
    MATCHED,
    OTHER,
    Counterparty,
    Crash,
    Loops,
    Wire,
    arrives,
    arrives_and_crashes,
    arrives_in_doubt,
    cancel,
    confirm,
    crashes,
    instruct,
    lost,
    not_sent,
    party,
    refused,
    settings_for,
    status,
    transaction,
)
from tests.test_transports import (
    test_a_large_message_passes_and_one_over_the_limit_is_refused_alone,
    test_a_repeat_with_the_mark_is_delivered_beside_the_first,
    test_acknowledging_later_messages_does_not_lose_earlier_ones,
    test_both_directions_are_independent,
    test_receive_waits_and_can_be_cancelled_without_losing_anything,
    test_sending_nothing_is_nothing,
    test_the_other_side_gets_the_exact_bytes_in_order,
    test_what_was_acknowledged_never_comes_again_and_the_rest_does_in_order,
)

# The counterparty of these tests keeps the contract of the real carriers ----------------------------------------------


class Channel:
    """Both ends of one wire, as the carriers' suite opens them."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.profile = Profile.model_validate(party(CHANNEL))

    @asynccontextmanager
    async def open(self, *, theirs: bool) -> AsyncIterator[Transport]:
        async with Counterparty(self.wire, self.profile, theirs=theirs) as transport:
            yield transport

    def us(self) -> AbstractAsyncContextManager[Transport]:
        return self.open(theirs=False)

    def them(self) -> AbstractAsyncContextManager[Transport]:
        return self.open(theirs=True)


@pytest.fixture
def channel() -> Channel:
    return Channel()


# The attempt ----------------------------------------------------------------------------------------------------------


async def test_the_attempt_is_committed_before_the_send_with_the_hash_of_the_exact_bytes(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [arrives_and_crashes]
    await both_loops.send_and_crash()
    [attempt] = await both_loops.rows(tables.attempt)
    [arrived] = both_loops.arrived()
    assert attempt["outcome"] is None
    assert bytes(attempt["digest"]) == hashlib.sha256(arrived.content).digest()
    [document] = await both_loops.rows(tables.document)
    assert document["content"] == arrived.content


async def test_a_sent_message_is_done_with_the_carriers_evidence_and_never_goes_again(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), confirm("T2"))
    await both_loops.send()
    await both_loops.send()
    both_loops.crash()
    await both_loops.send()
    assert len(both_loops.arrived()) == 2
    [document] = (await both_loops.story()).documents
    assert document.state == "done"
    assert [(a.outcome, a.reference) for a in document.attempts] == [("sent", "out/0/0")]
    assert await both_loops.headline() == "sent"
    [told, _] = await both_loops.published("status")
    assert (told["headline"], told["delivery"], told["cause"]["kind"]) == ("sent", "sent", "send")


async def test_messages_leave_in_the_order_in_which_they_were_recorded(loops: Loops) -> None:
    await loops.take_in(*(instruct(f"T{number}") for number in range(250)))
    await loops.send()
    assert [item.key for item in loops.arrived()] == [transaction(f"T{number}") for number in range(250)]


async def test_each_counterparty_gets_its_own_messages_only(loops: Loops) -> None:
    await loops.take_in(instruct(), instruct("T2", counterparty=OTHER))
    await loops.send(OTHER)
    assert loops.arrived() == []
    assert [item.key for item in loops.arrived(OTHER)] == [transaction("T2")]


# Nothing left ---------------------------------------------------------------------------------------------------------


async def test_what_was_not_sent_is_tried_again_unmarked_after_growing_waits(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [not_sent] * 6
    with capture_logs() as logs:
        await both_loops.send()
    [arrived] = both_loops.arrived()
    assert not arrived.possible_duplicate
    [document] = (await both_loops.story()).documents
    assert [attempt.outcome for attempt in document.attempts] == ["not_sent"] * 6 + ["sent"]
    waits = both_loops.time.waits
    assert len(waits) == 6
    for bound, wait in zip((1, 2, 4, 8, 8, 8), waits, strict=True):
        assert bound / 2 - 0.01 <= wait <= bound
    assert [line["event"] for line in logs].count("channel.failing") == 6
    assert [line["failures"] for line in logs if line["event"] == "channel.recovered"] == [6]


async def test_a_channel_has_one_next_attempt_time_however_many_messages_wait(loops: Loops) -> None:
    await loops.take_in(*(instruct(f"T{number}") for number in range(30)))
    loops.wires[CHANNEL].fates = [not_sent] * 30
    await loops.send(retry=False)
    assert len(loops.time.waits) == 1
    [lease] = await loops.rows(tables.lease)
    assert (lease["failures"], lease["last_error"]) == (1, "the line is down")
    assert lease["next_attempt_at"] is not None
    loops.crash()  # the next holder finds how often the channel has failed
    await loops.send()
    assert len(loops.arrived()) == 30
    [lease] = await loops.rows(tables.lease)
    assert (lease["failures"], lease["next_attempt_at"], lease["last_error"]) == (0, None, None)


async def test_a_channel_that_fails_does_not_hold_up_another(loops: Loops) -> None:
    await loops.take_in(instruct(), instruct("T2", counterparty=OTHER))
    loops.wires[CHANNEL].fates = [not_sent]
    await loops.send(retry=False)
    await loops.send(OTHER)
    assert len(loops.arrived(OTHER)) == 1


# In doubt -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [lost, arrives_in_doubt])
async def test_what_is_in_doubt_goes_again_with_the_mark_and_the_same_identifier(
    both_loops: Loops, fate: object
) -> None:
    await both_loops.take_in(instruct())
    [original] = await both_loops.rows(tables.document)
    both_loops.wires[CHANNEL].fates = [fate]  # type: ignore[list-item]
    await both_loops.send()
    repeat = both_loops.arrived()[-1]
    assert repeat.possible_duplicate
    assert b"<PssblDplct>true</PssblDplct>" in repeat.content
    assert repeat.business_message_id == original["business_message_id"]
    assert both_loops.messages.validator.check(repeat.content).violations == ()
    assert without_header(repeat.content) == without_header(original["content"])
    first, second = await both_loops.rows(tables.attempt)
    assert (first["outcome"], first["possible_duplicate"]) == ("in_doubt", 0)
    assert (second["outcome"], second["possible_duplicate"]) == ("sent", 1)
    assert bytes(second["content"]) == repeat.content
    assert bytes(second["digest"]) == hashlib.sha256(repeat.content).digest()
    assert [told["headline"] for told in await both_loops.published("status")] == ["in_doubt", "sent"]


@pytest.mark.parametrize("fate", [arrives_and_crashes, crashes])
async def test_a_crash_between_send_and_outcome_resends_marked_possible_duplicate(
    both_loops: Loops, fate: object
) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [fate]  # type: ignore[list-item]
    await both_loops.send_and_crash()
    before = len(both_loops.arrived())
    await both_loops.send()
    assert len(both_loops.arrived()) == before + 1
    assert both_loops.arrived()[-1].possible_duplicate
    [document] = (await both_loops.story()).documents
    assert [(a.outcome, a.code) for a in document.attempts] == [("in_doubt", "process_ended"), ("sent", None)]
    assert await both_loops.headline() == "sent"
    await both_loops.prove()


async def test_a_reply_that_proves_arrival_after_a_crash_ends_the_doubt_without_a_repeat(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), instruct(number=2))
    both_loops.wires[CHANNEL].fates = [arrives_and_crashes]
    await both_loops.send_and_crash()
    await both_loops.hear(status(MATCHED))
    await both_loops.send()
    assert [item.key for item in both_loops.arrived()] == [transaction(), transaction(number=2)]
    [document] = (await both_loops.story()).documents
    assert [(a.outcome, a.code) for a in document.attempts] == [("sent", "proved_by_reply")]


async def test_a_reply_that_proves_arrival_after_a_time_out_ends_the_doubt_without_a_repeat(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), instruct(number=2))
    both_loops.wires[CHANNEL].fates = [arrives_in_doubt]
    await both_loops.send(retry=False)
    await both_loops.hear(status(MATCHED))
    await both_loops.send()
    assert [item.key for item in both_loops.arrived()] == [transaction(), transaction(number=2)]
    assert (await both_loops.story()).documents[0].state == "done"


async def test_a_reply_to_the_instruction_proves_nothing_of_its_cancellation(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.take_in(cancel())
    loops.wires[CHANNEL].fates = [arrives_and_crashes]
    await loops.send_and_crash()
    await loops.hear(status(MATCHED))
    await loops.send()
    assert [item.possible_duplicate for item in loops.arrived()] == [False, False, True]


async def test_nothing_of_the_trade_overtakes_what_is_in_doubt(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), confirm(), instruct("T2"))
    both_loops.wires[CHANNEL].fates = [lost]
    await both_loops.send(retry=False)
    assert [item.key for item in both_loops.arrived()] == [transaction("T2")]
    await both_loops.send()
    confirmation = transaction("T1", 1, Dialogue.CONFIRMATION)
    assert [item.key for item in both_loops.arrived()] == [transaction("T2"), transaction(), confirmation]


async def test_attempts_end_and_the_message_is_parked_in_doubt(ledger_url: str) -> None:
    ledger = await Ledger.open(ledger_url)
    few = party(CHANNEL, limits={"max_attempts": 3})
    loops = Loops(ledger, settings_for(ledger_url, counterparties=[few, party(OTHER)]))
    await loops.take_in(instruct(), instruct(number=2), instruct("T2"))
    loops.wires[CHANNEL].fates = [lost, arrives, lost, lost]
    await loops.send()
    item = await loops.only_parked()
    assert (item.summary.stage, item.summary.code) == ("send", "send_attempts_exhausted")
    assert await loops.headline() == "parked"
    assert [told["code"] for told in await loops.published("exceptions")] == ["send_attempts_exhausted"]
    assert [item.key for item in loops.arrived()] == [transaction("T2")]  # number 2 of the trade waits
    await loops.command("release", item.summary.id)
    await loops.send()
    assert [item.key for item in loops.arrived()[1:]] == [transaction(), transaction(number=2)]
    assert loops.arrived()[1].possible_duplicate
    assert await loops.headline() == "sent"
    await ledger.close()


async def test_an_exhausted_message_that_a_reply_proves_is_not_sent_again_on_release(ledger_url: str) -> None:
    ledger = await Ledger.open(ledger_url)
    loops = Loops(ledger, settings_for(ledger_url, counterparties=[party(CHANNEL, limits={"max_attempts": 1})]))
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [arrives_in_doubt]
    await loops.send()
    await loops.hear(status(MATCHED))
    assert await loops.headline() == "matched"
    await loops.command("release", (await loops.only_parked()).summary.id)
    await loops.send()
    assert len(loops.arrived()) == 1
    await ledger.close()


async def test_a_counterparty_that_refuses_repeats_gets_the_same_bytes(ledger_url: str) -> None:
    ledger = await Ledger.open(ledger_url)
    strict = party(CHANNEL, refuses_repeated_transaction=True)
    loops = Loops(ledger, settings_for(ledger_url, counterparties=[strict]))
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [arrives_in_doubt]
    await loops.send()
    first, second = loops.arrived()
    assert first.content == second.content
    await ledger.close()


# Refused --------------------------------------------------------------------------------------------------------------


async def test_a_refused_message_is_parked_and_holds_the_later_ones_of_its_trade_only(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), confirm(), instruct("T2"))
    both_loops.wires[CHANNEL].fates = [refused]
    await both_loops.send()
    assert [item.key for item in both_loops.arrived()] == [transaction("T2")]
    item = await both_loops.only_parked()
    assert (item.summary.stage, item.summary.code) == ("send", "send_refused")
    assert await both_loops.headline() == "refused"
    assert both_loops.time.waits == []  # the channel works: no reason to wait


async def test_a_refused_message_that_is_released_goes_unmarked_and_what_it_held_follows(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), instruct(number=2))
    both_loops.wires[CHANNEL].fates = [refused]
    await both_loops.send()
    view = await both_loops.command("release", (await both_loops.only_parked()).summary.id)
    assert view.state == "done"
    assert await both_loops.headline() == "recorded"
    await both_loops.send()
    assert [(item.key, item.possible_duplicate) for item in both_loops.arrived()] == [
        (transaction(), False),
        (transaction(number=2), False),
    ]
    assert await both_loops.headline() == "sent"


async def test_a_refused_message_that_is_discarded_is_withdrawn_and_what_it_held_follows(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(), instruct(number=2))
    both_loops.wires[CHANNEL].fates = [refused]
    await both_loops.send()
    await both_loops.command("discard", (await both_loops.only_parked()).summary.id)
    await both_loops.send()
    assert [item.key for item in both_loops.arrived()] == [transaction(number=2)]
    assert await both_loops.headline() == "withdrawn"


async def test_a_refused_repeat_stays_in_doubt_since_the_first_may_have_arrived(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [lost, refused]
    await both_loops.send()
    item = await both_loops.only_parked()
    assert item.summary.code == "send_refused"
    assert await both_loops.headline() == "parked"
    assert [result.outcome for result in await both_loops.take_in(cancel())] == ["cancelling"]
    await both_loops.command("discard", item.summary.id)
    assert (await both_loops.story()).state.delivery == "in_doubt"
    await both_loops.send()
    assert [b"sese.020" in item.content for item in both_loops.arrived()] == [True]


async def test_a_message_beyond_the_channels_limit_is_parked(ledger_url: str) -> None:
    ledger = await Ledger.open(ledger_url)
    small = party(CHANNEL, limits={"max_message_bytes": 1000})
    loops = Loops(ledger, settings_for(ledger_url, counterparties=[small]))
    await loops.take_in(instruct())
    await loops.send()
    assert (await loops.only_parked()).summary.code == "message_too_large"
    await ledger.close()


# The lease ------------------------------------------------------------------------------------------------------------


async def test_a_lease_that_another_holds_claims_and_sends_nothing(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    view = await both_loops.turn()
    both_loops.time.move(LEASE_SECONDS + 1)
    assert await both_loops.ledger.acquire(CHANNEL, "another", both_loops.time(), 60)
    with pytest.raises(LeaseLost):
        await both_loops.send()
    assert both_loops.arrived() == []
    assert await both_loops.rows(tables.attempt) == []
    assert view.lease.epoch == 1


async def test_a_lease_lost_between_claim_and_send_sends_nothing_and_the_next_holder_marks(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    view = await both_loops.turn()
    write = both_loops.ledger.write

    async def slow_commit(*words: object, **more: object) -> object:
        result = await write(*words, **more)  # type: ignore[arg-type]
        if await both_loops.rows(tables.attempt):
            both_loops.time.now = view.lease.expires_at  # the commit took so long
        return result

    both_loops.ledger.write = slow_commit  # type: ignore[method-assign, assignment]
    with pytest.raises(LeaseLost):
        await both_loops.send()
    both_loops.ledger.write = write  # type: ignore[method-assign]
    assert both_loops.arrived() == []
    both_loops.crash()
    await both_loops.send()
    [arrived] = both_loops.arrived()
    assert arrived.possible_duplicate  # nobody can know that nothing was sent


async def test_only_attempts_of_earlier_holders_are_declared_in_doubt(loops: Loops) -> None:
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [crashes]
    with pytest.raises(Crash):
        await loops.send()
    await loops.send()  # the same holder: its attempt may be under way in another task
    assert loops.arrived() == []
    loops.crash()
    await loops.send()
    assert [item.possible_duplicate for item in loops.arrived()] == [True]


async def test_epochs_rise_with_every_holder(both_loops: Loops) -> None:
    epochs = []
    for _ in range(3):
        epochs.append((await both_loops.turn()).lease.epoch)
        both_loops.crash()
    assert epochs == [1, 2, 3]
