"""The ledger's tables. Values survive storage: see the three column types at the top.

Rows that other rows point to are never deleted. ``content`` columns hold exact bytes; digests are SHA-256 (32 bytes).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A timezone-aware instant, kept as UTC microseconds since 1970. A naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return microseconds; raises ValueError for a time without zone."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        return None if value is None else instant(value)


class Exact(TypeDecorator[Decimal]):
    """An amount or quantity: canonical decimal text on SQLite (which would make it a float), numeric on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the column type of the backend."""
        return dialect.type_descriptor(Numeric(38, 18, asdecimal=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Return a Decimal for PostgreSQL, canonical text for SQLite."""
        if value is None:
            return None
        return value if dialect.name == "postgresql" else canonical(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return the Decimal in canonical form."""
        return None if value is None else Decimal(canonical(Decimal(value)))


class BusinessDate(TypeDecorator[date]):
    """A date of the market's calendar: no time, no zone."""

    impl = Date
    cache_ok = True


@lru_cache(maxsize=64)  # all rows of a transaction have one time
def microseconds(value: datetime) -> int:
    """Return UTC microseconds since 1970 of an aware time; raises ValueError for a naive one."""
    if value.tzinfo is None:
        raise ValueError("a time without zone does not enter the ledger")
    return (value - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Return the UTC time of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def canonical(value: Decimal) -> str:
    """Return plain decimal text without exponent or trailing zeros: ``100``, ``0.5``."""
    shown = format(value, "f")
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


metadata = MetaData()
_Identity = BigInteger().with_variant(Integer, "sqlite")

event = Table(
    "event",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("kind", String(40)),
    Column("trade_id", Text),
    Column("trade_key", BigInteger),
    Column("instruction_number", Integer),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("disposition", String(12), nullable=False),  # applied | waiting | parked | held | discarded | cancelled
    Column("instruction_id", BigInteger),
    UniqueConstraint("source", "event_id", name="event_source_event_id"),
)
Index(
    "event_held",
    event.c.trade_key,
    sqlite_where=text("disposition = 'held'"),
    postgresql_where=text("disposition = 'held'"),
)

instruction = Table(
    "instruction",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("transaction_id", String(16), nullable=False),
    Column("source", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("trade_key", BigInteger, nullable=False),
    Column("dialogue", String(16), nullable=False),
    Column("instruction_number", Integer, nullable=False),
    Column("counterparty", String(11), nullable=False),
    Column("settlement_date", BusinessDate),
    Column("quantity", Exact),
    Column("amount", Exact),
    Column("currency", String(3)),
    Column("terms", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("headline", String(32), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("account_servicer_transaction_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("market_infrastructure_transaction_id", Text),
    Column("common_reference", Text),
    UniqueConstraint("transaction_id", name="instruction_transaction_id"),
    Index("instruction_trade", "trade_key"),
    Index("instruction_counterparty_date", "counterparty", "settlement_date"),
)
for _name, _column in (
    ("instruction_servicer", instruction.c.account_servicer_transaction_id),
    ("instruction_infrastructure", instruction.c.market_infrastructure_transaction_id),
    ("instruction_common", instruction.c.common_reference),
):
    _stated = text(f"{_column.name} IS NOT NULL")
    Index(_name, _column, sqlite_where=_stated, postgresql_where=_stated)

OPEN_ALLEGEMENT = "dialogue IN ('allegement', 'alleged_trade') AND headline IN ('alleged', 'agrees', 'differs')"
Index(
    "instruction_alleged",
    instruction.c.counterparty,
    sqlite_where=text(OPEN_ALLEGEMENT),
    postgresql_where=text(OPEN_ALLEGEMENT),
)

# What an instruction says it goes with, by whatever name it says it. Names are resolved when they are asked for, so
# that it does not matter which of the two comes first.
link = Table(
    "link",
    metadata,
    Column("instruction_id", BigInteger, nullable=False),
    Column("relation", String(24), nullable=False),
    Column("names", String(40), nullable=False),  # which identification the value is: model.facts.links
    Column("value", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("stated_at", Instant, nullable=False),
    Column("ended_by", String(35)),  # business message identifier of our request to unlink
    PrimaryKeyConstraint("instruction_id", "relation", "names", "value"),
    sqlite_with_rowid=False,
)
Index("link_value", link.c.value, link.c.names)

# Instructions to be looked at once more, with what goes with them or was alleged: one that ended without settling, that
# states links, or that is like what the other side began before it came.
recheck = Table(
    "recheck",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("instruction_id", BigInteger, nullable=False),
)

# What replies may name an instruction by beside its transaction identification: uetr, end_to_end_id.
reference = Table(
    "reference",
    metadata,
    Column("kind", String(32), nullable=False),
    Column("value", Text, nullable=False),
    Column("instruction_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "value", "instruction_id"),
    Index("reference_instruction", "instruction_id"),
)

document = Table(
    "document",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("instruction_id", BigInteger, nullable=False),
    Column("role", String(32), nullable=False),  # instruction | confirmation... | a request: cancellation...
    Column("cause", Text, nullable=False),
    Column("message_definition", String(20), nullable=False),
    Column("business_message_id", String(35), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("business_message_id", name="document_business_message_id"),
    Index("document_instruction", "instruction_id"),
)

# One row a document that is to be sent; the trade key keeps the items of a trade in order.
outbox = Table(
    "outbox",
    metadata,
    Column("document_id", BigInteger, nullable=False),
    Column("instruction_id", BigInteger, nullable=False),
    Column("trade_key", BigInteger, nullable=False),
    Column("channel", String(40), nullable=False),
    Column("state", SmallInteger, nullable=False),  # OutboxState
    Column("attempts", Integer, nullable=False),
    Column("in_doubt", Integer, nullable=False),  # how many attempts ended in doubt: above 0, a repeat carries the mark
    PrimaryKeyConstraint("document_id"),
)
_OPEN = text("state < 3")
Index("outbox_open", outbox.c.channel, outbox.c.document_id, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("outbox_open_trade", outbox.c.trade_key, outbox.c.document_id, sqlite_where=_OPEN, postgresql_where=_OPEN)

attempt = Table(
    "attempt",
    metadata,
    Column("document_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("possible_duplicate", SmallInteger, nullable=False),
    Column("content", LargeBinary),  # the exact bytes handed to the carrier; NULL where they are the document's own
    Column("digest", LargeBinary, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", String(12)),  # NULL while it runs | sent | not_sent | in_doubt | refused
    Column("code", Text),
    Column("reference", Text),
    PrimaryKeyConstraint("document_id", "number"),
    sqlite_with_rowid=False,
)

archive = Table(
    "archive",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("channel", String(40), nullable=False),
    Column("carrier_key", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("state", SmallInteger, nullable=False),  # ArchiveState
    Column("repeats", Integer, nullable=False),
    Column("message_definition", Text),
    Column("business_message_id", Text),
    Column(
        "document_digest", LargeBinary
    ),  # of the message without its header, to tell a marked repeat from a conflict
    Column("instruction_id", BigInteger),
    Column("repaired", LargeBinary),
    UniqueConstraint("channel", "digest", name="archive_channel_digest"),
)
_WAITING = text("state = 0")
Index("archive_waiting", archive.c.channel, archive.c.id, sqlite_where=_WAITING, postgresql_where=_WAITING)
Index(
    "archive_message",
    archive.c.channel,
    archive.c.business_message_id,
    sqlite_where=text("business_message_id IS NOT NULL"),
    postgresql_where=text("business_message_id IS NOT NULL"),
)
Index("archive_instruction", archive.c.instruction_id)

history = Table(
    "history",
    metadata,
    Column("instruction_id", BigInteger, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(40), nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),  # JSON: the changes, before and after, and the alerts
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("instruction_id", "sequence"),
    sqlite_with_rowid=False,
)

publication = Table(
    "publication",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("topic", String(12), nullable=False),  # status | exceptions
    Column("message_key", Text, nullable=False),
    Column("status_id", Text, nullable=False),
    Column("instruction_id", BigInteger),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("published_at", Instant),
)
_UNPUBLISHED = text("published_at IS NULL")
Index("publication_open", publication.c.id, sqlite_where=_UNPUBLISHED, postgresql_where=_UNPUBLISHED)

parked = Table(
    "parked",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("stage", String(12), nullable=False),  # event | send | reply
    Column("code", String(60), nullable=False),
    Column("text", Text, nullable=False),
    Column("violations", LargeBinary, nullable=False),
    Column("source", Text),
    Column("trade_id", Text),
    Column("trade_key", BigInteger),
    Column("instruction_number", Integer),
    Column("counterparty", String(11)),
    Column("event_row", BigInteger),
    Column("document_id", BigInteger),
    Column("archive_id", BigInteger),
    Column("instruction_id", BigInteger),
    Column("origin", Text, nullable=False),  # topic/partition/offset, or channel and carrier key
    Column("state", String(12), nullable=False),  # waiting | open | released | discarded | cancelled
    Column("repaired", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("closed_by", Text),
    Column("reason", Text),
    Column("awaits", String(16)),  # a request that came before its instruction: that one's transaction identification
)
_HOLDING = text("state IN ('open', 'waiting')")
Index("parked_holding", parked.c.trade_key, sqlite_where=_HOLDING, postgresql_where=_HOLDING)
_OPEN_PARKED = text("state = 'open'")
Index("parked_open_counterparty", parked.c.counterparty, sqlite_where=_OPEN_PARKED, postgresql_where=_OPEN_PARKED)
_WAITS = text("state = 'waiting'")
Index("parked_awaits", parked.c.awaits, sqlite_where=_WAITS, postgresql_where=_WAITS)
Index("parked_waiting", parked.c.created_at, sqlite_where=_WAITS, postgresql_where=_WAITS)

command = Table(
    "command",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("kind", String(12), nullable=False),  # repair | release | discard a parked item; answer an instruction
    Column("parked_id", BigInteger),
    Column("content", LargeBinary),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", String(12), nullable=False),  # waiting | done | refused
    Column("answer", Text),
    Column("done_at", Instant),
    Column("instruction_id", BigInteger),
)

lease = Table(
    "lease",
    metadata,
    Column("channel", String(40), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("next_attempt_at", Instant),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
)

# One row an instruction of ours: what it still has to have done by when. Written by the loop of deadlines only.
deadline = Table(
    "deadline",
    metadata,
    Column("instruction_id", _Identity, primary_key=True, autoincrement=False),
    Column("document_id", BigInteger, nullable=False),  # the last of its documents that was taken account of
    Column("next_at", Instant),  # when to look again; NULL once nothing more is to be told
    Column("content", LargeBinary, nullable=False),  # JSON: the deadlines, each with its stage
)
_TICKING = text("next_at IS NOT NULL")
Index("deadline_next", deadline.c.next_at, sqlite_where=_TICKING, postgresql_where=_TICKING)

# Cut-offs that operators set and clear while the gateway runs: append-only, the last row of a key holds.
cutoff = Table(
    "cutoff",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("action", String(8), nullable=False),  # set | clear
    Column("content", LargeBinary, nullable=False),  # JSON: the cut-off
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# How far a loop has come that follows rows of another table.
progress = Table(
    "progress",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# Statements -----------------------------------------------------------------------------------------------------------

# What a statement is beside its row among the instructions, to find the one before it and the pages that are missing.
statement = Table(
    "statement",
    metadata,
    Column("instruction_id", BigInteger, nullable=False),
    Column("counterparty", String(11), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("account", Text, nullable=False),  # empty where the statement names none
    Column("reference", Text, nullable=False),
    Column("number", BigInteger),
    Column("statement_date", BusinessDate),
    Column("stated_at", Instant),
    Column("update_kind", Text),
    Column("basis", Text),
    Column("last_page", Integer),  # NULL until the last page has come
    Column("pages", Integer, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("differences", BigInteger, nullable=False),
    Column("request_id", BigInteger),
    PrimaryKeyConstraint("instruction_id"),
    Index("statement_account", "counterparty", "kind", "account", "statement_date"),
)

statement_page = Table(
    "statement_page",
    metadata,
    Column("statement_id", BigInteger, nullable=False),
    Column("page", Integer, nullable=False),
    Column("archive_id", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of what it says, whatever its header
    Column("entries", Integer, nullable=False),
    Column("named", LargeBinary, nullable=False),  # JSON: the row numbers of our instructions that it lists
    PrimaryKeyConstraint("statement_id", "page"),
)

statement_position = Table(
    "statement_position",
    metadata,
    Column("statement_id", BigInteger, nullable=False),
    Column("page", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("account", Text, nullable=False),
    Column("instrument", Text, nullable=False),  # an ISIN or other identification; a currency
    Column("balance", Text, nullable=False),  # held, opening, closing; of cash: OPBD, CLBD...
    Column("value", Text, nullable=False),  # canonical: a token has up to 29 decimals; short and debit are negative
    Column("unit", String(20), nullable=False),  # unit, face_amount...; of cash: the currency
    Column("balance_date", BusinessDate),
    PrimaryKeyConstraint("statement_id", "page", "number"),
)

statement_difference = Table(
    "statement_difference",
    metadata,
    Column("statement_id", BigInteger, nullable=False),
    Column("page", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("code", String(60), nullable=False),
    Column("subject", Text, nullable=False),
    Column("field", String(40), nullable=False),
    Column("ours", Text),
    Column("theirs", Text),
    Column("transaction_id", String(16)),
    Column("found_at", Instant, nullable=False),
    PrimaryKeyConstraint("statement_id", "page", "number"),
)
