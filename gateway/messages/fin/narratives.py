"""What coded words say: in answers to cancellations (76), in rejections, returns and statuses (72, 79), of parties (J).

Public guidelines give them a form; other words stay the narrative that they are. The parts are elements of the field
beside its narrative: ``code``, ``reason_code``, ``original_reference`` and ``text``.
"""

from __future__ import annotations

import re
from typing import Final

PARTS: Final = ("code", "reason_code", "original_reference", "text")
CODED: Final = frozenset({"72", "76", "79"})
"""The fields whose narrative may be coded."""
PARTIES: Final = frozenset({"53J", "56J", "57J", "58J", "82J", "83J", "84J", "87J", "88J"})
"""The fields that say of a party what each of its lines is; their only part is ``bic``."""

ANSWER: Final = "76"
_AROUND: Final = {"code": ("/", "/"), "reason_code": ("", ""), "text": ("/", "")}
_ANSWER: Final = re.compile(r"/(?P<code>[A-Z]{4})/(?P<reason_code>[A-Z0-9]{4})?(?:/(?P<text>.*))?", re.DOTALL)
_REJECTION: Final = re.compile(
    r"/(?P<code>REJT|RETN)/[^\n]*\n/(?:XT99/)?(?P<reason_code>[A-Z]{2}[0-9]{2}|[A-Z]{4})(?:/(?P<words>[^\n]*))?"
    r"(?:\n(?P<more>.*))?",
    re.DOTALL,
)
_STATUS: Final = re.compile(
    r"//[0-9]{10}[+-][0-9]{4}\n//(?P<code>[A-Z]{4})(?:/(?P<reason_code>[A-Z0-9]{4}))?(?:\n(?P<text>.*))?", re.DOTALL
)
_BIC: Final = re.compile(r"^/ABIC/([A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)$", re.MULTILINE)
_LINE: Final = re.compile(r"/(MREF|TEXT)/([^\n]*)")


def around(tag: str, part: str) -> tuple[str, str] | None:
    """Return what stands before and behind a part of an answer where it is written; None for what says more than it."""
    return _AROUND.get(part) if tag == ANSWER else None


def said(tag: str, narrative: str) -> dict[str, str]:
    """Return the parts that a narrative has; none where it is not coded."""
    if tag in ("72", "79") and (rejection := _REJECTION.fullmatch(narrative)) is not None:
        return _rejected(rejection)
    pattern = {"76": _ANSWER, "79": _STATUS}.get(tag)
    found = pattern.fullmatch(narrative) if pattern else None
    return {} if found is None else {name: text for name, text in found.groupdict().items() if text}


def unsaid(tag: str, narrative: str) -> str:
    """Return the lines of a narrative that its parts do not say; all of them where it is not coded."""
    parts = said(tag, narrative)
    told = " ".join(parts.values())
    rest = []
    for line in narrative.splitlines() if parts else ():
        words = line.strip("/").split("/")
        if words[:1] and words[0] in ("MREF", "TEXT", "XT99"):
            words = words[1:]
        if not all(word in told for word in words):
            rest.append(line)
    return "\n".join(rest) if parts else narrative


def party(lines: str) -> dict[str, str]:
    """Return the BIC that the lines of a party give; none where it is not known to them."""
    found = _BIC.search(lines)
    return {} if found is None else {"bic": found[1]}


def _rejected(found: re.Match[str]) -> dict[str, str]:
    lines = dict(_LINE.findall(found["more"] or ""))
    parts = {
        "code": found["code"],
        "reason_code": found["reason_code"],
        "original_reference": lines.get("MREF"),
        "text": " ".join(filter(None, (found["words"], lines.get("TEXT")))),
    }
    return {name: text for name, text in parts.items() if text}
