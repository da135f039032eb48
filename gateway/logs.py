"""Structured logs: JSON lines in production, coloured on a terminal. Event names and fields are an interface.

Every line carries identifiers to correlate by (event, trade, instruction, message, channel); never payloads, account
numbers or secrets: loops log identifiers and codes only, and texts of violations stay in the ledger.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.config import LoggingSettings

_encode = msgspec.json.Encoder(enc_hook=str).encode


def _drop_absent(_logger: Any, _name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _tell_exception(_logger: Any, _name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Say where an exception came from; what it says may quote a payload and is left out, unless it is ours."""
    given = fields.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None:
        fields["exception"] = "\n".join(_told(error))
    return fields


def _told(error: BaseException) -> Iterator[str]:
    # Of ours only the retriable ones speak of brokers and ledgers alone; the others quote what was refused.
    said = f": {error.text}" if isinstance(error, GatewayError) and error.retriable else ""
    yield f"{type(error).__name__}{said}"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno} {frame.name}"
    for inner in getattr(error, "exceptions", ()):
        yield from _told(inner)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _told(before)


def _render(_logger: Any, _name: str, fields: dict[str, Any]) -> bytes:
    return _encode(fields)


class _Forward(logging.Handler):
    """Let what libraries log through the standard library appear in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record of a library as ``library.logged``."""
        try:
            write = structlog.get_logger(record.name).log
            write(record.levelno, "library.logged", library=record.name, text=record.getMessage())
        except Exception:
            self.handleError(record)


def configure_logging(settings: LoggingSettings) -> None:
    """Set up structlog for this process; libraries are heard from warnings up."""
    level = getattr(logging, settings.level.upper())
    on_terminal = settings.format == "console" or (
        settings.format == "auto" and settings.file is None and sys.stderr.isatty()
    )
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_absent,
        _tell_exception,
    ]
    factory: Any
    if on_terminal:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
        factory = structlog.PrintLoggerFactory(sys.stderr)
    else:
        processors.append(_render)
        if settings.file is not None:
            settings.file.parent.mkdir(parents=True, exist_ok=True)
            factory = structlog.BytesLoggerFactory(settings.file.open("ab"))
        else:
            factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward(logging.WARNING)]
    root.setLevel(logging.WARNING)
