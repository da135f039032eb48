"""The bus on the embedded broker and on Apache Kafka: what it promises to every room that uses it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete  # type: ignore[import-untyped]
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from gateway.bus import Bus, Consumer, KafkaSettings, Message, Record
from gateway.bus.connection import ended
from gateway.embedded import EmbeddedBroker, free_port
from gateway.errors import BusUnavailable, ConfigError, Conflict, InDoubt, NotSent, Refused
from tests.backends import KafkaBroker
from tests.conftest import Broker, absent, unique

StartKafka = Callable[..., KafkaBroker]


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    async with Bus(broker.settings()) as opened:
        yield opened


@pytest.fixture
async def topic(bus: Bus) -> str:
    name = unique("trade.events")
    await bus.ensure_topics([name], partitions=4)
    return name


def numbered(count: int, keys: int = 7) -> list[Message]:
    return [Message(f"trade-{n % keys}".encode(), str(n).encode()) for n in range(count)]


async def read(consumer: Consumer, count: int, commit: bool = True) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(60):
        while len(records) < count:
            batch = await consumer.poll()
            records += batch
            if batch and commit:
                assert await consumer.commit(batch) is None
    return records


def by_key(records: list[Record]) -> dict[bytes | None, list[int]]:
    values: dict[bytes | None, list[int]] = defaultdict(list)
    for record in records:
        values[record.key].append(int(record.value))
    return values


# --- on both brokers --------------------------------------------------------------------------------------------------


async def test_messages_arrive_once_in_order_per_key_with_headers_and_position(bus: Bus, topic: str) -> None:
    messages = [Message(m.key, m.value, [("note", m.value)]) for m in numbered(500)]
    outcomes = await bus.send(topic, messages)
    async with bus.consumer([topic], unique("group")) as consumer:
        records = await read(consumer, 500)
    assert by_key(records) == {f"trade-{k}".encode(): list(range(k, 500, 7)) for k in range(7)}
    assert {r.position: r.value for r in records} == dict(zip(outcomes, (m.value for m in messages), strict=True))
    assert all(r.headers == (("note", r.value),) for r in records)


async def test_a_new_group_starts_at_the_earliest_offset_and_goes_on_after_its_commit(bus: Bus, topic: str) -> None:
    group = unique("group")
    await bus.send(topic, numbered(50))
    async with bus.consumer([topic], group) as consumer:
        assert len(await read(consumer, 50)) == 50
    await bus.send(topic, [Message(b"late", b"50")])
    async with bus.consumer([topic], group) as consumer:
        assert [r.value for r in await read(consumer, 1)] == [b"50"]


async def test_what_was_not_committed_is_read_again(bus: Bus, topic: str) -> None:
    group = unique("group")
    await bus.send(topic, numbered(30))
    async with bus.consumer([topic], group) as consumer:
        first = await read(consumer, 30, commit=False)
        assert await consumer.commit(first[:10]) is None
    async with bus.consumer([topic], group) as consumer:
        again = await read(consumer, 20)
    assert {r.position for r in again} == {r.position for r in first[10:]}


async def test_one_poll_collects_a_batch_from_all_partitions(bus: Bus, topic: str) -> None:
    await bus.send(topic, numbered(250))
    async with bus.consumer([topic], unique("group")) as consumer:
        await consumer.start()
        sizes: list[int] = []
        async with asyncio.timeout(60):
            while sum(sizes) < 250:
                sizes.append(len(await consumer.poll(max_records=100, max_wait_ms=1500)))
    assert [size for size in sizes if size] == [100, 100, 50]


async def test_an_idle_poll_returns_nothing(bus: Bus, topic: str) -> None:
    async with bus.consumer([topic], unique("group"), assigned=True) as consumer:
        assert await consumer.poll(idle_ms=50) == []


async def test_a_cancelled_poll_loses_nothing(bus: Bus, topic: str) -> None:
    async with bus.consumer([topic], unique("group"), assigned=True) as consumer:
        await consumer.start()
        poll = asyncio.create_task(consumer.poll(max_records=11, max_wait_ms=60_000, idle_ms=60_000))
        await bus.send(topic, numbered(10))
        async with asyncio.timeout(30):
            while len(consumer._held) < 10:  # the poll holds ten and waits for the eleventh
                await asyncio.sleep(0.01)
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        assert sorted(int(r.value) for r in await read(consumer, 10)) == list(range(10))


async def test_a_paused_reader_keeps_its_membership_and_reads_on_after_resume(broker: Broker, topic: str) -> None:
    async with Bus(broker.settings()) as bus, bus.consumer([topic], unique("group")) as consumer:
        await bus.send(topic, numbered(5))
        await read(consumer, 5)
        epoch = consumer._epoch
        consumer.pause()
        await bus.send(topic, numbered(5))
        for _ in range(4):
            assert await consumer.poll(idle_ms=int(broker.session_seconds * 400)) == []
        consumer.resume()
        assert len(await read(consumer, 5)) == 5
        assert consumer._epoch == epoch


async def test_members_joining_and_leaving_lose_and_double_nothing(broker: Broker, topic: str) -> None:
    group = unique("group")
    records: list[Record] = []
    enough = asyncio.Event()

    async def member(until: asyncio.Event) -> None:
        async with Bus(broker.settings()) as own, own.consumer([topic], group) as consumer:
            while not until.is_set():
                batch = await consumer.poll(idle_ms=100)
                if batch and not isinstance(await consumer.commit(batch), Conflict):
                    records.extend(batch)
                    if len(records) >= 600:
                        enough.set()

    leave = asyncio.Event()
    async with Bus(broker.settings()) as bus, asyncio.timeout(90):
        await bus.send(topic, numbered(200))
        async with asyncio.TaskGroup() as group_of_tasks:
            group_of_tasks.create_task(member(enough))
            group_of_tasks.create_task(member(leave))
            while len(records) < 200:
                await asyncio.sleep(0.05)
            await bus.send(topic, [Message(m.key, str(int(m.value) + 200).encode()) for m in numbered(200)])
            while len(records) < 400:
                await asyncio.sleep(0.05)
            leave.set()
            await bus.send(topic, [Message(m.key, str(int(m.value) + 400).encode()) for m in numbered(200)])
    assert sorted(int(r.value) for r in records) == list(range(600))


async def test_a_rebalance_waits_for_records_in_work_to_be_committed(broker: Broker, bus: Bus, topic: str) -> None:
    group = unique("group")
    revoked = asyncio.Event()

    async def on_revoked() -> None:
        revoked.set()

    await bus.send(topic, numbered(20))
    async with bus.consumer([topic], group, on_revoked=on_revoked) as first:
        batch: list[Record] = []
        async with asyncio.timeout(60):
            while not (batch := await first.poll(max_wait_ms=2000)):
                pass
            assert len(batch) == 20
            revoked.clear()
            async with Bus(broker.settings()) as other, other.consumer([topic], group) as second:
                joining = asyncio.create_task(second.start())
                while not first._revoking:
                    await asyncio.sleep(0.01)
                assert not revoked.is_set()
                assert await first.commit(batch) is None
                await revoked.wait()
                keep_polling = asyncio.create_task(read(first, 21))
                await joining
                assert await second.poll(idle_ms=1000) == []
                keep_polling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await keep_polling


async def test_records_abandoned_in_a_rebalance_are_read_by_the_other_and_cannot_be_committed(
    broker: Broker, topic: str
) -> None:
    group = unique("group")
    async with Bus(broker.settings(revoke_grace_seconds=0.1)) as bus, Bus(broker.settings()) as other:
        await bus.send(topic, numbered(20))
        async with bus.consumer([topic], group) as first, other.consumer([topic], group) as second:
            await first.start()
            batch: list[Record] = []
            while not batch:
                batch = await first.poll(max_wait_ms=2000)
            again: list[Record] = []

            async def read_both() -> None:
                for member in (first, second):
                    again.extend(await member.poll(idle_ms=100))

            await second.start()
            async with asyncio.timeout(60):
                while len(again) < 20:
                    await read_both()
            assert isinstance(await first.commit(batch), Conflict)
            assert {r.position for r in again} == {r.position for r in batch}


async def test_assigned_readers_share_no_group_and_continue_from_their_offsets(bus: Bus, topic: str) -> None:
    group = unique("group")
    await bus.send(topic, numbered(40))
    async with bus.consumer([topic], group, assigned=True) as consumer:
        records = await read(consumer, 40)
        assert len(consumer.assignment) == 4
    assert by_key(records) == {f"trade-{k}".encode(): list(range(k, 40, 7)) for k in range(7)}
    await bus.send(topic, [Message(b"k", b"40")])
    async with bus.consumer([topic], group, assigned=True) as consumer:
        assert [r.value for r in await read(consumer, 1)] == [b"40"]


async def test_a_topic_that_is_absent_is_named_and_never_created(bus: Bus) -> None:
    name = unique("nobody.made.this")
    [outcome] = await bus.send(name, [Message(b"k", b"v")])
    assert isinstance(outcome, NotSent)
    assert outcome.code == "topic_absent"
    assert name in outcome.text
    async with bus.consumer([name], unique("group")) as consumer:
        with pytest.raises(BusUnavailable, match=name) as caught:
            await consumer.poll()
    assert caught.value.code == "topic_absent"
    with pytest.raises(BusUnavailable, match=name):
        await bus.check_topics([name])


async def test_a_message_over_the_limit_is_refused_alone_and_holds_later_ones_of_its_key(
    broker: Broker, topic: str
) -> None:
    async with Bus(broker.settings(max_request_bytes=1000)) as bus:
        outcomes = await bus.send(
            topic,
            [Message(b"a", b"1"), Message(b"a", b"x" * 1001), Message(b"a", b"3"), Message(b"b", b"4" * 900)],
        )
        async with bus.consumer([topic], unique("group"), assigned=True) as consumer:
            records = await read(consumer, 2)
    assert isinstance(outcomes[1], Refused)
    assert outcomes[1].code == "message_too_large"
    assert isinstance(outcomes[2], NotSent)
    assert outcomes[2].code == "earlier_message_refused"
    assert {r.position for r in records} == {outcomes[0], outcomes[3]}


# --- what is wrong is said --------------------------------------------------------------------------------------------


async def explained(**settings: object) -> BusUnavailable:
    async with Bus(KafkaSettings.model_validate({"start_timeout_seconds": 0.5, **settings})) as bus:
        cause = await bus.explain()
    assert cause is not None
    return cause


async def test_a_name_that_does_not_resolve_is_said() -> None:
    cause = await explained(bootstrap_servers="no-such-broker.invalid:9092")
    assert cause.code == "broker_name_unknown"
    assert "no-such-broker.invalid" in cause.text


async def test_a_port_without_a_broker_is_said() -> None:
    server = f"127.0.0.1:{free_port()}"
    cause = await explained(bootstrap_servers=server)
    assert cause.code == "broker_unreachable"
    assert server in cause.text
    assert "refused" in cause.text


async def test_a_listener_that_is_not_kafka_is_said() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        cause = await explained(bootstrap_servers=f"127.0.0.1:{port}")
    assert cause.code == "broker_not_kafka"
    assert "HTTP" in cause.text


async def test_tls_towards_a_plain_listener_is_said(broker: Broker) -> None:
    cause = await explained(bootstrap_servers=broker.bootstrap_servers, security_protocol="SSL")
    assert cause.code == "broker_tls_failed"


async def test_the_second_of_two_servers_is_enough(broker: Broker) -> None:
    servers = f"127.0.0.1:{free_port()},{broker.bootstrap_servers}"
    async with Bus(broker.settings(bootstrap_servers=servers)) as bus:
        assert await bus.explain() is None


async def test_unusable_tls_files_stop_the_start_and_are_named(tmp_path: Path) -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_ca_file=str(tmp_path / "absent.pem"))
    async with Bus(settings) as bus:
        with pytest.raises(ConfigError, match=r"absent\.pem"):
            await bus.explain()


def test_incomplete_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="sasl_username"):
        KafkaSettings(security_protocol="SASL_SSL")
    with pytest.raises(ValidationError, match="ssl_key_file"):
        KafkaSettings(ssl_certificate_file="client.pem")
    assert "secret-word" not in repr(KafkaSettings(sasl_username="u", sasl_password=SecretStr("secret-word")))


async def test_a_broker_that_is_away_is_reported_once_and_used_again_when_it_is_back() -> None:
    running = EmbeddedBroker()
    running.start()
    settings = running.settings.model_copy(update={"start_timeout_seconds": 1.0})
    try:
        with capture_logs() as lines:
            async with Bus(settings) as bus, bus.consumer(["t"], "g", assigned=True) as consumer:
                await bus.ensure_topics(["t"], partitions=1)
                assert await bus.send("t", [Message(b"k", b"1")]) == ["t/0/0"]
                running.kill()
                for _ in range(3):
                    [outcome] = await bus.send("t", [Message(b"k", b"2")], 1.0)
                    assert isinstance(outcome, NotSent | InDoubt)
                    with pytest.raises(BusUnavailable, match="refused"):
                        await consumer.poll()
                assert bus.available is False
                running.start()
                await bus.ensure_topics(["t"], partitions=1)
                async with asyncio.timeout(30):
                    while (outcome := (await bus.send("t", [Message(b"k", b"3")]))[0]) != "t/0/0":
                        assert isinstance(outcome, NotSent | InDoubt)
                assert [r.value for r in await read(consumer, 1)] == [b"3"]
                assert bus.available is True
    finally:
        running.stop()
    changes = [line["event"] for line in lines if line["event"] in ("bus.available", "bus.unavailable")]
    assert changes == ["bus.available", "bus.unavailable", "bus.available"]


def test_an_embedded_broker_that_cannot_start_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        other = EmbeddedBroker(taken.getsockname()[1])
        with pytest.raises(BusUnavailable, match="did not start") as caught:
            other.start()
    assert caught.value.code == "embedded_broker_failed"


# --- on Apache Kafka only ---------------------------------------------------------------------------------------------


@pytest.mark.backend
async def test_the_producer_is_idempotent_where_the_broker_can(kafka: Broker) -> None:
    topic = unique("status")
    with capture_logs() as lines:
        async with Bus(kafka.settings()) as bus:
            await bus.ensure_topics([topic], partitions=1)
            await bus.send(topic, numbered(3))
    assert "bus_producer_not_idempotent" not in {line["event"] for line in lines}


@pytest.mark.backend
async def test_what_was_aborted_is_never_read(kafka: Broker) -> None:
    topic = unique("trade.events")
    async with Bus(kafka.settings()) as bus:
        await bus.ensure_topics([topic], partitions=1)
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=unique("tx")) as other:
            await other.begin_transaction()
            await other.send_and_wait(topic, b"aborted", key=b"k")
            await other.abort_transaction()
            async with other.transaction():
                await other.send_and_wait(topic, b"committed", key=b"k")
        async with bus.consumer([topic], unique("group")) as consumer:
            assert [r.value for r in await read(consumer, 1)] == [b"committed"]


@pytest.mark.backend
async def test_the_broker_refuses_a_large_message_and_only_that_one(kafka: Broker) -> None:
    topic = unique("status")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "2000"})])
    await admin.close()
    messages = [Message(f"k{n}".encode(), b"x" * (3000 if n == 13 else 100)) for n in range(40)]
    async with Bus(kafka.settings()) as bus:
        outcomes = await bus.send(topic, messages)
        async with bus.consumer([topic], unique("group"), assigned=True) as consumer:
            records = await read(consumer, 39)
    refused = outcomes.pop(13)
    assert isinstance(refused, Refused)
    assert refused.code == "message_too_large"
    assert [r.position for r in records] == outcomes


@pytest.mark.backend
async def test_an_offset_that_is_gone_stops_its_partition_and_no_other(kafka: Broker) -> None:
    topic, other, group = unique("trade.events"), unique("trade.events"), unique("group")
    async with Bus(kafka.settings()) as bus:
        await bus.ensure_topics([topic, other], partitions=1)
        await bus.send(topic, numbered(20))
        await bus.send(other, numbered(1))
        async with bus.consumer([topic, other], group) as consumer:
            records = await read(consumer, 21, commit=False)
            await consumer.commit([r for r in records if int(r.value) < 5])
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        # what a retention shorter than our absence does: the next event to read is deleted
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=10)})
        await admin.close()
        await bus.send(other, numbered(3))
        with capture_logs() as lines:
            async with bus.consumer([topic, other], group) as consumer:
                records = await read(consumer, 3)
                async with asyncio.timeout(30):
                    while not consumer.stopped:
                        records += await consumer.poll(idle_ms=100)
                assert consumer.stopped == {(topic, 0): "offset_out_of_range"}
                await bus.send(other, numbered(2))
                records += await read(consumer, 2)
    assert {r.topic for r in records} == {other}
    assert [line["topic"] for line in lines if line["event"] == "bus.partition_stopped"] == [topic]


@pytest.mark.backend
async def test_a_topic_made_anew_is_read_from_its_beginning(kafka: Broker) -> None:
    topic, group = unique("trade.events"), unique("group")
    async with Bus(kafka.settings()) as bus:
        await bus.ensure_topics([topic], partitions=1)
        await bus.send(topic, numbered(20))
        async with bus.consumer([topic], group) as consumer:
            await read(consumer, 20)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()
    async with Bus(kafka.settings()) as bus:
        await bus.ensure_topics([topic], partitions=1)
        await bus.send(topic, numbered(30))
        async with bus.consumer([topic], group) as consumer:
            assert [int(r.value) for r in await read(consumer, 30)] == list(range(30))


@pytest.mark.backend
async def test_a_kill_of_the_broker_loses_and_doubles_nothing(start_own_kafka: StartKafka) -> None:
    with start_own_kafka() as own:
        async with Bus(Broker("kafka", own.bootstrap_servers).settings()) as bus:
            await bus.ensure_topics(["t"], partitions=2)
            delivered: list[str] = []
            killed = asyncio.Event()

            async def publish() -> None:
                for start in range(0, 2000, 50):
                    pending = [Message(f"k{n % 5}".encode(), str(n).encode()) for n in range(start, start + 50)]
                    while pending:
                        outcomes = await bus.send("t", pending, 60)
                        assert not any(isinstance(outcome, InDoubt | Refused) for outcome in outcomes)
                        delivered.extend(outcome for outcome in outcomes if isinstance(outcome, str))
                        pending = [m for m, o in zip(pending, outcomes, strict=True) if isinstance(o, NotSent)]
                    if start == 500:
                        killed.set()

            async def break_it() -> None:
                await killed.wait()
                await asyncio.to_thread(own.kill)
                await asyncio.to_thread(own.start)

            async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
                tasks.create_task(publish())
                tasks.create_task(break_it())
            async with bus.consumer(["t"], "g") as consumer:
                records = await read(consumer, 2000)
                assert await consumer.poll(idle_ms=300) == []
    assert by_key(records) == {f"k{k}".encode(): list(range(k, 2000, 5)) for k in range(5)}
    assert sorted(delivered) == sorted(r.position for r in records)


@pytest.mark.backend
async def test_a_send_without_answer_is_in_doubt_and_nothing_overtakes_it(start_own_kafka: StartKafka) -> None:
    with start_own_kafka() as own:
        async with Bus(Broker("kafka", own.bootstrap_servers).settings(request_timeout_seconds=2.0)) as bus:
            await bus.ensure_topics(["t"], partitions=1)
            assert await bus.send("t", [Message(b"k", b"0")]) == ["t/0/0"]
            own.suspend()
            [doubtful] = await bus.send("t", [Message(b"k", b"1")], 0.5)
            [later] = await bus.send("t", [Message(b"k", b"2")], 0.5)
            own.resume()
            assert isinstance(doubtful, InDoubt)
            assert isinstance(later, NotSent)
            assert later.code == "earlier_send_unresolved"
            async with asyncio.timeout(60):
                while (repeated := (await bus.send("t", [Message(b"k", b"1 again")]))[0]) != "t/0/2":
                    assert isinstance(repeated, NotSent)
            async with bus.consumer(["t"], "g") as consumer:
                assert [r.value for r in await read(consumer, 3)] == [b"0", b"1", b"1 again"]


# --- TLS, SASL, authorisation -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, a broker certificate for localhost, and a client certificate, as PEM files."""
    openssl = shutil.which("openssl")
    if openssl is None:
        absent("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run([str(openssl), *words], cwd=folder, check=True, capture_output=True)

    for authority in ("ca", "stranger"):
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={authority}",
            "-keyout", f"{authority}.key", "-out", f"{authority}.pem")  # fmt: skip
    for name in ("broker", "client"):
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr")  # fmt: skip
        (folder / "names").write_text("subjectAltName=DNS:localhost\n")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", f"{name}.pem")  # fmt: skip
    parts = [(folder / name).read_text() for name in ("broker.key", "broker.pem", "ca.pem")]
    (folder / "broker-store.pem").write_text("".join(parts))
    return folder


