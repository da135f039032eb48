"""The parser is safe, envelopes are opened, and every refusal is explained."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from lxml import etree
from typer import Typer
from typer.testing import CliRunner

from gateway.cli.messages import validate
from gateway.errors import UnreadableMessage, Violation
from gateway.messages.catalogue import Catalogue
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator

from .documents import mutations, random_document

REPLIES = Path(__file__).parent / "messages" / "replies"
HEAD = "urn:iso:std:iso:20022:tech:xsd:head.001.001.02"
ADVICE = "urn:iso:std:iso:20022:tech:xsd:sese.024.001.13"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return load_catalogue(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def validator(catalogue: Catalogue) -> Validator:
    return Validator(catalogue)


def header(prefix: str = "", namespace: str = HEAD) -> str:
    p, x = (f"{prefix}:", f":{prefix}") if prefix else ("", "")
    party = f"<{p}FIId><{p}FinInstnId><{p}BICFI>%s</{p}BICFI></{p}FinInstnId></{p}FIId>"
    return (
        f'<{p}AppHdr xmlns{x}="{namespace}">'
        f"<{p}Fr>{party % 'CSDXDEFFXXX'}</{p}Fr><{p}To>{party % 'BRKRGB2LXXX'}</{p}To>"
        f"<{p}BizMsgIdr>M1</{p}BizMsgIdr><{p}MsgDefIdr>sese.024.001.13</{p}MsgDefIdr>"
        f"<{p}CreDt>2026-03-12T08:15:30Z</{p}CreDt></{p}AppHdr>"
    )


def document(inside: str = "<TxId><AcctOwnrTxId>A1</AcctOwnrTxId></TxId>", namespace: str = ADVICE) -> str:
    return f'<Document xmlns="{namespace}"><SctiesSttlmTxStsAdvc>{inside}</SctiesSttlmTxStsAdvc></Document>'


def prefixed_document() -> str:
    return (
        f'<d:Document xmlns:d="{ADVICE}"><d:SctiesSttlmTxStsAdvc><d:TxId><d:AcctOwnrTxId>A1</d:AcctOwnrTxId></d:TxId>'
        "</d:SctiesSttlmTxStsAdvc></d:Document>"
    )


SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPES = {
    "siblings": f"<RequestPayload>{header()}{document()}</RequestPayload>",
    "prefixes": f"<x:E xmlns:x='urn:any'>{header('h')}{prefixed_document()}</x:E>",
    "envelope in a header namespace": (
        f'<BizMsgEnvlp xmlns="urn:iso:std:iso:20022:tech:xsd:head.003.001.01">{header()}{document()}</BizMsgEnvlp>'
    ),
    "DataPDU": (
        '<Saa:DataPDU xmlns:Saa="urn:swift:saa:xsd:saa.2.0"><Saa:Header><Saa:Message/></Saa:Header>'
        f"<Saa:Body>{header()}{document()}</Saa:Body></Saa:DataPDU>"
    ),
    "SOAP, nested": (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Header/><s:Body><p:Put xmlns:p="urn:p"><p:Hdr>{header()}</p:Hdr>'
        f"<p:Doc>{document()}</p:Doc></p:Put></s:Body></s:Envelope>"
    ),
    "byte order mark": "\ufeff" + f'<?xml version="1.0"?><E>{header()}{document()}</E>',
    "white space before the declaration": f'\n  <?xml version="1.0"?>\n<E>{header()}{document()}</E>\n',
    "comments": f"<!-- a --><E><!-- <Document/> -->{header()}{document()}</E><!-- b -->",
    "Xchg": (
        '<Xchg xmlns="urn:iso:std:iso:20022:tech:xsd:head.002.001.01"><PyldDesc><PyldData><PyldIdr>1</PyldIdr>'
        "<CreDtAndTm>2026-03-12T08:15:30Z</CreDtAndTm></PyldData><PyldTp>x</PyldTp></PyldDesc>"
        f"<Pyld><E xmlns=''>{header()}{document()}</E></Pyld></Xchg>"
    ),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_header_and_document_are_found_in_any_envelope(validator: Validator, name: str) -> None:
    parsed = validator.parse(ENVELOPES[name].encode())
    assert (parsed.message_definition, parsed.header_definition) == ("sese.024.001.13", "head.001.001.02")
    assert parsed.header_value("Fr/FIId/FinInstnId/BICFI") == "CSDXDEFFXXX"
    assert parsed.document_value("SctiesSttlmTxStsAdvc/TxId/AcctOwnrTxId") == "A1"
    assert validator.violations(parsed) == ()
    assert validator.is_valid(parsed)


def test_document_alone_is_a_message(validator: Validator) -> None:
    parsed = validator.parse(document().encode())
    assert (parsed.message_definition, parsed.header_definition, parsed.header) == ("sese.024.001.13", None, None)
    assert parsed.header_value("BizMsgIdr") is None
    assert validator.is_valid(parsed)


def test_header_alone_is_judged(validator: Validator) -> None:
    verdict = validator.check(header("h").encode())
    assert (verdict.message_definition, verdict.header_definition, verdict.valid) == (None, "head.001.001.02", True)


def test_message_without_its_document_element_is_read_as_if_it_were_there(validator: Validator) -> None:
    inside = document().replace(f'<Document xmlns="{ADVICE}"><SctiesSttlmTxStsAdvc>', "").replace("</Document>", "")
    bare = f'<M xmlns="urn:net"><Advice><SctiesSttlmTxStsAdvc xmlns="{ADVICE}">{inside}</Advice></M>'
    parsed = validator.parse(bare.encode())
    assert parsed.document_value("SctiesSttlmTxStsAdvc/TxId/AcctOwnrTxId") == "A1"
    assert validator.is_valid(parsed)


def test_header_of_the_envelope_itself_is_not_judged_but_can_be_asked(validator: Validator) -> None:
    own = (
        header()
        .replace(f'<AppHdr xmlns="{HEAD}">', '<n:AppHdr xmlns:n="urn:net"><n:Own/>')
        .replace("/AppHdr", "/n:AppHdr")
    )
    parsed = validator.parse(f"<E>{own}{document()}</E>".encode())
    assert parsed.header_definition is None
    assert validator.is_valid(parsed)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-15", "windows-1252"])
def test_declared_encodings_are_understood(validator: Validator, encoding: str) -> None:
    inside = "<TxId><AcctOwnrTxId>Zürich</AcctOwnrTxId></TxId>"
    text = f'<?xml version="1.0" encoding="{encoding}"?>{document(inside)}'
    parsed = validator.parse(text.encode(encoding))
    assert parsed.document_value("SctiesSttlmTxStsAdvc/TxId/AcctOwnrTxId") == "Zürich"


def test_comment_or_cdata_inside_a_value_does_not_cut_it(validator: Validator) -> None:
    inside = "<TxId><AcctOwnrTxId>A<!-- x -->B<?pi?>C<![CDATA[&D]]></AcctOwnrTxId></TxId>"
    parsed = validator.parse(document(inside).encode())
    assert parsed.document_values("SctiesSttlmTxStsAdvc/TxId/AcctOwnrTxId") == ["ABC&D"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
HOSTILE = {
    "billion laughs": (f'<!DOCTYPE E [<!ENTITY l0 "ha">{LAUGHS}]><E>&l11;</E>', "xml_forbidden"),
    "billion laughs in an attribute": (f'<!DOCTYPE E [<!ENTITY l0 "ha">{LAUGHS}]><E a="&l11;"/>', "xml_forbidden"),
    "external entity": ('<!DOCTYPE E [<!ENTITY f SYSTEM "file:///etc/hostname">]><E>&f;</E>', "xml_forbidden"),
    "external definition": ('<!DOCTYPE E SYSTEM "http://127.0.0.1:9/e.dtd"><E/>', "xml_forbidden"),
    "parameter entity": ('<!DOCTYPE E [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p">%p;]><E/>', "xml_forbidden"),
    "empty definition": (f"<!DOCTYPE Document>{document()}", "xml_forbidden"),
    "deep": ("<E>" * 5_000 + "</E>" * 5_000, "xml_too_deep"),
    "large": ("<E>" + "x" * 1_000_001 + "</E>", "xml_too_large"),
    "nothing": ("", "xml_malformed"),
    "no XML": ("20C::SEME//1", "xml_malformed"),
    "FIN cut off": ("{1:F01BANKDEFFXXXX0000000000}", "fin_block_missing"),
    "cut off": (document()[:-5], "xml_malformed"),
    "NUL": ("<E>\0</E>", "xml_malformed"),
    "undeclared entity": ("<E>&nbsp;</E>", "xml_malformed"),
    "other XML": ("<html><body/></html>", "envelope_unknown"),
    "Document of another world": ('<Document xmlns="urn:other"/>', "envelope_unknown"),
    "two documents": (f"<E>{document()}{document()}</E>", "envelope_ambiguous"),
    "two headers": (f"<E>{header()}{header()}{document()}</E>", "envelope_ambiguous"),
    "unknown version": (document(namespace=ADVICE[:-2] + "99"), "definition_unknown"),
    "unknown header version": (f"<E>{header(namespace=HEAD[:-2] + '77')}{document()}</E>", "definition_unknown"),
    "namespace of another maker": (document(namespace="urn:swift:xsd:sese.024.001.13"), "definition_unknown"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_bytes_are_refused_with_one_violation(validator: Validator, name: str) -> None:
    text, code = HOSTILE[name]
    with pytest.raises(UnreadableMessage) as refused:
        validator.parse(text.encode())
    assert refused.value.code == code
    assert [violation.code for violation in refused.value.violations] == [code]
    verdict = validator.check(text.encode())
    assert not verdict.valid
    assert verdict.violations == refused.value.violations


@pytest.mark.parametrize("content", [b":16R:GENL\r\n:20C::SEME//1\r\n", b"\xff\x00"])
def test_what_is_neither_xml_nor_fin_is_told_how_both_begin(validator: Validator, content: bytes) -> None:
    with pytest.raises(UnreadableMessage) as refused:
        validator.parse(content)
    [violation] = refused.value.violations
    assert (violation.text, violation.line) == ("the message is neither XML nor FIN", 1)
    assert "begins with <" in violation.rule
    assert "begins with {1:" in violation.rule


def test_hostile_xml_in_another_encoding_is_refused(validator: Validator) -> None:
    with pytest.raises(UnreadableMessage) as refused:
        validator.parse(
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE E [<!ENTITY a "b">]><E>&a;</E>'.encode("utf-16")
        )
    assert refused.value.code == "xml_forbidden"


def test_doctype_as_text_is_no_doctype(validator: Validator) -> None:
    inside = "<TxId><AcctOwnrTxId><![CDATA[<!DOCTYPE a>]]></AcctOwnrTxId></TxId>"
    assert validator.check(document(inside).encode()).valid


def test_schema_location_hints_are_not_followed(validator: Validator, tmp_path: Path) -> None:
    hint = f'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="{ADVICE} {tmp_path}/none.xsd"'
    assert validator.check(document().replace("<Document ", f"<Document {hint} ").encode()).valid


def test_unknown_version_says_how_to_import_it(validator: Validator) -> None:
    verdict = validator.check(document(namespace=ADVICE[:-2] + "99").encode())
    assert verdict.message_definition == "sese.024.001.99"
    assert "gateway schemas import" in verdict.violations[0].text


def test_limits_are_settable(catalogue: Catalogue) -> None:
    strict = Validator(catalogue, max_bytes=2_000, max_depth=6)
    assert strict.check(document().encode()).valid
    nested = f"<A><B><C>{document()}</C></B></A>"
    assert [violation.code for violation in strict.check(nested.encode()).violations] == ["xml_too_deep"]
    assert [violation.code for violation in strict.check(b" " * 2_001).violations] == ["xml_too_large"]


def test_what_cannot_be_read_still_gives_its_references(validator: Validator) -> None:
    known = validator.envelope_references(
        f"<E>{header(namespace=HEAD[:-2] + '77')}{document(namespace=ADVICE[:-2] + '99')}</E>".encode()
    )
    assert (known.message_definition, known.business_message_id) == ("sese.024.001.99", "M1")
    assert (known.sender, known.receiver) == ("CSDXDEFFXXX", "BRKRGB2LXXX")
    assert validator.envelope_references(b"garbage").business_message_id is None


def found(validator: Validator, inside: str, *, lines: bool = False) -> dict[tuple[str, str], Violation]:
    text = document(inside)
    verdict = validator.check(("\n\n" + text if lines else text).encode())
    return {
        (violation.code, violation.path.removeprefix("/Document/SctiesSttlmTxStsAdvc")): violation
        for violation in verdict.violations
    }


IDENTIFIED = "<TxId><AcctOwnrTxId>A1</AcctOwnrTxId></TxId>"
AMOUNT = "<SttlmAmt><Amt Ccy='%s'>%s</Amt><CdtDbtInd>DBIT</CdtDbtInd></SttlmAmt>"
BARE_AMOUNT = "<SttlmAmt><Amt>1</Amt><CdtDbtInd>DBIT</CdtDbtInd></SttlmAmt>"
DETAILS = (
    "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId><SttlmQty><Qty><Unit>5</Unit></Qty></SttlmQty>"
    "%s<SttlmDt><Dt><Dt>2026-03-12</Dt></Dt></SttlmDt><SctiesMvmntTp>RECE</SctiesMvmntTp><Pmt>APMT</Pmt>"
)
REFUSED = {
    "missing element": (
        "<TxId><AcctSvcrTxId>S</AcctSvcrTxId></TxId>",
        "element_missing",
        "/TxId/AcctOwnrTxId",
        "AcctOwnrTxId",
    ),
    "unknown element": (IDENTIFIED + "<Foo>1</Foo>", "element_unexpected", "/Foo", "PrcgSts"),
    "second of a choice": (
        IDENTIFIED
        + "<SttlmSts><Pdg><NoSpcfdRsn>NORE</NoSpcfdRsn></Pdg><Flng><NoSpcfdRsn>NORE</NoSpcfdRsn></Flng></SttlmSts>",
        "element_unexpected",
        "/SttlmSts/Flng",
        "Pdg",
    ),
    "repeated element": (IDENTIFIED + IDENTIFIED, "element_repeated", "/TxId[2]", "at most 1 TxId element"),
    "empty choice": (IDENTIFIED + "<SttlmSts/>", "element_missing", "/SttlmSts", "one of Pdg, Flng, Prtry"),
    "code not in its set": (
        IDENTIFIED
        + "<SttlmSts><Pdg><Rsn><Cd><Cd>LACK</Cd></Cd></Rsn><Rsn><Cd><Cd>NOPE</Cd></Cd></Rsn></Pdg></SttlmSts>",
        "value_not_in_code_set",
        "/SttlmSts/Pdg/Rsn[2]/Cd/Cd",
        "LACK",
    ),
    "too long": (
        f"<TxId><AcctOwnrTxId>{'x' * 36}</AcctOwnrTxId></TxId>",
        "value_length",
        "/TxId/AcctOwnrTxId",
        "at most 35 characters",
    ),
    "empty": ("<TxId><AcctOwnrTxId/></TxId>", "value_length", "/TxId/AcctOwnrTxId", "at least 1 character"),
    "text between elements": (IDENTIFIED + "text", "text_unexpected", "", "no text"),
    "attribute": (
        "<TxId a='1'><AcctOwnrTxId>A1</AcctOwnrTxId></TxId>",
        "attribute_unexpected",
        "/TxId/@a",
        "no attributes",
    ),
    "attribute missing": (
        IDENTIFIED + f"<TxDtls>{DETAILS % BARE_AMOUNT}</TxDtls>",
        "attribute_missing",
        "/TxDtls/SttlmAmt/Amt/@Ccy",
        "Ccy",
    ),
    "attribute wrong": (
        IDENTIFIED + f"<TxDtls>{DETAILS % (AMOUNT % ('eur', '1'))}</TxDtls>",
        "attribute_pattern",
        "/TxDtls/SttlmAmt/Amt/@Ccy",
        "[A-Z]{3,3}",
    ),
    "too many decimals": (
        IDENTIFIED + f"<TxDtls>{DETAILS % (AMOUNT % ('EUR', '1.123456'))}</TxDtls>",
        "value_digits",
        "/TxDtls/SttlmAmt/Amt",
        "5 digits after",
    ),
    "negative": (
        IDENTIFIED + f"<TxDtls>{DETAILS % (AMOUNT % ('EUR', '-1'))}</TxDtls>",
        "value_range",
        "/TxDtls/SttlmAmt/Amt",
        "at least 0",
    ),
    "pattern": (
        IDENTIFIED + f"<TxDtls>{(DETAILS % '').replace('DE0007164600', 'de1')}</TxDtls>",
        "value_pattern",
        "/TxDtls/FinInstrmId/ISIN",
        "[A-Z]{2,2}",
    ),
    "no number": (
        IDENTIFIED + f"<TxDtls>{(DETAILS % '').replace('>5<', '>five<')}</TxDtls>",
        "value_type",
        "/TxDtls/SttlmQty/Qty/Unit",
        "decimal",
    ),
    "no date": (
        IDENTIFIED + f"<TxDtls>{(DETAILS % '').replace('2026-03-12', '2026-02-30')}</TxDtls>",
        "value_type",
        "/TxDtls/SttlmDt/Dt/Dt",
        "YYYY-MM-DD",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_violation_names_element_constraint_and_value(validator: Validator, name: str) -> None:
    inside, code, path, rule = REFUSED[name]
    violations = found(validator, inside)
    assert (code, path) in violations, list(violations)
    assert rule in violations[code, path].rule
    assert violations[code, path].line == 1


def test_every_violation_is_named_at_once_with_its_line_and_value(validator: Validator) -> None:
    reason = "<SttlmSts><Pdg><Rsn><Cd>\n<Cd>NOPE</Cd></Cd></Rsn></Pdg></SttlmSts>"
    inside = f"<TxId>\n<AcctSvcrTxId>S</AcctSvcrTxId></TxId>\n{reason}\n<Foo/>"
    violations = found(validator, inside, lines=True)
    assert {code for code, _ in violations} == {"element_missing", "value_not_in_code_set", "element_unexpected"}
    wrong_code = violations["value_not_in_code_set", "/SttlmSts/Pdg/Rsn/Cd/Cd"]
    assert (wrong_code.line, wrong_code.value) == (6, "NOPE")
    assert violations["element_unexpected", "/Foo"].line == 7


def test_header_and_document_are_both_explained(validator: Validator) -> None:
    broken = header().replace("<BizMsgIdr>M1</BizMsgIdr>", "")
    paths = [violation.path for violation in validator.check(f"<E>{broken}{document('')}</E>".encode()).violations]
    assert paths == ["/AppHdr/BizMsgIdr", "/Document/SctiesSttlmTxStsAdvc/TxId"]


def test_at_most_a_hundred_violations(validator: Validator) -> None:
    reasons = "".join(f"<Rsn><Cd><Cd>N{n}</Cd></Cd></Rsn>" for n in range(150))
    text = document(IDENTIFIED + f"<SttlmSts><Pdg>{reasons}</Pdg></SttlmSts>")
    assert len(validator.check(text.encode()).violations) == 100


def test_values_are_cut(validator: Validator) -> None:
    violation = found(validator, f"<TxId><AcctOwnrTxId>{'x' * 500}</AcctOwnrTxId></TxId>")[
        "value_length", "/TxId/AcctOwnrTxId"
    ]
    assert violation.value == "x" * 140


class OneSidedSchemas:
    """A source whose two readings differ: what lxml is given refuses all, as only a defect of a validator would."""

    fin = None

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._asked = 0

    def identify(self, namespace: str) -> str | None:
        return self._catalogue.identify(namespace)

    def xsd(self, definition_id: str) -> bytes:
        self._asked += 1
        official = self._catalogue.xsd(definition_id)
        return official.replace(b'name="SctiesSttlmTxStsAdvc"', b'name="Other"') if self._asked == 1 else official


def test_white_space_that_only_libxml2_refuses_is_a_disagreement(validator: Validator) -> None:
    padded = header().replace("2026-03-12T08:15:30Z", " 2026-03-12T08:15:30Z ")
    assert [violation.code for violation in validator.check(padded.encode()).violations] == ["validators_disagree"]


def test_validators_that_disagree_refuse_the_message(catalogue: Catalogue) -> None:
    verdict = Validator(OneSidedSchemas(catalogue)).check(document().encode())
    assert [violation.code for violation in verdict.violations] == ["validators_disagree"]
    assert "SctiesSttlmTxStsAdvc" in verdict.violations[0].text


@pytest.mark.parametrize("definition", ["sese.024.001.13", "sese.025.001.12", "setr.030.001.03", "admi.002.001.01"])
def test_verdicts_agree_with_libxml2_on_random_and_mutated_documents(
    catalogue: Catalogue, validator: Validator, definition: str
) -> None:
    schema = etree.XMLSchema(etree.fromstring(catalogue.xsd(definition)))
    rng = Random(7)
    for seed in range(3):
        text = random_document(catalogue, definition, Random(seed), most_elements=60)
        assert validator.check(text).valid
        for what, mutated in list(mutations(text, rng))[::2]:
            verdict = validator.check(mutated)
            expected = schema.validate(etree.fromstring(mutated))
            if [violation.code for violation in verdict.violations] not in (
                ["envelope_unknown"],
                ["definition_unknown"],
            ):
                assert verdict.valid == expected, what
            assert all(violation.text and violation.rule for violation in verdict.violations)


def run(*arguments: str) -> tuple[int, str]:
    app = Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_command_says_valid_only_when_all_are(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "good.xml").write_text(document())
    code, output = run(str(tmp_path))
    assert (code, "1 valid, 0 not valid" in output) == (0, True)
    (tmp_path / "bad.XML").write_text(document("<Foo/>"))
    code, output = run(str(tmp_path))
    assert code == 1
    assert "NOT VALID (sese.024.001.13)" in output
    assert "element_missing" in output or "element_unexpected" in output


def test_command_writes_one_object_a_line(tmp_path: Path) -> None:
    good, bad, absent = tmp_path / "good.xml", tmp_path / "bad.xml", tmp_path / "absent.xml"
    good.write_text(document())
    bad.write_text(document("<TxId/>"))
    code, output = run("--json", str(good), str(bad), str(absent), str(tmp_path / "bad.xml"))
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == 1
    assert [line["valid"] for line in lines] == [True, False, False, False]
    assert set(lines[0]) == {"file", "message_definition", "valid", "violations"}
    assert set(lines[1]["violations"][0]) == {"code", "path", "line", "rule", "value", "text", "severity", "suggestion"}
    assert [line["message_definition"] for line in lines] == [
        "sese.024.001.13",
        "sese.024.001.13",
        None,
        "sese.024.001.13",
    ]
    assert lines[2]["violations"][0]["code"] == "file_unreadable"


def test_command_spreads_many_files_over_processes_and_keeps_their_order(tmp_path: Path) -> None:
    for number in range(450):
        (tmp_path / f"{number:03}.xml").write_text(document("<TxId/>") if number % 200 == 7 else document())
    code, output = run("--json", str(tmp_path))
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == 1
    assert [Path(line["file"]).name for line in lines] == [f"{number:03}.xml" for number in range(450)]
    assert [number for number, line in enumerate(lines) if not line["valid"]] == [7, 207, 407]
