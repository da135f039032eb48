"""Messages about systems and messages: admi.004 and .006 out, admi.004 in, admi.002 and .007 about ours."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import NOTHING, STATUS, DialogueTable, Edges

TABLE: Final = DialogueTable(
    axes={
        "processing": (
            Edges((NOTHING, "received"), ("received",), STATUS),
            Edges((NOTHING, "received"), ("rejected",), STATUS, "what arrived is refused afterwards"),
        ),
        "notification": (Edges((NOTHING, "notified"), ("notified",), STATUS),),
    },
    headlines=(
        ("processing", "rejected", "rejected"),
        ("processing", "received", "received"),
        ("notification", "notified", "notified"),
    ),
    # A notification or a request to send again may be acknowledged, and need not be.
    finished=frozenset({"sent", "received", "rejected", "notified", "withdrawn"}),
    alerts={"system_event": "The counterparty's system tells of an event."},
)
