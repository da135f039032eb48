"""Schemas on disk: the dictionary verified against the official files, import, export, rebuild and their commands."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from lxml import etree
from typer.testing import CliRunner

from gateway.cli.schemas import app
from gateway.messages.catalogue import Catalogue
from gateway.messages.data_files import data_directory
from gateway.messages.schema_files import (
    default_user_directory,
    export_schemas,
    import_schemas,
    load_catalogue,
    open_dictionary,
    rebuild_dictionary,
    verify_schemas,
)
from gateway.messages.xsd_text import MAXIMUM_SIZE, SchemaRefused
from tests.reference import needs_reference, shared

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
CATALOGUE = Catalogue([open_dictionary()])
DEFINITIONS = CATALOGUE.definitions()
SAMPLE = DEFINITIONS if FULL else sorted({*DEFINITIONS[::25], "head.002.001.01", "semt.001.001.04", "sese.023.001.12"})


def good_schema(definition: str = "sese.024.001.13") -> bytes:
    return CATALOGUE.xsd(definition)


def guideline() -> bytes:
    """A usage guideline: the official schema with a shorter reference and without an element."""
    return (
        good_schema()
        .replace(b'name="TxId" type="TransactionIdentifications47"', b'name="TxId" type="Guided"')
        .replace(
            b"</xs:schema>",
            b'<xs:complexType name="Guided"><xs:sequence><xs:element name="AcctOwnrTxId" type="Max35Text"/>'
            b"</xs:sequence></xs:complexType></xs:schema>",
        )
    )


def test_definitions_compile_and_have_the_digest_kept_beside_them() -> None:
    results = list(verify_schemas(CATALOGUE, SAMPLE))
    assert [result for result in results if not result.holds] == []
    assert len(results) == len(SAMPLE)


@needs_reference
def test_definitions_equal_the_official_schemas_element_by_element() -> None:
    results = list(verify_schemas(CATALOGUE, SAMPLE, shared() / "iso20022"))
    assert [result for result in results if not result.holds] == []
    assert all(result.compared for result in results)


@needs_reference
def test_dictionary_has_every_official_schema_and_no_other() -> None:
    official = {path.stem for path in (shared() / "iso20022").rglob("*.xsd")}
    assert set(DEFINITIONS) == official


def plain(node: etree._Element, prefixes: dict[str, str]) -> tuple[object, ...]:
    """Reduce a schema to tuples without the gateway's own reader, as a second witness."""

    def value(name: str, text: str) -> str:
        prefix, colon, local = text.partition(":")
        return prefixes[prefix] + local if name in {"type", "base"} and colon else text

    attributes = {
        name: value(str(name), str(text))
        for name, text in node.attrib.items()
        if not (name in {"minOccurs", "maxOccurs"} and text == "1")
    }
    children = [plain(child, prefixes) for child in node if etree.QName(child).localname != "annotation"]
    if etree.QName(node).localname == "schema":
        children.sort(key=repr)
    return node.tag, tuple(sorted(attributes.items())), tuple(children)


@needs_reference
def test_compiled_schemas_equal_the_official_ones_read_as_plain_xml() -> None:
    official = {path.stem: path for path in (shared() / "iso20022").rglob("*.xsd")}
    parser = etree.XMLParser(remove_comments=True, remove_blank_text=True)
    for definition in SAMPLE:
        theirs = etree.parse(official[definition], parser).getroot()
        ours = etree.fromstring(CATALOGUE.xsd(definition), parser)
        same = {"xs": "", "xsd": ""}
        assert plain(ours, same) == plain(theirs, same), definition


def test_verification_finds_a_changed_type(tmp_path: Path) -> None:
    folder = tmp_path / "dictionary"
    shutil.copytree(data_directory() / "dictionary", folder)
    file = folder / "types" / "m.txt"
    text = file.read_text()
    assert "Max35Text restriction xs:string\n  minLength 1\n  maxLength 35\n" in text
    file.write_text(
        text.replace(
            "\nMax35Text restriction xs:string\n  minLength 1\n  maxLength 35\n",
            "\nMax35Text restriction xs:string\n  minLength 1\n  maxLength 36\n",
        )
    )
    (result,) = verify_schemas(Catalogue([open_dictionary(folder)]), ["sese.024.001.13"])
    assert not result.holds
    assert "canonical digest" in result.problems[0]
    official = tmp_path / "official"
    list(export_schemas(CATALOGUE, ["sese.024.001.13"], official))
    (result,) = verify_schemas(Catalogue([open_dictionary(folder)]), ["sese.024.001.13"], official)
    assert [(d.ours.strip(), d.theirs.strip()) for d in result.differences] == [("maxLength 36", "maxLength 35")]
    assert result.differences[0].path.startswith("/Document/SctiesSttlmTxStsAdvc/")


