"""One transaction's reads and writes: the verbs of the ledger.

A loop gets a ``Unit`` inside a transaction, reads what it needs, decides, and adds rows; they are written in bulk when
the loop's function returns. Nothing here decides what a message means.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.deadlines import Deadlines
from gateway.store.events import Events
from gateway.store.instructions import Instructions
from gateway.store.links import Links
from gateway.store.parking import Parked
from gateway.store.received import Received
from gateway.store.replies import Archive
from gateway.store.sends import Sends


@dataclass
class Unit(Events, Instructions, Links, Sends, Archive, Parked, Received, Deadlines):
    """Reads and writes of one transaction. ``now`` is the time of every row it writes."""
