"""The folder carrier: one file a message, complete and durable before it has its name."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import quote

import structlog

from gateway.bus import Bus
from gateway.errors import InDoubt, NotSent, Refused, TransportError
from gateway.model.profile import FolderCarrier, Profile
from gateway.transports import Incoming, Outcome, Outgoing, Sent

log = structlog.get_logger(__name__)

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", "~")
_ABANDONED_SECONDS = 3600
_WHAT_TO_DO = {
    errno.ENOSPC: ("disk_full", "the disk is full; make room"),
    errno.EDQUOT: ("disk_full", "the quota is used up; make room"),
    errno.ENOENT: ("folder_absent", "the folder does not exist; create or mount it, or correct the profile"),
    errno.ENOTDIR: ("folder_absent", "the path is not a folder; correct the profile"),
    errno.EACCES: ("folder_not_permitted", "access is denied; grant the gateway's user read, write and search"),
    errno.EPERM: ("folder_not_permitted", "access is denied; grant the gateway's user read, write and search"),
    errno.EROFS: ("folder_not_permitted", "the file system is read-only; mount it for writing"),
    errno.EXDEV: ("folder_on_other_device", "archive and quarantine must be on the file system of the inbound folder"),
}


_Facts = tuple[int, int, int]  # inode, size, time of change: the same name with other facts is another file


class FolderTransport:
    """A folder pair. A sent file is named ``<time>-<business message id>[-pde].xml``; names sort in sending order.

    They do also behind files of before that are still there, when the clock was set back or another machine took over.
    Sent means: written under a temporary name, synced, renamed, and the folder synced. Received files move to the
    archive when acknowledged; what can never be read (no plain file, too large, not permitted) moves to quarantine.
    """

    carries_possible_duplicate_mark = True

    def __init__(self, profile: Profile, bus: Bus) -> None:
        assert isinstance(profile.channel, FolderCarrier)
        carrier = profile.channel
        self._bic = profile.bic
        self._limits = profile.limits
        self._outbound = Path(carrier.outbound)
        self._inbound = Path(carrier.inbound)
        self._archive = Path(carrier.archive) if carrier.archive else self._inbound / "archive"
        self._quarantine = Path(carrier.quarantine) if carrier.quarantine else self._inbound / "quarantine"
        self._poll_seconds = carrier.poll_seconds
        self._last_name_time = 0
        self._writing: asyncio.Future[list[Outcome]] | None = None
        self._seen: dict[str, _Facts] = {}  # what the last look saw, by name
        self._taken: dict[str, _Facts] = {}  # received in this session, or given up; the name may come again
        self._reported: str | None = None

    async def __aenter__(self) -> Self:
        with contextlib.suppress(OSError):  # an absent folder is reported when it is used, and may be mounted later
            await asyncio.to_thread(self._tidy)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing}, timeout=self._limits.send_timeout_seconds)

    def _tidy(self) -> None:
        now = time.time()
        for entry in os.scandir(self._outbound):
            if entry.name.startswith(".") and entry.name.endswith(".xml.tmp"):
                with contextlib.suppress(OSError):
                    if now - entry.stat().st_mtime > _ABANDONED_SECONDS:
                        os.unlink(entry.path)

    # --- out ----------------------------------------------------------------------------------------------------------

    async def send(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Write a batch as files, synced; what a hanging disk does not finish in time is in doubt."""
        if self._writing is not None and not self._writing.done():
            text = f"an earlier write to {self._outbound} still hangs; nothing may overtake it"
            return [NotSent(text, code="earlier_send_unresolved") for _ in batch]
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, list(batch)))
        seconds = self._limits.send_timeout_seconds
        await asyncio.wait({self._writing}, timeout=seconds)
        if not self._writing.done():
            return [InDoubt(f"writing to {self._outbound} takes longer than {seconds} s") for _ in batch]
        return self._writing.result()

    def _write(self, batch: list[Outgoing]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        renamed: list[int] = []
        refused_keys: set[str] = set()
        failure: TransportError | None = None
        try:
            present = {_suffix(name): name for name in os.listdir(self._outbound) if name.endswith(".xml")}
        except OSError as error:
            failure = _not_sent(error, self._outbound)
            present = {}
        self._last_name_time = max(self._last_name_time, *map(_named_at, present.values()), 0)
        for item in batch:
            if failure is not None:
                outcomes.append(failure)  # in order: what follows a failed write waits with it
                continue
            outcome = self._refusal(item, present, refused_keys)
            if outcome is None:
                name = self._name(item)
                try:
                    self._write_file(name, item.content)
                    renamed.append(len(outcomes))
                    present[_suffix(name)] = name
                    outcome = Sent(name)
                except OSError as error:
                    outcome = failure = _not_sent(error, self._outbound)
            if isinstance(outcome, Refused):
                refused_keys.add(item.key)
            outcomes.append(outcome)
        try:
            if any(isinstance(outcome, Sent) for outcome in outcomes):
                _sync_folder(self._outbound)
        except OSError as error:
            doubt = InDoubt(f"{self._outbound}: the files are there but not certainly on disk: {error.strerror}")
            outcomes = [doubt if isinstance(outcome, Sent) else outcome for outcome in outcomes]
        return outcomes

    def _refusal(self, item: Outgoing, present: dict[str, str], refused_keys: set[str]) -> Outcome | None:
        """Return the outcome of an item that needs no writing; None when it is to be written."""
        limit = self._limits.max_message_bytes
        if item.key in refused_keys:
            return NotSent("an earlier message of the same transaction was refused", code="earlier_message_refused")
        if len(item.content) > limit:
            return Refused(
                f"the message has {len(item.content)} bytes; the channel's limit is {limit}", code="message_too_large"
            )
        name = present.get(_ending(item))
        if name is None:
            return None
        try:
            same = (self._outbound / name).read_bytes() == item.content
        except FileNotFoundError:  # fetched meanwhile by the other side, which is as good as any proof of sending
            return None
        except OSError as error:
            return _not_sent(error, self._outbound)
        if same:
            return Sent(name)
        return Refused(
            f"{self._outbound / name} exists with other content; a business message identifier names one message",
            code="file_exists_with_other_content",
        )

    def _name(self, item: Outgoing) -> str:
        self._last_name_time = max(time.time_ns() // 1000, self._last_name_time + 1)
        seconds, microseconds = divmod(self._last_name_time, 1_000_000)
        created = datetime.fromtimestamp(seconds, UTC)
        return f"{created:%Y%m%dT%H%M%S}{microseconds:06d}Z-{_ending(item)}"

    def _write_file(self, name: str, content: bytes) -> None:
        temporary = self._outbound / f".{name}.tmp"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.rename(temporary, self._outbound / name)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    # --- in -----------------------------------------------------------------------------------------------------------

    async def receive(self, limit: int) -> list[Incoming]:
        """Wait for finished files, sorted by name. A file is finished when two looks see the same size and time.

        What sorts behind an unfinished one waits for it: a look may list a file and miss one that was there before it.
        """
        while True:
            try:
                found = await asyncio.to_thread(self._look, limit)
                self._reported = None
            except OSError as error:
                found = []
                self._seen = {}
                cause = _not_sent(error, self._inbound)
                if cause.code != self._reported:
                    self._reported = cause.code
                    log.warning("channel.unavailable", counterparty=self._bic, code=cause.code, cause=cause.text)
            if found:
                self._taken = {name: facts for name, facts in self._taken.items() if name in self._seen}
                self._taken.update((item.carrier_key, facts) for item, facts in found)
                return [item for item, _ in found]
            await asyncio.sleep(self._poll_seconds)

    def _look(self, limit: int) -> list[tuple[Incoming, _Facts]]:
        names = sorted(name for name in os.listdir(self._inbound) if self._is_candidate(name))
        before, self._seen = self._seen, {}
        found: list[tuple[Incoming, _Facts]] = []
        behind = False
        for name in names:
            try:
                status = os.lstat(self._inbound / name)
            except FileNotFoundError:
                continue
            facts = self._seen[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._taken.get(name) == facts:
                continue
            behind = behind or before.get(name) != facts
            if behind or len(found) >= limit:
                continue
            content = self._read(name, status)
            if content is not None:
                found.append((Incoming(name, content), facts))
        return found

    def _is_candidate(self, name: str) -> bool:
        if name.startswith(".") or name.lower().endswith(_UNFINISHED):
            return False
        return self._inbound / name not in (self._archive, self._quarantine)

    def _read(self, name: str, status: os.stat_result) -> bytes | None:
        """Return the content, or None after moving what can never be read to quarantine."""
        limit = self._limits.max_message_bytes
        if not stat.S_ISREG(status.st_mode):  # a link could name any file of this machine, a pipe could hang
            self._put_aside(name, "inbound_not_a_file", "it is a folder, a link or a device")
            return None
        if status.st_size > limit:
            self._put_aside(name, "inbound_too_large", f"it has {status.st_size} bytes, the channel's limit is {limit}")
            return None
        try:
            descriptor = os.open(self._inbound / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                return file.read(limit + 1)
        except PermissionError:
            self._put_aside(name, "inbound_not_permitted", "the gateway's user may not read it")
        except FileNotFoundError:
            pass
        except OSError as error:
            self._put_aside(name, "inbound_unreadable", error.strerror or str(error))
        return None

    def _put_aside(self, name: str, code: str, why: str) -> None:
        moved = None
        try:
            moved = self._move(name, self._quarantine)
        except OSError as error:
            why = f"{why}; and it cannot be moved to quarantine: {error.strerror}"
            self._taken[name] = self._seen[name]
        log.error("inbound_file.quarantined", counterparty=self._bic, code=code, file=name, moved_to=moved, cause=why)

    def _move(self, name: str, folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        target = folder / name
        number = 0
        while os.path.lexists(target):  # the same name again is kept beside the first, never over it
            number += 1
            target = folder / f"{Path(name).stem}.{number}{Path(name).suffix}"
        os.rename(self._inbound / name, target)
        _sync_folder(folder)
        return str(target)

    async def acknowledge(self, incoming: Sequence[Incoming]) -> None:
        """Move files to the archive, durably; one that cannot be moved is reported, and comes again after a restart."""
        await asyncio.to_thread(self._let_go, [item.carrier_key for item in incoming])

    def _let_go(self, names: list[str]) -> None:
        for name in names:
            try:
                self._move(name, self._archive)
            except FileNotFoundError:
                continue  # acknowledged before, or taken away by hand
            except OSError as error:
                cause = _not_sent(error, self._archive)
                log.warning("inbound_file.not_archived", counterparty=self._bic, code=cause.code, file=name)
        with contextlib.suppress(OSError):
            _sync_folder(self._inbound)

    async def probe(self) -> None:
        """Check that both folders are there, writable, and that received files can be moved. Raises NotSent."""
        await asyncio.to_thread(self._try_folders)

    def _try_folders(self) -> None:
        for folder, made in (
            (self._outbound, False),
            (self._inbound, False),
            (self._archive, True),
            (self._quarantine, True),
        ):
            try:
                if made:
                    folder.mkdir(exist_ok=True)
                os.listdir(folder)
                trial = folder / f".probe-{os.getpid()}.tmp"
                trial.write_bytes(b"")
                trial.unlink()
                if made and os.stat(folder).st_dev != os.stat(self._inbound).st_dev:
                    raise OSError(errno.EXDEV, "another file system", str(folder))
            except OSError as error:
                raise _not_sent(error, folder) from error


def _ending(item: Outgoing) -> str:
    return f"{quote(item.business_message_id, safe='')}{'-pde' if item.possible_duplicate else ''}.xml"


def _named_at(name: str) -> int:
    """Return the time in a file's name in microseconds; 0 for a name that this carrier did not give."""
    try:
        created = datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return (created - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _suffix(name: str) -> str:
    return name.partition("-")[2]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_sent(error: OSError, folder: Path) -> NotSent:
    code, advice = _WHAT_TO_DO.get(error.errno or 0, ("folder_failed", error.strerror or str(error)))
    return NotSent(f"{folder}: {advice}", code=code)
