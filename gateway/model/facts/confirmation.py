"""What messages say of the confirmation of trades."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.facts.values import StatusValue


@dataclass(frozen=True, slots=True)
class ConfirmationAnswer:
    """The other side's answer to a trade confirmation (setr.030): ``affirmed``, ``disaffirmed``, ``received``..."""

    status: StatusValue


@dataclass(frozen=True, slots=True)
class ConfirmationStatus:
    """A trade confirmation's processing, matching, affirmation or cancellation status (setr.044)."""

    processing: StatusValue | None = None
    matching: StatusValue | None = None
    affirmation: StatusValue | None = None
    cancellation: StatusValue | None = None
