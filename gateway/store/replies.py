"""The archive of replies: bytes first, then what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, text, update

from gateway.store import tables
from gateway.store.among import among
from gateway.store.pending import Pending
from gateway.store.rows import (
    ArchiveState,
    InstructionRow,
    WaitingReply,
)

UNKNOWN_HERE = ("reply_unknown_transaction", "reply_partly_unknown")  # codes of replies that what comes may explain

_KNOWN = select(tables.archive.c.digest, tables.archive.c.id).where(
    tables.archive.c.channel == bindparam("channel"),
    among(tables.archive.c.digest, "digests"),
)
_CLAIM = (
    select(tables.archive.c.id)
    .where(among(tables.archive.c.id, "ids"), tables.archive.c.state == 0)
    .order_by(tables.archive.c.id)
    .with_for_update(skip_locked=True)
)
_APPLIED = select(tables.archive.c.business_message_id, tables.archive.c.id, tables.archive.c.document_digest).where(
    tables.archive.c.channel == bindparam("channel"),
    among(tables.archive.c.business_message_id, "names"),
    tables.archive.c.state == ArchiveState.APPLIED,
)


@dataclass
class Archive(Pending):
    """Archive replies and say what became of them."""

    def archive(self, channel: str, incoming: Sequence[tuple[str, bytes, bytes]]) -> list[int | None]:
        """Archive (carrier key, content, digest); returns the archive number, None for bytes that are here already."""
        table = tables.archive
        digests = list({digest for _, _, digest in incoming})
        known = self.connection.execute(_KNOWN, {"channel": channel, "digests": digests})
        seen = {bytes(digest): number for digest, number in known}
        repeated: list[int] = []
        result: list[int | None] = []
        for carrier_key, content, digest in incoming:
            if digest in seen:
                repeated.append(seen[digest])
                result.append(None)
                continue
            number = self._allocate(table)
            seen[digest] = number
            result.append(number)
            self._rows[table].append(
                (number, channel, carrier_key, content, digest, self.now, 0, 0, None, None, None, None, None)
            )
        self._flush_rows(table)
        for number in repeated:
            self.connection.execute(update(table).where(table.c.id == number).values(repeats=table.c.repeats + 1))
        return result

    def waiting_replies(self, channel: str, limit: int) -> list[WaitingReply]:
        """Return archived replies of a channel that wait to be applied, in archive order."""
        table = tables.archive
        query = (
            select(table.c.id, table.c.content, table.c.repaired, table.c.carrier_key)
            .where(table.c.channel == channel, table.c.state == 0)
            .order_by(table.c.id)
            .limit(limit)
        )
        return [
            WaitingReply(r[0], bytes(r[2] if r[2] is not None else r[1]), r[3]) for r in self.connection.execute(query)
        ]

    def unapplied(self) -> int:
        """Count archived replies, of all channels, that wait to be applied."""
        query = select(func.count()).select_from(tables.archive).where(text("state = 0"))  # as its index says it
        return int(self.connection.execute(query).scalar_one())

    def claim_replies(self, archive_ids: Iterable[int]) -> set[int]:
        """Lock archived replies that still wait; one that another process has or had is left out."""
        return set(self.connection.execute(_CLAIM, {"ids": list(set(archive_ids))}).scalars())

    def replies_with(self, channel: str, business_message_ids: Iterable[str]) -> dict[str, tuple[int, bytes | None]]:
        """Return applied replies of a channel by business message identifier: (archive, document digest)."""
        wanted = {"channel": channel, "names": list(set(business_message_ids))}
        found = self.connection.execute(_APPLIED, wanted)
        return {row[0]: (row[1], None if row[2] is None else bytes(row[2])) for row in found}

    def instructions_replied_to(self, channel: str, business_message_ids: Iterable[str]) -> dict[str, int]:
        """Return the instruction that each applied reply of a channel was about, by business message identifier."""
        table = tables.archive
        found = self.connection.execute(
            select(table.c.business_message_id, table.c.instruction_id)
            .where(table.c.channel == channel, among(table.c.business_message_id, set(business_message_ids)))
            .where(table.c.state == ArchiveState.APPLIED, table.c.instruction_id.is_not(None))
        )
        return {row[0]: row[1] for row in found}

    def stated_in(self, row: InstructionRow) -> str | None:
        """Return the definition of the first message that was applied to what the other side began."""
        table = tables.archive
        query = (
            select(table.c.message_definition)
            .where(table.c.instruction_id == row.id, table.c.state == ArchiveState.APPLIED)
            .order_by(table.c.id)
            .limit(1)
        )
        return self.connection.execute(query).scalar()

    def unknown_replies(self, channel: str, limit: int) -> list[tuple[int, WaitingReply]]:
        """Return the newest open parked replies of a channel that name no transaction here: (parked item, reply)."""
        table, parked = tables.archive, tables.parked
        query = (
            select(parked.c.id, table.c.id, table.c.content, table.c.repaired, table.c.carrier_key)
            .join(table, table.c.id == parked.c.archive_id)
            .where(text("parked.state = 'open'"), parked.c.stage == "reply", parked.c.counterparty == channel)
            .where(parked.c.code.in_(UNKNOWN_HERE))
            .order_by(parked.c.id.desc())
            .limit(limit)
        )
        return [
            (r[0], WaitingReply(r[1], bytes(r[3] if r[3] is not None else r[2]), r[4]))
            for r in self.connection.execute(query)
        ]

    def parked_message(self, channel: str, business_message_id: str) -> list[tuple[int, int]]:
        """Return where a message of a channel is parked and open: (parked item, archive number)."""
        table, parked = tables.archive, tables.parked
        query = (
            select(parked.c.id, table.c.id)
            .join(table, table.c.id == parked.c.archive_id)
            .where(text("parked.state = 'open'"), parked.c.stage == "reply", parked.c.counterparty == channel)
            .where(table.c.business_message_id == business_message_id)
            .order_by(parked.c.id)
        )
        return [(row[0], row[1]) for row in self.connection.execute(query)]

    def set_archive(
        self,
        archive_id: int,
        state: ArchiveState,
        *,
        message_definition: str | None = None,
        business_message_id: str | None = None,
        document_digest: bytes | None = None,
        instruction_id: int | None = None,
    ) -> None:
        """Say what became of an archived reply."""
        self._archived.append(
            (int(state), message_definition, business_message_id, document_digest, instruction_id, archive_id)
        )
