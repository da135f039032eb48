"""Events about systems and messages: tell of an event of ours, ask for messages again."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gateway.model.event import Event
from gateway.model.events.kinds import EventKind
from gateway.model.examples import technical as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    NARRATIVE_PATTERN,
    Bic,
    DefinitionIdentifier,
    Instant,
    ProprietaryIdentification,
    Some,
    Text35,
)

Text1000 = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=NARRATIVE_PATTERN)]


@strict
class NotifySystemEvent(Event):
    """Tell the counterparty of an event of our systems, by a code agreed with it.

    ``trade_id`` is upstream's name for the notification.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.TECHNICAL
    role: ClassVar[str] = "notification"

    event_schema: Literal["notify_system_event/1"] = Field(alias="schema")
    code: Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9]{1,4}$")]
    parameters: Some[Text35] = ()
    description: Text1000 | None = None
    event_time: Instant | None = None


@strict
class Numbers:
    """A range of the counterparty's sequence numbers, both included."""

    first: Text35
    last: Text35


@strict
class Missing:
    """What is missed: of which business date, by number or numbers, of which kind of message or in which file.

    ``recipient`` is for whom it is, usually us.
    """

    recipient: Bic | None = None
    recipient_proprietary: ProprietaryIdentification | None = None
    business_date: date | None = None
    number: Text35 | None = None
    from_number: Text35 | None = None
    to_number: Text35 | None = None
    ranges: Some[Numbers] = ()
    numbers: Some[Text35] = ()
    except_numbers: Some[Text35] = ()
    message_definition: DefinitionIdentifier | None = None
    file_reference: Text35 | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.recipient is None) == (self.recipient_proprietary is None):
            raise PydanticCustomError("event_field_invalid", "exactly one of recipient, recipient_proprietary")
        ways = ("from_number", "to_number", "ranges", "numbers", "except_numbers")
        if sum(bool(getattr(self, name)) for name in ways) > 1:
            raise PydanticCustomError("event_field_invalid", "at most one of {ways}", {"ways": ", ".join(ways)})
        return self


@strict
class RequestResend(Event):
    """Ask the counterparty to send again what we miss; ``trade_id`` is upstream's name for the request."""

    dialogue: ClassVar[Dialogue] = Dialogue.TECHNICAL
    role: ClassVar[str] = "resend_request"

    event_schema: Literal["request_resend/1"] = Field(alias="schema")
    missing: Annotated[tuple[Missing, ...], Field(min_length=1, max_length=100, strict=False)]


KINDS: Final[dict[str, EventKind]] = {
    "notify_system_event/1": EventKind(
        NotifySystemEvent, examples.NOTIFY_SYSTEM_EVENT, examples.NOTIFY_SYSTEM_EVENT_MINIMAL
    ),
    "request_resend/1": EventKind(RequestResend, examples.REQUEST_RESEND, examples.REQUEST_RESEND_MINIMAL),
}
