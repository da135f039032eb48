"""What the other side began waits for an operator: ours beside theirs, and the answer as a command."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.cli.operators import allegements as commands
from gateway.cli.story import allegement_table, whole
from gateway.matching import FieldCompared, rank, side_by_side
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries
from gateway.store import alleged as asked
from gateway.store.views import AllegementSummary, CommandRefused
from tests.loops import CHANNEL, Loops, cancel, confirm, instruct, party, settings_for, settled, transaction
from tests.test_allegements import alleged, generated, ours, parse_event_of, removal, their_confirmation, theirs


async def answer(loops: Loops, identifier: str, word: str, code: str | None = None, text: str | None = None) -> Any:
    """Give an operator's answer and carry it out; a refusal at once, else the command with what became of it."""
    number = await loops.ledger.execute(
        lambda connection: asked.submit_answer(connection, identifier, word, code, text, "alice", loops.time())
    )
    if isinstance(number, CommandRefused):
        return number
    await loops.work_off()
    return await loops.ledger.query(lambda connection: queries.await_command(connection, number))


async def listed(loops: Loops, **wanted: Any) -> list[AllegementSummary]:
    return await loops.ledger.query(lambda connection: asked.list_allegements(connection, **wanted))


def shown(renderable: object) -> str:
    file = StringIO()
    Console(width=200, file=file).print(renderable)
    return file.getvalue()


# Side by side ---------------------------------------------------------------------------------------------------------


def test_ours_beside_theirs_field_by_field_what_differs_first_and_what_one_does_not_state_last() -> None:
    mine = ours("X", settlement_date="2026-03-05", common_reference="COMMON-1")
    other = parse_event_of(instruct())
    [found] = rank(other, [mine])
    lines = side_by_side(found, mine.terms, other)
    assert lines[0] == FieldCompared("settlement_date", "2026-03-05", "2026-03-04", "differs")
    assert FieldCompared("amount", "61234.56 EUR", "61234.56 EUR", "agrees") in lines
    assert lines[-1] == FieldCompared("common_reference", "COMMON-1", None, "unknown")
    assert [line.verdict for line in lines] == sorted(
        (line.verdict for line in lines), key=["differs", "agrees", "unknown"].index
    )


async def test_the_list_and_the_story_show_the_best_of_ours_with_its_reasons(both_loops: Loops) -> None:
    await both_loops.take_in(
        instruct("T1", settlement_date="2026-03-06", settlement_amount={"value": "99.00", "currency": "EUR"}),
        instruct("T2", settlement_amount={"value": "61234.57", "currency": "EUR"}),
    )
    await both_loops.send()
    await both_loops.hear(alleged())
    [row] = await listed(both_loops)
    assert (row.reference, row.headline, row.differing) == ("ALLEGED1", "differs", ("amount",))
    assert row.ours is not None
    assert (row.ours.trade_id, row.ours.stands) == ("T2", "sent")
    assert {"isin", "quantity", "settlement_date"} <= set(row.agreed)
    assert "trade_date" in row.unstated
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert [one.trade_id for one in story.counterparts] == ["T2", "T1"]
    text = shown(whole(story))
    assert "61234.57 EUR" in text
    assert text.index("T2 #1") < text.index("T1 #1")
    assert "ALLEGED1" in shown(allegement_table([row]))


async def test_what_is_still_parked_or_held_is_shown_beside_it_and_what_it_is_now(loops: Loops) -> None:
    await loops.take_in(instruct("T1", transaction_type="ZZZZ"))
    await loops.take_in(instruct("T2", quantity={"type": "unit", "value": "700"}, lots=[], hold=True))
    await loops.send()
    await loops.hear(alleged(), alleged("ALLEGED2", quantity="700", identifier="ALLEGEMENT2"))
    held, parked = await listed(loops)
    assert parked.ours is not None
    assert held.ours is not None
    assert (parked.ours.kind, parked.ours.trade_id, parked.ours.stands) == ("parked", "T1", "parked")
    assert (parked.ours.compared_as, held.ours.compared_as) == ("code_not_in_version", "held")
    assert "amount" in parked.agreed
    item = await loops.only_parked()
    await loops.command("discard", item.summary.id)
    view = (await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)).counterparts[0]
    assert view.stands == "discarded"


