"""One contract for every carrier, and what only the folder carrier or only the Kafka carrier must do."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.bus import Bus, KafkaSettings, Record
from gateway.errors import BusUnavailable, InDoubt, NotSent, Refused, TransportError
from gateway.model.profile import Carrier, FolderCarrier, KafkaCarrier, Limits, Profile
from gateway.transports import Incoming, Outgoing, Sent, Transport, folder, open_transport
from tests.conftest import Broker, unique

LARGE = 400_000


@dataclass
class Channel:
    """A channel under test: both ends of it, each with a bus of its own."""

    ours: Profile
    theirs: Profile
    settings: KafkaSettings

    @asynccontextmanager
    async def open(self, profile: Profile, group: str) -> AsyncIterator[Transport]:
        settings = self.settings.model_copy(update={"group": group})
        async with Bus(settings) as bus, open_transport(profile, bus) as transport:
            yield transport

    def us(self) -> AbstractAsyncContextManager[Transport]:
        return self.open(self.ours, "gateway")

    def them(self) -> AbstractAsyncContextManager[Transport]:
        return self.open(self.theirs, "simulator")


def profile(channel: Carrier, limits: Limits | None = None) -> Profile:
    return Profile(bic="CUSTDEFFXXX", name="Custodian", channel=channel, limits=limits or Limits())


def folder_pair(path: Path, **options: float) -> tuple[FolderCarrier, FolderCarrier]:
    (path / "out").mkdir()
    (path / "in").mkdir()
    names = (str(path / "out"), str(path / "in"))
    times = {"poll_seconds": 0.02, **options}
    return (
        FolderCarrier(outbound=names[0], inbound=names[1], **times),
        FolderCarrier(outbound=names[1], inbound=names[0], **times),
    )


@pytest.fixture(params=["folder", "kafka-embedded", pytest.param("kafka", marks=pytest.mark.backend)])
async def channel(request: pytest.FixtureRequest, tmp_path: Path) -> Channel:
    if request.param == "folder":
        ours, theirs = folder_pair(tmp_path)
        return Channel(profile(ours), profile(theirs), KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    broker: Broker = request.getfixturevalue("kafka" if request.param == "kafka" else "embedded_broker")
    out, back = unique("to.custodian"), unique("from.custodian")
    async with Bus(broker.settings()) as bus:
        await bus.ensure_topics([out, back], partitions=2)
    return Channel(
        profile(KafkaCarrier(outbound_topic=out, inbound_topic=back)),
        profile(KafkaCarrier(outbound_topic=back, inbound_topic=out)),
        broker.settings(),
    )


def messages(count: int, key: str = "TRANSACTION00001") -> list[Outgoing]:
    return [Outgoing(f"MESSAGE{n:06d}", key, f"<Document>{n} € \n</Document>\r\n".encode()) for n in range(count)]


async def receive(transport: Transport, count: int) -> list[Incoming]:
    received: list[Incoming] = []
    async with asyncio.timeout(30):
        while len(received) < count:
            received += await transport.receive(count - len(received))
    return received


# --- the contract -----------------------------------------------------------------------------------------------------


async def test_the_other_side_gets_the_exact_bytes_in_order(channel: Channel) -> None:
    sent = messages(25)
    async with channel.us() as us, channel.them() as them:
        outcomes = await us.send(sent)
        received = await receive(them, 25)
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert len({outcome.reference for outcome in outcomes if isinstance(outcome, Sent)}) == 25
    assert [item.content for item in received] == [item.content for item in sent]
    assert len({item.carrier_key for item in received}) == 25


async def test_what_was_acknowledged_never_comes_again_and_the_rest_does_in_order(channel: Channel) -> None:
    sent = messages(10)
    async with channel.us() as us:
        await us.send(sent)
    async with channel.them() as them:
        received = await receive(them, 10)
        await them.acknowledge(received[:4])
    async with channel.them() as them:
        again = await receive(them, 6)
        assert again == received[4:]
        await them.acknowledge(again)
        await them.acknowledge(again)
    async with channel.us() as us, channel.them() as them:
        await us.send([Outgoing("LAST", "T", b"last")])
        assert [item.content for item in await receive(them, 1)] == [b"last"]


async def test_acknowledging_later_messages_does_not_lose_earlier_ones(channel: Channel) -> None:
    async with channel.us() as us:
        await us.send(messages(6))
    async with channel.them() as them:
        received = await receive(them, 6)
        await them.acknowledge(received[3:])
    async with channel.them() as them:
        again = await receive(them, 3)
    assert again[:3] == received[:3]


async def test_both_directions_are_independent(channel: Channel) -> None:
    async with channel.us() as us, channel.them() as them:
        await us.send([Outgoing("OUT", "T", b"instruction")])
        await them.send([Outgoing("BACK", "T", b"status")])
        assert [item.content for item in await receive(us, 1)] == [b"status"]
        assert [item.content for item in await receive(them, 1)] == [b"instruction"]


async def test_a_large_message_passes_and_one_over_the_limit_is_refused_alone(channel: Channel) -> None:
    large = bytes(range(256)) * (LARGE // 256)
    over = b"x" * 1_000_001
    async with channel.us() as us, channel.them() as them:
        outcomes = await us.send([Outgoing("A", "T1", large), Outgoing("B", "T2", over), Outgoing("C", "T3", b"small")])
        received = await receive(them, 2)
    assert [type(outcome) for outcome in outcomes] == [Sent, Refused, Sent]
    assert isinstance(outcomes[1], Refused)
    assert outcomes[1].code == "message_too_large"
    assert sorted(item.content for item in received) == sorted([large, b"small"])


async def test_a_repeat_with_the_mark_is_delivered_beside_the_first(channel: Channel) -> None:
    first = Outgoing("MESSAGE1", "T", b"original")
    repeat = Outgoing("MESSAGE1", "T", b"marked", possible_duplicate=True)
    async with channel.us() as us, channel.them() as them:
        assert us.carries_possible_duplicate_mark
        outcomes = await us.send([first]) + await us.send([repeat])
        received = await receive(them, 2)
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert [item.content for item in received] == [b"original", b"marked"]


async def test_receive_waits_and_can_be_cancelled_without_losing_anything(channel: Channel) -> None:
    async with channel.us() as us, channel.them() as them:
        waiting = asyncio.create_task(them.receive(10))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await us.send(messages(1))
        assert len(await receive(them, 1)) == 1


async def test_sending_nothing_is_nothing(channel: Channel) -> None:
    async with channel.us() as us:
        assert await us.send([]) == []


async def test_a_working_channel_passes_its_probe(channel: Channel) -> None:
    async with channel.us() as us:
        await us.probe()


# --- the folder carrier -----------------------------------------------------------------------------------------------


@dataclass
class Folders:
    transport: Transport
    profile: Profile
    out: Path
    inbound: Path

    def put(self, name: str, content: bytes = b"<Document/>") -> Path:
        path = self.inbound / name
        path.write_bytes(content)
        return path


@pytest.fixture
async def folders(tmp_path: Path) -> AsyncIterator[Folders]:
    ours, _ = folder_pair(tmp_path)
    async with Bus(KafkaSettings()) as bus:
        limits = Limits(max_message_bytes=1000, send_timeout_seconds=0.5)
        own = profile(ours, limits)
        async with open_transport(own, bus) as transport:
            yield Folders(transport, own, tmp_path / "out", tmp_path / "in")


async def test_file_names_sort_in_sending_order_and_carry_identifier_and_mark(folders: Folders) -> None:
    batches = [messages(3), [Outgoing("MESSAGE000009", "T", b"x", possible_duplicate=True)]]
    references = [outcome.reference for batch in batches for outcome in await folders.transport.send(batch)]  # type: ignore[union-attr]
    assert sorted(os.listdir(folders.out)) == references
    assert re.fullmatch(r"\d{8}T\d{12}Z-MESSAGE000000\.xml", references[0])
    assert references[3].endswith("Z-MESSAGE000009-pde.xml")


async def test_file_names_sort_behind_those_that_are_there_when_the_clock_is_set_back(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders.out / "of-somebody-else.xml").write_bytes(b"x")
    before = await folders.transport.send(messages(2))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    async with Bus(KafkaSettings()) as bus, open_transport(folders.profile, bus) as restarted:
        after = await restarted.send([Outgoing("MESSAGE000009", "T", b"x")])
    references = [outcome.reference for outcome in (*before, *after) if isinstance(outcome, Sent)]
    assert len(references) == 3
    assert sorted(os.listdir(folders.out)) == [*references, "of-somebody-else.xml"]


async def test_the_same_message_again_is_already_sent(folders: Folders) -> None:
    first = await folders.transport.send(messages(1))
    assert await folders.transport.send(messages(1)) == first
    assert len(os.listdir(folders.out)) == 1


async def test_the_same_identifier_with_other_content_is_refused_and_holds_its_transaction(folders: Folders) -> None:
    await folders.transport.send([Outgoing("M1", "T1", b"one")])
    outcomes = await folders.transport.send(
        [Outgoing("M1", "T1", b"other"), Outgoing("M2", "T1", b"x"), Outgoing("M3", "T2", b"y")]
    )
    assert [getattr(outcome, "code", "sent") for outcome in outcomes] == [
        "file_exists_with_other_content",
        "earlier_message_refused",
        "sent",
    ]


async def test_an_identifier_cannot_leave_the_folder(folders: Folders) -> None:
    [outcome] = await folders.transport.send([Outgoing("../../etc/x y", "T", b"x")])
    assert isinstance(outcome, Sent)
    assert os.listdir(folders.out) == [outcome.reference]


async def test_file_and_folder_are_synced_before_it_counts_as_sent(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, os.rename

    def note_sync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        steps.append("sync folder" if path.is_dir() else f"sync {path.suffix}")
        sync(descriptor)

    def note_rename(source: Path, target: Path) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    await folders.transport.send(messages(2))
    assert steps == ["sync .tmp", "rename", "sync .tmp", "rename", "sync folder"]


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(errno.ENOSPC, "disk_full", "disk is full"), (errno.EIO, "folder_failed", "nput/output"),
     (errno.EACCES, "folder_not_permitted", "access is denied")],
    ids=["full", "broken", "denied"],
)  # fmt: skip
async def test_a_failing_disk_leaves_nothing_behind_and_what_follows_waits(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, number: int, code: str, words: str
) -> None:
    sync = os.fsync
    calls = iter([None, number])

    def fail_second(descriptor: int) -> None:
        failure = next(calls, None)
        if failure is not None:
            raise OSError(failure, os.strerror(failure))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_second)
    outcomes = await folders.transport.send(messages(3))
    assert isinstance(outcomes[0], Sent)
    assert all(isinstance(outcome, NotSent) and outcome.code == code for outcome in outcomes[1:])
    assert words in outcomes[1].text  # type: ignore[union-attr]
    assert os.listdir(folders.out) == [outcomes[0].reference]
    assert [type(outcome) for outcome in await folders.transport.send(messages(3))] == [Sent] * 3


async def test_files_whose_folder_could_not_be_synced_are_in_doubt(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(folder, "_sync_folder", fail)
    outcomes = await folders.transport.send(messages(2))
    assert [type(outcome) for outcome in outcomes] == [InDoubt, InDoubt]


async def test_a_hanging_disk_puts_the_batch_in_doubt_and_nothing_overtakes_it(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    sync = os.fsync

    def hang(descriptor: int) -> None:
        released.wait(20)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", hang)
    [doubtful] = await folders.transport.send(messages(1))
    [later] = await folders.transport.send(messages(1))
    released.set()
    assert isinstance(doubtful, InDoubt)
    assert isinstance(later, NotSent)
    assert later.code == "earlier_send_unresolved"


async def test_an_absent_folder_is_never_created_and_works_once_it_is_there(tmp_path: Path) -> None:
    ours, _ = folder_pair(tmp_path)
    (tmp_path / "out").rmdir()
    (tmp_path / "in").rmdir()
    async with Bus(KafkaSettings()) as bus, open_transport(profile(ours), bus) as transport:
        [outcome] = await transport.send(messages(1))
        assert isinstance(outcome, NotSent)
        assert outcome.code == "folder_absent"
        with pytest.raises(TransportError, match="does not exist"):
            await transport.probe()
        with capture_logs() as lines:
            waiting = asyncio.create_task(transport.receive(1))
            async with asyncio.timeout(10):
                while not lines:
                    await asyncio.sleep(0.01)
                (tmp_path / "in").mkdir()
                (tmp_path / "in" / "a.xml").write_bytes(b"<a/>")
                assert [item.carrier_key for item in await waiting] == ["a.xml"]
        assert [line["code"] for line in lines] == ["folder_absent"]


async def test_unfinished_files_are_left_alone(folders: Folders) -> None:
    for name in (".hidden.xml", "a.xml.tmp", "b.part", "c.xml.filepart"):
        folders.put(name)
    folders.put("z.xml")
    assert [item.carrier_key for item in await receive(folders.transport, 1)] == ["z.xml"]


async def test_a_file_that_still_grows_is_not_read(folders: Folders) -> None:
    path = folders.put("grows.xml", b"<Doc")

    def look(limit: int) -> list[Incoming]:
        return [item for item, _ in folders.transport._look(limit)]  # type: ignore[attr-defined]

    assert look(10) == []
    path.write_bytes(b"<Document>")
    assert look(10) == []
    path.write_bytes(b"<Document></Document>")
    assert look(10) == []
    assert [item.content for item in look(10)] == [b"<Document></Document>"]


async def test_a_file_that_one_look_missed_is_not_overtaken_by_a_later_one(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir

    def look() -> list[str]:
        return [item.carrier_key for item, _ in folders.transport._look(10)]  # type: ignore[attr-defined]

    for name in ("1.xml", "2.xml", "3.xml"):
        folders.put(name)
    # A folder is read while it is written: what came before may be missed where what came behind it is seen.
    monkeypatch.setattr(os, "listdir", lambda path: [name for name in listed(path) if name != "1.xml"])
    assert look() == []
    monkeypatch.undo()
    assert look() == []
    assert look() == ["1.xml", "2.xml", "3.xml"]


async def test_what_can_never_be_read_goes_to_quarantine_and_the_rest_comes(folders: Folders) -> None:
    folders.put("1-large.xml", b"x" * 1001)
    (folders.inbound / "2-folder.xml").mkdir()
    (folders.inbound / "3-link.xml").symlink_to("/etc/hostname")
    os.mkfifo(folders.inbound / "4-pipe.xml")
    folders.put("5-good.xml")
    with capture_logs() as lines:
        assert [item.carrier_key for item in await receive(folders.transport, 1)] == ["5-good.xml"]
    codes = {line["file"]: line["code"] for line in lines}
    assert codes == {
        "1-large.xml": "inbound_too_large",
        "2-folder.xml": "inbound_not_a_file",
        "3-link.xml": "inbound_not_a_file",
        "4-pipe.xml": "inbound_not_a_file",
    }
    assert set(os.listdir(folders.inbound / "quarantine")) == set(codes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_without_permission_goes_to_quarantine(folders: Folders) -> None:
    folders.put("1-closed.xml").chmod(0)
    folders.put("2-open.xml")
    with capture_logs() as lines:
        assert [item.carrier_key for item in await receive(folders.transport, 1)] == ["2-open.xml"]
    assert [line["code"] for line in lines] == ["inbound_not_permitted"]


async def test_the_archive_keeps_every_file_of_the_same_name(folders: Folders) -> None:
    for content in (b"first", b"second"):
        folders.put("same.xml", content)
        [item] = await receive(folders.transport, 1)
        await folders.transport.acknowledge([item])
    kept = {path.name: path.read_bytes() for path in (folders.inbound / "archive").iterdir()}
    assert kept == {"same.xml": b"first", "same.1.xml": b"second"}
    assert [path for path in folders.inbound.iterdir() if path.is_file()] == []


# --- the Kafka carrier ------------------------------------------------------------------------------------------------


async def test_a_topic_that_is_absent_is_named_by_probe_and_send(embedded_broker: Broker) -> None:
    out = unique("absent")
    pair = KafkaCarrier(outbound_topic=out, inbound_topic=unique("absent"))
    async with Bus(embedded_broker.settings()) as bus, open_transport(profile(pair), bus) as transport:
        with pytest.raises(BusUnavailable, match=out):
            await transport.probe()
        [outcome] = await transport.send(messages(1))
    assert isinstance(outcome, NotSent)
    assert outcome.code == "topic_absent"


async def test_identifier_and_mark_travel_as_headers_and_order_by_transaction(embedded_broker: Broker) -> None:
    out = unique("to.custodian")
    async with Bus(embedded_broker.settings()) as bus:
        await bus.ensure_topics([out], partitions=3)
        pair = KafkaCarrier(outbound_topic=out, inbound_topic=out)
        async with open_transport(profile(pair), bus) as transport:
            await transport.send([Outgoing("M1", "T1", b"1"), Outgoing("M2", "T1", b"2", possible_duplicate=True)])
        async with bus.consumer([out], unique("group"), assigned=True) as consumer, asyncio.timeout(30):
            records: list[Record] = []
            while len(records) < 2:
                records += await consumer.poll()
    assert [(r.key, r.value) for r in records] == [(b"T1", b"1"), (b"T1", b"2")]
    assert records[0].headers == (("business-message-id", b"M1"),)
    assert records[1].headers == (("business-message-id", b"M2"), ("possible-duplicate", b"true"))
