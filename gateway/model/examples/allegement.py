"""Examples of our answers to trades that the other side begins."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import HEAD

ANSWER_ALLEGEMENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "answer_allegement/1",
    "event_id": "9b1c2a52-0007",
    "trade_id": "SERVICER-77",
    "pending": "under_investigation",
}

ANSWER_ALLEGEMENT: dict[str, Any] = {
    key: value for key, value in ANSWER_ALLEGEMENT_MINIMAL.items() if key != "pending"
} | {
    "rejection": {"reason": "CPTR", "text": "No such trade: please check with your client"},
    "market_infrastructure_transaction_id": "MITI-1",
    "processor_transaction_id": "PROC-1",
}

ANSWER_ALLEGEMENT_CONSENT: dict[str, Any] = {
    key: value for key, value in ANSWER_ALLEGEMENT_MINIMAL.items() if key != "pending"
} | {"consent": {"reason": "CPCX", "text": "Cancel it on both sides"}}

ANSWER_TRADE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "answer_trade/1",
    "event_id": "9b1c2a52-0008",
    "trade_id": "BROKER-4711",
    "answer": "affirm",
}

ANSWER_TRADE: dict[str, Any] = ANSWER_TRADE_MINIMAL | {
    "answer": "disaffirm",
    "reason": "NAFF",
    "text": "The price differs from the execution",
}
