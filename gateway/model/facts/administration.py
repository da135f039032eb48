"""What messages say of messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.model.facts.terms import Terms


@dataclass(frozen=True, slots=True)
class MessageRejection:
    """A technical rejection of one of our messages (admi.002, semt.001); ``reference`` names the one it rejects.

    ``by_network`` is one that the network refused on its way (FIN, service 21): the other side never had it.
    """

    reference: str | None
    reason_code: str | None
    text: str | None = None
    location: str | None = None
    by_network: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """An acknowledgement of one of our messages (admi.007), which the references name.

    What ``code`` means is agreed with each counterparty: ``meaning`` is ``received``, ``rejected`` or, where its
    profile does not say, ``unknown``.
    """

    code: str
    text: str | None = None
    meaning: str = "unknown"


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """Something that a system tells all whom it concerns (admi.004): opening, closing, a cut-off that moves.

    It is about no instruction, and begins a row of its own under the name ``reference`` of the message that tells it.
    """

    code: str
    about: str = "technical"
    reference: str = ""
    parameters: tuple[str, ...] = ()
    description: str | None = None
    at: datetime | None = None

    def terms(self) -> Terms:
        """State no terms: nothing was traded."""
        return Terms()


@dataclass(frozen=True, slots=True)
class MessageWithdrawal:
    """The other side withdraws a message that it sent before (semt.020).

    ``reference`` names it: by its business message identifier, or by the transaction that it was about.
    """

    reference: str
