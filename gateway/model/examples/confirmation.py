"""Examples of the events of the confirmation of securities trades."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import (
    AGENT,
    CASH_PARTIES,
    CLIENT,
    FEES,
    HEAD,
    PARTICIPANT,
    PROPRIETARY_CODE,
    money,
    plain,
)

CONFIRM_TRADE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "confirm_trade/1",
    "event_id": "9b1c2a52-0003",
    "side": "buy",
    "isin": "DE0007164600",
    "quantity": {"type": "unit", "value": "500"},
    "price": {"amount": {"value": "122.4567", "currency": "EUR"}},
    "trade_date": "2026-03-02",
    "settlement_date": "2026-03-04",
    "buyer": {"bic": "OWNRDEFFXXX"},
    "seller": {"bic": "BRKRGB2LXXX"},
}

_BROKER = {
    "bic": "BRKRGB2LXXX",
    "processing_reference": "BRK-1",
    "declaration_text": "Executed",
    "contact_text": "Desk",
}

CONFIRM_TRADE: dict[str, Any] = CONFIRM_TRADE_MINIMAL | {
    "price": {"type": "ACTU", "amount": {"value": "122.4567", "currency": "EUR"}},
    "buyer": CLIENT
    | {
        "processing_reference": "BUY-1",
        "declaration_text": "Discretionary mandate",
        "contact_text": "Desk 4",
        "investor_capacity": "PROF",
        "trading_capacity": "PRIN",
    },
    "seller": _BROKER | {"investor_capacity": PROPRIETARY_CODE, "trading_capacity": "AGEN"},
    "payment": "against",
    "security_description": "SAP SE ordinary shares",
    "executed_at": "2026-03-02T09:14:58.125+01:00",
    "price_type": "AVER",
    "gross_amount": money("61228.35", "debit"),
    "net_amount": money("61234.56"),
    "accrued_interest": money("1.25", "debit"),
    "accrued_days": 12,
    "commission": {"type": "BRKR", "amount": money("5.50")},
    "other_amounts": FEES
    | {
        "matching_confirmation_fee": money("0.10"),
        "shared_brokerage_amount": money("0.20"),
        "clearing_broker_commission": money("0.30"),
    },
    "accrued_interest_included": True,
    "stamp_duty_included": False,
    "value_date": "2026-03-04",
    "place_of_trade": {"type": "EXCH", "market": "XETR"},
    "business_process": "PROP",
    "trade_type": "TRAD",
    "trade_conditions": ["CBNS", PROPRIETARY_CODE],
    "reporting": ["STEX"],
    "references": [
        {"message_definition": "setr.027.001.05", "instructing_party_transaction_id": "INS-1"},
        {"executing_party_transaction_id": "EXE-1"},
        {"market_infrastructure_transaction_id": "MITI-1"},
        {"block_id": "BLOCK-1"},
        {"allocation_id": "ALLOC-1"},
        {"individual_allocation_id": "IALLOC-1"},
        {"pool_id": "POOL-1"},
        {"common_id": "COMMON-1"},
        {"collateral_transaction_id": "COLL-1"},
        {"unique_transaction_id": "529900T8BM49AURSDO55TRADE0001"},
    ],
    "order_ids": ["ORDER-1", "ORDER-2"],
    "client_order_ids": ["CLIENT-ORDER-1"],
    "executing_broker": _BROKER,
    "clearing_firm": _BROKER,
    "introducing_firm": _BROKER,
    "affirming_party": _BROKER,
    "trade_beneficiary": _BROKER,
    "transaction_type": "TRAD",
    "settlement_conditions": ["CLEN", PROPRIETARY_CODE],
    "hold": False,
    "partial_settlement_allowed": True,
    "priority": 3,
    "settlement_instruction_generation": "GENS",
    "central_counterparty_eligible": False,
    "netting_eligible": False,
    "standing_settlement_instruction": {
        "database": "VEND",
        "vendor": {"bic": "VNDRUS33XXX"},
        "other_delivering_parties": [plain(AGENT)],
        "other_receiving_parties": [PARTICIPANT, CLIENT],
    },
    "place_of_settlement": "DAKVDEFFXXX",
    "delivering_parties": [plain(AGENT), CLIENT],
    "receiving_parties": [PARTICIPANT, CLIENT],
    "cash_parties": CASH_PARTIES,
    "investors": [plain(AGENT), {"name": "Jane Example"}],
    "processing_text": "Confirmed by the desk",
    "security_text": "Cum dividend",
}

CANCEL_CONFIRMATION_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "cancel_confirmation/1",
    "event_id": "9b1c2a52-0006",
}

CANCEL_CONFIRMATION: dict[str, Any] = CANCEL_CONFIRMATION_MINIMAL | {
    "references": [reference for reference in CONFIRM_TRADE["references"] if "unique_transaction_id" not in reference],
}
