"""Read a message into what its mapping table is about: the rows of the table, from element to field.

The table says which element holds which field of an event; read the other way it says which field a value fills. A
condition (``F when C = V``) is then something that is said: that C is V. So is the case of a FIN message type
(``MT541 when movement = receive``). What is made in the end are the sources that the writer of any language takes: the
event, and what the gateway adds to one. An event need not be complete: whether the other language can do without what
is missing is for its own definition to say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

from gateway.messages.catalogue import MessageDefinition
from gateway.messages.mapping import Row, Step, Table, places
from gateway.messages.sources import Kind, fields_of, kind_of
from gateway.messages.translation.leaves import Leaf
from gateway.messages.translation.report import Entry
from gateway.model.strict import described, unchecked

EVENT: Final = "event"
_SIGN, _NEGATIVE = "sign", "N"  # FIN's sign of an amount is an element where it is written, not where it is read
_YES_NO: Final = {"yes": True, "no": False}
_Key = tuple[str, tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Stated:
    """A value of a field, and the element that said it (None: it follows from the message type).

    What the message leaves to be understood is not ``told``.
    """

    value: Any
    leaf: Leaf | None
    told: bool = True


Tree = dict[Any, Any]
"""Fields that are stated, nested by name; items of a list by what tells them apart, in the order of the message."""


@dataclass(slots=True)
class Statement:
    """What a message states: a tree of fields for each source, and the elements that say what has no field."""

    fields: dict[str, Tree] = field(default_factory=lambda: defaultdict(dict))
    constants: list[Leaf] = field(default_factory=list)
    echoes: list[tuple[Leaf, Leaf]] = field(default_factory=list)  # an element, and one that said the same before
    left: list[Entry] = field(default_factory=list)  # parts of elements that no field is for
    why: dict[int, str] = field(default_factory=dict)  # of an element that is said in other words, by identity

    def value(self, source: str, *names: str) -> Any:
        """Return the value of a field; None where it is not stated."""
        here: Any = self.fields.get(source)
        for name in names:
            here = here.get(name) if isinstance(here, dict) else None
        return here.value if isinstance(here, Stated) else None

    def drop(self, path: Sequence[str | int]) -> list[Leaf] | None:
        """Take back a field of the event; returns the elements that said it, None where none did."""
        here: Any = self.fields[EVENT]
        for step in path[:-1]:
            here = _step(here, step)
        if not isinstance(here, dict) or _key(here, path[-1]) not in here:
            return None
        return list(leaves_below(here.pop(_key(here, path[-1]))))

    def state(self, source: str, path: Iterable[Any], stated: Stated) -> bool:
        """Say that a field has a value; False where something else is said of it already."""
        *around, last = path
        here = self.fields[source]
        for step in around:
            here = here.setdefault(step, {})
            if isinstance(here, Stated):
                return False
        known = here.setdefault(last, stated)
        if known is stated:
            return True
        if not isinstance(known, Stated) or known.value != stated.value:
            return False
        if stated.leaf is not None and stated.leaf is not known.leaf:
            if known.leaf is None:
                self.constants.append(stated.leaf)
            else:
                self.echoes.append((stated.leaf, known.leaf))
        return True


def _key(tree: Tree, step: str | int) -> Any:
    """Return what a tree calls an item of a list, by its number in it."""
    if step in tree or isinstance(step, str) or not tree:
        return step
    return in_order(tree)[step] if step < len(tree) else step


def _step(tree: Any, step: str | int) -> Any:
    return tree.get(_key(tree, step)) if isinstance(tree, dict) else None


class Claims:
    """Which rows of a mapping table are about which elements of one version of its message, by their tags."""

    __slots__ = ("own", "rows", "sources", "table", "words")

    def __init__(self, table: Table, message: MessageDefinition, sources: Mapping[str, type]) -> None:
        self.table = table
        self.sources = list(sources)[1:]
        self.words = words_of(sources[EVENT])
        self.own = {row.field for row in table.leaves() if row.conversion != "internal"}
        self.rows: dict[tuple[str, ...], list[tuple[Row, tuple[Step, ...]]]] = defaultdict(list)
        for row, steps in places(table, message):
            self.rows[tuple(step.tag for step in steps)].append((row, steps))


def state(known: Claims, leaves: Iterable[Leaf]) -> Statement:
    """Read the values of a message by a mapping table. What no row is for is left for the caller to find missing."""
    names, words, rows = known.sources, known.words, known.rows
    said = Statement()
    for name, word in ((name, word) for name, word in known.table.case if word and name not in known.own):
        said.state(EVENT, (name,), Stated(word, None))
    often = Counter(tags[0] for tags in rows)
    seen: set[tuple[str, ...]] = set()
    later = []
    signs = []
    for leaf in leaves:
        for row, steps in rows.get((*leaf.tags[:-1], _SIGN), ()) if leaf.currency is not None else ():
            signs.append((row, steps, replace(leaf, text=_NEGATIVE if leaf.text.startswith("-") else "")))
        alone = leaf.tags not in seen and often[leaf.tags[0]] == 1
        seen.add(leaf.tags)
        claims = [claim for claim in rows.get(leaf.tags, ()) if alone or _is_at(leaf, claim[1])]
        numbered = [claim for claim in claims if any(step.number for step in claim[1])]
        if len(numbered) > 1:  # they tell one of several alike by its place
            claims = [claim for claim in numbered if _has_place(leaf, claim[1])]
        for row, steps in claims:
            if len(claims) > 1 or (row.condition and row.condition[1] is not None):
                later.append((claims, leaf))  # once it is known what there is around it, and what conditions are about
                break
            _apply(row, steps, leaf, said, names, signed=(*leaf.tags[:-1], _SIGN) in rows)
    for row, steps, leaf in signs:
        _apply(row, steps, leaf, said, names)
    for claims, leaf in later:
        ordered = sorted(claims, key=lambda claim: claim[0].field not in words and not claim[0].codes)
        for row, steps in ordered:
            if row.field in words and leaf.text not in words[row.field]:
                continue
            if _condition_holds(row, steps, leaf, said, names) and _apply(row, steps, leaf, said, names):
                break
    return said


def _condition_holds(row: Row, steps: tuple[Step, ...], leaf: Leaf, said: Statement, names: list[str]) -> bool:
    """State what a row takes for granted; False where the message says otherwise."""
    if row.condition is None or row.condition[1] is None:
        return True
    name, wanted = row.condition
    source, path = _source(_path(name, steps, leaf), names)
    return said.state(source, path, Stated(wanted, leaf))


def words_of(model: type) -> dict[str, frozenset[str]]:
    """Return the words that a field of an event may have, where its model lists them."""
    found: dict[str, frozenset[str]] = {}
    for name, annotation in get_type_hints(model).items():
        for each in (annotation, *get_args(annotation)):
            if get_origin(each) is Literal:
                found[name] = frozenset(map(str, get_args(each)))
    return found


def _is_at(leaf: Leaf, steps: tuple[Step, ...]) -> bool:
    """Tell whether a value is at the elements of a row; a row without a number is for the first of several alike.

    Where no other row is about any of them, ``state`` takes the first that has such a value instead.
    """
    return all(step.repeated or step.number or number == 0 for step, number in zip(steps, leaf.numbers, strict=True))


def _has_place(leaf: Leaf, steps: tuple[Step, ...]) -> bool:
    return all(not step.number or number == step.number - 1 for step, number in zip(steps, leaf.numbers, strict=True))


def _apply(
    row: Row, steps: tuple[Step, ...], leaf: Leaf, said: Statement, names: list[str], *, signed: bool = False
) -> bool:
    """State what a row says of an element; False where it cannot be that. The sign of a ``signed`` amount is apart."""
    if row.conversion.startswith("always "):
        if leaf.text == row.conversion.removeprefix("always "):
            said.constants.append(leaf)
        return leaf.text == row.conversion.removeprefix("always ")
    value = convert(row, leaf)
    if value is None:
        return False
    source, path = _source(_path(row.field, steps, leaf), names)
    if row.conversion == "amount":
        if signed:
            value = abs(value)
        return said.state(source, (*path, "value"), Stated(value, leaf)) and said.state(
            source, (*path, "currency"), Stated(leaf.currency or "", leaf)
        )
    return said.state(source, path, Stated(value, leaf))


def convert(row: Row, leaf: Leaf) -> Any:
    """Return the value of an element as the event has it; None for a text that the conversion does not know."""
    words = {text: word for word, text in reversed(row.codes.items())}
    if words:
        word = words.get(leaf.text)
        return _YES_NO.get(str(word), word) if set(words.values()) <= set(_YES_NO) else word
    kind = "number" if row.conversion.startswith("digits ") else row.conversion
    try:
        return _CONVERT.get(kind, str)(leaf.text)
    except (ValueError, InvalidOperation, KeyError):
        return None


def _instant(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


_CONVERT: Final[Mapping[str, Callable[[str], Any]]] = {
    "date": lambda text: date.fromisoformat(text[:10]),
    "instant": _instant,
    "offset_instant": _instant,
    "number": int,
    "decimal": Decimal,
    "amount": Decimal,
    "yes_no": {"true": True, "1": True, "Y": True, "false": False, "0": False, "N": False}.__getitem__,
}


def _path(name: str, steps: tuple[Step, ...], leaf: Leaf) -> tuple[Any, ...]:
    """Return the steps to a field; ``[]`` becomes the element that the item is."""
    items: Iterator[_Key] = (
        ("item", leaf.tags[: depth + 1], leaf.numbers[: depth + 1]) for depth, step in enumerate(steps) if step.repeated
    )
    path: list[Any] = []
    for part in name.split("."):
        plain, bracket, index = part.partition("[")
        path.append(plain)
        if bracket:
            path.append(next(items) if index == "]" else int(index[:-1]))
    return tuple(path)


def _source(path: tuple[Any, ...], names: list[str]) -> tuple[str, tuple[Any, ...]]:
    return (path[0], path[1:]) if path[0] in names else (EVENT, path)


# --- parts of a statement that are said in other words ---------------------------------------------------------------


def at(tree: Any, *names: str) -> Stated | None:
    """Return the value at a path; None where there is none."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, Stated) else None


