"""FIN over the channels: what the network says of our messages, several messages in one file, marked repeats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.dispatch import Dispatch
from gateway.messages import fin
from gateway.messages.header import without_header
from gateway.store import Ledger, tables
from gateway.transports import Outcome, Outgoing
from tests.loops import (
    CHANNEL,
    Counterparty,
    Loops,
    Pacing,
    arrives_and_crashes,
    arrives_in_doubt,
    instruct,
    party,
    settings_for,
    transaction,
)

OURS, THEIRS = "OURSGB2LAXXX", "CUSTDEFFAXXX"  # logical terminals


@pytest.fixture
async def loops(ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway with a counterparty that speaks FIN."""
    ledger = await Ledger.open(ledger_url)
    yield Loops(ledger, settings_for(ledger_url, counterparties=[party(CHANNEL, language="fin")]))
    await ledger.close()


def said_by_network(verdict: str, *, names: str | None = None, number: str = "0001000001") -> bytes:
    """Return a message of service 21; ``number`` is the session and sequence number of what it is of."""
    named = f"{{108:{names}}}" if names else ""
    return f"{{1:F21{OURS}{number}}}{{4:{{177:2603021100}}{verdict}{named}}}".encode()


ACK = "{451:0}"


def nak(code: str) -> str:
    return f"{{451:1}}{{405:{code}}}"


def numbered(content: bytes, number: str = "0001000001") -> bytes:
    """Return a message of ours as the network repeats it: with the numbers that its session gave it."""
    return content.replace(f"F01{OURS}0000000000".encode(), f"F01{OURS}{number}".encode())


def status(
    said: str = ":25D::MTCH//MACH", trade: str = "T1", reference: str = "STATUS1", sequence: int = 1, trailer: str = ""
) -> bytes:
    """Return a status of the counterparty as the network delivers it."""
    lines = (
        ":16R:GENL", f":20C::SEME//{reference}", ":23G:INST", ":98C::PREP//20260302110000", ":16R:LINK",
        f":20C::RELA//{transaction(trade)}", ":16S:LINK", ":16R:STAT", said, ":16S:STAT", ":16S:GENL",
    )  # fmt: skip
    head = f"{{1:F01{OURS}0001{sequence:06}}}{{2:O5481100260302{THEIRS}0001{sequence:06}2603021100N}}"
    text = "".join(f"{line}\r\n" for line in lines)
    return f"{head}{{4:\r\n{text}-}}{trailer}".encode()


async def sent(loops: Loops, trade: str = "T1") -> bytes:
    """Send an instruction and return its bytes."""
    await loops.take_in(instruct(trade))
    await loops.send()
    return loops.arrived()[-1].content


def user_reference(content: bytes) -> str:
    value = fin.parse(content).user_value("108")
    assert value
    return value


# What the network says ------------------------------------------------------------------------------------------------


