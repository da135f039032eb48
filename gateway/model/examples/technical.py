"""Examples of the events about systems and messages."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import HEAD

NOTIFY_SYSTEM_EVENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "notify_system_event/1",
    "event_id": "9b1c2a52-0030",
    "source": "operations",
    "trade_id": "CLOSING-2026-03-02",
    "code": "CLSD",
}
NOTIFY_SYSTEM_EVENT: dict[str, Any] = NOTIFY_SYSTEM_EVENT_MINIMAL | {
    "parameters": ["2026-03-02", "18:00"],
    "description": "Closed for the day\nOpens again at 07:00",
    "event_time": "2026-03-02T18:00:00+01:00",
}

REQUEST_RESEND_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "request_resend/1",
    "event_id": "9b1c2a52-0031",
    "source": "operations",
    "trade_id": "GAP-2026-03-02",
    "missing": [{"recipient": "OWNRDEFFXXX"}],
}
REQUEST_RESEND: dict[str, Any] = REQUEST_RESEND_MINIMAL | {
    "missing": [
        {
            "recipient": "OWNRDEFFXXX",
            "business_date": "2026-03-02",
            "number": "17",
            "message_definition": "sese.025.001.13",
            "file_reference": "FILE-3",
            "ranges": [{"first": "20", "last": "22"}, {"first": "30", "last": "31"}],
        },
        {"recipient_proprietary": {"identification": "P-1", "issuer": "CSDX", "scheme": "Member"}, "from_number": "40"},
        {"recipient": "OWNRDEFFXXX", "to_number": "9"},
        {"recipient": "OWNRDEFFXXX", "numbers": ["11", "13"]},
        {"recipient": "OWNRDEFFXXX", "except_numbers": ["12"]},
    ],
}
