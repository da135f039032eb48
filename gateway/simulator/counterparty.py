"""A simulated counterparty: receives from the other side of a channel, keeps its book, answers on time.

Two loops share a desk. One receives: judge, plan, write to the book, and only then let go of the message. The other
answers: what is due is written, validated by the simulator's own validator, sent in batches and noted in the book.
"""

from __future__ import annotations

import asyncio
import functools
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from gateway.bus import Bus
from gateway.errors import BusUnavailable, ConfigError, GatewayError, Refused, TransportError
from gateway.messages.catalogue import Catalogue
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.connections import KafkaSettings
from gateway.model.profile import Carrier, FolderCarrier, KafkaCarrier, Language, Profile
from gateway.simulator.answers import LISTED, Answer, Writer, known_steps
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.book import AnswerState, Book, read_book
from gateway.simulator.desk import Desk, Taken
from gateway.simulator.fin import FinWriter
from gateway.simulator.initiative import Initiative, InitiativeFile
from gateway.simulator.scenario import RANDOM, Delays, Scenarios
from gateway.simulator.statement import open_transactions
from gateway.simulator.tables import dialogues, read_table, read_tables
from gateway.transports import Incoming, Outgoing, Sent, Transport, open_transport

_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_BATCH = 200
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Who is simulated, towards whom, over which channel, and what it plays.

    ``channel`` is written as the gateway's profile writes it: its outbound side is where the simulator reads.
    ``versions`` names definitions to answer with in ISO 20022, ``language`` what is spoken; ``scenarios`` are tried in
    order, each where its dialogue has it.
    ``initiatives`` is a file of what it begins by itself; see ``Initiative``.
    """

    bic: str
    gateway_bic: str
    channel: Carrier
    book: Path
    kafka: KafkaSettings | None = None
    seed: int = 0
    scenarios: tuple[str, ...] = (RANDOM,)
    versions: tuple[str, ...] = ()
    language: Language = "iso20022"
    delays: Delays = field(default_factory=Delays)
    scenario_file: Path | None = None
    initiatives: Path | None = None
    schema_directory: Path | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for what is no BIC."""
        for bic in (self.bic, self.gateway_bic):
            if not _BIC.fullmatch(bic):
                raise ConfigError(f"'{bic}' is no BIC; a BIC is 8 or 11 capital letters and digits, as in BANKDEFFXXX")


