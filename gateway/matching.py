"""Which instruction a reply is about, and whether what it confirms is what we instructed. Pure.

``correlate`` is ours: it finds the instruction. ``matched`` is the counterparties' word and lives in ``lifecycle``.
A wrong correlation is worse than none: whatever is not certain is parked with the references that disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from gateway.model.facts import (
    AccountEntry,
    Amount,
    Counterpart,
    Difference,
    MessageRejection,
    MessageWithdrawal,
    Quantity,
    References,
    Reply,
    SettlementConfirmation,
    Terms,
)
from gateway.model.profile import Tolerances

# What a key is looked up by, in the ledger and in the candidates it returns.
TRANSACTION_ID: Final = "transaction_id"
BUSINESS_MESSAGE_ID: Final = "business_message_id"
ACCOUNT_SERVICER_TRANSACTION_ID: Final = "account_servicer_transaction_id"
MARKET_INFRASTRUCTURE_TRANSACTION_ID: Final = "market_infrastructure_transaction_id"
COMMON_ID: Final = "common_id"
RECEIVED_MESSAGE_ID: Final = "received_message_id"
UETR: Final = "uetr"
END_TO_END_ID: Final = "end_to_end_id"

NO_REFERENCE: Final = "NONREF"  # what a servicer writes into a mandatory reference that it does not know
_NO_REFERENCES: Final = (NO_REFERENCE, "NOTPROVIDED")  # and what CBPR+ asks for


@dataclass(frozen=True, slots=True)
class KeyKind:
    """One reference that can tell the instruction: which of our identifiers it names, and how far it is trusted.

    ``strong`` ones are identifiers that we gave. ``decisive`` ones name the transaction itself: stated and unknown,
    they forbid any other reference to decide. Where they may be of ``either_side``, another reference may still name
    what the other side began.
    """

    name: str
    names: tuple[str, ...]
    strong: bool
    decisive: bool = False
    either_side: bool = False


# By strength. The servicer's identification is unique within that servicer only; both sides share the common one.
KEY_KINDS: Final = (
    KeyKind("account_owner_transaction_id", (TRANSACTION_ID,), strong=True, decisive=True),
    KeyKind("confirmation_reference", (TRANSACTION_ID,), strong=True, decisive=True),
    # A central system names a trade by the reference of the message that its originator sent: our instruction's is the
    # transaction identification, an amendment's or a cancellation's its business message identifier.
    KeyKind(
        "originator_reference", (TRANSACTION_ID, BUSINESS_MESSAGE_ID), strong=True, decisive=True, either_side=True
    ),
    # sese.020 and its like carry no identification of their own: CxlReqRef and ReqRef name the header's BizMsgIdr.
    KeyKind("request_reference", (BUSINESS_MESSAGE_ID,), strong=True),
    KeyKind("related_business_message_id", (BUSINESS_MESSAGE_ID,), strong=True),
    # admi.002 names "the message": most quote its BizMsgIdr, some the transaction identification in it.
    KeyKind("rejected_message", (BUSINESS_MESSAGE_ID, TRANSACTION_ID), strong=True),
    KeyKind("message_reference", (BUSINESS_MESSAGE_ID, TRANSACTION_ID), strong=True),
    # A confirmation of theirs that changes or withdraws another names the one before, or the first of all.
    KeyKind("related_reference", (TRANSACTION_ID, RECEIVED_MESSAGE_ID), strong=True, decisive=True),
    # semt.020 names a message of theirs: one that we have, or the transaction it was about.
    KeyKind("withdrawn_message", (RECEIVED_MESSAGE_ID, TRANSACTION_ID), strong=True),
    # A payment is named in several ways, some of them another's: of what is not ours, the UETR may still be known.
    KeyKind("original_transaction_id", (TRANSACTION_ID,), strong=True),
    KeyKind("original_instruction_id", (TRANSACTION_ID,), strong=True),
    KeyKind("original_message_id", (BUSINESS_MESSAGE_ID,), strong=True),
    KeyKind("uetr", (UETR,), strong=True),
    KeyKind("account_servicer_transaction_id", (ACCOUNT_SERVICER_TRANSACTION_ID,), strong=False),
    # A depository reports what is not pending any more (penalties) by its own identification alone.
    KeyKind("market_infrastructure_transaction_id", (MARKET_INFRASTRUCTURE_TRANSACTION_ID,), strong=False),
    KeyKind("common_id", (COMMON_ID,), strong=False),
    KeyKind("end_to_end_id", (END_TO_END_ID,), strong=False),
)
_KINDS: Final = {kind.name: kind for kind in KEY_KINDS}


@dataclass(frozen=True, slots=True)
class Key:
    """One reference of a reply to look candidates up by: ``kind`` is a name of ``KEY_KINDS``."""

    kind: str
    value: str

    @property
    def names(self) -> tuple[str, ...]:
        """Say which of our identifiers this reference may name (``transaction_id``, ``business_message_id``...)."""
        return _KINDS[self.kind].names

    @property
    def strong(self) -> bool:
        """Tell whether nothing weaker counts where this reference is known."""
        return _KINDS[self.kind].strong


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instruction that a reply may be about; ``business_message_ids`` maps each message we sent to what it was.

    What a message was: its role, such as ``instruction``, ``confirmation`` or ``cancellation``. ``theirs`` is what the
    other side began. ``received_message_ids`` are those of their messages about it.
    """

    instruction_id: int
    transaction_id: str
    counterparty: str
    account_servicer_transaction_id: str | None = None
    business_message_ids: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    common_id: str | None = None
    theirs: bool = False
    received_message_ids: frozenset[str] = frozenset()
    uetr: str | None = None
    end_to_end_id: str | None = None
    market_infrastructure_transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Correlated:
    """The reply is about this instruction; where it names one of our messages, ``about`` says what that was.

    ``names`` is that message's business message identifier.
    """

    candidate: Candidate
    by: Key
    about: str | None = None
    names: str | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The references disagree, or fit several instructions: nothing is applied."""

    instruction_ids: tuple[int, ...]
    text: str
    code: str = "reply_ambiguous"


@dataclass(frozen=True, slots=True)
class Unknown:
    """No instruction of this counterparty has these references."""

    text: str
    code: str = "reply_unknown_transaction"


@dataclass(frozen=True, slots=True)
class WrongCounterparty:
    """The references name an instruction that was sent to somebody else: never accepted."""

    instruction_id: int
    expected: str
    text: str
    code: str = "reply_wrong_counterparty"


Correlation = Correlated | Ambiguous | Unknown | WrongCounterparty


def same_party(one: str, other: str) -> bool:
    """Compare two BICs: 8 characters mean the head office, in 11 characters XXX; any other branch is another party."""
    return _party(one) == _party(other)


def _party(bic: str) -> str:
    return bic[:8] if len(bic) == 11 and bic.endswith("XXX") else bic


def correlation_keys(references: References, reply: Reply) -> tuple[Key, ...]:
    """List the references to look an instruction up by, strongest first (``KEY_KINDS``), for one fact of the reply."""
    rejected = next(
        (fact.reference for own, fact in reply.facts if isinstance(fact, MessageRejection) and own == references), None
    )
    withdrawn = next((fact.reference for _, fact in reply.facts if isinstance(fact, MessageWithdrawal)), None)
    keys = (
        ("account_owner_transaction_id", references.account_owner_transaction_id),
        ("confirmation_reference", references.confirmation_reference),
        ("originator_reference", references.originator_reference),
        ("request_reference", references.request_reference),
        ("related_business_message_id", references.related_business_message_id),
        ("rejected_message", rejected),
        ("message_reference", references.message_reference),
        ("related_reference", references.related_reference),
        ("withdrawn_message", withdrawn),
        ("original_transaction_id", references.original_transaction_id),
        ("original_instruction_id", references.original_instruction_id),
        ("original_message_id", references.original_message_id),
        ("uetr", references.uetr),
        ("account_servicer_transaction_id", references.account_servicer_transaction_id),
        ("market_infrastructure_transaction_id", references.market_infrastructure_transaction_id),
        ("common_id", references.common_id),
        ("end_to_end_id", references.end_to_end_id),
    )
    return tuple([Key(kind, value) for kind, value in keys if value and value not in _NO_REFERENCES])


def correlate(references: References, reply: Reply, candidates: Sequence[Candidate], counterparty: str) -> Correlation:
    """Find the instruction that one fact of a reply is about.

    ``candidates`` are what the ledger found by ``correlation_keys``; ``counterparty`` is the BIC whose channel brought
    the reply. Strong references must agree; weak ones count only when no strong one is known, and only among that
    counterparty's own instructions. The channel, and the header's sender where there is one, must both be the
    instruction's counterparty.
    """
    keys = correlation_keys(references, reply)
    found: Candidate | None = None
    by: Key | None = None
    unknown: Key | None = None
    for key in keys:
        if not _KINDS[key.kind].strong:
            continue
        hits = _hits(key, candidates)
        if not hits:
            if _KINDS[key.kind].decisive and unknown is None:
                unknown = key
            continue
        if len(hits) > 1 or (found is not None and hits[0].instruction_id != found.instruction_id):
            return _disagreement(keys, candidates)
        if found is None:
            found, by = hits[0], key
    if found is not None and by is not None:
        if unknown is not None:
            return _disagreement(keys, candidates)
        return _from_its_counterparty(found, by, keys, reply, counterparty)
    own = [candidate for candidate in candidates if same_party(candidate.counterparty, counterparty)]
    if unknown is not None:
        own = [candidate for candidate in own if candidate.theirs and _KINDS[unknown.kind].either_side]
    for key in keys:
        hits = _hits(key, own)
        if len(hits) > 1:
            return _disagreement((key,), own)
        if hits:
            return _from_its_counterparty(hits[0], key, keys, reply, counterparty)
    if unknown is not None:
        return Unknown(f"no instruction has {unknown.kind} {unknown.value}")
    stated = ", ".join(f"{key.kind} {key.value}" for key in keys)
    return Unknown(f"no instruction has {stated}" if stated else "the reply carries no reference that could be ours")


def _hits(key: Key, candidates: Sequence[Candidate]) -> list[Candidate]:
    # A batch brings its candidates together, so this runs over hundreds for every reply: one plain comparison each.
    value = key.value
    for name in key.names:
        if name == TRANSACTION_ID:
            hits = [candidate for candidate in candidates if candidate.transaction_id == value]
        elif name == BUSINESS_MESSAGE_ID:
            hits = [candidate for candidate in candidates if value in candidate.business_message_ids]
        elif name == RECEIVED_MESSAGE_ID:
            hits = [candidate for candidate in candidates if value in candidate.received_message_ids]
        elif name == ACCOUNT_SERVICER_TRANSACTION_ID:
            hits = [candidate for candidate in candidates if candidate.account_servicer_transaction_id == value]
        elif name == MARKET_INFRASTRUCTURE_TRANSACTION_ID:
            hits = [candidate for candidate in candidates if candidate.market_infrastructure_transaction_id == value]
        elif name == UETR:
            hits = [candidate for candidate in candidates if candidate.uetr == value]
        elif name == END_TO_END_ID:
            hits = [candidate for candidate in candidates if candidate.end_to_end_id == value]
        else:
            hits = [candidate for candidate in candidates if candidate.common_id == value]
        if hits:
            return hits
    return []


def _disagreement(keys: Sequence[Key], candidates: Sequence[Candidate]) -> Ambiguous:
    named: list[str] = []
    concerned: set[int] = set()
    for key in keys:
        numbers = sorted({candidate.instruction_id for candidate in _hits(key, candidates)})
        decisive = _KINDS[key.kind].decisive
        if numbers or decisive:
            concerned.update(numbers)
            meaning = " and ".join(f"instruction {number}" for number in numbers) or "no instruction"
            named.append(f"{key.kind} {key.value} names {meaning}")
    return Ambiguous(tuple(sorted(concerned)), "; ".join(named))


def _from_its_counterparty(
    candidate: Candidate, by: Key, keys: Sequence[Key], reply: Reply, counterparty: str
) -> Correlated | WrongCounterparty:
    expected = candidate.counterparty
    for role, party in (("channel", counterparty), ("sender", reply.sender_bic)):
        if party is not None and not same_party(party, expected):
            return WrongCounterparty(
                candidate.instruction_id,
                expected,
                f"{by.kind} {by.value} names an instruction sent to {expected}, but the reply's {role} is {party}",
            )
    sent = candidate.business_message_ids
    names = next((key.value for key in keys if BUSINESS_MESSAGE_ID in key.names and key.value in sent), None)
    return Correlated(candidate, by, None if names is None else sent[names], names)


def compare(terms: Terms, confirmed: SettlementConfirmation) -> tuple[Difference, ...]:
    """Name the fields in which one settlement confirmation differs from the instruction, sorted by field.

    What the confirmation does not state is no difference. Without partial indicator it must settle the whole quantity
    and, within ``terms.amount_tolerance``, the whole amount; a part may not exceed them. Sums over several parts are
    ``lifecycle``'s, since a reversal or a late part changes them with no confirmation at hand to compare.
    """
    differences: list[Difference] = []
    for name, instructed, stated in (
        ("isin", terms.isin, confirmed.isin),
        ("movement", terms.movement, confirmed.movement),
        ("payment", terms.payment, confirmed.payment),
        ("safekeeping_account", terms.safekeeping_account, confirmed.safekeeping_account),
        ("trade_date", terms.trade_date, confirmed.trade_date),
        ("settlement_date", terms.settlement_date, confirmed.settlement_date),
        ("balance_from", terms.balance_from, confirmed.balance_from),
        ("balance_to", terms.balance_to, confirmed.balance_to),
    ):
        if instructed != stated and instructed is not None and stated is not None:
            differences.append(Difference(name, str(instructed), str(stated)))
    effective, intended = confirmed.effective_settlement_date, terms.settlement_date
    # Settling late is a fail that was cured; settling before the intended date was never agreed.
    if effective is not None and intended is not None and effective < intended:
        differences.append(Difference("effective_settlement_date", str(intended), str(effective)))
    part = confirmed.partial is not None
    if terms.quantity is not None and confirmed.settled_quantity is not None:
        differences += _quantity(terms.quantity, confirmed.settled_quantity, part)
    if terms.amount is not None and confirmed.settled_amount is not None:
        differences += _amount(terms.amount, confirmed.settled_amount, part, terms.amount_tolerance)
    if len(differences) > 1:
        differences.sort(key=attrgetter("field"))
    return tuple(differences)


def compare_trade(terms: Terms, stated: Terms) -> tuple[Difference, ...]:
    """Name the fields in which a central system holds a trade of ours otherwise than instructed, sorted by field."""
    return tuple(sorted(_compared(terms, stated, EXACT)[1], key=attrgetter("field")))


def compare_entry(terms: Terms, entry: AccountEntry) -> tuple[Difference, ...]:
    """Name the fields in which an entry on our account differs from the payment or the notice, sorted by field.

    The amount is compared as a sum over entries, by ``lifecycle``.
    """
    differences = [
        Difference(name, str(instructed), str(stated))
        for name, instructed, stated in (
            ("cash_account", terms.cash_account, entry.account),
            ("value_date", terms.settlement_date, entry.value_date),
        )
        if instructed is not None and stated is not None and instructed != stated
    ]
    return tuple(differences)


def _quantity(instructed: Quantity, settled: Quantity, part: bool) -> list[Difference]:
    if instructed.type != settled.type:  # the numbers of two types cannot be compared
        return [Difference("quantity_type", instructed.type, settled.type)]
    differs = settled.value > instructed.value if part else settled.value != instructed.value
    return [Difference("quantity", str(instructed.value), str(settled.value))] if differs else []


def _amount(instructed: Amount, settled: Amount, part: bool, tolerance: Decimal) -> list[Difference]:
    if instructed.currency != settled.currency:
        return [Difference("currency", instructed.currency, settled.currency)]
    excess = settled.value - instructed.value
    differs = excess > tolerance or (not part and -excess > tolerance)
    return [Difference("amount", str(instructed.value), str(settled.value))] if differs else []


# What the other side alleges ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ours:
    """A trade of ours that the other side's may be: see ``Counterpart`` for the first three."""

    kind: str
    identifier: str
    standing: str
    terms: Terms


