"""From a trade event to a recorded instruction: decode, recognise repeats, build, validate, record; then commit.

One poll is one batch. It is recorded in rounds, each one transaction: the first event of every trade, then the second,
so that an event always finds what its predecessor left. An offset is committed after the transaction that recorded it:
after a crash the events come again and are recognised by (source, event identifier).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from gateway import lifecycle, links
from gateway.allegements import Allegements, may_be
from gateway.checkpoints import passed
from gateway.errors import EventError, GatewayError, IllegalTransition, StoreError, StoreUnavailable
from gateway.messages import Messages
from gateway.model import refusals
from gateway.model.events import CANCELLATION, EVENT_KINDS, TradeEvent
from gateway.model.facts import Alert
from gateway.model.reports import Cause
from gateway.model.transitions import REQUESTS, Dialogue
from gateway.pace import Backoff, Clock, Signals
from gateway.preparation import Preparation, Prepared, key_of, unknown_counterparty
from gateway.requests import ask, tell_dropped
from gateway.store import Alleged, ArchiveState, InstructionRow, Ledger, NewEvent, OutboxState, Parking, Unit

if TYPE_CHECKING:
    from gateway.bus import Consumer, Record
    from gateway.config import Settings

log = structlog.get_logger("gateway.intake")

ACTOR = "gateway"
_CAME = ("instructed", "parked")  # outcomes of events that what the other side began may be compared with


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an event.

    It is ``instructed``, ``cancelling``, ``requested``, ``withdrawn``, ``duplicate``, ``held``, ``waiting`` or
    ``parked``.
    """

    outcome: str
    event: NewEvent
    transaction: str = ""
    channel: str | None = None
    code: str | None = None
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """What the ledger holds that a batch may meet.

    Events by (source, event identifier), what holds a trade by its key (see ``Unit.open_trades``), instructions by
    transaction identification, and what the counterparties alleged.
    """

    events: dict[tuple[str, str], tuple[int, bytes, str]]
    open_items: dict[int, list[tuple[int, str, int | None, int | None]]]
    instructions: dict[str, int]
    alleged: Sequence[Alleged]


