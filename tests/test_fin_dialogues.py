"""One trade in either language: a story told in FIN and in ISO 20022 ends in the same state, with the same alerts."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.messages.fin import parse
from gateway.messages.writing import lines
from gateway.model.facts import Reason, StatusAdvice, StatusValue
from gateway.store import Ledger
from tests import test_allegements as iso
from tests.loops import (
    ACCEPTED,
    ACCOUNT,
    CHANNEL,
    MATCHED,
    OWN_BIC,
    PENDING,
    REJECTED,
    UNMATCHED,
    Loops,
    cancel,
    cancellation_advice,
    envelope,
    event,
    instruct,
    party,
    settings_for,
    settled,
    status,
    transaction,
)


def fin(message_type: str, *fields: str) -> bytes:
    """Return a message of the counterparty as the network delivers it."""
    address = f"{CHANNEL[:8]}A{CHANNEL[8:]}"
    own = f"{OWN_BIC[:8]}A{OWN_BIC[8:]}"
    text = "".join(f":{field}\r\n" for field in fields)
    headers = f"{{1:F01{own}0000000000}}{{2:O{message_type}1100260302{address}00000000002603021100N}}"
    return f"{headers}{{4:\r\n{text}-}}".encode()


def general(
    reference: str, function: str, *links: tuple[str, str], status: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> list[str]:
    linked = [f for name, value in links for f in ("16R:LINK", f"20C::{name}//{value}", "16S:LINK")]
    said = ["16R:STAT", *status, "16S:STAT"] if status else []
    head = ["16R:GENL", f"20C::SEME//{reference}", f"23G:{function}", "98C::PREP//20260302110000", *more]
    return [*head, *linked, *said, "16S:GENL"]


def advice(reference: str, *said: str, function: str = "INST", about: str | None = None) -> bytes:
    """Return an MT548 about our instruction, or about another message of ours."""
    links = [("RELA", about or transaction()), ("ASRF", "SERVICER-1")]
    return fin("548", *general(reference, function, *links, status=said))


def confirmed(
    quantity: str = "500,",
    amount: str = "61234,56",
    *,
    reference: str = "SETTLED1",
    partial: str | None = None,
    account: str = ACCOUNT,
    left: str | None = None,
    reverses: str | None = None,
) -> bytes:
    """Return an MT547: what was delivered against payment, or the reversal of it."""
    links = [("RELA", transaction()), ("ASRF", "SERVICER-1"), *([("PREV", reverses)] if reverses else [])]
    more = (f"22F::PARS//{partial}",) if partial else ()
    return fin(
        "547",
        *general(reference, "RVSL" if reverses else "NEWM", *links, more=more),
        *("16R:TRADDET", "98A::SETT//20260304", "98A::ESET//20260304", "35B:ISIN DE0007164600", "16S:TRADDET"),
        *("16R:FIAC", f"36B::ESTT//UNIT/{quantity}", *([f"36B::RSTT//UNIT/{left}"] if left else [])),
        *(f"97A::SAFE//{account}", "16S:FIAC"),
        *("16R:SETDET", "22F::SETR//TRAD", "16R:SETPRTY", "95P::PSET//DAKVDEFFXXX", "16S:SETPRTY"),
        *("16R:SETPRTY", "95P::REAG//AGNTDEFFXXX", "16S:SETPRTY"),
        *("16R:AMT", f"19A::ESTT//EUR{amount}", "16S:AMT", "16S:SETDET"),
    )


REASON = ("16R:REAS", "24B::NMAT//DMON", "16S:REAS")
Tell = Callable[[Loops], Awaitable[None]]


async def matched_and_settled(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(advice("STATUS1", "25D::MTCH//NMAT", *REASON))
        await loops.hear(advice("STATUS2", "25D::MTCH//MACH"))
        await loops.hear(confirmed())
    else:
        await loops.hear(status(UNMATCHED, identifier="STATUS1"))
        await loops.hear(status(MATCHED, identifier="STATUS2"))
        await loops.hear(settled())


async def settled_in_parts(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(confirmed("200,", "24493,82", partial="PAIN", left="300,"))
        await loops.hear(confirmed("300,", "36740,74", reference="SETTLED2", partial="PARC"))
    else:
        await loops.hear(settled("200", "24493.82", partial="PAIN"))
        await loops.hear(settled("300", "36740.74", identifier="SETTLED2", partial="PARC"))


async def reversed_after_settlement(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(confirmed())
        await loops.hear(confirmed(reference="REVERSED1", reverses="SETTLED1"))
    else:
        await loops.hear(settled())
        await loops.hear(settled(identifier="REVERSED1", reverses="SETTLED1"))


async def another_account(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(confirmed(account="OTHER-1"))
    else:
        await loops.hear(settled(account="OTHER-1"))


async def accepted_and_pending(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(advice("STATUS1", "25D::IPRC//PACK"))
        await loops.hear(
            advice("STATUS2", "25D::SETT//PEND", "16R:REAS", "24B::PEND//LACK", "16S:REAS"),
        )
    else:
        await loops.hear(status(ACCEPTED, identifier="STATUS1"))
        await loops.hear(status(PENDING, identifier="STATUS2"))


async def rejected(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(advice("STATUS1", "25D::IPRC//REJT", "16R:REAS", "24B::REJT//SAFE", "16S:REAS"))
    else:
        await loops.hear(status(REJECTED, identifier="STATUS1"))


async def cancelled(loops: Loops) -> None:
    await loops.take_in(cancel())
    await loops.send()
    request = loops.arrived()[-1].business_message_id
    if speaks_fin(loops):
        await loops.hear(advice("CANCEL1", "25D::CPRC//PACK", function="CAST", about=request))
        await loops.hear(advice("CANCEL2", "25D::IPRC//CAND", function="CAST", about=request))
    else:
        await loops.hear(cancellation_advice(request, "AckdAccptd", identifier="CANCEL1"))
        await loops.hear(cancellation_advice(request, "Canc", identifier="CANCEL2"))


async def cancellation_denied(loops: Loops) -> None:
    await loops.take_in(cancel())
    await loops.send()
    request = loops.arrived()[-1].business_message_id
    if speaks_fin(loops):
        await loops.hear(advice("CANCEL1", "25D::CPRC//REJT", function="CAST", about=request))
    else:
        await loops.hear(cancellation_advice(request, "Rjctd", identifier="CANCEL1"))


async def held_and_released(loops: Loops) -> None:
    for number, hold in enumerate((True, False)):
        await loops.take_in(event("change_settlement_conditions/1", hold=hold) | {"event_id": f"T1-hold-{number}"})
        await loops.send()
        request = loops.arrived()[-1].business_message_id
        if speaks_fin(loops):
            await loops.hear(advice(f"HOLD{number}", "25D::TPRC//COMP", about=request))
        else:
            root = "SctiesSttlmCondModStsAdvc"
            said = f"<{root}><ReqRef>{request}</ReqRef><PrcgSts><Cmpltd></Cmpltd></PrcgSts></{root}>"
            await loops.hear(envelope("sese.031.001.11", said, f"HOLD{number}"))


async def held(loops: Loops, words: tuple[str, str], *, reason: str = "") -> None:
    """Ask to hold, and be answered with a status in either language."""
    await loops.take_in(event("change_settlement_conditions/1", hold=True) | {"event_id": "T1-hold"})
    await loops.send()
    request = loops.arrived()[-1].business_message_id
    if speaks_fin(loops):
        why = ("16R:REAS", f"24B::{words[0]}//{reason}", "16S:REAS") if reason else ()
        await loops.hear(advice("HOLD1", f"25D::TPRC//{words[0]}", *why, about=request))
    else:
        why_ = f"<Rsn><Cd><Cd>{reason}</Cd></Cd></Rsn>" if reason else "<NoSpcfdRsn>NORE</NoSpcfdRsn>"
        root = "SctiesSttlmCondModStsAdvc"
        status_ = f"<{words[1]}>{why_}</{words[1]}>"
        said = f"<{root}><ReqRef>{request}</ReqRef><PrcgSts>{status_}</PrcgSts></{root}>"
        await loops.hear(envelope("sese.031.001.11", said, "HOLD1"))


async def hold_rejected(loops: Loops) -> None:
    await held(loops, ("REJT", "Rjctd"), reason="LATE")


async def hold_pending(loops: Loops) -> None:
    await held(loops, ("PEND", "Pdg"))


async def hold_denied(loops: Loops) -> None:
    await held(loops, ("DEND", "Dnd"))


async def asked(loops: Loops) -> str:
    """Ask for the status; returns the identifier of the query."""
    await loops.take_in(event("query_settlement_status/1") | {"event_id": "T1-query"})
    await loops.send()
    return loops.arrived()[-1].business_message_id


async def query_answered(loops: Loops) -> None:
    request = await asked(loops)
    assert request
    if speaks_fin(loops):
        await loops.hear(advice("STATUS1", "25D::MTCH//MACH"))
    else:
        await loops.hear(status(MATCHED, identifier="STATUS1"))


async def query_refused(loops: Loops) -> None:
    request = await asked(loops)
    if speaks_fin(loops):
        why = ("16R:REAS", "24B::REJT//REFE", "16S:REAS")
        await loops.hear(advice("REFUSED1", "25D::SPRC//REJT", *why, about=request))
    else:
        root = "SctiesStsOrStmtQryStsAdvc"
        status_ = "<PrcgSts><Rjctd><Rsn><Cd><Cd>REFE</Cd></Cd></Rsn></Rjctd></PrcgSts>"
        said = f"<{root}><QryDtls><Ref>{request}</Ref></QryDtls>{status_}</{root}>"
        await loops.hear(envelope("sese.022.001.06", said, "REFUSED1"))


async def cancellation_pending(loops: Loops) -> None:
    await loops.take_in(cancel())
    await loops.send()
    request = loops.arrived()[-1].business_message_id
    if speaks_fin(loops):
        await loops.hear(advice("CANCEL1", "25D::CPRC//CANP", function="CAST", about=request))
    else:
        await loops.hear(cancellation_advice(request, "PdgCxl", identifier="CANCEL1"))


async def failing(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(advice("STATUS1", "25D::SETT//PENF", "16R:REAS", "24B::PENF//CLAC", "16S:REAS"))
    else:
        said = "<SttlmSts><Flng><Rsn><Cd><Cd>CLAC</Cd></Cd></Rsn></Flng></SttlmSts>"
        await loops.hear(status(said, identifier="STATUS1"))


async def confirmed_in_error(loops: Loops) -> None:
    if speaks_fin(loops):
        await loops.hear(confirmed())
        withdrawn = confirmed(reference="REVERSED1", reverses="SETTLED1").replace(b"23G:RVSL", b"23G:CANC")
        await loops.hear(withdrawn)
    else:
        await loops.hear(settled())
        await loops.hear(settled(identifier="REVERSED1", reverses="SETTLED1"))


STORIES: list[Tell] = [
    matched_and_settled,
    settled_in_parts,
    reversed_after_settlement,
    another_account,
    accepted_and_pending,
    rejected,
    cancelled,
    cancellation_denied,
    held_and_released,
    hold_rejected,
    hold_pending,
    hold_denied,
    query_answered,
    query_refused,
    cancellation_pending,
    failing,
    confirmed_in_error,
]


def speaks_fin(loops: Loops) -> bool:
    profile = loops.settings.profile(CHANNEL)
    return profile is not None and profile.language == "fin"


@pytest.fixture
async def both(new_sqlite: Path, tmp_path: Path) -> AsyncIterator[tuple[Loops, Loops]]:
    """Give two gateways: the counterparty of the first speaks FIN, that of the other ISO 20022."""
    made = []
    for language in ("fin", "iso20022"):
        file = tmp_path / f"{language}.db"
        shutil.copy(new_sqlite, file)
        url = f"sqlite:///{file}"
        settings = settings_for(url, counterparties=[party(CHANNEL, language=language)])
        made.append(Loops(await Ledger.open(url), settings))
    yield made[0], made[1]
    for loops in made:
        await loops.ledger.close()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_story_ends_alike_in_both_languages(both: tuple[Loops, Loops], story: Tell) -> None:
    ended = []
    for loops in both:
        await loops.take_in(instruct())
        await loops.send()
        await story(loops)
        assert await loops.parked() == [], loops.settings
        told = await loops.story()
        axes = {
            name: (axis.status.value, [reason.code for reason in axis.status.reasons])
            for name, axis in (told.state.axes or {}).items()
        }
        alerts = [alert["code"] for report in await loops.published("status") for alert in report["alerts"]]
        requests = [asked.status.value for asked in (told.state.requests or {}).values()]
        parts = [(part.quantity, part.amount, part.reversed) for part in told.state.parts]
        ended.append((told.instruction.headline, axes, sorted(alerts), requests, parts, told.state.breaks))
        await loops.prove()
    assert ended[0] == ended[1]


async def test_what_is_sent_is_fin_and_its_repeat_is_marked(both: tuple[Loops, Loops]) -> None:
    loops, _ = both
    await loops.take_in(instruct())
    await loops.send()
    [sent] = loops.arrived()
    message = parse(sent.content)
    assert message.message_type == "543"
    assert message.user_value("108") == sent.business_message_id
    marked = loops.messages.mark_possible_duplicate(sent.content)
    assert parse(marked).possible_duplicate is not None
    assert parse(marked).fields == message.fields


def alleged(amount: str = "61234,56") -> bytes:
    """Return an MT578: what is alleged to be delivered from our account."""
    return fin(
        "578",
        *general("ALLEGED1", "NEWM"),
        *("16R:TRADDET", "98A::SETT//20260304", "98A::TRAD//20260302", "35B:ISIN DE0007164600"),
        *("22H::REDE//DELI", "22H::PAYM//APMT", "16S:TRADDET"),
        *("16R:FIAC", "36B::SETT//UNIT/500,", f"97A::SAFE//{ACCOUNT}", "16S:FIAC"),
        *("16R:SETDET", "22F::SETR//TRAD"),
        *("16R:SETPRTY", "95P::PSET//DAKVDEFFXXX", "16S:SETPRTY"),
        *("16R:SETPRTY", "95P::REAG//AGNTDEFFXXX", "16S:SETPRTY"),
        *("16R:AMT", f"19A::SETT//EUR{amount}", "16S:AMT", "16S:SETDET"),
    )


@pytest.mark.parametrize("ours", [None, "61234.56", "60000.00"], ids=["unknown", "agrees", "differs"])
async def test_an_allegement_is_compared_and_removed_alike_in_both_languages(
    both: tuple[Loops, Loops], ours: str | None
) -> None:
    ended = []
    for loops in both:
        if ours is not None:
            await loops.take_in(instruct(payment="against", settlement_amount={"value": ours, "currency": "EUR"}))
            await loops.send()
        told = []
        removal = fin("578", *general("REMOVED1", "REMO", ("PREV", "ALLEGED1")), *parse_text(alleged()))
        for message in (alleged(), removal) if speaks_fin(loops) else (iso.alleged(), iso.removal()):
            await loops.hear(message)
            report = (await loops.published("status"))[-1]
            axes = {name: axis["status"] for name, axis in report["axes"].items()}
            told.append((report["dialogue"], report["headline"], axes, [one["code"] for one in report["alerts"]]))
        assert await loops.parked() == []
        ended.append(told)
    assert ended[0] == ended[1]
    (_, headline, axes, alerts), (_, after, *_) = ended[0]
    expected = {None: ("unknown", ["allegement_unknown"]), "61234.56": ("agrees", []), "60000.00": ("differs", None)}
    comparison, alerted = expected[ours]
    assert (axes["comparison"], after) == (comparison, "removed")
    assert headline == ("alleged" if ours is None else comparison)
    assert alerted is None or alerts == alerted


def parse_text(content: bytes) -> list[str]:
    """Return the fields of a message behind its first sequence, as they are written here."""
    fields = [f"{field.tag}:{field.value}" for field in parse(content).fields]
    return fields[fields.index("16S:GENL") + 1 :]


@pytest.mark.parametrize("times", [1, 100])
async def test_a_status_of_a_scheme_of_its_own_is_proprietary(both: tuple[Loops, Loops], times: int) -> None:
    loops, _ = both
    said = [
        loops.messages.read(advice(f"S{number}", "25D::IPRC/HOUSE/REJT", "16R:REAS", "24B::REJT//SAFE", "16S:REAS"))
        for number in range(times)
    ]
    for reply in said:
        [(references, fact)] = reply.facts
        assert references.account_servicer_transaction_id == "SERVICER-1"
        assert isinstance(fact, StatusAdvice)
        assert fact.processing == StatusValue("proprietary", (Reason("SAFE"),), "REJT")


def standing(said: str, *more: str) -> tuple[str, ...]:
    """Return a further status of an advice, after the one that it begins with."""
    return ("16S:STAT", "16R:STAT", f"25D::{said}", *more)


async def after(loops: Loops, content: bytes) -> tuple[dict[str, str], list[str], list[str]]:
    """Return axes, alerts and parked codes after a message of theirs."""
    await loops.hear(content)
    told = await loops.story()
    axes = {name: axis.status.value for name, axis in (told.state.axes or {}).items()}
    alerts = [alert["code"] for report in await loops.published("status") for alert in report["alerts"]]
    return axes, alerts, [row.summary.code for row in await loops.parked()]


@pytest.mark.parametrize("named", ["the request", "the instruction"])
async def test_an_answer_and_the_statuses_beside_it_are_all_told(both: tuple[Loops, Loops], named: str) -> None:
    loops, _ = both
    await loops.take_in(instruct())
    await loops.send()
    await loops.take_in(event("change_settlement_conditions/1", hold=True) | {"event_id": "T1-hold"})
    await loops.send()
    about = loops.arrived()[-1].business_message_id if named == "the request" else transaction()
    said = ("25D::TPRC//COMP", *standing("SETT//PEND", "16R:REAS", "24B::PEND//PREA", "16S:REAS"))
    axes, alerts, parked = await after(loops, advice("BOTH1", *said, *standing("MTCH//MACH"), about=about))
    assert (axes["condition_modification"], axes["settlement"], axes["matching"]) == ("completed", "pending", "matched")
    assert axes["hold"] == "held"
    assert (alerts, parked) == ([], [])


async def test_an_answer_to_a_cancellation_is_read_in_whatever_function(both: tuple[Loops, Loops]) -> None:
    loops, _ = both
    await loops.take_in(instruct())
    await loops.send()
    await loops.take_in(cancel())
    await loops.send()
    axes, alerts, parked = await after(loops, advice("CANCEL1", "25D::CPRC//CANP", *standing("SETT//PENF")))
    assert (axes["cancellation"], axes["settlement"]) == ("pending", "failing")
    assert (alerts, parked) == ([], [])


async def test_the_status_of_a_cancellation_goes_before_that_of_the_instruction(both: tuple[Loops, Loops]) -> None:
    loops, _ = both
    await loops.take_in(instruct())
    await loops.send()
    await loops.take_in(cancel())
    await loops.send()
    about = loops.arrived()[-1].business_message_id
    said = advice("CANCEL1", "25D::CPRC//PACK", *standing("IPRC//CANP"), function="CAST", about=about)
    axes, alerts, parked = await after(loops, said)
    assert (axes["cancellation"], axes["processing"]) == ("accepted", "cancellation_pending")
    assert (alerts, parked) == ([], [])


async def test_an_answer_to_a_call_that_nobody_made_is_parked(both: tuple[Loops, Loops]) -> None:
    loops, _ = both
    await loops.take_in(instruct())
    await loops.send()
    axes, _, parked = await after(loops, advice("CALL1", "25D::CALL//CACK", *standing("SETT//PEND")))
    assert (axes, parked) == ({}, ["reply_not_of_dialogue"])


@given(st.text("ab -:", min_size=1, max_size=200).filter(lambda text: text[0] not in "-: " and text[-1] != " "))
def test_a_text_is_broken_where_fin_lets_a_line_begin(text: str) -> None:
    assume(not re.search("[-: ]{20}", text))  # nowhere to break it
    written = lines(text, 20).split("\n")
    assert all(0 < len(line) <= 20 and line[0] not in "-: " for line in written)
    assert "".join(written).replace(" ", "") == text.replace(" ", "")
