"""What upstream hears: the demo's own reading of the status and exceptions topics."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from gateway.bus import Record
from gateway.errors import Violation
from gateway.model.reports import EXCEPTION_CLOSED_SCHEMA, ExceptionClosed, ExceptionEvent, StatusEvent

_LATEST = 200
_STATUS = msgspec.json.Decoder(StatusEvent)
_EXCEPTION = msgspec.json.Decoder(ExceptionEvent)
_CLOSED = msgspec.json.Decoder(ExceptionClosed)


class _Stated(msgspec.Struct):
    """What a record says that it is."""

    schema: str


_STATED = msgspec.json.Decoder(_Stated)


@dataclass(slots=True)
class Heard:
    """What was heard of one instruction."""

    counterparty: str
    trade_id: str
    dialogue: str
    headline: str = ""
    sequence: int = 0
    headlines: set[str] = field(default_factory=set)
    axes: dict[str, str] = field(default_factory=dict)
    ever: set[tuple[str, str]] = field(default_factory=set)  # (axis, value), whenever it stood so
    alerts: set[str] = field(default_factory=set)
    settled: dict[str, str] = field(default_factory=dict)  # quantity type or currency -> value
    sent_at: datetime | None = None
    last_at: datetime | None = None
    theirs: bool = False  # begun by the counterparty


class Upstream:
    """Keep the last word on every instruction; note what breaks the promise of the topics."""

    def __init__(self, status_topic: str, exceptions_topic: str) -> None:
        self._status_topic = status_topic
        self._exceptions_topic = exceptions_topic
        self._known: dict[str, bytes] = {}  # status identifier -> content
        self.instructions: dict[str, Heard] = {}
        self.parked: Counter[tuple[str | None, str]] = Counter()  # (trade, label)
        self.open: set[int] = set()  # parked items whose end was not heard of
        # trade -> every headline of any of its instructions, every "axis:value" at which one stood, and "parked"
        self.headlines: dict[str, set[str]] = {}
        self.witness: list[tuple[str, int, str]] = []
        self.latest: deque[StatusEvent | ExceptionEvent] = deque(maxlen=_LATEST)
        self.events = 0
        self.repeats = 0
        self.faults: list[tuple[str | None, str]] = []

    def take(self, record: Record) -> None:
        """Take one record of either topic."""
        event: StatusEvent | ExceptionEvent | ExceptionClosed
        try:
            if record.topic == self._status_topic:
                event = _STATUS.decode(record.value)
            elif _STATED.decode(record.value).schema == EXCEPTION_CLOSED_SCHEMA:
                event = _CLOSED.decode(record.value)
            else:
                event = _EXCEPTION.decode(record.value)
        except msgspec.DecodeError as error:
            self.faults.append((None, f"{record.position} cannot be read: {error}"))
            return
        before = self._known.setdefault(event.status_id, record.value)
        if before is not record.value:
            self.repeats += 1
            if before != record.value:
                self.faults.append((event.trade_id, f"status {event.status_id} came again with other content"))
            return
        self.events += 1
        if isinstance(event, ExceptionClosed):
            if event.parked_id not in self.open:
                self.faults.append(
                    (event.trade_id, f"the end of parked item {event.parked_id} came before its beginning")
                )
            self.open.discard(event.parked_id)
            return
        self.latest.append(event)
        if isinstance(event, StatusEvent):
            self._take_status(event, record)
        else:
            self.open.add(event.parked_id)
            self.parked[event.trade_id, label(event.code, event.violations)] += 1
            if event.trade_id is not None:
                self.headlines.setdefault(event.trade_id, set()).add("parked")

    def _take_status(self, event: StatusEvent, record: Record) -> None:
        heard = self.instructions.get(event.transaction_id)
        if heard is None:
            heard = Heard(event.counterparty, event.trade_id, event.dialogue)
            self.instructions[event.transaction_id] = heard
        if event.sequence <= heard.sequence:
            text = f"status {event.sequence} came after {heard.sequence} ({record.position})"
            self.faults.append((event.trade_id, text))
        heard.sequence = event.sequence
        heard.headline = event.headline
        heard.headlines.add(event.headline)
        heard.axes = {name: axis.status for name, axis in event.axes.items()}
        heard.ever.update(heard.axes.items())
        heard.alerts.update(alert.code for alert in event.alerts)
        heard.settled = {item.type: f"{item.value:f}" for item in event.settled_quantity}
        heard.settled |= {item.currency: f"{item.value:f}" for item in event.settled_amount}
        heard.last_at = event.occurred_at
        if heard.sent_at is None and event.delivery == "sent":
            heard.sent_at = event.occurred_at
        told = self.headlines.setdefault(event.trade_id, set())
        told.add(event.headline)
        told.update(f"{axis}:{value}" for axis, value in heard.axes.items())
        heard.theirs = heard.theirs or event.delivery == "theirs"
        self.witness.append((event.transaction_id, event.sequence, event.head_hash))


def label(code: str, violations: tuple[Violation, ...]) -> str:
    """Name an exception: its code, and the first violation's where that says more."""
    more = violations[0].code if violations else code
    return code if more == code else f"{code}:{more}"