async def test_acknowledgement_of_what_was_sent_is_noted_and_moves_nothing(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(said_by_network(ACK, names=user_reference(ours)))
    story = await loops.story()
    assert (story.instruction.headline, story.state.delivery) == ("sent", "sent")
    assert [row["state"] for row in await loops.rows(tables.archive)] == [1]
    assert await loops.parked() == []


@pytest.mark.parametrize("repeated", [False, True], ids=["by its reference", "by the message that follows"])
async def test_acknowledgement_proves_that_what_was_in_doubt_is_on_its_way(loops: Loops, repeated: bool) -> None:
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [arrives_in_doubt]
    await loops.send(retry=False)
    assert (await loops.story()).state.delivery == "in_doubt"
    ours = loops.arrived()[0].content
    if repeated:
        await loops.hear(said_by_network(ACK) + b"\r\n" + numbered(ours))
    else:
        await loops.hear(said_by_network(ACK, names=user_reference(ours)))
    assert (await loops.story()).state.delivery == "sent"
    await loops.send()
    assert len(loops.arrived()) == 1  # it is not repeated


async def test_refusal_takes_the_message_out_of_the_air_and_parks_it_with_the_code_explained(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(said_by_network(nak("T33005"), names=user_reference(ours)))
    story = await loops.story()
    assert (story.instruction.headline, story.state.delivery) == ("refused", "refused")
    item = await loops.only_parked()
    assert (item.summary.stage, item.summary.code) == ("send", "network_refused")
    assert "T33" in item.summary.text
    assert "line 5" in item.summary.text
    assert "a component is longer than it may be" in item.summary.text
    assert [said["alerts"][0]["code"] for said in await loops.published("status") if said.get("alerts")] == [
        "network_refused"
    ]


async def test_refusal_with_the_original_after_it_names_its_message_without_a_reference(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(said_by_network(nak("H50")) + numbered(ours))
    assert await loops.headline() == "refused"


async def test_what_the_network_refused_can_be_released_and_is_sent_again(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(said_by_network(nak("H50"), names=user_reference(ours)))
    item = await loops.only_parked()
    assert (await loops.command("release", item.summary.id)).state == "done"
    await loops.send()
    assert [message.content for message in loops.arrived()] == [ours, ours]
    await loops.hear(status())
    assert await loops.headline() == "matched"
    await loops.prove()


async def test_what_the_network_refused_can_be_given_up(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(said_by_network(nak("H50"), names=user_reference(ours)))
    assert (await loops.command("discard", (await loops.only_parked()).summary.id)).state == "done"
    assert await loops.headline() == "withdrawn"


async def test_refusal_of_a_repeat_does_not_say_that_the_first_attempt_never_arrived(loops: Loops) -> None:
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [arrives_in_doubt]
    await loops.send()
    _, repeat = [message.content for message in loops.arrived()]
    await loops.hear(said_by_network(nak("H50"), names=user_reference(repeat)))
    assert (await loops.story()).state.delivery == "parked"
    assert (await loops.only_parked()).summary.code == "network_refused"
    await loops.hear(status())
    assert (await loops.story()).state.delivery == "sent"


async def test_refusal_that_overtakes_the_carriers_word_stands(loops: Loops) -> None:
    class Fast(Counterparty):
        async def send(self, batch: Sequence[Outgoing]) -> list[Outcome]:
            outcomes = await super().send(batch)
            await loops.hear(said_by_network(nak("H50"), names=user_reference(batch[0].content)))
            return outcomes

    await loops.take_in(instruct())
    profile, pacing = loops.settings.counterparties[0], Pacing(loops.time)
    dispatch = Dispatch(loops.ledger, loops.messages, profile, loops.settings.loops, pacing, loops.time)
    await dispatch.run(Fast(loops.wires[CHANNEL], profile), await loops.turn())
    assert (await loops.story()).state.delivery == "refused"
    item = await loops.only_parked()
    assert (await loops.command("release", item.summary.id)).state == "done"
    await loops.send()
    assert len(loops.arrived()) == 2
    assert await loops.headline() == "sent"


async def test_refusal_of_what_a_crash_left_is_not_sent_again(loops: Loops) -> None:
    await loops.take_in(instruct())
    wire = loops.wires[CHANNEL]
    wire.fates = [arrives_and_crashes]
    await loops.send_and_crash()
    ours = wire.outbound[0].content
    await loops.hear(said_by_network(nak("H50"), names=user_reference(ours)))
    assert (await loops.story()).state.delivery == "refused"
    await loops.send()
    assert len(wire.outbound) == 1  # what is parked is not found in doubt


async def test_refusal_after_the_counterpartys_answer_is_told_and_changes_nothing(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(status(), said_by_network(nak("H50"), names=user_reference(ours)))
    assert await loops.headline() == "matched"
    assert await loops.parked() == []
    alerts = [alert["code"] for said in await loops.published("status") for alert in said.get("alerts", ())]
    assert {"network_refused", "rejected_after_answer"} <= set(alerts)


async def test_the_same_refusal_again_changes_nothing(loops: Loops) -> None:
    ours = await sent(loops)
    refusal = said_by_network(nak("H50"), names=user_reference(ours))
    await loops.hear(refusal, refusal)
    await loops.hear(refusal)
    assert len(await loops.parked()) == 1


@pytest.mark.parametrize("said", ["{451:0}{108:NOTOURS}", "{451:1}{405:T13}{108:NOTOURS}", "{451:0}"])
async def test_acknowledgement_of_what_nobody_sent_is_parked(loops: Loops, said: str) -> None:
    await sent(loops)
    await loops.hear(said_by_network(said))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_acknowledgement_without_a_verdict_is_parked(loops: Loops) -> None:
    ours = await sent(loops)
    await loops.hear(said_by_network("{451:7}", names=user_reference(ours)))
    assert (await loops.only_parked()).summary.code == "definition_not_read"


# Several in one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(fin.FileKind), ids=lambda kind: kind.value)
async def test_messages_of_one_file_are_archived_and_applied_one_by_one(loops: Loops, kind: fin.FileKind) -> None:
    first = await sent(loops, "T1")
    await loops.take_in(instruct("T2"))
    await loops.send()
    pieces = [
        said_by_network(ACK) + numbered(first),
        status(trade="T1", reference="STATUS1"),
        status(trade="T2", reference="STATUS2", sequence=2),
    ]
    content = fin.join(pieces, kind)
    await loops.hear(content)
    rows = await loops.rows(tables.archive)
    assert [row["carrier_key"] for row in rows] == ["in/0/0#1", "in/0/0#2", "in/0/0#3"]
    assert [row["content"] for row in rows] == pieces
    assert [await loops.headline("T1"), await loops.headline("T2")] == ["matched", "matched"]
    assert await loops.parked() == []

    await loops.hear(content)  # the carrier brings it again
    assert [row["repeats"] for row in await loops.rows(tables.archive)] == [1, 1, 1]


async def test_what_belongs_to_no_message_of_a_file_is_kept_and_takes_nothing_with_it(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(trade="T9") + b"\r\n:16S:STAT\r\n-}\r\n" + status(reference="STATUS2", sequence=2))
    rows = await loops.rows(tables.archive)
    assert len(rows) == 3
    assert await loops.headline() == "matched"
    assert len(await loops.parked()) == 2


@pytest.mark.parametrize(
    ("right", "wrong", "code"),
    [
        (b"{1:F01OURSGB2LAXXX", b"{1:F01OURSGB2LXXX", "fin_header_malformed"),
        (b"2603021100N}", b"260302110N}", "fin_header_malformed"),
        (b":16S:GENL\r\n-}", b":16S:GENL -}", "fin_text_malformed"),
        (b":23G:INST", b":23G:INST\t", "fin_character_invalid"),
        (b"\r\n:16S:STAT", b"\r\n:121:A\r\n:16S:STAT", "fin_tag_malformed"),
    ],
)
async def test_a_message_with_a_fault_moves_nothing_and_is_parked_with_type_reference_and_sender(
    loops: Loops, right: bytes, wrong: bytes, code: str
) -> None:
    await sent(loops)
    good = status()
    assert right in good
    await loops.hear(good.replace(right, wrong))
    assert await loops.headline() == "sent"
    item = await loops.only_parked()
    assert item.summary.code == "message_invalid"
    assert item.summary.text.startswith("MT548 STATUS1 from CUSTDEFF breaks its schema")
    assert item.violations[0].code == code
    await loops.hear(good)
    assert await loops.headline() == "matched"


async def test_one_message_is_archived_as_it_came(loops: Loops) -> None:
    await sent(loops)
    content = status() + b"\r\n$"
    await loops.hear(content)
    [row] = await loops.rows(tables.archive)
    assert (row["carrier_key"], row["content"]) == ("in/0/0", content)


# Repeats --------------------------------------------------------------------------------------------------------------


async def test_what_is_in_doubt_is_sent_again_with_the_mark_and_the_same_text(loops: Loops) -> None:
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [arrives_in_doubt]
    await loops.send()
    first, repeat = loops.arrived()
    assert repeat.possible_duplicate
    assert repeat.content == first.content + b"{5:{PDE:}}"
    assert fin.parse(repeat.content).possible_duplicate is not None
    assert without_header(first.content) == without_header(repeat.content)


async def test_what_a_crash_left_in_doubt_is_sent_again_with_the_mark(loops: Loops) -> None:
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [arrives_and_crashes]
    await loops.send_and_crash()
    await loops.send()
    assert [fin.parse(message.content).possible_duplicate is not None for message in loops.arrived()] == [False, True]
    assert (await loops.story()).state.delivery == "sent"


async def test_repeat_of_a_reply_that_differs_around_its_text_is_the_same(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(), status(sequence=2, trailer="{5:{PDM:}}"))
    assert [row["state"] for row in await loops.rows(tables.archive)] == [1, 2]
    assert await loops.parked() == []


async def test_repeated_reference_with_another_text_is_a_conflict(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(), status(":25D::IPRC//PACK", sequence=2))
    assert (await loops.only_parked()).summary.code == "reply_conflict"


def test_text_of_acknowledgements_is_not_taken_for_the_same() -> None:
    one, other = (said_by_network(ACK, number=number) for number in ("0001000001", "0001000002"))
    assert without_header(one) != without_header(other)