EXACT: Final = Tolerances()
_KEPT: Final = 5  # counterparts shown; further ones are only less like it
# Without one of these in common two trades are not the same trade.
_TELLING: Final = ("common_reference", "quantity", "amount", "bought_amount", "sold_amount")


def rank(theirs: Terms, ours: Sequence[Ours], tolerances: Tolerances = EXACT) -> tuple[Counterpart, ...]:
    """Compare what the other side alleges with trades of ours, field by field; the most alike first.

    One that is of another security, direction or pair of currencies is not listed, nor one that has neither quantity,
    nor an amount, nor the common reference in common. What one side does not state is neither agreed nor different. At
    most five are returned.
    """
    found = []
    for number, one in enumerate(ours):
        agreed, differences = _compared(one.terms, theirs, tolerances)
        different = {difference.field for difference in differences}
        if (
            different & {"isin", "movement"}
            or not _same_currencies(one.terms, theirs)
            or not any(name in agreed for name in _TELLING)
        ):
            continue
        counterpart = Counterpart(one.kind, one.identifier, one.standing, agreed, differences)
        found.append((len(differences), -len(agreed), number, counterpart))
    return tuple(entry[3] for entry in sorted(found)[:_KEPT])


def _same_currencies(ours: Terms, theirs: Terms) -> bool:
    pairs = ((ours.bought_amount, theirs.bought_amount), (ours.sold_amount, theirs.sold_amount))
    return all(one is None or other is None or one.currency == other.currency for one, other in pairs)


