"""Examples of the events of repos and securities lending."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import AGENT, CASH_PARTIES, CLIENT, FEES, HEAD, PARTICIPANT, PROPRIETARY_CODE, money
from gateway.model.examples.settlement import (
    CANCEL_SETTLEMENT,
    CANCEL_SETTLEMENT_MINIMAL,
    CHANGE_SETTLEMENT_CONDITIONS,
    CHANGE_SETTLEMENT_CONDITIONS_MINIMAL,
    INSTRUCT_SETTLEMENT,
)

INSTRUCT_SECURITIES_FINANCING_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "instruct_securities_financing/1",
    "financing_type": "lending",
    "movement": "deliver",
    "payment": "free",
    "isin": "DE0007164600",
    "quantity": {"type": "unit", "value": "500"},
    "trade_date": "2026-03-02",
    "opening_date": "2026-03-04",
    "termination_date": "2026-03-18",
    "safekeeping_account": "CUST-4711",
    "place_of_settlement": "DAKVDEFFXXX",
    "receiving_parties": [{"bic": "AGNTDEFFXXX"}],
}

_RATE = {"value": "2.125", "sign": "plus"}

_FINANCING: dict[str, Any] = {
    "termination_amount": money("61300.00", "debit"),
    "termination_amount_per_collateral": money("122.60"),
    "financing_trade_id": "REPO-2026-77",
    "unique_transaction_identifier": "529900T8BM49AURSDO55REPO0001",
    "closing_leg_id": "CLOSING-77",
    "rate_change_date": "2026-03-10",
    "earliest_call_back_date": "2026-03-09",
    "commission_calculation_date": "2026-03-17",
    "rate_type": "VARI",
    "revaluation": True,
    "legal_framework": "FRAN",
    "interest_computation_method": "A004",
    "maturity_date_modifiable": True,
    "interest_payment": False,
    "variable_rate": {"name": "EUR short-term rate", "issuer": "ECBX"},
    "repurchase_rate": _RATE,
    "stock_loan_margin": {"value": "1.5"},
    "haircut": {"value": "3", "sign": "plus"},
    "charges_rate": {"value": "0.05"},
    "pricing_rate": {"value": "2.05", "sign": "minus"},
    "spread": {"value": "0.1", "sign": "plus"},
    "transaction_call_delay": 2,
    "collateral_instructions": 1,
    "deal_amount": money("61234.56", "credit"),
    "accrued_interest": money("12.50"),
    "forfeit_amount": money("100.00", "debit"),
    "premium_amount": money("50.00"),
    "second_leg_text": "The closing leg nets with the next opening.",
    "accrued_days": 12,
    "common_reference": "COMMON-2026-77",
    "processing_text": "Settle with the block instructed earlier.",
}

_LIKE_A_SETTLEMENT = {
    name: INSTRUCT_SETTLEMENT[name]
    for name in (
        "linkages",
        "security_description",
        "place_of_trade",
        "place_of_clearing",
        "price",
        "trade_conditions",
        "investor_capacity",
        "reporting",
        "partial_settlement",
        "priority",
        "beneficial_ownership_change",
        "central_counterparty_eligible",
        "netting_eligible",
        "real_time_gross_settlement",
        "eligible_as_collateral",
        "block_trade",
        "cash_clearing_system",
        "legal_restrictions",
        "market_client_side",
        "settling_capacity",
        "settlement_system_method",
        "tax_capacity",
        "automatic_borrowing",
        "account_owner",
        "cash_account",
        "investors",
        "accrued_interest_included",
        "stamp_duty_included",
        "value_date",
        "security_text",
        "foreign_exchange_text",
    )
}

INSTRUCT_SECURITIES_FINANCING: dict[str, Any] = (
    INSTRUCT_SECURITIES_FINANCING_MINIMAL
    | _FINANCING
    | _LIKE_A_SETTLEMENT
    | {
        "financing_type": "repurchase",
        "payment": "against",
        "opening_amount": money("61234.56"),
        "delivering_parties": [PARTICIPANT, CLIENT],
        "receiving_parties": [AGENT, PARTICIPANT, {"bic": "BRKRGB2LXXX"}, {"bic": "CLNTUS33"}, CLIENT],
        "settlement_conditions": ["NOMC", PROPRIETARY_CODE],
        "hold": True,
        "cash_parties": CASH_PARTIES,
        "other_amounts": FEES | {"trade_amount": money("61228.35")},
    }
)

INSTRUCT_SECURITIES_FINANCING_OPEN: dict[str, Any] = {
    name: value for name, value in INSTRUCT_SECURITIES_FINANCING_MINIMAL.items() if name != "termination_date"
} | {"termination": "OPEN", "pricing_rate_name": {"name": "EUR short-term rate"}}

MODIFY_SECURITIES_FINANCING_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "modify_securities_financing/1",
    "event_id": "9b1c2a52-0012",
    "modification_type": "RATE",
    "repurchase_rate": {"value": "2.25"},
}

MODIFY_SECURITIES_FINANCING: dict[str, Any] = (
    MODIFY_SECURITIES_FINANCING_MINIMAL
    | _FINANCING
    | {
        "modification_type": "ROLP",
        "termination_date": "2026-03-25",
        "quantity": {"type": "unit", "value": "450"},
        "opening_amount": money("55111.10"),
        "account_servicer_transaction_id": "SERVICER-1",
        "pool_id": "POOL-4",
    }
)

MODIFY_SECURITIES_FINANCING_OPEN: dict[str, Any] = MODIFY_SECURITIES_FINANCING_MINIMAL | {
    "termination": "OPEN",
    "pricing_rate_name": {"name": "EUR short-term rate", "issuer": "ECBX"},
}

CANCEL_SECURITIES_FINANCING_MINIMAL: dict[str, Any] = CANCEL_SETTLEMENT_MINIMAL | {
    "schema": "cancel_securities_financing/1",
    "event_id": "9b1c2a52-0013",
}

CANCEL_SECURITIES_FINANCING: dict[str, Any] = {
    name: value
    for name, value in (CANCEL_SETTLEMENT | CANCEL_SECURITIES_FINANCING_MINIMAL).items()
    if name != "foreign_exchange_cancellation"
}

CHANGE_FINANCING_CONDITIONS_MINIMAL: dict[str, Any] = CHANGE_SETTLEMENT_CONDITIONS_MINIMAL | {
    "schema": "change_financing_conditions/1",
    "event_id": "9b1c2a52-0014",
}

CHANGE_FINANCING_CONDITIONS: dict[str, Any] = CHANGE_SETTLEMENT_CONDITIONS | {
    "schema": "change_financing_conditions/1",
    "event_id": "9b1c2a52-0014",
}