def test_verification_survives_a_damaged_dictionary(tmp_path: Path) -> None:
    folder = tmp_path / "dictionary"
    shutil.copytree(data_directory() / "dictionary", folder)
    (folder / "types" / "m.txt").unlink()
    (result,) = verify_schemas(Catalogue([open_dictionary(folder)]), ["sese.024.001.13"])
    assert "missing from the schema dictionary" in result.problems[0]


def test_dictionary_is_made_for_reading_and_diffing() -> None:
    files = sorted((data_directory() / "dictionary").rglob("*.txt"))
    assert len(files) > 10
    for file in files:
        assert file.stat().st_size < 700 * 1024
        for line in file.read_text(encoding="utf-8").split("\n"):
            assert line == line.rstrip()
            assert len(line) < 400


def test_dictionary_rebuilt_from_its_export_is_the_same_text(tmp_path: Path) -> None:
    definitions = CATALOGUE.definitions("sese") + CATALOGUE.definitions("head")
    list(export_schemas(CATALOGUE, definitions, tmp_path / "xsd"))
    rebuilt = tmp_path / "dictionary"
    assert rebuild_dictionary([tmp_path / "xsd"], rebuilt)[0] == len(definitions)
    catalogue = Catalogue([open_dictionary(rebuilt)])
    assert catalogue.definitions() == sorted(definitions)
    assert [
        result for result in verify_schemas(catalogue, definitions[::10], tmp_path / "xsd") if not result.holds
    ] == []
    list(export_schemas(catalogue, definitions, tmp_path / "again"))
    for definition in definitions:
        name = f"{definition}.xsd"
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "xsd" / name).read_bytes()


@needs_reference
@pytest.mark.skipif(not FULL, reason="takes half a minute; GATEWAY_TEST_FULL=1")
def test_dictionary_in_the_repository_is_what_the_official_files_give(tmp_path: Path) -> None:
    rebuild_dictionary([shared() / "iso20022"], tmp_path)
    kept = data_directory() / "dictionary"
    names = {file.relative_to(kept) for file in kept.rglob("*.txt")}
    assert names == {file.relative_to(tmp_path) for file in tmp_path.rglob("*.txt")}
    assert [name for name in sorted(names) if (kept / name).read_bytes() != (tmp_path / name).read_bytes()] == []


