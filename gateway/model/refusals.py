"""Why an event is refused: every violation with its path, line, value and what would be right.

This is the slow side of ``parse_event``, taken when the fast side fails or cannot be sure; and, at the end, what is
refused for what the configuration or the ledger holds.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from gateway.errors import EventError, Violation
from gateway.model import cash, vocabulary
from gateway.model.event import Event
from gateway.model.strict import described

_RULES = vocabulary.RULES | cash.RULES
_VALUE_LENGTH = 140
_MAGNITUDE = 100
_DEPTH = 20  # no event is nested deeper; paths further down would grow without bound
_CONTROLS = {number: f"\\u{number:04x}" for number in (*range(32), 127)}  # NUL among them, which no ledger takes


def decode(content: bytes) -> tuple[Any, list[Violation]]:
    """Decode JSON exactly; numbers that a binary float cannot hold become text, so that no digit is lost on the way.

    A null or an empty list is the same as a field that is left out.

    The violations name what is no JSON (UTF-8, syntax, depth, NaN) and every key that stands twice in an object.
    """
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                repeated.append(key)
            found[key] = value
        return {key: value for key, value in found.items() if value is not None and value != []}

    def number(text: str) -> float | str:
        exact = Decimal(text)
        if abs(exact.adjusted()) > _MAGNITUDE:
            raise ValueError(f"{text} is far beyond every amount and quantity")
        value = float(text)
        return value if Decimal(repr(value)) == exact else format(exact, "f")

    def constant(text: str) -> None:
        raise ValueError(f"{text} is no JSON number")

    try:
        document = json.loads(
            content.decode("utf-8"), object_pairs_hook=members, parse_float=number, parse_constant=constant
        )
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no text
    except json.JSONDecodeError as error:
        return None, [_undecodable(f"JSON: {error.msg} at column {error.colno}", error.lineno)]
    except UnicodeError as error:
        return None, [_undecodable(f"UTF-8: {error.reason if hasattr(error, 'reason') else error}", None)]
    except (ValueError, ArithmeticError, RecursionError) as error:
        return None, [_undecodable(f"JSON: {error}", None)]
    if not isinstance(document, dict):
        return document, [_undecodable("a JSON object, one event", 1)]
    rule = "each field once"
    return document, [
        Violation("event_field_repeated", key, rule, key, f"{key}: the field stands more than once in one object")
        for key in repeated
    ]


def _undecodable(rule: str, line: int | None) -> Violation:
    return Violation("event_undecodable", "", "one event in JSON, UTF-8", None, f"not readable as {rule}", line)


def too_large(size: int, limit: int) -> Violation:
    """Say that an event exceeds the size that is read."""
    rule = f"at most {limit} bytes"
    return Violation("event_too_large", "", rule, str(size), f"the event has {size} bytes, {rule} are read")


def unknown_schema(document: dict[str, Any], known: Sequence[str]) -> Violation:
    """Say that an event names no schema, or one that is not read here, and which one was probably meant."""
    given = document.get("schema")
    rule = f"one of {', '.join(known)}"
    if given is None:
        return Violation("event_field_missing", "schema", rule, None, f"schema is missing; it is {rule}")
    text = f"schema: {_shown(given)} is unknown; it is {rule}{_nearest(str(given), known)}"
    return Violation("event_schema_unknown", "schema", rule, _shown(given), text)


def explain(document: dict[str, Any], model: type[Event], error: ValidationError) -> list[Violation]:
    """Turn what pydantic found into violations, and add the rules across fields whose fields are good themselves."""
    twin: type = model  # of a type that can be kept
    details = [detail for detail in error.errors(include_url=False) if detail["type"] != "event_rule_broken"]
    bad = {str(detail["loc"][0]) for detail in details if detail["loc"]}
    good = {name: value for name, value in document.items() if name not in bad}
    values = SimpleNamespace(**{name: field.get_default() for name, field in described(model).items()})
    for name, value in _partial(twin).model_validate_json(json.dumps(good)):
        if name in document:
            setattr(values, name, value)
    violations = [_violation(document, model, detail) for detail in _without_echoes(document, details)]
    for rule in model.rules:
        if bad.isdisjoint(rule.fields) and not _unstated(model, document, rule.fields) and rule.broken(values):
            shown = _shown(document.get(rule.path.partition(".")[0]))
            text = f"{rule.path}: expected {rule.text}"
            violations.append(Violation("event_rule_broken", rule.path, rule.text, shown, text))
    return violations


def _unstated(model: type[Event], document: dict[str, Any], fields: Iterable[str]) -> bool:
    return any(described(model)[name].is_required() and name not in document for name in fields)


@cache
def _partial(model: type) -> type[BaseModel]:
    """Make the model's twin in which every field may be left out and no rule across fields applies."""
    fields: dict[str, Any] = {}
    for name, field in described(model).items():
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        default = None if field.is_required() else field.default
        fields[name] = (annotation, Field(default=default, alias=field.alias))
    return create_model(f"Partial{model.__name__}", __config__=ConfigDict(strict=True), **fields)


