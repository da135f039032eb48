"""Ask something about an instruction that is in the ledger: its message is built, recorded and put into the outbox.

Whoever asks (an event of upstream, an operator, the gateway itself) asks by an event, so that there is one way; its
identifier makes a repeat harmless.
"""

from __future__ import annotations

import hashlib

from gateway import lifecycle, links
from gateway.messages import BuiltMessage, Identity, Messages
from gateway.model.events import TradeEvent
from gateway.model.facts import Alert, Delivery
from gateway.model.profile import Profile
from gateway.model.references import business_message_id
from gateway.model.reports import Cause
from gateway.model.transitions import Dialogue
from gateway.model.transitions.foreign_exchange import UNANSWERED_BY_THE_OTHER_SIDE
from gateway.store import InstructionRow, Unit


def ask(
    unit: Unit,
    messages: Messages,
    profile: Profile,
    event: TradeEvent,
    row: InstructionRow,
    *,
    cause: Cause,
    actor: str,
    stated_in: str | None = None,
) -> tuple[Alert, ...]:
    """Record a request about a locked instruction, in the caller's transaction; returns what operators must see.

    What the other side began is about the definition of its message: ``stated_in``, or the one in the archive.
    Raises IllegalTransition where the dialogue has no way for it now, BuildError or InvalidMessage where the message
    cannot be built; then nothing was recorded.
    """
    original_id, original_definition, original, original_created_at = unit.first_document(row) or (None,) * 4
    if row.state.delivery is Delivery.THEIRS:
        original_definition = stated_in or unit.stated_in(row)
    definition = messages.definition_for(event, profile, original_definition)
    message_id = business_message_id(row.transaction_id, event.event_id, definition)
    evidence = lifecycle.Evidence(unit.now, None, 0, message_id, about=event.role)
    in_force = lifecycle.terms_to_change(row.state, row.terms)
    bilateral = row.dialogue == Dialogue.FOREIGN_EXCHANGE and profile.confirms_exchange
    advance = lifecycle.request(
        row.state,
        event.role,
        evidence,
        asks=event.asks(),
        terms=event.terms_asked(in_force),
        before=in_force,
        done=UNANSWERED_BY_THE_OTHER_SIDE.get(event.role) if bilateral else None,
    )
    identity = Identity(
        row.transaction_id,
        message_id,
        unit.now,
        original_message_id=original_id,
        original_definition=original_definition,
        original_created_at=original_created_at,
        **unit.references_of(row),
    )
    built = messages.build(event, profile, identity, instructed=in_force, original=original)
    alerts = (*advance.alerts, *lifecycle.warned(built.warnings))
    unit.move(
        row,
        advance.state,
        lifecycle.headline(advance.state),
        action=f"{event.role}_requested",
        actor=actor,
        cause=cause,
        changes=advance.changes,
        alerts=alerts,
    )
    unit.add_document(
        row,
        role=event.role,
        cause=event.event_id,
        message_definition=built.message_definition,
        business_message_id=built.business_message_id,
        content=built.content,
        digest=hashlib.sha256(built.content).digest(),
        channel=profile.bic,
    )
    if bilateral:
        compare_anew(unit, row)
    links.state(unit, messages.own_bic, row, event.links(), event.event_id, message_id)
    return (*alerts, *tell_dropped(unit, row, built, cause=cause, actor=actor))


def compare_anew(unit: Unit, row: InstructionRow) -> None:
    """Let a foreign exchange trade be compared with what the other side confirms, as it is now; no other one."""
    if row.dialogue == Dialogue.FOREIGN_EXCHANGE:
        unit.settles_on(row, lifecycle.terms_in_force(row.state, row.terms).settlement_date)
        unit.recheck([row.id])


def tell_dropped(
    unit: Unit, row: InstructionRow, built: BuiltMessage, *, cause: Cause, actor: str
) -> tuple[Alert, ...]:
    """Put on record what a message leaves out of its event: a history entry, and an alert upstream."""
    if not built.dropped:
        return ()
    text = f"{built.message_definition} has no element for {', '.join(built.dropped)}."
    alerts = (lifecycle.alert("fields_dropped", text),)
    unit.move(row, row.state, row.headline, action="fields_dropped", actor=actor, cause=cause, alerts=alerts)
    return alerts
