"""The catalogue: definitions found without reading the rest, kept exactly, and compared by element."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import UnreadableMessage
from gateway.messages.catalogue import (
    Attribute,
    Catalogue,
    ComplexType,
    ElementDefinition,
    Group,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
    TypeDefinition,
    Wildcard,
    references,
)
from gateway.messages.data_files import data_directory
from gateway.messages.schema_files import open_dictionary
from gateway.messages.schema_text import (
    Dictionary,
    canonical_digest,
    file_of,
    find_block,
    join_blocks,
    parse_type,
    type_lines,
)
from gateway.messages.schema_tree import compare, outline
from gateway.messages.xsd_text import SchemaRefused, read_xsd, write_xsd

CATALOGUE = Catalogue([open_dictionary()])

XSD = """<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:iso:std:iso:20022:tech:xsd:test.001.001.01"
    elementFormDefault="qualified" targetNamespace="urn:iso:std:iso:20022:tech:xsd:test.001.001.01">
  <xs:element name="Document" type="Document"/>
  <xs:complexType name="Document"><xs:sequence>
    <xs:element name="Note" type="NoteV01"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="NoteV01"><xs:sequence>
    <xs:element name="Id" type="Max35Text"/>
    <xs:choice>
      <xs:element name="Amt" type="Amount"/>
      <xs:element name="Qty" type="xs:decimal" minOccurs="0" maxOccurs="unbounded"/>
    </xs:choice>
    <xs:any namespace="##any" processContents="lax"/>
  </xs:sequence></xs:complexType>
  <xs:simpleType name="Max35Text"><xs:restriction base="xs:string">
    <xs:minLength value="1"/><xs:maxLength value="35"/>
  </xs:restriction></xs:simpleType>
  <xs:complexType name="Amount"><xs:simpleContent><xs:extension base="AmountValue">
    <xs:attribute name="Ccy" type="CurrencyCode" use="required"/>
  </xs:extension></xs:simpleContent></xs:complexType>
  <xs:simpleType name="AmountValue"><xs:restriction base="xs:decimal">
    <xs:fractionDigits value="5"/><xs:totalDigits value="18"/><xs:minInclusive value="0"/>
  </xs:restriction></xs:simpleType>
  <xs:simpleType name="CurrencyCode"><xs:restriction base="xs:string">
    <xs:pattern value="[A-Z]{3,3}"/>
  </xs:restriction></xs:simpleType>
