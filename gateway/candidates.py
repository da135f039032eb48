"""What a reply may be about: every instruction that its references name, found in the ledger and locked."""

from __future__ import annotations

from collections.abc import Iterable

from gateway import matching
from gateway.allegements import Allegements
from gateway.model.facts import Alleged, Delivery, References, Reply, Statement, SystemEvent
from gateway.model.transitions import Dialogue
from gateway.store import InstructionRow, Unit

# What the other side begins and later names where a reference of ours would be: by its settlement, by its cancellation.
_NAMED_BY_THEM = (Dialogue.SETTLEMENT, Dialogue.ALLEGED_TRADE, Dialogue.ALLEGED_EXCHANGE)


def find(unit: Unit, replies: Iterable[Reply], channel: str, allegements: Allegements) -> dict[int, matching.Candidate]:
    """Find and lock every instruction that one of a channel's replies may be about, by its number in the ledger."""
    values: dict[str, set[str]] = {}
    theirs: set[str] = set()
    stated: list[tuple[matching.Key, ...]] = []
    for reply in replies:
        for references, fact in reply.facts:
            if isinstance(fact, Statement | SystemEvent):
                continue  # it finds what it is about itself
            if isinstance(fact, Alleged):  # it names nothing of ours, but may have come before
                theirs.add(allegements.transaction_of(reference(fact, references), fact.about))
                if references.related_reference:  # what comes in the place of another names that one
                    values.setdefault(matching.RECEIVED_MESSAGE_ID, set()).add(references.related_reference)
                continue
            if references.matched_side_reference:
                theirs.add(allegements.transaction_of(references.matched_side_reference, Dialogue.ALLEGED_EXCHANGE))
            stated.append(matching.correlation_keys(references, reply))
    for key in (key for keys in stated for key in keys if key.strong):
        for name in key.names:
            values.setdefault(name, set()).add(key.value)
    named = values.get(matching.TRANSACTION_ID, set())
    transactions = unit.by_transaction(named) if named else {}
    # What is not of ours may be a name that the other side gave to what it began.
    unknown = named - transactions.keys()
    theirs.update(allegements.transaction_of(name, dialogue) for name in unknown for dialogue in _NAMED_BY_THEM)
    if theirs:
        transactions |= unit.by_transaction(theirs)
    message_ids = values.get(matching.BUSINESS_MESSAGE_ID, set())
    messages = unit.by_message(message_ids) if message_ids else {}
    received_ids = values.get(matching.RECEIVED_MESSAGE_ID, set())
    received: dict[int, set[str]] = {}
    for message_id, number in (unit.instructions_replied_to(channel, received_ids) if received_ids else {}).items():
        received.setdefault(number, set()).add(message_id)
    uetrs = values.get(matching.UETR, set())
    by_uetr = unit.by_reference(matching.UETR, uetrs) if uetrs else {}
    known = {
        matching.TRANSACTION_ID: transactions.keys(),
        matching.BUSINESS_MESSAGE_ID: messages.keys(),
        matching.RECEIVED_MESSAGE_ID: {message_id for ids in received.values() for message_id in ids},
        matching.UETR: by_uetr.keys(),
    }
    weak: dict[str, set[str]] = {}
    for keys in stated:  # what others may give to many counts, and is looked for, only where nothing else is known
        if not any(key.strong and any(key.value in known.get(name, ()) for name in key.names) for key in keys):
            for key in (key for key in keys if not key.strong):
                for name in key.names:
                    weak.setdefault(name, set()).add(key.value)
    servicer_ids = weak.get(matching.ACCOUNT_SERVICER_TRANSACTION_ID, set())
    servicers = unit.by_servicer(servicer_ids) if servicer_ids else {}
    infrastructure_ids = weak.get(matching.MARKET_INFRASTRUCTURE_TRANSACTION_ID, set())
    infrastructures = unit.by_infrastructure(infrastructure_ids) if infrastructure_ids else {}
    end_to_end_ids = weak.get(matching.END_TO_END_ID, set())
    by_end_to_end = unit.by_reference(matching.END_TO_END_ID, end_to_end_ids) if end_to_end_ids else {}
    numbers = set(transactions.values()) | {number for number, _ in messages.values()} | received.keys()
    numbers.update(number for found in (*servicers.values(), *infrastructures.values()) for number in found)
    named_by: dict[str, dict[int, str]] = {}
    for kind, found in ((matching.UETR, by_uetr), (matching.END_TO_END_ID, by_end_to_end)):
        named_by[kind] = {number: value for value, found_numbers in found.items() for number in found_numbers}
        numbers.update(named_by[kind])
    sent: dict[int, dict[str, str]] = {}
    for message_id, (number, role) in messages.items():
        sent.setdefault(number, {})[message_id] = role
    return {
        number: matching.Candidate(
            instruction_id=number,
            transaction_id=called(row),
            counterparty=row.counterparty,
            account_servicer_transaction_id=row.account_servicer_transaction_id,
            market_infrastructure_transaction_id=row.market_infrastructure_transaction_id,
            business_message_ids=sent.get(number, {}),
            theirs=row.state.delivery is Delivery.THEIRS,
            received_message_ids=frozenset(received.get(number, ())),
            uetr=named_by.get(matching.UETR, {}).get(number),
            end_to_end_id=named_by.get(matching.END_TO_END_ID, {}).get(number),
        )
        for number, row in unit.lock(sorted(numbers)).items()
    }


def begun(row: InstructionRow) -> matching.Candidate:
    """Make a candidate of what the other side has just begun: what follows in the same batch may be about it."""
    return matching.Candidate(
        row.id,
        called(row),
        row.counterparty,
        row.account_servicer_transaction_id,
        theirs=True,
        market_infrastructure_transaction_id=row.market_infrastructure_transaction_id,
    )


def reference(fact: Alleged, references: References) -> str:
    """Return the other side's name for what it begins; a servicer that has none for us gives its own."""
    own = references.account_servicer_transaction_id
    return own if fact.reference == matching.NO_REFERENCE and own else fact.reference


def called(row: InstructionRow) -> str:
    """Return what the other side calls a transaction: by our identification, or by its own where it began."""
    return row.trade_id if row.state.delivery is Delivery.THEIRS else row.transaction_id
