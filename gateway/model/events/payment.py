"""Events of the cash leg: transfer between institutions or for a customer, cancel, query, notice to receive."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from gateway.model import facts
from gateway.model.cash import (
    AccountHolder,
    Agent,
    Agents,
    Charge,
    Coded,
    Customer,
    ExternalCode,
    Institution,
    InstructionForAgent,
    PaymentAccount,
    PaymentType,
    RegulatoryReport,
    SettledInstruction,
    SettlementTimes,
    StructuredRemittance,
    Text105,
    Uetr,
    UnderlyingTransfer,
)
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import CANCELLATION, EventKind, money
from gateway.model.examples import payment as examples
from gateway.model.references import uetr
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import Amount, Instant, PriceValue, Some, Text35, Text140


def _names_no_clearing_system(event: Any) -> bool:
    return bool(event.settlement_method == "clearing" and event.clearing_system is None)


def _names_a_clearing_system_in_vain(event: Any) -> bool:
    return bool(event.settlement_method != "clearing" and event.clearing_system is not None)


def _names_an_account_in_vain(event: Any) -> bool:
    return bool(event.settlement_method in ("clearing", "cover") and event.settlement_account is not None)


def _rate_does_not_fit(event: Any) -> bool:
    instructed = event.instructed_amount
    exchanged = instructed is not None and instructed.currency != event.settlement_amount.currency
    return bool(exchanged != (event.exchange_rate is not None))


# ISO 20022, settlement information: what goes with each settlement method.
_SETTLEMENT: Final = (
    Rule(
        "clearing_system",
        ("settlement_method", "clearing_system"),
        "the clearing system, since the payment settles through one",
        _names_no_clearing_system,
    ),
    Rule(
        "clearing_system",
        ("settlement_method", "clearing_system"),
        "no clearing system, since the payment does not settle through one",
        _names_a_clearing_system_in_vain,
    ),
    Rule(
        "settlement_account",
        ("settlement_method", "settlement_account"),
        "no settlement account, since neither instructing nor instructed agent settles the payment",
        _names_an_account_in_vain,
    ),
)


@strict
class _Transfer(Event):
    """What every payment of ours says; ``settlement_amount`` is the interbank amount.

    Without a ``uetr`` of its own (a cover payment has that of the transfer it covers) it gets a derived one, without an
    ``end_to_end_id`` its transaction identification.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.PAYMENT
    role: ClassVar[str] = "payment"

    settlement_amount: Amount
    settlement_date: date
    settlement_method: Literal["instructed_agent", "instructing_agent", "clearing"]
    settlement_account: PaymentAccount | None = None
    clearing_system: ExternalCode | None = None
    settlement_priority: Literal["urgent", "high", "normal"] | None = None
    settlement_times: SettlementTimes | None = None
    debited_at: Instant | None = None
    credited_at: Instant | None = None
    end_to_end_id: Text35 | None = None
    uetr: Uetr | None = None
    clearing_system_reference: Text35 | None = None
    payment_type: PaymentType | None = None
    previous_instructing_agents: Agents = ()
    intermediary_agents: Agents = ()
    debtor_agent: Agent | None = None
    creditor_agent: Agent | None = None
    instructions_for_creditor_agent: Some[InstructionForAgent] = ()
    instructions_for_next_agent: Some[InstructionForAgent] = ()
    purpose: Coded | None = None
    remittance: Some[Text140] = ()
    settlement_of: SettledInstruction | None = None

    def links(self) -> tuple[facts.Link, ...]:
        """State the settlement instruction whose cash leg it is."""
        return () if self.settlement_of is None else (self.settlement_of.link(),)

    def names(self, transaction: str) -> dict[str, str]:
        """State the end-to-end references that travel with the payment."""
        return {"uetr": self.uetr or uetr(transaction), "end_to_end_id": self.end_to_end_id or transaction}


@strict
class TransferBetweenInstitutions(_Transfer):
    """Pay another financial institution; with ``underlying``, as the cover of a transfer between customers."""

    event_schema: Literal["transfer_between_institutions/1"] = Field(alias="schema")
    debtor: Agent
    creditor: Agent
    ultimate_debtor: Institution | None = None
    ultimate_creditor: Institution | None = None
    underlying: UnderlyingTransfer | None = None

    rules = _SETTLEMENT

    def terms(self) -> facts.Terms:
        """State what is paid, when, and from which account."""
        return _terms(self.settlement_amount, self.settlement_date, self.debtor.account)


