"""What a translation says of itself: every value of the message that was translated, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.errors import InvalidMessage, Violation

KINDS: Final = ("carried", "derived", "truncated", "not_carried")
Kind = Literal["carried", "derived", "truncated", "not_carried"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One value: where it stood, where it stands now (None: nowhere), what it is, and why where that needs saying."""

    source: str | None
    target: str | None
    value: str
    why: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the parts that there are."""
        said = {"source": self.source, "target": self.target, "value": self.value, "why": self.why}
        return {name: text for name, text in said.items() if text is not None}


@dataclass(slots=True)
class Report:
    """The coverage of one translation. ``complete`` says that nothing of the source is lost."""

    carried: list[Entry] = field(default_factory=list)
    derived: list[Entry] = field(default_factory=list)
    truncated: list[Entry] = field(default_factory=list)
    not_carried: list[Entry] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Tell whether every value of the source is in the target as it was."""
        return not self.truncated and not self.not_carried

    def of(self, kind: Kind) -> list[Entry]:
        """Return the entries of one kind."""
        entries: list[Entry] = getattr(self, kind)
        return entries

    def as_json(self) -> dict[str, Any]:
        """Return all entries by kind."""
        return {kind: [entry.as_json() for entry in getattr(self, kind)] for kind in KINDS}


class Untranslatable(InvalidMessage):
    """Say that the target wants what the source does not say; ``report`` is how far it went."""

    code = "translation_incomplete"

    def __init__(self, text: str, violations: Sequence[Violation], report: Report) -> None:
        super().__init__(text, violations=violations)
        self.report = report
