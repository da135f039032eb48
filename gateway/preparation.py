"""An event with everything about it that needs no ledger: decoded, its counterparty found, its message built."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import structlog

from gateway.errors import EventError, GatewayError
from gateway.messages import Identity, Messages
from gateway.model import refusals
from gateway.model.events import TradeEvent, event_digest, parse_event
from gateway.model.references import business_message_id, trade_key, transaction_id
from gateway.model.transitions import REQUESTS
from gateway.pace import Clock
from gateway.store import NewEvent

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.messages import BuiltMessage
    from gateway.model.profile import Profile

log = structlog.get_logger("gateway.intake")

_UNDECODED = "(undecoded)"
_Word = Annotated[str, msgspec.Meta(max_length=200, pattern="^[^\\x00]+$")]


class _Stated(msgspec.Struct):
    """What a refused event may still tell of itself."""

    schema: Annotated[str, msgspec.Meta(max_length=40, pattern="^[^\\x00]*$")] | None = None
    source: _Word | None = None
    event_id: _Word | None = None
    trade_id: _Word | None = None
    instruction_number: Annotated[int, msgspec.Meta(ge=0, le=2_000_000_000)] | None = None


_STATED = msgspec.json.Decoder(_Stated)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event with everything about it that needs no ledger. ``row`` is set for one that the ledger has already."""

    event: NewEvent
    parsed: TradeEvent | None = None
    profile: Profile | None = None
    transaction: str = ""
    built: BuiltMessage | None = None
    failure: GatewayError | None = None
    row: int | None = None

    @property
    def begins(self) -> bool:
        """Tell whether it begins an instruction, and asks nothing of one that is there."""
        return self.parsed is not None and self.parsed.role not in REQUESTS


class Preparation:
    """Prepare events: pure but for the clock."""

    def __init__(self, messages: Messages, settings: Settings, clock: Clock) -> None:
        self._messages = messages
        self._settings = settings
        self._own_bic = settings.gateway.bic
        self._clock = clock

    def prepare(self, content: bytes, *, topic: str, partition: int, offset: int, row: int | None = None) -> Prepared:
        """Decode an event, find its counterparty and build its message. Never raises: what fails is to be parked."""
        try:
            return self._prepare(content, topic, partition, offset, row)
        except Exception as error:
            log.exception("event.not_prepared", origin=f"{topic}/{partition}/{offset}")
            failure = EventError(f"this event cannot be handled: {type(error).__name__}", code="internal_error")
            return Prepared(_undecoded(content, topic, partition, offset, self._clock()), failure=failure, row=row)

    def _prepare(self, content: bytes, topic: str, partition: int, offset: int, row: int | None) -> Prepared:
        now = self._clock()
        try:
            parsed = parse_event(content)
        except EventError as error:
            return Prepared(_undecoded(content, topic, partition, offset, now), failure=error, row=row)
        event = NewEvent(
            source=parsed.source,
            event_id=parsed.event_id,
            digest=event_digest(content),
            topic=topic,
            partition=partition,
            offset=offset,
            received_at=now,
            content=content,
            kind=parsed.kind,
            trade_id=parsed.trade_id,
            instruction_number=parsed.instruction_number,
        )
        profile = self._settings.profile(parsed.counterparty)
        if profile is None:
            return Prepared(event, parsed, failure=unknown_counterparty(parsed.counterparty, self._settings), row=row)
        source = profile.bic if parsed.answers else parsed.source
        transaction = transaction_id(self._own_bic, source, parsed.trade_id, parsed.dialogue, parsed.instruction_number)
        if parsed.role in REQUESTS:
            return Prepared(event, parsed, profile, transaction, row=row)  # its message needs the instruction's terms
        try:
            definition = self._messages.definition_for(parsed, profile)
            message_id = business_message_id(transaction, parsed.event_id, definition)
            identity = Identity(transaction, message_id, now, **parsed.names(transaction))
            built = self._messages.build(parsed, profile, identity)
        except GatewayError as error:
            return Prepared(event, parsed, profile, transaction, failure=error, row=row)
        return Prepared(event, parsed, profile, transaction, built, row=row)


def unknown_counterparty(bic: str, settings: Settings) -> EventError:
    """Refuse a counterparty that is not configured, and name those that are."""
    return refusals.unknown_counterparty(bic, [profile.bic for profile in settings.counterparties])


def key_of(event: NewEvent) -> int | None:
    """Return the key of the trade that an event is of; None where it tells none."""
    return None if event.trade_id is None else trade_key(event.source, event.trade_id)


def _undecoded(content: bytes, topic: str, partition: int, offset: int, now: datetime) -> NewEvent:
    """Keep what can be told of a refused event: by its own identifiers where it states them, else by where it was."""
    digest = event_digest(content)
    try:
        stated = _STATED.decode(content)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        stated = _Stated()
    told = bool(stated.source and stated.event_id)
    return NewEvent(
        source=stated.source if told and stated.source else _UNDECODED,
        event_id=stated.event_id if told and stated.event_id else f"{topic}/{partition}/{offset}/{digest.hex()[:16]}",
        digest=digest,
        topic=topic,
        partition=partition,
        offset=offset,
        received_at=now,
        content=content,
        kind=stated.schema,
        trade_id=stated.trade_id if told else None,
        instruction_number=stated.instruction_number if told else None,
    )
