"""Structured logs: JSON lines in production, coloured on a terminal. Event names and fields are an interface.

Every line carries identifiers to correlate by (event, trade, instruction, message, channel); never payloads, account
numbers or secrets: loops log identifiers and codes only, and texts of violations stay in the ledger.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

if TYPE_CHECKING:
    from gateway.config import LoggingSettings

_encode = msgspec.json.Encoder(enc_hook=str).encode


def _drop_absent(_logger: Any, _name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


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
        structlog.processors.format_exc_info,
    ]
    factory: Any
    if on_terminal:
        processors[-1:] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
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
