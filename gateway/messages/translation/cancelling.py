"""A message of FIN that cancels another repeats it; in ISO 20022 a cancellation names it, with some of its terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.messages.sources import fields_of
from gateway.messages.translation.leaves import Leaf
from gateway.messages.translation.stating import EVENT, Stated, Statement
from gateway.model.facts import Terms

FUNCTIONS: Final = (("GENL", "23G", "function"), ("A", "22A", "type"))
"""Where a message of FIN says what it asks to be done with what it says."""

_PREVIOUS: Final = (
    ("GENL", "LINK_PREV", "20C", "reference"),
    ("GENL", "LINK_RELA", "20C", "reference"),
    ("A", "21", "reference"),
)
_OPERATION: Final = "operation_type"
_TERMS: Final = {
    "amount": ("settlement_amount",),
    "exchange_rate": ("rate", "value"),
    "unit_currency": ("rate", "unit_currency"),
}
"""Terms that events state under another name."""


def cancelled(said: Statement, leaves: Sequence[Leaf], model: type) -> Statement:
    """Return what a cancellation states that repeats an instruction: what it names, and the terms of that.

    ``model`` is the event that cancels, which may state a part of the instruction again.
    """
    cancels = Statement(echoes=said.echoes, left=said.left, why=said.why)
    own = fields_of(model)
    for name in own.keys() & said.fields[EVENT].keys():
        cancels.fields[EVENT][name] = said.fields[EVENT][name]
    for leaf in (leaf for leaf in leaves if leaf.tags in FUNCTIONS):
        if _OPERATION in own:
            cancels.state(EVENT, (_OPERATION,), Stated(leaf.text, leaf))
        else:
            cancels.constants.append(leaf)
    for name, kind in fields_of(Terms).items():
        given: Any = said.fields[EVENT]
        for step in _TERMS.get(name, (name,)):
            given = given.get(step) if isinstance(given, dict) else None
        if given is not None and isinstance(given, Stated) != bool(kind.models):
            cancels.fields["instructed"][name] = given
    for leaf in (leaf for path in _PREVIOUS for leaf in leaves if leaf.tags == path):
        cancels.state("identity", ("transaction_id",), Stated(leaf.text, leaf))
    return cancels
