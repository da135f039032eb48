"""XML Schema files: read the constructs that ISO 20022 uses, refuse all others by name, and write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from lxml import etree

from gateway.errors import ConfigError
from gateway.messages.catalogue import (
    BUILT_IN,
    STANDARD_NAMESPACE,
    Attribute,
    ComplexType,
    ElementDefinition,
    Group,
    GroupKind,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
    TypeDefinition,
    Wildcard,
    references,
)

_SCHEMA = "http://www.w3.org/2001/XMLSchema"
_FACETS = (
    *("enumeration", "pattern", "length", "minLength", "maxLength", "whiteSpace", "fractionDigits", "totalDigits"),
    *("minInclusive", "maxInclusive", "minExclusive", "maxExclusive"),
)
_OCCURRENCE = {"minOccurs", "maxOccurs"}
# The attributes that each construct may carry. Anything else could change what is valid, so it is refused, not ignored.
_ATTRIBUTES: Mapping[str, set[str]] = {
    "schema": {"elementFormDefault", "targetNamespace", "attributeFormDefault", "version"},
    "element": {"name", "type"} | _OCCURRENCE,
    "complexType": {"name"},
    "simpleType": {"name"},
    "sequence": set(_OCCURRENCE),
    "choice": set(_OCCURRENCE),
    "any": {"namespace", "processContents"} | _OCCURRENCE,
    "simpleContent": set(),
    "extension": {"base"},
    "attribute": {"name", "type", "use"},
    "restriction": {"base"},
} | {facet: {"value"} for facet in _FACETS}

MAXIMUM_SIZE = 16 * 1024 * 1024


class SchemaRefused(ConfigError):
    """Say why an XML Schema file cannot be used: the file, line and construct are in the text."""

    code = "schema_refused"


def parser() -> etree.XMLParser:
    """Return a hardened parser: no entities, no DTD, no network."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )


def compile_schema(xsd: bytes, name: str = "schema") -> etree.XMLSchema:
    """Compile an XML Schema with libxml2; raises ``SchemaRefused`` with libxml2's reason."""
    try:
        return etree.XMLSchema(etree.fromstring(xsd, parser()))
    except (etree.XMLSchemaParseError, etree.XMLSyntaxError) as error:
        raise SchemaRefused(f"{name}: does not compile: {error}") from error


