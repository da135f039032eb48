"""Foreign exchange and trade confirmations between FIN and ISO 20022: what becomes what, and what is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import BuildError
from gateway.messages import fin
from gateway.messages.translation import Translation, Untranslatable
from tests.examples import TABLES, build, document
from tests.test_translation_pairs import FIN, HERE, ISO, in_fin, leaves_in, sample
from tests.translating import NOW, translate, translator


def values(content: bytes) -> dict[str, str]:
    return {leaf.shown: leaf.value for leaf in leaves_in(content)}


def built(name: str) -> bytes:
    return (HERE / "golden" / "fin" / f"built.{name}.txt").read_bytes()


def lost(made: Translation) -> dict[str, str | None]:
    return {str(entry.source): entry.why for entry in made.report.not_carried}


def message(kind: str, **changes: Any) -> bytes:
    """Return the message of ISO 20022 for the example of a kind that says little, with changes."""
    event = {**document(kind, minimal=True), **changes}
    return build({name: value for name, value in event.items() if value is not None}, TABLES[kind].default).content


def confirmation(*changes: tuple[str, str], name: str = "MT300.minimal") -> bytes:
    """Return a foreign exchange confirmation with fields written in another way."""
    text = FIN[name].read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return in_fin("MT300", text)


# Foreign exchange -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "becomes"),
    [
        ("NEWT", "fxtr.014.001.06"),
        ("EXOP", "fxtr.014.001.06"),
        ("DUPL", "fxtr.014.001.06"),
        ("AMND", "fxtr.015.001.06"),
        ("CANC", "fxtr.016.001.06"),
    ],
)
def test_a_confirmation_becomes_what_it_asks_for(operation: str, becomes: str) -> None:
    made = translate(confirmation((":22A:NEWT", f":21:FX0001\n:22A:{operation}")))
    assert made.definition == becomes
    assert values(made.content)["TradInf/OprTp"] == operation


def test_the_parties_of_a_trade_are_who_trades_and_who_submits_it_by_the_header() -> None:
    made = translate(confirmation((":82A:ABCDFRFFXXX", ":82A:OURSGB2LXXX")))
    said = values(made.content)
    assert said["TradgSdId/SubmitgPty/AnyBIC/AnyBIC"] == "OURSGB2LXXX"
    assert "TradgSdId/TradPty/AnyBIC/AnyBIC" not in said
    assert said["CtrPtySdId/SubmitgPty/AnyBIC/AnyBIC"] == "CUSTGB2L"
    assert said["CtrPtySdId/TradPty/AnyBIC/AnyBIC"] == "EFGHGB2LXXX"
    assert {entry.target for entry in made.report.derived} >= {"CtrPtySdId/SubmitgPty/AnyBIC/AnyBIC"}


def test_lines_and_accounts_of_a_party_go_to_elements_of_their_own() -> None:
    lines = "/ABIC/EFGHGB2LXXX\n/ACCT/36\n/NAME/Example Bank\n/ADD1/1 Platz\n/CITY/Frankfurt"
    made = translate(confirmation((":87A:EFGHGB2LXXX", f":87J:{lines}"), (":57A:ABCDUS33XXX", ":57A:/42\nABCDUS33XXX")))
    said = values(made.content)
    party = "CtrPtySdId/TradPty/PtyId"
    assert (said[f"{party}/AnyBIC/AnyBIC"], said[f"{party}/AcctNb"]) == ("EFGHGB2LXXX", "36")
    assert (said[f"{party}/PtyNm"], said[f"{party}/Adr"]) == ("Example Bank", "1 Platz")
    agent = "TradgSdSttlmInstrs/RcvgAgt/PtyId"
    assert (said[f"{agent}/AnyBIC/AnyBIC"], said[f"{agent}/AcctNb"]) == ("ABCDUS33XXX", "42")
    assert [entry.value for entry in made.report.not_carried if "87J" in str(entry.source)] == ["/CITY/Frankfurt"]
    assert b":57A:/42\r\nABCDUS33XXX\r\n" in translate(made.content, "MT300").content


def test_a_broker_in_free_lines_has_a_name_and_an_address() -> None:
    text = FIN["MT300.typical"].read_text().replace(":88A:BROKGB2LXXX", ":88D:/77\nBROKERS LTD\n1 LANE\nLONDON")
    said = values(translate(in_fin("MT300", text)).content)
    broker = "OptnlGnlInf/BrkrId/PtyId"
    assert [said[f"{broker}/{tag}"] for tag in ("PtyNm", "Adr", "AcctNb")] == ["BROKERS LTD", "1 LANE LONDON", "77"]


def test_standing_instructions_are_what_no_agent_says_and_others_beside_them_are_named() -> None:
    bought = ":32B:USD10834000,\n"
    made = translate(confirmation((f"{bought}:57A:ABCDUS33XXX", f"{bought}:53A:CORRUS33XXX\n:57J:/SSIS/")))
    assert not any(path.startswith("TradgSdSttlmInstrs") for path in values(made.content))
    assert lost(made)["B/B1/53A/bic"] == "ISO 20022 names it only beside a receiving agent"
    assert "B/B1/57J/party_identification" not in lost(made)


@pytest.mark.parametrize("name", ["MT300.complete", "MT300.fixing"])
def test_a_forward_that_is_not_delivered_goes_there_and_back(name: str) -> None:
    made = translate(built(name))
    assert values(made.content)["NDFConds/OpngInd"] == ("true" if name.endswith("complete") else "false")
    back = translate(made.content)
    for field in re.findall(r"(?m)^:(?:17F|17O|32E|30U|14S|21A):.*$", built(name).decode()):
        assert field.encode() in back.content


def test_a_trade_that_is_deliverable_has_no_conditions_of_one_that_is_not() -> None:
    made = translate(sample("MT300.complete"))
    assert not any(path.startswith("NDFConds") for path in values(made.content))
    assert lost(made)["A/21A/reference"] == "the trade is deliverable, as field 17F says"


def test_a_forward_without_what_it_is_is_named_with_all_its_fields() -> None:
    made = translate(built("MT300.complete").replace(b":17O:Y\r\n", b""))
    assert not any(path.startswith("NDFConds") for path in values(made.content))
    assert {"A/17F/indicator", "A/32E/currency", "A/14S[1]/source", "A/14S[1]/number"} <= lost(made).keys()


def test_the_pay_of_a_broker_is_named_where_the_trade_is_not_brokered() -> None:
    made = translate(ISO["fxtr.014.001.06.complete.xml"].read_bytes())
    assert "C/71F/amount" not in values(made.content)
    assert "BROK" in str(lost(made)["OptnlGnlInf/BrkrsComssn"])
    paid = {"broker_commission": {"value": "25.00", "currency": "USD"}, "operation_scope": "BROK"}
    with pytest.raises(Untranslatable) as refused:
        translate(message("instruct_foreign_exchange/1", **paid))
    assert "C/88a" in refused.value.violations[0].rule
    made = translate(message("instruct_foreign_exchange/1", **paid, broker={"bic": "BRKRGB2LXXX"}))
    assert values(made.content)["C/71F/amount"] == "USD 25.00"


def test_a_common_reference_of_another_form_is_named_and_that_of_fin_derived() -> None:
    made = translate(message("instruct_foreign_exchange/1", common_reference="AGREED-BY-PHONE"))
    assert "TradInf/CmonRef" in lost(made)
    assert {"A/22C/party_prefix_1", "A/22C/reference_code"} <= {entry.target for entry in made.report.derived}


def test_a_side_of_which_nobody_knows_a_bic_is_refused_with_what_is_wanted() -> None:
    with pytest.raises(Untranslatable, match="a party with a BIC") as refused:
        translate(message("instruct_foreign_exchange/1", trading_side={"submitting_party": {"name": "Us"}}))
    assert [violation.path for violation in refused.value.violations] == ["trading_side"]


def test_an_agent_whose_name_is_too_long_is_no_standing_instruction() -> None:
    agents = {"receiving_agent": {"name": "x" * 35}}
    with pytest.raises(Untranslatable, match=r"settlement_agents\.receiving_agent"):
        translate(message("instruct_foreign_exchange/1", settlement_agents=agents))


def test_the_currencies_of_a_rate_are_carried_where_amounts_and_rate_say_them_too() -> None:
    rate = {"value": "1.0835", "unit_currency": "EUR", "quoted_currency": "USD"}
    assert (
        not {"AgrdRate/UnitCcy", "AgrdRate/QtdCcy"}
        & lost(translate(message("instruct_foreign_exchange/1", rate=rate))).keys()
    )
    other = {"value": "1.0835", "unit_currency": "USD", "quoted_currency": "EUR"}
    assert {"AgrdRate/UnitCcy", "AgrdRate/QtdCcy"} <= lost(
        translate(message("instruct_foreign_exchange/1", rate=other))
    ).keys()


# Cancellations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("MT300.minimal", "fxtr.016.001.06"),
        ("MT300.amendment", "fxtr.016.001.06"),
        ("MT515.complete", "setr.029.001.02"),
        ("MT518.minimal", "setr.029.001.02"),
    ],
)
@pytest.mark.parametrize("as_it_is", [bytes, lambda content: translate(content).content], ids=["fin", "iso 20022"])
def test_a_cancellation_goes_there_and_with_the_original_back(
    name: str, becomes: str, as_it_is: Callable[[bytes], bytes]
) -> None:
    cancelled = in_fin(name[:5], fin.cancellation(built(name), "CANCEL0000000001", NOW))
    there = translate(cancelled)
    assert there.definition == becomes
    assert "TRANSACTION00001" in values(there.content).values()
    with pytest.raises(BuildError, match="give that too"):
        translate(there.content)
    original = as_it_is(built(name))
    back = translator().translate(there.content, now=NOW, original=original)
    said = values(back.content)
    assert back.definition == name[:5]
    assert "CANC" in (said.get("A/22A/type"), said.get("GENL/23G/function"))
    of_this = [entry for entry in back.report.not_carried if entry.why != "of the original"]
    assert {entry.source for entry in of_this} <= {"AppHdr/CreDt"}
    if as_it_is is bytes:
        gone = values(cancelled).items() - said.items()
        assert {path for path, _ in gone} <= {"GENL/98C_PREP/moment"}


def test_another_trade_is_not_cancelled() -> None:
    there = translate(in_fin("MT300", fin.cancellation(built("MT300.minimal"), "CANCEL0000000001", NOW)))
    other = built("MT300.fixing").replace(b"TRANSACTION00001", b"TRANSACTION00002")
    with pytest.raises(BuildError, match="another instruction"):
        translator().translate(there.content, now=NOW, original=other)


# Trade confirmations --------------------------------------------------------------------------------------------------


def test_a_confirmation_that_does_not_say_whether_it_is_against_payment_is_refused_with_a_report() -> None:
    with pytest.raises(Untranslatable, match="against or free") as refused:
        translate(ISO["setr.027.001.05.minimal.xml"].read_bytes())
    assert [violation.path for violation in refused.value.violations] == ["payment"]
    assert "TradDtls/TradDt/Dt/Dt" in {entry.source for entry in refused.value.report.carried}


def test_a_trade_date_with_a_time_of_no_zone_is_a_date() -> None:
    made = translate(sample("MT515.typical"))
    said = values(made.content)
    assert said["TradDtls/TradDt/Dt/Dt"] == "2026-03-02"
    assert "TradDtls/TradOrgtnDt" not in said
    assert "CONFDET/98C_TRAD/time" in lost(made)


@pytest.mark.parametrize(
    ("stated", "instant"),
    [("143000,125/0100", "2026-03-02T13:30:00.125Z"), ("143000/N0500", "2026-03-02T19:30:00.000Z")],
)
def test_the_time_of_a_trade_with_its_zone_is_an_instant(stated: str, instant: str) -> None:
    text = FIN["MT515.typical"].read_text().replace(":98C::TRAD//20260302143000", f":98E::TRAD//20260302{stated}")
    made = translate(in_fin("MT515", text))
    assert values(made.content)["TradDtls/TradOrgtnDt"] == instant
    assert not any("98E_TRAD" in path for path in lost(made))
    assert b":98E::TRAD//20260302" in translate(made.content, "MT515").content


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("MT517.typical", "setr.030.001.03"),
        ("MT509.typical", "setr.030.001.03"),
        ("MT509.minimal", "setr.044.001.04"),
    ],
)
def test_an_answer_is_a_response_and_any_other_status_an_advice(name: str, becomes: str) -> None:
    assert translate(sample(name)).definition == becomes


def test_a_response_names_the_confirmation_whichever_of_its_references_that_is() -> None:
    made = translate(ISO["setr.030.001.03_affirmed.xml"].read_bytes())
    assert made.definition == "MT517"
    assert values(made.content)["GENL/LINK_RELA/20C/reference"] == "7KQ2M9XW4B1TZ0PD"
    assert {"Refs[1]/Ref/InstgPtyTxId", "Refs[3]/Ref/CmonId"} <= lost(made).keys()


def test_the_status_of_a_confirmation_goes_there_and_back() -> None:
    made = translate(ISO["setr.044.001.04_unmatched.xml"].read_bytes())
    assert (made.definition, values(made.content)["GENL/STAT_MTCH/25D/status_code"]) == ("MT509", "NMAT")
    assert "MtchgSts/Umtchd/NoSpcfdRsn" in values(translate(made.content).content) or made.report.not_carried


def test_what_cannot_be_without_something_else_is_left_out_and_named() -> None:
    made = translate(sample("MT518.complete"))
    assert "StgSttlmInstr/Vndr/AnyBIC" not in values(made.content)
    assert lost(made)["OTHRPRTY_VEND/95P/bic"] == "setr.027.001.05 wants SttlmStgInstrDB with it"


# Statuses of payments in words ----------------------------------------------------------------------------------------


def test_what_coded_words_leave_beside_their_code_is_named() -> None:
    text = ":20:STAT0001\n:21:PAY0001\n:79:/REJT/99\n/AC01/SEE BELOW\n/MREF/PAY0001\n/TEXT/CLOSED\n"
    made = translate(in_fin("MT199", text))
    said = values(made.content)
    assert (said["TxInfAndSts/TxSts"], said["TxInfAndSts/StsRsnInf/Rsn/Cd"]) == ("RJCT", "AC01")
    assert said["TxInfAndSts/StsRsnInf/AddtlInf"] == "SEE BELOW CLOSED"
    assert [entry.value for entry in made.report.not_carried if entry.source == "79/narrative"] == ["/REJT/99"]


def test_free_words_about_a_payment_are_no_status() -> None:
    with pytest.raises(BuildError, match="there are no tables"):
        translate(sample("MT199.typical"))