async def test_a_removal_keeps_what_it_was_compared_with_and_ends_the_wait(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(alleged())
    await loops.hear(removal(created_at="2026-03-02T12:00:00Z"))
    assert await listed(loops) == []
    [row] = await listed(loops, closed=True)
    assert (row.headline, row.ours.trade_id if row.ours else None) == ("removed", "T1")


async def test_a_generated_transaction_waits_beside_what_of_ours_is_like_it(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(generated())
    [row] = await listed(loops)
    assert (row.headline, row.comparison) == ("generated", "agrees")
    assert row.ours is not None
    assert row.ours.identifier == transaction()
    story = await theirs(loops, "GENERATED1", Dialogue.SETTLEMENT)
    assert [alert.code for entry in story.history for alert in entry.alerts] == ["transaction_generated"]


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "code", "written"),
    [
        ("reject", "CPTR", b"<Rjctd><Rsn><Cd><Cd>CPTR</Cd></Cd><AddtlRsnInf>ask them</AddtlRsnInf></Rsn></Rjctd>"),
        ("consent", "CPCX", b"<Cnsntd><Rsn><Cd><Cd>CPCX</Cd></Cd><AddtlRsnInf>ask them</AddtlRsnInf></Rsn></Cnsntd>"),
    ],
)
async def test_an_answer_to_an_allegement_goes_out_and_the_user_is_on_record(
    both_loops: Loops, word: str, code: str, written: bytes
) -> None:
    await both_loops.hear(alleged())
    view = await answer(both_loops, "ALLEGED1", word, code, "ask them")
    assert (view.state, view.actor) == ("done", "alice")
    await both_loops.send()
    [message] = both_loops.arrived()
    assert written in message.content
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert story.instruction.headline == "answered"
    entry = story.history[-1] if story.history[-1].action == "answer_requested" else story.history[-2]
    assert (entry.action, entry.actor, entry.cause) == ("answer_requested", "alice", f"command:{view.id}")
    assert await listed(both_loops) == []
    await both_loops.prove()


@pytest.mark.parametrize(
    ("word", "code", "written"), [("affirm", None, b"<Cd>AFFI</Cd>"), ("disaffirm", "NAFF", b"<Cd>NAFI</Cd>")]
)
async def test_an_answer_to_a_trade_confirmation_of_theirs(
    loops: Loops, word: str, code: str | None, written: bytes
) -> None:
    await loops.take_in(confirm())
    await loops.hear(their_confirmation())
    [row] = await listed(loops)
    assert (await answer(loops, row.transaction_id, word, code)).state == "done"
    await loops.send()
    assert written in loops.arrived()[-1].content


async def test_pending_says_that_it_is_looked_at_and_a_later_answer_may_follow(loops: Loops) -> None:
    await loops.hear(alleged())
    assert (await answer(loops, "ALLEGED1", "pending")).state == "done"
    assert (await answer(loops, "ALLEGED1", "reject", "CPTR")).state == "done"
    await loops.send()
    assert len(loops.arrived()) == 2


async def test_what_is_no_answer_is_refused_with_the_reason_and_nothing_is_sent(loops: Loops) -> None:
    await loops.hear(alleged())
    for word, code in (("affirm", "answer_not_fitting"), ("perhaps", "command_unknown")):
        assert (await answer(loops, "ALLEGED1", word)).code == code
    assert (await answer(loops, "NOBODYS", "reject", "CPTR")).code == "allegement_not_found"
    view = await answer(loops, "ALLEGED1", "reject")
    assert view.state == "refused"
    assert "reason" in view.answer
    await loops.hear(removal(created_at="2026-03-02T12:00:00Z"))
    view = await answer(loops, "ALLEGED1", "reject", "CPTR")
    assert (view.state, "removed" in view.answer) == ("refused", True)
    await loops.send()
    assert loops.arrived() == []


async def test_a_second_answer_is_not_given_while_the_first_one_waits(loops: Loops) -> None:
    await loops.hear(alleged())

    def submit(connection: Any) -> Any:
        return asked.submit_answer(connection, "ALLEGED1", "pending", None, None, "alice", loops.time())

    assert isinstance(await loops.ledger.execute(submit), int)
    refusal = await loops.ledger.execute(submit)
    assert refusal == CommandRefused("command_waiting", "command 1 for ALLEGED1 waits already")


def test_the_command_line_lists_and_answers(ledger_url: str) -> None:
    async def begin() -> None:
        ledger = await Ledger.open(ledger_url)
        await Loops(ledger, settings_for(ledger_url)).hear(alleged())
        await ledger.close()

    asyncio.run(begin())
    runner = CliRunner()
    found = runner.invoke(commands, ["list", "--store", ledger_url, "--json"])
    assert found.exit_code == 0, found.output
    row = json.loads(found.output)
    assert (row["reference"], row["comparison"], row["ours"]) == ("ALLEGED1", "unknown", None)
    given = runner.invoke(
        commands,
        ["answer", "ALLEGED1", "reject", "--reason", "CPTR", "--user", "alice", "--store", ledger_url, "--wait", "0"],
    )
    assert given.exit_code == 0, given.output
    assert "waits for the gateway" in given.output
    wrong = runner.invoke(commands, ["answer", "ALLEGED1", "affirm", "--user", "alice", "--store", ledger_url])
    assert wrong.exit_code == 1