@pytest.fixture(scope="session")
def secured(start_own_kafka: StartKafka, certificates: Path) -> Iterator[KafkaBroker]:
    """Start a Kafka with listeners for client certificates and for SCRAM, and authorisation."""
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "broker-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:CN=client;User:settlement",
    }
    users = (("settlement", "right-word"), ("nobody", "no-rights"))
    with start_own_kafka(protocols=("PLAINTEXT", "SSL", "SASL_SSL"), properties=properties, scram_users=users) as own:
        yield own


def secured_settings(secured: KafkaBroker, certificates: Path, **changes: object) -> dict[str, object]:
    protocol = str(changes.get("security_protocol", "SASL_SSL"))
    return {
        "bootstrap_servers": f"localhost:{secured.ports[protocol]}",
        "security_protocol": protocol,
        "ssl_ca_file": str(certificates / "ca.pem"),
        "session_timeout_seconds": 2.0,
        "heartbeat_seconds": 0.5,
        "start_timeout_seconds": 5.0,
        **({"sasl_username": "settlement", "sasl_password": "right-word"} if protocol == "SASL_SSL" else {}),
        **changes,
    }


@pytest.mark.backend
async def test_messages_go_over_tls_with_a_password_and_with_a_client_certificate(
    secured: KafkaBroker, certificates: Path
) -> None:
    topic = unique("secured")
    own = {"ssl_certificate_file": str(certificates / "client.pem"), "ssl_key_file": str(certificates / "client.key")}
    with_password = secured_settings(secured, certificates)
    with_certificate = secured_settings(secured, certificates, security_protocol="SSL", **own)
    async with Bus(KafkaSettings.model_validate(with_password)) as bus:
        await bus.ensure_topics([topic], partitions=1)
        assert await bus.send(topic, [Message(b"k", b"1")]) == [f"{topic}/0/0"]
    settings = KafkaSettings.model_validate(with_certificate)
    async with Bus(settings) as bus, bus.consumer([topic], unique("group")) as consumer:
        assert [r.value for r in await read(consumer, 1)] == [b"1"]


