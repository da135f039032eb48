"""Examples of the events of foreign exchange."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import CLIENT, HEAD

_OURS = {"submitting_party": {"bic": "OWNRDEFFXXX"}}
_THEIRS = {"submitting_party": {"bic": "OTHRUS33XXX"}}

_TRADE: dict[str, Any] = HEAD | {
    "source": "fx-desk",
    "trade_id": "FX-2026-000042",
    "trade_date": "2026-03-02",
    "settlement_date": "2026-03-04",
    "trading_side": _OURS,
    "counterparty_side": _THEIRS,
    "bought_amount": {"value": "1000000.00", "currency": "EUR"},
    "sold_amount": {"value": "1083500.00", "currency": "USD"},
    "rate": {"value": "1.0835"},
}
_IDENTIFIED = {
    "identification": {
        "name": "Example Bank",
        "bic": "OTHRUS33XXX",
        "account": "36204777",
        "address": "1 Wall Street, New York",
        "clearing_system": "CHIPS",
        "lei": "529900T8BM49AURSDO55",
    }
}
_AGENTS = {
    "delivery_agent": {"bic": "AGNTDEFFXXX"},
    "intermediary": {"name": "Intermediary Bank"},
    "receiving_agent": _IDENTIFIED,
    "beneficiary": CLIENT,
}
_SIDES: dict[str, Any] = {
    "trading_side": {
        "submitting_party": {"bic": "OWNRDEFFXXX", "alternative_identifiers": ["MEMBER-1"]},
        "trading_party": CLIENT | {"alternative_identifiers": ["CLIENT-1", "CLIENT-2"]},
        "funds": [
            {
                "identification": "FUND-1",
                "name": "Example Bond Fund",
                "lei": "529900T8BM49AURSDO55",
                "account": "CUST-4711",
                "custodian": {"bic": "CUSTGB2LXXX"},
            },
            {"identification": "FUND-2"},
        ],
    },
    "counterparty_side": {"submitting_party": _IDENTIFIED, "trading_party": {"bic": "OTHRUS33XXX"}},
}
_COMPLETE: dict[str, Any] = _SIDES | {
    "rate": {"value": "1.0835", "unit_currency": "EUR", "quoted_currency": "USD"},
    "common_reference": "OTHRUS1083OWNRDE",
    "operation_type": "NEWT",
    "operation_scope": "AGNT",
    "product_type": "NDFO",
    "settlement_session": "MAIN",
    "payment_versus_payment": True,
    "non_deliverable_forward": {
        "opening": True,
        "conditions": {
            "settlement_currency": "USD",
            "valuation_date": "2026-03-03",
            "rate_sources": [
                {"source": "ECB37", "time": "1415", "country": "DE", "location": "01"},
                {"source": "WMR03"},
            ],
        },
    },
    "settlement_agents": _AGENTS,
    "counterparty_settlement_agents": {"receiving_agent": {"bic": "AGNTDEFFXXX"}},
    "block_trade": False,
    "related_trade_reference": "SWAP-1",
    "dealing_method": "BROK",
    "broker": {"bic": "BRKRGB2LXXX"},
    "broker_reference": "BRK-77",
    "broker_commission": {"value": "25.00", "currency": "USD"},
    "counterparty_reference": "THEIRS-42",
    "dealing_branch": {"bic": "OWNRGB2LXXX"},
    "counterparty_dealing_branch": {"name": "Example Bank, London"},
    "agreement": {"type": "ISDA", "agreed_on": "2019-05-01", "version": "2002"},
    "definitions_year": 1998,
    "text": "Agreed by telephone & confirmed",
    "unique_transaction_identifier": "529900T8BM49AURSDO55FX0001",
    "prior_transaction_identifier": "529900T8BM49AURSDO55FX0000",
    "product": "NDFO",
    "execution_venue": "XOFF",
    "executed_at": "2026-03-02T08:59:30.125Z",
}

INSTRUCT_FOREIGN_EXCHANGE_MINIMAL: dict[str, Any] = _TRADE | {
    "schema": "instruct_foreign_exchange/1",
    "event_id": "9b1c2a52-0020",
}
INSTRUCT_FOREIGN_EXCHANGE: dict[str, Any] = INSTRUCT_FOREIGN_EXCHANGE_MINIMAL | _COMPLETE
INSTRUCT_FIXING: dict[str, Any] = INSTRUCT_FOREIGN_EXCHANGE_MINIMAL | {
    "non_deliverable_forward": {"opening": False, "opening_reference": "FX-2026-000041"},
}

AMEND_FOREIGN_EXCHANGE_MINIMAL: dict[str, Any] = _TRADE | {
    "schema": "amend_foreign_exchange/1",
    "event_id": "9b1c2a52-0021",
    "settlement_date": "2026-03-05",
}
AMEND_FOREIGN_EXCHANGE: dict[str, Any] = AMEND_FOREIGN_EXCHANGE_MINIMAL | _COMPLETE | {"reason": "VALUE DATE"}

CANCEL_FOREIGN_EXCHANGE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "cancel_foreign_exchange/1",
    "event_id": "9b1c2a52-0022",
    "source": "fx-desk",
    "trade_id": "FX-2026-000042",
    "trading_side": _OURS,
    "counterparty_side": _THEIRS,
}
CANCEL_FOREIGN_EXCHANGE: dict[str, Any] = (
    CANCEL_FOREIGN_EXCHANGE_MINIMAL
    | _SIDES
    | {
        "reason": "BOOKED TWICE",
        "operation_type": "CANC",
        "operation_scope": "AGNT",
        "settlement_session": "MAIN",
    }
)
