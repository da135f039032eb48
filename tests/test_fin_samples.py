"""FIN messages written by other people: the definitions accept them, or refuse them for a reason that is known."""

from __future__ import annotations

import json
import re
from collections import Counter

from tests.fin_documents import fields_of, judge

from .reference import needs_reference, shared

pytestmark = needs_reference

_BLOCK_4 = re.compile(r"\{4:\r?\n(.*?)\r?\n-\}", re.DOTALL)
_VARIANT = re.compile(r"\{119:(STP|REMIT|COV)\}")

# What is wrong with the samples that are refused, by message type and where the first mistake is. The definitions are
# right in each: what is mandatory is left out, invented BICs are of no country, texts are longer than their field.
REASONS = {
    ("MT103", "/4/50a"): "a message that was cut short to show something else",
    ("MT103", "/4/121"): "a field of the user header, in the text",
    ("MT103", "/4/13C"): "a time indication with three parts more",
    ("MT103STP", "/4/20"): "a reference in arabic letters",
    ("MT103", "/4/36"): "two currencies without an exchange rate",
    ("MT202", "/4/32A/date"): "month 47",
    ("MT202", "/4/13C"): "a time indication without slashes",
    ("MT202COV", "/4/A/20"): "a reference of more than sixteen characters",
    ("MT202COV", "/4/A/32A"): "an amount without currency",
    ("MT300", "/4/A/15A"): "a message of another format, without sequences",
    ("MT540", "/4/C/36B/SETT"): "a quantity with one slash, to show that it is refused",
    ("MT900", "/4/25P"): "an account without the BIC that this option is for",
    ("MT910", "/4/72"): "lines of more than thirty-five characters",
    ("MT940", "/4/20"): "a reference of more than sixteen characters",
    ("MT940", "/4/R[1]/61"): "a reference of more than sixteen characters",
    ("MT940", "/4/R[3]/61"): "a reference of more than sixteen characters",
    ("MT940", "/4/60F/amount"): "decimals in a currency without",
    ("MT950", "/4/28C"): "a message that was cut short to show something else",
    ("MT950", "/4/61"): "details of more than thirty-four characters",
}


def samples() -> list[tuple[str, str]]:
    """Return message type and block 4 of every sample that has fields and is whole."""
    found = []
    for entry in json.loads((shared() / "samples" / "index.json").read_text()):
        if entry["kind"] != "mt" or entry["message_id"] == "ACK_NAK" or not entry["well_formed"]:
            continue
        text = (shared() / "samples" / entry["file"]).read_text(encoding="utf-8", errors="replace")
        block = _BLOCK_4.search(text)
        if block is not None and not entry["empty_body"] and not entry["code_artefacts"]:
            variant = _VARIANT.search(text)
            message_type = f"{entry['message_id']}{variant[1] if variant else ''}"
            found.append((message_type, block[1].replace("\r", "")))
    return found


def test_samples_are_accepted_or_refused_for_a_known_reason() -> None:
    accepted: Counter[str] = Counter()
    reasons: set[tuple[str, str]] = set()
    for message_type, text in samples():
        errors = [one for one in judge().judge(fields_of(text), message_type) if one.severity == "error"]
        if errors:
            first = min(errors, key=lambda one: one.line or 0)
            reasons.add((message_type, first.path))
        else:
            accepted[message_type] += 1
    assert reasons == set(REASONS)
    assert accepted.total() >= 50
    types = ("103", "202", "300", "515", "540", "541", "543", "900", "910", "940", "950")
    assert set(accepted) >= {f"MT{each}" for each in types}
