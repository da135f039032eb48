"""What the fields of statements say in a shorter form than tables read: by their tag, by marks, signs and qualifiers.

Balances of cash (60 to 65) say their ISO 20022 type and, at the end of a page, whether it is the last; an entry (61)
whether it undoes another, its status, its whole transaction code, and the date of its entry with a year; information to
the owner (86) the references behind code words. Of securities, a page (28E) says whether it is the last, a statement's
number (13A, 13J) whether it is one, an amount (19A) its direction, a balance (93) its type and side, a status (25D) its
axis, as ``own_processing`` where the code is of a scheme of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from gateway.messages.fin.deriving import NOW, Derive, iso_date, point

_BALANCES: Final = {"60F": "OPBD", "60M": "ITBD", "62F": "CLBD", "62M": "ITBD", "64": "CLAV", "65": "FWAV"}
_LAST: Final = {"62F": "true", "62M": "false"}
_REFERENCES: Final = {"EREF": "end_to_end_id", "UETR": "uetr"}
_REFERENCE: Final = re.compile(r"(?:^|/)(EREF|UETR)/+([^/\n]+)", re.MULTILINE)

_AXES: Final = {"IPRC": "processing", "MTCH": "matching", "INMH": "inferred_matching", "SETT": "settlement"}

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(_BALANCES, ("currency", "type", "last_page")),
    "61": ("reversal", "status", "transaction_code", "booking_date"),
    "86": tuple(_REFERENCES.values()),
    "28E": ("last_page",),
    "13A": ("ordinal",),
    "13J": ("ordinal",),
    "19A": ("absolute", "direction"),
    "25D": (*_AXES.values(), *(f"own_{axis}" for axis in _AXES.values())),
    **dict.fromkeys(("93B", "93C", "93E", "93F"), ("type", "side")),
}
"""The parts of each field, in the order in which they come.

A balance's currency is a component already, beside its amount; the absolute amount has that of its amount.
Where there is a side, the number has no sign.
"""


def parts(tag: str, texts: Mapping[str, str], derive: Derive = NOW) -> Iterator[tuple[str, str]]:
    """Yield the parts that a field has besides its components, which are as FIN writes them."""
    if tag in _BALANCES:
        yield "type", _BALANCES[tag]
        if tag in _LAST:
            yield "last_page", _LAST[tag]
    elif tag == "61":
        mark = texts.get("mark", "")
        yield "reversal", derive(_reversal, mark)
        yield "status", derive(_status, mark)
        yield "transaction_code", derive(_joined, texts.get("type", ""), texts.get("code", ""))
        days = texts.get("value_date", ""), texts.get("entry_date", "")
        if derive.decide(_is_booked, *days):
            yield "booking_date", derive(_booked, *days)
    elif tag == "86":
        yield from derive.each(_references, texts.get("narrative", ""))
    else:
        yield from _of_securities(tag, texts, derive)


def _of_securities(tag: str, texts: Mapping[str, str], derive: Derive) -> Iterator[tuple[str, str]]:
    qualifier = texts.get("qualifier", "")
    if tag == "28E":
        yield "last_page", derive(_last_page, texts.get("continuation_indicator", ""))
    elif tag in ("13A", "13J"):
        number = texts.get("number_id") or texts.get("extended_number_id", "")
        if derive.decide(str.isdecimal, number):
            yield "ordinal", number
    elif tag == "19A":
        yield "absolute", derive(point, texts.get("amount", ""))
        yield "direction", "debit" if "sign" in texts else "credit"
    elif tag == "25D":
        if (axis := _AXES.get(qualifier)) is not None:
            yield f"own_{axis}" if "data_source_scheme" in texts else axis, texts.get("status_code", "")
    else:
        yield "type", qualifier
        yield "side", "short" if "sign" in texts else "long"


def _reversal(mark: str) -> str:
    return "true" if mark.startswith("R") else "false"


def _status(mark: str) -> str:
    return "PDNG" if mark.startswith("E") else "BOOK"


def _joined(type_: str, code: str) -> str:
    return type_ + code


def _last_page(indicator: str) -> str:
    return "false" if indicator == "MORE" else "true"


def _references(narrative: str) -> dict[str, str]:
    said = dict(reversed(_REFERENCE.findall(narrative)))  # the first of each counts
    return {name: said[code] for code, name in _REFERENCES.items() if code in said}


def _is_booked(value_date: str, entry_date: str) -> bool:
    return bool(_booked(value_date, entry_date))


def _booked(value_date: str, entry_date: str) -> str:
    """Return the date of an entry, or nothing where it is no day of the calendar, as who judges the field says."""
    try:
        day = booked(date.fromisoformat(iso_date(value_date)), entry_date) if entry_date else None
    except ValueError:
        return ""
    return "" if day is None else day.isoformat()


def booked(valued: date, month_day: str) -> date | None:
    """Give MMDD the year in which it is nearest to the value date; an entry is booked some days around it."""
    candidates = []
    for year in (valued.year - 1, valued.year, valued.year + 1):
        try:
            candidates.append(date(year, int(month_day[:2]), int(month_day[2:])))
        except ValueError:  # 29 February of another year
            continue
    return min(candidates, key=lambda day: abs(day - valued), default=None)
