"""The whole content of a message as plain values, and back: nothing that a message says is left out.

The form is that of JSON: an element with elements in it is an object, one that may repeat is a list, a value is the
text as it was written. An amount is an object of ``value`` and its attributes (``@Ccy``), the element that a wildcard
lets in (supplementary data, a signature) is XML text under ``xml``. Which of them an element is follows from the
message definition, so the same element has the same form in every message, and the order of elements need not be
kept: it is the definition's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lxml import etree

from gateway.errors import BuildError, Violation
from gateway.messages.catalogue import (
    ComplexType,
    ElementDefinition,
    Group,
    MessageDefinition,
    SimpleContentType,
    Wildcard,
)

FOREIGN: Final = "xml"
VALUE: Final = "value"
_ATTRIBUTE: Final = "@"

Content = dict[str, Any]


def content_of(message: MessageDefinition, root: etree._Element) -> Content:
    """Return everything below the root element (``Document``, ``AppHdr``, ``Xchg``) of a valid message.

    Comments, white space between elements, prefixes and hints about schemas are not content.
    """
    found: Content = _read(message, message.root_type, root)
    return found


def write_content(message: MessageDefinition, content: Mapping[str, Any]) -> bytes:
    """Write what ``content_of`` returned as XML (UTF-8), with the namespace as the default one.

    Raises ``BuildError`` (``element_not_in_version``) naming each element that the definition does not have; whether
    the message is valid is for the validator to say.
    """
    root = etree.fromstring(f'<{message.root} xmlns="{message.namespace}"/>')
    lacking: list[Violation] = []
    _write(message, message.root_type, root, content, f"/{message.root}", lacking)
    if lacking:
        raise BuildError(lacking[0].text, code=lacking[0].code, violations=lacking)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _read(message: MessageDefinition, type_name: str, element: etree._Element) -> Any:
    definition = message.types.get(type_name)
    if isinstance(definition, SimpleContentType):
        attributes = {f"{_ATTRIBUTE}{each.name}": element.get(each.name) for each in definition.attributes}
        given = {name: value for name, value in attributes.items() if value is not None}
        return {VALUE: element.text or "", **given}
    if not isinstance(definition, ComplexType):
        return element.text or ""
    below = {declared.name: declared for declared in definition.content.elements()}
    found: Content = {}
    for child in element:
        namespace, _, name = str(child.tag).rpartition("}")
        declared = below.get(name) if namespace[1:] == message.namespace else None
        if declared is None:  # a wildcard lets it in
            found.setdefault(FOREIGN, []).append(etree.tostring(child, encoding="unicode", with_tail=False))
        elif declared.maximum == 1:
            found[name] = _read(message, declared.type, child)
        else:
            found.setdefault(name, []).append(_read(message, declared.type, child))
    return found


def _write(
    message: MessageDefinition,
    type_name: str,
    element: etree._Element,
    content: Any,
    path: str,
    lacking: list[Violation],
) -> None:
    definition = message.types.get(type_name)
    if isinstance(definition, SimpleContentType) and isinstance(content, Mapping):
        element.text = content.get(VALUE)
        for name, value in content.items():
            if name.startswith(_ATTRIBUTE):
                element.set(name.removeprefix(_ATTRIBUTE), value)
        return
    if not isinstance(definition, ComplexType) or not isinstance(content, Mapping):
        element.text = content if isinstance(content, str) else None
        if not isinstance(content, str):
            lacking.append(_no_element(message, path, "a text", str(content)))
        return
    left = dict(content)
    for item in _items(definition.content):
        if isinstance(item, Wildcard):
            for foreign in left.pop(FOREIGN, ()):
                element.append(etree.fromstring(foreign))
            continue
        given = left.pop(item.name, None)
        for number, value in enumerate(given if isinstance(given, list) else () if given is None else (given,), 1):
            child = etree.SubElement(element, f"{{{message.namespace}}}{item.name}")
            place = f"{path}/{item.name}" + (f"[{number}]" if item.maximum != 1 else "")
            _write(message, item.type, child, value, place, lacking)
    known = ", ".join(declared.name for declared in definition.content.elements())
    lacking += [_no_element(message, f"{path}/{name}", f"one of {known}", name) for name in left]


def _items(group: Group) -> Iterator[ElementDefinition | Wildcard]:
    """Yield what may stand in a type in the order of the schema; a name of two branches of a choice comes once."""
    for item in group.items:
        if isinstance(item, Group):
            yield from _items(item)
        else:
            yield item


def _no_element(message: MessageDefinition, path: str, rule: str, value: str) -> Violation:
    text = f"{path}: {message.identifier} has no such element; expected {rule}"
    return Violation("element_not_in_version", path, rule, value[:140], text)
