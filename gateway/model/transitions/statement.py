"""Statements: what we ask for (semt.021, camt.060) and what comes (semt.002 to .022, camt.053), asked for or not."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import COMPARISON, NOTHING, STATUS, DialogueTable, Edges

TABLE: Final = DialogueTable(
    axes={
        "statement": (
            Edges((NOTHING,), ("incomplete", "complete"), STATUS),
            Edges(("incomplete",), ("complete",), STATUS, "its last missing page came"),
            Edges(("complete",), ("incomplete",), STATUS, "a request was answered by one statement and another began"),
        ),
        "comparison": (Edges((NOTHING, "agrees"), ("agrees", "differs"), COMPARISON, "a further page may differ"),),
        "processing": (Edges((NOTHING,), ("rejected",), STATUS, "our request was refused technically"),),
    },
    headlines=(
        ("processing", "rejected", "rejected"),
        ("statement", "incomplete", "incomplete"),
        ("comparison", "differs", "differs"),
        ("comparison", "agrees", "agrees"),
        ("statement", "complete", "complete"),
    ),
    finished=frozenset({"rejected", "agrees", "differs", "complete", "withdrawn"}),
    alerts={
        "statement_page_missing": "The last page of a statement came, and one before it did not.",
        "statement_page_changed": "A page of a statement came again with other content; the first one stays.",
        "statement_number_gap": "A statement's number does not follow on the one before it: one may be missing.",
        "statement_too_many_differences": "A page differs in more than is kept one by one.",
        "statement_transaction_unknown": "A statement names a transaction by our reference that is not known here.",
        "statement_settled_there": "A statement says settled, and no confirmation came here: it may have been missed.",
        "statement_open_there": "A statement says pending, and it is finished here.",
        "statement_status_differs": "A statement says another status than the one that is held here.",
        "statement_terms_differ": "A statement states other terms than those that were instructed.",
        "statement_transaction_missing": "A complete statement of pending transactions lacks one that is open here.",
        "statement_allegement_unknown": "A statement lists an allegement that never came here.",
        "statement_holding_differs": "A holding changed by another quantity than what settled here in the meantime.",
        "statement_balance_differs": "A cash account's balances and entries do not add up.",
    },
)
