"""What messages to us state in full, for the translation of those of which the gateway itself takes a part as facts.

``schemas/translation/*.map`` are mapping tables for them. Their language is that of ``gateway.messages.mapping``, with
two more lines in the head: ``like FILE`` takes the rows of another mapping table, and ``without FIELD, FIELD`` all but
those of these fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from datetime import date, datetime
from typing import Final, Literal

from gateway.errors import ConfigError
from gateway.messages import sources_of
from gateway.messages.data_files import read_tables
from gateway.messages.mapping import Table, parse_tables
from gateway.messages.translation import statements
from gateway.model.cash import PaymentAccount
from gateway.model.event import Event
from gateway.model.events.settlement import InstructSettlement
from gateway.model.strict import described
from gateway.model.vocabulary import Amount, Quantity


@dataclass
class _Answer:
    """An instruction as the account servicer speaks of it: the identifications that it goes by."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    market_infrastructure_transaction_id: str | None = None
    counterparty_market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    pool_id: str | None = None
    corporate_action_id: str | None = None


@dataclass
class _Confirmation(_Answer):
    """A settlement confirmation, or the advice that it is reversed; named as in ``facts.SettlementConfirmation``."""

    standing: Literal["confirmed", "reversed"] | None = None
    previous_confirmation_id: str | None = None  # that is reversed, or of the part before
    pre_confirmation: str | None = None
    partial: str | None = None
    effective_settlement_date: date | None = None
    effective_settlement_time: datetime | None = None
    settled_quantity: Quantity | None = None
    previously_settled_quantity: Quantity | None = None
    remaining_quantity: Quantity | None = None
    settled_amount: Amount | None = None
    previously_settled_amount: Amount | None = None
    remaining_amount: Amount | None = None


@dataclass
class _Allegement:
    """An instruction of the other side's; named as in ``facts.Alleged``."""

    reference: str | None = None
    market_infrastructure_transaction_id: str | None = None
    counterparty_market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None


@dataclass
class _Removal:
    """An allegement that is withdrawn."""

    previous: str | None = None
    movement: Literal["deliver", "receive"] | None = None
    payment: Literal["against", "free"] | None = None
    market_infrastructure_transaction_id: str | None = None


@dataclass
class _Entry:
    """An entry on an account; named as in ``facts.AccountEntry``."""

    direction: Literal["credit", "debit"] | None = None
    status: Literal["booked", "pending", "announced"] | None = None
    account: PaymentAccount | None = None
    account_number: str | None = None
    account_at_servicer: str | None = None
    account_servicer: str | None = None
    amount: Amount | None = None
    value_date: date | None = None
    booking_date: date | None = None
    booked_at: datetime | None = None
    servicer_reference: str | None = None
    related_reference: str | None = None
    end_to_end_id: str | None = None
    transaction_id: str | None = None
    transaction_code: str | None = None
    ordering_institution: str | None = None
    intermediary: str | None = None
    narrative: str | None = None


_NOT_IN_ANSWERS: Final = (
    *("linkages", "hold", "hold_reasons", "late_delivery_date", "return_leg", "modification_cancellation_allowed"),
)


def _with_terms(answer: type, *without: str) -> type:
    """Return a class with the fields of an answer, and those of an instruction that no answer is without."""
    of_event = set(described(Event)) | {"event_schema", "instruction_number"}
    terms = [
        (name, field.annotation, () if field.get_default() == () else None)
        for name, field in described(InstructSettlement).items()
        if name not in {*of_event, *without} or name == "trade_id"
    ]
    return make_dataclass(answer.__name__, terms, bases=(answer,))


_MODELS: Final[Mapping[str, type]] = {
    "settlement_confirmation": _with_terms(
        _Confirmation,
        *("quantity", "settlement_amount", *_NOT_IN_ANSWERS),
    ),
    "settlement_allegement": _with_terms(_Allegement, *_NOT_IN_ANSWERS),
    "allegement_removal": _Removal,
    "account_entry": _Entry,
    **statements.MODELS,
}


def sources(table: Table) -> dict[str, type]:
    """Name what the rows of a table can speak of, whether its messages are to us or ours."""
    return sources_of(table, _MODELS.get(table.events[0]))


def read_answer_tables() -> list[Table]:
    """Read the mapping tables of messages to us. Raises ``ConfigError`` naming the file and the line."""
    own = read_tables("translation", ".map")
    others = {**read_tables("mapping", ".map"), **read_tables("fin/mapping", ".map"), **own}
    tables = []
    for name, text in own.items():
        tables += parse_tables(complete(text, name, others), name)
    return tables


def complete(text: str, name: str, others: Mapping[str, str]) -> str:
    """Put the rows of the table that a head names behind those of its own."""
    own, base = [], ""
    without: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        key, _, value = line.partition(" ")
        if key == "without":
            without += tuple(field.strip() for field in value.split(","))
        elif key == "like":
            if value.strip() not in others:
                raise ConfigError(f"{name}, line {number}: there is no table {value.strip()}")
            base = complete(others[value.strip()], value.strip(), others)
        else:
            own.append(line)
    groups = next((number for number, line in enumerate(own) if line.startswith("[")), len(own))
    rows, _, further = base.partition("\n[")
    kept = [
        line for line in rows.splitlines() if "|" in line and not line.startswith("#") and _field(line) not in without
    ]
    return "\n".join([*own[:groups], *kept, *own[groups:], *([f"[{further}"] if further else [])])


def _field(line: str) -> str:
    """Return the field of an event that a row is about; of what is in a list, or in another, the outermost."""
    field = line.split("|")[1].split(maxsplit=1)[0]
    source, _, inner = field.partition(".")
    return field if source in ("identity", "fin") and inner else source.partition("[")[0]
