"""Foreign exchange through a central system: instructed, amended, cancelled, matched, settled; and what is alleged."""

from __future__ import annotations

import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gateway.cli.story import whole
from gateway.lifecycle import Evidence, advance, headline
from gateway.matching import Ours, Tolerances, rank
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.facts import Amount, Delivery, ForeignExchangeStatus, References, State, StatusValue, Terms
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries, tables
from gateway.store.migration import upgrade
from gateway.store.views import Story
from tests.examples import encode
from tests.loops import CHANNEL, OTHER, OWN_BIC, START, Loops, envelope, party, rejection, settings_for

FX = Dialogue.FOREIGN_EXCHANGE
SOURCE = "fx-desk"
THEM = "OTHRUS33XXX"
STATUS_VERSIONS = [name for name in load_catalogue().definitions() if name[:8] in ("fxtr.008", "fxtr.017", "fxtr.030")]


def event(kind: str, trade: str = "T1", **changes: Any) -> dict[str, Any]:
    own = {"event_id": f"{trade}-{kind}", "source": SOURCE, "trade_id": trade, "counterparty": CHANNEL}
    sides = {
        "trading_side": {"submitting_party": {"bic": OWN_BIC}},
        "counterparty_side": {"submitting_party": {"bic": THEM}},
    }
    return EVENT_KINDS[f"{kind}_foreign_exchange/1"].minimal | own | sides | changes


def instruct(trade: str = "T1", **changes: Any) -> dict[str, Any]:
    """Buy a million euros for dollars, value 4 March."""
    return event("instruct", trade, **changes)


def amend(trade: str = "T1", **changes: Any) -> dict[str, Any]:
    return event("amend", trade, **changes)


def cancel(trade: str = "T1", **changes: Any) -> dict[str, Any]:
    return event("cancel", trade, **changes)


def name_of(trade: str = "T1") -> str:
    return transaction_id(OWN_BIC, SOURCE, trade, FX, 1)


def notification(
    code: str,
    originator: str | None = None,
    *,
    system: str = "SYS-1",
    matched: str | None = None,
    identifier: str = "STATUS1",
    split: bool = False,
    definition: str = "fxtr.008.001.08",
    **heading: Any,
) -> bytes:
    """Return a status notification."""
    said = (
        f"<TradData><MsgId>{identifier}</MsgId>"
        + (f"<OrgtrRef>{originator}</OrgtrRef>" if originator else "")
        + f"<MtchgSysUnqRef>{system}</MtchgSysUnqRef>"
        + (f"<MtchgSysMtchdSdRef>{matched}</MtchgSysMtchdSdRef>" if matched else "")
        + f"<CurSts><StsCd>{code}</StsCd></CurSts>"
        + ("<SpltTradInd>true</SpltTradInd>" if split else "")
        + "</TradData>"
    )
    return envelope(definition, f"<FXTradStsNtfctn>{said}</FXTradStsNtfctn>", identifier, **heading)


def coded(code: str) -> str:
    return f"<Cd>{code}</Cd>"