@strict
class TransferForCustomer(_Transfer):
    """Pay for a customer, whose bank need not be the next one."""

    event_schema: Literal["transfer_for_customer/1"] = Field(alias="schema")
    settlement_method: Literal["instructed_agent", "instructing_agent", "cover", "clearing"]  # type: ignore[assignment]  # or by a cover
    charge_bearer: Literal["debtor", "creditor", "shared", "service_level"]
    debtor: AccountHolder
    debtor_agent: Agent
    creditor_agent: Agent
    creditor: AccountHolder
    ultimate_debtor: Customer | None = None
    initiating_party: Customer | None = None
    ultimate_creditor: Customer | None = None
    instructing_reimbursement_agent: Agent | None = None
    instructed_reimbursement_agent: Agent | None = None
    third_reimbursement_agent: Agent | None = None
    accepted_at: Instant | None = None
    instructed_amount: Amount | None = None
    exchange_rate: PriceValue | None = None
    charges: Some[Charge] = ()
    regulatory_reporting: Annotated[tuple[RegulatoryReport, ...], Field(max_length=10, strict=False)] = ()
    structured_remittance: Some[StructuredRemittance] = ()

    rules = (
        *_SETTLEMENT,
        Rule(
            "instructing_reimbursement_agent",
            ("settlement_method", "instructing_reimbursement_agent", "instructed_reimbursement_agent"),
            "a reimbursement agent, since the payment settles by a cover payment",
            lambda event: (
                event.settlement_method == "cover"
                and event.instructing_reimbursement_agent is None
                and event.instructed_reimbursement_agent is None
            ),
        ),
        Rule(
            "exchange_rate",
            ("settlement_amount", "exchange_rate", "instructed_amount"),
            "an exchange rate where the amount was instructed in another currency, and none where it was not",
            _rate_does_not_fit,
        ),
    )

    def terms(self) -> facts.Terms:
        """State what is paid, when, and from which account."""
        return _terms(self.settlement_amount, self.settlement_date, self.debtor.account)


@strict
class CancelPayment(Event):
    """Ask for the cancellation of the payment of this trade that has this ``instruction_number``."""

    dialogue: ClassVar[Dialogue] = Dialogue.PAYMENT
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_payment/1"] = Field(alias="schema")
    reason: Coded
    texts: Some[Text105] = ()
    clearing_system_reference: Text35 | None = None


@strict
class QueryPaymentStatus(Event):
    """Ask the counterparty where the payment stands."""

    dialogue: ClassVar[Dialogue] = Dialogue.PAYMENT
    role: ClassVar[str] = "status_query"

    event_schema: Literal["query_payment_status/1"] = Field(alias="schema")
    clearing_system_reference: Text35 | None = None


@strict
class NotifyToReceive(Event):
    """Tell the servicer of our account that it will receive money for us.

    ``uetr`` and ``end_to_end_id`` are those of the payment that is expected, where they are known.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.NOTICE
    role: ClassVar[str] = "notice"

    event_schema: Literal["notify_to_receive/1"] = Field(alias="schema")
    account: PaymentAccount
    amount: Amount
    value_date: date
    end_to_end_id: Text35 | None = None
    uetr: Uetr | None = None
    account_owner: Institution | None = None
    account_servicer: Institution | None = None
    debtor: Institution | None = None
    customer_debtor: Customer | None = None
    debtor_agent: Institution | None = None
    intermediary_agent: Institution | None = None
    purpose: Coded | None = None
    remittance: Some[Text140] = ()
    settlement_of: SettledInstruction | None = None

    rules = (
        Rule(
            "debtor",
            ("debtor", "customer_debtor"),
            "an institution as debtor or a customer as customer_debtor, not both",
            lambda event: event.debtor is not None and event.customer_debtor is not None,
        ),
    )

    def terms(self) -> facts.Terms:
        """State what is expected, when, and on which account."""
        return _terms(self.amount, self.value_date, self.account)

    def links(self) -> tuple[facts.Link, ...]:
        """State the settlement instruction whose cash leg it is."""
        return () if self.settlement_of is None else (self.settlement_of.link(),)

    def names(self, transaction: str) -> dict[str, str]:
        """State what the expected payment is known by; it is another's, so that nothing is derived."""
        del transaction
        given = {"uetr": self.uetr, "end_to_end_id": self.end_to_end_id}
        return {name: value for name, value in given.items() if value is not None}


@strict
class CancelNotice(Event):
    """Take back the notice to receive of this trade that has this ``instruction_number``."""

    dialogue: ClassVar[Dialogue] = Dialogue.NOTICE
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_notice/1"] = Field(alias="schema")
    reason: Coded | None = None
    texts: Some[Text105] = ()


def _terms(amount: Amount, day: date, account: PaymentAccount | None) -> facts.Terms:
    number = None if account is None else account.number
    return facts.Terms(amount=money(amount), settlement_date=day, cash_account=number)


KINDS: Final[dict[str, EventKind]] = {
    "transfer_between_institutions/1": EventKind(
        TransferBetweenInstitutions,
        examples.TRANSFER_BETWEEN_INSTITUTIONS,
        examples.TRANSFER_BETWEEN_INSTITUTIONS_MINIMAL,
        others=(examples.TRANSFER_OTHERWISE,),
    ),
    "transfer_for_customer/1": EventKind(
        TransferForCustomer,
        examples.TRANSFER_FOR_CUSTOMER,
        examples.TRANSFER_FOR_CUSTOMER_MINIMAL,
        others=(examples.TRANSFER_FOR_PERSON, examples.TRANSFER_THROUGH_CLEARING),
    ),
    "cancel_payment/1": EventKind(CancelPayment, examples.CANCEL_PAYMENT, examples.CANCEL_PAYMENT_MINIMAL),
    "query_payment_status/1": EventKind(
        QueryPaymentStatus, examples.QUERY_PAYMENT_STATUS, examples.QUERY_PAYMENT_STATUS_MINIMAL
    ),
    "notify_to_receive/1": EventKind(
        NotifyToReceive,
        examples.NOTIFY_TO_RECEIVE,
        examples.NOTIFY_TO_RECEIVE_MINIMAL,
        others=(examples.NOTIFY_FROM_CUSTOMER,),
    ),
    "cancel_notice/1": EventKind(CancelNotice, examples.CANCEL_NOTICE, examples.CANCEL_NOTICE_MINIMAL),
}
