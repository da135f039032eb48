"""What messages say of messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageRejection:
    """A technical rejection of one of our messages (admi.002, semt.001); ``reference`` names the one it rejects."""

    reference: str | None
    reason_code: str | None
    text: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class MessageWithdrawal:
    """The other side withdraws a message that it sent before (semt.020).

    ``reference`` names it: by its business message identifier, or by the transaction that it was about.
    """

    reference: str
