"""Network validated rules: each holds in a message and is broken by a change to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.messages.fin.definitions import FieldDefinition, SequenceDefinition
from gateway.messages.fin.rules import NetworkRule, Place, parse_rules
from tests.fin_documents import MESSAGE_TYPES, definitions, fields_of, judge

GOLDEN = Path(__file__).parent / "golden" / "fin"
RULES = {f"{rule.error} {rule.name}": rule for message_type in MESSAGE_TYPES for rule in judge().rules(message_type)}


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Case:
    """A rule, a golden message, a change after which the rule still holds, and one that breaks it."""

    rule: str
    message: str
    breaks: tuple[tuple[str, str], ...]
    before: tuple[tuple[str, str], ...] = ()


def case(rule: str, message: str, *breaks: tuple[str, str], before: tuple[tuple[str, str], ...] = ()) -> Case:
    return Case(rule, f"{message}.typical", breaks, before)


PSET = ":95P::PSET//PSETLULLXXX\n"
LINK = ":16R:LINK\n:20C::PREV//BEFORE\n:16S:LINK\n"
EXCH = ":92B::EXCH//EUR/USD/1,1\n:16S:AMT"
SELLER = ":16R:SETPRTY\n:95P::SELL"
CUSTODIAN = ":16R:SETPRTY\n:95P::RECU//CUSTGB2LXXX\n:16S:SETPRTY\n"
BUYER = ":16R:SETPRTY\n:95P::BUYR//OTHRNL2AXXX\n:16S:SETPRTY\n"
HOLDING = golden("MT535.typical").partition(":16R:SUBSAFE\n")[2].partition(":16S:SUBSAFE")[0]

CASES = [
    case("E87 amount_once", "MT541", (":19A::DEAL", ":19A::SETT")),
    case("E87 amount_once", "MT545", ("16S:SETDET", "16R:AMT\n:19A::ESTT//EUR1,\n:16S:AMT\n:16S:SETDET")),
    case("E92 settlement_amount", "MT541", (":19A::SETT", ":19A::OTHR")),
    case("E92 settled_amount", "MT547", (":19A::ESTT", ":19A::OTHR")),
    case("E90 number_of_linked_instructions", "MT540", (":99B::SETT//001\n", "")),
    case("E62 resulting_amount", "MT541", (":98A::VALU//20260304\n:16S:AMT", f":98A::VALU//20260304\n{EXCH}")),
    case("E62 resulting_amount", "MT515", (":19A::DEAL//EUR995000,\n", ":19A::DEAL//EUR995000,\n:19A::RESU//USD1,\n")),
    case("E84 party_once", "MT541", ("95P::DEAG", "95P::SELL")),
    case("E84 party_once", "MT515", ("95P::DEAG", "95P::SELL")),
    case(
        "E84 other_party_once",
        "MT543",
        (":16R:OTHRPRTY", ":16R:OTHRPRTY\n:95P::MEOR//AAAAFRPP\n:16S:OTHRPRTY\n:16R:OTHRPRTY"),
    ),
    case("E84 party_of_status_once", "MT548", ("95P::SELL", "95P::PSET")),
    case("E91 delivering_agent", "MT541", ("95P::DEAG", "95P::REI2")),
    case("E91 delivering_agent", "MT540", ("95P::PSET", "95P::BUYR")),
    case("E93 receiving_agent", "MT543", ("95P::REAG", "95P::DECU")),
    case(
        "E86 chain_of_parties", "MT541", ("95P::BUYR", "95P::REI1"), before=((SELLER, f"{BUYER}{CUSTODIAN}{SELLER}"),)
    ),
    case("E86 chain_of_parties_of_status", "MT548", ("95P::SELL", "95P::DECU")),
    case(
        "E08 cancelled_message",
        "MT541",
        ("20C::PREV//CONF-77", "20C::COMM//CONF-77"),
        before=((":23G:NEWM", ":23G:CANC"), ("20C::RELA//CONF-77", "20C::PREV//CONF-77")),
    ),
    case(
        "E08 cancelled_message",
        "MT538",
        (":20C::PREV//BEFORE", ":20C::RELA//BEFORE"),
        before=((":23G:NEWM", ":23G:CANC"), (":95P::ACOW", f"{LINK}:95P::ACOW")),
    ),
    case(
        "E08 cancelled_allegement",
        "MT578",
        (":20C::PREV", ":20C::RELA"),
        before=((":23G:NEWM", ":23G:REMO"), (":20C::TRRF", ":20C::PREV")),
    ),
    case("E52 account_at_place_of_settlement", "MT541", (PSET, f"{PSET}:97A::SAFE//1\n")),
    case("E52 account_at_place_of_settlement_in_statement", "MT537", ("95P::REAG", "95P::PSET")),
    case(
        "E63 account_at_exchange",
        "MT541",
        (":95P::MEOR", ":95P::EXCH"),
        before=((":95P::MEOR//OWNRFRPPXXX", ":95P::MEOR//OWNRFRPPXXX\n:97A::SAFE//1"),),
    ),
    case(
        "E14 foreign_exchange_instruction",
        "MT541",
        ("22F::FXCX//SINO", "22F::FXCX//FXNO"),
        before=((":22F::RTGS", ":22F::FXCX//SINO\n:22F::RTGS"),),
    ),
    case(
        "E70 seller_of_beneficial_owner_change",
        "MT541",
        ("95P::SELL", "95P::BUYR"),
        before=((":22F::RTGS", ":22F::DBNM//VEND\n:22F::RTGS"),),
    ),
    case(
        "E70 buyer_of_beneficial_owner_change",
        "MT543",
        ("95P::BUYR", "95P::SELL"),
        before=((":22F::RTGS", ":22F::DBNM//VEND\n:22F::RTGS"),),
    ),
    case(
        "C50 paired_quantity",
        "MT541",
        ("SETR//PAIR", "SETR//TRAD"),
        before=(("SETR//TRAD", "SETR//PAIR"), ("20C::RELA//CONF-77", "20C::RELA//CONF-77\n:36B::PAIR//UNIT/1,")),
    ),
    case("E83 settlement_amount_of_status", "MT548", (":19A::SETT", ":19A::OCMT")),
    case("E83 settlement_amount_of_allegement", "MT578", (":19A::SETT", ":19A::DEAL")),
    case("E83 settlement_amount_in_statement", "MT586", (":19A::SETT", ":19A::DEAL")),
    case("E85 agent_of_counterparty", "MT548", ("REDE//RECE", "REDE//DELI")),
    case("E37 reason_of_status", "MT548", (":24B::NMAT//DMON", ":24B::PEND//LACK")),
    case(
        "E87 amount_of_allegement_once", "MT578", (":16S:SETDET", ":16R:AMT\n:19A::SETT//EUR1,\n:16S:AMT\n:16S:SETDET")
    ),
    case(
        "E87 amount_in_statement_once", "MT586", (":16S:SETDET", ":16R:AMT\n:19A::SETT//EUR1,\n:16S:AMT\n:16S:SETDET")
    ),
    case("E84 party_in_statement_once", "MT586", ("95P::REAG", "95P::BUYR")),
    case(
        "E79 moment_or_period", "MT549", (":98A::STAT//20260304", ":98A::STAT//20260304\n:69A::STAT//20260301/20260304")
    ),
    case(
        "E80 by_status_or_reference", "MT549", (":16R:REF", ":16R:BYSTAREA\n:25D::SETT//PEND\n:16S:BYSTAREA\n:16R:REF")
    ),
    case("E73 settlement_amount_in_one_place", "MT515", (":22H::BUSE", ":19A::SETT//EUR1,\n:22H::BUSE")),
    case("E59 affirmed_confirmation", "MT517", ("LINK//515", "LINK//518")),
    case("E37 reason_of_trade_status", "MT509", ("AFFM//NAFI", "AFFM//AFFI")),
    case("E58 quantity_or_amount", "MT509", (":36B::CONF//FAMT/1000000,\n", "")),
    case("E66 activity", "MT535", ("ACTI//Y", "ACTI//N")),
    case("E66 activity_of_pending_transactions", "MT537", ("STST//STAT", "STST//TRAN")),
    case("E56 accounts_of_consolidated_statement", "MT535", ("CONS//N", "CONS//Y")),
    case("E67 accounting_statement", "MT535", ("STTY//CUST", "STTY//ACCT"), before=((HOLDING, ""),)),
    case(
        "E69 activity_of_account",
        "MT536",
        (":17B::ACTI//Y\n:16R:FIN", ":17B::ACTI//N\n:16R:FIN"),
        before=((":16R:SUBSAFE\n", ":16R:SUBSAFE\n:17B::ACTI//Y\n"),),
    ),
    case("E83 posting_amount", "MT536", (":19A::PSTA//EUR604520,55\n", "")),
    case("E83 posting_amount_of_pending_transaction", "MT537", (":19A::PSTA//EUR1007520,55\n", "")),
    case("E84 party_once_in_transaction", "MT537", ("95P::PSET", "95P::REAG")),
    case("E85 agent_of_pending_transaction", "MT537", ("REDE//DELI", "REDE//RECE")),
    case("E86 chain_of_parties_in_transaction", "MT537", ("95P::PSET", "95P::DECU")),
    case("E37 reason_of_pending_status", "MT537", (":24B::PEND//LACK", ":24B::NMAT//DMON")),
    case("E81 balances_of_movement", "MT538", ("TOBA//BLOK", "TOBA//AVAI")),
    case("D70 related_reference", "MT300", (":21:FX0000\n", "")),
    case("D74 broker", "MT300", (":88A:BROKGB2LXXX\n", "")),
    case("D74 broker", "MT300", ("94A:BROK", "94A:BILA")),
    case("D76 split_settlement", "MT300", (":17U:Y", ":17U:N")),
    case("D76 split_settlement", "MT300", (":17U:Y\n", "")),
    case("C08 no_commodities", "MT300", (":33B:EUR10000000,", ":33B:XAU10000000,")),
    case("D75 exchange_rate", "MT103", (":36:0,91\n", "")),
    case("D75 exchange_rate", "MT103", (":33B:USD1100,", ":33B:EUR1100,")),
    case(
        "E01 instructions_of_priority_payment",
        "MT103",
        (":23E:PHOB", ":23E:PHON"),
        before=((":23B:CRED", ":23B:SPRI"), (":23E:PHON", ":23E:PHOB")),
    ),
    case(
        "E01 instructions_of_straight_through_priority_payment",
        "MT103STP",
        (":23E:INTC", ":23E:PHON"),
        before=((":23B:CRED", ":23B:SPRI\n:23E:INTC"),),
    ),
    case("E02 no_instructions", "MT103", (":23B:CRED", ":23B:SSTD")),
    case(
        "E03 correspondent_by_name",
        "MT103",
        (":53A:BBBBDEFFXXX", ":53D:SOME BANK"),
        before=((":23B:CRED", ":23B:SSTD"),),
    ),
    case(
        "E04 correspondent_without_account",
        "MT103",
        (":53B:/ACC\nPARIS", ":53B:PARIS"),
        before=((":23B:CRED", ":23B:SSTD"), (":53A:BBBBDEFFXXX", ":53B:/ACC\nPARIS")),
    ),
    case(
        "E05 receivers_correspondent",
        "MT103",
        (":54A:CCCCGB2LXXX", ":54D:SOME BANK"),
        before=((":23B:CRED", ":23B:SSTD"),),
    ),
    case(
        "E06 reimbursement_chain", "MT103", (":54A:CCCCGB2LXXX\n", ""), before=((":56A:", ":55A:BBBBDEFFXXX\n:56A:"),)
    ),
    case(
        "E07 reimbursement_institution",
        "MT103",
        (":55A:BBBBDEFFXXX", ":55D:SOME BANK"),
        before=((":23B:CRED", ":23B:SSTD"), (":56A:", ":55A:BBBBDEFFXXX\n:56A:")),
    ),
    case("C81 account_with_institution", "MT202", (":57A:EEEENL2AXXX\n", "")),
    case("C81 account_with_institution", "MT103REMIT", (":57A:EEEENL2AXXX\n", "")),
    case("C81 account_with_institution_of_cover", "MT202COV", (":57A:EEEENL2AXXX\n:58A", ":58A")),
    case("C68 account_with_institution_of_customer", "MT202COV", (":57A:EEEENL2AXXX\n:59", ":59")),
    case(
        "E09 account_with_institution_by_name",
        "MT103",
        (":57D:/ACC\nSOME BANK", ":57D:SOME BANK"),
        before=((":23B:CRED", ":23B:SSTD"), (":57A:EEEENL2AXXX", ":57D:/ACC\nSOME BANK")),
    ),
    case(
        "E10 account_of_beneficiary",
        "MT103",
        (":59:/NL91ABNA0417164300\n", ":59:"),
        before=((":23B:CRED", ":23B:SSTD"),),
    ),
    case("E10 account_of_beneficiary_straight_through", "MT103STP", (":59F:/NL91ABNA0417164300\n", ":59F:")),
    case("E13 charges_ours", "MT103", (":71A:BEN", ":71A:OUR")),
    case(
        "D50 charges_shared",
        "MT103",
        (":71A:OUR", ":71A:SHA"),
        before=((":71A:BEN", ":71A:OUR"), (":71F:USD5,\n:71F:USD10,", ":71G:EUR5,")),
    ),
    case("E15 charges_of_beneficiary", "MT103", (":71F:USD5,\n:71F:USD10,\n", "")),
    case("D51 instructed_amount", "MT103", (":33B:USD1100,\n", "")),
    case("E16 no_intermediary", "MT103", (":23B:CRED", ":23B:SPRI")),
    case("E17 intermediary", "MT103", (":56A:DDDDUS33XXX", ":56D:SOME BANK"), before=((":23B:CRED", ":23B:SSTD"),)),
    case(
        "E17 intermediary",
        "MT103",
        (":56C://FW123", ":56C:/FW123"),
        before=((":23B:CRED", ":23B:SSTD"), (":56A:DDDDUS33XXX", ":56C://FW123")),
    ),
    case("E18 cheque", "MT103", (":23E:PHON/44 20 0000", ":23E:CHQB")),
    case("E44 contact_intermediary", "MT103", (":56A:DDDDUS33XXX\n", ""), before=((":23E:PHON", ":23E:PHOI"),)),
    case("E45 contact_account_with_institution", "MT103", (":57A:EEEENL2AXXX\n", "")),
    case(
        "C02 currency_of_charges",
        "MT103",
        (":71G:EUR5,", ":71G:USD5,"),
        before=((":71A:BEN", ":71A:OUR"), (":71F:USD5,\n:71F:USD10,", ":71G:EUR5,")),
    ),
    case("T36 operation", "MT103STP", (":23B:CRED", ":23B:CASH")),
    case("T48 instruction", "MT103", (":23E:PHON/44 20 0000", ":23E:FAXT")),
    case(
        "D67 instructions_that_exclude_each_other", "MT103", (":23E:PHON/44 20 0000", ":23E:PHON/44 20 0000\n:23E:TELE")
    ),
    case("E46 instruction_once", "MT103", (":23E:PHON/44 20 0000", ":23E:PHON/44 20 0000\n:23E:PHON/44")),
    case("C25 what_is_cancelled", "MT192", (":79:/DUPL/\nSENT TWICE\n:20:PAY0001\n:32A:260304EUR995,\n", "")),
    case("C31 what_is_answered", "MT196", ("OF MONDAY\n", "OF MONDAY\n:20:PAY0001\n")),
    case(
        "T10 number_of_receipts",
        "MT210",
        (":21:TRADE5430002", ":21:A\n:32B:EUR1,\n:52A:AAAAFRPP\n" * 9 + ":21:TRADE5430002"),
    ),
    case("C06 ordering_party", "MT210", (":50C:EEEENL2AXXX\n", "")),
    case("C02 currency_of_receipts", "MT210", (":32B:EUR20,", ":32B:USD20,")),
    case("C06 ordering_party_of_credit", "MT910", (":52A:AAAAFRPPXXX\n", "")),
    case("C24 information_of_entry", "MT940", (":61:260304C20,NTRFNONREF", ":86:AGAIN\n:61:260304C20,NTRFNONREF")),
    case("C27 currency_of_balances", "MT950", (":64:D260304EUR", ":64:D260304USD")),
]


def changed(text: str, edits: tuple[tuple[str, str], ...]) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def broken(text: str, message_type: str, rule: str) -> list[tuple[str, str]]:
    _, violations = judge().read(fields_of(text), message_type)
    structural = [one.text for one in violations if one.severity == "error" and not one.code[4:5].isupper()]
    assert structural == []
    because = RULES[rule].because
    return [(one.code, one.severity) for one in violations if because in one.text]


@pytest.mark.parametrize("this", CASES, ids=lambda this: f"{this.rule} {this.message}")
def test_a_rule_holds_and_is_broken(this: Case) -> None:
    message_type = this.message.partition(".")[0]
    rule = RULES[this.rule]
    valid = changed(golden(this.message), this.before)
    assert broken(valid, message_type, this.rule) == []
    severity = "warning" if rule.likely else "error"
    assert set(broken(changed(valid, this.breaks), message_type, this.rule)) == {(rule.code, severity)}


def test_every_rule_has_a_case() -> None:
    assert {this.rule for this in CASES} == set(RULES)


def _items(place: Place, rule: NetworkRule, message_type: str) -> list[FieldDefinition | SequenceDefinition]:
    """Return what a definition has at a place: fields, or sequences."""
    root = definitions().message(message_type).root
    every = [root, *(one for one in root.walk() if isinstance(one, SequenceDefinition))]
    here = [root] if place.root or not rule.each else [one for one in every if rule.each in (one.id, one.block)]
    for step in place.steps:
        inside = [below for one in here for below in one.items if isinstance(below, SequenceDefinition)]
        here = [below for below in inside if step in (below.id, below.block)]
    if not place.number:
        return list(here)
    fields = [below for one in here for below in one.items if isinstance(below, FieldDefinition)]
    return [
        one for one in fields if one.number == place.number and (place.letter == "a" or place.letter in one.letters)
    ]


@pytest.mark.parametrize("name", sorted(RULES))
def test_what_a_rule_speaks_of_is_in_its_messages(name: str) -> None:
    rule = RULES[name]
    for message_type in rule.messages:
        for place in rule.places:
            if place.steps == ("COPY",):
                assert definitions().message(message_type).open_end
                continue
            items = _items(place, rule, message_type)
            optional = message_type == "MT950" and place.number == "65"  # MT940 has it
            assert items or optional, (message_type, place.text)
            for item in items:
                rows = item.rows if isinstance(item, FieldDefinition) else ()
                if rows and all(row.qualifiers for row in rows):
                    known = {one for row in rows for one in row.qualifiers}
                    assert not place.qualifiers or place.qualifiers & known, (message_type, place.text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rule E1 a\nmessages MT541\nrequire 19A SETT\nbecause x\nsource y", 1),
        ("rule E1 a\nmessages MT541\nrequire maybe 19A SETT\nbecause x\nsource y, sure", 3),
        ("rule E1 a\nmessages MT541\nrequires 19A SETT", 3),
    ],
)
def test_a_mistake_in_a_rule_file_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=rf"own.rules, line {line}:"):
        parse_rules(text, "own.rules")
