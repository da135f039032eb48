"""What messages say of repos and securities lending."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.facts.values import StatusValue


@dataclass(frozen=True, slots=True)
class FinancingStatus:
    """A securities financing status advice (sese.034): up to five axes; None where it does not speak of one.

    ``settlement`` is of the leg that has not settled yet; ``call`` answers our call of the financing.
    """

    processing: StatusValue | None = None
    inferred_matching: StatusValue | None = None
    matching: StatusValue | None = None
    settlement: StatusValue | None = None
    call: StatusValue | None = None