@pytest.mark.backend
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"sasl_password": "wrong-word"}, "broker_authentication_failed", "settlement"),
        ({"sasl_username": "stranger"}, "broker_authentication_failed", "stranger"),
        ({"sasl_mechanism": "PLAIN"}, "broker_authentication_failed", "mechanism PLAIN"),
        ({"ssl_ca_file": "stranger.pem"}, "broker_tls_failed", "ssl_ca_file"),
        ({"host": "127.0.0.1"}, "broker_tls_failed", "a name in the certificate"),
        ({"security_protocol": "SSL"}, "broker_tls_failed", "asks for a client certificate"),
        ({"plain": True}, "broker_tls_failed", "speaks TLS"),
    ],
    ids=["password", "user", "mechanism", "authority", "hostname", "client_certificate", "plain_towards_tls"],
)
async def test_why_a_secured_broker_refuses_is_said(
    secured: KafkaBroker, certificates: Path, changes: dict[str, object], code: str, words: str
) -> None:
    changes = dict(changes)
    host = changes.pop("host", "localhost")
    plain = changes.pop("plain", False)
    if "ssl_ca_file" in changes:
        changes["ssl_ca_file"] = str(certificates / str(changes["ssl_ca_file"]))
    settings = secured_settings(secured, certificates, **changes)
    settings["bootstrap_servers"] = str(settings["bootstrap_servers"]).replace("localhost", str(host))
    if plain:
        settings = {"bootstrap_servers": settings["bootstrap_servers"]}
    cause = await explained(**settings)
    assert (cause.code, words in cause.text) == (code, True), cause.text
    assert "word" not in cause.text.replace("password", "")


