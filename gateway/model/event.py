"""What every trade event carries, and the rules across its fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.model.facts import Link, Terms
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import Bic, Instant, Text35, Text140


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule across fields: looked at when all of ``fields`` are good by themselves; ``path`` is what to correct."""

    path: str
    fields: tuple[str, ...]
    text: str
    broken: Callable[[Any], bool]


@strict
class Event:
    """What every trade event carries. ``counterparty`` is the BIC of the profile; the Kafka key is the trade.

    ``role`` is the role of the event's message in its dialogue: one of ``transitions.REQUESTS`` asks something about
    an instruction that is there, every other begins one. An event that ``answers`` is about a trade that the
    counterparty began: its ``trade_id`` is the counterparty's reference, its ``instruction_number`` 1.
    """

    event_id: Text140
    source: Text35
    trade_id: Text35
    instruction_number: Annotated[int, Field(ge=1, le=999_999)]
    occurred_at: Instant
    counterparty: Bic

    dialogue: ClassVar[Dialogue]
    role: ClassVar[str]
    answers: ClassVar[bool] = False
    rules: ClassVar[tuple[Rule, ...]] = ()

    @property
    def kind(self) -> str:
        """Return the event's schema: its name and major version."""
        schema: str = self.event_schema  # type: ignore[attr-defined]  # a field of each kind, with its own literal type
        return schema

    def terms(self) -> Terms:
        """State what replies are compared with; a request has no terms of its own."""
        return Terms()

    def names(self, transaction: str) -> dict[str, str]:
        """State further identifiers that replies may name the new instruction by (``uetr``, ``end_to_end_id``): none.

        ``transaction`` is its transaction identification.
        """
        del transaction
        return {}

    def axes_at_birth(self) -> dict[str, str]:
        """State the axes of the new instruction that its event decides: none."""
        return {}

    def links(self) -> tuple[Link, ...]:
        """State what the instruction goes with: nothing else."""
        return ()

    def rejects(self) -> str | None:
        """Name the message of theirs that it rejects, by its business message identifier: none."""
        return None

    def asks(self) -> str:
        """Name what a request asks for."""
        return self.role

    def terms_asked(self, in_force: Terms) -> Terms | None:
        """State the terms that hold once a request is done; None where it changes none of those ``in_force``."""
        del in_force
        return None

    @model_validator(mode="after")
    def _across_fields(self) -> Self:
        for rule in self.rules:
            if rule.broken(self):
                raise PydanticCustomError("event_rule_broken", "{rule}", {"rule": rule.text})
        return self
