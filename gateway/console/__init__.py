"""HTTP for orchestrators: ``/health`` (this process answers) and ``/ready`` (trade events are taken in)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway import __version__
from gateway.config import ConsoleSettings
from gateway.errors import ConfigError


class Reporting(Protocol):
    """What the running gateway knows of itself."""

    @property
    def ready(self) -> bool:
        """Tell whether trade events are being taken in."""
        ...

    def report(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        ...


class Server:
    """A listening server; ``port`` is the one that was taken."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def close(self) -> None:
        """Stop listening and wait for it."""
        self._server.should_exit = True
        await asyncio.wait({self._task}, timeout=5)


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the gateway, which ends its loops before its server."""
        yield


def routes(condition: Reporting) -> Starlette:
    """Make the application that answers from a condition."""

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"alive": True, "version": __version__})

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse(condition.report(), status_code=200 if condition.ready else 503)

    return Starlette(routes=[Route("/health", health), Route("/ready", ready)])


async def serve(settings: ConsoleSettings, condition: Reporting) -> Server:
    """Listen; raises ConfigError when the address cannot be taken."""
    config = uvicorn.Config(
        routes(condition), host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="off"
    )
    server = _Quiet(config)
    try:
        sock = await asyncio.to_thread(_bind, settings)
    except OSError as error:
        raise ConfigError(
            f"console: {settings.host}:{settings.port} cannot be listened on: {error.strerror or error}",
            code="console_address_taken",
        ) from error
    task = asyncio.create_task(server.serve(sockets=[sock]))
    return Server(server, task, sock.getsockname()[1])


def _bind(settings: ConsoleSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
    except OSError:
        sock.close()
        raise
    return sock