@dataclass(slots=True)
class Progress:
    """Count what happened since the start: arrivals and answers by kind; ``waiting`` answers are planned."""

    arrived: int = 0
    valid: int = 0
    redelivered: int = 0
    answered: int = 0
    dropped: int = 0
    unsendable: int = 0
    waiting: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    scenarios: Counter[str] = field(default_factory=Counter)
    trouble: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return the counts as plain values, for JSON."""
        return {
            "arrived": self.arrived,
            "valid": self.valid,
            "invalid": self.arrived - self.valid,
            "redelivered": self.redelivered,
            "repeats": dict(self.repeats),
            "answered": self.answered,
            "waiting": self.waiting,
            "dropped": self.dropped,
            "unsendable": self.unsendable,
            "arrivals": dict(self.arrivals),
            "answers": dict(self.answers),
            "scenarios": dict(self.scenarios),
            "trouble": self.trouble,
        }


class Counterparty:
    """One simulated counterparty over an open transport; ``run`` it, watch ``progress``, ``stop`` it."""

    def __init__(
        self,
        settings: SimulatorSettings,
        transport: Transport,
        catalogue: Catalogue | None = None,
        *,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Open the book and take up what it holds; raises ConfigError for settings that cannot be played."""
        catalogue = catalogue or load_catalogue(settings.schema_directory)
        tables = read_tables()
        self._clock = clock or (lambda: datetime.now(UTC))
        self._validator = Validator(catalogue)
        write = FinWriter if settings.language == "fin" else Writer
        self._writer = write(
            tables.answers,
            tables.reading["codes"],
            catalogue.namespace,
            bic=settings.bic,
            gateway_bic=settings.gateway_bic,
            seed=settings.seed,
            versions=settings.versions,
            delays=settings.delays,
        )
        _check_definitions(catalogue, (*self._writer.definitions.values(), self._writer.header))
        self._scenarios = scenarios = read_scenarios(settings.scenario_file)
        self._reader = Reader(self._validator, tables.reading, settings.bic, settings.gateway_bic)
        self._desk = Desk(self._writer, scenarios, settings.scenarios)
        # What planned answers are written with later on, so that they are the same bytes after a restart.
        identity = {"bic": settings.bic, "gateway_bic": settings.gateway_bic, "header": self._writer.header}
        if settings.language != "iso20022":
            identity["language"] = settings.language
        self._book_path = settings.book
        self._book = Book(settings.book, {**identity, "seed": str(settings.seed)})
        self._desk.restore(self._book, self._clock())
        self._initiatives = InitiativeFile(settings.initiatives) if settings.initiatives else None
        self._transport = transport
        self._writing = asyncio.Lock()
        self._planned = asyncio.Event()
        self._stopping = asyncio.Event()
        self._busy = 0  # batches being taken or sent now
        self._active_at = math.inf
        self.progress = Progress(waiting=self._desk.waiting)

    async def run(self) -> None:
        """Receive and answer until ``stop``; what is planned and not sent stays in the book for the next run."""
        self._active_at = asyncio.get_running_loop().time()
        loops = [
            asyncio.create_task(self._receive(), name="receive"),
            asyncio.create_task(self._answer(), name="answer"),
        ]
        if self._initiatives is not None:
            loops.append(asyncio.create_task(self._begin(self._initiatives), name="begin"))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            self._planned.set()
            for loop in (loops[0], *loops[2:]):
                loop.cancel()
            await asyncio.wait([loops[1]])
        finally:
            for task in (*loops, stopping):
                task.cancel()
            results = await asyncio.gather(*loops, stopping, return_exceptions=True)
            self._book.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def stop(self) -> None:
        """Ask ``run`` to end after what is being sent; may be called from a signal's callback."""
        self._stopping.set()

    async def until_idle(self, seconds: float) -> None:
        """Wait until nothing arrived and nothing was left to answer for so many seconds."""
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            if self._desk.waiting or self._busy:
                self._active_at = clock()
            remaining = min(self._active_at, clock()) + seconds - clock()
            if remaining <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(remaining, 0.5))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._active_at = asyncio.get_running_loop().time()

    async def _receive(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                incoming = await self._transport.receive(_BATCH)
                with self._at_work():
                    await self._take(incoming)
                    await self._transport.acknowledge(incoming)
            except (TransportError, BusUnavailable) as error:
                pause = await self._wait_out(error, pause)
            else:
                pause = _FIRST_PAUSE
                self.progress.trouble = None

    async def _take(self, incoming: Sequence[Incoming]) -> None:
        # Off the event loop: to explain an invalid message takes up to a second.
        read = self._reader.read
        arrivals = await asyncio.to_thread(lambda: [read(item.carrier_key, item.content) for item in incoming])
        await self._decide(lambda: self._desk.take(arrivals, self._clock()))

    async def _begin(self, initiatives: InitiativeFile) -> None:
        """Begin what the file says, as it grows."""
        while True:
            found = initiatives.read()
            if found:
                with self._at_work():
                    await self._decide(functools.partial(self._begin_now, found))
            await asyncio.sleep(_LOOK_SECONDS)

    def _begin_now(self, initiatives: Sequence[Initiative]) -> Taken:
        return self._desk.begin([self._with_list(one) for one in initiatives], self._clock())

    def _with_list(self, initiative: Initiative) -> Initiative:
        """Add to a statement what it lists: the book's own transactions, as they stand now."""
        dialogue = self._scenarios.begun(initiative.play).dialogue
        lists = self._writer.dialogues[dialogue].lists
        if lists is None:
            return initiative
        account = initiative.terms.get("safekeeping_account")
        listed = open_transactions(read_book(self._book_path), lists, account)
        return msgspec.structs.replace(
            initiative, terms=initiative.terms | {LISTED: msgspec.json.encode(listed).decode()}
        )

    async def _decide(self, decide: Callable[[], Taken]) -> None:
        """Decide, and write it to the book before anything of it is answered or the carrier may forget it."""
        async with self._writing:
            taken = decide()
            await _in_thread(lambda: self._book.record(taken.recorded, taken.changed))
        progress = self.progress
        progress.redelivered += taken.redelivered
        progress.dropped += sum(state is AnswerState.DROPPED for state, _ in taken.changed)
        for recorded in taken.recorded:
            progress.arrived += 1
            progress.valid += recorded.arrival.valid
            begun = recorded.arrival.valid and recorded.arrival.message_definition is None
            known = f"begun: {recorded.arrival.dialogue}" if begun else "unreadable"
            progress.arrivals[recorded.arrival.message_definition or known] += 1
            if recorded.repeat:
                progress.repeats[recorded.repeat.value] += 1
            if recorded.scenario:
                progress.scenarios[recorded.scenario] += 1
        progress.waiting = self._desk.waiting
        self._planned.set()

    async def _answer(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            self._planned.clear()
            async with self._writing:  # what is decided and not yet in the book is not handed out
                ready = self._desk.due(self._clock(), _BATCH)
            if not ready:
                await self._until_due()
                continue
            with self._at_work():
                failure = await self._send(ready)
            self.progress.waiting = self._desk.waiting
            pause = _FIRST_PAUSE if failure is None else await self._wait_out(failure, pause)

    async def _send(self, ready: Sequence[tuple[Answer, Arrival]]) -> TransportError | None:
        """Send what is due; what the carrier did not take is queued again. Return the last failure, or None."""
        batch: list[tuple[Answer, Arrival, Outgoing, str]] = []
        marks: list[tuple[Answer, AnswerState, datetime, str, str]] = []
        for answer, arrival in ready:
            content, fault = self._write_answer(arrival, answer)
            if fault is not None:
                self.progress.unsendable += 1
                marks.append((answer, AnswerState.INVALID, self._clock(), fault, ""))
                continue
            key = arrival.transaction_id or arrival.business_message_id or arrival.carrier_key
            # A carrier may refuse to write the same message twice, which is what a duplicate is for.
            name = answer.business_message_id + (f"-{answer.position}" if answer.duplicate else "")
            outgoing = Outgoing(name, key, content)
            batch.append((answer, arrival, outgoing, sha256(content).hexdigest()))
        failure: TransportError | None = None
        outcomes = await self._transport.send([outgoing for _, _, outgoing, _ in batch]) if batch else []
        now = self._clock()
        for (answer, arrival, _, digest), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Sent):
                marks.append((answer, AnswerState.SENT, now, outcome.reference, digest))
                self.progress.answered += 1
                self.progress.answers[answer.message_definition or "garbage"] += 1
            elif isinstance(outcome, Refused):
                self.progress.unsendable += 1
                marks.append((answer, AnswerState.INVALID, now, f"{outcome.code}: {outcome.text}", digest))
            else:
                failure = outcome
                self._desk.put_back(answer, arrival, now + timedelta(seconds=_FIRST_PAUSE))
        await self._write(lambda: self._book.mark(marks))
        return failure

    def _write_answer(self, arrival: Arrival, answer: Answer) -> tuple[bytes, str | None]:
        """Return the bytes of an answer, and what the simulator's own validation says against them."""
        try:
            content = self._writer.write(arrival, answer)
        except GatewayError as error:
            return b"", f"{error.code}: {error.text}"
        if answer.document is None:
            return content, None
        verdict = self._validator.check(content)
        faults = (violation.text for violation in verdict.violations if violation.severity == "error")
        return content, next(faults, None)

    async def _until_due(self) -> None:
        due = self._desk.next_due()
        seconds = None if due is None else max(0.0, (due - self._clock()).total_seconds())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._planned.wait(), seconds)

    async def _wait_out(self, error: GatewayError, pause: float) -> float:
        if not error.retriable:
            raise error
        self.progress.trouble = f"{error.code}: {error.text}"
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)
        return min(pause * 2, _LONGEST_PAUSE)

    async def _write(self, write: Callable[[], None]) -> None:
        async with self._writing:
            await _in_thread(write)