class Intake:
    """Prepare and record events; shared by the intake loop and by operators' commands: one way in."""

    def __init__(self, ledger: Ledger, messages: Messages, settings: Settings, clock: Clock) -> None:
        self._ledger = ledger
        self._messages = messages
        self._settings = settings
        self._own_bic = settings.gateway.bic
        self._clock = clock
        self.prepare = Preparation(messages, settings, clock).prepare

    # Record: in a transaction ----------------------------------------------------------------------------------------

    async def record(self, items: Sequence[Prepared]) -> list[Recorded]:
        """Record a batch; a culprit that the ledger refuses for good is isolated by halving, and parked.

        Raises StoreUnavailable when the ledger is away; then nothing of the failing part was written.
        """
        results: list[Recorded] = []
        for batch in _rounds(items):
            results += await self._record_batch(batch)
        return results

    async def _record_batch(self, batch: list[Prepared]) -> list[Recorded]:
        try:
            return await self._ledger.write(self._clock(), lambda unit: self._write(unit, batch), size=len(batch))
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is: it stands alone in the end, and is parked, never lost
            if len(batch) > 1:
                middle = len(batch) // 2
                return await self._record_batch(batch[:middle]) + await self._record_batch(batch[middle:])
            log.exception("event.not_recorded", event_id=batch[0].event.event_id, source=batch[0].event.source)
            code = "event_refused_by_ledger" if isinstance(error, StoreError) else "internal_error"
            refused = EventError(f"this event cannot be recorded: {type(error).__name__}: {error}", code=code)
            parked = replace(batch[0], failure=refused)
            return await self._ledger.write(self._clock(), lambda unit: self._write(unit, [parked]))

    def write_one(self, unit: Unit, item: Prepared) -> Recorded:
        """Record one event that the ledger has already, in a transaction that the caller has begun."""
        return self._write(unit, [item])[0]

    def _write(self, unit: Unit, batch: list[Prepared]) -> list[Recorded]:
        found = _Found(
            events=unit.known_events((item.event.source, item.event.event_id) for item in batch if item.row is None),
            open_items=unit.open_trades({key for item in batch if (key := key_of(item.event)) is not None}),
            instructions=unit.by_transaction(item.transaction for item in batch if item.transaction),
            alleged=unit.open_allegements({item.profile.bic for item in batch if item.profile and item.begins}),
        )
        results = [self._write_one(unit, item, found) for item in batch]
        if found.alleged:
            came = [item for item, result in zip(batch, results, strict=True) if result.outcome in _CAME]
            unit.recheck(one.instruction_id for one in found.alleged if any(_is_like(one, item) for item in came))
        return results

    def _write_one(
        self,
        unit: Unit,
        item: Prepared,
        found: _Found,
    ) -> Recorded:
        event, existing = item.event, found.instructions
        before = found.events.get((event.source, event.event_id))
        if before is not None:
            if before[1] == event.digest:
                return Recorded("duplicate", event, item.transaction)
            conflict = replace(event, event_id=f"{event.event_id}#{event.digest.hex()[:16]}")
            if unit.known_events([(conflict.source, conflict.event_id)]):
                return Recorded("duplicate", event, item.transaction)
            return self._park(
                unit, replace(item, event=conflict), refusals.event_conflict(event.source, event.event_id)
            )
        open_items = [] if item.row is not None else found.open_items.get(key_of(event) or 0, [])
        if item.parsed is not None and item.parsed.role == CANCELLATION and item.failure is None:
            covered = _instructions(unit, open_items, event.instruction_number, item.parsed.dialogue)
            if covered and item.transaction not in existing:
                return self._cancel_parked(unit, item, covered)
        if open_items:
            _file(unit, item, "held")
            return Recorded("held", event, item.transaction)
        if item.failure is not None:
            return self._cancelled_before(unit, item) or self._park(unit, item, item.failure)
        if item.parsed is not None and item.parsed.role in REQUESTS:
            return self._request(unit, item, item.parsed, existing.get(item.transaction))
        if item.transaction in existing:
            row = unit.lock([existing[item.transaction]])[existing[item.transaction]]
            return self._park(unit, item, _number_taken(event, row))
        return self._instruct(unit, item)

    def _instruct(self, unit: Unit, item: Prepared) -> Recorded:
        event, built, profile = item.event, item.built, item.profile
        assert built is not None
        assert profile is not None
        assert item.parsed is not None
        dialogue = item.parsed.dialogue
        state = lifecycle.begin(dialogue, item.parsed.axes_at_birth())
        row = unit.add_instruction(
            transaction_id=item.transaction,
            event=event,
            dialogue=dialogue,
            counterparty=profile.bic,
            terms=item.parsed.terms(),
            state=state,
            references=item.parsed.names(item.transaction),
        )
        _file(unit, item, "applied", row.id)
        if item.row is not None:  # it was held, perhaps by a request that came before it
            unit.end_wait([item.transaction])
        cause = Cause("event", event.event_id)
        alerts = lifecycle.warned(built.warnings)
        unit.move(
            row,
            state,
            lifecycle.headline(state),
            action="recorded",
            actor=ACTOR,
            cause=cause,
            alerts=alerts,
            publish=bool(alerts),
        )
        unit.add_document(
            row,
            role=item.parsed.role,
            cause=event.event_id,
            message_definition=built.message_definition,
            business_message_id=built.business_message_id,
            content=built.content,
            digest=hashlib.sha256(built.content).digest(),
            channel=profile.bic,
        )
        if dialogue is Dialogue.FOREIGN_EXCHANGE and profile.confirms_exchange:
            unit.recheck([row.id])  # the other side may have confirmed it before
        links.state(unit, self._own_bic, row, item.parsed.links(), event.event_id, built.business_message_id)
        if refused := item.parsed.rejects():
            for parked_id, archive_id in unit.parked_message(profile.bic, refused):
                unit.set_archive_state(archive_id, ArchiveState.DISCARDED)
                unit.close_parked(parked_id, "discarded", ACTOR, f"rejected by event {event.event_id}")
        alerts = (*alerts, *tell_dropped(unit, row, built, cause=cause, actor=ACTOR))
        return Recorded("instructed", event, item.transaction, profile.bic, alerts=alerts)

    def _request(self, unit: Unit, item: Prepared, parsed: TradeEvent, instruction_id: int | None) -> Recorded:
        """Ask something about an instruction that is there; a cancellation of what never left withdraws it."""
        event, profile = item.event, item.profile
        assert profile is not None
        if instruction_id is None:
            missing = refusals.nothing_there(
                event.trade_id, event.instruction_number, parsed.dialogue, cancels=parsed.role == CANCELLATION
            )
            if self._settings.loops.instruction_wait_seconds:
                return self._park(unit, item, missing, awaits=item.transaction)
            return self._park(unit, item, missing)
        row = unit.lock([instruction_id])[instruction_id]
        if row.counterparty != profile.bic:
            return self._park(
                unit,
                item,
                refusals.other_counterparty(event.trade_id, event.instruction_number, row.counterparty, profile.bic),
            )
        if parsed.role == CANCELLATION and self._withdraw(unit, item, row):
            return Recorded("withdrawn", event, item.transaction, profile.bic)
        try:
            cause = Cause("event", event.event_id)
            alerts = ask(unit, self._messages, profile, parsed, row, cause=cause, actor=ACTOR)
        except (GatewayError, IllegalTransition) as error:
            return self._park(unit, item, error)
        _file(unit, item, "applied", row.id)
        outcome = "cancelling" if parsed.role == CANCELLATION else "requested"
        return Recorded(outcome, event, item.transaction, profile.bic, alerts=alerts)

    def ask(self, unit: Unit, event: TradeEvent, row: InstructionRow, *, cause: Cause, actor: str) -> tuple[Alert, ...]:
        """Ask something about a locked instruction that no event of upstream asks: see ``requests.ask``."""
        profile = self._settings.profile(row.counterparty)
        if profile is None:
            raise unknown_counterparty(row.counterparty, self._settings)
        return ask(unit, self._messages, profile, event, row, cause=cause, actor=actor)

    def compare_again(self, unit: Unit, instruction_ids: Sequence[int]) -> None:
        """Compare what the other side began with what is ours now; the rows are locked."""
        for row in unit.lock(instruction_ids).values():
            profile = self._settings.profile(row.counterparty)
            if profile is not None:
                Allegements(self._own_bic, profile).compare_again(unit, self._messages, row)

    def _withdraw(self, unit: Unit, item: Prepared, row: InstructionRow) -> bool:
        """Cancel without a message an instruction of which nothing can have arrived; False where something may have."""
        event = item.event
        unsent = [entry for entry in unit.open_outbox(row.id) if entry[1] not in REQUESTS]
        # It never left, or every attempt was refused or not sent.
        if not unsent or unsent[0][2] == OutboxState.SENDING or (unsent[0][3] and unsent[0][4]):
            return False
        advance = lifecycle.withdraw(row.state)
        for document, _, _, attempts, in_doubt in unit.open_outbox(row.id):  # and what was asked about it meanwhile
            unit.set_outbox(document, OutboxState.WITHDRAWN, attempts, in_doubt)
            unit.close_parked_documents([document], "cancelled", ACTOR, f"cancelled by event {event.event_id}")
        unit.move(
            row,
            advance.state,
            lifecycle.headline(advance.state),
            action="withdrawn",
            actor=ACTOR,
            cause=Cause("event", event.event_id),
            changes=advance.changes,
        )
        _file(unit, item, "applied", row.id)
        return True

    def _cancel_parked(
        self, unit: Unit, item: Prepared, covered: list[tuple[int, str, int | None, int | None]]
    ) -> Recorded:
        """Cancel an instruction that is still parked as an event: it is closed, and nothing is sent."""
        for parked_id, _, _, event_row in covered:
            unit.close_parked(parked_id, "cancelled", ACTOR, f"cancelled by event {item.event.event_id}")
            assert event_row is not None
            unit.dispose_event(event_row, "cancelled")
        _file(unit, item, "applied")
        return Recorded("withdrawn", item.event, item.transaction)

    def _cancelled_before(self, unit: Unit, item: Prepared) -> Recorded | None:
        """Close an instruction that cannot be sent and whose cancellation waits for it; None where none does."""
        if item.row is None or not item.begins:
            return None
        for parked_id, event_row in unit.waiting_for([item.transaction]):
            cancellation = unit.stored_event(event_row)
            if (cancellation.kind or "").startswith("cancel_"):
                unit.close_parked(parked_id, "released", ACTOR, "what it cancels came, and was not sent")
                unit.dispose_event(event_row, "applied")
                _file(unit, item, "cancelled")
                return Recorded("withdrawn", item.event, item.transaction)
        return None

    def _park(self, unit: Unit, item: Prepared, error: GatewayError, *, awaits: str | None = None) -> Recorded:
        """Park an event; one that ``awaits`` its instruction waits for it first."""
        event = item.event
        outcome = "waiting" if awaits else "parked"
        row = _file(unit, item, outcome)
        unit.park(
            Parking(
                stage="event",
                code=error.code,
                text=error.text,
                origin=event.origin,
                violations=error.violations,
                source=event.source,
                trade_id=event.trade_id,
                instruction_number=event.instruction_number,
                counterparty=None if item.parsed is None else item.parsed.counterparty,
                event_row=row,
            ),
            awaits=awaits,
        )
        if (
            item.row is not None and item.begins
        ):  # it has come, though not as it should: what waits for it is held by it
            unit.end_wait([item.transaction])
        return Recorded(outcome, event, item.transaction, code=error.code)