# Ours comes, or goes, after theirs ------------------------------------------------------------------------------------


async def test_what_was_alleged_before_ours_came_is_compared_again_and_survives_a_crash(both_loops: Loops) -> None:
    await both_loops.hear(alleged(), alleged("ALLEGED2", quantity="7", amount="1.00", identifier="ALLEGEMENT2"))
    await both_loops.take_in(instruct())
    await both_loops.send()
    restarted = Loops(both_loops.ledger, both_loops.settings, both_loops.time)  # what is to be done is in the ledger
    await restarted.work_off()
    other, row = await listed(restarted)
    assert (row.headline, row.ours.trade_id if row.ours else None) == ("agrees", "T1")
    assert (other.headline, other.ours) == ("alleged", None)
    story = await theirs(restarted, "ALLEGED1", Dialogue.ALLEGEMENT)
    entry = story.history[-1]
    assert (entry.action, entry.cause, entry.alerts) == ("compared_again", f"comparison:{transaction()}", ())
    assert len((await theirs(restarted, "ALLEGED2", Dialogue.ALLEGEMENT)).history) == 1
    await restarted.prove()


async def test_ours_that_comes_and_is_parked_is_shown_beside_what_was_alleged_before(loops: Loops) -> None:
    await loops.hear(alleged())
    await loops.take_in(instruct("T1", transaction_type="ZZZZ"))
    await loops.work_off()
    [row] = await listed(loops)
    assert row.ours is not None
    assert (row.headline, row.ours.kind, row.ours.trade_id) == ("agrees", "parked", "T1")
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert [alert.code for alert in story.history[-1].alerts] == ["allegement_of_unsent"]


async def test_ours_that_comes_and_differs_is_alerted(loops: Loops) -> None:
    await loops.hear(alleged())
    await loops.take_in(instruct(settlement_amount={"value": "61234.57", "currency": "EUR"}))
    await loops.work_off()
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    codes = [alert.code for entry in story.history for alert in entry.alerts]
    assert (story.instruction.headline, codes) == ("differs", ["allegement_unknown", "allegement_differs"])


async def test_ours_that_is_withdrawn_leaves_what_was_alleged_unknown_again(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.hear(alleged())
    [row] = await listed(loops)
    assert row.headline == "agrees"
    await loops.take_in(cancel())
    await loops.work_off()
    [row] = await listed(loops)
    assert (row.headline, row.comparison) == ("alleged", "unknown")
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert [alert.code for alert in story.history[-1].alerts] == ["allegement_unknown"]


@pytest.mark.parametrize(
    "other", [{"isin": "DE0001102580"}, {"settlement_amount": {"value": "1.00", "currency": "EUR"}}]
)
async def test_what_agreed_with_ours_agrees_with_it_after_it_settled_whatever_else_comes(
    loops: Loops, other: dict[str, Any]
) -> None:
    await loops.take_in(instruct("T1"))
    await loops.send()
    await loops.hear(alleged(), settled())
    await loops.take_in(instruct("T2", **other))
    await loops.work_off()
    [row] = await listed(loops)
    assert row.ours is not None
    assert (row.headline, row.ours.trade_id, row.ours.stands) == ("agrees", "T1", "settled")
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert [alert.code for entry in story.history for alert in entry.alerts] == []


async def test_what_is_alleged_after_the_only_one_like_it_has_settled_is_another_trade(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(settled(), alleged())
    [row] = await listed(loops)
    assert (row.headline, row.ours) == ("alleged", None)
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert [alert.code for alert in story.history[-1].alerts] == ["allegement_unknown"]


async def test_their_confirmation_is_affirmed_by_itself_once_ours_comes_where_the_profile_allows_it(
    ledger_url: str,
) -> None:
    ledger = await Ledger.open(ledger_url)
    try:
        trusting = party(CHANNEL, answers_agreed_trades=True)
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[trusting]))
        await loops.hear(their_confirmation())
        await loops.take_in(confirm(payment="against", net_amount={"value": "61234.56", "currency": "EUR"}))
        await loops.work_off()
        await loops.send()
        assert [b"<Cd>AFFI</Cd>" in message.content for message in loops.arrived()] == [False, True]
        assert await listed(loops) == []
    finally:
        await ledger.close()
