"""Examples of requests for statements."""

from __future__ import annotations

from typing import Any

from gateway.model.examples.parties import HEAD, PROPRIETARY_CODE

REQUEST_SECURITIES_STATEMENT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "request_securities_statement/1",
    "event_id": "9b1c2a52-0401",
    "trade_id": "PENDING-2026-03-04",
    "requested_message": "semt.018.001.13",
}

REQUEST_SECURITIES_STATEMENT: dict[str, Any] = REQUEST_SECURITIES_STATEMENT_MINIMAL | {
    "account_owner": {"bic": "OWNRDEFFXXX", "lei": "529900T8BM49AURSDO55"},
    "safekeeping_account": "CUST-4711",
    "period": {"begins": "2026-03-02", "ends": "2026-03-04"},
    "frequency": "ADHO",
    "update": "complete",
    "basis": "settled",
    "books": "custody",
    "securities": ["DE0007164600", "FR0000131104"],
}

REQUEST_SECURITIES_STATEMENT_OF_A_DAY: dict[str, Any] = {
    key: value for key, value in REQUEST_SECURITIES_STATEMENT.items() if key != "period"
} | {
    "account_owner": {"proprietary": {"identification": "7046", "issuer": "CSDX", "scheme": "Participant number"}},
    "statement_date": "2026-03-04",
    "frequency": PROPRIETARY_CODE,
}

REQUEST_ACCOUNT_REPORT_MINIMAL: dict[str, Any] = HEAD | {
    "schema": "request_account_report/1",
    "event_id": "9b1c2a52-0402",
    "trade_id": "CASH-2026-03-04",
    "requested_message": "camt.053.001.08",
    "account_owner": "OWNRDEFFXXX",
}

REQUEST_ACCOUNT_REPORT: dict[str, Any] = REQUEST_ACCOUNT_REPORT_MINIMAL | {
    "account_servicer": "CUSTGB2LXXX",
    "cash_account": {"iban": "DE89370400440532013000"},
    "currency": "EUR",
    "period": {
        "begins": "2026-03-02",
        "ends": "2026-03-04",
        "begins_at": "00:00:00Z",
        "ends_at": "18:30:00+01:00",
        "entries": "changes",
    },
    "balance_types": ["OPBD", "CLBD"],
}

REQUEST_ACCOUNT_REPORT_OF_ANOTHER_FORM: dict[str, Any] = REQUEST_ACCOUNT_REPORT | {
    "cash_account": {"proprietary": "CASH-4711"},
}
