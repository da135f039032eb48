"""How a reading table turns the text of an element into a value: dates, amounts, codes, statuses with their reasons.

Each conversion is made once for a message version and then called for every element; the names that a table uses are in
``CONVERSIONS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.errors import UnreadableMessage
from gateway.messages.parsing import element_path, unreadable
from gateway.model.facts import Amount, Quantity, Reason, StatusValue

if TYPE_CHECKING:
    from lxml.etree import _Element

Convert = Callable[["_Element"], Any]
Codes = Mapping[str, Mapping[str, str]]


def _text(*_: Any) -> Convert:
    return lambda element: element.text


def _code(_: str, argument: str, codes: Codes) -> Convert:
    words = codes[argument]

    def convert(element: _Element) -> str:
        word = words.get(element.text or "")
        if word is None:
            raise _unknown(element, element.text, words)
        return word

    return convert


class Unknown(str):
    """A status code that the table does not have: the status is proprietary, under this name."""

    __slots__ = ()


def _status_code(_: str, argument: str, codes: Codes) -> Convert:
    words = codes[argument]
    return lambda element: words.get(element.text or "") or Unknown(element.text or "")


def _decimal(element: _Element) -> Decimal:
    return Decimal(element.text or "")  # white space around it is allowed


def _quantity(_: str, argument: str, codes: Codes) -> Convert:
    return lambda element: Quantity(_decimal(element), argument)


def _amount(*_: Any) -> Convert:
    return lambda element: Amount(_decimal(element), element.get("Ccy") or "")


def _yes_no(*_: Any) -> Convert:
    return lambda element: (element.text or "").strip() in ("true", "1", "Y")


def _aware(value: datetime) -> datetime:
    """Return an instant with its zone; raises ``OverflowError`` where it is beyond the calendar in UTC."""
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if value.year in (MINYEAR, MAXYEAR):
        value.astimezone(UTC)
    return value


def _usual_instant(text: str) -> datetime:
    return _aware(datetime.fromisoformat(text))


@lru_cache(256)  # a day's messages speak of a few dates
def _usual_date(text: str) -> date:
    return date.fromisoformat(text) if len(text) == _DATE_LENGTH else datetime.fromisoformat(text).date()


def _instant(*_: Any) -> Convert:
    def convert(element: _Element) -> datetime:
        try:
            value = datetime.fromisoformat(element.text or "")
        except ValueError:
            value = _unusual_instant(element)
        try:
            return _aware(value)
        except OverflowError:
            raise _unrepresentable(element) from None

    return convert


def _date(*_: Any) -> Convert:
    def convert(element: _Element) -> date:
        try:
            return _usual_date(element.text or "")
        except ValueError:
            return _unusual_instant(element).date()

    return convert


_DATE_LENGTH = 10
_INSTANT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(T(?P<hour>[0-9]{2})(?P<minutes>:[0-9]{2}:[0-9]{2})(\.(?P<fraction>[0-9]+))?)?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)


def _unusual_instant(element: _Element) -> datetime:
    """Read what the schema allows and Python does not: white space around, hour 24, a zone on a date."""
    text = (element.text or "").strip()
    found = _INSTANT.fullmatch(text)
    try:
        if found is not None:
            hour, fraction = found["hour"] or "00", (found["fraction"] or "0")[:6].ljust(6, "0")
            late = hour == "24"
            clock = f"{'00' if late else hour}{found['minutes'] or ':00:00'}.{fraction}"
            value = datetime.fromisoformat(f"{found['day']}T{clock}{found['zone'] or ''}")
            return value + timedelta(days=1) if late else value
    except (ValueError, OverflowError):
        pass
    raise _unrepresentable(element)


def _unrepresentable(element: _Element) -> UnreadableMessage:
    return unreadable(
        "value_unrepresentable",
        f"{_name(element)}: '{element.text}' is no date or time of the years 1 to 9999",
        "a date or time of the years 1 to 9999",
        value=element.text,
        path=element_path(element),
        line=cast("int | None", element.sourceline),
    )


def _status(namespace: str, argument: str, codes: Codes) -> Convert:
    """Read a status as ISO 20022 states it: a choice of statuses, each with its reasons or none.

    Reasons are ``Rsn`` with a code or proprietary identification and a text, repeated; or one proprietary ``Rsn`` with
    the text beside it; or, under a proprietary status, ``PrtryRsn`` repeated.
    """
    if not namespace:
        return _fin_status(codes[argument])
    words = {f"{{{namespace}}}{name}": word for name, word in codes[argument].items()}
    reason, proprietary_reason, text, proprietary_status, code, identification = (
        f"{{{namespace}}}{name}" for name in ("Rsn", "PrtryRsn", "AddtlRsnInf", "PrtrySts", "Cd", "Id")
    )

    def one_reason(element: _Element) -> Reason:
        its_code = its_own = its_text = None
        for part in element:
            tag = part.tag
            if tag == text:
                its_text = part.text
            elif tag == identification:  # the reason is the proprietary identification itself
                its_own = part.text
                break
            else:  # a code or a proprietary identification, whose Id comes first
                leaf = part[0]
                tag = leaf.tag
                if tag == code:
                    its_code = leaf.text
                else:
                    its_own = leaf.text if tag == identification else leaf[0].text
        return Reason(its_code, its_own, its_text)

    def convert(element: _Element) -> StatusValue | None:
        try:
            chosen = element[0]
        except IndexError:  # some versions allow a choice to be empty
            return None
        word = words.get(chosen.tag)
        reasons: list[Reason] = []
        beside = own = None
        for part in chosen:
            tag = part.tag
            if tag in (reason, proprietary_reason):
                reasons.append(one_reason(part))
            elif tag == text:
                beside = part.text
            elif tag == proprietary_status:
                own = part[0].text
        if beside is not None:
            last = reasons.pop() if reasons else Reason()
            reasons.append(Reason(last.code, last.proprietary, beside))
        if word is None:
            return StatusValue("proprietary", tuple(reasons), own or _name(chosen), unknown=True)
        return StatusValue(word, tuple(reasons), own)

    return convert


def _fin_status(words: Mapping[str, str], *, later: bool = False) -> Convert:
    """Read the sequence of a status in FIN: field 25D with its code, and a sequence for each reason.

    A code of a scheme of its own is a proprietary status, whatever it is called. With ``later`` an unknown code is left
    to be read at length.
    """

    def convert(element: _Element) -> StatusValue | None:
        code = own = None
        reasons: list[Reason] = []
        for part in element:
            if part.tag[2:5] == "25D":
                said = {leaf.tag[2:]: leaf for leaf in part}
                code, own = said.get("status_code"), said.get("data_source_scheme")
            elif part.tag[2:] == "REAS":
                reasons += _fin_reasons(part)
        if code is None:
            return None
        if own is not None:
            return StatusValue("proprietary", tuple(reasons), code.text)
        if later:
            return StatusValue(cast("str", Later(words.__getitem__, code)), tuple(reasons))
        word = words.get(code.text or "")
        if word is None:
            return StatusValue("proprietary", tuple(reasons), code.text, unknown=True)
        return StatusValue(word, tuple(reasons))

    return convert


def _status_later(namespace: str, argument: str, codes: Codes) -> Convert:
    return _status(namespace, argument, codes) if namespace else _fin_status(codes[argument], later=True)


def _open_status(_: str, argument: str, codes: Codes) -> Convert:
    words = codes[argument]

    def convert(element: _Element) -> StatusValue:
        said = element.text or ""
        return StatusValue(words.get(said, "proprietary"), (), None if said in words else said)

    return convert


def _open_status_later(_: str, argument: str, codes: Codes) -> Convert:
    words = codes[argument]
    word, other = (lambda said: words.get(said, "proprietary")), (lambda said: None if said in words else said)
    return lambda element: StatusValue(cast("str", Later(word, element)), (), cast("str", Later(other, element)))


def _reasons(namespace: str, *_: Any) -> Convert:
    """Read an element with a reason, coded or proprietary, and texts: as many reasons as texts, the first with it."""
    if not namespace:
        return _fin_reasons
    reason, code, text = (f"{{{namespace}}}{name}" for name in ("Rsn", "Cd", "AddtlInf"))

    def convert(element: _Element) -> tuple[Reason, ...]:
        its_code = its_own = None
        texts = []
        for part in element:
            if part.tag == reason and len(part):
                if part[0].tag == code:
                    its_code = part[0].text
                else:
                    its_own = part[0].text
            elif part.tag == text:
                texts.append(part.text)
        if its_code is its_own is None and not texts:
            return ()
        first, *others = texts or [None]
        return (Reason(its_code, its_own, first), *(Reason(text=other) for other in others))

    return convert


def _fin_reasons(element: _Element) -> tuple[Reason, ...]:
    """Read the sequence of a reason in FIN: its code is in 24B, its text in 70D; a code of a scheme is proprietary."""
    said = {part.tag[2:5]: {leaf.tag[2:]: leaf.text for leaf in part} for part in element}
    code, text = said.get("24B", {}), said.get("70D", {}).get("narrative")
    own = "data_source_scheme" in code
    reason = code.get("reason_code")
    return (Reason(None if own else reason, reason if own else None, text),)


def _joined(*_: Any) -> Convert:
    return lambda element: "".join(part.text or "" for part in element)


def _unknown(element: _Element, value: str | None, words: Mapping[str, str]) -> UnreadableMessage:
    return unreadable(
        "code_unknown",
        f"{_name(element)}: '{value}' has no meaning in the reading table",
        f"one of {', '.join(words)}",
        value=value,
        path=element_path(element),
        line=cast("int | None", element.sourceline),
    )


def _name(element: _Element) -> str:
    return str(element.tag).rpartition("}")[2]


STATUS_CODE: Final = "status_code"  # what `code` means where it is the value of a status

# What a line of a table may say of its element; each makes the function that reads the element in one version.
CONVERSIONS: Final[Mapping[str, Callable[[str, str, Codes], Convert]]] = {
    "text": _text,
    "texts": _text,  # of each of several elements, for a field that holds them all
    "code": _code,  # the word of a code table for the element's text
    STATUS_CODE: _status_code,  # the same of a status, which may be one that the table does not have
    "status": _status,  # a status with its reasons; the code table gives the word for each
    "open_status": _open_status,  # a status that a code says; of an open set: what the table lacks is proprietary
    "reasons": _reasons,  # an element with a reason and texts, repeated: for ``.reasons`` of a status
    "quantity": _quantity,  # a quantity of securities of the type named
    "amount": _amount,  # money with its currency
    "number": lambda *_: _decimal,
    "date": _date,  # a business date; of a date and time, the date as written
    "instant": _instant,  # a point in time; without a zone, UTC is assumed
    "yes_no": _yes_no,
    "count": _text,  # how often the element is there
    "joined": _joined,  # the texts of the elements below one, as FIN writes the components of a field in a row
}
COMPOUND: Final = frozenset(
    {"status", "reasons", "joined"}
)  # read an element with elements below; the others read a text


@dataclass(frozen=True, slots=True)
class Later:
    """A value that a function makes of an element's text, once it is there."""

    convert: Callable[[str], Any]
    element: Any


def _later(convert: Callable[[str], Any]) -> Callable[..., Convert]:
    return lambda *_: partial(Later, convert)


# The same for texts that are not there yet: what is made has a ``Later`` in the place of each value. Only the usual
# form of a value is understood; for any other, the function raises an error and the element has to be converted.
CONVERSIONS_LATER: Final[Mapping[str, Callable[[str, str, Codes], Convert]]] = {
    "text": _text,
    "texts": _text,
    "code": lambda _, argument, codes: partial(Later, codes[argument].__getitem__),
    STATUS_CODE: lambda _, argument, codes: partial(Later, codes[argument].__getitem__),
    "status": _status_later,
    "open_status": _open_status_later,
    "reasons": _reasons,
    "quantity": lambda _, argument, codes: lambda element: Quantity(cast("Decimal", Later(Decimal, element)), argument),
    "amount": lambda *_: lambda element: Amount(cast("Decimal", Later(Decimal, element)), element.get("Ccy") or ""),
    "number": _later(Decimal),
    "date": _later(_usual_date),
    "instant": _later(_usual_instant),
    "yes_no": _later({"true": True, "1": True, "Y": True, "false": False, "0": False, "N": False}.__getitem__),
    "count": _text,
    "joined": _joined,
}
