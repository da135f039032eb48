"""Cash penalties that a depository reports in FIN: read, kept with the transaction, and compared with our estimate."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.allegements import Allegements
from gateway.candidates import find
from gateway.cli.penalties import penalties
from gateway.messages.schema_files import load_calendars
from gateway.model.facts import Amount, PenaltyDay, PenaltyReport
from gateway.penalties import Estimator
from gateway.store import Ledger
from tests.loops import ACCOUNT, CHANNEL, MATCHED, OWN_BIC, START, Loops, instruct, settings_for, status, transaction
from tests.test_fin_dialogues import fin
from tests.test_penalties import FAIL, call, rates

LACKING = "<SttlmSts><Flng><Rsn><Cd><Cd>LACK</Cd></Cd></Rsn></Flng></SttlmSts>"


def penalty(
    amount: str,
    *,
    reference: str = "N260305000000001",
    about: str | None = None,
    days: tuple[str, ...] = ("20260304",),
    kind: str = "SEFP",
    status: str = "ACTV",
) -> list[str]:
    """Return the details of one penalty: ``amount`` as FIN writes it, with N where we are to pay."""
    security = ("16R:FIA", "35B:ISIN DE0007164600", "16S:FIA")
    calculated = [f for day in days for f in ("16R:CALDET", f"98A::PEDA//{day}", *security, "16S:CALDET")]
    return [
        *("16R:PENDET", "20C::PCOM//260305000000001", f"20C::PREF//{reference}"),
        *(f"22H::PNTP//{kind}", "22H::CALM//SECU", f"25D::PNST//{status}"),
        *(f"19A::AMCO//{amount}", f"99A::DAAC//{len(days):03}", *calculated),
        *("16R:RELTRAN", f"20C::ACOW//{about or transaction()}", "20C::MITI//2603041610000001", "16S:RELTRAN"),
        "16S:PENDET",
    ]


def within(*details: list[str]) -> list[str]:
    around = [
        *("16R:PENA", "22F::CODE//CURR", "95P::ASDP//DAKVDEFFXXX", "16R:PENACUR", "11A::PECU//EUR"),
        *("98A::DACO//20260305", "95P::REPA//OURSGB2LXXX", "22F::TRCA//CSDP"),
        *("16R:PENACOUNT", "95P::REPA//CUSTDEFFXXX", "22F::TRCA//CSDP", "19A::AGNT//EUR0,"),
    ]
    return [*around, *(field for fields in details for field in fields), "16S:PENACOUNT", "16S:PENACUR", "16S:PENA"]


def statement(*details: list[str], reference: str = "PENALTIES1") -> bytes:
    """Return an MT537 of penalties."""
    general = [
        *(
            "16R:GENL",
            "28E:1/ONLY",
            "13A::STAT//064",
            f"20C::SEME//{reference}",
            "23G:NEWM",
            "98C::STAT//20260305180000",
        ),
        *("22F::SFRE//DAIL", "22F::CODE//DELT", "22H::STST//PENA", f"97A::SAFE//{ACCOUNT}", "17B::ACTI//Y", "16S:GENL"),
    ]
    return fin("537", *general, *within(*details))


def advice(*details: list[str], reference: str = "PENALTIES2") -> bytes:
    """Return an MT548 of penalties; the status in it is as of the penalty."""
    general = [
        *("16R:GENL", f"20C::SEME//{reference}", "23G:PENA", "98C::PREP//20260305180000"),
        *("16R:LINK", "20C::RELA//NONREF", "16S:LINK"),
        *("16R:STAT", "25D::SETT//PENF", "16S:STAT", "16S:GENL"),
    ]
    return fin("548", *general, *within(*details))


async def failing(loops: Loops) -> None:
    """Bring an instruction to where it fails for our lack of securities."""
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(status(MATCHED + LACKING))


async def alerts(loops: Loops) -> list[str]:
    reports = await loops.published("status")
    return [f"{alert['code']}: {alert['text']}" for report in reports for alert in report["alerts"]]


@pytest.mark.parametrize("message", [statement, advice])
@pytest.mark.parametrize("times", [1, 100])
async def test_penalties_are_read_one_by_one_with_who_pays(fin_loops: Loops, message: Any, times: int) -> None:
    late = penalty("EUR2,5", reference="N2", kind="LMFP", days=("20260304", "20260305"), about="OTHER1")
    for number in range(times):
        reply = fin_loops.messages.read(message(penalty("NEUR6,13"), late, reference=f"P{number}"))
    (first, ours), (second, theirs) = reply.facts
    assert ours == PenaltyReport(
        reference="N260305000000001",
        common_reference="260305000000001",
        kind="SEFP",
        status="ACTV",
        amount=Amount(Decimal("6.13"), "EUR"),
        credit_debit="debit",
        business_days=Decimal(1),
        days=(PenaltyDay(date(2026, 3, 4)),),
        detected_on=date(2026, 3, 5),
    )
    assert (first.account_owner_transaction_id, second.account_owner_transaction_id) == (transaction(), "OTHER1")
    assert isinstance(theirs, PenaltyReport)
    assert (theirs.kind, theirs.credit_debit, len(theirs.days)) == ("LMFP", "credit", 2)


async def test_a_penalty_as_estimated_is_kept_and_one_that_differs_is_alerted(fin_loops: Loops) -> None:
    await failing(fin_loops)
    before = await alerts(fin_loops)
    await fin_loops.hear(statement(penalty("NEUR6,13")))
    assert await alerts(fin_loops) == before
    await fin_loops.hear(statement(penalty("NEUR16,13", reference="N2", days=("20260305",)), reference="PENALTIES3"))
    told = (await alerts(fin_loops))[len(before) :]
    assert told == [
        "penalty_differs: A cash penalty is reported that differs from our estimate of it. "
        "N2: estimated -6.13 EUR, reported -16.13 EUR."
    ]
    story = await fin_loops.story()
    assert [one.report.reference for one in story.state.penalties] == ["N260305000000001", "N2"]
    assert story.instruction.headline == "failing"
    await fin_loops.prove()


async def test_a_penalty_that_is_reported_again_counts_once_and_its_change_counts(fin_loops: Loops) -> None:
    await failing(fin_loops)
    await fin_loops.hear(statement(penalty("NEUR9,99")))
    await fin_loops.hear(statement(penalty("NEUR9,99"), reference="PENALTIES3"))
    assert len([said for said in await alerts(fin_loops) if "penalty_differs" in said]) == 1
    await fin_loops.hear(statement(penalty("NEUR9,99", status="REMO"), reference="PENALTIES4"))
    [kept] = (await fin_loops.story()).state.penalties
    assert kept.report.status == "REMO"
    assert len([said for said in await alerts(fin_loops) if "penalty_differs" in said]) == 1


async def test_of_several_penalties_the_one_of_an_unknown_transaction_is_parked_and_the_others_count(
    fin_loops: Loops,
) -> None:
    await failing(fin_loops)
    await fin_loops.hear(statement(penalty("NEUR6,13"), penalty("NEUR1,", reference="N2", about="NOBODY")))
    [kept] = (await fin_loops.story()).state.penalties
    assert kept.report.reference == "N260305000000001"
    item = await fin_loops.only_parked()
    assert (item.summary.stage, item.summary.code) == ("reply", "reply_partly_unknown")


async def test_a_penalty_of_the_depository_alone_finds_its_transaction_by_the_infrastructures_identification(
    fin_loops: Loops,
) -> None:
    await fin_loops.take_in(instruct())
    await fin_loops.send()
    said = status(MATCHED + LACKING).replace(
        b"</AcctSvcrTxId>", b"</AcctSvcrTxId><MktInfrstrctrTxId>2603041610000001</MktInfrstrctrTxId>"
    )
    await fin_loops.hear(said)
    await fin_loops.hear(statement(penalty("NEUR6,13", about="NONREF")))
    assert await fin_loops.parked() == []
    [kept] = (await fin_loops.story()).state.penalties
    assert kept.report.reference == "N260305000000001"


async def test_a_name_that_is_given_to_many_brings_no_other_where_ours_is_named(fin_loops: Loops) -> None:
    """Else every reply would bring every instruction, the more the longer the gateway runs."""
    trades = ("T1", "T2", "T3")
    await fin_loops.take_in(*(instruct(trade) for trade in trades))
    await fin_loops.send()
    given = b"</AcctSvcrTxId>", b"</AcctSvcrTxId><MktInfrstrctrTxId>GIVENTOALL</MktInfrstrctrTxId>"
    said = [status(MATCHED, transaction(trade), identifier=f"STATUS{trade}").replace(*given) for trade in trades]
    for content in said:
        await fin_loops.hear(content)
    reply = fin_loops.messages.read(said[0])
    begun = Allegements(OWN_BIC, fin_loops.settings.counterparties[0])
    found = await fin_loops.ledger.write(START, lambda unit: find(unit, [reply], CHANNEL, begun))
    assert [one.transaction_id for one in found.values()] == [transaction("T1")]


async def test_a_statement_of_penalties_says_nothing_of_what_is_pending(fin_loops: Loops) -> None:
    await failing(fin_loops)
    before = (await fin_loops.story()).state
    await fin_loops.hear(advice(penalty("NEUR6,13")))
    after = (await fin_loops.story()).state
    assert (after.axes, after.advised) == (before.axes, before.advised)
    assert await fin_loops.parked() == []


@pytest.mark.parametrize(
    ("changes", "expected", "differs"),
    [
        ({}, "-3.13", False),
        ({"amount": Amount(Decimal("3.20"), "EUR")}, "-3.13", False),  # within 5 per cent
        ({"amount": Amount(Decimal("3.50"), "EUR")}, "-3.13", True),
        ({"credit_debit": "credit"}, "-3.13", True),
        ({"kind": "LMFP"}, "0", True),
        ({"status": "REMO"}, None, False),
        ({"days": ()}, None, False),
        ({"amount": Amount(Decimal("3.13"), "USD")}, None, False),
    ],
)
def test_a_reported_penalty_is_compared_with_the_estimate_for_its_days(
    changes: dict[str, Any], expected: str | None, differs: bool
) -> None:
    said = {"kind": "SEFP", "amount": Amount(Decimal("3.13"), "EUR"), "credit_debit": "debit"}
    report = PenaltyReport("N1", **{**said, "days": (PenaltyDay(date(2026, 3, 2)),), **changes})
    found = Estimator(rates(), load_calendars(), Decimal(5)).reckon(FAIL, report)
    assert (found.estimated, found.differs) == (None if expected is None else Decimal(expected), differs)


def test_the_report_stands_beside_the_estimate(ledger_url: str) -> None:
    async def go() -> None:
        loops = Loops(await Ledger.open(ledger_url), settings_for(ledger_url))
        await failing(loops)
        await loops.hear(statement(penalty("NEUR7,13")))
        await loops.ledger.close()

    asyncio.run(go())
    [line] = call(penalties, "list", "--store", ledger_url, "--on", "2026-03-05", "--json").stdout.splitlines()
    [told] = json.loads(line)["reported"]
    assert (told["reported"], told["estimated"], told["difference"], told["differs"]) == (
        "-7.13",
        "-6.13",
        "-1.00",
        True,
    )
    table = call(penalties, "list", "--store", ledger_url, "--on", "2026-03-05").stdout
    assert "-7.13" in table
    shown = call(penalties, "show", transaction(), "--store", ledger_url, "--on", "2026-03-05").stdout
    assert "N260305000000001" in shown
    assert "-1.00" in shown
