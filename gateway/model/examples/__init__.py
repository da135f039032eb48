"""One complete and one minimal example of every kind of trade event, as JSON documents (``gateway events example``).

The complete ones use every field; tests build them in every message version. Parties, accounts and trades are invented.
"""

from __future__ import annotations

from typing import Any

_HEAD = {
    "event_id": "9b1c2a52-0001",
    "source": "equities-desk",
    "trade_id": "T-2026-000123",
    "instruction_number": 1,
    "occurred_at": "2026-03-02T09:15:00.250+01:00",
    "counterparty": "CUSTGB2LXXX",
}

_PROPRIETARY_CODE = {"identification": "LOCL", "issuer": "MARKET", "scheme": "House codes"}

_AGENT = {
    "bic": "AGNTDEFFXXX",
    "lei": "529900T8BM49AURSDO55",
    "safekeeping_account": "DAKV-7001",
    "processing_reference": "AGT-REF-1",
    "declaration_text": "Beneficial owner declared & certified",
    "contact_text": "Settlement desk, +49 69 000000",
}
_PARTICIPANT = {"proprietary": {"identification": "7046", "issuer": "CSDX", "scheme": "Participant number"}}
_CLIENT = {
    "name": "Example Asset Management",
    "address": {"lines": ["1 Market Square", "Floor 2"], "post_code": "60311", "town": "Frankfurt", "country": "DE"},
}


