"""The fields of block 4 of a FIN message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One field: tag (``20C``), what stands after ``:20C:`` with lines joined by a line feed, and its line (from 1)."""

    tag: str
    value: str
    line: int = 0
