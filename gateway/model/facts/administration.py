"""What messages say of messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageRejection:
    """A technical rejection of one of our messages (admi.002); ``reference`` names the message it rejects."""

    reference: str | None
    reason_code: str | None
    text: str | None = None
    location: str | None = None