def _compared(ours: Terms, theirs: Terms, tolerances: Tolerances) -> tuple[tuple[str, ...], tuple[Difference, ...]]:
    agreed: list[str] = []
    differences: list[Difference] = []
    for name in _FIELDS_OF_A_TRADE:
        one, other = getattr(ours, name), getattr(theirs, name)
        if one is None or other is None or (name == "exchange_rate" and not _same_unit(ours, theirs)):
            continue
        if _agrees(name, one, other, tolerances):
            agreed.append(name)
        else:
            differences.append(Difference(name, _shown(one), _shown(other)))
    return tuple(agreed), tuple(differences)


_FIELDS_OF_A_TRADE: Final = (
    "isin",
    "movement",
    "payment",
    "quantity",
    "amount",
    "price",
    "accrued_interest",
    "bought_amount",
    "sold_amount",
    "exchange_rate",
    "other_party",
    "trade_date",
    "settlement_date",
    "safekeeping_account",
    "common_reference",
)


def _same_unit(ours: Terms, theirs: Terms) -> bool:
    """Say whether two rates price the same currency; the amounts decide where one rate is the inverse of the other."""
    return None in (ours.unit_currency, theirs.unit_currency) or ours.unit_currency == theirs.unit_currency


@dataclass(frozen=True, slots=True)
class FieldCompared:
    """One field of ours beside theirs: ``agrees``, ``differs``, or ``unknown`` since one side does not state it."""

    field: str
    ours: str | None
    theirs: str | None
    verdict: str


