"""What ``schemas/demo/day.toml`` says: counterparties, markets, securities, and the courses that trades take."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.messages.data_files import data_directory
from gateway.model.transitions import Dialogue


class Counterparty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A simulated counterparty: its carrier, its language, the versions it expects, and those it answers with.

    ``answers_agreed_trades`` lets the gateway affirm by itself what of theirs agrees with ours; ``chasing`` is what it
    does of its own accord about silence, as its profile says it.
    """

    bic: str
    name: str
    carrier: Literal["kafka", "folder"]
    versions: dict[str, str]
    answers: tuple[str, ...] = ()
    answers_agreed_trades: bool = False
    chasing: dict[str, Any] | None = None
    language: Literal["iso20022", "fin"] = "iso20022"


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where securities settle (``place``), with whom, in which currency, how many business days after the trade."""

    place: str
    currency: str
    days: int
    counterparty: str
    agents: tuple[str, ...]
    mic: str | None = None


class Security(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A security and its usual price: of a share in the market's currency, of a bond in per cent."""

    isin: str
    name: str
    price: str
    bond: bool = False


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An act that asks or answers: its event, the dialogue it is ``about``, and how the counterparty's book says it.

    ``asks`` is the simulator's dialogue and the word that tells the request from others like it. ``{names}`` in the
    event are values of the trade.
    """

    about: Dialogue
    asks: str
    event: dict[str, Any]


class Instructed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An act that instructs: the dialogue that it begins, its event with ``{names}`` of values of the trade.

    It goes to the ``counterparty`` named here, or to that of the trade.
    """

    dialogue: Dialogue
    event: dict[str, Any]
    counterparty: str | None = None


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An act of the counterparty: the dialogue that it begins, with the terms of a settlement, of a trade, or these.

    The ``counterparty`` is the one named here, or that of the trade. ``named`` is what the gateway derives the
    transaction identification from, where that is more than the counterparty's reference.
    """

    dialogue: Dialogue
    terms: Literal["settlement", "trade"] | dict[str, str]
    counterparty: str | None = None
    named: str = "{reference}"


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event of a trade, or one thing that the counterparty begins: see ``Instructed``, ``Request``, ``Begun``.

    It is done ``after`` seconds and once the trade had the headline ``when``, or an axis stood so (``hold:held``);
    without either, with the last one. ``script`` is what the simulator plays, ``wrong`` the mistake made on purpose.
    ``ends`` are the headlines at one of which what it begins has to stay, ``alerts`` every alert raised of it,
    ``asked`` what the gateway asks the counterparty of its own accord.
    """

    do: str
    script: str = ""
    wrong: str = ""
    held: bool = False
    when: str = ""
    after: float = 0.0
    number: int = 1
    ends: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to one trade, and the exceptions that have to come of it, no more and no fewer.

    It is played with the ``counterparty`` named here, or with any that speaks ISO 20022; ``everywhere`` with any.
    """

    name: str
    share: int
    acts: tuple[Act, ...]
    parked: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    counterparty: str | None = None
    payment: Literal["against", "free"] | None = None
    early: bool = False
    everywhere: bool = False


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of ``schemas/demo/day.toml``; ``dollars`` are what one unit of a currency costs."""

    own_bic: str
    counterparties: tuple[Counterparty, ...]
    markets: dict[str, Market]
    securities: dict[str, tuple[Security, ...]]
    dollars: dict[str, str]
    instructs: dict[str, Instructed]
    requests: dict[str, Request]
    begins: dict[str, Begun]
    courses: tuple[Course, ...]

    def markets_for(self, course: Course) -> list[tuple[str, Market]]:
        """Return the markets in which a course may be played, by name."""
        languages = {one.bic: one.language for one in self.counterparties}
        return [
            (name, market)
            for name, market in self.markets.items()
            if market.counterparty == course.counterparty
            or (course.counterparty is None and (course.everywhere or languages[market.counterparty] == "iso20022"))
        ]

    def counterparty(self, act: Act) -> str | None:
        """Return the counterparty that an act names by what it does; None where it is that of the trade."""
        named = self.instructs.get(act.do) or self.begins.get(act.do)
        return named.counterparty if named else None


def read_tables(path: Path | None = None) -> Tables:
    """Read the tables of the day."""
    text = (path or data_directory() / "demo" / "day.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Tables)