def details(
    code: str,
    originator: str,
    *,
    alleged: bool | None = None,
    system: str = "SYS-1",
    bought: str = "1000000.00",
    sold: str = "1083500.00",
    currencies: tuple[str, str] = ("EUR", "USD"),
    rate: str = "1.0835",
    day: str = "2026-03-04",
    sides: tuple[str, str] = (OWN_BIC, THEM),
    identifier: str = "DETAILS1",
    definition: str = "fxtr.017.001.06",
    **heading: Any,
) -> bytes:
    """Return a status and details notification; the trade is as seen from the first of the sides."""
    flag = "" if alleged is None else f"<AllgdTrad>{str(alleged).lower()}</AllgdTrad>"

    def money(value: str, currency: str) -> str:
        if definition.endswith("04"):
            return f' Ccy="{currency}">{value}'
        return f'><Amt Ccy="{currency}">{value}</Amt>'

    party_of = "<SubmitgPty><AnyBIC><AnyBIC>{}</AnyBIC></AnyBIC></SubmitgPty>"
    body = (
        f"<StsDtls><MtchgSysUnqRef>{system}</MtchgSysUnqRef><CurSts><StsCd>{coded(code)}</StsCd></CurSts>{flag}</StsDtls>"
        f"<TradInf><TradDt>2026-03-02</TradDt><MsgId>{identifier}</MsgId><OrgtrRef>{originator}</OrgtrRef>"
        "<SpltTradInd>false</SpltTradInd></TradInf>"
        f"<TradgSdId>{party_of.format(sides[0])}</TradgSdId><CtrPtySdId>{party_of.format(sides[1])}</CtrPtySdId>"
        f"<TradAmts><TradgSdBuyAmt{money(bought, currencies[0])}</TradgSdBuyAmt>"
        f"<TradgSdSellAmt{money(sold, currencies[1])}</TradgSdSellAmt><SttlmDt>{day}</SttlmDt></TradAmts>"
        f"<AgrdRate><XchgRate>{rate}</XchgRate></AgrdRate>"
    )
    return envelope(definition, f"<FXTradStsAndDtlsNtfctn>{body}</FXTradStsAndDtlsNtfctn>", identifier, **heading)


def alleged(system: str = "THEIRS-1", *, identifier: str = "ALLEGED1", **changes: Any) -> bytes:
    """Return what the system alleges: the other side sells us a million euros."""
    given = {
        "bought": "1083500.00",
        "sold": "1000000.00",
        "currencies": ("USD", "EUR"),
        "sides": (THEM, OWN_BIC),
        "alleged": True,
    }
    return details("UMTC", "REF-OF-THEIRS", system=system, identifier=identifier, **(given | changes))


def bulk(
    code: str, *trades: tuple[str, str], identifier: str = "BULK1", definition: str = "fxtr.030.001.06", **heading: Any
) -> bytes:
    """Return one status of several trades, in two reports."""
    reports = "".join(
        f"<TradDataRpt><TradData><OrgtrRef>{originator}</OrgtrRef><MtchgSysUnqRef>{system}</MtchgSysUnqRef></TradData>"
        "</TradDataRpt>"
        for originator, system in trades
    )
    if definition.endswith(("04", "05")):
        reports = reports.replace("<TradDataRpt>", "").replace("</TradDataRpt>", "")
    said = (
        f"<StsDtls><MsgId>{identifier}</MsgId><CurSts><StsCd>{coded(code)}</StsCd></CurSts>"
        "<CurStsDtTm>2026-03-02T11:00:00Z</CurStsDtTm></StsDtls>"
    )
    return envelope(definition, f"<FXTradBlkStsNtfctn>{said}{reports}</FXTradBlkStsNtfctn>", identifier, **heading)


def withdrawal(system: str = "THEIRS-1", reason: str = "WTDN", *, identifier: str = "WITHDRAWN1") -> bytes:
    why = f"<WdrwlRsn><WdrwlRsnCd>{reason}</WdrwlRsnCd></WdrwlRsn>" if reason else ""
    body = f"<MsgId>{identifier}</MsgId><MtchgSysUnqRef>{system}</MtchgSysUnqRef>{why}"
    later = "2026-03-02T12:00:00Z"
    return envelope("fxtr.013.001.03", f"<FXTradWdrwlNtfctn>{body}</FXTradWdrwlNtfctn>", identifier, created_at=later)


async def ours(loops: Loops, trade: str = "T1") -> Story:
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name_of(trade)))
    return found


async def theirs(loops: Loops, system: str = "THEIRS-1") -> Story:
    name = transaction_id(OWN_BIC, CHANNEL, system, Dialogue.ALLEGED_EXCHANGE, 1)
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name))
    return found


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


def axis(story: Story, name: str) -> str | None:
    axes = story.state.axes or {}
    return axes[name].status.value if name in axes else None


async def sent(loops: Loops, *events: dict[str, Any]) -> str:
    """Take events in and send what they ask for; returns the last message's business message identifier."""
    for one in events:
        [result] = await loops.take_in(one)
        assert result.outcome in ("instructed", "requested", "cancelling"), result
        await loops.send()
    return loops.arrived()[-1].business_message_id


