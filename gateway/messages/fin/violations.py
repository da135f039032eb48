"""What is wrong with bytes that should be FIN, told alike wherever it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from gateway.errors import UnreadableMessage, Violation

MAX_VIOLATIONS: Final = 100
VALUE_LIMIT: Final = 140


def violation(
    code: str,
    path: str,
    rule: str,
    value: str | None,
    text: str,
    line: int | None,
    severity: Literal["error", "warning"] = "error",
) -> Violation:
    """State one violation; ``path`` is the block, perhaps with the tag (``4/20C``), and the value is cut."""
    value = value if value is None else value[:VALUE_LIMIT]
    return Violation(code, f"/{path}", rule, value, text, line, severity)


def too_large(what: str, unit: str, count: int, limit: int, line: int | None = None) -> Violation:
    """State that something has more than is accepted."""
    text = f"{what} has {count} {unit}; at most {limit} are accepted"
    return violation("fin_too_large", "4" if line else "", f"at most {limit} {unit}", str(count), text, line)


def unreadable(violations: Sequence[Violation]) -> UnreadableMessage:
    """Make the error of a message that these violations refuse; it is called by the first."""
    first = violations[0]
    return UnreadableMessage(first.text, code=first.code, violations=violations)


def shown(text: str) -> str:
    """Quote a text for a sentence, cut where it is long."""
    return repr(text[:VALUE_LIMIT]) if text else "nothing"