def items(tree: Tree, name: str) -> list[tuple[Any, Tree]]:
    """Return the items of a list with their keys, in the order of the message."""
    given = tree.get(name, {})
    return [(key, given[key]) for key in in_order(given)]


def usual(value: Any) -> Stated:
    """State what the message leaves to be understood."""
    return Stated(value, None, told=False)


def refuse(said: Statement, tree: Any, why: str) -> None:
    """Say of everything below a part of a statement why it is not carried, or how it is changed."""
    for leaf in leaves_below(tree):
        said.why[id(leaf)] = why


def also(said: Statement, stated: Stated, told: Stated | None) -> None:
    """Say that an element says the same as another one, and is carried where that is."""
    if stated.leaf is not None and told is not None and told.leaf is not None:
        said.echoes.append((stated.leaf, told.leaf))


# --- objects ----------------------------------------------------------------------------------------------------------


class Origins:
    """Which element said what an object holds in an attribute, or in a place of a list. Objects count by identity."""

    def __init__(self) -> None:
        self._leaves: dict[tuple[int, str | int], tuple[Leaf | None, tuple[Leaf, ...]]] = {}
        self._kept: list[object] = []  # or another object could have its identity
        self._below: dict[int, list[Leaf]] = {}

    def note(self, holder: object, name: str | int, leaf: Leaf | None, others: Iterable[Leaf] = ()) -> None:
        """Remember which element said it, and what others are part of it."""
        self._leaves[id(holder), name] = leaf, tuple(others)
        self._kept.append(holder)

    def gather(self, holder: object, leaves: Iterable[Leaf]) -> None:
        """Remember all elements that are below an object."""
        self._below[id(holder)] = list(leaves)
        self._kept.append(holder)

    def below(self, holder: object) -> list[Leaf]:
        """Return the elements that said anything of an object."""
        return self._below.get(id(holder), [])

    def knows(self, holder: object, name: str | int) -> bool:
        """Tell whether the message said it, by an element or by its type."""
        return (id(holder), name) in self._leaves

    def leaf(self, holder: object, name: str | int) -> Leaf | None:
        """Return the element that said it."""
        return self._leaves.get((id(holder), name), (None, ()))[0]

    def others(self, holder: object, name: str | int) -> tuple[Leaf, ...]:
        """Return what other elements are part of it."""
        return self._leaves.get((id(holder), name), (None, ()))[1]