# Ours -----------------------------------------------------------------------------------------------------------------


async def test_a_trade_is_followed_from_its_instruction_to_its_settlement(both_loops: Loops) -> None:
    await sent(both_loops, instruct())
    [message] = both_loops.arrived()
    assert f"<OrgtrRef>{name_of()}</OrgtrRef>".encode() in message.content
    for number, (code, word) in enumerate(
        [
            ("UMTC", "unmatched"),
            ("FMTC", "matched"),
            ("SMAT", "selected"),
            ("SMAP", "selected_pending"),
            ("STLD", "settled"),
        ]
    ):
        await both_loops.hear(notification(coded(code), name_of(), identifier=f"S{number}"))
        assert (await ours(both_loops)).instruction.headline == word
    story = await ours(both_loops)
    assert alerts(story) == []
    assert (axis(story, "processing"), axis(story, "matching")) == ("accepted", "matched")
    await both_loops.prove()


async def test_the_systems_own_reference_finds_a_trade_whose_originator_is_not_named(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded("UMTC"), name_of()))
    await loops.hear(notification(coded("FMTC"), None, identifier="S2"))
    assert (await ours(loops)).instruction.headline == "matched"


async def test_a_status_whose_references_disagree_is_parked(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded("UMTC"), name_of()))
    await loops.hear(notification(coded("STLD"), "NOBODYS", identifier="S2"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"
    assert (await ours(loops)).instruction.headline == "unmatched"


@pytest.mark.parametrize(
    ("code", "headline"),
    [("INVA", "invalid"), ("RJCT", "rejected"), ("RSCD", "rescinded"), ("NETT", "netted"), ("SPLI", "split")],
)
async def test_every_end_of_a_trade_has_its_word(loops: Loops, code: str, headline: str) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded(code), name_of()))
    assert (await ours(loops)).instruction.headline == headline


async def test_a_proprietary_status_keeps_its_name(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification("<Prtry>QUEUED</Prtry>", name_of()))
    story = await ours(loops)
    assert story.instruction.headline == "proprietary"
    assert (story.state.axes or {})["processing"].status.proprietary == "QUEUED"


async def test_a_trade_that_is_left_out_of_a_session_is_matched_again(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded("SMAT"), name_of()))
    await loops.hear(notification(coded("FMTC"), name_of(), identifier="S2"))
    story = await ours(loops)
    assert (story.instruction.headline, axis(story, "settlement")) == ("matched", "not_selected")


async def test_a_part_of_a_split_trade_that_settles_does_not_settle_the_whole(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded("STLD"), name_of(), split=True))
    story = await ours(loops)
    assert (story.instruction.headline, alerts(story)) == ("partially_settled", ["foreign_exchange_split"])


async def test_one_message_tells_the_status_of_several_trades(both_loops: Loops) -> None:
    await sent(both_loops, instruct("T1"), instruct("T2"), instruct("T3"))
    await both_loops.hear(bulk("FMTC", (name_of("T1"), "SYS-1"), (name_of("T3"), "SYS-3")))
    stories = [await ours(both_loops, trade) for trade in ("T1", "T2", "T3")]
    assert [story.instruction.headline for story in stories] == ["matched", "sent", "matched"]
    await both_loops.hear(notification(coded("STLD"), None, system="SYS-3", identifier="S2"))
    assert (await ours(both_loops, "T3")).instruction.headline == "settled"


