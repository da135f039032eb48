"""What an instruction goes with: other instructions, by whatever name it is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OWN_NAMES: Final = (
    "transaction_id",
    "account_servicer_transaction_id",
    "market_infrastructure_transaction_id",
    "common_reference",
)
"""Identifications that an instruction has itself. Every other one is a group's: who states it belongs together."""


@dataclass(frozen=True, slots=True)
class InstructionName:
    """An instruction as upstream names it."""

    source: str
    trade_id: str
    instruction_number: int
    dialogue: str


@dataclass(frozen=True, slots=True)
class Link:
    """One instruction that another goes with.

    ``relation`` is ``before``, ``with``, ``after``, ``information``, ``block``, ``allocation``, or another word of the
    kind of event. ``value`` is an identification, and ``names`` says which: one of ``OWN_NAMES``, or a group's, such as
    ``pool_id`` or ``block_id``. Where upstream names the instruction, ``value`` is an ``InstructionName``. A link that
    ``ends`` is undone by the request that states it, once that is completed.
    """

    relation: str
    value: str | InstructionName
    names: str = "transaction_id"
    ends: bool = False
