"""Translation loses nothing that its report does not name: there, and back again."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway import cli
from gateway.errors import BuildError, ConfigError, GatewayError, InvalidMessage, UnreadableMessage
from gateway.messages.translation import Translation, Untranslatable
from gateway.messages.translation.additions import parse_additions
from gateway.messages.translation.leaves import leaves_of
from gateway.model.events import parse_event
from gateway.model.facts import Reply
from tests.examples import IDENTITY, document, messages, profile
from tests.reference import needs_reference, shared
from tests.translating import translate, validator

REPLIES = sorted((Path(__file__).parent / "messages" / "replies").glob("sese.024*.xml"))
GOLDEN = Path(__file__).parent / "golden"
PENDING = next(path for path in REPLIES if "pending" in path.name)
SAME_MEANING = ("goes over lines", "goes over lines, within words", "to the second")


def instruction(**changes: Any) -> dict[str, Any]:
    """Return an instruction of which FIN has a place for all that is said."""
    event = document("instruct_settlement/1")
    for name in (
        "unique_transaction_identifier",
        "linkages",
        "hold_reasons",
        "modification_cancellation_allowed",
        "eligible_as_collateral",
        "return_leg",
        "investors",
    ):
        del event[name]
    del event["other_amounts"]["network_fee"]
    event |= {
        "security_description": "SAP SE ORDINARY SHARES",
        "trade_conditions": ["CCPN"],
        "settlement_conditions": ["NOMC"],
        "delivering_parties": [{"bic": "DELVDEFFXXX"}, {"name": "Example Asset Management"}],
        "receiving_parties": [{"bic": "AGNTDEFFXXX"}, {"bic": "CLNTUS33", "safekeeping_account": "7001"}],
        "hold": True,
    }
    return {name: value for name, value in (event | changes).items() if value is not None}


def iso(event: dict[str, Any]) -> bytes:
    """Build the sese.023 of an instruction."""
    return messages().build(parse_event(json.dumps(event).encode()), profile(), IDENTITY).content


def said(content: bytes) -> Counter[tuple[str, str]]:
    """Count what the text of a message says, by paths without numbers; white space does not count."""
    parsed = validator().parse(content)
    assert parsed.document is not None
    found = leaves_of(parsed.document[0])
    return Counter((_plain(leaf.shown), " ".join(leaf.value.split())) for leaf in found)


def _plain(path: str | None) -> str:
    """Leave out numbers, those of a chain's parties too: where one of them is lost the others move up."""
    return re.sub(r"\[\d+\]|(?<=Pty)\d", "", path or "")


def named(made: Translation) -> Counter[tuple[str, str]]:
    """Count what the report says is lost, in the same way."""
    lost = (*made.report.not_carried, *made.report.truncated)
    return Counter((_plain(e.source), " ".join(e.value.split())) for e in lost)


def accounts_for_everything(content: bytes, made: Translation) -> None:
    """Every value of the source is told of: carried, truncated or not carried."""
    parsed = validator().parse(content)
    assert parsed.document is not None
    report = made.report
    told = {entry.source for kind in (report.carried, report.truncated, report.not_carried) for entry in kind}
    for leaf in leaves_of(parsed.document[0]):
        parts = leaf.tags[-1] in ("date", "time", "offset", "moment")  # a moment is told as one, or by its parts
        assert leaf.shown in told or (parts and any(str(path).startswith(leaf.shown[:-4]) for path in told)), leaf.shown
    assert not {e.source for e in report.carried} & {e.source for e in report.not_carried if " " not in (e.why or " ")}


def loses_only_what_is_named(content: bytes) -> tuple[Translation, Translation]:
    """Translate there and back."""
    there = translate(content)
    accounts_for_everything(content, there)
    back = translate(there.content, there.source)
    accounts_for_everything(there.content, back)
    assert said(content) - said(back.content) <= named(there), (there.report.not_carried, back.report.not_carried)
    return there, back


# Instructions ---------------------------------------------------------------------------------------------------------


def test_an_instruction_that_fin_can_say_goes_there_and_back_without_loss() -> None:
    content = iso(instruction())
    there, back = loses_only_what_is_named(content)
    assert (there.source, there.definition) == ("sese.023.001.12", "MT543")
    assert (there.report.not_carried, there.report.truncated) == ([], [])
    assert there.report.complete
    assert back.report.complete
    assert {entry.why for entry in there.report.carried} - {None} <= {
        *SAME_MEANING,
        "movement = deliver",
        "payment = against",
    }


