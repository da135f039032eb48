"""Whatever code an operator can meet, the runbook says what it means and what to do."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gateway.messages.fin.rules import parse_rules

REPOSITORY = Path(__file__).resolve().parents[1]
RUNBOOK = REPOSITORY / "docs" / "runbook.md"
# The simulator's codes are the counterparty's view of messages; they are not met by the gateway's operators.
SIMULATOR = REPOSITORY / "gateway" / "simulator"
ROOMS = [path for path in sorted((REPOSITORY / "gateway").rglob("*.py")) if SIMULATOR not in path.parents]
_CODE = re.compile(r"[a-z]+(_[a-z0-9]+)+")
_TABLES = ("_CODES", "ALERTS", "_FACETS", "_WHAT_TO_DO")
_DERIVED = {"group_not_authorized": "gateway/bus/consumer.py"}  # put together from parts where it is stated


def _constants(node: ast.AST | None) -> Iterator[str]:
    """Give the codes an expression can be: itself, or what a choice or fallback leads to."""
    match node:
        case ast.Constant(value=str(text)) if _CODE.fullmatch(text):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _constants(body)
            yield from _constants(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _constants(value)
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
            yield from _constants(default)


def _parameters(node: ast.AST) -> tuple[str, list[str]] | None:
    """Give a function's or a dataclass's name and the names of what it takes, in order."""
    match node:
        case ast.FunctionDef(name=name, args=arguments) | ast.AsyncFunctionDef(name=name, args=arguments):
            names = [argument.arg for argument in arguments.posonlyargs + arguments.args]
            return name, names[1:] if names[:1] in (["self"], ["cls"]) else names
        case ast.ClassDef(name=name, body=body):
            return name, [
                item.target.id for item in body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            ]
    return None


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


@cache
def codes() -> dict[str, set[str]]:
    """Collect every code that the gateway's source states, with the modules that state it."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in ROOMS}
    places: dict[str, set[int]] = defaultdict(set)
    for tree in trees.values():
        for node in ast.walk(tree):
            found = _parameters(node)
            if found is not None and "code" in found[1]:
                places[found[0]].add(found[1].index("code"))
    stated: dict[str, set[str]] = defaultdict(set, {code: {module} for code, module in _DERIVED.items()})
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for code in _stated(node, places):
                stated[code].add(str(path.relative_to(REPOSITORY)))
    for code in [
        code for code in stated if code.startswith("value_") and "gateway/messages/explaining.py" in stated[code]
    ]:
        stated[code.replace("value_", "attribute_")] = stated[code]
    for path in sorted((REPOSITORY / "schemas" / "fin").glob("*.rules")):
        for rule in parse_rules(path.read_text(encoding="utf-8"), path.name):
            stated[rule.code].add(str(path.relative_to(REPOSITORY)))
    return stated


def _stated(node: ast.AST, places: dict[str, set[int]]) -> Iterator[str]:
    match node:
        case ast.Call(func=function, args=arguments, keywords=keywords):
            for keyword in keywords:
                if keyword.arg == "code":
                    yield from _constants(keyword.value)
                elif keyword.arg == "alerts":
                    yield from _tabled(keyword.value)
            for place in places.get(_name(function), ()):
                if place < len(arguments):
                    yield from _constants(arguments[place])
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            if name == "code":
                yield from _constants(value)
            elif name.endswith(_TABLES):
                yield from _tabled(value)
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=value):
            if isinstance(value, ast.Call):  # code, advice = table.get(number, ("a_code", "advice"))
                value = value.args[-1] if value.args else value
            for target, item in zip(names, getattr(value, "elts", []), strict=False):
                if isinstance(target, ast.Name) and target.id == "code":
                    yield from _constants(item)
        case ast.FunctionDef(name=name, returns=ast.expr() as returns):
            if "Finding" in ast.unparse(returns) or name == "_value_rule":
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return | ast.Yield) and isinstance(inner.value, ast.Tuple):
                        yield from _constants(inner.value.elts[0])


def _tabled(table: ast.expr | None) -> Iterator[str]:
    """Give the codes of a table: the keys where it says a sentence for each, else what its rows hold."""
    rows = table.values if isinstance(table, ast.Dict) else getattr(table, "elts", [])
    if isinstance(table, ast.Dict) and all(isinstance(row, ast.Constant) and " " in str(row.value) for row in rows):
        rows = table.keys
    for row in rows:
        for item in getattr(row, "elts", [row]):
            yield from _constants(item)


def entries() -> list[str]:
    """Return the codes that have an entry: a heading each, one heading for several that mean the same."""
    headings = re.findall(r"^### (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    return [code for heading in headings for code in re.findall(r"`([^`]+)`", heading)]


def test_every_code_has_a_runbook_entry() -> None:
    missing = {code: sorted(modules) for code, modules in sorted(codes().items()) if code not in entries()}
    assert not missing, f"add an entry to docs/runbook.md for {missing}"


def test_every_runbook_entry_is_of_a_code_that_exists() -> None:
    assert sorted(set(entries()) - set(codes())) == []


def test_a_code_has_one_entry() -> None:
    found = entries()
    assert sorted(code for code in found if found.count(code) > 1) == []


@pytest.mark.parametrize("code", ["event_conflict", "store_full", "send_attempts_exhausted", "settlement_break"])
def test_codes_are_found_however_they_are_stated(code: str) -> None:
    assert code in codes()
