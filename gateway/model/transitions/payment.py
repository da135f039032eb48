"""The cash leg: payments (pacs.009, pacs.008 out) and notices to receive (camt.057 out)."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import (
    CONFIRMATION,
    NOTHING,
    REFUSALS,
    REQUEST,
    REVERSAL,
    STATUS,
    DialogueTable,
    Edges,
    request,
)

_OPEN: Final = (
    "received",
    "pending",
    "technically_valid",
    "customer_profile_accepted",
    "funds_checked",
    "funds_checked_unconfirmed",  # the payer has yet to confirm
    "partially_authenticated",
    "partially_accepted",
    "accepted_with_change",
    "accepted_without_posting",
    "settlement_in_process",
    "settled_on_debtor_account",  # ours is debited; agents further on may still wait, refuse or send it back
    "clearing_processed",
    "cheque_issued",
    "presented",
    "blocked",
    "proprietary",
)
_DONE: Final = ("credited", "cash_picked_up")
_ANNOUNCED: Final = ("pending", "announced", "proprietary")
BOOKED: Final = ("partially_booked", "booked")
RETURNED: Final = ("partially_returned", "returned")
CREDITED: Final = ("partially_credited", "credited")


def _booking(part: str, whole: str) -> tuple[Edges, ...]:
    """Give the ways of an axis that entries of an account move: announced by a status, booked, and undone."""
    done = (part, whole)
    return (
        Edges((NOTHING, *_ANNOUNCED), _ANNOUNCED, STATUS),
        Edges((NOTHING, *_ANNOUNCED), done, CONFIRMATION),
        Edges((part,), (whole,), CONFIRMATION),
        Edges(done, ("reversed",), REVERSAL),
        Edges((whole,), (part,), REVERSAL, "one entry of several was reversed"),
        Edges((NOTHING, *_ANNOUNCED), ("reversed",), REVERSAL, "the reversal came before the entry that it undoes"),
        Edges(("reversed",), done, CONFIRMATION),
        Edges(("reversed",), _ANNOUNCED, STATUS),
    )


_request_answers: Final = ("completed", "accepted", "pending", "partial", "rejected", "proprietary")

PAYMENT: Final = DialogueTable(
    axes={
        "processing": (
            Edges((NOTHING, *_OPEN), _OPEN, STATUS),
            Edges((NOTHING, *_OPEN), (*_DONE, "rejected", "cancelled"), STATUS),
            Edges(_DONE, _DONE, STATUS),
        ),
        "booking": _booking("partially_booked", "booked"),
        "return": (
            Edges((NOTHING,), RETURNED, CONFIRMATION),
            Edges(("partially_returned",), ("returned",), CONFIRMATION),
        ),
        "cancellation": (
            *request(("accepted", "pending", "partially_cancelled", *REFUSALS), ("cancelled",), refusals=REFUSALS),
            Edges(("partially_cancelled",), ("requested",), REQUEST, "for what is left"),
        ),
        "status_query": (
            *request(("accepted", *REFUSALS), ("answered",), refusals=REFUSALS),
            Edges(
                ("answered",),
                ("accepted", *REFUSALS),
                STATUS,
                "a status that came meanwhile may not have been the answer",
            ),
            Edges(("requested", "accepted", "answered"), ("requested",), REQUEST, "it may be asked at any time"),
        ),
        "receipt": (Edges((NOTHING, *_request_answers), _request_answers, STATUS),),
        # Cases that the counterparty opens (camt.110) or speaks of (camt.111, camt.029 on anything but a cancellation).
        "investigation": (
            Edges(
                (NOTHING, "opened", "pending", "answered", "closed", "rejected"),
                ("opened", "pending", "answered", "closed", "rejected"),
                STATUS,
            ),
        ),
    },
    headlines=(
        ("return", "returned", "returned"),
        ("return", "partially_returned", "partially_returned"),
        ("processing", "credited", "credited"),
        ("processing", "cash_picked_up", "credited"),
        ("booking", "booked", "booked"),  # above cancelled: the money is out until it is returned
        ("booking", "partially_booked", "partially_booked"),
        ("processing", "cancelled", "cancelled"),
        ("cancellation", "cancelled", "cancelled"),
        ("processing", "rejected", "rejected"),
        ("booking", "reversed", "reversed"),
        ("cancellation", "requested", "cancellation_requested"),
        ("cancellation", "accepted", "cancellation_requested"),
        ("cancellation", "pending", "cancellation_pending"),
        ("cancellation", "partially_cancelled", "cancellation_pending"),
        ("processing", "blocked", "blocked"),
        *(("processing", value, value) for value in _OPEN if value not in ("blocked", "pending")),
        ("processing", "pending", "pending"),
        ("booking", "pending", "pending"),
        ("booking", "announced", "pending"),
        ("booking", "proprietary", "proprietary"),
    ),
    finished=frozenset({"booked", "credited", "returned", "cancelled", "rejected", "withdrawn"}),
    alerts={
        "payment_status_unknown": "The counterparty gives a status that is in no table here; it is shown as it came.",
        "payment_break": "What was booked or credited differs from what was instructed or announced.",
        "booked_beyond_payment": "More was booked than was instructed or announced.",
        "entry_conflict": "An entry came again under its reference with another amount; not counted.",
        "entry_reversal_unknown": "A reversed entry names none that is known here.",
        "entry_of_other_direction": "Our account was credited for a payment of ours, or debited for a notice.",
        "entries_unknown": "A notification has further entries that are of no instruction here.",
        "payment_returned": "The payment came back.",
        "returned_beyond_payment": "More was returned than was paid.",
        "return_conflict": "A return came again under its identification with another amount; not counted.",
        "return_currency_differs": "A return is in another currency than the payment; it is not in the sum.",
        "rejected_after_booking": "A payment that was booked or debited is rejected: its return is to come.",
        "cancelled_after_booking": "A payment that was booked or debited is cancelled: its return is to come.",
        "investigation_opened": "The counterparty asks about the payment.",
    },
)

NOTICE: Final = DialogueTable(
    axes={
        "processing": (Edges((NOTHING,), ("rejected",), STATUS, "technically"),),
        "credit": _booking("partially_credited", "credited"),
        "cancellation": (
            Edges((NOTHING,), ("requested",), REQUEST),
            Edges((NOTHING, "requested"), ("rejected",), STATUS, "technically"),
            Edges(("rejected",), ("requested",), REQUEST),
        ),
        "receipt": (Edges((NOTHING, *_request_answers), _request_answers, STATUS),),
    },
    headlines=(
        ("credit", "credited", "credited"),
        ("credit", "partially_credited", "partially_credited"),
        ("cancellation", "requested", "cancelled"),  # an advice that gets no answer
        ("processing", "rejected", "rejected"),
        ("credit", "reversed", "reversed"),
        ("delivery", "sent", "expected"),
    ),
    finished=frozenset({"credited", "cancelled", "rejected", "withdrawn"}),
    alerts={
        "credited_after_cancellation": "Money that a cancelled notice announced was credited.",
    },
)