@pytest.mark.backend
async def test_a_wrong_password_is_reported_without_waiting_and_nothing_is_sent(
    secured: KafkaBroker, certificates: Path
) -> None:
    settings = secured_settings(secured, certificates, sasl_password="wrong-word", start_timeout_seconds=60.0)
    async with Bus(KafkaSettings.model_validate(settings)) as bus, asyncio.timeout(20):
        [outcome] = await bus.send("t", [Message(b"k", b"1")])
        assert isinstance(outcome, NotSent)
        assert outcome.code == "broker_authentication_failed"
        async with bus.consumer(["t"]) as consumer:
            with pytest.raises(BusUnavailable, match="settlement"):
                await consumer.poll()


@pytest.mark.backend
async def test_a_topic_without_permission_is_named(secured: KafkaBroker, certificates: Path) -> None:
    topic = unique("forbidden")
    async with Bus(KafkaSettings.model_validate(secured_settings(secured, certificates))) as bus:
        await bus.ensure_topics([topic], partitions=1)
    nobody = secured_settings(secured, certificates, sasl_username="nobody", sasl_password="no-rights")
    async with Bus(KafkaSettings.model_validate(nobody)) as bus:
        with pytest.raises(BusUnavailable, match=topic) as caught:
            await bus.check_topics([topic])
        assert caught.value.code == "topic_not_authorized"
        [outcome] = await bus.send(topic, [Message(b"k", b"1")])
        assert isinstance(outcome, NotSent)
        assert outcome.code == "topic_not_authorized"


async def test_closing_what_swallows_a_cancellation_does_not_swallow_that_of_the_caller() -> None:
    closed = asyncio.Event()

    async def closing() -> None:  # as aiokafka closes: the cancellation it waits for may be the caller's
        own = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        own.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await own
        closed.set()

    async def caller() -> None:
        await ended(closing())
        await asyncio.sleep(3600)

    for steps in range(1, 6):
        closed.clear()
        task = asyncio.create_task(caller())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        await asyncio.wait_for(closed.wait(), 5)
