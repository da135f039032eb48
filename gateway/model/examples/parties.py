"""What the examples share: identifiers, parties, amounts. All of it is invented."""

from __future__ import annotations

from typing import Any

HEAD = {
    "event_id": "9b1c2a52-0001",
    "source": "equities-desk",
    "trade_id": "T-2026-000123",
    "instruction_number": 1,
    "occurred_at": "2026-03-02T09:15:00.250+01:00",
    "counterparty": "CUSTGB2LXXX",
}

PROPRIETARY_CODE = {"identification": "LOCL", "issuer": "MARKET", "scheme": "House codes"}

AGENT = {
    "bic": "AGNTDEFFXXX",
    "lei": "529900T8BM49AURSDO55",
    "safekeeping_account": "DAKV-7001",
    "processing_reference": "AGT-REF-1",
    "declaration_text": "Beneficial owner declared & certified",
    "contact_text": "Settlement desk, +49 69 000000",
}
PARTICIPANT = {"proprietary": {"identification": "7046", "issuer": "CSDX", "scheme": "Participant number"}}
CLIENT = {
    "name": "Example Asset Management",
    "address": {"lines": ["1 Market Square", "Floor 2"], "post_code": "60311", "town": "Frankfurt", "country": "DE"},
}


def plain(party: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a trade confirmation does not carry for a settlement party."""
    return {name: value for name, value in party.items() if name not in ("lei", "processing_reference", "contact_text")}


def money(value: str, direction: str | None = None) -> dict[str, str]:
    amount = {"value": value, "currency": "EUR"}
    return amount if direction is None else amount | {"direction": direction}


FEES = {
    name: money(f"{number}.50", "debit" if number % 2 else None)
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

CASH_PARTIES = {
    "debtor": {"name": "Example Asset Management", "cash_account": {"iban": "DE89370400440532013000"}},
    "debtor_agent": {"bic": "AGNTDEFFXXX", "cash_account": {"proprietary": "40053201"}},
    "creditor": {"bic": "BRKRGB2LXXX", "cash_account": {"iban": "GB29NWBK60161331926819"}},
    "creditor_agent": {"proprietary": {"identification": "601613", "issuer": "SORTCODE"}},
}