@pytest.mark.parametrize(
    ("movement", "payment", "message"),
    [
        ("receive", "free", "MT540"),
        ("receive", "against", "MT541"),
        ("deliver", "free", "MT542"),
        ("deliver", "against", "MT543"),
    ],
)
def test_the_message_type_says_movement_and_payment(movement: str, payment: str, message: str) -> None:
    free = dict.fromkeys(("settlement_amount", "value_date", "accrued_interest_included", "stamp_duty_included"))
    event = instruction(movement=movement, payment=payment, **(free if payment == "free" else {}))
    there, _ = loses_only_what_is_named(iso(event))
    assert there.definition == message
    carried = {entry.source: entry.target for entry in there.report.carried}
    assert carried["SttlmTpAndAddtlParams/SctiesMvmntTp"] == message
    assert carried["SttlmTpAndAddtlParams/Pmt"] == message


def test_what_fin_has_no_place_for_is_named_with_path_and_value() -> None:
    content = iso(instruction(unique_transaction_identifier="529900T8BM49AURSDO55TRADE0001", return_leg=False))
    there, _ = loses_only_what_is_named(content)
    assert {(entry.source, entry.value) for entry in there.report.not_carried} == {
        ("TradDtls/UnqTxIdr", "529900T8BM49AURSDO55TRADE0001"),
        ("SttlmParams/RtrLeg", "false"),
    }
    assert all("MT543 has no place for" in (entry.why or "") for entry in there.report.not_carried)


def test_a_text_with_other_characters_is_not_carried_and_the_rest_is() -> None:
    there, _ = loses_only_what_is_named(iso(instruction(security_description="Société <A>")))
    (entry,) = there.report.not_carried
    assert (entry.source, entry.value) == ("FinInstrmId/Desc", "Société <A>")
    assert "35 characters of set X" in (entry.why or "")


def test_nothing_is_truncated_unless_asked_and_what_is_says_so() -> None:
    content = iso(instruction(security_description="FOUR LINES OF THIRTY FIVE " * 5 + "END"))
    content = content.replace(b"FOUR LINES", b"FOUR  LINES")
    content = iso(instruction(security_description=("A" * 34 + " ") * 3 + "B" * 20 + " " + "C" * 13))
    whole, _ = loses_only_what_is_named(content)
    assert whole.report.complete
    long = iso(instruction(processing_text=("WORD " * 70).strip()))
    plain = translate(long)
    assert plain.report.truncated == []
    reference = iso(instruction(common_reference="R" * 30))
    (lost,) = translate(reference).report.not_carried
    assert (lost.source, lost.target) == ("SttlmTpAndAddtlParams/CmonId", None)
    cut = translate(reference, truncate=True)
    (entry,) = cut.report.truncated
    assert (entry.source, entry.target) == ("SttlmTpAndAddtlParams/CmonId", "GENL/LINK_COMM/20C/reference")
    assert (entry.value, entry.why) == ("R" * 30, f"now {'R' * 16!r}")
    assert not cut.report.complete


def test_a_part_in_a_chain_that_its_place_does_not_say_is_named() -> None:
    content = translate(iso(instruction(delivering_parties=[{"bic": "CLNTUS33"}]))).content
    made = translate(content.replace(b":95P::DEAG//CLNTUS33", b":95P::SELL//CLNTUS33"))
    (entry,) = made.report.not_carried
    assert (entry.source, entry.value) == ("SETDET/SETPRTY_SELL/95P/bic", "seller")
    assert "delivering_agent" in (entry.why or "")


def test_a_target_that_wants_more_is_refused_with_what_it_wants_and_how_far_it_went() -> None:
    content = iso(instruction(safekeeping_account="A" * 35 + ""))
    made = translate(content)
    assert made.report.complete
    content = iso(instruction(receiving_parties=[{"bic": "AGNTDEFFXXX"}, {"bic": "CLNTUS33"}, {"name": "Ørsted"}]))
    with pytest.raises(Untranslatable) as refused:
        translate(content)
    assert refused.value.code == "translation_incomplete"
    assert refused.value.violations
    assert "RcvgSttlmPties/Pty3/Id/NmAndAdr/Nm" in {e.source for e in refused.value.report.not_carried}


