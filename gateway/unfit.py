"""Why a reply that was read is parked: what it is against, and what would be right."""

from __future__ import annotations

from collections.abc import Sequence

from gateway import lifecycle, matching
from gateway.errors import IllegalTransition, MessageError, Violation
from gateway.model.facts import Reply
from gateway.store import InstructionRow


def not_of_dialogue(reply: Reply, row: InstructionRow, belonging: Sequence[str]) -> IllegalTransition:
    """Say that a message does not belong in the dialogue of what it names, and which do."""
    rule = f"one of {', '.join(belonging)}"
    text = (
        f"{reply.message_definition} does not belong in the {row.dialogue} dialogue of {row.transaction_id}; "
        f"what belongs there is {rule}"
    )
    violation = Violation(lifecycle.NOT_OF_DIALOGUE, "/Document", rule, reply.message_definition, text)
    return IllegalTransition(text, code="reply_not_of_dialogue", violations=(violation,))


def instruction(reply: Reply) -> MessageError:
    """Say that a message instructs us."""
    text = f"{reply.message_definition} instructs a settlement; the gateway instructs, and takes no instructions"
    return MessageError(text, code="instruction_not_taken")


def partly_unknown(unknown: Sequence[matching.Unknown], of: int) -> MessageError:
    """Say that some transactions of a message are not known here."""
    text = (
        f"{len(unknown)} of {of} transactions of the reply are not known here: {unknown[0].text}; "
        "what it says of the others was applied"
    )
    return MessageError(text, code="reply_partly_unknown")


def misstated(reply: Reply) -> MessageError:
    """Say that the header names another definition than the document has."""
    rule = f"the definition of the document: {reply.message_definition}"
    text = (
        f"the header says that the message is {reply.stated_definition}, but its document is {reply.message_definition}"
    )
    violation = Violation("reply_definition_misstated", "/AppHdr/MsgDefIdr", rule, reply.stated_definition, text)
    return MessageError(text, code="reply_definition_misstated", violations=(violation,))


def stranger(reply: Reply, channel: str, does: str) -> MessageError | None:
    """Say that a message which names nothing of ours is not from the channel's counterparty, if so."""
    if reply.sender_bic is None or matching.same_party(reply.sender_bic, channel):
        return None
    text = f"the message {does} on the channel of {channel}, but its sender is {reply.sender_bic}"
    return MessageError(text, code="reply_wrong_counterparty")
