"""Translation under test, at a time that does not move."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from gateway.messages.schema_files import load_catalogue
from gateway.messages.translation import Translation, Translator
from gateway.messages.validation import Validator

NOW = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)


@cache
def translator() -> Translator:
    return Translator(load_catalogue())


@cache
def validator() -> Validator:
    return Validator(load_catalogue())


def translate(content: bytes, to: str | None = None, **options: Any) -> Translation:
    return translator().translate(content, to, now=NOW, **options)