async def test_of_several_trades_in_one_message_the_unknown_one_is_parked_and_the_others_are_told(
    both_loops: Loops,
) -> None:
    loops = both_loops
    await sent(loops, instruct("T1"), instruct("T2"))
    await loops.hear(bulk("FMTC", (name_of("T1"), "SYS-1"), ("NOBODYS", "SYS-9"), (name_of("T2"), "SYS-2")))
    assert [(await ours(loops, trade)).instruction.headline for trade in ("T1", "T2")] == ["matched", "matched"]
    item = await loops.only_parked()
    assert item.summary.code == "reply_partly_unknown"
    assert "1 of 3" in item.summary.text
    assert "NOBODYS" in item.summary.text
    [told] = await loops.published("exceptions")
    assert told["code"] == "reply_partly_unknown"

    # Released, it changes nothing of those that it was applied to.
    before = [(await ours(loops, trade)).history for trade in ("T1", "T2")]
    await loops.command("release", item.summary.id)
    await loops.apply()
    assert (await loops.only_parked()).summary.code == "reply_partly_unknown"
    assert [(await ours(loops, trade)).history for trade in ("T1", "T2")] == before
    await loops.prove()


async def test_what_was_unknown_in_a_message_of_several_trades_is_told_once_it_is_repaired(loops: Loops) -> None:
    await sent(loops, instruct("T1"), instruct("T2"))
    await loops.hear(bulk("FMTC", (name_of("T1"), "SYS-1"), ("NOBODYS", "SYS-2")))
    item = await loops.only_parked()
    repaired = bulk("FMTC", (name_of("T1"), "SYS-1"), (name_of("T2"), "SYS-2"))
    await loops.command("repair", item.summary.id, repaired)
    await loops.apply()
    stories = [await ours(loops, trade) for trade in ("T1", "T2")]
    assert [story.instruction.headline for story in stories] == ["matched", "matched"]
    assert [len([step for step in story.history if step.action == "reply_applied"]) for story in stories] == [1, 1]
    assert [one.summary.state for one in await loops.parked()] == []


@pytest.mark.parametrize("together", [True, False])
async def test_a_withdrawal_that_comes_before_what_it_withdraws_is_applied_after_it(
    loops: Loops, together: bool
) -> None:
    heard = (withdrawal(), alleged())
    if together:
        await loops.hear(*heard)
    else:
        await loops.hear(heard[0])
        assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"
        await loops.hear(heard[1])
    assert (await theirs(loops)).instruction.headline == "withdrawn"
    assert await loops.parked() == []


async def test_what_the_system_holds_otherwise_than_instructed_is_a_break(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(details("UMTC", name_of(), sold="1083500.01", day="2026-03-05"))
    story = await ours(loops)
    assert alerts(story) == ["foreign_exchange_break"]
    assert {(d.field, d.instructed, d.confirmed) for d in story.state.breaks} == {
        ("settlement_date", "2026-03-04", "2026-03-05"),
        ("sold_amount", "1083500.00 USD", "1083500.01 USD"),
    }
    await loops.hear(details("FMTC", name_of(), identifier="DETAILS2"))
    assert (await ours(loops)).state.breaks == ()


@given(
    st.permutations(
        [(number, word) for number, word in enumerate(["invalid", "unmatched", "selected", "matched", "settled"], 1)]
    )
)
def test_statuses_in_any_order_leave_a_trade_where_the_newest_do(arrivals: list[tuple[int, str]]) -> None:
    def said(order: Sequence[tuple[int, str]]) -> dict[str, str]:
        state = State(FX, Delivery.SENT)
        for archive_id, (minute, word) in enumerate(order, 1):
            at = START.replace(minute=minute)
            proof = Evidence(at, at, archive_id, word)
            state = advance(state, ForeignExchangeStatus(StatusValue(word)), proof).state
        assert headline(state) == "settled"
        return {name: one.status.value for name, one in (state.axes or {}).items()}

    assert said(arrivals) == said(sorted(arrivals))


async def test_other_news_of_a_part_of_a_split_trade_moves_nothing(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded("FMTC"), name_of()))
    await loops.hear(notification(coded("UMTC"), name_of(), split=True, identifier="S2"))
    story = await ours(loops)
    assert (story.instruction.headline, alerts(story)) == ("matched", ["foreign_exchange_split"])


# Amendment and cancellation -------------------------------------------------------------------------------------------