def test_another_version_is_a_translation_too() -> None:
    made = translate(iso(instruction(unique_transaction_identifier="529900T8BM49AURSDO55TRADE0001")), "sese.023.001.10")
    assert made.definition == "sese.023.001.10"
    assert [entry.source for entry in made.report.not_carried] == ["TradDtls/UnqTxIdr"]


CODES = ("TRAD", "REPU", "TURN", "PORT", "OWNI")
OPTIONAL = sorted(
    name
    for name in instruction()
    if name
    not in {
        *("schema", "event_id", "source", "occurred_at", "counterparty", "trade_id", "instruction_number"),
        *("movement", "payment", "isin", "quantity", "trade_date", "settlement_date", "safekeeping_account"),
        *("place_of_settlement", "transaction_type", "settlement_amount", "receiving_parties", "value_date"),
        *("accrued_interest_included", "stamp_duty_included"),
    }
)
TEXTS = st.text("ABCxyz019 /-?:().,'+é<\n", min_size=1, max_size=60).filter(lambda text: text.strip() != "")
PARTIES = st.lists(
    st.one_of(
        st.just({"bic": "AGNTDEFFXXX"}),
        st.fixed_dictionaries({"name": st.sampled_from(["Example", "A B C", "Société"])}),
        st.just({"proprietary": {"identification": "7046", "issuer": "CSDX"}, "processing_reference": "REF-1"}),
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def instructions(draw: st.DrawFn) -> dict[str, Any]:
    event = instruction()
    for name in draw(st.sets(st.sampled_from(OPTIONAL))):
        del event[name]
    event |= {
        "transaction_type": draw(st.sampled_from(CODES)),
        "safekeeping_account": draw(st.sampled_from(["CUST-4711", "A" * 35, "Größe"])),
        "quantity": {"type": draw(st.sampled_from(["unit", "face_amount"])), "value": str(draw(st.integers(1, 10**9)))},
        "receiving_parties": draw(PARTIES),
        "processing_text": draw(TEXTS),
        "settlement_amount": {"value": str(draw(st.decimals(0, 10**9, places=2))), "currency": "EUR"},
    }
    return event


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(instructions())
def test_any_instruction_there_and_back_loses_only_what_is_named(event: dict[str, Any]) -> None:
    try:
        parsed = parse_event(json.dumps(event).encode())
        content = messages().build(parsed, profile(), IDENTITY).content
    except GatewayError:  # what no message can say is not what is asked here
        return
    try:
        there = translate(content)
    except Untranslatable as refused:  # only where something of the source has no place in the target
        lost = refused.report.not_carried
    else:
        lost = [*there.report.not_carried, None] if there.report.complete else there.report.not_carried
        loses_only_what_is_named(content)
    assert lost


# Cancellations --------------------------------------------------------------------------------------------------------


def cancelled(original: bytes) -> bytes:
    """Return the cancellation of an instruction in FIN, as its sender writes it."""
    text = original.decode()
    link = ":16R:LINK\r\n:20C::PREV//TX00000000000001\r\n:16S:LINK\r\n:16S:GENL"
    text = text.replace(":20C::SEME//TX00000000000001", ":20C::SEME//CANCEL1").replace(":23G:PREA", ":23G:CANC")
    return text.replace(":16S:GENL", link).replace("{108:BM00000000000001}", "{108:CANCEL1}").encode()


def test_a_cancellation_in_fin_names_the_instruction_and_its_terms() -> None:
    made = translate(cancelled(translate(iso(instruction())).content))
    accounts_for_everything(cancelled(translate(iso(instruction())).content), made)
    assert made.definition == "sese.020.001.08"
    stated = dict(said(made.content))
    assert stated["AcctOwnrTxId/SctiesSttlmTxId/TxId", "TX00000000000001"] == 1
    assert stated["TxDtls/SttlmAmt/Amt", "EUR 61234.56"] == 1
    assert b"<BizMsgIdr>CANCEL1</BizMsgIdr>" in made.content


@pytest.mark.parametrize("language", ["FIN", "ISO 20022"])
def test_a_cancellation_becomes_its_original_again_with_the_original_in_either_language(language: str) -> None:
    original = translate(iso(instruction())).content
    request = translate(cancelled(original)).content
    made = translate(request, "MT543", original=original if language == "FIN" else iso(instruction()))
    assert made.report.complete
    assert said(made.content) == said(cancelled(original))


def test_a_cancellation_without_its_original_or_with_another_is_refused() -> None:
    original = translate(iso(instruction())).content
    request = translate(cancelled(original)).content
    with pytest.raises(BuildError) as refused:
        translate(request)
    assert refused.value.code == "translation_needs_original"
    with pytest.raises(BuildError, match="another instruction"):
        translate(request, original=original.replace(b"SEME//TX00000000000001", b"SEME//TX2"))


@pytest.mark.parametrize("size", ["complete", "minimal"])
@pytest.mark.parametrize(("definition", "message"), [("sese.030.001.10", "MT530"), ("sese.021.001.07", "MT549")])
def test_requests_go_by_their_tables_like_instructions(definition: str, message: str, size: str) -> None:
    content = (GOLDEN / f"{definition}.{size}.xml").read_bytes()
    made = translate(content)
    accounts_for_everything(content, made)
    assert made.definition == message


# Answers --------------------------------------------------------------------------------------------------------------


def status_in_fin(*fields: str) -> bytes:
    """Return a status advice in FIN: its last status is still to be ended."""
    head = [":16R:GENL", ":20C::SEME//STATUS1", ":23G:INST", ":98C::PREP//20260312081530"]
    link = [":16R:LINK", ":20C::RELA//TX00000000000001", ":16S:LINK", ":16R:STAT"]
    text = "\r\n".join([*head, *link, *fields, ":16S:STAT", ":16S:GENL"])
    return f"{{1:F01BRKRGB2LAXXX0000000000}}{{2:I548CSDXDEFFXXXXN}}{{4:\r\n{text}\r\n-}}".encode()


def test_a_proprietary_status_is_never_written_as_the_standard_one_of_the_same_letters() -> None:
    content = (REPLIES[0].parent / "sese.024.002.12_proprietary.xml").read_bytes()
    assert b":25D::IPRC//HOLD" in translate(content).content
    with pytest.raises(Untranslatable) as refused:
        translate(content.replace(b"<Id>HOLD</Id>", b"<Id>REJT</Id>"))
    assert b":25D::IPRC//REJT" not in str(refused.value.report).encode()


def test_a_status_advice_in_fin_is_carried_with_every_field() -> None:
    made = translate(status_in_fin(":25D::SETT//PEND", ":16R:REAS", ":24B::PEND//LACK", ":16S:REAS"))
    assert (made.definition, made.report.complete) == ("sese.024.001.14", True)


def test_a_message_that_says_several_things_at_once_is_refused_with_what_they_are() -> None:
    several = status_in_fin(":25D::TPRC//COMP", ":16S:STAT", ":16R:STAT", ":25D::SETT//PEND")
    with pytest.raises(BuildError, match="RequestAdvice and StatusAdvice at once") as refused:
        translate(several)
    assert refused.value.code == "translation_unknown"


def facts(content: bytes) -> Reply:
    return messages().read(content)


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.stem)
def test_a_status_advice_there_and_back_says_the_same_but_for_what_is_named(path: Path) -> None:
    content = path.read_bytes()
    if "proprietary" in path.name:  # the way back wants who issues the code, which FIN has said nowhere
        with pytest.raises(Untranslatable, match="Issr"):
            translate(translate(content).content, "sese.024.002.12")
        return
    there, back = loses_only_what_is_named(content)
    assert there.definition == "MT548"
    if not any("Sts/" in (entry.source or "") for entry in there.report.not_carried):
        ((_, fact),), ((_, again),) = facts(content).facts, facts(back.content).facts
        assert again == fact
        assert facts(there.content).facts[0][1] == fact


def test_reasons_stand_beside_their_status_with_its_qualifier() -> None:
    made = translate(PENDING.read_bytes())
    text = made.content.decode()
    assert ":25D::MTCH//NMAT\r\n:16R:REAS\r\n:24B::NMAT//DMON\r\n:70D::REAS//Amount differs by 12.50" in text
    targets = {entry.source: entry.target for entry in made.report.carried}
    assert targets["MtchgSts/Umtchd/Rsn[2]/Cd/Cd"] == "GENL/STAT_MTCH/REAS[2]/24B_NMAT/reason_code"


def test_an_identifier_that_is_too_long_for_fin_is_replaced_and_named() -> None:
    made = translate(PENDING.read_bytes())
    (lost,) = [entry for entry in made.report.not_carried if entry.source == "AppHdr/BizMsgIdr"]
    assert lost.value == "RPLSESE02400113PENDING"
    derived = {entry.target: entry.value for entry in made.report.derived}
    assert re.fullmatch("[0-9A-V]{16}", derived["GENL/20C_SEME/reference"])
    assert translate(PENDING.read_bytes()).content == made.content


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_message_that_has_no_other_language_says_what_it_can_become() -> None:
    with pytest.raises(BuildError) as refused:
        translate(iso(instruction()), "MT300")
    assert refused.value.code == "translation_unknown"
    assert "MT543" in refused.value.text


def test_a_message_without_a_header_needs_its_parties_named() -> None:
    content = re.sub(rb"<AppHdr.*</AppHdr>", b"", iso(instruction()))
    with pytest.raises(BuildError) as refused:
        translate(content)
    assert refused.value.code == "translation_needs_parties"
    made = translate(content, sender="OURSGB2LXXX", receiver="CUSTGB2LXXX")
    assert {(e.target, e.value) for e in made.report.derived} >= {
        ("header/sender", "OURSGB2LXXX"),
        ("header/receiver", "CUSTGB2LXXX"),
    }


def test_what_is_not_valid_is_not_translated() -> None:
    with pytest.raises(InvalidMessage):
        translate(iso(instruction()).replace(b"<Pmt>APMT</Pmt>", b"<Pmt>XXXX</Pmt>"))
    with pytest.raises(UnreadableMessage):
        translate(b"no message")


def test_a_possible_duplicate_stays_one() -> None:
    content = messages().mark_possible_duplicate(iso(instruction()))
    there = translate(content)
    assert b"{PDE:" in there.content
    assert b"<PssblDplct>true</PssblDplct>" in translate(there.content).content


def test_a_line_of_additions_that_says_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"facts\.add, line 2"):
        parse_additions("MT548 becomes sese.024\nMT548 GENL/23G\n", "facts.add")


