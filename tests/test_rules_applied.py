"""Rules at work: what they refuse is parked whole, what they warn of is recorded; guidelines; the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import _mount, app
from gateway.errors import ConfigError
from gateway.messages import Messages
from gateway.messages.schema_files import guideline_directory, import_schemas, load_catalogue, load_rulebook
from gateway.messages.xsd_text import SchemaRefused
from gateway.model.profile import Profile
from gateway.store import Ledger, tables
from tests.examples import IDENTITY, OWN_BIC, document, encode
from tests.loops import CHANNEL, Loops, instruct, party, settings_for, settled
from tests.rule_cases import catalogue, message

OWN = """pack own
title Own rules
outgoing error

rule own_quantity
messages sese.023
require QtyAndAcctDtls/SttlmQty/Qty/Unit <= 100
because no more than 100 at once

rule own_reference
messages sese.023
require TxId begins with "Q"
outgoing warning
because references begin with Q

rule own_settled
messages sese.025
require QtyAndAcctDtls/SttldQty/Qty/Unit <= 100
incoming error
because no more than 100 at once
"""


async def gateway(ledger_url: str, **profile: Any) -> Loops:
    """Give a gateway whose first counterparty has a profile of its own."""
    settings = settings_for(ledger_url, counterparties=[party(CHANNEL, **profile)])
    return Loops(await Ledger.open(ledger_url), settings)


@pytest.fixture
def own_rules(tmp_path: Path) -> Path:
    """Give a folder of own rules."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "own.rules").write_text(OWN)
    return folder


def messages(folder: Path | None, **profile: Any) -> tuple[Messages, Profile]:
    made = Profile.model_validate(party("CUSTGB2LXXX", **profile))
    found = load_catalogue(Path("/nonexistent"))
    return Messages(found, [made], OWN_BIC, load_rulebook(found, folder)), made


# --- the loops --------------------------------------------------------------------------------------------------------


async def test_an_instruction_that_breaks_a_rule_is_parked_with_everything_it_breaks(ledger_url: str) -> None:
    loops = await gateway(ledger_url, rules=["csdr", "smpg"])
    await loops.take_in(instruct(receiving_parties=[{"name": "Receiver"}], settlement_date="2026-04-03"))
    item = await loops.only_parked()
    assert (item.summary.stage, item.summary.code) == ("event", "message_breaks_rules")
    found = {(violation.code, violation.severity) for violation in item.violations}
    assert found == {
        ("csdr_receiving_party", "error"),
        ("smpg_settlement_currency_day", "warning"),
        ("smpg_depository_day", "warning"),
        ("smpg_buyer", "warning"),
    }
    assert [violation.severity for violation in item.violations] == sorted(v.severity for v in item.violations)
    assert await loops.rows(tables.outbox) == []
    await loops.ledger.close()


async def test_a_settlement_date_on_which_a_calendar_is_closed_is_sent_with_a_warning(ledger_url: str) -> None:
    loops = await gateway(ledger_url, rules=["smpg"])
    [result] = await loops.take_in(instruct(settlement_date="2026-04-03"))
    assert result.outcome == "instructed", await loops.parked()
    [alert] = result.alerts
    assert alert.code == "rule_warning"
    assert "smpg_settlement_currency_day" in alert.text
    assert "smpg_depository_day" in alert.text
    await loops.ledger.close()


async def test_what_a_rule_warns_of_is_sent_recorded_and_told_upstream(ledger_url: str) -> None:
    loops = await gateway(ledger_url, rules=["smpg"])
    [result] = await loops.take_in(instruct())
    assert result.outcome == "instructed", await loops.parked()
    assert [alert.code for alert in result.alerts] == ["rule_warning"]
    assert "smpg_buyer" in result.alerts[0].text
    [told] = await loops.published("status")
    assert [alert["code"] for alert in told["alerts"]] == ["rule_warning"]
    await loops.send()
    assert len(loops.arrived()) == 1
    entry = (await loops.story()).history[0]
    assert [alert.code for alert in entry.alerts] == ["rule_warning"]
    await loops.prove()
    await loops.ledger.close()


