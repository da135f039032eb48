"""The counterparty simulator: what is asked about an instruction in its book, and what it begins itself."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from gateway.errors import ConfigError
from gateway.messages.schema_files import load_catalogue
from gateway.simulator import (
    AnswerState,
    Counterparty,
    Delays,
    outcomes,
    read_book,
)
from gateway.simulator.initiative import Initiative
from tests.simulated import (
    Pipe,
    allegement_answer,
    cancellation,
    condition,
    confirmation,
    confirmation_cancellation,
    initiative,
    instruction,
    modification,
    play,
    query,
    run_until,
    settings,
    trade_answer,
    validator,
    values,
    withdrawal,
)

# --- Cancellations ----------------------------------------------------------------------------------------------------


async def test_cancellation_stops_what_was_not_said_and_is_confirmed_twice(tmp_path: Path) -> None:
    pipe = Pipe()
    instructed, cancelled = await play(
        tmp_path / "b",
        pipe,
        instruction("T1"),
        cancellation("T1"),
        scenarios=("late", "cancellation-done"),
        delays=Delays(late=3600),
    )
    assert [answer.state for answer in instructed.answers][-1] is AnswerState.DROPPED
    assert [answer.step for answer in cancelled.answers] == ["accepted", "cancelled", "instruction-cancelled"]
    request = next(
        item.content for item in pipe.sent if values(item.content, "SctiesTxCxlReqStsAdvc/CxlReqRef") != [None]
    )
    assert values(request, "SctiesTxCxlReqStsAdvc/CxlReqRef") == ["CT1"]
    assert instructed.outcome is not None
    assert instructed.outcome.axes["processing"] == "cancelled"
    assert instructed.outcome.axes["cancellation"] == "cancelled"
    assert "settlement" not in instructed.outcome.axes


async def test_cancellation_of_a_settled_instruction_is_denied_after_a_restart_too(tmp_path: Path) -> None:
    await play(tmp_path / "b", Pipe(), instruction("T1"))
    entries = await play(tmp_path / "b", Pipe(), cancellation("T1"), key="next")
    assert entries[1].scenario == "cancellation-too-late"
    assert entries[1].outcome is not None
    assert entries[1].outcome.axes["cancellation"] == "denied"
    assert entries[1].outcome.axes["settlement"] == "settled"


async def test_cancellation_of_an_unknown_instruction_is_rejected(tmp_path: Path) -> None:
    (entry,) = await play(tmp_path / "b", Pipe(), cancellation("NEVER"))
    assert entry.scenario == "cancellation-unknown"


async def test_second_cancellation_is_too_late(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1"),
        cancellation("T1"),
        cancellation("T1", message="C2"),
        scenarios=("pending", "cancellation-done"),
    )
    assert [entry.scenario for entry in entries][1:] == ["cancellation-done", "cancellation-too-late"]


async def test_a_partly_settled_instruction_is_cancelled_for_its_remainder(tmp_path: Path) -> None:
    pipe = Pipe()
    pipe.put(instruction("T1", text="SIM:partial-waiting,cancellation-done"))
    counterparty = Counterparty(settings(tmp_path / "b"), pipe, load_catalogue())
    await run_until(counterparty, 3)
    entries = await play(tmp_path / "b", pipe, cancellation("T1"), key="next")
    assert [answer.state for answer in entries[0].answers][-1] is AnswerState.DROPPED
    outcome = entries[0].outcome
    assert outcome is not None
    assert outcome.axes["settlement"] == "partially_settled"
    assert (outcome.axes["processing"], outcome.axes["cancellation"]) == ("cancelled", "cancelled")
    assert outcome.settled_quantity == 40


async def test_a_modification_and_a_withdrawal_find_their_instruction_in_the_book_after_a_restart(
    tmp_path: Path,
) -> None:
    pipe, book = Pipe(), tmp_path / "b"
    pipe.put(instruction("T1", text="SIM:partial-waiting,modification-done,withdrawal-noted"))
    await run_until(Counterparty(settings(book), pipe, load_catalogue()), 3)
    pipe.put(modification("T1", "1300.00"), key="next")
    await run_until(Counterparty(settings(book), pipe, load_catalogue()), 2)
    rest = read_book(book)[0].answers[-1]
    assert (rest.state, rest.values["settled_amount"]) == (AnswerState.PLANNED, "806.18")
    (*_, withdrawn) = await play(book, pipe, withdrawal("MT1"), key="last")
    assert (withdrawn.transaction_id, withdrawn.scenario) == ("T1", "withdrawal-noted")
    entry = read_book(book)[0]
    assert entry.answers[-1].state is AnswerState.DROPPED
    assert entry.outcome is not None
    assert (entry.outcome.axes["modification"], entry.outcome.settled_amount) == ("modified", Decimal("493.82"))


async def test_a_modification_confirms_nothing_new_where_the_instruction_is_settled(tmp_path: Path) -> None:
    entries = await play(tmp_path / "b", Pipe(), instruction("T1"), modification("T1", "1300.00"), withdrawal("NEVER"))
    assert [entry.scenario for entry in entries] == ["settled", "modification-done", "withdrawal-refused"]
    assert entries[0].outcome is not None
    assert entries[0].outcome.settled_amount == Decimal("1234.56")


async def test_bilateral_cancellation_waits_until_the_other_side_agrees_or_refuses(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1", text="SIM:matched,cancellation-bilateral"),
        instruction("T2", text="SIM:matched,cancellation-bilateral-refused"),
        cancellation("T1"),
        cancellation("T2"),
        delays=Delays(late=0),
    )
    first, second = (outcomes(entries)[name].axes for name in ("T1", "T2"))
    assert [answer.value for answer in entries[2].answers] == ["accepted", "pending", "cancelled", "cancelled"]
    assert (first["processing"], first["cancellation"]) == ("cancelled", "cancelled")
    assert (second["processing"], second["cancellation"]) == ("accepted", "denied")


async def test_cancellation_of_a_trade_confirmation_stops_the_affirmation(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b",
        pipe,
        confirmation("T1", text="SIM:late"),
        confirmation_cancellation("T1"),
        confirmation_cancellation("NEVER"),
        delays=Delays(late=3600),
    )
    assert [answer.state for answer in entries[0].answers][-1] is AnswerState.DROPPED
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["cancellation"] == "cancelled"
    assert entries[2].scenario == "confirmation-cancellation-refused"


# --- Conditions and queries -------------------------------------------------------------------------------------------


async def test_what_is_instructed_on_hold_settles_only_once_it_is_released(tmp_path: Path) -> None:
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, instruction("T1", hold=True))
    assert [answer.state for answer in entry.answers] == [AnswerState.SENT, AnswerState.SENT, AnswerState.HELD]
    assert entry.outcome is not None
    assert entry.outcome.axes == {"hold": "held", "processing": "accepted", "matching": "matched"}
    entries = await play(tmp_path / "b", pipe, condition("T1", "release"), key="next")
    outcome = entries[0].outcome
    assert outcome is not None
    assert outcome.axes["hold"] == "released"
    assert outcome.axes["condition_modification"] == "completed"
    assert (outcome.axes["settlement"], outcome.settled_quantity) == ("settled", 100)
    created = [validator().parse(item.content).header_value("CreDt") or "" for item in pipe.sent]
    assert created == sorted(created)  # it settles after it was released


async def test_what_was_held_and_released_may_be_held_again(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1", text="SIM:settled-later"),
        condition("T1"),
        condition("T1", "release"),
        condition("T1", message="AGAIN"),
    )
    assert entries[0].answers[-1].state is AnswerState.HELD
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["hold"] == "held"
    assert "settlement" not in entries[0].outcome.axes


async def test_a_refused_release_releases_nothing_and_the_next_request_plays_the_next_name(tmp_path: Path) -> None:
    text = "SIM:settled,conditions-rejected,conditions-done"
    entries = await play(tmp_path / "b", Pipe(), instruction("T1", hold=True, text=text), condition("T1", "release"))
    assert entries[0].outcome is not None
    assert (entries[1].scenario, entries[0].outcome.axes["hold"]) == ("conditions-rejected", "held")
    entries = await play(tmp_path / "b", Pipe(), condition("T1", "release", message="AGAIN"), key="next")
    assert entries[0].outcome is not None
    assert (entries[2].scenario, entries[0].outcome.axes["settlement"]) == ("conditions-done", "settled")


async def test_a_condition_of_what_has_settled_is_denied_and_of_the_unknown_rejected(tmp_path: Path) -> None:
    await play(tmp_path / "b", Pipe(), instruction("T1"))
    entries = await play(tmp_path / "b", Pipe(), condition("T1"), condition("NEVER"), key="next")
    assert [entry.scenario for entry in entries[1:]] == ["conditions-too-late", "conditions-unknown"]
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["condition_modification"] == "denied"


async def test_cancellation_of_what_is_on_hold_drops_what_waited(tmp_path: Path) -> None:
    entries = await play(tmp_path / "b", Pipe(), instruction("T1", hold=True), cancellation("T1"))
    assert entries[0].answers[-1].state is AnswerState.DROPPED
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["processing"] == "cancelled"


async def test_a_status_query_is_answered_with_where_the_book_stands_on_every_axis(tmp_path: Path) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, instruction("T1", text="SIM:failing"))
    entries = await play(tmp_path / "b", pipe, query("T1"), query("NEVER"), key="next")
    root = "SctiesSttlmTxStsAdvc/"
    told = pipe.sent[-2].content
    assert values(told, root + "PrcgSts/AckdAccptd/NoSpcfdRsn", root + "SttlmSts/Flng/Rsn/Cd/Cd") == ["NORE", "LACK"]
    assert b"<MtchgSts><Mtchd/></MtchgSts>" in told
    assert [entry.scenario for entry in entries[1:]] == ["status-told", "status-unknown"]
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes == {
        "processing": "accepted",
        "matching": "matched",
        "settlement": "failing",
        "status_query": "answered",
    }


async def test_a_status_query_about_what_nothing_was_said_of_is_accepted_by_sese_022(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, instruction("T1", text="SIM:silence"), query("T1"))
    assert entries[1].scenario == "status-unavailable"
    assert values(pipe.sent[-1].content, "SctiesStsOrStmtQryStsAdvc/QryDtls/Ref") == ["QT1"]


# --- What it begins ---------------------------------------------------------------------------------------------------


def write_initiatives(path: Path, *initiatives: Initiative) -> Path:
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(one) + b"\n" for one in initiatives)
    return path


async def test_what_a_file_says_is_begun_once_and_answered_by_its_reference(tmp_path: Path) -> None:
    path = write_initiatives(
        tmp_path / "initiatives",
        initiative("A1", "alleged", "allegement-answer-removes"),
        initiative("G1", "generated-then-settled"),
        initiative("B1", "trade-confirmed", "trade-answer-cancels"),
    )
    pipe = Pipe()
    await play(tmp_path / "b", pipe, initiatives=path, idle=0.4)
    before = [item.content for item in pipe.sent]
    assert len(before) == 6
    entries = await play(
        tmp_path / "b", pipe, allegement_answer("A1"), trade_answer("B1", "NAFI"), initiatives=path, idle=0.4
    )
    assert len(pipe.sent) == 8
    found = outcomes(entries)
    assert found["A1"].axes == {"allegement": "removed"}
    assert found["G1"].axes == {"processing": "accepted", "matching": "matched", "settlement": "settled"}
    assert found["G1"].settled_amount == Decimal("1234.56")
    assert found["B1"].axes == {"allegement": "cancelled"}
    assert [entry.terms.get("answer") for entry in entries[3:]] == ["rejection", "disaffirm"]
    removal = "SctiesSttlmAllgmtRmvlAdvc/AcctSvcrTxId/"
    assert [values(item.content, removal + "TxId", removal + "SctiesMvmntTp") for item in pipe.sent[6:]] == [
        ["A1", "RECE"],
        [None, None],
    ]


async def test_what_is_begun_is_the_same_bytes_after_a_kill(tmp_path: Path) -> None:
    path = write_initiatives(tmp_path / "initiatives", *(initiative(f"A{number}", "alleged") for number in range(5)))
    pipe = Pipe(failures=[RuntimeError("killed after the carrier had the batch, before the book had it")])
    with pytest.raises(RuntimeError, match="killed"):
        await play(tmp_path / "b", pipe, initiatives=path, idle=0.4)
    after = Pipe()
    await play(tmp_path / "b", after, initiatives=path, idle=0.4)
    assert [item.content for item in after.sent] == [item.content for item in pipe.sent]


async def test_a_statement_lists_what_is_open_on_the_account_as_its_own_book_has_it(tmp_path: Path) -> None:
    book, path = tmp_path / "b", tmp_path / "initiatives"
    instructions = [
        instruction("OPEN", text="SIM:failing"),
        instruction("PART", text="SIM:partial-open", quantity="10"),
        instruction("OVER", text="SIM:settled"),
        instruction("REJECTED", text="SIM:rejected"),
    ]
    await play(book, Pipe(), *instructions, idle=0.4)
    account = read_book(book)[0].terms["safekeeping_account"]
    write_initiatives(
        path,
        Initiative("P1", ("pending-stated",), {"safekeeping_account": account}),
        Initiative("P2", ("pending-stated-without-one",), {"safekeeping_account": account}),
        Initiative("P3", ("pending-stated",), {"safekeeping_account": "ANOTHER"}),
    )
    pipe = Pipe()
    await play(book, pipe, initiatives=path, idle=0.4)
    assert [validator().check(item.content).violations for item in pipe.sent] == [(), (), ()]
    stated = {item.key: item.content.decode() for item in pipe.sent}
    names = {key: re.findall("<AcctOwnrTxId>(.*?)</AcctOwnrTxId>", content) for key, content in stated.items()}
    assert names == {"P1": ["OPEN", "PART"], "P2": ["OPEN"], "P3": []}
    assert stated["P1"].count("<MtchgSts><Mtchd/></MtchgSts>") == 2
    assert stated["P1"].count("<SttlmSts><Flng>") == 2
    assert "<ActvtyInd>false</ActvtyInd>" in stated["P3"]
    begun = next(entry for entry in read_book(book) if entry.transaction_id == "P1")
    assert begun.outcome is not None
    assert begun.outcome.axes == {"statement": "complete"}


async def test_an_event_of_their_system_is_known_by_its_own_reference(tmp_path: Path) -> None:
    path = write_initiatives(tmp_path / "initiatives", Initiative("EVENT-1", ("system-event-twice",)))
    pipe = Pipe()
    await play(tmp_path / "b", pipe, initiatives=path, idle=0.4)
    first, again = [item.content for item in pipe.sent]
    assert first == again
    assert b"<BizMsgIdr>EVENT-1</BizMsgIdr>" in first


async def test_initiatives_are_read_as_their_file_grows_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "initiatives"
    pipe = Pipe()
    counterparty = Counterparty(settings(tmp_path / "b", initiatives=path), pipe, load_catalogue())
    running = asyncio.create_task(counterparty.run())
    write_initiatives(path, initiative("A1", "alleged"))
    async with asyncio.timeout(20):
        while not pipe.sent:
            await asyncio.sleep(0.01)
        with path.open("ab") as file:
            file.write(b'{"reference": "A2", "play": ["settled"]}\n')
        with pytest.raises(ConfigError, match="none of settled begins anything"):
            await running
    path.write_bytes(b'{"reference": "A3", "plays": []}\n')
    counterparty = Counterparty(settings(tmp_path / "b", initiatives=path), pipe, load_catalogue())
    with pytest.raises(ConfigError, match=r"initiatives, line 1: .*plays"):
        await counterparty.run()


async def test_an_instruction_may_ask_for_an_allegement_of_itself_with_the_same_terms(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b",
        pipe,
        instruction("T1", text="SIM:unmatched,alleged", account="ACC-9"),
        confirmation("T2", text="SIM:silence,trade-confirmed"),
    )
    assert [entry.dialogue for entry in entries] == ["settlement", "allegement", "confirmation", "alleged_trade"]
    root = "SctiesSttlmTxAllgmtNtfctn/"
    alleged = next(item.content for item in pipe.sent if values(item.content, root + "TxId") != [None])
    assert values(alleged, root + "QtyAndAcctDtls/SttlmQty/Unit", root + "QtyAndAcctDtls/SfkpgAcct/Id") == [
        "100",
        "ACC-9",
    ]
    confirmed = pipe.sent[-1].content
    assert values(confirmed, "SctiesTradConf/TradDtls/Sd") == ["SELL"]
    assert values(confirmed, "SctiesTradConf/Id/TxId") == [entries[3].transaction_id]


async def test_an_answer_to_what_was_never_begun_is_refused(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, allegement_answer("NOBODYS"), trade_answer("NOBODYS2"))
    assert [entry.scenario for entry in entries] == ["allegement-answer-refused", "trade-answer-refused"]
    assert [values(item.content, "admi.002.001.01/RltdRef/Ref") for item in pipe.sent] == [["RNOBODYS"], ["RNOBODYS2"]]