def _without_echoes(document: dict[str, Any], details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop what a union of text and object says of the branch that the value was not meant for."""
    kept = []
    for detail in details:
        value, last = detail["input"], detail["loc"][-1] if detail["loc"] else ""
        inside = isinstance(last, str) and not _path(document, detail).endswith(last)  # it names a branch
        if inside and detail["type"] == "dataclass_type" and isinstance(value, str):
            continue
        if inside and detail["type"] == "string_type" and isinstance(value, dict):
            continue
        kept.append(detail)
    return kept


def _path(document: Any, detail: ErrorDetails) -> str:
    """Write a location as a path into the document, without the names of union branches that pydantic puts in."""
    path, here, parts = "", document, detail["loc"]
    absent = len(parts) - 1 if detail["type"] == "missing" else -1
    for position, part in enumerate(parts):
        if isinstance(here, list) and isinstance(part, int):
            path += f"[{part}]"
            here = here[part] if part < len(here) else None
        elif isinstance(here, dict) and (part in here or position == absent):
            path += f".{part}" if path else str(part)
            here = here.get(str(part))
    return path


_CODES = {"missing": "event_field_missing", "unexpected_keyword_argument": "event_field_unknown"}
_OWN_CODES = ("event_field_invalid", "identifier_check_digit", "currency_unknown", "currency_decimals")
_WORDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a date such as 2026-03-02",
    "date_parsing": "a date such as 2026-03-02",
    "date_type": "a date such as 2026-03-02, as text",
    "datetime_type": "an instant with its offset, such as 2026-03-02T09:15:00Z, as text",
    "datetime_parsing": "an instant with its offset, such as 2026-03-02T09:15:00Z",
    "datetime_from_date_parsing": "an instant with its offset, such as 2026-03-02T09:15:00Z",
    "timezone_aware": "an instant with its offset, such as 2026-03-02T09:15:00Z",
    "dataclass_type": "an object",
    "tuple_type": "a list",
    "finite_number": "a number",
}


def _violation(document: dict[str, Any], model: type, detail: ErrorDetails) -> Violation:
    kind, path = detail["type"], _path(document, detail)
    code = kind if kind in _OWN_CODES else _CODES.get(kind, "event_field_invalid")
    value = None if kind == "missing" else _shown(detail["input"])
    if kind == "missing":
        return Violation(code, path, "this field is required", None, f"{path} is missing")
    if kind == "unexpected_keyword_argument":
        known = _fields_beside(model, path)
        rule = f"one of {', '.join(known)}"
        text = f"{path} is not a field of this event{_nearest(str(detail['loc'][-1]), known)}"
        return Violation(code, path, rule, value, text)
    context = detail.get("ctx", {})
    rule = _RULES.get(context.get("pattern", "")) or _WORDS.get(kind) or detail["msg"].removeprefix("Input should be ")
    return Violation(code, path, rule, value, f"{path}: expected {rule}, found {value}")


def _fields_beside(model: type, path: str) -> list[str]:
    """List the fields that the object around ``path`` may have."""
    here = model
    for name in re.sub(r"\[\d+\]", "", path).split(".")[:-1]:
        field = next((f for n, f in described(here).items() if name in (n, f.alias)), None)
        here = next(models_in(field.annotation), here) if field is not None else here
    return [field.alias or name for name, field in described(here).items()]


def models_in(annotation: Any) -> Iterator[type]:
    """Name the models that a field's annotation speaks of, through unions and lists."""
    if isinstance(annotation, type) and described(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def _nearest(given: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:_VALUE_LENGTH].translate(_CONTROLS)


def summary(violations: Sequence[Violation]) -> str:
    """Say in one sentence what is wrong, and how much more there is."""
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return violations[0].text + more


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]')


def with_lines(violations: Sequence[Violation], content: bytes) -> tuple[Violation, ...]:
    """Add to each violation the line of the field it speaks of, or of the nearest thing around it."""
    lines = _lines(content) if any(found.path and not found.line for found in violations) else {}

    def line(path: str) -> int:
        while path and path not in lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return lines.get(path, 1)

    return tuple(found if found.line else replace(found, line=line(found.path)) for found in violations)


def _lines(content: bytes) -> dict[str, int]:
    """Map the path of every field and list item to the line on which it begins."""
    lines: dict[str, int] = {}
    stack: list[tuple[str, int | None]] = []  # each open object or list: its path, and the index a list is at
    line, path, text = 1, "", b""
    for found in _TOKEN.finditer(content):
        token = found[0]
        if token == b"\n":
            line += 1
        elif token in b"{[":
            if len(stack) == _DEPTH:
                return lines
            stack.append((path, 0 if token == b"[" else None))
            if token == b"[":
                path = f"{path}[0]"
                lines[path] = line
        elif token in b"}]":
            path, _ = stack.pop() if stack else ("", None)
        elif token == b":":
            key = text[1:-1].decode("utf-8", "replace")
            parent = stack[-1][0] if stack else ""
            path = f"{parent}.{key}" if parent else key
            lines.setdefault(path, line)
        elif token == b",":
            if stack and stack[-1][1] is not None:
                parent, index = stack[-1]
                stack[-1] = (parent, (index or 0) + 1)
                path = f"{parent}[{(index or 0) + 1}]"
                lines[path] = line
        else:
            text = token
    return lines


# What is refused for what is known already ----------------------------------------------------------------------------


def unknown_counterparty(bic: str, known: Sequence[str]) -> EventError:
    """Say that an event names nobody of the configuration."""
    rule = f"one of the configured counterparties: {', '.join(sorted(known))}"
    text = f"counterparty: there is no profile for {bic}; add one to the configuration or correct the event ({rule})"
    violation = Violation("counterparty_unknown", "counterparty", rule, bic, text)
    return EventError(text, code="counterparty_unknown", violations=(violation,))


def event_conflict(source: str, event_id: str) -> EventError:
    """Say that an event came before with other content."""
    text = (
        f"event {event_id} of {source} came before with other content; "
        "an event identifier is used once: send the change as a new event"
    )
    violation = Violation("event_conflict", "event_id", "an event identifier names one content", event_id, text)
    return EventError(text, code="event_conflict", violations=(violation,))


def identifier_clash(source: str, trade_id: str, number: int) -> EventError:
    """Say that two instructions derive one transaction identification."""
    text = f"the derived transaction identification is that of {source}/{trade_id}/{number} already"
    return EventError(text, code="identifier_clash")


def number_taken(trade_id: str | None, number: int | None) -> EventError:
    """Say that an instruction of this number was given before."""
    text = (
        f"instruction {number} of trade {trade_id} exists; "
        "instructing again takes a new instruction_number (amend is cancel, then instruct)"
    )
    rule = "one instruction a number of a trade"
    violation = Violation("instruction_number_taken", "instruction_number", rule, str(number), text)
    return EventError(text, code="instruction_number_taken", violations=(violation,))


def nothing_there(trade_id: str | None, number: int | None, dialogue: str, *, cancels: bool) -> EventError:
    """Say that a request is about an instruction that has not come."""
    text = f"trade {trade_id} has no {dialogue} instruction {number} to ask about"
    rule = "the number of an instruction that was recorded before"
    code = "cancel_unknown_instruction" if cancels else "request_unknown_instruction"
    violation = Violation(code, "instruction_number", rule, str(number), text)
    return EventError(text, code=code, violations=(violation,))


def other_counterparty(trade_id: str | None, number: int | None, instructed: str, named: str) -> EventError:
    """Say that a request names somebody else than the instruction went to."""
    text = f"instruction {number} of trade {trade_id} went to {instructed}, not to {named}"
    rule = f"the instruction's: {instructed}"
    violation = Violation("request_other_counterparty", "counterparty", rule, named, text)
    return EventError(text, code="request_other_counterparty", violations=(violation,))