async def test_a_reply_that_a_rule_warns_of_is_applied_with_an_alert(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    left = b"<RmngToBeSttldQty><Unit>300</Unit></RmngToBeSttldQty>"
    await loops.hear(settled("200", "24493.82", partial="PAIN").replace(left, b""))
    assert await loops.headline() == "partially_settled"
    [alert] = (await loops.story()).history[-1].alerts
    assert alert.code == "rule_warning"
    assert "partial_confirmation_remainder" in alert.text


async def test_a_status_advice_without_a_status_is_parked(loops: Loops) -> None:
    from tests.loops import status

    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(status(""))
    item = await loops.only_parked()
    assert (item.summary.stage, item.summary.code) == ("reply", "message_breaks_rules")
    assert [violation.code for violation in item.violations] == ["status_advice_without_status"]


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_own_rules_are_applied_to_the_counterparty_that_names_them(own_rules: Path) -> None:
    from gateway.errors import InvalidMessage
    from gateway.model.events import parse_event

    event = parse_event(encode(document("instruct_settlement/1")))
    built, profile = messages(own_rules)
    assert built.build(event, profile, IDENTITY).warnings == ()
    built, profile = messages(own_rules, rules=["own"])
    with pytest.raises(InvalidMessage) as refused:
        built.build(event, profile, IDENTITY)
    assert [(v.code, v.severity) for v in refused.value.violations] == [
        ("own_quantity", "error"),
        ("own_reference", "warning"),
    ]
    with pytest.raises(InvalidMessage, match="no more than 100 at once"):
        built.read(settled("500"), profile)
    assert built.read(settled("50"), profile).warnings == ()
    assert built.read(settled("500")).warnings == ()


def test_a_possible_duplicate_is_not_judged_again(own_rules: Path) -> None:
    from gateway.model.events import parse_event

    event = parse_event(encode(document("instruct_settlement/1")))
    plain, profile = messages(None)
    content = plain.build(event, profile, IDENTITY).content
    strict, _ = messages(own_rules, rules=["own"])
    assert b"<PssblDplct>true" in strict.mark_possible_duplicate(content)


@pytest.mark.parametrize(
    ("profile", "what"),
    [
        ({"rules": ["csd"]}, "counterparty CUSTGB2LXXX: rules: no pack 'csd'; did you mean csdr?"),
        ({"guidelines": {"outgoing": "bank"}}, "guidelines: no guideline 'bank'"),
    ],
)
def test_a_profile_that_names_what_is_not_there_stops_the_start(profile: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what.replace("?", r"\?")):
        messages(None, **profile)


# --- guidelines -------------------------------------------------------------------------------------------------------


def guideline(folder: Path, name: str, definition: str, before: str, after: str) -> None:
    """Import a usage guideline that differs from the standard schema in one place."""
    xsd = catalogue().xsd(definition).decode()
    assert xsd.count(before) == 1, xsd.count(before)
    (folder / "guideline.xsd").write_text(xsd.replace(before, after))
    [imported] = import_schemas([folder / "guideline.xsd"], guideline_directory(folder / "own", name))
    assert imported.refusal is None


def test_a_guideline_refuses_what_the_standard_allows_and_only_in_its_direction(tmp_path: Path) -> None:
    from gateway.errors import InvalidMessage
    from gateway.model.events import parse_event

    xsd = catalogue().xsd("sese.023.001.12").decode()
    before = next(line for line in xsd.splitlines() if 'name="LateDlvryDt"' in line)
    guideline(tmp_path, "bank", "sese.023.001.12", before, before.replace('minOccurs="0"', 'minOccurs="1"'))
    found = load_catalogue(tmp_path / "own")
    assert found.guidelines() == ["bank"]
    event = document("instruct_settlement/1")
    del event["late_delivery_date"]
    parsed = parse_event(encode(event))
    for guidelines, refused in (({"outgoing": "bank"}, True), ({"incoming": "bank"}, False)):
        profile = Profile.model_validate(party("CUSTGB2LXXX", guidelines=guidelines))
        built = Messages(found, [profile], OWN_BIC)
        if not refused:
            assert built.build(parsed, profile, IDENTITY).warnings == ()
            continue
        with pytest.raises(InvalidMessage) as error:
            built.build(parsed, profile, IDENTITY)
        assert error.value.code == "message_breaks_guideline"
        assert "the guideline bank" in error.value.text
        assert [violation.code for violation in error.value.violations] == ["element_missing"]


@pytest.mark.parametrize("name", ["", "../bank", "a/b", ".hidden"])
def test_a_guideline_has_a_name_that_is_a_file_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SchemaRefused, match="is no name of a guideline"):
        guideline_directory(tmp_path, name)


# --- the command line -------------------------------------------------------------------------------------------------

_mount(["rules", "validate", "schemas"])


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, ConfigError):
        return 2, result.exception.text
    return result.exit_code, result.output


