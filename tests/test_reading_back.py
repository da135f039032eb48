"""What was built is read back: every value of an event stands in its element, and nothing else stands in the message.

The mapping tables are read here the other way round, by code of its own: values are found in the event by the paths of
the table, and in the message by libxml2. Events are drawn at random, for every kind and every version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import BuildError, EventError
from gateway.messages import Correspondents
from gateway.messages.mapping import Row, place
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import TradeEvent, parse_event
from tests.examples import (
    EVERY_VERSION,
    IDENTITY,
    OWN_BIC,
    TABLES,
    build,
    document,
    encode,
    expressible,
    messages,
    profile,
    terms_about,
)
from tests.test_building import events

CATALOGUE = load_catalogue()


def found(value: Any, path: str) -> Iterator[Any]:
    """Yield the values at a path of a mapping table: ``parties[].bic``, ``chain[0].name``."""
    if value is None:
        return
    if not path:
        yield value
        return
    name, _, rest = path.partition(".")
    name, bracket, index = name.partition("[")
    inner = None if isinstance(value, str) else getattr(value, name, None)
    if inner is None:
        return
    if not bracket:
        yield from found(inner, rest)
    elif index == "]":
        for item in inner:
            yield from found(item, rest)
    elif int(index[:-1]) < len(inner):
        yield from found(inner[int(index[:-1])], rest)


def stated(row: Row, sources: dict[str, Any]) -> Iterator[Any]:
    """Yield the values that a row is about, where its condition holds; a condition inside a list is of each item."""
    first, _, rest = row.field.partition(".")
    source, path = (sources[first], rest) if first in sources else (sources[""], row.field)
    if row.condition is None:
        yield from found(source, path)
        return
    condition, wanted = row.condition
    condition = condition.partition(".")[2] if condition.partition(".")[0] in sources else condition
    around = 0  # the steps that value and condition share, as far as the last list
    steps, others = path.split("."), condition.split(".")
    for number, (step, other) in enumerate(zip(steps, others, strict=False), 1):
        if step != other:
            break
        if step.endswith("[]"):
            around = number
    for item in found(source, ".".join(steps[:around])):
        said = list(found(item, ".".join(others[around:])))
        if said and (wanted is None or wanted in said):
            yield from found(item, ".".join(steps[around:]))


def same(row: Row, value: Any, text: str) -> bool:
    """Say whether a text is what a value means."""
    conversion = row.conversion
    if row.codes:
        return row.codes[value] == text
    if conversion.startswith("always "):
        return text == conversion.removeprefix("always ")
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    if isinstance(value, datetime):
        return datetime.fromisoformat(text) == value.replace(microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, date):
        return date.fromisoformat(text) == value
    if isinstance(value, Decimal | int):
        return Decimal(text) == value
    return bool(str(value) == text)


def texts(element: etree._Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of tags and the text of every value, attributes with ``@``."""
    for child in element:
        below = f"{path}/{etree.QName(child).localname}" if path else etree.QName(child).localname
        for name, value in child.attrib.items():
            yield f"{below}/@{name}", str(value)
        if len(child):
            yield from texts(child, below)
        else:
            yield below, child.text or ""


def assert_read_back(event: TradeEvent, definition: str, content: bytes) -> None:
    instructed = terms_about(event.dialogue)
    sources = {
        "": event,
        "identity": IDENTITY,
        "instructed": instructed,
        "asked": event.terms_asked(instructed) or instructed,
        "correspondents": Correspondents(OWN_BIC, "CUSTGB2LXXX"),
    }
    document = next(child for child in etree.fromstring(content) if etree.QName(child).localname == "Document")
    actual: dict[str, list[str]] = defaultdict(list)
    for path, text in texts(document[0]):
        actual[path].append(text)
    for row, steps in place(TABLES[event.kind], CATALOGUE.message(definition)):
        if steps is None:
            continue
        path = "/".join(step.tag for step in steps)
        for value in stated(row, sources):
            if is_dataclass(value) and row.conversion != "amount":
                continue  # a code of a scheme of its own, where the row is for one as text
            if row.conversion == "amount":
                currency = next(name for name in actual if name.startswith(f"{path}/@"))
                assert value.currency in actual[currency], (row.field, path)
                actual[currency].remove(value.currency)
                value = value.value  # noqa: PLW2901 - the rest of the amount
            text = next((one for one in actual[path] if same(row, value, one)), None)
            assert text is not None, f"{row.field} = {value!r} is not in {path}: {actual[path]}"
            actual[path].remove(text)
    invented = {path: left for path, left in actual.items() if left}
    assert invented == {}


@given(events(), st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_what_was_built_is_read_back_into_the_same_values_and_nothing_else(
    event: dict[str, Any], data: st.DataObject
) -> None:
    try:
        parsed = parse_event(encode(event))
    except EventError:
        assume(False)
    definition = data.draw(st.sampled_from([name for kind, name in EVERY_VERSION if kind == parsed.kind]))
    try:
        built = messages().build(parsed, profile(definition), IDENTITY, terms_about(parsed.dialogue))
    except BuildError:
        assume(False)
    assert_read_back(parsed, definition, built.content)


@pytest.mark.parametrize(("kind", "definition"), EVERY_VERSION)
def test_complete_examples_are_read_back_in_every_version(kind: str, definition: str) -> None:
    event = expressible(document(kind), definition)
    assert_read_back(parse_event(encode(event)), definition, build(event, definition).content)


def test_a_value_that_is_lost_or_invented_is_noticed() -> None:
    kind, definition = "instruct_settlement/1", "sese.023.001.12"
    event = expressible(document(kind), definition)
    content = build(event, definition).content
    lost = content.replace(b"<CmonId>", b"<Other>").replace(b"</CmonId>", b"</Other>")
    with pytest.raises(AssertionError):
        assert_read_back(parse_event(encode(event)), definition, lost)
    less = {name: value for name, value in event.items() if name != "common_reference"}
    with pytest.raises(AssertionError, match="CmonId"):
        assert_read_back(parse_event(encode(less)), definition, content)