# Other people's messages ----------------------------------------------------------------------------------------------


@needs_reference
def test_every_value_of_other_peoples_messages_is_accounted_for() -> None:
    translated = Counter[str]()
    for message in ("MT540", "MT541", "MT542", "MT543", "MT548", "sese.020", "sese.023", "sese.024"):
        for path in sorted((shared() / "samples" / message).iterdir()):
            content = path.read_bytes()
            try:
                made = translate(content, sender="OURSGB2LXXX", receiver="CUSTGB2LXXX")
            except (InvalidMessage, UnreadableMessage, BuildError):
                continue  # not valid, or without what the other language wants: the reason is told
            accounts_for_everything(content, made)
            translated[message] += 1
    assert {"MT540", "MT541", "MT543"} <= set(translated)


# On the command line --------------------------------------------------------------------------------------------------

cli._mount(["translate"])


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["translate", *arguments])


def test_the_command_writes_the_message_and_names_what_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "instruction.xml"
    file.write_bytes(iso(instruction()))
    whole = run(str(file))
    assert (whole.exit_code, whole.stderr) == (0, "")
    assert whole.stdout.startswith("{1:F01OWNRDEFFAXXX")
    file.write_bytes(iso(instruction(return_leg=False)))
    less = run(str(file), "-o", str(tmp_path / "out.fin"))
    assert (less.exit_code, less.stdout) == (1, "")
    assert "not carried (1)\n  SttlmParams/RtrLeg  false" in less.stderr
    assert (tmp_path / "out.fin").read_bytes().startswith(b"{1:F01")


def test_the_command_shows_the_whole_coverage_or_gives_it_as_json(tmp_path: Path) -> None:
    file = tmp_path / "status.xml"
    file.write_bytes(PENDING.read_bytes())
    shown = run(str(file), "--report")
    assert shown.exit_code == 1
    assert shown.stdout.startswith("sese.024.001.13 to MT548\ncarried (")
    given = run(str(file), "--json")
    told = json.loads(given.stdout)
    assert (told["from"], told["to"], told["complete"]) == ("sese.024.001.13", "MT548", False)
    assert {"source": "TxId/CmonId", "target": "GENL/LINK_COMM/20C/reference", "value": "COMMON1"} in told["carried"]
    assert told["message"].startswith("{1:F01")