def test_rebuild_refuses_two_different_schemas_of_one_definition(tmp_path: Path) -> None:
    (tmp_path / "a.xsd").write_bytes(good_schema())
    (tmp_path / "b.xsd").write_bytes(guideline())
    with pytest.raises(SchemaRefused, match=r"b\.xsd: another schema of sese\.024\.001\.13"):
        rebuild_dictionary([tmp_path], tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_imported_schema_is_kept_byte_for_byte_and_takes_precedence(tmp_path: Path) -> None:
    file = tmp_path / "bank guideline.xsd"
    file.write_bytes(guideline())
    own = tmp_path / "own"
    (imported,) = import_schemas([file], own)
    assert (imported.definition, imported.refusal, imported.replaced) == ("sese.024.001.13", None, False)
    catalogue = load_catalogue(own)
    assert catalogue.origin("sese.024.001.13") == "user"
    assert catalogue.xsd("sese.024.001.13") == guideline()
    assert catalogue.element("sese.024.001.13", "SctiesSttlmTxStsAdvc/TxId/AcctSvcrTxId") is None
    assert load_catalogue(tmp_path / "none").element("sese.024.001.13", "SctiesSttlmTxStsAdvc/TxId/AcctSvcrTxId")
    (again,) = import_schemas([file], own)
    assert again.replaced
    assert [path.name for path in own.iterdir()] == ["sese.024.001.13.xsd"]


def test_a_version_that_the_dictionary_lacks_is_known_after_import(tmp_path: Path) -> None:
    file = tmp_path / "new.xsd"
    file.write_bytes(good_schema().replace(b"xsd:sese.024.001.13", b"xsd:sese.024.001.99"))
    list(import_schemas([file], tmp_path / "own"))
    catalogue = load_catalogue(tmp_path / "own")
    assert catalogue.identify("urn:iso:std:iso:20022:tech:xsd:sese.024.001.99") == "sese.024.001.99"
    assert [result.holds for result in verify_schemas(catalogue, ["sese.024.001.99"])] == [True]


def test_import_takes_folders_and_archives_and_goes_on_after_a_refusal(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.xsd").write_bytes(good_schema("sese.020.001.07"))
    (folder / "b.xsd").write_bytes(b"<not-a-schema/>")
    (folder / "readme.txt").write_text("no schema")
    archive = tmp_path / "given.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("schemas/c.xsd", good_schema("sese.021.001.06"))
    results = list(import_schemas([folder, archive], tmp_path / "own"))
    assert [result.definition for result in results] == [None, "sese.020.001.07", "sese.021.001.06"]
    assert "not-a-schema is not supported" in (results[0].refusal or "")
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["sese.020.001.07.xsd", "sese.021.001.06.xsd"]


def test_archive_cannot_write_outside_the_folder(tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("../../evil.xsd", good_schema())
        target.writestr("/absolute.xsd", good_schema("sese.020.001.07"))
        target.writestr(
            "traversal.xsd", good_schema().replace(b"xsd:sese.024.001.13", b"xsd:../../../../sese.024.001.13")
        )
    results = list(import_schemas([archive], tmp_path / "a" / "b" / "own"))
    assert [result.definition for result in results] == ["sese.024.001.13", "sese.020.001.07", None]
    assert "names no message definition" in (results[2].refusal or "")
    assert sorted(path.name for path in tmp_path.rglob("*.xsd")) == ["sese.020.001.07.xsd", "sese.024.001.13.xsd"]


def test_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("bomb.xsd", b"\0" * (MAXIMUM_SIZE + 5))
    (result,) = import_schemas([archive], tmp_path / "own")
    assert f"at most {MAXIMUM_SIZE} are read" in (result.refusal or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not well-formed"),
        (b"<xs:schema", "not well-formed"),
        (b'<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>', "document type declaration"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document type declaration"),
        (b"\xff\xfe\x00", "not well-formed"),
    ],
)
def test_hostile_or_broken_schema_is_refused_with_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "x.xsd"
    file.write_bytes(content)
    (result,) = import_schemas([file], tmp_path / "own")
    assert reason in (result.refusal or "")
    assert not (tmp_path / "own").exists()


def test_schema_that_libxml2_cannot_compile_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.xsd"
    file.write_bytes(good_schema().replace(b'<xs:pattern value="[a-zA-Z0-9]{4}"/>', b'<xs:pattern value="[a-z"/>'))
    (result,) = import_schemas([file], tmp_path / "own")
    assert "does not compile" in (result.refusal or "")


def test_user_file_whose_name_and_namespace_differ_is_refused_when_used(tmp_path: Path) -> None:
    (tmp_path / "sese.024.001.12.xsd").write_bytes(good_schema())
    (tmp_path / "notes.xsd").write_bytes(b"")
    catalogue = load_catalogue(tmp_path)
    assert "notes" not in catalogue
    with pytest.raises(SchemaRefused, match="not the definition that its name says"):
        catalogue.message("sese.024.001.12")


def test_user_directory_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_SCHEMAS__DIRECTORY", str(tmp_path))
    assert default_user_directory() == tmp_path
    monkeypatch.delenv("GATEWAY_SCHEMAS__DIRECTORY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_user_directory() == tmp_path / "data" / "iso20022-gateway" / "schemas"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("GATEWAY_SCHEMAS__DIRECTORY", str(tmp_path / "own"))
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_prints_one_definition_a_line(run) -> None:  # type: ignore[no-untyped-def]
    result = run("list", "--area", "head")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == "head.001.001.02  BusinessApplicationHeaderV02"
    records = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    fin = [record["message_definition"] for record in records if record["origin"] == "fin"]
    assert len(records) - len(fin) == len(DEFINITIONS)
    assert fin == [line.split()[0] for line in run("list", "--area", "fin").stdout.splitlines()]
    assert fin[0] == "MT103"
    assert records[0].keys() == {"message_definition", "name", "origin"}
    assert run("list", "--area", "zzzz").exit_code == 2


def test_show_prints_a_fin_message_with_its_qualifiers_codes_and_rules(run) -> None:  # type: ignore[no-untyped-def]
    lines = [line.strip() for line in run("show", "MT541").stdout.splitlines()]
    assert lines[0] == "MT541  Receive Against Payment Instruction"
    assert "E1 SETPRTY [1..*] Settlement Parties" in lines
    assert "TRAD  A/B/C/E [0..1] Trade Date" in lines
    assert "?  F [0..1] x4 qualifiers that are not public" in [
        line.strip() for line in run("show", "MT549", "--path", "A").stdout.splitlines()
    ]
    rule = lines.index("fin_E92  an instruction against payment states its settlement amount once")
    assert lines[rule + 1] == "require count of SETDET/AMT/19A SETT = 1"
    records = [json.loads(line) for line in run("show", "MT541", "--json").stdout.splitlines()]
    assert {record["kind"] for record in records} == {"sequence", "field", "qualifier", "rule"}
    assert len(run("show", "MT541", "--depth", "0").stdout.splitlines()) < len(lines)
    assert run("show", "MT999").exit_code == 2
    assert run("show", "MT541", "--path", "E/X9").exit_code == 2


def test_show_prints_multiplicities_types_codes_and_limits(run) -> None:  # type: ignore[no-untyped-def]
    result = run("show", "sese.024.001.13", "--path", "SctiesSttlmTxStsAdvc/SttlmSts")
    assert result.exit_code == 0
    assert "SttlmSts [0..1] SettlementStatus30Choice one of\n" in result.stdout
    assert " | LACK | " in result.stdout
    assert "AddtlRsnInf [0..1] Max210Text  text of 1 to 210 characters\n" in result.stdout
    whole = run("show", "sese.023.001.12").stdout.splitlines()
    assert whole[2] == "Document [1..1] Document"
    assert "@Ccy [1..1] ActiveCurrencyCode  text like [A-Z]{3,3}" in [line.strip() for line in whole]
    assert len(run("show", "sese.023.001.12", "--depth", "1").stdout.splitlines()) == 4
    record = json.loads(run("show", "head.001.001.02", "--path", "BizMsgIdr", "--json").stdout)
    assert record["limits"] == [["minLength", "1"], ["maxLength", "35"]]


def test_show_says_where_a_wrong_path_ends_and_what_is_there(run) -> None:  # type: ignore[no-untyped-def]
    result = run("show", "head.001.001.02", "--path", "Fr/OrgId/Nme")
    assert result.exit_code == 2
    assert "PstlAdr" in result.stderr
    unknown = run("show", "sese.024.001.77")
    assert unknown.exit_code == 1
    assert "sese.024.001.13" in unknown.stderr


def test_import_verify_and_export_commands(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "guideline.xsd").write_bytes(guideline())
    (tmp_path / "bad.xsd").write_bytes(b"<x/>")
    good = run("import", tmp_path / "guideline.xsd")
    assert good.exit_code == 0
    assert "imported  sese.024.001.13" in good.stdout
    bad = run("import", tmp_path / "bad.xsd")
    assert bad.exit_code == 1
    assert "bad.xsd: line 1" in bad.stdout
    assert run("import", tmp_path / "absent.xsd").exit_code == 1
    assert "(your own)" in run("list", "--area", "sese").stdout
    assert run("export", tmp_path / "out", "--area", "sese").exit_code == 0
    assert (tmp_path / "out" / "sese.024.001.13.xsd").read_bytes() == guideline()
    held = run("verify", "--area", "head", "--json")
    assert held.exit_code == 0
    assert all(json.loads(line)["holds"] for line in held.stdout.splitlines())
    (tmp_path / "official").mkdir()
    (tmp_path / "official" / "sese.024.001.13.xsd").write_bytes(good_schema())
    differing = run("verify", "--definition", "sese.024.001.13", "--reference", tmp_path / "official")
    assert differing.exit_code == 1
    assert "/Document/SctiesSttlmTxStsAdvc" in differing.stdout


def test_rebuild_command_writes_a_dictionary(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "one.xsd").write_bytes(good_schema())
    assert run("rebuild", tmp_path / "one.xsd", "--into", tmp_path / "into").exit_code == 0
    assert Catalogue([open_dictionary(tmp_path / "into")]).xsd("sese.024.001.13") == good_schema()