async def test_an_amendment_states_the_whole_trade_and_is_done_when_the_system_holds_it_so(both_loops: Loops) -> None:
    await sent(both_loops, instruct(), amend())
    message = both_loops.arrived()[-1]
    assert f"<RltdRef>{name_of()}</RltdRef>".encode() in message.content
    assert f"<OrgtrRef>{message.business_message_id}</OrgtrRef>".encode() in message.content
    assert (await ours(both_loops)).instruction.headline == "amendment_requested"
    await both_loops.hear(details("UMTC", name_of()))  # as it was
    assert axis(await ours(both_loops), "amendment") == "requested"
    await both_loops.hear(details("UMTC", name_of(), day="2026-03-05", identifier="DETAILS2"))
    story = await ours(both_loops)
    assert (axis(story, "amendment"), story.instruction.headline, alerts(story)) == ("modified", "unmatched", [])
    await both_loops.hear(details("FMTC", name_of(), identifier="DETAILS3"))  # the terms in force are the amended ones
    assert alerts(await ours(both_loops)) == ["foreign_exchange_break"]
    await both_loops.prove()


async def test_a_status_that_names_the_amendment_answers_it(loops: Loops) -> None:
    request = await sent(loops, instruct(), amend())
    await loops.hear(notification(coded("RJCT"), request))
    story = await ours(loops)
    assert (axis(story, "amendment"), story.instruction.headline) == ("rejected", "sent")
    request = await sent(loops, amend(event_id="again"))
    await loops.hear(notification(coded("FMTC"), request, identifier="S2"))
    story = await ours(loops)
    assert (axis(story, "amendment"), story.instruction.headline) == ("modified", "matched")


async def test_details_that_name_the_amendment_are_compared_with_what_it_asked_for(loops: Loops) -> None:
    request = await sent(loops, instruct(), amend())
    await loops.hear(details("FMTC", request, day="2026-03-05"))
    story = await ours(loops)
    assert (axis(story, "amendment"), story.instruction.headline, alerts(story)) == ("modified", "matched", [])


async def test_details_that_come_late_are_no_break(loops: Loops) -> None:
    await sent(loops, instruct(), amend())
    await loops.hear(details("UMTC", name_of(), day="2026-03-05"))
    await loops.hear(details("UMTC", name_of(), identifier="EARLIER", created_at="2026-03-02T10:30:00Z"))
    story = await ours(loops)
    assert (axis(story, "amendment"), alerts(story), story.state.breaks) == ("modified", [], ())


async def test_a_cancellation_names_the_trade_in_force_and_ends_it(both_loops: Loops) -> None:
    await sent(both_loops, instruct())
    await both_loops.hear(notification(coded("UMTC"), name_of()))
    await sent(both_loops, cancel())
    message = both_loops.arrived()[-1]
    assert b'<Amt Ccy="EUR">1000000.00</Amt>' in message.content
    assert f"<RltdRef>{name_of()}</RltdRef>".encode() in message.content
    await both_loops.hear(notification(coded("RSCD"), name_of(), identifier="S2"))
    story = await ours(both_loops)
    assert (axis(story, "cancellation"), story.instruction.headline) == ("cancelled", "cancelled")


async def test_a_second_cancellation_is_refused_because_the_first_one_is_done(loops: Loops) -> None:
    await sent(loops, instruct(), cancel())
    second = await sent(loops, cancel(event_id="again"))
    await loops.hear(notification(coded("RSCD"), name_of()))
    await loops.hear(notification(coded("RJCT"), second, identifier="S2", created_at="2026-03-02T12:00:00Z"))
    story = await ours(loops)
    assert [one.status.value for one in (story.state.requests or {}).values()] == ["cancelled", "cancelled"]
    assert (axis(story, "processing"), story.instruction.headline) == ("rescinded", "cancelled")
    assert await loops.parked() == []