async def _in_thread(write: Callable[[], None]) -> None:
    # A worker thread waits for the disk; a stop in between must not leave it writing alone.
    await asyncio.shield(asyncio.to_thread(write))


@asynccontextmanager
async def open_counterparty(
    settings: SimulatorSettings, catalogue: Catalogue | None = None
) -> AsyncIterator[Counterparty]:
    """Open bus, transport and book of a simulated counterparty; ``run`` what it gives. Raises ConfigError."""
    kafka = settings.kafka or KafkaSettings()
    # A reader group of its own: it reads what the gateway writes, beside whoever else does.
    kafka = kafka.model_copy(update={"group": f"simulator.{settings.bic}", "client_id": f"simulator.{settings.bic}"})
    profile = Profile(bic=settings.gateway_bic, name="the gateway under test", channel=other_side(settings.channel))
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus(kafka))
        transport = await stack.enter_async_context(open_transport(profile, bus))
        yield Counterparty(settings, transport, catalogue)


def read_scenarios(path: Path | None = None) -> Scenarios:
    """Read and check the simulator's scenarios, and a user's own table before them. Raises ConfigError.

    In a dialogue that the own table speaks of, the simulator's scenarios are played by name only, never at random.
    """
    tables = read_tables()
    table = {dialogue: dict(rows) for dialogue, rows in tables.scenarios.items()}
    if path is not None:
        for dialogue, rows in read_table(path).items():
            others = {name: {**row, "weight": 0} for name, row in table.get(dialogue, {}).items() if name not in rows}
            table[dialogue] = {**rows, **others}
    begins = {name: row.mirrors for name, row in dialogues(tables.answers).items() if row.begins}
    return Scenarios(table, known_steps(tables.answers), begins)


def other_side(channel: Carrier) -> Carrier:
    """Turn a channel round: what the gateway sends on is what the counterparty reads."""
    if isinstance(channel, KafkaCarrier):
        return KafkaCarrier(outbound_topic=channel.inbound_topic, inbound_topic=channel.outbound_topic)
    return FolderCarrier(outbound=channel.inbound, inbound=channel.outbound, poll_seconds=channel.poll_seconds)


def _check_definitions(catalogue: Catalogue, definitions: Sequence[str]) -> None:
    for definition in definitions:
        if definition not in catalogue:
            raise ConfigError(
                f"the simulator cannot answer with {definition}: its schema is not here; import it with "
                "`gateway schemas import FILE`, or answer with another version",
                code="definition_unknown",
            )
