"""Carriers between the gateway and its counterparties: the same four verbs whatever lies underneath.

A carrier moves bytes and knows nothing of what they say. What it must keep:

* ``send`` gives one outcome an item, in order, and never raises for one item. Only what the other side can rely on is
  ``Sent``; a time-out is ``InDoubt``; ``NotSent`` promises that nothing left this process.
* an item that was received and not acknowledged is received again after a restart, in the order in which it came.

Adding a carrier is one module with these verbs, its settings in ``model/profile.py`` and a line in ``_CARRIERS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, Self

from gateway.errors import TransportError

if TYPE_CHECKING:
    from gateway.bus import Bus
    from gateway.model.profile import Profile


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to send: ``key`` keeps order (the transaction identification), ``content`` the exact bytes."""

    business_message_id: str
    key: str
    content: bytes
    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message received; ``carrier_key`` is evidence: ``topic/partition/offset`` or a file name."""

    carrier_key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """The carrier has it durably; ``reference`` is its evidence (``topic/partition/offset`` or a file name)."""

    reference: str


Outcome = Sent | TransportError


class Transport(Protocol):
    """One channel to one counterparty; an async context manager that opens and closes it."""

    carries_possible_duplicate_mark: bool

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Send a batch; one outcome an item, in the same order: ``Sent | NotSent | InDoubt | Refused``."""
        ...

    async def receive(self, limit: int) -> list[Incoming]:
        """Wait until there is at least one message and return at most ``limit``, oldest first; may be cancelled.

        A carrier that is away is reported once in the log, waited for, and read again when it is back.
        """
        ...

    async def acknowledge(self, incoming: Sequence[Incoming]) -> None:
        """Let go of messages whose bytes are archived and committed; what is not let go comes again after a restart."""
        ...

    async def probe(self) -> None:
        """Check that the channel could work now; raise TransportError or BusUnavailable with the cause."""
        ...


_CARRIERS = {
    "kafka": ("gateway.transports.kafka", "KafkaTransport"),
    "folder": ("gateway.transports.folder", "FolderTransport"),
}


def open_transport(profile: Profile, bus: Bus) -> Transport:
    """Make the transport of a counterparty's channel; enter it before use. Nothing is opened yet."""
    module, name = _CARRIERS[profile.channel.carrier]
    transport: Transport = getattr(import_module(module), name)(profile, bus)
    return transport
