"""Reach the brokers, and say in plain words why not: aiokafka itself only says "unable to bootstrap"."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import structlog
from aiokafka import errors  # type: ignore[import-untyped]
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.conn import create_conn  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from gateway.errors import BusUnavailable, ConfigError
from gateway.model.connections import KafkaSettings

T = TypeVar("T")

log = structlog.get_logger(__name__)

_EXAMINE_SECONDS = 5.0
_EXPLANATION_HOLDS_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 3.0
# Request 18 (ApiVersions) version 0, correlation 7, client "gateway": any Kafka answers it, before authentication.
_API_VERSIONS = struct.pack(">hhih7s", 18, 0, 7, 7, b"gateway")


async def ended(closing: Coroutine[Any, Any, object]) -> None:
    """Close something of aiokafka, which takes a cancellation of the caller for one of its own and swallows it."""
    task = asyncio.ensure_future(closing)
    await asyncio.wait({task})
    task.result()


class Connection:
    """Share what producer, consumers and checks need: client options, state of the brokers, explained failures.

    ``available`` is None until the brokers were tried, then what was last seen. Each change of it is one log line.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.available: bool | None = None
        # With the brokers gone aiokafka logs thousands of lines; our one line a change of state says it better.
        library = logging.getLogger("aiokafka")
        if library.level == logging.NOTSET:
            library.setLevel(logging.CRITICAL + 1)
        self._options: dict[str, Any] | None = None
        self._explaining = asyncio.Lock()
        self._explained: tuple[float, BusUnavailable | None] | None = None
        self._examination: asyncio.Task[None] | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments every aiokafka client takes. Raises ConfigError for unusable TLS files."""
        if self._options is None:
            settings = self.settings
            self._options = {
                "bootstrap_servers": settings.bootstrap_servers,
                "client_id": settings.client_id,
                "request_timeout_ms": int(settings.request_timeout_seconds * 1000),
                "security_protocol": settings.security_protocol,
                "ssl_context": _ssl_context(settings),
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.sasl_username,
                "sasl_plain_password": settings.sasl_password.get_secret_value() if settings.sasl_password else None,
            }
        return self._options

    def seen_up(self) -> None:
        """Record that the brokers answered."""
        if self.available is not True:
            self.available = True
            log.info("bus.available", bootstrap_servers=self.settings.bootstrap_servers)

    def seen_down(self, cause: BusUnavailable) -> None:
        """Record that the brokers did not answer, and why."""
        if self.available is not False:
            self.available = False
            log.warning(
                "bus.unavailable",
                bootstrap_servers=self.settings.bootstrap_servers,
                code=cause.code,
                cause=cause.text,
            )

    def examine_soon(self) -> None:
        """Find out and report in the background why something had no answer, for callers that have no time left."""

        async def examine() -> None:
            cause = await self.explain()
            if cause is not None:
                self.seen_down(cause)

        if self._examination is None or self._examination.done():
            self._examination = asyncio.create_task(examine())

    async def close(self) -> None:
        """End what goes on in the background."""
        if self._examination is not None:
            self._examination.cancel()
            await asyncio.wait({self._examination})

    async def persist(self, work: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Try ``work`` until it succeeds or ``seconds`` are over, with growing pauses; raise BusUnavailable explained.

        What waiting cannot help within a start (an absent topic, a wrong password) is raised at once.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            failure: Exception
            try:
                async with asyncio.timeout_at(deadline):
                    result = await work()
            except BusUnavailable:  # a topic is absent or forbidden, and the brokers say so themselves
                self.seen_up()
                raise
            except (errors.KafkaError, OSError, TimeoutError) as unknown:
                failure = unknown
            else:
                self.seen_up()
                return result
            cause = await self.explain()
            if cause is None:  # reachable by now, or failing in a way that no examination shows
                cause = BusUnavailable(
                    f"Kafka at {self.settings.bootstrap_servers} answers but does not serve: {_words(failure)}"
                )
            self.seen_down(cause)
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0 or cause.code in _NOT_HELPED_BY_WAITING:
                raise cause from failure
            await asyncio.sleep(min(remaining, pause * random.uniform(0.5, 1.5)))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def explain(self) -> BusUnavailable | None:
        """Find out why the brokers cannot be used; None when one of them can. Takes at most a few seconds a server."""
        async with self._explaining:  # many sends may fail at once: one examination answers them all
            now = asyncio.get_running_loop().time()
            if self._explained is None or now - self._explained[0] > _EXPLANATION_HOLDS_SECONDS:
                found = await self._explain()
                self._explained = (asyncio.get_running_loop().time(), found)
            cause = self._explained[1]
        return cause and BusUnavailable(cause.text, code=cause.code)

    async def _explain(self) -> BusUnavailable | None:
        self.options()  # unusable TLS files are our own mistake, and said first
        causes = []
        for server in self.settings.bootstrap_servers.split(","):
            try:
                async with asyncio.timeout(_EXAMINE_SECONDS):
                    await self._examine(server.strip())
            except BusUnavailable as cause:
                causes.append(cause)
            except (errors.KafkaError, OSError, TimeoutError) as failure:
                causes.append(BusUnavailable(f"{server}: {_words(failure)}", code="broker_unreachable"))
            else:
                return None
        first = causes[0]
        return BusUnavailable("; ".join(dict.fromkeys(cause.text for cause in causes)), code=first.code)

    async def _examine(self, server: str) -> None:
        """Walk the way a client takes, step by step, and raise BusUnavailable at the first step that fails."""
        host, port = _host_and_port(server)
        await _reach(server, host, port)
        secure = self.settings.security_protocol.endswith("SSL")
        if secure:
            await _shake_hands(server, host, port, _ssl_context(self.settings))
        else:
            await _greet(server, host, port)
        options = {name: value for name, value in self.options().items() if name != "bootstrap_servers"}
        options["request_timeout_ms"] = int(_EXAMINE_SECONDS * 1000)
        try:
            connection = await create_conn(host, port, **options)
        except _AUTHENTICATION_ERRORS as refused:
            raise self._not_authenticated(server, refused) from refused
        except (errors.KafkaError, OSError) as failure:
            raise self._cut_off(server, failure, secure) from failure
        try:
            metadata = await connection.send(MetadataRequest([]))
        except errors.KafkaError as failure:
            raise BusUnavailable(
                f"{server}: the broker closes the connection without authentication; it probably expects SASL "
                f"(security_protocol is {self.settings.security_protocol})",
                code="broker_authentication_failed",
            ) from failure
        finally:
            await asyncio.wait({connection.close()}, timeout=1)
        for _, advertised_host, advertised_port, *_ in metadata.brokers:
            advertised = f"{advertised_host}:{advertised_port}"
            if (advertised_host, advertised_port) != (host, port):
                try:
                    await _reach(advertised, advertised_host, advertised_port)
                    if secure:
                        await _shake_hands(advertised, advertised_host, advertised_port, _ssl_context(self.settings))
                except BusUnavailable as cause:
                    raise BusUnavailable(
                        f"{server} answers but tells clients to use {advertised}, which fails: {cause.text}; "
                        "correct advertised.listeners of the broker, or make that address reachable from here",
                        code="broker_advertised_unreachable",
                    ) from cause

    def _not_authenticated(self, server: str, refused: Exception) -> BusUnavailable:
        mechanism, user = self.settings.sasl_mechanism, self.settings.sasl_username
        if isinstance(refused, errors.UnsupportedSaslMechanismError | errors.AuthenticationMethodNotSupported):
            text = f"{server}: the broker does not offer SASL mechanism {mechanism}; correct sasl_mechanism"
        elif isinstance(refused, errors.IllegalSaslStateError):
            text = f"{server}: this listener does not use SASL; correct security_protocol or the port"
        else:
            text = (
                f"{server}: the broker refuses user {user!r} with {mechanism}; "
                "correct sasl_username, sasl_password or the user's credentials on the broker"
            )
        return BusUnavailable(text, code="broker_authentication_failed")

    def _cut_off(self, server: str, failure: Exception, secure: bool) -> BusUnavailable:
        cause: BaseException | None = failure
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__
        if secure:
            had = self.settings.ssl_certificate_file
            advice = (
                f"the broker does not accept the certificate in {had}"
                if had
                else "the broker asks for a client certificate: set ssl_certificate_file and ssl_key_file"
            )
            detail = f" ({_words(cause)})" if cause is not None else ""
            return BusUnavailable(
                f"{server}: the broker ends the TLS connection after the handshake; {advice}{detail}",
                code="broker_tls_failed",
            )
        return BusUnavailable(f"{server}: {_words(failure)}", code="broker_unreachable")

    async def check_topics(self, names: Iterable[str]) -> None:
        """Raise BusUnavailable naming the topics that are absent or not allowed. Never creates one."""
        wanted = sorted(set(names))
        client = AIOKafkaClient(**self.options())
        try:
            await client.bootstrap()
            response = await client.send(client.get_random_node(), MetadataRequest(wanted, False))
        finally:
            await ended(client.close())
        found = {topic: errors.for_code(code) for code, topic, *_ in response.topics}
        forbidden = [name for name in wanted if found.get(name) is errors.TopicAuthorizationFailedError]
        absent = [name for name in wanted if found.get(name, _ABSENT) in (_ABSENT, errors.InvalidTopicError)]
        if forbidden:
            who = self.settings.sasl_username or "this client"
            raise BusUnavailable(
                f"{who} may not use topic {', '.join(forbidden)}; grant it Describe, and Read or Write, on the broker",
                code="topic_not_authorized",
            )
        if absent:
            raise BusUnavailable(
                f"topic {', '.join(absent)} does not exist on {self.settings.bootstrap_servers}; create it (the "
                "gateway does not, so that partitions and replication are decided, not guessed) or correct its name",
                code="topic_absent",
            )


_ABSENT = errors.UnknownTopicOrPartitionError
_AUTHENTICATION_ERRORS = (
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.IllegalSaslStateError,
    ValueError,  # the SCRAM exchange itself: what the broker proves is not what the password says
)
_NOT_HELPED_BY_WAITING = {"broker_authentication_failed", "broker_tls_failed"}


def _words(failure: BaseException | None) -> str:
    return f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__


def _host_and_port(server: str) -> tuple[str, int]:
    host, separator, port = server.rpartition(":")
    if not separator:
        return server, 9092
    if not port.isdigit():
        raise ConfigError(f"bootstrap_servers: {server!r} is not host:port", code="bootstrap_servers_invalid")
    return host.strip("[]"), int(port)


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        context.check_hostname = settings.ssl_check_hostname
        if settings.ssl_certificate_file is not None:
            password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else None
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file, password)
    except (OSError, ssl.SSLError) as failure:
        files = [settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file]
        named = ", ".join(str(file) for file in files if file is not None)
        raise ConfigError(
            f"the TLS files of Kafka ({named}) cannot be used: {_words(failure)}; they must be readable PEM, the key "
            "fitting the certificate and its password",
            code="tls_files_unusable",
        ) from failure
    return context


async def _reach(server: str, host: str, port: int) -> None:
    """Resolve the name and open the port."""
    loop = asyncio.get_running_loop()
    try:
        await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as failure:
        raise BusUnavailable(
            f"{server}: the name {host!r} does not resolve ({failure.strerror}); correct bootstrap_servers or DNS",
            code="broker_name_unknown",
        ) from failure
    try:
        async with asyncio.timeout(_EXAMINE_SECONDS / 2):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError as failure:
        raise BusUnavailable(
            f"{server}: connection refused; no broker listens there (is it started, is the port right?)",
            code="broker_unreachable",
        ) from failure
    except TimeoutError as failure:
        raise BusUnavailable(
            f"{server}: no answer to a connection attempt; the host is down or a firewall drops the packets",
            code="broker_unreachable",
        ) from failure
    await _hang_up(writer)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()  # a polite end of TLS waits for the other side
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _shake_hands(server: str, host: str, port: int, context: ssl.SSLContext | None) -> None:
    """Do the TLS handshake alone, where the reasons are still told apart."""
    try:
        async with asyncio.timeout(_EXAMINE_SECONDS / 2):  # a plain listener may wait for more of what it cannot read
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as failure:
        advice = (
            "correct bootstrap_servers to a name in the certificate"
            if "ostname" in failure.verify_message or "IP address" in failure.verify_message
            else "set ssl_ca_file to the authority that signed it"
        )
        raise BusUnavailable(
            f"{server}: the broker's certificate is not trusted ({failure.verify_message}); {advice}",
            code="broker_tls_failed",
        ) from failure
    except (ssl.SSLError, OSError) as failure:
        raise BusUnavailable(
            f"{server}: no TLS handshake ({_words(failure)}); the listener may be a plain one: check the port and "
            "security_protocol",
            code="broker_tls_failed",
        ) from failure
    await _hang_up(writer)


async def _greet(server: str, host: str, port: int) -> None:
    """Ask a plain listener for its versions and look at the first bytes of the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
        async with asyncio.timeout(_EXAMINE_SECONDS / 2):
            answer = await reader.read(8)
    except (OSError, TimeoutError):
        answer = b""
    finally:
        await _hang_up(writer)
    if answer[4:8] == struct.pack(">i", 7):
        return
    if answer[:2] == b"\x15\x03":
        raise BusUnavailable(
            f"{server}: the listener speaks TLS; set security_protocol to SSL or SASL_SSL", code="broker_tls_failed"
        )
    said = f"it answers {answer!r}" if answer else "it says nothing or closes (a TLS listener may do that too)"
    raise BusUnavailable(
        f"{server}: something listens there that is not a plain Kafka listener: {said}; check port and "
        "security_protocol",
        code="broker_not_kafka",
    )