def _is_like(alleged: Alleged, item: Prepared) -> bool:
    """Tell whether an event that has just come may be what the other side began before."""
    if item.parsed is None or item.profile is None or not item.begins:
        return False
    return item.profile.bic == alleged.counterparty and may_be(alleged, item.parsed.terms())


def _file(unit: Unit, item: Prepared, disposition: str, instruction_id: int | None = None) -> int:
    if item.row is None:
        return unit.add_event(item.event, disposition, instruction_id)
    unit.dispose_event(item.row, disposition, instruction_id)
    return item.row


def _instructions(
    unit: Unit, open_items: list[tuple[int, str, int | None, int | None]], number: int | None, dialogue: Dialogue
) -> list[tuple[int, str, int | None, int | None]]:
    """Pick the parked events of a number that begin a dialogue: one of another, or a request, is not what is meant."""
    begins = {
        name
        for name, kind in EVENT_KINDS.items()
        if kind.model.dialogue is dialogue and kind.model.role not in REQUESTS
    }
    return [
        entry
        for entry in open_items
        if entry[2] == number and entry[3] is not None and unit.stored_event(entry[3]).kind in begins
    ]


def _rounds(items: Sequence[Prepared]) -> list[list[Prepared]]:
    """Split a batch so that no round has two events of one trade or of one identity; order within both is kept."""
    rounds: list[list[Prepared]] = []
    turn: dict[object, int] = defaultdict(int)
    for item in items:
        event = item.event
        keys = [
            (event.source, event.trade_id) if event.trade_id is not None else None,
            (event.source, event.event_id, ""),
        ]
        place = max(turn[key] for key in keys if key is not None)
        for key in keys:
            if key is not None:
                turn[key] = place + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(item)
    return rounds


