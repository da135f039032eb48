"""Examples of the events of the settlement of securities."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import AGENT, CASH_PARTIES, CLIENT, FEES, HEAD, PARTICIPANT, PROPRIETARY_CODE, money

_REFERENCES = {
    "account_servicer_transaction_id": "SERVICER-1",
    "market_infrastructure_transaction_id": "MITI-1",
    "processor_transaction_id": "PROC-1",
}

INSTRUCT_SETTLEMENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "instruct_settlement/1",
    "movement": "deliver",
    "payment": "free",
    "isin": "DE0007164600",
    "quantity": {"type": "unit", "value": "500"},
    "trade_date": "2026-03-02",
    "settlement_date": "2026-03-04",
    "safekeeping_account": "CUST-4711",
    "place_of_settlement": "DAKVDEFFXXX",
    "receiving_parties": [{"bic": "AGNTDEFFXXX"}],
    "transaction_type": "TRAD",
}

INSTRUCT_SETTLEMENT: dict[str, Any] = INSTRUCT_SETTLEMENT_MINIMAL | {
    "payment": "against",
    "settlement_amount": money("61234.56"),
    "delivering_parties": [PARTICIPANT, CLIENT],
    "receiving_parties": [AGENT, PARTICIPANT, {"bic": "BRKRGB2LXXX"}, {"bic": "CLNTUS33"}, CLIENT],
    "common_reference": "COMMON-2026-77",
    "unique_transaction_identifier": "529900T8BM49AURSDO55TRADE0001",
    "linkages": [
        {"position": "AFTE", "message_definition": "sese.023.001.12", "settlement_transaction_id": "TX-1"},
        {"account_servicer_transaction_id": "SERVICER-2"},
        {"position": PROPRIETARY_CODE, "market_infrastructure_transaction_id": "MITI-3"},
        {"pool_id": "POOL-4"},
        {"other_transaction_id": "OTHER-5"},
    ],
    "security_description": "SAP SE <ordinary shares>",
    "place_of_trade": {"type": "EXCH", "market": "XETR"},
    "place_of_clearing": {"bic": "CLRGDEFFXXX", "lei": "529900T8BM49AURSDO55"},
    "late_delivery_date": "2026-03-05",
    "price": {"type": "PARV", "amount": {"value": "122.4567", "currency": "EUR"}},
    "accrued_days": 12,
    "trade_conditions": ["CCPN", PROPRIETARY_CODE],
    "investor_capacity": "PROF",
    "reporting": ["STEX"],
    "settlement_conditions": ["NOMC", PROPRIETARY_CODE],
    "hold": True,
    "hold_reasons": [{"code": "PTYH", "text": "Awaiting the client's release"}, {"code": PROPRIETARY_CODE}],
    "partial_settlement": "PART",
    "priority": 2,
    "beneficial_ownership_change": True,
    "central_counterparty_eligible": False,
    "netting_eligible": False,
    "real_time_gross_settlement": True,
    "modification_cancellation_allowed": True,
    "eligible_as_collateral": False,
    "return_leg": False,
    "block_trade": "BLCH",
    "cash_clearing_system": "GROS",
    "legal_restrictions": "NRST",
    "market_client_side": "CLNT",
    "registration": "YREG",
    "repurchase_type": "ROLP",
    "settling_capacity": "CUST",
    "settlement_system_method": "YSET",
    "tax_capacity": "AGEN",
    "automatic_borrowing": "NBOR",
    "account_owner": {"bic": "OWNRDEFFXXX", "lei": "529900T8BM49AURSDO55"},
    "cash_account": {"iban": "DE89370400440532013000"},
    "lots": [
        {
            "number": "LOT-1",
            "quantity": {"type": "unit", "value": "200"},
            "acquisition_date": "2024-05-02",
            "price_type": "AVER",
        },
        {"number": "LOT-2", "quantity": {"type": "unit", "value": "300"}},
    ],
    "cash_parties": CASH_PARTIES,
    "investors": [
        AGENT | {"nationality": "DE"},
        {"name": "Jane Example", "nationality": "FR"},
    ],
    "accrued_interest_included": False,
    "stamp_duty_included": True,
    "value_date": "2026-03-04",
    "other_amounts": FEES
    | {
        "accrued_interest": money("1.25", "credit"),
        "trade_amount": money("61228.35"),
        "shipping_amount": money("3.00"),
        "research_fee": money("2.00"),
        "network_fee": money("0.75"),
    },
    "processing_text": "Settle with the block instructed earlier.\nCall before cancelling.",
    "security_text": "Cum dividend",
    "foreign_exchange_text": "No foreign exchange",
}

_DETAILS: dict[str, Any] = {
    name: INSTRUCT_SETTLEMENT[name]
    for name in (
        "common_reference",
        "unique_transaction_identifier",
        "place_of_trade",
        "place_of_clearing",
        "trade_date",
        "late_delivery_date",
        "price",
        "accrued_days",
        "trade_conditions",
        "investor_capacity",
        "reporting",
        "transaction_type",
        "settlement_conditions",
        "beneficial_ownership_change",
        "central_counterparty_eligible",
        "netting_eligible",
        "modification_cancellation_allowed",
        "eligible_as_collateral",
        "return_leg",
        "cash_clearing_system",
        "legal_restrictions",
        "market_client_side",
        "registration",
        "settling_capacity",
        "tax_capacity",
        "account_owner",
        "cash_account",
        "lots",
        "cash_parties",
        "investors",
        "accrued_interest_included",
        "stamp_duty_included",
        "value_date",
        "processing_text",
        "security_text",
        "foreign_exchange_text",
    )
}

MODIFY_SETTLEMENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "modify_settlement/1",
    "event_id": "9b1c2a52-0009",
    "modification": {"trade_date": "2026-03-01"},
}

MODIFY_SETTLEMENT: dict[str, Any] = (
    MODIFY_SETTLEMENT_MINIMAL
    | _REFERENCES
    | {
        "addition": {
            "further_receiving_parties": [{"bic": "BRKRGB2LXXX"}, {"bic": "CLNTUS33"}],
            "investors": [{"name": "Jane Example", "nationality": "FR"}],
        },
        "deletion": {"common_reference": "COMMON-2026-76", "trade_reference": "T-2026-000122"},
        "modification": _DETAILS
        | {
            "trade_reference": "T-2026-000123-B",
            "linkages": [
                link for link in INSTRUCT_SETTLEMENT["linkages"] if "market_infrastructure_transaction_id" not in link
            ],
            "other_amounts": {
                name: fee for name, fee in INSTRUCT_SETTLEMENT["other_amounts"].items() if name != "network_fee"
            },
            "settlement_amount": money("61235.00", "credit"),
            "further_delivering_parties": [PARTICIPANT, CLIENT],
            "further_receiving_parties": [AGENT, {"bic": "BRKRGB2LXXX"}, {"bic": "CLNTUS33"}, CLIENT],
        },
    }
)

CANCEL_SETTLEMENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "cancel_settlement/1",
    "event_id": "9b1c2a52-0002",
    "reason": "CANI",
}

CANCEL_SETTLEMENT: dict[str, Any] = (
    CANCEL_SETTLEMENT_MINIMAL
    | _REFERENCES
    | {
        "corporate_action_event_id": "CORP-1",
        "foreign_exchange_cancellation": True,
    }
)

CHANGE_SETTLEMENT_CONDITIONS_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "change_settlement_conditions/1",
    "event_id": "9b1c2a52-0004",
    "hold": False,
}

CHANGE_SETTLEMENT_CONDITIONS: dict[str, Any] = (
    CHANGE_SETTLEMENT_CONDITIONS_MINIMAL
    | _REFERENCES
    | {
        "hold": True,
        "hold_reasons": [{"code": "PTYH", "text": "Awaiting the client's release"}, {"code": PROPRIETARY_CODE}],
        "partial_settlement": "NPAR",
        "priority": 1,
        "linkage": "LINK",
        "linkages": INSTRUCT_SETTLEMENT["linkages"],
        "automatic_borrowing": "YBOR",
        "return_leg": True,
        "real_time_gross_settlement": False,
        "matching_denial": "UNMT",
        "unilateral_split": "TRAD",
    }
)

QUERY_SETTLEMENT_STATUS_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "query_settlement_status/1",
    "event_id": "9b1c2a52-0005",
}

QUERY_SETTLEMENT_STATUS: dict[str, Any] = QUERY_SETTLEMENT_STATUS_MINIMAL | _REFERENCES
