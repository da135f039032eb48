"""Every exception of the gateway, and the violation that explains them.

::

    GatewayError(code, retriable)
      ConfigError                    stops the start; names the file and the key
      EventError(violations)         parks the event
      MessageError
        BuildError(violations)       the event says something the message version cannot carry
        InvalidMessage(violations)   the schema or a rule refuses the message
        UnreadableMessage            not XML, too large, hostile, or of an unknown definition
      TransportError
        NotSent                      nothing left this process: retried
        InDoubt                      it may have arrived: sent again with the possible-duplicate mark
        Refused                      the carrier or network says no: parked
        NotAuthentic                 security alert; parked
      StoreError
        StoreUnavailable             retried
        Conflict                     the batch is repeated
      BusUnavailable                 retried
      IllegalTransition              recorded, parked, alerted

Expected business outcomes are values, not exceptions. An unknown exception is never retriable and never a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Violation:
    """State one thing that is wrong with an event, a message or a configuration.

    ``code`` is stable and has a runbook entry; ``path`` is a field path (``settlement_amount.currency``) or an element
    path (``/Document/SctiesSttlmTxInstr/TxId``); ``line`` counts from 1; ``rule`` says the constraint in words with the
    allowed values; ``value`` is the offending text, cut to 140 characters; ``text`` is the whole sentence. A
    ``warning`` refuses nothing. ``suggestion`` is the value that would be right, where that is certain.
    """

    code: str
    path: str
    rule: str
    value: str | None
    text: str
    line: int | None = None
    severity: Literal["error", "warning"] = "error"
    suggestion: str | None = None


class GatewayError(Exception):
    """Carry a stable ``code``, a sentence, and whether trying again can help."""

    code = "internal_error"
    retriable = False

    def __init__(self, text: str, *, code: str | None = None, violations: Sequence[Violation] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.violations = tuple(violations)
        if code is not None:
            self.code = code


class ConfigError(GatewayError):
    """Stop the start: a configuration file or environment variable is wrong."""

    code = "configuration_invalid"


class EventError(GatewayError):
    """Park the event: it cannot be decoded or breaks its schema."""

    code = "event_invalid"


class MessageError(GatewayError):
    """Say that a message cannot be built, accepted or read."""

    code = "message_error"


class BuildError(MessageError):
    """Say which element the counterparty's message version lacks for what the event states."""

    code = "message_not_expressible"


class InvalidMessage(MessageError):
    """Say which constraints of its schema or rules a message breaks."""

    code = "message_invalid"


class UnreadableMessage(MessageError):
    """Say why bytes are no message that can be read: syntax, size, hostile content, unknown definition."""

    code = "message_unreadable"


class TransportError(GatewayError):
    """Say that a carrier did not do what it was asked."""

    code = "transport_error"


class NotSent(TransportError):
    """Nothing left this process; the send is tried again later."""

    code = "not_sent"
    retriable = True


class InDoubt(TransportError):
    """The message may have arrived; it is sent again with the possible-duplicate mark."""

    code = "send_in_doubt"
    retriable = True


class Refused(TransportError):
    """The carrier or the network refused the message; the message is parked."""

    code = "send_refused"


class NotAuthentic(TransportError):
    """The message's authentication does not hold; the message is parked and a security alert raised."""

    code = "message_not_authentic"


class StoreError(GatewayError):
    """Say that the ledger did not do what it was asked."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The ledger cannot be reached or cannot write (connection, disk full, lock); the batch is tried again."""

    code = "store_unavailable"
    retriable = True


class Conflict(StoreError):
    """Another writer was first (deadlock, serialisation, unique backstop); the batch is repeated."""

    code = "store_conflict"
    retriable = True


class BusUnavailable(GatewayError):
    """Kafka cannot be reached or lacks what is needed; the text names the cause."""

    code = "bus_unavailable"
    retriable = True


class IllegalTransition(GatewayError):
    """A reply asks for an edge that the transition table does not have; both ends are named."""

    code = "illegal_transition"