def _number_taken(event: NewEvent, row: InstructionRow) -> EventError:
    theirs = row.source, row.trade_id, row.instruction_number
    if theirs != (event.source, event.trade_id, event.instruction_number):
        return refusals.identifier_clash(*theirs)
    return refusals.number_taken(event.trade_id, event.instruction_number)


def _never() -> str | None:
    return None


class IntakeLoop:
    """Read trade events in batches and record them; commit offsets after the transaction.

    Only the ledger slows it: while it is away, or ``overloaded`` says why it cannot keep up, partitions are paused.
    """

    def __init__(
        self,
        intake: Intake,
        consumer: Consumer,
        signals: Signals,
        settings: Settings,
        clock: Clock,
        overloaded: Callable[[], str | None] = _never,
    ) -> None:
        self._intake = intake
        self._overloaded = overloaded
        self._consumer = consumer
        self._signals = signals
        self._loops = settings.loops
        self._clock = clock
        self._backoff = Backoff(settings.loops.retry_initial_seconds, settings.loops.retry_maximum_seconds)

    async def run(self) -> None:
        """Run until the stop; what was polled is recorded and committed, or left to be read again."""
        wait = int(self._loops.batch_wait_seconds * 1000)
        while not self._signals.stopping.is_set():
            await self._wait_for_relief()
            records = await self._consumer.poll(max_records=self._loops.batch, max_wait_ms=wait)
            if not records:
                continue
            passed("intake.polled")
            if await self._record(records):
                passed("intake.recorded")
                await self._consumer.commit(records)
                passed("intake.committed")

    async def _record(self, records: Sequence[Record]) -> bool:
        items = [
            self._intake.prepare(record.value, topic=record.topic, partition=record.partition, offset=record.offset)
            for record in records
        ]
        while True:
            try:
                results = await self._intake.record(items)
                break
            except StoreUnavailable as error:
                wait = self._backoff.next()
                log.error("ledger.unavailable", code=error.code, error=error.text, retry_in=round(wait, 2))
                if not await self._wait_for_ledger(wait):
                    return False
        if self._backoff.failures:
            log.info("ledger.available_again", failures=self._backoff.failures)
            self._backoff.reset()
        for result in results:
            report(result)
        for channel in {result.channel for result in results if result.channel}:
            self._signals.notify(channel)
        if any(
            result.alerts or result.outcome in ("parked", "withdrawn", "cancelling", "requested") for result in results
        ):
            self._signals.notify("publication")
        if any(result.outcome == "held" for result in results):
            self._signals.notify("commands")  # it may be what a request waits for
        return True

    async def _wait_for_relief(self) -> None:
        """Read nothing new while the ledger is there but cannot keep up."""
        cause = self._overloaded()
        if cause is None:
            return
        log.warning("intake.paused", cause=cause)
        while cause is not None and await self._wait_for_ledger(self._loops.poll_seconds):
            cause = self._overloaded()
        log.info("intake.resumed")

    async def _wait_for_ledger(self, seconds: float) -> bool:
        """Pause reading but go on polling, so that the group keeps us; False at the stop."""
        self._consumer.pause()
        try:
            await self._signals.pause(seconds)
            await self._consumer.poll(max_wait_ms=0)
        finally:
            self._consumer.resume()
        return not self._signals.stopping.is_set()


def report(result: Recorded) -> None:
    """Log what became of one event."""
    event = result.event
    write = log.warning if result.outcome == "parked" or result.alerts else log.info
    write(
        f"event.{result.outcome}",
        event_id=event.event_id,
        source=event.source,
        trade_id=event.trade_id,
        instruction=result.transaction or None,
        counterparty=result.channel,
        code=result.code,
        alerts=[alert.code for alert in result.alerts] or None,
        origin=event.origin,
    )
