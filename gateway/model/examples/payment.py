"""Examples of the events of the cash leg."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import HEAD, money

_UETR = "3f0f6a2e-9a51-4c7e-8b1d-5e0c2a7d9b44"
_ADDRESS = {
    "department": "Treasury",
    "sub_department": "Payments",
    "street": "Marktplatz",
    "building_number": "1",
    "building_name": "Turm & Tor",
    "floor": "2",
    "post_box": "PO 7",
    "room": "12b",
    "post_code": "60311",
    "town": "Frankfurt",
    "town_location": "Altstadt",
    "district": "Mitte",
    "country_subdivision": "HE",
    "country": "DE",
}
_UNSTRUCTURED = {"country": "US", "town": "New York", "lines": ["1 Wall Street", "Floor 20"]}
_IBAN = {"iban": "DE89370400440532013000", "type": "CACC", "currency": "EUR", "name": "Settlement account"}
_OTHER_ACCOUNT = {
    "other": {"identification": "40053201", "scheme": "BBAN", "issuer": "NWBK"},
    "type": {"proprietary": "House account"},
}
_OWN_SCHEME_ACCOUNT = {"other": {"identification": "VOSTRO 7", "scheme": {"proprietary": "Vostro"}}}
_BANK = {"bic": "AGNTDEFFXXX", "lei": "529900T8BM49AURSDO55", "branch": "0001", "account": _IBAN}
_MEMBER = {
    "clearing_member": {"system": "USABA", "member": "021000089"},
    "name": "Example Bank & Co",
    "address": {"street": "Broad Street", "town": "New York", "country": "US"},
}
_NAMED = {"name": "Example Trust", "address": _UNSTRUCTURED, "account": _OTHER_ACCOUNT}
_NUMBERED = {
    "name": "Example Depository",
    "address": {"town": "Paris", "country": "FR"},
    "other": {"identification": "4711", "scheme": "BANK", "issuer": "CSDX"},
    "account": _OWN_SCHEME_ACCOUNT,
}
_INSTITUTION = {"bic": "BRKRGB2LXXX"}
_INVESTOR = {
    "name": "Example Asset Management",
    "address": _ADDRESS,
    "organisation": {
        "bic": "CLNTUS33",
        "lei": "529900T8BM49AURSDO55",
        "others": [
            {"identification": "C-77", "scheme": "CUST", "issuer": "BANK"},
            {"identification": "DE-1", "scheme": {"proprietary": "Register"}},
        ],
    },
    "country_of_residence": "DE",
    "account": _IBAN,
}
_PERSON = {
    "name": "Erika Mustermann",
    "person": {
        "birth": {"born_on": "1964-08-12", "province": "Bayern", "city": "Muenchen", "country": "DE"},
        "others": [{"identification": "P-1", "scheme": "NIDN", "issuer": "DE"}, {"identification": "P-2"}],
    },
    "account": _OTHER_ACCOUNT,
}


def _plain(party: dict[str, Any]) -> dict[str, Any]:
    """Leave out the account, where the party is named without one."""
    return {name: value for name, value in party.items() if name != "account"}


_INSTRUCTIONS = [{"code": "PHOB", "text": "Ring before crediting"}, {"text": "Value of the day"}]
_NEXT_AGENT = [{"code": "PHOA"}, {"text": "Cover follows"}]
_SETTLED = {"source": "equities-desk", "trade_id": "T-2026-000123", "instruction_number": 1}
_PAYMENT_TYPE = {
    "instruction_priority": "high",
    "clearing_channel": "RTGS",
    "service_levels": ["URGP", {"proprietary": "House level"}],
    "local_instrument": {"proprietary": "TARGET"},
    "category_purpose": "SECU",
}
_STRUCTURED = [
    {
        "documents": [
            {"type": "CINV", "issuer": "ACME", "number": "INV-1"},
            {"type": {"proprietary": "Contract note"}, "number": "CN-9"},
        ],
        "amount_due": money("61300.00"),
        "amount_remitted": money("61234.56"),
        "reference_type": "SCOR",
        "reference_issuer": "ISO",
        "reference": "RF18539007547034",
        "additional": ["first", "second & last"],
    },
    {"reference": "2026-77", "reference_type": {"proprietary": "House reference"}},
]

TRANSFER_BETWEEN_INSTITUTIONS_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "transfer_between_institutions/1",
    "settlement_amount": money("61234.56"),
    "settlement_date": "2026-03-04",
    "settlement_method": "instructed_agent",
    "debtor": {"bic": "OURSGB2LXXX"},
    "creditor": _INSTITUTION,
}

_TRANSFER: dict[str, Any] = {
    "settlement_priority": "urgent",
    "settlement_times": {
        "cls": "11:00:00+01:00",
        "till": "16:00:00+01:00",
        "since": "08:00:00+01:00",
        "reject": "17:00:00Z",
    },
    "debited_at": "2026-03-04T10:00:00Z",
    "credited_at": "2026-03-04T11:00:00+01:00",
    "end_to_end_id": "E2E-2026-000123",
    "uetr": _UETR,
    "clearing_system_reference": "CLR-5",
    "payment_type": _PAYMENT_TYPE,
    "previous_instructing_agents": [_BANK, _MEMBER, _NAMED],
    "intermediary_agents": [_NAMED, _BANK, _NUMBERED],
    "debtor_agent": _BANK,
    "creditor_agent": _NAMED,
    "instructions_for_creditor_agent": _INSTRUCTIONS,
    "instructions_for_next_agent": _NEXT_AGENT,
    "purpose": "SECU",
    "settlement_of": _SETTLED,
}
_REMITTANCE = ["/SETTLEMENT/ of T-2026-000123", "second line"]

TRANSFER_BETWEEN_INSTITUTIONS: dict[str, Any] = (
    TRANSFER_BETWEEN_INSTITUTIONS_MINIMAL
    | _TRANSFER
    | {
        "settlement_account": _IBAN,
        "remittance": _REMITTANCE,
        "debtor": _BANK,
        "creditor": _NUMBERED,
        "ultimate_debtor": _MEMBER,
        "ultimate_creditor": {"name": "Last Bank", "address": _ADDRESS},
        "underlying": {
            "ultimate_debtor": {"name": "Ultimate & Sons"},
            "initiating_party": _plain(_PERSON),
            "debtor": _INVESTOR,
            "debtor_agent": _BANK,
            "previous_instructing_agents": [_BANK, _MEMBER, _NAMED],
            "intermediary_agents": [_MEMBER, _NAMED, _BANK],
            "creditor_agent": _NAMED,
            "creditor": _PERSON,
            "ultimate_creditor": {"organisation": {"lei": "529900T8BM49AURSDO55"}},
            "instructions_for_creditor_agent": [{"code": "HOLD", "text": "until called for"}],
            "instructions_for_next_agent": _NEXT_AGENT,
            "remittance": ["Invoice 1"],
            "structured_remittance": _STRUCTURED,
            "instructed_amount": money("61240.00"),
        },
    }
)

TRANSFER_OTHERWISE: dict[str, Any] = TRANSFER_BETWEEN_INSTITUTIONS_MINIMAL | {
    "settlement_method": "clearing",
    "clearing_system": "TGT",
    "settlement_priority": "normal",
    "purpose": {"proprietary": "House purpose"},
}

TRANSFER_FOR_CUSTOMER_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "transfer_for_customer/1",
    "settlement_amount": money("61234.56"),
    "settlement_date": "2026-03-04",
    "settlement_method": "instructed_agent",
    "charge_bearer": "shared",
    "debtor": {"name": "Example Asset Management", "account": {"iban": "DE89370400440532013000"}},
    "debtor_agent": {"bic": "OURSGB2LXXX"},
    "creditor_agent": _INSTITUTION,
    "creditor": {"name": "Erika Mustermann", "account": {"iban": "GB29NWBK60161331926819"}},
}

TRANSFER_FOR_CUSTOMER: dict[str, Any] = (
    TRANSFER_FOR_CUSTOMER_MINIMAL
    | _TRANSFER
    | {
        "settlement_method": "cover",
        "debtor": _INVESTOR,
        "creditor": _PERSON,
        "ultimate_debtor": {"name": "Ultimate & Sons"},
        "initiating_party": _plain(_PERSON),
        "ultimate_creditor": {"organisation": {"bic": "CLNTUS33"}},
        "instructing_reimbursement_agent": _BANK,
        "instructed_reimbursement_agent": _NAMED,
        "third_reimbursement_agent": _NUMBERED,
        "accepted_at": "2026-03-02T09:00:00Z",
        "instructed_amount": {"value": "66000.00", "currency": "USD"},
        "exchange_rate": "0.9278",
        "charges": [
            {"amount": money("5.00"), "agent": {"bic": "AGNTDEFFXXX"}},
            {"amount": money("7.50"), "agent": _MEMBER},
        ],
        "regulatory_reporting": [
            {
                "side": "debit",
                "authority": "Central Bank",
                "authority_country": "DE",
                "details": [
                    {
                        "type": "Z4",
                        "dated": "2026-03-02",
                        "country": "US",
                        "code": "520",
                        "amount": money("61234.56"),
                        "information": ["purchase of shares", "second"],
                    }
                ],
            }
        ],
        "structured_remittance": _STRUCTURED,
    }
)

TRANSFER_FOR_PERSON: dict[str, Any] = TRANSFER_FOR_CUSTOMER_MINIMAL | {
    "charge_bearer": "debtor",
    "debtor": _PERSON,
    "settlement_account": _IBAN,
    "remittance": _REMITTANCE,
    "regulatory_reporting": [{"side": "both"}],
}

TRANSFER_THROUGH_CLEARING: dict[str, Any] = TRANSFER_FOR_CUSTOMER_MINIMAL | {
    "settlement_method": "clearing",
    "clearing_system": "TGT",
}

CANCEL_PAYMENT_MINIMAL: dict[str, Any] = HEAD | {"schema": "cancel_payment/1", "reason": "DUPL"}
CANCEL_PAYMENT: dict[str, Any] = CANCEL_PAYMENT_MINIMAL | {
    "reason": {"proprietary": "Trade cancelled"},
    "texts": ["The trade was cancelled", "before the cut-off"],
    "clearing_system_reference": "CLR-5",
}

QUERY_PAYMENT_STATUS_MINIMAL: dict[str, Any] = HEAD | {"schema": "query_payment_status/1"}
QUERY_PAYMENT_STATUS: dict[str, Any] = QUERY_PAYMENT_STATUS_MINIMAL | {"clearing_system_reference": "CLR-5"}

NOTIFY_TO_RECEIVE_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "notify_to_receive/1",
    "account": {"iban": "DE89370400440532013000"},
    "amount": money("61234.56"),
    "value_date": "2026-03-04",
}
NOTIFY_TO_RECEIVE: dict[str, Any] = NOTIFY_TO_RECEIVE_MINIMAL | {
    "account": _IBAN,
    "end_to_end_id": "THEIR-E2E-1",
    "uetr": _UETR,
    "account_owner": {"bic": "OURSGB2LXXX"},
    "account_servicer": _plain(_BANK),
    "debtor": _plain(_NAMED),
    "debtor_agent": _MEMBER,
    "intermediary_agent": _plain(_BANK),
    "purpose": "SECU",
    "remittance": ["Sale of T-2026-000123"],
    "settlement_of": _SETTLED,
}
NOTIFY_FROM_CUSTOMER: dict[str, Any] = NOTIFY_TO_RECEIVE_MINIMAL | {
    "account": _OTHER_ACCOUNT,
    "customer_debtor": _plain(_INVESTOR),
    "purpose": {"proprietary": "Sale"},
}

CANCEL_NOTICE_MINIMAL: dict[str, Any] = HEAD | {"schema": "cancel_notice/1"}
CANCEL_NOTICE: dict[str, Any] = CANCEL_NOTICE_MINIMAL | {"reason": "DUPL", "texts": ["Announced twice"]}
