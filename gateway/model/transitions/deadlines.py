"""What operators are told when time runs out, whatever the dialogue."""

from __future__ import annotations

from typing import Final

ALERTS: Final = {
    "send_deadline_near": "The instruction has not been sent, and has to be soon.",
    "send_deadline_missed": "The instruction was not sent in time.",
    "match_deadline_near": "The instruction is not matched, and has to be soon.",
    "match_deadline_missed": "The instruction was not matched in time.",
    "release_deadline_near": "The instruction is held, and has to be released soon to settle on its date.",
    "release_deadline_missed": "The instruction is held still, too late to settle on its date.",
    "settle_deadline_near": "The instruction has not settled, and the cut-off is near.",
    "settle_deadline_missed": "The cut-off has passed, and no confirmation says that the instruction has settled.",
    "no_reply": "The counterparty has said nothing of a message that it was sent.",
    "settlement_overdue": "The intended settlement date is over, and the instruction has not settled.",
}
