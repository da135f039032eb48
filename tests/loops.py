"""The four loops under test: a real ledger, real messages and profiles, a clock that is moved by hand, a counterparty.

Only the clock and the counterparty are not the real ones. ``Counterparty`` keeps the contract of every carrier
(``test_dispatch`` runs the carriers' suite on it) and can be told what becomes of the next messages. The
fixtures are ``loops``, a gateway on SQLite, and ``both_loops``, on each ledger in turn.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Self

import pytest
from sqlalchemy import Connection, select, text

from gateway.commands import Commands
from gateway.config import Settings
from gateway.dispatch import Dispatch, LeaseView
from gateway.errors import InDoubt, NotSent, Refused
from gateway.intake import Intake, Recorded, report
from gateway.messages import Messages
from gateway.messages.schema_files import load_calendars, load_catalogue, load_penalty_rates
from gateway.model.events import EVENT_KINDS
from gateway.model.profile import Profile
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.pace import Signals
from gateway.replies import Replies
from gateway.store import Ledger, queries, tables
from gateway.store.verification import verify_history
from gateway.store.views import CommandRefused, CommandView, ParkedItem, Story
from gateway.transports import Incoming, Outcome, Outgoing, Sent

OWN_BIC = "OURSGB2LXXX"
CHANNEL = "CUSTDEFFXXX"
OTHER = "BROKFRPPXXX"
SOURCE = "equities-desk"
ACCOUNT = "CUST-4711"  # the safekeeping account of every example
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LEASE_SECONDS = 3600.0


# The clock ------------------------------------------------------------------------------------------------------------


class Time:
    """A clock that moves when it is told to, and when a loop waits."""

    def __init__(self) -> None:
        self.now = START
        self.waits: list[float] = []

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)  # two looks at a clock are never the same
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Pacing(Signals):
    """Let loops wait on that clock: a pause moves it, and a loop that finds nothing to do is asked to stop."""

    def __init__(self, time: Time, *, patient: bool = True) -> None:
        super().__init__()
        self._time = time
        self._patient = patient  # otherwise a loop that would pause before it tries again is asked to stop

    async def wait(self, name: str, seconds: float) -> None:
        event = self._events[name]
        if not event.is_set():
            self.stop()
        event.clear()

    async def pause(self, seconds: float) -> None:
        if not self._patient:
            self.stop()
        self._time.waits.append(seconds)
        assert len(self._time.waits) < 500, "this would never end"
        self._time.move(seconds)
        await asyncio.sleep(0)


# The counterparty -----------------------------------------------------------------------------------------------------

Fate = Callable[["Wire", Outgoing], Outcome]


def arrives(wire: Wire, item: Outgoing) -> Outcome:
    """Take the message."""
    return Sent(wire.put(wire.outbound, item))


def not_sent(_wire: Wire, _item: Outgoing) -> Outcome:
    """Let nothing leave."""
    return NotSent("the line is down")


def lost(_wire: Wire, _item: Outgoing) -> Outcome:
    """Time out; it never arrived."""
    return InDoubt("no answer in time", code="send_timed_out")


def arrives_in_doubt(wire: Wire, item: Outgoing) -> Outcome:
    """Time out; it had arrived."""
    wire.put(wire.outbound, item)
    return InDoubt("no answer in time", code="send_timed_out")


def refused(_wire: Wire, _item: Outgoing) -> Outcome:
    """Say no."""
    return Refused("not in this format")


class Crash(BaseException):
    """End the process between the send and its outcome, as SIGKILL would: nothing after it runs."""


def arrives_and_crashes(wire: Wire, item: Outgoing) -> Outcome:
    """Take the message, and let the sender die before it knows."""
    wire.put(wire.outbound, item)
    raise Crash


def crashes(_wire: Wire, _item: Outgoing) -> Outcome:
    """Let the sender die before anything left."""
    raise Crash


@dataclass
class Wire:
    """What lies between two ends, and what is to become of the next messages (``fates``, one each)."""

    outbound: list[Outgoing] = field(default_factory=list)
    inbound: list[Outgoing] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    when_read: Callable[[], None] = lambda: None
    before_send: Callable[[], None] = lambda: None
    numbers: dict[int, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def put(self, queue: list[Outgoing], item: Outgoing) -> str:
        queue.append(item)
        side = "out" if queue is self.outbound else "in"
        return f"{side}/0/{len(queue) - 1}"


class Counterparty:
    """One end of a wire, with the verbs of every carrier."""

    carries_possible_duplicate_mark = True

    def __init__(self, wire: Wire, profile: Profile, *, theirs: bool = False) -> None:
        self._wire = wire
        self._limit = profile.limits.max_message_bytes
        self._theirs = theirs
        self._handed: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def send(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        self._wire.before_send()
        outcomes: list[Outcome] = []
        failed: set[str] = set()
        for item in batch:
            outcome = self._send(item) if item.key not in failed else NotSent("behind a failed one")
            if not isinstance(outcome, Sent):
                failed.add(item.key)
            outcomes.append(outcome)
        return outcomes

    def _send(self, item: Outgoing) -> Outcome:
        if len(item.content) > self._limit:
            return Refused("larger than the limit", code="message_too_large")
        if self._theirs:
            return Sent(self._wire.put(self._wire.inbound, item))
        fate = self._wire.fates.pop(0) if self._wire.fates else arrives
        return fate(self._wire, item)

    async def receive(self, limit: int) -> list[Incoming]:
        while True:
            side, queue = ("out", self._wire.outbound) if self._theirs else ("in", self._wire.inbound)
            keys = [(f"{side}/0/{number}", item.content) for number, item in enumerate(queue)]
            found = [Incoming(key, content) for key, content in keys if key not in self._wire.done | self._handed]
            if found:
                self._handed.update(item.carrier_key for item in found[:limit])
                return found[:limit]
            self._wire.when_read()
            await asyncio.sleep(0.001)

    async def acknowledge(self, incoming: Sequence[Incoming]) -> None:
        self._wire.done.update(item.carrier_key for item in incoming)

    async def probe(self) -> None:
        return None


# The loops ------------------------------------------------------------------------------------------------------------


def settings_for(url: str, **changes: Any) -> Settings:
    """Return settings of a gateway with two counterparties."""
    parties = changes.pop("counterparties", None) or [party(CHANNEL), party(OTHER)]
    loops = {"lease_seconds": 300, "retry_initial_seconds": 1, "retry_maximum_seconds": 8}
    return Settings.model_validate(
        {
            "gateway": {"bic": OWN_BIC},
            "store": {"url": url},
            "loops": loops | changes.pop("loops", {}),
            "counterparties": parties,
            **changes,
        }
    )


def party(bic: str, **changes: Any) -> dict[str, Any]:
    """Return a counterparty of the configuration."""
    channel = {"carrier": "kafka", "outbound_topic": f"out.{bic}", "inbound_topic": f"in.{bic}"}
    return {"bic": bic, "name": bic, "channel": channel, **changes}


@cache
def _messages(*profiles: str) -> Messages:
    return Messages(load_catalogue(), [Profile.model_validate_json(profile) for profile in profiles], OWN_BIC)


class Loops:
    """One gateway on one ledger, its loops run one at a time and to their end."""

    def __init__(self, ledger: Ledger, settings: Settings, time: Time | None = None) -> None:
        self.ledger = ledger
        self.settings = settings
        self.time = time or Time()
        self.messages = _messages(*(profile.model_dump_json() for profile in settings.counterparties))
        self.estimator = settings.penalties.estimator(load_penalty_rates(), load_calendars(settings.own_calendars()))
        self.wires = {profile.bic: Wire() for profile in settings.counterparties}
        self.intake = Intake(ledger, self.messages, settings, self.time)
        self.commands = Commands(
            ledger,
            self.intake,
            Pacing(self.time),
            self.time,
            poll_seconds=0.1,
            instruction_wait_seconds=settings.loops.instruction_wait_seconds,
        )
        self._leases: dict[str, LeaseView] = {}
        self._offset = 0
        self._turns = 0

    # Events ---

    async def take_in(self, *events: dict[str, Any] | bytes) -> list[Recorded]:
        """Record events as one poll would bring them."""
        items = []
        for event in events:
            content = event if isinstance(event, bytes) else json.dumps(event).encode()
            items.append(self.intake.prepare(content, topic="trade.events", partition=0, offset=self._offset))
            self._offset += 1
        results = await self.intake.record(items)
        for result in results:
            report(result)
        return results

    # Sending ---

    async def turn(self, channel: str = CHANNEL) -> LeaseView:
        """Return the lease of a channel, taken by a new holder if this process has none."""
        if channel not in self._leases:
            self._turns += 1
            lease = await self.ledger.acquire(channel, f"test/{self._turns}", self.time(), LEASE_SECONDS)
            assert lease is not None
            self._leases[channel] = LeaseView(lease)
        return self._leases[channel]

    def crash(self) -> None:
        """Forget everything but the ledger and the wires, as a process that is killed; its leases run out."""
        self._leases.clear()
        self.time.move(LEASE_SECONDS + 1)

    async def send(self, channel: str = CHANNEL, *, retry: bool = True) -> None:
        """Run dispatch until it has nothing more to do; without ``retry`` until it would wait after a failure."""
        pacing, profile = Pacing(self.time, patient=retry), self._profile(channel)
        dispatch = Dispatch(self.ledger, self.messages, profile, self.settings.loops, pacing, self.time)
        await dispatch.run(Counterparty(self.wires[channel], profile), await self.turn(channel))

    async def send_and_crash(self, channel: str = CHANNEL) -> None:
        """Run dispatch until the counterparty's script kills it."""
        with pytest.raises(Crash):
            await self.send(channel)
        self.crash()

    def arrived(self, channel: str = CHANNEL) -> list[Outgoing]:
        """Return what the counterparty has, in order."""
        return self.wires[channel].outbound

    # Replies ---

    async def archive(self, *contents: bytes, channel: str = CHANNEL) -> None:
        """Let the counterparty say these things, and receive them."""
        wire, pacing, profile = self.wires[channel], Pacing(self.time), self._profile(channel)
        for content in contents:
            wire.put(wire.inbound, Outgoing("", "", content))
        replies = Replies(self.ledger, self.messages, profile, self.estimator, self.settings.loops, pacing, self.time)
        wire.when_read = pacing.stop
        async with asyncio.timeout(30):
            await replies.receive(Counterparty(wire, profile))

    async def apply(self, channel: str = CHANNEL) -> int:
        """Apply what waits in the archive; returns how many replies waited."""
        profile = self._profile(channel)
        replies = Replies(
            self.ledger, self.messages, profile, self.estimator, self.settings.loops, Pacing(self.time), self.time
        )
        count = 0
        while waiting := await replies.apply_waiting():
            count += waiting
        return count

    async def hear(self, *contents: bytes, channel: str = CHANNEL) -> None:
        """Receive and apply replies."""
        await self.archive(*contents, channel=channel)
        await self.apply(channel)

    def _profile(self, channel: str) -> Profile:
        profile = self.settings.profile(channel)
        assert profile is not None
        return profile

    # Operators ---

    async def command(self, kind: str, parked_id: int, content: bytes | None = None) -> CommandView:
        """Give an operator's command, carry out what waits, and return the answer."""
        number = await self.ledger.execute(
            lambda connection: queries.submit_command(
                connection, kind, parked_id, content, "alice", "as agreed", self.time()
            )
        )
        assert not isinstance(number, CommandRefused), number
        await self.work_off()
        view = await self.ledger.query(lambda connection: queries.await_command(connection, number))
        assert view is not None
        return view

    async def work_off(self) -> None:
        """Carry out commands and give held events their turn until nothing is left."""
        for _ in range(100):
            if not await self.commands.execute_waiting():
                return
        raise AssertionError("this would never end")

    # What the ledger says ---

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        """Return a table, in the order of its first column."""

        def work(connection: Connection) -> list[dict[str, Any]]:
            query = select(table).order_by(*list(table.primary_key.columns))
            return [dict(row) for row in connection.execute(query).mappings()]

        return await self.ledger.query(work)

    async def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        return {table.name: len(await self.rows(table)) for table in tables.metadata.sorted_tables}

    async def story(self, trade: str = "T1", number: int = 1, dialogue: Dialogue = Dialogue.SETTLEMENT) -> Story:
        """Return everything the ledger knows of one instruction."""
        identifier = transaction(trade, number, dialogue)
        [story] = await self.ledger.query(
            lambda connection: queries.show_instruction(connection, identifier, content=True)
        )
        return story

    async def headline(self, trade: str = "T1", number: int = 1) -> str:
        """Return the one word for an instruction."""
        return (await self.story(trade, number)).instruction.headline

    async def parked(self, state: str = "open") -> list[ParkedItem]:
        """Return the parked items in a state, oldest first, whole."""
        numbers = [row["id"] for row in await self.rows(tables.parked) if row["state"] == state]
        items = [
            await self.ledger.query(lambda connection, number=number: queries.show_parked(connection, number))  # type: ignore[misc]
            for number in numbers
        ]
        return [item for item in items if item is not None]

    async def only_parked(self) -> ParkedItem:
        """Return the one open parked item."""
        [item] = await self.parked()
        return item

    async def published(self, topic: str) -> list[dict[str, Any]]:
        """Return what is to be told upstream on ``status`` or ``exceptions``, in order."""
        return [json.loads(row["content"]) for row in await self.rows(tables.publication) if row["topic"] == topic]

    async def dispositions(self) -> dict[str, str]:
        """Return what became of each event."""
        return {row["event_id"]: row["disposition"] for row in await self.rows(tables.event)}

    async def prove(self) -> None:
        """Verify every chain of history."""
        report = await self.ledger.query(verify_history)
        assert report.proven, report