def _plain(party: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a trade confirmation does not carry for a settlement party."""
    return {name: value for name, value in party.items() if name not in ("lei", "processing_reference", "contact_text")}


def _money(value: str, direction: str | None = None) -> dict[str, str]:
    amount = {"value": value, "currency": "EUR"}
    return amount if direction is None else amount | {"direction": direction}


_FEES = {
    name: _money(f"{number}.50", "debit" if number % 2 else None)
    for number, name in enumerate(
        (
            "charges_fees",
            "country_national_federal_tax",
            "executing_broker_amount",
            "issue_discount_allowance",
            "payment_levy_tax",
            "local_tax",
            "local_broker_commission",
            "margin",
            "other",
            "regulatory_amount",
            "special_concession",
            "stamp_duty",
            "stock_exchange_tax",
            "transfer_tax",
            "transaction_tax",
            "value_added_tax",
            "withholding_tax",
            "net_gain_loss",
            "consumption_tax",
        ),
        start=1,
    )
}

_CASH_PARTIES = {
    "debtor": {"name": "Example Asset Management", "cash_account": {"iban": "DE89370400440532013000"}},
    "debtor_agent": {"bic": "AGNTDEFFXXX", "cash_account": {"proprietary": "40053201"}},
    "creditor": {"bic": "BRKRGB2LXXX", "cash_account": {"iban": "GB29NWBK60161331926819"}},
    "creditor_agent": {"proprietary": {"identification": "601613", "issuer": "SORTCODE"}},
}

INSTRUCT_SETTLEMENT_MINIMAL: dict[str, Any] = _HEAD | {
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
    "settlement_amount": _money("61234.56"),
    "delivering_parties": [_PARTICIPANT, _CLIENT],
    "receiving_parties": [_AGENT, _PARTICIPANT, {"bic": "BRKRGB2LXXX"}, {"bic": "CLNTUS33"}, _CLIENT],
    "common_reference": "COMMON-2026-77",
    "unique_transaction_identifier": "529900T8BM49AURSDO55TRADE0001",
    "linkages": [
        {"position": "AFTE", "message_definition": "sese.023.001.12", "settlement_transaction_id": "TX-1"},
        {"account_servicer_transaction_id": "SERVICER-2"},
        {"position": _PROPRIETARY_CODE, "market_infrastructure_transaction_id": "MITI-3"},
        {"pool_id": "POOL-4"},
        {"other_transaction_id": "OTHER-5"},
    ],
    "security_description": "SAP SE <ordinary shares>",
    "place_of_trade": {"type": "EXCH", "market": "XETR"},
    "place_of_clearing": {"bic": "CLRGDEFFXXX", "lei": "529900T8BM49AURSDO55"},
    "late_delivery_date": "2026-03-05",
    "price": {"type": "PARV", "amount": {"value": "122.4567", "currency": "EUR"}},
    "accrued_days": 12,
    "trade_conditions": ["CCPN", _PROPRIETARY_CODE],
    "investor_capacity": "PROF",
    "reporting": ["STEX"],
    "settlement_conditions": ["NOMC", _PROPRIETARY_CODE],
    "hold": True,
    "hold_reasons": [{"code": "PTYH", "text": "Awaiting the client's release"}, {"code": _PROPRIETARY_CODE}],
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
    "cash_parties": _CASH_PARTIES,
    "investors": [
        _AGENT | {"nationality": "DE"},
        {"name": "Jane Example", "nationality": "FR"},
    ],
    "accrued_interest_included": False,
    "stamp_duty_included": True,
    "value_date": "2026-03-04",
    "other_amounts": _FEES
    | {
        "accrued_interest": _money("1.25", "credit"),
        "trade_amount": _money("61228.35"),
        "shipping_amount": _money("3.00"),
        "research_fee": _money("2.00"),
        "network_fee": _money("0.75"),
    },
    "processing_text": "Settle with the block instructed earlier.\nCall before cancelling.",
    "security_text": "Cum dividend",
    "foreign_exchange_text": "No foreign exchange",
}

CANCEL_SETTLEMENT_MINIMAL: dict[str, Any] = _HEAD | {
    "schema": "cancel_settlement/1",
    "event_id": "9b1c2a52-0002",
    "reason": "CANI",
}

CANCEL_SETTLEMENT: dict[str, Any] = CANCEL_SETTLEMENT_MINIMAL | {
    "account_servicer_transaction_id": "SERVICER-1",
    "market_infrastructure_transaction_id": "MITI-1",
    "processor_transaction_id": "PROC-1",
    "corporate_action_event_id": "CORP-1",
    "foreign_exchange_cancellation": True,
}

CONFIRM_TRADE_MINIMAL: dict[str, Any] = _HEAD | {
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
    "buyer": _CLIENT
    | {
        "processing_reference": "BUY-1",
        "declaration_text": "Discretionary mandate",
        "contact_text": "Desk 4",
        "investor_capacity": "PROF",
        "trading_capacity": "PRIN",
    },
    "seller": _BROKER | {"investor_capacity": _PROPRIETARY_CODE, "trading_capacity": "AGEN"},
    "payment": "against",
    "security_description": "SAP SE ordinary shares",
    "executed_at": "2026-03-02T09:14:58.125+01:00",
    "price_type": "AVER",
    "gross_amount": _money("61228.35", "debit"),
    "net_amount": _money("61234.56"),
    "accrued_interest": _money("1.25", "debit"),
    "accrued_days": 12,
    "commission": {"type": "BRKR", "amount": _money("5.50")},
    "other_amounts": _FEES
    | {
        "matching_confirmation_fee": _money("0.10"),
        "shared_brokerage_amount": _money("0.20"),
        "clearing_broker_commission": _money("0.30"),
    },
    "accrued_interest_included": True,
    "stamp_duty_included": False,
    "value_date": "2026-03-04",
    "place_of_trade": {"type": "EXCH", "market": "XETR"},
    "business_process": "PROP",
    "trade_type": "TRAD",
    "trade_conditions": ["CBNS", _PROPRIETARY_CODE],
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
    "settlement_conditions": ["CLEN", _PROPRIETARY_CODE],
    "hold": False,
    "partial_settlement_allowed": True,
    "priority": 3,
    "settlement_instruction_generation": "GENS",
    "central_counterparty_eligible": False,
    "netting_eligible": False,
    "standing_settlement_instruction": {
        "database": "VEND",
        "vendor": {"bic": "VNDRUS33XXX"},
        "other_delivering_parties": [_plain(_AGENT)],
        "other_receiving_parties": [_PARTICIPANT, _CLIENT],
    },
    "place_of_settlement": "DAKVDEFFXXX",
    "delivering_parties": [_plain(_AGENT), _CLIENT],
    "receiving_parties": [_PARTICIPANT, _CLIENT],
    "cash_parties": _CASH_PARTIES,
    "investors": [_plain(_AGENT), {"name": "Jane Example"}],
    "processing_text": "Confirmed by the desk",
    "security_text": "Cum dividend",
}