def make(model: type, tree: Mapping[Any, Any], origins: Origins, given: Mapping[str, Any] | None = None) -> Any:
    """Make an object of a model, or of a dataclass, from what is stated; ``given`` are values that are not."""
    values: dict[str, Any] = dict(given or {})
    kinds = fields_of(model)
    noted: list[tuple[str, Leaf | None]] = []
    for name, inner in tree.items():
        kind = kinds.get(name)
        if kind is None:
            continue
        if isinstance(inner, Stated):
            values[name] = inner.value
            if inner.told:
                noted.append((name, inner.leaf))
        elif kind.items is not None:
            values[name] = _items(kind_of(kind.items), inner, origins)
        else:
            values[name] = make(_model_for(kind, inner), inner, origins)
    made = _constructed(model, kinds, values)
    for name, leaf in noted:
        origins.note(made, name, leaf)
    origins.gather(made, leaves_below(tree))
    return made


def leaves_below(tree: Any) -> Iterator[Leaf]:
    """Yield the elements that said anything below a part of a statement."""
    if isinstance(tree, Stated):
        if tree.leaf is not None:
            yield tree.leaf
        return
    for inner in tree.values():
        yield from leaves_below(inner)


def _constructed(model: type, kinds: Mapping[str, Kind], values: dict[str, Any]) -> Any:
    if described(model):  # what is wrong in it is said where it is written
        empty = {name: () for name, kind in kinds.items() if kind.items is not None}
        return unchecked(model, {**empty, **values})
    required = [
        each.name for each in fields(cast("Any", model)) if each.default is MISSING and each.default_factory is MISSING
    ]
    return model(**{name: None for name in required if name not in values}, **values)


def _items(kind: Kind, tree: Mapping[Any, Any], origins: Origins) -> tuple[Any, ...]:
    items = [tree[key] for key in in_order(tree)]
    made = tuple(
        [item.value if isinstance(item, Stated) else make(_model_for(kind, item), item, origins) for item in items]
    )
    for number, item in enumerate(items):
        if isinstance(item, Stated):
            origins.note(made, number, item.leaf)
    return made


def in_order(keys: Iterable[_Key | int]) -> list[_Key | int]:
    """Return items in the order of the message: of one element by number, whichever part of them was read first.

    Those that have a number of their own stand within a text, and come last.
    """
    given = list(keys)
    items = [key for key in given if not isinstance(key, int)]
    kinds = list(dict.fromkeys(tags for _, tags, _ in items))
    numbers = sorted(key for key in given if isinstance(key, int))
    return [*sorted(items, key=lambda key: (kinds.index(key[1]), key[2])), *numbers]


def _model_for(kind: Kind, tree: Mapping[Any, Any]) -> type:
    """Return the model that has these fields; of several the first."""
    return next((model for model in kind.models if set(tree) <= set(fields_of(model))), kind.models[0])