def transaction(trade: str = "T1", number: int = 1, dialogue: Dialogue = Dialogue.SETTLEMENT) -> str:
    """Return the transaction identification of a trade's instruction."""
    return transaction_id(OWN_BIC, SOURCE, trade, dialogue, number)


async def refuse_rows(ledger: Ledger, table: str, when: str) -> None:
    """Let the SQLite ledger refuse rows for good, as a constraint would (``when``: SQL over NEW)."""
    await ledger.execute(
        lambda connection: connection.execute(
            text(
                f"CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN {when} "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        )
    )


# Events of upstream ---------------------------------------------------------------------------------------------------


def instruct(trade: str = "T1", number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an instruction against payment: 500 units for EUR 61234.56."""
    money = {"payment": "against", "settlement_amount": {"value": "61234.56", "currency": "EUR"}}
    return _event("instruct_settlement/1", f"{trade}-instruct-{number}", trade, number, money | changes)


def cancel(trade: str = "T1", number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the cancellation of an instruction."""
    return _event("cancel_settlement/1", f"{trade}-cancel-{number}", trade, number, changes)


def confirm(trade: str = "T1", number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a trade confirmation."""
    return _event("confirm_trade/1", f"{trade}-confirm-{number}", trade, number, changes)


def event(kind: str, trade: str = "T1", number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an event of any kind: its minimal example, changed."""
    return _event(kind, f"{trade}-{kind.partition('/')[0]}-{number}", trade, number, changes)


def _event(kind: str, event_id: str, trade: str, number: int, changes: dict[str, Any]) -> dict[str, Any]:
    own = {
        "event_id": event_id,
        "source": SOURCE,
        "trade_id": trade,
        "instruction_number": number,
        "counterparty": CHANNEL,
    }
    document = EVENT_KINDS[kind].minimal | own | changes
    return {name: value for name, value in document.items() if value is not None}


# Replies of the counterparty ------------------------------------------------------------------------------------------

MATCHED = "<MtchgSts><Mtchd/></MtchgSts>"
UNMATCHED = "<MtchgSts><Umtchd><Rsn><Cd><Cd>DMON</Cd></Cd></Rsn></Umtchd></MtchgSts>"
ACCEPTED = "<PrcgSts><AckdAccptd><NoSpcfdRsn>NORE</NoSpcfdRsn></AckdAccptd></PrcgSts>"
REJECTED = "<PrcgSts><Rjctd><Rsn><Cd><Cd>SAFE</Cd></Cd></Rsn></Rjctd></PrcgSts>"
PENDING = "<SttlmSts><Pdg><Rsn><Cd><Cd>LACK</Cd></Cd></Rsn></Pdg></SttlmSts>"


def envelope(
    definition: str,
    document: str,
    identifier: str,
    *,
    sender: str = CHANNEL,
    created_at: str = "2026-03-02T11:00:00Z",
    duplicate: bool = False,
    related: str = "",
) -> bytes:
    """Return a message of the counterparty with its header."""
    parties = [f"<FIId><FinInstnId><BICFI>{bic}</BICFI></FinInstnId></FIId>" for bic in (sender, OWN_BIC)]
    mark = "<PssblDplct>true</PssblDplct>" if duplicate else ""
    header = (
        f"<Fr>{parties[0]}</Fr><To>{parties[1]}</To><BizMsgIdr>{identifier}</BizMsgIdr>"
        f"<MsgDefIdr>{definition}</MsgDefIdr><CreDt>{created_at}</CreDt>{mark}{related}"
    )
    return (
        f'<RequestPayload><AppHdr xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.04">{header}</AppHdr>'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{definition}">{document}</Document></RequestPayload>'
    ).encode()


def status(
    said: str,
    transaction_id: str | None = None,
    *,
    identifier: str = "STATUS1",
    servicer_id: str | None = "SERVICER-1",
    **heading: Any,
) -> bytes:
    """Return a settlement status advice."""
    servicer = f"<AcctSvcrTxId>{servicer_id}</AcctSvcrTxId>" if servicer_id else ""
    names = f"<TxId><AcctOwnrTxId>{transaction_id or transaction()}</AcctOwnrTxId>{servicer}</TxId>"
    return envelope(
        "sese.024.001.14", f"<SctiesSttlmTxStsAdvc>{names}{said}</SctiesSttlmTxStsAdvc>", identifier, **heading
    )


def settled(
    quantity: str = "500",
    amount: str | None = "61234.56",
    transaction_id: str | None = None,
    *,
    identifier: str = "SETTLED1",
    partial: str | None = None,
    account: str = ACCOUNT,
    settlement_date: str = "2026-03-04",
    reverses: str | None = None,
    **heading: Any,
) -> bytes:
    """Return a settlement confirmation; ``reverses`` makes it the reversal of that one."""
    part = f"<AddtlParams><PrtlSttlm>{partial}</PrtlSttlm></AddtlParams>" if partial else ""
    undone = f"<ConfRef>{reverses}</ConfRef>" if reverses else ""
    remaining = Decimal(500) - Decimal(quantity)
    left = f"<RmngToBeSttldQty><Unit>{remaining}</Unit></RmngToBeSttldQty>" if partial == "PAIN" else ""
    money = f'<SttldAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></SttldAmt>' if amount else ""
    root, definition = (
        ("SctiesSttlmTxRvslAdvc", "sese.026.001.12") if reverses else ("SctiesSttlmTxConf", "sese.025.001.13")
    )
    body = (
        f"<TxIdDtls><AcctOwnrTxId>{transaction_id or transaction()}</AcctOwnrTxId>"
        "<AcctSvcrTxId>SERVICER-1</AcctSvcrTxId><SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt></TxIdDtls>"
        f"{undone}{part}<TradDtls><SttlmDt><Dt><Dt>{settlement_date}</Dt></Dt></SttlmDt>"
        "<FctvSttlmDt><Dt><Dt>2026-03-04</Dt></Dt></FctvSttlmDt></TradDtls>"
        "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId>"
        f"<QtyAndAcctDtls><SttldQty><Qty><Unit>{quantity}</Unit></Qty></SttldQty>{left}"
        f"<SfkpgAcct><Id>{account}</Id></SfkpgAcct></QtyAndAcctDtls>"
        f"<SttlmParams><SctiesTxTp><Cd>TRAD</Cd></SctiesTxTp></SttlmParams>{money}"
    )
    return envelope(definition, f"<{root}>{body}</{root}>", identifier, **heading)


def cancellation_advice(request: str, said: str = "Canc", *, identifier: str = "CANCELLED1", **heading: Any) -> bytes:
    """Return what became of our request to cancel, named by its business message identifier."""
    reason = "<NoSpcfdRsn>NORE</NoSpcfdRsn>"
    body = f"<CxlReqRef>{request}</CxlReqRef><PrcgSts><{said}>{reason}</{said}></PrcgSts>"
    root = "SctiesTxCxlReqStsAdvc"
    return envelope("sese.027.001.09", f"<{root}>{body}</{root}>", identifier, **heading)


def rejection(reference: str, *, identifier: str = "REJECTED1", **heading: Any) -> bytes:
    """Return the technical rejection of one of our messages."""
    body = (
        f"<RltdRef><Ref>{reference}</Ref></RltdRef><Rsn><RjctgPtyRsn>NotAuthorised</RjctgPtyRsn>"
        "<RjctnDtTm>2026-03-02T11:00:00Z</RjctnDtTm><RsnDesc>not a participant</RsnDesc></Rsn>"
    )
    return envelope("admi.002.001.01", f"<admi.002.001.01>{body}</admi.002.001.01>", identifier, **heading)


def affirmation(transaction_id: str, *, identifier: str = "AFFIRMED1", **heading: Any) -> bytes:
    """Return the other side's affirmation of a trade confirmation."""
    body = (
        f"<Id><TxId>{identifier}</TxId></Id><Refs><Ref><ExctgPtyTxId>{transaction_id}</ExctgPtyTxId></Ref></Refs>"
        "<Sts><AffirmSts><Cd>AFFI</Cd></AffirmSts></Sts>"
    )
    return envelope("setr.030.001.03", f"<SctiesTradConfRspn>{body}</SctiesTradConfRspn>", identifier, **heading)