async def test_of_two_amendments_the_one_whose_terms_the_system_holds_is_done_and_the_other_may_be_refused(
    loops: Loops,
) -> None:
    first = await sent(loops, instruct(), amend())
    second = await sent(loops, amend(event_id="again", settlement_date="2026-03-06"))
    await loops.hear(details("UMTC", name_of(), day="2026-03-05"))
    await loops.hear(notification(coded("RJCT"), second, identifier="S2", created_at="2026-03-02T12:00:00Z"))
    story = await ours(loops)
    said = {name: one.status.value for name, one in (story.state.requests or {}).items()}
    assert said == {first: "modified", second: "rejected"}
    assert (axis(story, "processing"), alerts(story)) == ("accepted", [])


async def test_a_refusal_of_an_amendment_that_is_done_is_parked_and_never_one_of_the_trade(loops: Loops) -> None:
    request = await sent(loops, instruct(), amend())
    await loops.hear(details("UMTC", name_of(), day="2026-03-05"))
    await loops.hear(notification(coded("RJCT"), request, identifier="S2", created_at="2026-03-02T12:00:00Z"))
    assert axis(await ours(loops), "processing") == "accepted"
    assert (await loops.only_parked()).summary.code == "illegal_transition"


async def test_details_that_come_late_still_tell_that_an_amendment_is_done(loops: Loops) -> None:
    await sent(loops, instruct(), amend())
    await loops.hear(notification(coded("FMTC"), name_of(), created_at="2026-03-02T12:00:00Z"))
    await loops.hear(details("UMTC", name_of(), day="2026-03-05", created_at="2026-03-02T11:30:00Z"))
    story = await ours(loops)
    assert (axis(story, "amendment"), axis(story, "matching"), alerts(story)) == ("modified", "matched", [])


