"""Translate what the gateway reads: facts taken from a message by one reading table are written by another.

A reading table says which element fills which field of a fact. Read the other way it says where a field of a fact is
written: the first line that the version has an element for and that can say the value; a code table the other way
round; a line ``FIELD = VALUE`` is what a fact must be for the table to say it; a line ``when PATH = TEXT`` is what the
message says of itself. What facts are silent about and a message cannot be without stands in ``Additions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from gateway.messages.building import Place
from gateway.messages.catalogue import ComplexType, ElementDefinition, MessageDefinition, SimpleContentType, SimpleType
from gateway.messages.conversions import COMPOUND
from gateway.messages.fin import narratives
from gateway.messages.mapping import Below, Step, elements_below
from gateway.messages.reading import Column, ListLines, ReadingTable
from gateway.messages.translation.additions import Addition
from gateway.messages.translation.atoms import NO_REASON, Atom, atoms, said_by
from gateway.messages.translation.leaves import MESSAGE_TYPE, Leaf
from gateway.messages.translation.placing import Placed, base_of, changed, objection, path_of, rendered, shortened
from gateway.messages.translation.report import Entry, Report
from gateway.messages.translation.stating import Stated
from gateway.messages.writing import Form, Piece, Value, form
from gateway.model import facts
from gateway.model.facts import Amount, Quantity, Reason, Reply, StatusValue

_OF_REASON: Final = "reason_"  # code, proprietary, text: of a status whose reason has elements of its own
_OF_THE_TYPE: Final = "says what message it is"


def says(table: ReadingTable, family: str, reply: Reply) -> bool:
    """Tell whether a table can say these facts: of its class, with what it and the message type always say."""
    for _, fact in reply.facts:
        if table.fact != type(fact).__name__:
            return False
        for each in fields(fact):
            value = getattr(fact, each.name)
            wanted: Any = table.constants.get(each.name, table.constants.get(f"{each.name}.value"))
            for column in table.columns:
                if (column.field, column.path) == (each.name, MESSAGE_TYPE):
                    wanted = table.codes[column.argument].get(family)
            if isinstance(value, bool) and wanted is None and not any(c.field == each.name for c in table.columns):
                wanted = each.default
            if wanted is not None and (value.value if isinstance(value, StatusValue) else value) != wanted:
                return False
    return True


@dataclass(slots=True)
class Written:
    """The values of the target in their places, and what of the facts they say."""

    placed: list[Placed] = field(default_factory=list)
    said: dict[Atom, str] = field(default_factory=dict)  # and the path where
    why: dict[Atom, str] = field(default_factory=dict)
    taken: dict[Place, str] = field(default_factory=dict)
    shorter: dict[Atom, str] = field(default_factory=dict)
    carried: list[Leaf] = field(default_factory=list)  # of the source's header


def tell(
    leaves: Iterable[Leaf],
    table: ReadingTable,
    additions: Iterable[Addition],
    reply: Reply,
    result: Written,
    report: Report,
) -> list[Leaf]:
    """Report the elements whose meaning is in the target; returns them. ``additions`` are those of the source."""
    carried = list(result.carried)
    always = {(tuple(each.path.split("/")), each.value) for each in additions if each.when is None}
    for leaf in leaves:
        if (leaf.tags, leaf.text) in always:
            report.carried.append(Entry(leaf.shown, None, leaf.value, _OF_THE_TYPE))
            carried.append(leaf)
            continue
        for atom in said_by(table, leaf, reply):
            if atom not in result.said and atom[0]:
                continue
            path = result.said.get(atom)
            if atom in result.shorter:
                report.truncated.append(Entry(leaf.shown, path, leaf.value, f"now {result.shorter[atom]!r}"))
            else:
                report.carried.append(Entry(leaf.shown, path, leaf.value, None if path else _OF_THE_TYPE))
            carried.append(leaf)
            break
    return carried


def reason(leaf: Leaf, table: ReadingTable, reply: Reply, result: Written) -> str | None:
    """Say why an element is not carried, where that is known."""
    return next((result.why[atom] for atom in said_by(table, leaf, reply) if atom in result.why), None)


class FactWriter:
    """Write facts as one version of a message, by the table that reads it."""

    def __init__(
        self, table: ReadingTable, message: MessageDefinition, additions: Sequence[Addition], *, truncate: bool
    ) -> None:
        self._table, self._message, self._additions, self._truncate = table, message, additions, truncate
        self._below = Below(message)
        self._top = elements_below(message, ElementDefinition(message.root, message.root_type))[0]

    def write(self, reply: Reply, identity: Mapping[str, Stated], report: Report) -> Written:
        """Return the values of a message. ``identity`` are fields of the new heading, which additions may name."""
        result = Written()
        outermost = next((path for path in self._table.each if self._steps(path)), "")
        for number, (references, fact) in enumerate(reply.facts):
            numbers = {len(outermost.split("/")) - 1: number} if outermost else {}
            given = _Given(references, fact)
            for name, columns in _by_field(self._table.columns).items():
                inside = bool(outermost) and columns[0].path.startswith(f"{outermost}/")
                if number and not inside:
                    continue
                self._field(name, columns, given.value(name), "", numbers if inside else {}, result)
            for lines in self._table.lists:
                self._list(lines, getattr(fact, lines.field), "", numbers, result, "")
        self._add(reply, identity, result, report)
        return result

    def _list(
        self, lines: ListLines, items: Sequence[Any], around: str, numbers: dict[int, int], result: Written, prefix: str
    ) -> None:
        path = next((path for path in lines.paths if self._steps(around + path)), None)
        if path is None:
            return
        place = around + path
        for number, item in enumerate(items):
            here = {**numbers, len(place.split("/")) - 1: number}
            name = f"{prefix}{lines.field}"
            for each, columns in _by_field(c for c in lines.columns if not c.path.startswith("../")).items():
                self._field(f"{name}.{each}", columns, _value(item, each), f"{place}/", here, result)
            for inner in lines.lists:
                self._list(inner, getattr(item, inner.field), f"{place}/", here, result, f"{name}.")

    def _field(
        self,
        name: str,
        columns: Sequence[Column],
        value: Any,
        around: str,
        numbers: dict[int, int],
        result: Written,
    ) -> None:
        """Write one field by the first of its lines that can say it."""
        if value in (None, (), False):
            return
        why = None
        for column in columns:
            if column.path == MESSAGE_TYPE:
                result.said.update((atom, self._message.identifier) for atom in atoms(name, value))
                return
            steps = self._steps(around + column.path)
            if not steps:
                continue
            if column.conversion == "texts":
                for number, text in enumerate(value):
                    why = self._say(name, column, steps, text, _inner(steps, numbers, number), result)
                return
            said = self._compound(name, column, steps, value, numbers, result)
            why = self._say(name, column, steps, value, numbers, result) if said is None else said or None
            if why is None:
                return
        for atom in _stated(name, value):
            result.why.setdefault(atom, why or f"{self._message.identifier} has no place for {name}")

    def _say(
        self, name: str, column: Column, steps: Sequence[Step], value: Any, numbers: dict[int, int], result: Written
    ) -> str | None:
        """Write a value at an element; returns why not."""
        texts = self._texts(column, steps, value)
        numbers = self._beside(steps, numbers, result)
        why: str | None = f"{self._message.identifier} has no place for {name}"
        for shape, given in texts:
            said = given
            text = rendered(shape, said)
            why = objection(self._message, steps, text)
            if why is not None and self._truncate and column.conversion == "text":
                shorter = shortened(self._message, steps, shape, str(said))
                if shorter is not None:
                    said, why = shorter, None
                    result.shorter.update((atom, shorter) for atom in _stated(name, value))
            if why is None:
                place = _place(steps, numbers)
                taken = result.taken.get(place)
                if taken is not None and taken != text:
                    why = f"{column.path} says {taken} already"
                    continue
                currency = value.currency if isinstance(value, Amount) else None
                path = path_of(steps, place) if taken else self._put(steps, shape, said, currency, numbers, result)
                result.taken[place] = text
                for atom in _stated(name, value)[: 1 if isinstance(value, StatusValue) else None]:
                    result.said.setdefault(atom, path)
                return None
            why = f"{self._message.identifier} wants {why} in {column.path}"
        return why

    def _beside(self, steps: Sequence[Step], numbers: dict[int, int], result: Written) -> dict[int, int]:
        """Count on where one of several elements has made its choice already: another has room for this one."""
        repeated = max((depth for depth, step in enumerate(steps) if step.repeated), default=None)
        if repeated is None or repeated in numbers:
            return numbers
        number, place = 0, _place(steps, numbers)
        while any(self._chose_another(steps, place, taken, repeated) for taken in result.taken):
            number += 1
            place = _place(steps, {**numbers, repeated: number})
        return {**numbers, repeated: number}

    def _chose_another(self, steps: Sequence[Step], place: Place, taken: Place, repeated: int) -> bool:
        depth = next((n for n, pair in enumerate(zip(place, taken, strict=False)) if pair[0] != pair[1]), len(place))
        if not repeated < depth < len(place):
            return False
        around = self._message.types.get(steps[depth - 1].type)
        return isinstance(around, ComplexType) and around.content.kind == "choice"

    def _put(
        self,
        steps: Sequence[Step],
        shape: Form,
        value: Any,
        currency: str | None,
        numbers: dict[int, int],
        result: Written,
    ) -> str:
        place = _place(steps, numbers)
        last = steps[-1]
        pieces: list[Piece] = [last.opening, Value((), shape, value), last.closing]
        if self._is_part(steps):
            before, behind = narratives.around(steps[-2].tag, last.tag) or ("", "")
            pieces = [before, *pieces, behind]
        definition = self._message.types.get(last.type)
        if currency is not None and isinstance(definition, SimpleContentType):
            said = Value((), form("identifier"), currency)
            if last.opening.startswith("<"):
                name = definition.attributes[0].name
                pieces[:1] = [f'{last.opening[:-1]} {name}="', said, '">']
            else:
                pieces[:1] = [last.opening, Value((), form("fin sign"), value), said]
        path = path_of(steps, place)
        shown = f"{currency} {value}" if currency is not None else rendered(shape, value)
        result.placed.append(Placed(place, tuple(pieces), path, shown))
        return path

    def _texts(self, column: Column, steps: Sequence[Step], value: Any) -> list[tuple[Form, Any]]:
        """Return the ways in which a column can say a value: form and value; none where it is not for such a value."""
        base = base_of(self._message, steps[-1].type)
        words = self._table.codes.get(column.argument, {})
        plain = form("identifier")
        match column.conversion, value:
            case "code" | "status_code" | "open_status", StatusValue():
                if value.proprietary is not None:
                    return [(plain, value.proprietary)]
                return [(plain, code) for code, word in words.items() if word == value.value]
            case "code", str():
                return [(plain, code) for code, word in words.items() if word == value]
            case "quantity", Quantity() if value.type == column.argument:
                return [(self._form("decimal", steps), value.value)]
            case "amount", Amount():
                return [(self._form("amount", steps), value.value)]
            case "number", Decimal():
                return [(self._form("decimal", steps), value)]
            case "date", date() if base == "xs:date":
                return [(self._form("date", steps), value)]
            case "instant", datetime() if base == "xs:dateTime":
                return [(self._form("instant", steps), value)]
            case "yes_no", bool():
                return [(self._form("yes_no", steps), value)]
            case "text" | "texts", str():
                return [(self._form("text", steps), value)]
        return []

    def _form(self, conversion: str, steps: Sequence[Step]) -> Form:
        return form(self._message.conversion(conversion, steps[-1].type))

    # statuses and reasons

    def _compound(
        self,
        name: str,
        column: Column,
        steps: Sequence[Step],
        value: Any,
        numbers: dict[int, int],
        result: Written,
    ) -> str | None:
        """Write a status with its reasons, or reasons; None where the line is for neither, else why not or nothing."""
        plain = name.removesuffix(".reasons")
        if column.conversion == "status" and isinstance(value, StatusValue):
            write = self._status if self._message.namespace else self._fin_status
            return write(plain, column, steps, value, numbers, result)
        if column.conversion == "reasons" and self._message.namespace:
            path = "/".join(step.tag for step in steps)
            for number, reason in enumerate(value.reasons if isinstance(value, StatusValue) else value):
                self._reason(plain, path, reason, number, numbers, result)
            return ""
        return None if column.conversion not in COMPOUND else f"{column.path} is no place for it"

    def _status(
        self,
        name: str,
        column: Column,
        steps: Sequence[Step],
        value: StatusValue,
        numbers: dict[int, int],
        result: Written,
    ) -> str:
        words = self._table.codes[column.argument]
        around = "/".join(step.tag for step in steps)
        chosen = next(
            (tag for tag, word in words.items() if word == value.value and self._steps(f"{around}/{tag}")), ""
        )
        if not chosen:
            return f"{self._message.identifier} has no status {value.value} in {around}"
        status = f"{around}/{chosen}"
        before = len(result.placed)
        if value.proprietary is not None and not self._text(
            f"{status}/PrtrySts/Id", value.proprietary, numbers, result
        ):
            return f"{self._message.identifier} has no place for {value.proprietary} in {status}"
        for number, reason in enumerate(value.reasons):
            tag = "PrtryRsn" if value.value == "proprietary" else "Rsn"
            self._reason(name, f"{status}/{tag}", reason, number, numbers, result)
        if len(result.placed) == before:
            empty = next((tag for tag in ("NoSpcfdRsn", "NoRsn") if self._steps(f"{status}/{tag}")), None)
            if empty is None:
                self._put(self._steps(status) or (), form("identifier"), "", None, numbers, result)
            else:
                self._text(f"{status}/{empty}", NO_REASON[0], numbers, result)
        result.said.setdefault((f"{name}.value", value.proprietary or value.value), status)
        return ""

    def _reason(
        self, name: str, path: str, reason: Reason, number: int, numbers: dict[int, int], result: Written
    ) -> None:
        steps = self._steps(path)
        if not steps:
            return
        here = _inner(steps, numbers, number)
        ways = (
            (reason.code, ("Cd/Cd", "Cd", "Rsn/Cd")),
            (reason.proprietary, ("Cd/Prtry/Id", "Prtry/Id", "Id", "Rsn/Prtry")),
            (reason.text, ("AddtlRsnInf", "AddtlInf")),
        )
        for text, places in ways:
            if text is None:
                continue
            found = next(
                (said for place in places if (said := self._text(f"{path}/{place}", text, here, result))), None
            )
            if found is not None:
                result.said.setdefault((f"{name}.reasons", text), found)
            else:
                why = f"{self._message.identifier} has no place for it in {path}"
                result.why.setdefault((f"{name}.reasons", text), why)

    def _fin_status(
        self,
        name: str,
        column: Column,
        steps: Sequence[Step],
        value: StatusValue,
        numbers: dict[int, int],
        result: Written,
    ) -> str:
        """Write the sequence of a status; never a proprietary one as the standard code that it is spelt like."""
        words = self._table.codes[column.argument]
        around = "/".join(step.tag for step in steps)
        own = value.proprietary
        code = next((code for code, word in words.items() if word == value.value), None) if own is None else own
        if own in words:
            return f"{own} is a code of its own, and {self._message.identifier} would take it for the standard one"
        status = code and self._text(f"{around}/25D/status_code", code, numbers, result)
        if not status:
            return f"{self._message.identifier} has no status {own or value.value} in {around}"
        result.said.setdefault((f"{name}.value", own or value.value), status)
        reasons = self._steps(f"{around}/REAS") or steps
        for number, reason in enumerate(value.reasons):
            self._fin_reason(name, f"{around}/REAS", code, reason, _inner(reasons, numbers, number), result)
        return ""

    def _fin_reason(
        self, name: str, around: str, status: str | None, reason: Reason, numbers: dict[int, int], result: Written
    ) -> None:
        """Write the sequence of a reason: its qualifier is the code of the status that it is the reason of."""
        name = f"{name}.reasons"
        code = reason.code and self._text(f"{around}/24B_{status}/reason_code", reason.code, numbers, result)
        text = code and reason.text and self._text(f"{around}/70D_REAS/narrative", reason.text, numbers, result)
        for said, found in ((reason.code, code), (reason.proprietary, None), (reason.text, text)):
            if said is None:
                continue
            if found:
                result.said.setdefault((name, said), found)
            else:
                why = "a reason with a code, and of a proprietary one the scheme"
                result.why.setdefault((name, said), f"{self._message.identifier} wants {why}")

    def _text(self, path: str, text: str, numbers: dict[int, int], result: Written) -> str | None:
        """Write a text at a path if it fits there; returns the path of the element."""
        steps = self._steps(path)
        if not steps or not isinstance(self._message.types.get(steps[-1].type), SimpleType):
            return None
        shape = self._form("text", steps)
        if objection(self._message, steps, rendered(shape, text)) is not None:
            return None
        return self._put(steps, shape, text, None, numbers, result)

    # what else there must be

    def _add(self, reply: Reply, identity: Mapping[str, Any], result: Written, report: Report) -> None:
        taken = {each.path for each in result.placed}
        first = _Given(*reply.facts[0]) if reply.facts else None
        cases = [Addition(path, text, None) for path, text in self._table.cases if text]
        for addition in (*cases, *self._additions):
            if addition.path in taken or (addition.when is not None and not (first and first.value(addition.when))):
                continue
            said = Stated(addition.value, None)
            source, _, name = addition.value.partition(".")
            if source == "identity":
                said = identity[name]
            elif source == "references":
                said = Stated(first and first.value(addition.value), None)
            if said.value is None or not (steps := self._steps(addition.path)):
                continue
            shape = self._form("instant" if isinstance(said.value, datetime) else "text", steps)
            if objection(self._message, steps, rendered(shape, said.value)) is None:
                path = self._put(steps, shape, said.value, None, {}, result)
                taken.add(path)
                shown = rendered(shape, said.value)
                if said.leaf is None:
                    report.derived.append(Entry(None, path, shown))
                else:
                    report.carried.append(Entry(said.leaf.shown, path, said.leaf.value, changed(shown, said.value)))
                    result.carried.append(said.leaf)

    def _steps(self, path: str) -> tuple[Step, ...] | None:
        """Find the elements of a path in this version; the place of each says which one of several by itself."""
        here, steps = self._top, []
        for name in path.split("/"):
            position, element = self._below[here.type].get(name, (-1, here))
            if position < 0:
                return None
            opening, closing = self._message.tags(here.type, element)
            here = element
            steps.append(Step(name, here.type, position, here.maximum != 1, 0, opening, closing))
        if self._is_part(steps) and narratives.around(steps[-2].tag, steps[-1].tag) is None:
            return None  # the rest of such a narrative nobody would say
        return tuple(steps)

    def _is_part(self, steps: Sequence[Step]) -> bool:
        """Tell whether an element is a part of a coded narrative of FIN."""
        coded = not self._message.namespace and len(steps) > 1 and steps[-2].tag in narratives.CODED
        return coded and steps[-1].tag in narratives.PARTS


@dataclass(frozen=True, slots=True)
class _Given:
    """References and a fact, by the names that tables use."""

    references: facts.References
    fact: Any

    def value(self, name: str) -> Any:
        """Return the value of a field; of the parts of a status the status, but for its reasons."""
        if name.startswith("reply."):
            return None
        if name.startswith("references."):
            return getattr(self.references, name.removeprefix("references."))
        return _value(self.fact, name)


def _place(steps: Sequence[Step], numbers: Mapping[int, int]) -> Place:
    return tuple((step.position, numbers.get(depth, 0), step.opening, step.closing) for depth, step in enumerate(steps))


def _value(item: Any, name: str) -> Any:
    plain, _, part = name.partition(".")
    value = getattr(item, plain)
    if part == "value":
        return value
    if part == "reasons":
        return None if value is None else value.reasons
    if part.startswith(_OF_REASON) and isinstance(value, StatusValue):
        return getattr(value.reasons[0], part.removeprefix(_OF_REASON)) if value.reasons else None
    return value if not part else None


def _stated(name: str, value: Any) -> list[Atom]:
    """Return what a line of a table says of a value; the reasons of a status stand in lines of their own."""
    plain = name.removesuffix(".value")
    if name.rpartition(".")[2].startswith(_OF_REASON):
        return [(f"{name.rpartition('.')[0]}.reasons", str(value))]
    said = list(atoms(plain, value))
    return said[:1] if name != plain and isinstance(value, StatusValue) else said


def _by_field(columns: Iterable[Column]) -> dict[str, list[Column]]:
    found: dict[str, list[Column]] = {}
    for column in columns:
        found.setdefault(column.field, []).append(column)
    return found


def _inner(steps: Sequence[Step], numbers: dict[int, int], number: int) -> dict[int, int]:
    """Count at the innermost element that repeats."""
    depth = max((depth for depth, step in enumerate(steps) if step.repeated), default=len(steps) - 1)
    return {**numbers, depth: number}
