"""Say in words what a schema refuses, with element paths, lines, values and what would be right.

Loaded on first need: the xmlschema library takes time to import and to compile a schema, and names every violation
where libxml2 stops at the first unexpected child.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import xmlschema
from lxml import etree
from xmlschema.validators import XMLSchemaChildrenValidationError, XMLSchemaValidationError, facets

from gateway.errors import Violation
from gateway.messages.parsing import element_path, position

_VALUE_LIMIT: Final = 140
_EXAMINED_FOR_EACH = 5  # errors of the library examined for each violation asked for; some say the same twice

_BUILT_IN_RULES: Final = {
    "date": "a date, YYYY-MM-DD, that exists",
    "dateTime": "a date and time, YYYY-MM-DDThh:mm:ss with optional fraction and offset (Z, +01:00), that exists",
    "time": "a time, hh:mm:ss with optional fraction and offset",
    "gYear": "a year, YYYY",
    "gYearMonth": "a month, YYYY-MM",
    "gMonth": "a month, --MM",
    "gDay": "a day, ---DD",
    "decimal": "a decimal number with a point, without exponent or thousands separators",
    "integer": "a whole number",
    "boolean": "true or false (or 1, 0)",
    "base64Binary": "base64 text",
    "anyURI": "a URI",
    "ID": "an identifier that occurs once in the message",
    "IDREF": "an identifier that occurs as ID in the message",
}


def _number_of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _codes(facet: Any) -> str:
    values = [str(value) for value in facet.enumeration]
    return f"one of {', '.join(values)}" if len(values) > 1 else f"exactly {values[0]}"


# Facet of the schema language -> code of the violation, and the constraint in words.
_FACETS: Final[tuple[tuple[type, str, Callable[[Any], str]], ...]] = (
    (facets.XsdEnumerationFacets, "value_not_in_code_set", _codes),
    (facets.XsdPatternFacets, "value_pattern", lambda facet: f"the pattern {' or '.join(facet.regexps)}"),
    (facets.XsdLengthFacet, "value_length", lambda facet: f"exactly {_number_of(facet.value, 'character')}"),
    (facets.XsdMinLengthFacet, "value_length", lambda facet: f"at least {_number_of(facet.value, 'character')}"),
    (facets.XsdMaxLengthFacet, "value_length", lambda facet: f"at most {_number_of(facet.value, 'character')}"),
    (facets.XsdTotalDigitsFacet, "value_digits", lambda facet: f"at most {_number_of(facet.value, 'digit')}"),
    (
        facets.XsdFractionDigitsFacet,
        "value_digits",
        lambda facet: f"at most {_number_of(facet.value, 'digit')} after the decimal point",
    ),
    (facets.XsdMinInclusiveFacet, "value_range", lambda facet: f"at least {facet.value}"),
    (facets.XsdMaxInclusiveFacet, "value_range", lambda facet: f"at most {facet.value}"),
    (facets.XsdMinExclusiveFacet, "value_range", lambda facet: f"more than {facet.value}"),
    (facets.XsdMaxExclusiveFacet, "value_range", lambda facet: f"less than {facet.value}"),
)


class Explainer:
    """Explain refusals by one schema. Compiling it costs up to a second of processor time."""

    def __init__(self, xsd: bytes) -> None:
        self._schema = xmlschema.XMLSchema10(xsd.decode(), allow="none", defuse="never")

    def explain(
        self,
        element: etree._Element,
        line_of: Callable[[etree._Element], int | None],
        refusals: Sequence[str],
        limit: int,
    ) -> list[Violation]:
        """Return every violation of a refused header or document, at most ``limit``.

        ``refusals`` are the words of the validator that refused it: where this one finds nothing wrong, they become one
        violation with code ``validators_disagree``.
        """
        root: Any = copy.deepcopy(element)  # the copy has no envelope around it, so that paths and positions begin here
        root.tail = None
        offset = (line_of(element) or 1) - (root.sourceline or 1)
        found: dict[tuple[str, str, str], Violation] = {}
        errors = self._schema.iter_errors(root, use_location_hints=False)
        for error in islice(errors, limit * _EXAMINED_FOR_EACH):
            for code, culprit, path, rule, value in _findings(error):
                shown = None if value is None else value[:_VALUE_LIMIT]
                line = None if culprit.sourceline is None else culprit.sourceline + offset
                text = f"{path}: {_sentence(code, shown, rule)}"
                found.setdefault((code, path, rule), Violation(code, path, rule, shown, text, line))
            if len(found) >= limit:
                break
        if found:
            return list(found.values())[:limit]
        path = f"/{_name(root)}"
        words = "; ".join(refusals) or "no reason given"
        return [
            Violation(
                "validators_disagree",
                path,
                "both schema validators accept the message",
                None,
                f"{path}: refused by libxml2 and accepted by xmlschema: {words}",
                line_of(element),
            )
        ]


Finding = tuple[str, Any, str, str, str | None]  # code, where, path, rule, value


def _findings(error: XMLSchemaValidationError) -> Iterator[Finding]:
    culprit: Any = error.elem
    if isinstance(error, XMLSchemaChildrenValidationError):
        yield _child_finding(error, culprit)
        return
    path = element_path(culprit)
    validator: Any = error.validator
    if isinstance(validator, xmlschema.validators.XsdAttributeGroup):
        yield from _attribute_findings(validator, culprit, path)
        return
    if isinstance(validator, xmlschema.validators.XsdGroup):
        yield "text_unexpected", culprit, path, "only elements here, no text between them", None
        return
    attribute = _attribute_of(error, culprit)
    value = culprit.text or "" if attribute is None else culprit.get(attribute)
    where = path if attribute is None else f"{path}/@{attribute}"
    code, rule = _value_rule(validator, error)
    if len(culprit) and attribute is None:
        code, rule, value = "element_unexpected", "text, no elements below", None
    yield code if attribute is None else code.replace("value_", "attribute_"), culprit, where, rule, value


def _value_rule(validator: Any, error: XMLSchemaValidationError) -> tuple[str, str]:
    for facet, code, rule in _FACETS:
        if isinstance(validator, facet):
            return code, rule(validator)
    name = (getattr(validator, "local_name", None) or "").rpartition(":")[2]
    if isinstance(validator, xmlschema.validators.XsdSimpleType) and name in _BUILT_IN_RULES:
        return "value_type", _BUILT_IN_RULES[name]
    return "schema_rule", str(error.reason or error.message)


def _child_finding(error: XMLSchemaChildrenValidationError, parent: Any) -> Finding:
    path = element_path(parent)
    child: Any = error.invalid_child
    expected = _names(error.expected or ())
    if child is None:
        return _missing(parent, parent, path, expected)
    group: Any = error.validator
    known = _names(group.iter_elements())
    name, present = _name(child), {_name(sibling) for sibling in parent.iterchildren("{*}*")}
    in_namespace = etree.QName(child).namespace == etree.QName(parent).namespace
    if in_namespace and name in known and expected and not present & set(expected):
        return _missing(child, parent, path, expected)
    maximum = _maximum(group, name)
    if in_namespace and maximum is not None and position(child) > maximum:
        rule = f"at most {_number_of(maximum, name + ' element')} here"
        return "element_repeated", child, element_path(child), rule, None
    if expected:
        rule = f"{_one_of(expected)} is expected here"
    elif in_namespace and name in known:
        rule = f"order or choice is broken; {_name(parent)} takes {', '.join(known)}"
    else:
        rule = f"no such element here; allowed in {_name(parent)}: {', '.join(known) or 'none'}"
    return "element_unexpected", child, element_path(child), rule, child.text if not len(child) else None


def _missing(culprit: Any, parent: Any, path: str, expected: Sequence[str]) -> Finding:
    rule = f"{_one_of(expected)} in {_name(parent)}" if expected else f"more elements in {_name(parent)}"
    where = f"{path}/{expected[0]}" if len(expected) == 1 else path
    return "element_missing", culprit, where, rule, None


def _attribute_findings(validator: Any, culprit: Any, path: str) -> Iterator[Finding]:
    allowed = {name for name in validator if name is not None}
    for name in validator.iter_required():
        if name not in culprit.attrib:
            yield "attribute_missing", culprit, f"{path}/@{name}", f"the attribute {name} on {_name(culprit)}", None
    for name, value in culprit.attrib.items():
        if name not in allowed and not name.startswith("{http://www.w3.org/2001/XMLSchema-instance}"):
            rule = f"only the attributes {', '.join(sorted(allowed))}" if allowed else "no attributes"
            local = etree.QName(name).localname
            yield "attribute_unexpected", culprit, f"{path}/@{local}", f"{rule} on {_name(culprit)}", value


def _attribute_of(error: XMLSchemaValidationError, culprit: Any) -> str | None:
    """Return the attribute an error about a value is about, or None when it is about the element's own text."""
    value = error.obj
    if not isinstance(value, str | Decimal) or (culprit.text or "").strip() == str(value).strip():
        return None
    return next((name for name, text in culprit.attrib.items() if text == value), None)


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def _names(particles: Iterable[Any]) -> list[str]:
    names = [getattr(particle, "local_name", None) or "any element" for particle in particles]
    return list(dict.fromkeys(names))


def _maximum(group: Any, name: str) -> int | None:
    for particle in group.iter_elements():
        if getattr(particle, "local_name", None) == name:
            return None if particle.max_occurs is None else int(particle.max_occurs)
    return None


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _sentence(code: str, value: str | None, rule: str) -> str:
    if code.endswith("_missing"):
        return f"missing: {rule}"
    if code in ("element_unexpected", "schema_rule"):
        return f"not allowed: {rule}"
    return f"'{value}' is refused; expected {rule}" if value is not None else f"refused; expected {rule}"