async def test_a_refused_cancellation_leaves_the_trade_where_it_is(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(notification(coded("FMTC"), name_of()))
    request = await sent(loops, cancel())
    await loops.hear(notification(coded("INVA"), request, identifier="S2"))
    story = await ours(loops)
    assert (axis(story, "cancellation"), story.instruction.headline) == ("rejected", "matched")


async def test_a_cancellation_of_what_settled_meanwhile_is_alerted(loops: Loops) -> None:
    await sent(loops, instruct(), cancel())
    await loops.hear(notification(coded("STLD"), name_of()))
    story = await ours(loops)
    assert (story.instruction.headline, alerts(story)) == ("settled", ["cancellation_crossed_settlement"])


async def test_a_trade_that_is_parked_as_an_event_is_cancelled_without_a_message(loops: Loops) -> None:
    [parked] = await loops.take_in(instruct(settlement_agents={"receiving_agent": {"name": "x" * 351}}))
    assert parked.outcome == "parked"
    [result] = await loops.take_in(cancel())
    assert result.outcome == "withdrawn"
    await loops.send()
    assert loops.arrived() == []


async def test_a_technical_rejection_of_an_amendment_is_of_the_amendment(loops: Loops) -> None:
    request = await sent(loops, instruct(), amend())
    await loops.hear(rejection(request))
    story = await ours(loops)
    assert (axis(story, "amendment"), axis(story, "processing")) == ("rejected", None)


# Theirs ---------------------------------------------------------------------------------------------------------------


async def test_an_alleged_trade_that_nothing_of_ours_is_like_is_alerted_with_its_terms(both_loops: Loops) -> None:
    await both_loops.hear(alleged())
    story = await theirs(both_loops)
    assert (story.instruction.headline, story.state.delivery, alerts(story)) == (
        "alleged",
        "theirs",
        ["foreign_exchange_unknown"],
    )
    [told] = await both_loops.published("status")
    assert "buy 1000000.00 EUR against 1083500.00 USD at 1.0835 on 2026-03-04" in told["alerts"][0]["text"]
    assert THEM in told["alerts"][0]["text"]
    await both_loops.prove()


async def test_what_they_sell_is_what_we_buy_and_its_match_ends_the_allegement(both_loops: Loops) -> None:
    await sent(both_loops, instruct())
    await both_loops.hear(alleged())
    story = await theirs(both_loops)
    assert (story.instruction.headline, alerts(story)) == ("agrees", [])
    [same] = story.state.counterparts
    assert (same.identifier, same.differences) == (name_of(), ())
    assert {"bought_amount", "sold_amount", "exchange_rate", "settlement_date", "other_party"} <= set(same.agreed)
    matched = notification(
        coded("FMTC"), name_of(), matched="THEIRS-1", identifier="S9", created_at="2026-03-02T11:30:00Z"
    )
    await both_loops.hear(matched)
    assert (await ours(both_loops)).instruction.headline == "matched"
    story = await theirs(both_loops)
    assert story.instruction.headline == "matched"
    assert [c.identifier for c in story.state.counterparts] == [name_of()]
    await both_loops.prove()


async def test_a_trade_that_was_not_said_to_be_alleged_and_that_we_never_sent_is_alleged(loops: Loops) -> None:
    await loops.hear(alleged(alleged=None))
    assert (await theirs(loops)).instruction.headline == "alleged"


async def test_an_alleged_trade_stated_from_our_side_is_not_mirrored(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(details("UMTC", "REF-OF-THEIRS", alleged=True, system="THEIRS-1"))
    assert (await theirs(loops)).instruction.headline == "agrees"


async def test_the_fields_in_which_theirs_differs_are_shown_best_candidate_first(loops: Loops) -> None:
    far = instruct("T2", settlement_date="2026-03-06", rate={"value": "1.09"})
    await sent(loops, instruct("T1"), far)
    await loops.hear(alleged(bought="1083500.01", rate="1.08351"))
    story = await theirs(loops)
    assert (story.instruction.headline, alerts(story)) == ("differs", ["foreign_exchange_differs"])
    best, other = story.state.counterparts
    assert (best.identifier, other.identifier) == (name_of("T1"), name_of("T2"))
    assert {d.field for d in best.differences} == {"sold_amount", "exchange_rate"}
    assert len(other.differences) == 3


async def test_operators_see_the_trade_and_what_it_was_compared_with(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(alleged(day="2026-03-05"))
    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(whole(await theirs(loops)))
    shown = screen.export_text()
    for said in (
        "1,000,000.00 EUR",
        "1,083,500.00 USD",
        "1.0835",
        THEM,
        f"{name_of()}: settlement_date: ours 2026-03-04, theirs 2026-03-05",
    ):
        assert said in shown, shown
    row = (await loops.rows(tables.instruction))[0]
    assert (row["amount"], row["currency"]) == (Decimal("1000000.00"), "EUR")


async def test_tolerances_of_the_profile_decide_what_agrees(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    try:
        tolerances = {"amount": "0.01", "exchange_rate": "0.0001", "settlement_date_days": 1}
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[party(CHANNEL, tolerances=tolerances)]))
        await sent(loops, instruct())
        await loops.hear(alleged(bought="1083500.01", rate="1.0836", day="2026-03-05"))
        assert (await theirs(loops)).instruction.headline == "agrees"
        await loops.hear(alleged("THEIRS-2", rate="1.08361", identifier="ALLEGED2"))
        assert (await theirs(loops, "THEIRS-2")).instruction.headline == "differs"
    finally:
        await ledger.close()


async def test_ours_that_has_not_left_is_alerted_when_theirs_is_alleged(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.hear(alleged())
    assert alerts(await theirs(loops)) == ["allegement_of_unsent"]


@pytest.mark.parametrize(
    ("reason", "headline"), [("WTDN", "withdrawn"), ("RJCT", "rejected"), ("RSCD", "rescinded"), ("", "withdrawn")]
)
async def test_a_withdrawal_ends_what_was_alleged(loops: Loops, reason: str, headline: str) -> None:
    await loops.archive(alleged(), withdrawal(reason=reason))
    await loops.apply()
    story = await theirs(loops)
    assert story.instruction.headline == headline
    assert alerts(story) == ["foreign_exchange_unknown"]


async def test_a_withdrawal_of_what_was_never_alleged_is_parked(loops: Loops) -> None:
    await loops.hear(withdrawal())
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_a_status_of_an_alleged_trade_names_its_originator_and_is_not_ours(loops: Loops) -> None:
    await loops.hear(alleged())
    rescinded = notification(coded("RSCD"), "REF-OF-THEIRS", system="THEIRS-1", created_at="2026-03-02T12:00:00Z")
    await loops.hear(rescinded)
    assert (await theirs(loops)).instruction.headline == "rescinded"
    assert await loops.parked() == []


async def test_the_same_allegement_again_changes_nothing_and_other_terms_are_alerted(loops: Loops) -> None:
    await loops.hear(alleged(), alleged(identifier="AGAIN"), alleged(sold="5.00", identifier="OTHER"))
    assert alerts(await theirs(loops)) == ["foreign_exchange_unknown", "alleged_terms_changed"]
    assert len(await loops.rows(tables.instruction)) == 1


async def test_theirs_that_was_amended_is_compared_as_it_is_now_and_an_older_one_that_comes_late_is_not(
    loops: Loops,
) -> None:
    await sent(loops, instruct())
    await loops.hear(alleged(day="2026-03-06"))
    assert (await theirs(loops)).instruction.headline == "differs"
    await loops.hear(alleged(identifier="AMENDED", created_at="2026-03-02T12:00:00Z"))
    assert (await theirs(loops)).instruction.headline == "agrees"
    await loops.hear(alleged(day="2026-03-09", identifier="LATE", created_at="2026-03-02T10:00:00Z"))
    story = await theirs(loops)
    assert story.instruction.headline == "agrees"
    assert alerts(story).count("foreign_exchange_differs") == 1


async def test_an_alleged_trade_of_another_channels_sender_is_never_accepted(loops: Loops) -> None:
    await loops.hear(alleged(sender=OTHER))
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"


# Reading and comparing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("definition", STATUS_VERSIONS)
def test_every_version_says_the_same(loops: Loops, definition: str) -> None:
    content = {
        "fxtr.008": notification(coded("FMTC"), "OURS", definition=definition),
        "fxtr.017": details("FMTC", "OURS", definition=definition),
        "fxtr.030": bulk("FMTC", ("OURS", "SYS-1"), ("OTHERS", "SYS-2"), definition=definition),
    }[definition[:8]]
    [(references, fact), *more] = loops.messages.read(content).facts
    assert references == References(originator_reference="OURS", account_servicer_transaction_id="SYS-1")
    assert isinstance(fact, ForeignExchangeStatus)
    assert fact.status == StatusValue("matched")
    assert fact.system_reference == "SYS-1"
    assert fact.states_trade is (definition[:8] == "fxtr.017")
    if fact.states_trade:
        assert fact.bought_amount == Amount(Decimal("1000000.00"), "EUR")
        assert (fact.trading_party, fact.counterparty) == (OWN_BIC, THEM)
    assert [other.originator_reference for other, _ in more] == (["OTHERS"] if definition[:8] == "fxtr.030" else [])


def terms(**changes: Any) -> Terms:
    return parse_event(encode(instruct(**changes))).terms()


@pytest.mark.parametrize(
    "changes",
    [
        {"bought_amount": {"value": "1000000.00", "currency": "GBP"}},
        {
            "bought_amount": {"value": "1083500.00", "currency": "USD"},
            "sold_amount": {"value": "1000000.00", "currency": "EUR"},
        },
        {
            "bought_amount": {"value": "1.00", "currency": "EUR"},
            "sold_amount": {"value": "2.00", "currency": "USD"},
        },
    ],
)
def test_another_pair_direction_or_size_is_no_counterpart(changes: dict[str, Any]) -> None:
    assert [found.identifier for found in rank(terms(), [Ours("instruction", "SAME", "sent", terms())])] == ["SAME"]
    assert rank(terms(), [Ours("instruction", "X", "sent", terms(**changes))]) == ()


def test_rates_that_price_different_currencies_are_not_compared() -> None:
    one = terms(rate={"value": "1.0835", "unit_currency": "EUR"})
    inverse = terms(rate={"value": "0.9229349331", "unit_currency": "USD"})
    [found] = rank(one, [Ours("instruction", "X", "sent", inverse)], Tolerances())
    assert found.differences == ()
    assert "exchange_rate" not in found.agreed