</xs:schema>
"""


def digest(xsd: str) -> str:
    return canonical_digest(read_xsd(xsd.encode()))


def edited(old: str, new: str) -> str:
    assert old in XSD
    return XSD.replace(old, new)


def test_every_official_version_in_use_is_there() -> None:
    definitions = CATALOGUE.definitions()
    assert definitions == sorted(definitions)
    assert len(definitions) == 964
    for needed in (
        *("sese.020.001.06", "sese.020.001.07", "sese.023.001.10", "sese.023.001.11", "sese.023.001.12"),
        *("setr.027.001.04", "setr.027.001.05", "admi.002.001.01"),
        *("head.001.001.01", "head.001.001.02", "head.001.001.03", "head.001.001.04"),
    ):
        assert needed in CATALOGUE
    assert set(CATALOGUE.definitions("head")) == {name for name in definitions if name.startswith("head.")}


def test_element_is_found_through_choices_and_is_none_where_a_version_lacks_it() -> None:
    path = "SctiesSttlmTxInstr/TradDtls/TradDt/Dt/Dt"
    element = CATALOGUE.element("sese.023.001.12", path)
    assert element == ElementDefinition("Dt", "ISODate")
    assert CATALOGUE.element("sese.023.001.12", "SctiesSttlmTxInstr/TradDtls/NoSuch/Dt") is None
    assert CATALOGUE.element("sese.023.001.12", path + "/Below") is None
    assert CATALOGUE.element("admi.002.001.01", "admi.002.001.01/Rsn/RjctgPtyRsn") is not None
    assert CATALOGUE.element("head.001.001.02", "BizMsgIdr") == ElementDefinition("BizMsgIdr", "Max35Text")
    top = CATALOGUE.element("head.001.001.02", "")
    assert top is not None
    assert top.name == "AppHdr"


def test_element_inside_a_choice_nested_in_a_sequence_is_found() -> None:
    message = read_xsd(XSD.encode())
    assert message.element("Note/Qty") == ElementDefinition("Qty", "xs:decimal", 0, None)
    assert message.element("Note/Amt") == ElementDefinition("Amt", "Amount")


def test_unknown_definition_names_the_versions_that_are_there() -> None:
    with pytest.raises(UnreadableMessage, match=r"sese\.023\.001\.12") as refusal:
        CATALOGUE.message("sese.023.001.99")
    assert refusal.value.code == "definition_unknown"
    assert "gateway schemas import" in refusal.value.text


def test_namespace_leads_to_the_definition_and_back() -> None:
    assert CATALOGUE.identify("urn:iso:std:iso:20022:tech:xsd:sese.024.001.13") == "sese.024.001.13"
    assert CATALOGUE.identify("urn:iso:std:iso:20022:tech:xsd:sese.024.001.99") is None
    assert CATALOGUE.identify("urn:example:other") is None
    odd = CATALOGUE.namespace("semt.001.001.04")
    assert odd.startswith("urn:swift:")
    assert CATALOGUE.identify(odd) == "semt.001.001.04"


@pytest.mark.parametrize("definition", ["sese.023.001.12", "head.002.001.01", "camt.029.001.03", "semt.001.001.04"])
def test_definition_holds_the_closure_of_its_types_and_nothing_else(definition: str) -> None:
    message = CATALOGUE.message(definition)
    used = {reference for kind in message.types.values() for reference in references(kind)}
    assert used | {message.root_type} == set(message.types)


def test_types_that_differ_between_messages_are_kept_apart() -> None:
    older = CATALOGUE.message("camt.053.001.02").types["ActiveOrHistoricCurrencyAndAmount_SimpleType"]
    newer = CATALOGUE.message("camt.053.001.08").types["ActiveOrHistoricCurrencyAndAmount_SimpleType"]
    assert older != newer
    assert older.name == newer.name


def test_a_definition_opens_only_the_files_of_its_types() -> None:
    folder = data_directory() / "dictionary"
    opened: list[str] = []

    def types(name: str) -> bytes:
        opened.append(name)
        return (folder / "types" / f"{name}.txt").read_bytes()

    dictionary = Dictionary((folder / "definitions.txt").read_bytes(), types)
    catalogue = Catalogue([dictionary])
    assert catalogue.message_name("admi.002.001.01") == "admi.002.001.01"
    assert len(catalogue.definitions()) > 900
    assert opened == []
    message = catalogue.message("admi.002.001.01")
    assert set(opened) == {file_of(name) for name in message.types if name != "Document"}
    count = len(opened)
    assert catalogue.message("admi.002.001.01") is message
    assert len(opened) == count


def test_earlier_source_takes_precedence() -> None:
    class Own:
        origin = "user"

        def identifiers(self) -> list[str]:
            return ["sese.023.001.12"]

        def namespace(self, definition_id: str) -> str:
            return "urn:example:own"

        def message_name(self, definition_id: str) -> str:
            return "Own"

        def digest(self, definition_id: str) -> str | None:
            return None

        def message(self, definition_id: str) -> MessageDefinition:
            return replace(read_xsd(XSD.encode()), identifier=definition_id)

        def xsd(self, definition_id: str) -> bytes:
            return XSD.encode()

    catalogue = Catalogue([Own(), open_dictionary()])
    assert catalogue.origin("sese.023.001.12") == "user"
    assert catalogue.origin("sese.023.001.11") == "dictionary"
    assert catalogue.xsd("sese.023.001.12") == XSD.encode()
    assert catalogue.element("sese.023.001.12", "Note/Id") is not None


def test_canonical_form_ignores_order_of_types_comments_documentation_prefix_and_default_occurrence() -> None:
    head, _, rest = XSD.partition('  <xs:element name="Document"')
    body = ('  <xs:element name="Document"' + rest).replace("</xs:schema>\n", "")
    parts = body.split("  <xs:simpleType")
    shuffled = head + "  <xs:simpleType".join(["", *reversed(parts[1:])]) + parts[0] + "</xs:schema>"
    same = (
        shuffled,
        XSD.replace("xs:", "xsd:").replace("xmlns:xs=", "xmlns:xsd="),
        edited('name="Id" type="Max35Text"', 'maxOccurs="1" minOccurs="1" type="Max35Text" name="Id"'),
        edited("<xs:choice>", "<!-- either -->\n<xs:choice>"),
        edited(
            '"[A-Z]{3,3}"/>',
            '"[A-Z]{3,3}"><xs:annotation><xs:documentation>ISO 4217</xs:documentation></xs:annotation></xs:pattern>',
        ),
        XSD.replace("\n", "\n\n    "),
    )
    assert {digest(xsd) for xsd in same} == {digest(XSD)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name="Id" type', 'name="Ident" type'),
        ('name="Id" type="Max35Text"', 'name="Id" type="CurrencyCode"'),
        ('name="Id" type', 'minOccurs="0" name="Id" type'),
        ('maxOccurs="unbounded"', 'maxOccurs="9"'),
        ("xs:choice", "xs:sequence"),
        ('processContents="lax"', 'processContents="skip"'),
        ('namespace="##any"', 'namespace="##other"'),
        ('<xs:any namespace="##any" processContents="lax"/>', ""),
        ('use="required"', ""),
        ('<xs:maxLength value="35"/>', '<xs:maxLength value="36"/>'),
        ('<xs:minLength value="1"/><xs:maxLength value="35"/>', '<xs:maxLength value="35"/><xs:minLength value="1"/>'),
        ('value="[A-Z]{3,3}"', 'value="[A-Z]{3,3} "'),
        ('base="xs:decimal"', 'base="xs:string"'),
        ("tech:xsd:test.001.001.01", "tech:xsd:test.001.001.02"),
        ('<xs:element name="Document"', '<xs:element name="Dokument"'),
    ],
)
def test_canonical_form_counts_everything_else_and_comparison_finds_it(old: str, new: str) -> None:
    changed = edited(old, new)
    assert digest(changed) != digest(XSD)
    assert compare(read_xsd(XSD.encode()), read_xsd(changed.encode()))


def test_comparison_names_the_path_and_both_sides() -> None:
    changed = edited('value="[A-Z]{3,3}"', 'value="[A-Z]{2,3}"').replace('name="Id"', 'minOccurs="0" name="Id"')
    differences = compare(read_xsd(XSD.encode()), read_xsd(changed.encode()))
    assert [(d.path, d.ours.strip(), d.theirs.strip()) for d in differences] == [
        ("/Document/Note", "1..1 Id Max35Text", "0..1 Id Max35Text"),
        ("/Document/Note/Amt/@Ccy", "pattern [A-Z]{3,3}", "pattern [A-Z]{2,3}"),
    ]
    swapped = edited('<xs:element name="Amt" type="Amount"/>', "").replace(
        "</xs:choice>", '<xs:element name="Amt" type="Amount"/></xs:choice>'
    )
    (order,) = compare(read_xsd(XSD.encode()), read_xsd(swapped.encode()))
    assert order.path == "/Document/Note"
    assert order.ours.startswith("order: ")


@pytest.mark.parametrize(
    ("old", "new", "construct"),
    [
        ("<xs:choice>", '<xs:choice maxOccurs="2">', "an occurrence bound on a choice"),
        ('<xs:element name="Id" type="Max35Text"/>', '<xs:element ref="Id"/>', "attribute ref of element"),
        ('<xs:element name="Id" type="Max35Text"/>', '<xs:group ref="Id"/>', "group in sequence"),
        (
            '<xs:element name="Id" type="Max35Text"/>',
            '<xs:element name="Id" type="Max35Text"><xs:simpleType/></xs:element>',
            "simpleType inside element",
        ),
        ('use="required"', 'use="prohibited"', "attribute use prohibited"),
        ('use="required"', 'fixed="EUR"', "attribute fixed of attribute"),
        ("<xs:any ", '<xs:any id="x" ', "attribute id of any"),
        (
            '<xs:complexType name="Amount">',
            '<xs:complexType name="Amount" mixed="true">',
            "attribute mixed of complexType",
        ),
        ('<xs:pattern value="[A-Z]{3,3}"/>', '<xs:assertion test="true()"/>', "assertion in restriction"),
        ('elementFormDefault="qualified"', "", "elementFormDefault other than qualified"),
        (
            '  <xs:element name="Document"',
            '  <xs:import namespace="urn:x"/><xs:element name="Document"',
            "import in schema",
        ),
        ('<xs:element name="Document" type="Document"/>', "", "0 root elements"),
        ('name="CurrencyCode"', 'name="Max35Text"', "a second type named Max35Text"),
        ("<xs:choice>", "<xs:choice>either", "text inside choice"),
    ],
)
def test_schema_outside_the_supported_constructs_is_refused_by_file_line_and_construct(
    old: str, new: str, construct: str
) -> None:
    with pytest.raises(SchemaRefused) as refusal:
        read_xsd(edited(old, new).encode(), "guideline.xsd")
    assert refusal.value.text.startswith("guideline.xsd: line ")
    assert construct in refusal.value.text
    assert refusal.value.code == "schema_refused"


def test_schema_that_refers_to_a_missing_type_is_refused() -> None:
    with pytest.raises(SchemaRefused, match="refers to Max36Text, which is absent"):
        read_xsd(edited('type="Max35Text"', 'type="Max36Text"').encode())


def test_written_schema_reads_back_as_the_same_definition() -> None:
    message = read_xsd(XSD.encode())
    assert read_xsd(write_xsd(message)) == message


def test_outline_opens_a_recursive_type_once() -> None:
    recursive = edited(
        '<xs:element name="Id" type="Max35Text"/>', '<xs:element name="Sub" type="NoteV01" minOccurs="0"/>'
    )
    rows = list(outline(read_xsd(recursive.encode())))
    assert [(row.path, row.recursive) for row in rows if row.name in {"Note", "Sub"}] == [
        ("Note", False),
        ("Note/Sub", True),
    ]


def test_outline_depth_counts_elements_and_not_nested_choices() -> None:
    message = read_xsd(XSD.encode())
    names = [row.name or row.kind for row in outline(message, "Note", 1)]
    assert names == ["Note", "Id", "choice", "Amt", "Qty", "##any"]
    assert [row.path for row in outline(message, "Note/Amt")] == ["Note/Amt", "Note/Amt/@Ccy"]


_names = st.from_regex(r"[A-Z][A-Za-z0-9_.]{0,12}", fullmatch=True)
_bounds = st.tuples(st.integers(0, 9), st.none() | st.integers(0, 99))
_elements = st.builds(lambda n, t, b: ElementDefinition(n, t, *b), _names, _names, _bounds)
_wildcards = st.builds(
    lambda n, p, b: Wildcard(n, p, *b),
    st.sampled_from(["##any", "##other", "http://www.w3.org/2000/09/xmldsig#"]),
    st.sampled_from(["lax", "skip", "strict"]),
    _bounds,
)
_kinds = st.sampled_from(["sequence", "choice"])
_groups: st.SearchStrategy[Group] = st.recursive(
    st.builds(Group, _kinds, st.lists(_elements | _wildcards, max_size=4).map(tuple)),
    lambda inner: st.builds(Group, _kinds, st.lists(_elements | _wildcards | inner, max_size=4).map(tuple)),
    max_leaves=6,
)
_values = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t "), max_size=12)
_facets = st.lists(st.tuples(st.sampled_from(["enumeration", "pattern", "length", "maxLength"]), _values), max_size=5)
_types: st.SearchStrategy[TypeDefinition] = st.one_of(
    st.builds(ComplexType, _names, _groups),
    st.builds(
        SimpleContentType, _names, _names, st.lists(st.builds(Attribute, _names, _names, st.booleans())).map(tuple)
    ),
    st.builds(SimpleType, _names, st.just("xs:string") | _names, _facets.map(tuple)),
)


def _nested(*items: ElementDefinition | Group) -> Group:
    return Group("sequence", items)


@given(_types, st.integers(1, 3))
@example(ComplexType("A", _nested(_nested(_nested(_nested())), ElementDefinition("A", "A", 0, 10))), 1)
def test_type_survives_its_text(definition: TypeDefinition, variant: int) -> None:
    lines = type_lines(definition, variant)
    assert all(line == line.rstrip() and "\n" not in line for line in lines)
    assert parse_type("\n".join(lines)) == definition


@given(st.sets(st.tuples(_names, st.integers(1, 3)), max_size=30), st.tuples(_names, st.integers(1, 3)))
@settings(max_examples=60)
def test_bisection_finds_every_block_and_no_other(keys: set[tuple[str, int]], other: tuple[str, int]) -> None:
    def key_of(key: tuple[str, int]) -> str:
        return key[0] if key[1] == 1 else f"{key[0]}~{key[1]}"

    text = join_blocks([[f"{key_of(key)} sequence", "  1..1 A B"] for key in keys])
    for key in keys:
        assert find_block(text, key_of(key)) == f"{key_of(key)} sequence\n  1..1 A B"
    if other not in keys:
        assert find_block(text, key_of(other)) is None
