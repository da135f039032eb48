"""Translate what the gateway builds: read a message into its event by one mapping table, write the event by another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, cast

from gateway.errors import BuildError, Violation
from gateway.messages import Identity, fin
from gateway.messages.building import Line, MessageWriter, Place
from gateway.messages.catalogue import MessageDefinition
from gateway.messages.mapping import Table
from gateway.messages.sources import kind_of
from gateway.messages.translation import payments, trades
from gateway.messages.translation.answers import sources as kinds_of
from gateway.messages.translation.leaves import Leaf
from gateway.messages.translation.placing import (
    Placed,
    changed,
    incomplete,
    objection,
    path_of,
    rendered,
    shortened,
    too_many,
)
from gateway.messages.translation.report import Entry, Report
from gateway.messages.translation.stating import EVENT, Origins, Stated, Statement, Tree, make
from gateway.messages.writing import Location, value_at
from gateway.model.facts import Terms
from gateway.model.identifiers import COUNTRIES
from gateway.model.strict import described

FIN: Final = "fin"
_GRANTED: Final = "what FIN takes for granted"
_ESSENTIAL: Final = ("bic", "name_and_address", "data_source_scheme")  # a field of FIN says something else without it
_TEXT: Final = "text"


@dataclass(slots=True)
class Written:
    """The values of the target in their places, which elements of the source they carry, and what came up."""

    placed: list[Placed] = field(default_factory=list)
    carried: list[Leaf] = field(default_factory=list)
    why: dict[int, str] = field(default_factory=dict)  # of a leaf that is not carried, by identity
    broken: dict[Place, str] = field(default_factory=dict)  # fields of FIN that lack a part, and why
    paths: dict[str, str] = field(default_factory=dict)  # of the elements of what the source did not say, by field
    wanting: list[Violation] = field(default_factory=list)  # what FIN has to state, and the source does not say


UNDIRECTED: Final = ("commission", "amount")

Parts = dict[tuple[str | int, ...], str]
"""Of a party in a chain (name of the chain, place in it) the part in which FIN named it."""


def imply(said: Statement) -> Parts:
    """State what of the event follows from what FIN says; returns the parts of the parties."""
    given = said.fields.get(FIN, {})
    usual = fin.Derived()
    for name, inner in given.items():
        if isinstance(inner, Stated) and inner.leaf is not None and inner.value == getattr(usual, name):
            said.constants.append(inner.leaf)
    plain: dict[str, Any] = {}
    for name, inner in given.items():
        several = isinstance(inner, dict) and all(isinstance(key, tuple) for key in inner)
        plain[name] = inner.value if isinstance(inner, Stated) else list(inner.values()) if several else inner
    parts: Parts = {}
    for path, name, value in fin.implied(plain):
        inner = given[name]
        if isinstance(inner, Stated):
            said.state(EVENT, path, Stated(value, inner.leaf))
            continue
        *around, last = path
        here = said.fields[EVENT]
        for step in around:
            here = here.setdefault(step, {})
        here[last] = {**here.get(last, {}), **_party(cast("Tree", value))}  # of a party, more may be said
        if inner is value and isinstance(last, int):
            parts[path] = name
        sign = here[last].get("direction")
        if isinstance(sign, Stated) and sign.leaf is not None and sign.value == "debit" and path == UNDIRECTED:
            shown = f"{sign.leaf.shown.rpartition('/')[0]}/sign"
            said.left.append(Entry(shown, None, sign.leaf.text, "a commission has no direction in ISO 20022"))
    return parts


def _party(said: Tree) -> Tree:
    """Return a party as the event has it: lines that end with a country are a name and an address."""
    party = {fin.IN_EVENT.get(name, name): told for name, told in said.items()}
    named = party.get("name")
    if not isinstance(named, Stated):
        return party
    name, *lines = str(named.value).splitlines()
    town, _, country = lines[-1].rpartition(" ") if lines else ("", "", "")
    if country in COUNTRIES:
        party["name"] = Stated(name, named.leaf)
        address = {"lines": dict(enumerate(Stated(line, named.leaf) for line in lines[:-1])), "country": country}
        address |= {"town": town} if town else {}
        party["address"] = {
            each: Stated(text, named.leaf) if isinstance(text, str) else text for each, text in address.items() if text
        }
    return party


def _parts_lost(parts: Parts, event: Any, said: Statement) -> Iterator[Entry]:
    """Yield the parts of parties that the event has no way to say: of a chain it says but the order."""
    again = fin.parties(event)
    meant = {path: name for path, name, _ in fin.implied(_fields(again))}
    for path, part in parts.items():
        if meant.get(path) != part:
            where = _where(said.fields[FIN][part])
            yield Entry(where, None, part, f"a chain says the part by the order, and that says {meant.get(path)}")


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _trace(event: Any, derived: Any, origins: Origins) -> None:
    """Note which elements said what FIN says of a party, or of a place, in words of its own."""
    for part in () if derived.executed is None else fields(derived.executed):
        origins.note(derived.executed, part.name, origins.leaf(event, "executed_at"))
    for path, name, value in fin.implied(_fields(derived)):
        holder = event
        for step in path[:-1]:
            holder = getattr(holder, str(step))
        if not is_dataclass(value):
            origins.note(derived, name, origins.leaf(holder, path[-1]))
            continue
        party = getattr(holder, last) if isinstance(last := path[-1], str) else holder[last]
        for each in fields(value):
            own = fin.IN_EVENT.get(each.name, each.name)
            said = origins.leaf(party, own)
            origins.note(
                value, each.name, said, origins.below(getattr(party, "address", None)) if own != each.name else ()
            )


def _where(tree: Any) -> str | None:
    """Return the path of the first element below a part of a statement."""
    while isinstance(tree, dict):
        tree = next(iter(tree.values()))
    return tree.leaf.shown if isinstance(tree, Stated) and tree.leaf is not None else None


def write(
    said: Statement,
    table: Table,
    message: MessageDefinition,
    writer: MessageWriter,
    given: Mapping[str, Any],
    report: Report,
    parts: Parts,
    *,
    truncate: bool,
) -> Written:
    """Write by a mapping table what is stated; ``given`` are sources, or fields of the identity, that nobody states.

    What has no place, or does not fit, is in ``why`` of the element that said it; what nobody said is reported.
    """
    origins = Origins()
    types = kinds_of(table)
    objects: dict[str, Any] = {}
    result = Written(carried=list(said.constants))
    for name, model in types.items():
        if name == FIN:
            objects[name] = _derived(said, objects, types[EVENT], origins, result)
            _trace(objects[EVENT], objects[name], origins)
            payments.trace(objects[EVENT], table.events[0], objects["identity"], objects[name].payment, origins)
            trades.trace(objects[EVENT], objects[name].exchange, origins)
            granted = payments.granted(objects[EVENT], table.events[0], origins)
            granted += trades.granted(objects[EVENT], origins)
            report.carried += [Entry(leaf.shown, message.identifier, leaf.value, _GRANTED) for leaf in granted]
            result.carried += granted
        elif name == "identity":
            objects[name] = make(Identity, {**given[name], **said.fields.get(name, {})}, origins)
        elif name in given:
            objects[name] = given[name]
        else:
            objects[name] = make(model, said.fields.get(name, {}), origins)
    if parts:
        report.not_carried += _parts_lost(parts, objects[EVENT], said)
    if objects["asked"] == Terms():
        objects["asked"] = objects["instructed"]
    sources = list(objects.values())
    report.not_carried += said.left
    report.carried += [
        Entry(leaf.shown, message.identifier, leaf.value, "says nothing more") for leaf in said.constants
    ]
    for line, location, value in writer.applied(sources):
        _one(line, location, value, sources, message, origins, said, result, report, truncate=truncate)
    _broken(result, report)
    _incomplete(message, result, report)
    _refused(result, report)
    _by_type(table, objects, message, origins, result, report)
    _counted(result, report)
    targets = {entry.source: entry.target for entry in report.carried}
    carried = {id(leaf) for leaf in result.carried}
    for echo, leaf in said.echoes:
        if id(leaf) in carried and id(echo) not in carried:
            report.carried.append(Entry(echo.shown, targets.get(leaf.shown), echo.value, said.why.get(id(echo))))
            result.carried.append(echo)
    return result


def _one(
    line: Line,
    location: Location,
    value: Any,
    sources: list[Any],
    message: MessageDefinition,
    origins: Origins,
    said: Statement,
    result: Written,
    report: Report,
    *,
    truncate: bool,
) -> None:
    """Put one value into its place, or say why it has none."""
    leaf, known, others = _origin(line, location, value, sources, origins)
    if line.steps is None:
        if line.row.conversion != "internal":
            _refuse(result, leaf, f"{message.identifier} has no place for {line.row.field}")
        return
    path = path_of(line.steps, line.place(location))
    whole = value
    text = rendered(line.form, value.value if line.attribute else value)
    why = too_many(message, line.steps, line.place(location))
    if why is None and line.form.codes is not None and value not in line.form.codes:
        why = f"one of {', '.join(line.form.codes.values())}"
    why = why or objection(message, line.steps, text)
    if why is not None and truncate and line.row.conversion == _TEXT:
        shorter = shortened(message, line.steps, line.form, str(value))
        if shorter is not None:
            value, why = shorter, None
            text = rendered(line.form, value)
    if why is not None:
        if leaf is None:
            report.not_carried.append(Entry(None, path, str(value), f"{message.identifier} wants {why}"))
        for each in (leaf, *others):
            _refuse(result, each, f"{message.identifier} wants {why} in {path}")
        if not message.namespace and line.steps[-1].tag in _ESSENTIAL:
            result.broken[line.place(location)[:-1]] = f"{line.steps[-1].tag} beside it does not fit"
        return
    shown = f"{value.currency} {value.value}" if line.attribute else text
    result.placed.append(Placed(line.place(location), tuple(line.pieces(location, value)), path, shown))
    if leaf is None:
        result.paths[line.row.field] = path
        entry = Entry(None, path, shown, "follows from the message type" if known else None)
        (report.carried if known else report.derived).append(entry)
    elif value != whole:
        report.truncated += [Entry(each.shown, path, each.value, f"now {shown!r}") for each in (leaf, *others)]
        result.carried += (leaf, *others)
    else:
        why = changed(text, value)
        report.carried += [
            Entry(each.shown, path, each.value, said.why.get(id(each)) or _in_other_words(line, value, each) or why)
            for each in (leaf, *others)
        ]
        result.carried += (leaf, *others)


def _in_other_words(line: Line, value: Any, leaf: Leaf) -> str | None:
    """Say that a text is a part of another, or has it as a part."""
    if not isinstance(value, str) or line.form.codes is not None or value == leaf.text:
        return None
    if line.row.field.startswith("fin.payment.") or line.row.field.endswith((".name_and_address", ".description")):
        return payments.WITHIN
    return "a part of it" if value in leaf.text else None


def _derived(said: Statement, objects: dict[str, Any], model: type, origins: Origins, result: Written) -> fin.Derived:
    """Return what follows from an event for FIN; what FIN has no form for is taken out of the event, and refused.

    What it wants besides is ``wanting``.
    """
    while True:
        lacking: list[Violation] = []
        try:
            derived = fin.derived(objects[EVENT], lacking)
        except BuildError as error:
            derived = fin.Derived()
            lacking = list(error.violations)
            if not lacking:
                raise
        if not lacking:
            return derived
        path = payments.keys(lacking[0].path)
        leaves: list[Leaf] | None = None
        while path and leaves is None and not _is_required(model, path):
            leaves, path = said.drop(path), path[:-1]
        if leaves is None:
            result.wanting += lacking
            return derived
        for leaf in leaves:
            _refuse(result, leaf, f"FIN has no form for it; expected {lacking[0].rule}")
        objects[EVENT] = make(model, said.fields[EVENT], origins)


def _is_required(model: type, path: tuple[str | int, ...]) -> bool:
    """Tell whether an event cannot be without a field."""
    required = False
    for step in path:
        required = False
        if isinstance(step, int) or (field := described(model).get(step)) is None:
            continue
        required = field.is_required()
        kind = kind_of(field.annotation)
        kind = kind if kind.items is None else kind_of(kind.items)
        model = kind.models[0] if kind.models else object
    return required


def _broken(result: Written, report: Report) -> None:
    """Take back what stands in a field of FIN that lacks a part which it cannot be without."""
    for placed in [placed for placed in result.placed if placed.place[:-1] in result.broken]:
        _take_back(placed, result.broken[placed.place[:-1]], result, report)


def _incomplete(message: MessageDefinition, result: Written, report: Report) -> None:
    """Take back an optional element that lacks what it cannot be without, with all that is in it."""
    while message.namespace and (found := next(incomplete(message, result.placed), None)) is not None:
        around, lacks = found
        for placed in [placed for placed in result.placed if placed.place[: len(around)] == around]:
            _take_back(placed, f"{message.identifier} wants {lacks} with it", result, report)


def _take_back(placed: Placed, why: str, result: Written, report: Report) -> None:
    """Write a value nowhere; the elements that said it are not carried, unless they are in another place too."""
    result.placed.remove(placed)
    gone = set()
    for entries in (report.carried, report.derived, report.truncated):
        gone |= {entry.source for entry in entries if entry.target == placed.path}
        entries[:] = [entry for entry in entries if entry.target != placed.path]
    kept = {entry.source for entry in (*report.carried, *report.truncated)}
    for leaf in [leaf for leaf in result.carried if leaf.shown in gone]:
        _refuse(result, leaf, why)
        if leaf.shown not in kept:
            result.carried = [each for each in result.carried if each is not leaf]


def _counted(result: Written, report: Report) -> None:
    """Name every element by which one of several it came to be: a row may have put it behind all that there are."""
    alike: dict[Place, set[int]] = {}
    for each in result.placed:
        for depth, part in enumerate(each.place):
            alike.setdefault((*each.place[:depth], (part[0], 0, "", "")), set()).add(part[1])
    paths: dict[str | None, str] = {}
    for number, each in enumerate(result.placed):
        names = []
        for depth, (name, part) in enumerate(zip(each.path.split("/"), each.place, strict=True)):
            before = sum(other < part[1] for other in alike[*each.place[:depth], (part[0], 0, "", "")])
            names.append(name.partition("[")[0] + (f"[{before + 1}]" if before else ""))
        paths[each.path] = "/".join(names)
        result.placed[number] = replace(each, path=paths[each.path])
    for entries in (report.carried, report.derived, report.truncated):
        entries[:] = [replace(entry, target=paths.get(entry.target, entry.target)) for entry in entries]


def _refused(result: Written, report: Report) -> None:
    """Settle what is carried in one place and refused in another: repeated by chance, or carried in part."""
    for leaf in [leaf for leaf in result.carried if id(leaf) in result.why]:
        entries = [entry for entry in report.carried if entry.source == leaf.shown]
        if all(entry.why == payments.WITHIN for entry in entries):
            report.carried = [entry for entry in report.carried if entry not in entries]
            result.carried = [each for each in result.carried if each is not leaf]
        elif not any(entry.source == leaf.shown for entry in report.not_carried):
            report.not_carried.append(Entry(leaf.shown, None, leaf.value, f"in part: {result.why[id(leaf)]}"))


def _origin(
    line: Line, location: Location, value: Any, sources: list[Any], origins: Origins
) -> tuple[Leaf | None, bool, tuple[Leaf, ...]]:
    """Return the element that said a value, whether the source said it at all, and what else is in it."""
    holder = value if line.attribute else value_at(sources, location[:-1])
    name = "value" if line.attribute else location[-1]
    return origins.leaf(holder, name), origins.knows(holder, name), origins.others(holder, name)


def _refuse(result: Written, leaf: Leaf | None, why: str) -> None:
    if leaf is not None:
        result.why.setdefault(id(leaf), why)


def _by_type(
    table: Table,
    objects: Mapping[str, Any],
    message: MessageDefinition,
    origins: Origins,
    result: Written,
    report: Report,
) -> None:
    """Report what the type of the message says, and what is said by what follows from it."""
    event = objects[EVENT]
    already = {id(leaf) for leaf in result.carried}
    for name, word in ((name, word) for name, word in table.case if word):
        leaf = origins.leaf(event, name)
        if leaf is not None and id(leaf) not in already:
            report.carried.append(Entry(leaf.shown, message.identifier, leaf.value, f"{name} = {word}"))
            result.carried.append(leaf)
    if not table.is_fin:
        return
    implied = {path[0]: (name, value) for path, name, value in fin.implied(_fields(objects[FIN])) if len(path) == 1}
    for name in (row.field for row in table.rows if row.conversion == "internal"):
        leaf = origins.leaf(event, name)
        if leaf is None or id(leaf) in already:
            continue
        by, value = implied.get(name, ("", None))
        if (getattr(event, name) or None) == value:
            target = result.paths.get(f"{FIN}.{by}", message.identifier)
            report.derived = [entry for entry in report.derived if entry.target != target]
            report.carried.append(Entry(leaf.shown, target, leaf.value))
            result.carried.append(leaf)
