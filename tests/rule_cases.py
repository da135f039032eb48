"""Messages and cases of rules as data: what stands at a path, and one change that breaks a rule."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

from gateway.messages.catalogue import Catalogue, ElementDefinition
from gateway.messages.mapping import elements_below
from gateway.messages.rules import Rulebook
from gateway.messages.schema_files import load_catalogue, load_rulebook
from gateway.messages.validation import Validator

FOLDER = Path(__file__).parent / "messages" / "rules"


@dataclass(frozen=True)
class Case:
    """A rule, a message, what makes the rule be about it, and what breaks it."""

    code: str
    message: str
    holds: tuple[str, ...]
    breaks: tuple[str, ...]


def _lines(name: str) -> list[str]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def cases() -> list[Case]:
    found = []
    for line in _lines("cases.txt"):
        code, message, holds, breaks = (column.strip() for column in line.split(" | "))
        found.append(Case(code, message, _changes(holds), _changes(breaks)))
    return found


def _changes(text: str) -> tuple[str, ...]:
    return tuple(change.strip() for change in text.split(";") if change.strip())


@cache
def catalogue() -> Catalogue:
    return load_catalogue(Path("/nonexistent"))


@cache
def validator() -> Validator:
    return Validator(catalogue())


@cache
def rulebook() -> Rulebook:
    return load_rulebook(catalogue())


@cache
def _messages() -> dict[str, tuple[str, tuple[str, ...]]]:
    found: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in _lines("messages.txt"):
        if line.startswith("message "):
            _, name, definition = line.split()
            found[name] = definition, []
        else:
            found[name][1].append(line)
    return {name: (definition, tuple(lines)) for name, (definition, lines) in found.items()}


def names() -> list[str]:
    return list(_messages())


def message(name: str, changes: Iterable[str] = ()) -> bytes:
    """Write a message of ``messages.txt``, changed."""
    definition, lines = _messages()[name]
    return write(definition, [*lines, *changes])


def write(definition: str, lines: Iterable[str]) -> bytes:
    """Write a message from what stands at its paths; elements are put where the schema has them."""
    found = catalogue().message(definition)
    root: Any = etree.Element(f"{{{found.namespace}}}{found.root}", nsmap={None: found.namespace})  # type: ignore[dict-item]
    top, here = ElementDefinition(found.root, found.root_type), root
    if found.root == "Document":
        (top,) = elements_below(found, top)
        here = etree.SubElement(root, f"{{{found.namespace}}}{top.name}")
    for line in lines:
        if line.startswith("-"):
            _remove(here, line[1:].strip(), found.namespace)
        else:
            path, _, value = line.partition(" = ")
            _set(here, top, path.strip(), value.strip(), found)
    return etree.tostring(root, encoding="UTF-8", pretty_print=True)


def _steps(path: str) -> list[tuple[str, int]]:
    found = (re.fullmatch(r"(@?\w+)(?:\[(\d+)\])?", step) for step in path.split("/"))
    return [(one[1], int(one[2] or 1)) for one in found if one is not None]


def _set(here: Any, definition: ElementDefinition, path: str, value: str, message: Any) -> None:
    for tag, number in _steps(path):
        if tag.startswith("@"):
            here.set(tag[1:], value)
            return
        below = elements_below(message, definition)
        order = [element.name for element in below]
        definition = below[order.index(tag)]
        same = here.findall(f"{{{message.namespace}}}{tag}")
        if len(same) >= number:
            here = same[number - 1]
            continue
        place = sum(order.index(etree.QName(child).localname) <= order.index(tag) for child in here)
        child = etree.Element(f"{{{message.namespace}}}{tag}")
        here.insert(place, child)
        here = child
    here.text = value


def _remove(here: Any, path: str, namespace: str) -> None:
    for tag, number in _steps(path):
        here = here.findall(f"{{{namespace}}}{tag}")[number - 1]
    here.getparent().remove(here)