def side_by_side(counterpart: Counterpart, ours: Terms | None, theirs: Terms) -> tuple[FieldCompared, ...]:
    """Lay out a comparison field by field: the verdicts as they were found, what differs first, what is unknown last.

    ``ours`` are the terms as they are now; None where they cannot be read any more.
    """
    differing = {difference.field: difference for difference in counterpart.differences}
    lines = []
    for name in _FIELDS_OF_A_TRADE:
        one, other = getattr(ours, name, None), getattr(theirs, name)
        said = None if one is None else _shown(one), None if other is None else _shown(other)
        if name in differing:
            found = differing[name]
            lines.append((0, FieldCompared(name, found.instructed, found.confirmed, "differs")))
        elif name in counterpart.agreed:
            lines.append((1, FieldCompared(name, *said, "agrees")))
        elif said != (None, None):
            lines.append((2, FieldCompared(name, *said, "unknown")))
    return tuple(line for _, line in sorted(lines, key=lambda entry: entry[0]))


def _agrees(name: str, one: object, other: object, tolerances: Tolerances) -> bool:
    if isinstance(one, Amount) and isinstance(other, Amount):
        allowed = tolerances.accrued_interest if name == "accrued_interest" else tolerances.amount
        return one.currency == other.currency and abs(one.value - other.value) <= allowed
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return abs(one - other) <= (tolerances.exchange_rate if name == "exchange_rate" else tolerances.price)
    if isinstance(one, date) and isinstance(other, date) and name == "settlement_date":
        return abs((one - other).days) <= tolerances.settlement_date_days
    if name == "other_party" and isinstance(one, str) and isinstance(other, str):
        return same_party(one, other)
    return one == other


def _shown(value: object) -> str:
    if isinstance(value, Amount):
        return f"{value.value} {value.currency}"
    if isinstance(value, Quantity):
        return f"{value.value} {value.type}"
    return str(value)