def test_rules_are_listed_by_pack_with_the_versions_in_which_they_say_nothing() -> None:
    code, output = run("rules", "list", "--pack", "t2s")
    assert code == 0
    assert output.startswith(
        "t2s: Instructions that settle in TARGET2-Securities\n  t2s_currency  (sese.023; outgoing error)"
    )
    assert "isin_check_digit" not in output
    code, output = run("rules", "list", "--message", "pacs.008", "--json")
    records = [json.loads(line) for line in output.splitlines()]
    third = next(record for record in records if record["code"] == "payment_third_intermediary")
    assert third["asserts"] == ["forbid IntrmyAgt3 or IntrmyAgt2Acct"]
    assert {"isin_check_digit", "cbpr_uetr"} <= {record["code"] for record in records}
    assert "csdr_isin" not in {record["code"] for record in records}
    assert run("rules", "list", "--pack", "t3s")[0] == 2


def test_a_rule_is_explained() -> None:
    code, output = run("rules", "explain", "settlement_amount_against_payment")
    assert code == 0
    for said in (
        "an instruction against payment states its settlement amount",
        "when      SttlmTpAndAddtlParams/Pmt is APMT",
        "require   SttlmAmt",
        "outgoing  error",
        "incoming  warning",
        "sese.023.001.12",
    ):
        assert said in output
    code, output = run("rules", "explain", "settlement_amount")
    assert code == 2
    assert "did you mean" in output


def test_a_rule_file_is_tested_against_messages(tmp_path: Path) -> None:
    file, good, bad = tmp_path / "own.rules", tmp_path / "good.xml", tmp_path / "bad.xml"
    file.write_text(OWN)
    good.write_bytes(message("instruction", ["QtyAndAcctDtls/SttlmQty/Qty/Unit = 50", "TxId = Q1"]))
    bad.write_bytes(message("instruction"))
    code, output = run("rules", "test", str(file), str(good))
    assert code == 0
    assert "pack own, 3 rules, no mistakes" in output
    assert [line.split() for line in output.splitlines() if "own_" in line] == [
        ["holds", "own_quantity"],
        ["holds", "own_reference"],
        ["not", "about", "it", "own_settled"],
    ]
    code, output = run("rules", "test", str(file), str(bad))
    assert code == 1
    assert "BROKEN        own_quantity" in output
    file.write_text(OWN.replace("TxId begins", "TxIdent begins"))
    code, output = run("rules", "test", str(file))
    assert code == 2
    assert f"{file}, line 10: rule own_reference: no version of sese.023 has TxIdent" in output


def test_messages_are_validated_by_packs_and_by_a_counterparty_s_profile(tmp_path: Path, own_rules: Path) -> None:
    file, config = tmp_path / "message.xml", tmp_path / "gateway.toml"
    file.write_bytes(message("instruction", ["- TradDtls/TradDt", "SttlmAmt/CdtDbtInd = CRDT"]))
    assert run("validate", str(file))[0] == 0
    code, output = run("validate", str(file), "--profile", "smpg")
    assert code == 1
    assert "smpg_trade_date" in output
    assert "warning, smpg_debit_of_receipt" in output
    assert run("validate", str(file), "--profile", "smpg", "--direction", "incoming")[0] == 0
    config.write_text(
        f"""
        gateway.bic = "OURSGB2LXXX"
        rules.directory = "{own_rules}"
        [[counterparties]]
        bic = "CUSTGB2LXXX"
        name = "Custodian"
        rules = ["own"]
        channel = {{ carrier = "folder", outbound = "out", inbound = "in" }}
        """
    )
    code, output = run("validate", str(file), "--json", "--profile", "CUSTGB2L", "--config", str(config))
    assert code == 1
    found = json.loads(output)["violations"]
    assert [violation["code"] for violation in found] == ["own_quantity", "own_reference"]
    code, output = run("validate", str(file), "--profile", "smgp")
    assert code == 2
    assert "did you mean smpg?" in output


def test_a_guideline_is_imported_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "official.xsd").write_bytes(catalogue().xsd("pacs.009.001.08"))
    own = str(tmp_path / "own")
    code, output = run(
        "schemas", "import", str(tmp_path / "official.xsd"), "--guideline", "bank", "--user-directory", own
    )
    assert code == 0, output
    assert (tmp_path / "own" / "guidelines" / "bank" / "pacs.009.001.08.xsd").is_file()
    assert load_catalogue(tmp_path / "own").origin("pacs.009.001.08") == "dictionary"
