"""Examples of the events about messages."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import HEAD

WITHDRAW_SETTLEMENT_MESSAGE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "withdraw_settlement_message/1",
    "event_id": "9b1c2a52-0017",
    "message_id": "BM00000000000000",
}

WITHDRAW_SETTLEMENT_MESSAGE: dict[str, Any] = WITHDRAW_SETTLEMENT_MESSAGE_MINIMAL | {"account_owner": "OWNRDEFFXXX"}

WITHDRAW_FINANCING_MESSAGE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "withdraw_financing_message/1",
    "event_id": "9b1c2a52-0018",
    "message_id": "BM00000000000000",
}

WITHDRAW_FINANCING_MESSAGE: dict[str, Any] = WITHDRAW_FINANCING_MESSAGE_MINIMAL | {"account_owner": "OWNRDEFFXXX"}

WITHDRAW_INTRA_POSITION_MESSAGE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "withdraw_intra_position_message/1",
    "event_id": "9b1c2a52-0019",
    "message_id": "BM00000000000000",
}

WITHDRAW_INTRA_POSITION_MESSAGE: dict[str, Any] = WITHDRAW_INTRA_POSITION_MESSAGE_MINIMAL | {
    "account_owner": "OWNRDEFFXXX"
}

REJECT_MESSAGE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "reject_message/1",
    "event_id": "9b1c2a52-0020",
    "trade_id": "THEIR-MESSAGE-1",
    "message_definition": "sese.025.001.13",
    "reason": "REFE",
}

REJECT_MESSAGE: dict[str, Any] = REJECT_MESSAGE_MINIMAL | {"text": "No transaction of ours has this reference."}
