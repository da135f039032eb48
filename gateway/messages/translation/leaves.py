"""The values of a message: every element that has a text, with its path, in the order of the message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.messages.fin import narratives
from gateway.messages.fin.elements import CURRENCY, MOMENT, QUANTITY_TYPES
from gateway.messages.fin.statements import PARTS

_OF_A_SIGN: Final = ("absolute", "direction")
_NARRATIVE: Final = "narrative"
_BIC: Final = "bic"
_STATUS: Final = "79"
_NUMBER, _ORDINAL = "number_id", "ordinal"
MESSAGE_TYPE: Final = "message_type"
_SIDE, _SHORT = "side", "short"
_BALANCES: Final = (*QUANTITY_TYPES, "balance")
_PARTS_OF_A_MOMENT: Final = ("date", "time", "decimals", "offset")


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A value: tags below the message element, which one of its siblings of the same tag each is, text, currency."""

    tags: tuple[str, ...]
    numbers: tuple[int, ...]
    text: str
    currency: str | None
    element: Any
    shown: str

    @property
    def value(self) -> str:
        """Return the text, of money with its currency."""
        return self.text if self.currency is None else f"{self.currency} {self.text}"


def leaves_of(element: Any, shown: str = "") -> list[Leaf]:
    """Return the values below an element, of FIN or of XML; ``shown`` begins their paths as people see them."""
    return list(_below(element, (), (), (shown,) if shown else ()))


def _below(element: Any, tags: tuple[str, ...], numbers: tuple[int, ...], shown: tuple[str, ...]) -> Iterator[Leaf]:
    children = list(element)
    names = [str(child.tag).rpartition("}")[2] for child in children]
    often, seen = Counter(names), Counter[str]()
    around = tags[-1].partition("_")[0] if tags else ""  # of FIN the tag of a field
    short = any(name == _SIDE and child.text == _SHORT for child, name in zip(children, names, strict=True))
    for place, (child, name) in enumerate(zip(children, names, strict=True)):
        number = seen[name]
        seen[name] += 1
        path = (*shown, f"{name}[{number + 1}]" if often[name] > 1 else name)
        if len(child):
            yield from _below(child, (*tags, name), (*numbers, number), path)
            continue
        if not tags and name == MESSAGE_TYPE:
            continue  # no element of the text: what the header says, for tables to read
        if name == _NARRATIVE and tags[-1:] == (narratives.ANSWER,) and "code" in names:
            continue  # its parts stand beside it
        if name in _OF_A_SIGN and str(child.tag).startswith("{}"):
            continue  # says again what the amount beside it says with its sign
        if name in PARTS.get(around, ()) and str(child.tag).startswith("{}"):
            continue  # says again what the field says
        if name == _BIC and tags[-1] in narratives.PARTIES and len(children) > 1:
            continue  # says again what a line beside it says
        if name == _ORDINAL and _NUMBER in names:
            continue  # says again what the number beside it says
        following = children[place + 1] if place + 1 < len(children) else None
        if str(child.tag).startswith("{}") and following is not None and following.get(CURRENCY) == child.text:
            continue  # FIN's currency before an amount: it is the amount's
        text = child.text or ""
        if short and name in _BALANCES:
            text = f"-{text}"  # as the field has it
        if name == _NARRATIVE and tags[-1:] == (_STATUS,) and "code" in names:
            text = narratives.unsaid(_STATUS, text)  # the other lines are its parts, which stand beside it
            if not text:
                continue
        yield Leaf((*tags, name), (*numbers, number), text, child.get(CURRENCY), child, "/".join(path))


def lost(leaves: Iterable[Leaf], carried: Iterable[Leaf]) -> list[Leaf]:
    """Return the values that are not carried. A date with a time counts once: as a whole, or as its parts."""
    kept = {id(leaf) for leaf in carried}
    told = list(leaves)
    parts = {(leaf.tags[:-1], leaf.numbers[:-1]): id(leaf) in kept for leaf in told if leaf.tags[-1] == MOMENT}
    left = []
    for leaf in told:
        whole = parts.get((leaf.tags[:-1], leaf.numbers[:-1]))
        if id(leaf) in kept or (whole is not None and leaf.tags[-1] == MOMENT):
            continue
        if whole and leaf.tags[-1] in _PARTS_OF_A_MOMENT:
            continue
        left.append(leaf)
    return left
