"""What messages say of the settlement of securities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from gateway.model.facts.values import Amount, Quantity, StatusValue


@dataclass(frozen=True, slots=True)
class StatusAdvice:
    """A settlement status advice (sese.024): up to four axes at once; None where the message does not speak of one."""

    processing: StatusValue | None = None
    inferred_matching: StatusValue | None = None
    matching: StatusValue | None = None
    settlement: StatusValue | None = None


@dataclass(frozen=True, slots=True)
class RequestAdvice:
    """What became of a request of ours (sese.027, .031, .039, .022); ``request`` is the axis that it opened."""

    request: str
    status: StatusValue


@dataclass(frozen=True, slots=True)
class SettlementConfirmation:
    """A settlement confirmation (sese.025) or, when ``reversal``, the advice that undoes one (sese.026).

    Also of one leg of a securities financing (sese.035), told by ``movement``, and of a movement between the balances
    of an account (semt.015).

    ``partial`` is ``PAIN`` (part) or ``PARC`` (last part) or None. Quantities and amounts are of this part, of what was
    settled before, and of what remains. A reversal's ``confirmation_id`` names the confirmation it undoes (``ConfRef``:
    the business message identifier of the sese.025); a confirmation without an identification of its own leaves it
    None. ``pre_confirmation`` is ``PRCA`` (cash) or ``PRSE`` (securities): announced, not yet settled.
    """

    reversal: bool = False
    confirmation_id: str | None = None
    previous_partial_confirmation_id: str | None = None
    partial: str | None = None
    settled_quantity: Quantity | None = None
    settled_amount: Amount | None = None
    credit_debit: str | None = None
    previously_settled_quantity: Quantity | None = None
    previously_settled_amount: Amount | None = None
    remaining_quantity: Quantity | None = None
    remaining_amount: Amount | None = None
    effective_settlement_date: date | None = None
    settlement_date: date | None = None
    trade_date: date | None = None
    safekeeping_account: str | None = None
    isin: str | None = None
    movement: str | None = None  # deliver | receive
    payment: str | None = None  # against | free
    pre_confirmation: str | None = None
    balance_from: str | None = None
    balance_to: str | None = None


@dataclass(frozen=True, slots=True)
class SettlementInstruction:
    """An instruction to settle as its own message states it (sese.023, MT540 to 543); it is no reply to anything.

    The terms are those of its sender. Agents are the participants of the depository, by BIC. A cancellation
    in FIN is the instruction again, whose ``standing`` is cancelled.
    """

    reference: str
    movement: str | None = None  # deliver | receive
    payment: str | None = None  # against | free
    standing: str = "instructed"  # instructed | held | cancelled
    isin: str | None = None
    quantity: Quantity | None = None
    amount: Amount | None = None
    price: Amount | None = None
    trade_date: date | None = None
    settlement_date: date | None = None
    safekeeping_account: str | None = None
    place_of_settlement: str | None = None
    delivering_agent: str | None = None
    receiving_agent: str | None = None
    transaction_type: str | None = None
    common_reference: str | None = None
    trade_id: str | None = None
    security_description: str | None = None