def read_xsd(content: bytes, name: str = "schema") -> MessageDefinition:
    """Read the definition that an XML Schema file states.

    Raises ``SchemaRefused`` naming ``name``, the line and the construct for anything that is not well-formed, hostile,
    or outside the constructs of ISO 20022 schemas.
    """
    if len(content) > MAXIMUM_SIZE:
        raise SchemaRefused(f"{name}: {len(content)} bytes; at most {MAXIMUM_SIZE} are read")
    try:
        root = etree.fromstring(content, parser())
    except etree.XMLSyntaxError as error:
        raise SchemaRefused(f"{name}: line {error.lineno}: not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise SchemaRefused(f"{name}: a document type declaration is not allowed in a schema")
    return _Reader(name).message(root)


class _Reader:
    """Reads one schema; remembers the file's name for refusals."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._target = ""

    def message(self, root: etree._Element) -> MessageDefinition:
        self._check(root, "schema")
        if root.get("elementFormDefault") != "qualified":
            raise self._refusal(root, "elementFormDefault other than qualified")
        if root.get("attributeFormDefault", "unqualified") != "unqualified":
            raise self._refusal(root, "attributeFormDefault other than unqualified")
        self._target = root.get("targetNamespace", "")
        if not self._target:
            raise self._refusal(root, "a schema without targetNamespace")
        types: dict[str, TypeDefinition] = {}
        roots: list[etree._Element] = []
        for child in self._children(root):
            construct = self._construct(child)
            if construct == "element":
                roots.append(child)
                continue
            if construct not in {"complexType", "simpleType"}:
                raise self._refusal(child)
            definition = self._complex(child) if construct == "complexType" else self._simple(child)
            if definition.name in types:
                raise self._refusal(child, f"a second type named {definition.name}")
            types[definition.name] = definition
        if len(roots) != 1:
            raise self._refusal(roots[1] if roots else root, f"{len(roots)} root elements; exactly one is needed")
        if set(roots[0].attrib) & _OCCURRENCE:
            raise self._refusal(roots[0], "an occurrence bound on the root element")
        top = self._element(roots[0])
        for definition in types.values():
            for reference in references(definition):
                if reference not in types:
                    raise SchemaRefused(f"{self._name}: type {definition.name} refers to {reference}, which is absent")
        if not top.type.startswith(BUILT_IN) and top.type not in types:
            raise self._refusal(roots[0], f"a root element of unknown type {top.type}")
        identifier = self._target.removeprefix(STANDARD_NAMESPACE).rsplit(":", 1)[-1]
        return MessageDefinition(identifier, self._target, top.name, top.type, types)

    def _complex(self, node: etree._Element) -> ComplexType | SimpleContentType:
        self._check(node, "complexType")
        name = self._required(node, "name")
        content = self._only_child(node)
        if self._construct(content) == "simpleContent":
            self._check(content, "simpleContent")
            extension = self._only_child(content)
            self._check(extension, "extension")
            attributes = tuple(self._attribute(child) for child in self._children(extension))
            return SimpleContentType(name, self._type_name(extension, "base"), attributes)
        return ComplexType(name, self._group(content))

    def _attribute(self, node: etree._Element) -> Attribute:
        self._check(node, "attribute")
        self._no_children(node)
        use = node.get("use", "optional")
        if use not in {"required", "optional"}:
            raise self._refusal(node, f"attribute use {use}")
        return Attribute(self._required(node, "name"), self._type_name(node, "type"), use == "required")

    def _group(self, node: etree._Element) -> Group:
        kind = self._construct(node)
        if kind not in {"sequence", "choice"}:
            raise self._refusal(node)
        self._check(node, kind)
        if self._occurrence(node) != (1, 1):
            raise self._refusal(node, f"an occurrence bound on a {kind}")
        return Group(cast(GroupKind, kind), tuple(self._particle(child) for child in self._children(node)))

    def _particle(self, node: etree._Element) -> ElementDefinition | Group | Wildcard:
        construct = self._construct(node)
        if construct == "element":
            return self._element(node)
        if construct == "any":
            self._check(node, "any")
            self._no_children(node)
            return Wildcard(
                node.get("namespace", "##any"), node.get("processContents", "strict"), *self._occurrence(node)
            )
        return self._group(node)

    def _element(self, node: etree._Element) -> ElementDefinition:
        self._check(node, "element")
        self._no_children(node)
        return ElementDefinition(self._required(node, "name"), self._type_name(node, "type"), *self._occurrence(node))

    def _simple(self, node: etree._Element) -> SimpleType:
        self._check(node, "simpleType")
        restriction = self._only_child(node)
        self._check(restriction, "restriction")
        facets: list[tuple[str, str]] = []
        for child in self._children(restriction):
            facet = self._construct(child)
            if facet not in _FACETS:
                raise self._refusal(child)
            self._check(child, facet)
            self._no_children(child)
            facets.append((facet, self._required(child, "value")))
        return SimpleType(self._required(node, "name"), self._type_name(restriction, "base"), tuple(facets))

    def _type_name(self, node: etree._Element, attribute: str) -> str:
        prefix, _, local = self._required(node, attribute).strip().rpartition(":")
        namespace = node.nsmap.get(prefix or None)
        if namespace == _SCHEMA:
            return BUILT_IN + local
        if namespace != self._target:
            raise self._refusal(node, f"a type of another namespace ({node.get(attribute)})")
        return local

    def _occurrence(self, node: etree._Element) -> tuple[int, int | None]:
        maximum = node.get("maxOccurs", "1")
        try:
            return int(node.get("minOccurs", "1")), None if maximum == "unbounded" else int(maximum)
        except ValueError:
            raise self._refusal(node, "an occurrence bound that is no number") from None

    def _children(self, node: etree._Element) -> Iterator[etree._Element]:
        """Yield the constructs below a node; documentation is no construct."""
        if (node.text or "").strip() or any((child.tail or "").strip() for child in node):
            raise self._refusal(node, f"text inside {self._construct(node)}")
        return (child for child in node if child.tag != f"{{{_SCHEMA}}}annotation")

    def _only_child(self, node: etree._Element) -> etree._Element:
        children = list(self._children(node))
        if len(children) != 1:
            raise self._refusal(node, f"{self._construct(node)} with {len(children)} constructs in it (not one)")
        return children[0]

    def _no_children(self, node: etree._Element) -> None:
        for child in self._children(node):
            raise self._refusal(child, f"{self._construct(child)} inside {self._construct(node)}")

    def _construct(self, node: etree._Element) -> str:
        name = etree.QName(node)
        return name.localname if name.namespace == _SCHEMA else str(node.tag)

    def _check(self, node: etree._Element, expected: str) -> None:
        construct = self._construct(node)
        if construct != expected:
            raise self._refusal(node)
        for attribute in node.attrib:
            if attribute not in _ATTRIBUTES[construct]:
                raise self._refusal(node, f"attribute {attribute!s} of {construct}")

    def _required(self, node: etree._Element, attribute: str) -> str:
        value = node.get(attribute)
        if value is None:
            raise self._refusal(node, f"{self._construct(node)} without {attribute}")
        return value

    def _refusal(self, node: etree._Element, construct: str | None = None) -> SchemaRefused:
        parent = node.getparent()
        where = f" in {self._construct(parent)}" if parent is not None and construct is None else ""
        return SchemaRefused(
            f"{self._name}: line {node.sourceline}: {construct or self._construct(node) + where} is not supported: "
            "ISO 20022 schemas consist of named types, sequences, choices, wildcards, simple content and restrictions"
        )


def write_xsd(message: MessageDefinition) -> bytes:
    """Write a definition as an XML Schema file (UTF-8): root element first, then the types by name."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<xs:schema xmlns="{_value(message.namespace)}" xmlns:xs="{_SCHEMA}" elementFormDefault="qualified" '
        f'targetNamespace="{_value(message.namespace)}">',
        f'    <xs:element name="{message.root}" type="{message.root_type}"/>',
    ]
    for name in sorted(message.types):
        _write_type(message.types[name], lines)
    lines.append("</xs:schema>\n")
    return "\n".join(lines).encode()


