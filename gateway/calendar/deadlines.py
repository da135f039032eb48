"""Cut-offs as data, and the deadlines of an instruction that follow from them. Pure; instants are aware, in UTC.

A cut-off is a time of day in a zone, some business days before the intended settlement date. It holds for whatever its
criteria name (counterparty, place of settlement, currency, against or free, one settlement date); of several that fit,
the most specific is in force. A wall clock may show a time twice, or never, when clocks change: a cut-off is due when
the clock first shows that time or a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from gateway.calendar import Calendar, Calendars
from gateway.model.transitions import TRANSITIONS, Dialogue

Kind = Literal["send", "match", "release", "settle"]
KINDS: Final[tuple[Kind, ...]] = ("send", "match", "release", "settle")
REPLY: Final = "reply"  # the counterparty has not answered
OVERDUE: Final = "overdue"  # the intended settlement date is over

_BIC = r"^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$"
_KEPT: Final = 10_000  # answers of a timetable
_SECOND: Final = timedelta(seconds=1)


def checked_zone(name: str) -> str:
    """Return a zone's name; raises ValueError where the time zone database has none of it."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"is a zone of the time zone database, such as Europe/Berlin; not {name!r}") from None
    return name


class Cutoff(BaseModel):
    """Until when something has to have happened, and when to warn before it.

    What is left out of the criteria holds for all. A BIC of 8 characters stands for all its branches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    at: time = Field(description="time of day, in its zone")
    zone: str
    days_before: int = Field(default=0, ge=0, le=30, description="business days before the intended settlement date")
    warn_minutes: int = Field(default=30, ge=0, le=7 * 24 * 60, description="0: no warning before it")
    dialogue: Dialogue = Dialogue.SETTLEMENT
    counterparty: str | None = Field(default=None, pattern=_BIC)
    place_of_settlement: str | None = Field(default=None, pattern=_BIC)
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    payment: Literal["against", "free"] | None = None
    on: date | None = Field(default=None, description="for this intended settlement date only")

    _zone_exists = field_validator("zone")(checked_zone)

    @field_validator("at")
    @classmethod
    def _of_a_wall_clock(cls, at: time) -> time:
        if at.tzinfo is not None:
            raise ValueError("is a time of day without zone, such as 16:00; the zone is `zone`")
        return at

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.kind == "settle" and (self.dialogue, "settlement") not in TRANSITIONS:
            raise ValueError(f"kind settle: nothing settles in a dialogue of {self.dialogue}; use send or match")
        return self

    @field_serializer("at")
    def _shown(self, at: time) -> str:
        return at.isoformat()

    @property
    def key(self) -> tuple[str | date | None, ...]:
        """Return what it is for: a later cut-off with the same key replaces it."""
        return (
            self.kind,
            self.dialogue,
            self.counterparty,
            self.place_of_settlement,
            self.currency,
            self.payment,
            self.on,
        )

    @property
    def rank(self) -> int:
        """Say how specific it is: a single day, then the counterparty, the place, the currency, against or free."""
        criteria = (self.on, self.counterparty, self.place_of_settlement, self.currency, self.payment)
        return sum(1 << weight for weight, given in zip((4, 3, 2, 1, 0), criteria, strict=True) if given is not None)

    def fits(self, subject: Subject) -> bool:
        """Tell whether every criterion holds for an instruction."""
        return (
            self.dialogue == subject.dialogue
            and self.on in (None, subject.settlement_date)
            and (self.currency is None or self.currency in subject.currencies)
            and self.payment in (None, subject.payment)
            and _same_party(self.counterparty, subject.counterparty)
            and _same_party(self.place_of_settlement, subject.place_of_settlement)
        )


def _same_party(wanted: str | None, bic: str | None) -> bool:
    if wanted is None:
        return True
    if bic is None:
        return False
    return bic[:8] == wanted if len(wanted) == 8 else f"{bic:X<11}" == wanted


@dataclass(frozen=True, slots=True)
class Subject:
    """What the deadlines of an instruction depend on; instructions that agree in it have the same deadlines.

    ``currencies`` are those in which it pays: a foreign exchange trade has two.
    """

    dialogue: str
    counterparty: str
    place_of_settlement: str | None
    currencies: tuple[str, ...]
    payment: str | None
    settlement_date: date


class Stage(StrEnum):
    """How far a deadline has come."""

    WAITING = "waiting"
    WARNED = "warned"
    ASKED = "asked"  # a status query has gone out; of REPLY only
    MISSED = "missed"  # and told, once
    MET = "met"


@dataclass(frozen=True, slots=True)
class Deadline:
    """One thing that has to have happened by ``due_at``; a warning is due at ``warn_at``.

    ``kind`` is one of ``KINDS``, or ``REPLY``, or ``OVERDUE``, which is due again each business day.
    """

    kind: str
    due_at: datetime
    warn_at: datetime | None = None
    stage: Stage = Stage.WAITING

    @property
    def is_open(self) -> bool:
        """Tell whether anything is still to be told of it."""
        return self.stage not in (Stage.MET, Stage.MISSED)

    @property
    def next_at(self) -> datetime:
        """Return when to look at it next."""
        if self.stage is Stage.WAITING and self.warn_at is not None:
            return self.warn_at
        return self.due_at


class Timetable:
    """Derive deadlines from the cut-offs in force. Answers are kept: instructions of a day have few subjects.

    ``zone`` and ``overdue_at`` say when on a business day an instruction of an earlier date is called overdue.
    """

    def __init__(self, calendars: Calendars, cutoffs: Iterable[Cutoff], zone: str, overdue_at: time) -> None:
        self._calendars = calendars
        in_force = {cutoff.key: cutoff for cutoff in cutoffs}
        self.cutoffs = tuple(sorted(in_force.values(), key=lambda cutoff: -cutoff.rank))
        self._zone, self._overdue_at = zone, overdue_at
        self._known: dict[Subject, tuple[Deadline, ...]] = {}

    def calendar(self, subject: Subject) -> Calendar:
        """Return the business days on which it can settle: the place's, and those of every currency it pays in."""
        currencies = () if subject.payment == "free" else subject.currencies
        return self._calendars.of(place=subject.place_of_settlement, currency=currencies)

    def deadlines(self, subject: Subject) -> tuple[Deadline, ...]:
        """Return the deadlines of an instruction, one a kind that has a cut-off, in the order of ``KINDS``.

        An intended settlement date that is no business day counts as the next one. With two currencies each has its
        own cut-off, on the business days of both and on its own: the earliest is due.
        """
        known = self._known.get(subject)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = (self._deadline(kind, subject) for kind in KINDS)
            known = tuple(deadline for deadline in found if deadline is not None)
            self._known[subject] = known
        return known

    def overdue(self, subject: Subject, after: datetime | None = None) -> Deadline:
        """Return when it is overdue: on the business day after its date, or on the first one after an instant."""
        calendar = self.calendar(subject)
        day = calendar.next_business_day(calendar.following(subject.settlement_date))
        due = local_instant(day, self._overdue_at, self._zone)
        if after is not None and due <= after:
            day = calendar.following(max(day, after.astimezone(ZoneInfo(self._zone)).date()))
            due = local_instant(day, self._overdue_at, self._zone)
            if due <= after:
                due = local_instant(calendar.next_business_day(day), self._overdue_at, self._zone)
        return Deadline(OVERDUE, due)

    def days_overdue(self, subject: Subject, now: datetime) -> int:
        """Count the business days since the intended settlement date, today included."""
        today = now.astimezone(ZoneInfo(self._zone)).date()
        calendar = self.calendar(subject)
        return calendar.business_days(calendar.following(subject.settlement_date), today)

    def _cutoff(self, kind: Kind, subject: Subject) -> Cutoff | None:
        return next((cutoff for cutoff in self.cutoffs if cutoff.kind == kind and cutoff.fits(subject)), None)

    def _deadline(self, kind: Kind, subject: Subject) -> Deadline | None:
        alone = [replace(subject, currencies=(currency,)) for currency in subject.currencies] or [subject]
        found = [
            self._due(cutoff, subject, calendar)
            for one in alone
            if (cutoff := self._cutoff(kind, one)) is not None
            for calendar in ((self.calendar(subject), self.calendar(one)) if len(alone) > 1 else (self.calendar(one),))
        ]
        return min(found, key=lambda deadline: deadline.due_at, default=None)

    def _due(self, cutoff: Cutoff, subject: Subject, calendar: Calendar) -> Deadline:
        day = calendar.add_business_days(calendar.following(subject.settlement_date), -cutoff.days_before)
        due = local_instant(day, cutoff.at, cutoff.zone)
        lead = timedelta(minutes=cutoff.warn_minutes)
        return Deadline(cutoff.kind, due, due - lead if lead else None)


def rederived(before: Iterable[Deadline], fresh: Iterable[Deadline]) -> tuple[Deadline, ...]:
    """Return deadlines as they are derived now, each with the stage that it had, unless its time has moved.

    What was met stays met. What is no longer derived is gone.
    """
    known: Mapping[str, Deadline] = {deadline.kind: deadline for deadline in before}
    kept = []
    for deadline in fresh:
        earlier = known.get(deadline.kind)
        same = earlier is not None and (earlier.due_at == deadline.due_at or earlier.stage is Stage.MET)
        kept.append(replace(deadline, stage=earlier.stage) if same and earlier is not None else deadline)
    return tuple(kept)


@lru_cache(maxsize=4096)
def local_instant(day: date, at: time, zone: str) -> datetime:
    """Return the instant, in UTC, at which the wall clock of a zone first shows a time of a day or a later one."""
    local = datetime.combine(day, at, ZoneInfo(zone))
    first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    if first <= second:
        return first
    # Clocks jump over that time: the two readings lie on either side of the jump, and the jump is the instant.
    before, after = second, first
    offset = before.astimezone(ZoneInfo(zone)).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(ZoneInfo(zone)).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
