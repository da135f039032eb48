"""Examples of the events of movements between balances of one account."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.financing import CANCEL_SECURITIES_FINANCING, CANCEL_SECURITIES_FINANCING_MINIMAL
from gateway.model.examples.parties import HEAD, PROPRIETARY_CODE
from gateway.model.examples.settlement import INSTRUCT_SETTLEMENT

INSTRUCT_INTRA_POSITION_MOVEMENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "instruct_intra_position_movement/1",
    "isin": "DE0007164600",
    "quantity": {"type": "unit", "value": "500"},
    "settlement_date": "2026-03-04",
    "safekeeping_account": "CUST-4711",
    "balance_from": "AVAI",
    "balance_to": "BLOK",
}

INSTRUCT_INTRA_POSITION_MOVEMENT: dict[str, Any] = INSTRUCT_INTRA_POSITION_MOVEMENT_MINIMAL | {
    "balance_to": PROPRIETARY_CODE,
    "priority": 2,
    "sub_balance": "SUB-1",
    "account_owner": "OWNRDEFFXXX",
    "corporate_action_event_id": "CORP-1",
    "security_description": "SAP SE <ordinary shares>",
    "linkages": INSTRUCT_SETTLEMENT["linkages"][:2],
    "processing_text": "Block for the pledge agreed on.",
}

CANCEL_INTRA_POSITION_MOVEMENT_MINIMAL: dict[str, Any] = CANCEL_SECURITIES_FINANCING_MINIMAL | {
    "schema": "cancel_intra_position_movement/1",
    "event_id": "9b1c2a52-0016",
}

CANCEL_INTRA_POSITION_MOVEMENT: dict[str, Any] = CANCEL_SECURITIES_FINANCING | {
    "schema": "cancel_intra_position_movement/1",
    "event_id": "9b1c2a52-0016",
}