def _write_type(definition: TypeDefinition, lines: list[str]) -> None:
    if isinstance(definition, SimpleType):
        lines.append(f'    <xs:simpleType name="{definition.name}">')
        lines.append(f'        <xs:restriction base="{definition.base}">')
        lines += (f'            <xs:{facet} value="{_value(value)}"/>' for facet, value in definition.facets)
        lines += ("        </xs:restriction>", "    </xs:simpleType>")
        return
    lines.append(f'    <xs:complexType name="{definition.name}">')
    if isinstance(definition, ComplexType):
        _write_group(definition.content, lines, "        ")
    else:
        lines += ("        <xs:simpleContent>", f'            <xs:extension base="{definition.base}">')
        for attribute in definition.attributes:
            use = ' use="required"' if attribute.required else ""
            lines.append(f'                <xs:attribute name="{attribute.name}" type="{attribute.type}"{use}/>')
        lines += ("            </xs:extension>", "        </xs:simpleContent>")
    lines.append("    </xs:complexType>")


def _write_group(group: Group, lines: list[str], indent: str) -> None:
    lines.append(f"{indent}<xs:{group.kind}>")
    for item in group.items:
        if isinstance(item, Group):
            _write_group(item, lines, indent + "    ")
            continue
        maximum = "unbounded" if item.maximum is None else item.maximum
        bounds = "" if item.maximum == 1 else f' maxOccurs="{maximum}"'
        bounds += "" if item.minimum == 1 else f' minOccurs="{item.minimum}"'
        if isinstance(item, Wildcard):
            what = f'any namespace="{_value(item.namespace)}" processContents="{item.process}"'
        else:
            what = f'element name="{item.name}" type="{item.type}"'
        lines.append(f"{indent}    <xs:{what}{bounds}/>")
    lines.append(f"{indent}</xs:{group.kind}>")


_ESCAPES = {ord(character): f"&#{ord(character)};" for character in '&<>"\n\r\t'}


def _value(text: str) -> str:
    """Escape an attribute's value so that a parser's normalisation gives it back unchanged."""
    return text.translate(_ESCAPES)
