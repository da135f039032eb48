"""What a depository, or an account servicer, reports of cash penalties for settlement fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from gateway.model.facts.values import Amount


@dataclass(frozen=True, slots=True)
class PenaltyDay:
    """One of the business days that a penalty is made of."""

    day: date


@dataclass(frozen=True, slots=True)
class PenaltyReport:
    """One penalty of one transaction, as it is reported (sequence PENDET of MT537 and MT548).

    ``reference`` is the depository's for our side of it, ``common_reference`` that of both sides. ``kind`` is ``SEFP``
    (settlement fail) or ``LMFP`` (late matching), ``status`` ISO 15022's code: ``ACTV`` where none is stated, ``REMO``
    and ``NCOM`` for one that is removed, or could not be computed. ``credit_debit`` is ``credit`` where we are to
    receive it. ``business_days`` is how many there are, ``days`` which; one that is not ``counted`` is in no total.
    """

    reference: str | None = None
    common_reference: str | None = None
    kind: str | None = None
    status: str | None = None
    amount: Amount | None = None
    credit_debit: str | None = None
    business_days: Decimal | None = None
    days: tuple[PenaltyDay, ...] = ()
    detected_on: date | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class ReportedPenalty:
    """A penalty as it was reported last: with the time that the report states and its number in the archive."""

    report: PenaltyReport
    asserted_at: datetime | None
    archive_id: int
