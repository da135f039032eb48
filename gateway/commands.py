"""Operators' commands: rows in the ledger that this loop executes on the normal path, one way in and one history.

It also gives held events their turn once nothing parked holds them any more, and ends the wait of requests that came
before their instruction. One process does it at a time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from gateway import lifecycle, links
from gateway.allegements import answer, around
from gateway.errors import GatewayError, StoreUnavailable
from gateway.intake import Intake, report
from gateway.model.events import EVENT_KINDS
from gateway.model.facts import Delivery
from gateway.model.reports import Cause
from gateway.model.transitions import GIVEN_UP, REQUESTS
from gateway.preparation import Prepared
from gateway.store import ArchiveState, CommandRow, InstructionRow, NewEvent, OutboxState, ParkedRow, Unit

if TYPE_CHECKING:
    from gateway.pace import Clock, Signals
    from gateway.store import Ledger

log = structlog.get_logger("gateway.commands")

LEASE = "commands"
_CHECKS = 200  # instructions looked at again in one transaction
_BEGINNINGS = tuple(name for name, kind in EVENT_KINDS.items() if kind.model.role not in REQUESTS)


class _Said(msgspec.Struct):
    """An operator's answer to a trade that the other side began."""

    answer: str
    code: str | None = None
    text: str | None = None


_SAID = msgspec.json.Decoder(_Said)


class Refusal(GatewayError):
    """A command that cannot be carried out; its text is the answer."""

    code = "command_refused"


class Commands:
    """Execute operators' commands and resume held events."""

    def __init__(
        self,
        ledger: Ledger,
        intake: Intake,
        signals: Signals,
        clock: Clock,
        *,
        poll_seconds: float,
        instruction_wait_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._intake = intake
        self._signals = signals
        self._clock = clock
        self._poll = poll_seconds
        self._wait = timedelta(seconds=instruction_wait_seconds)

    async def run(self) -> None:
        """Run until the stop; the caller holds the lease."""
        while not self._signals.stopping.is_set():
            if not await self.execute_waiting():
                await self._signals.wait("commands", self._poll)

    async def execute_waiting(self) -> int:
        """Execute what waits; returns how much was done."""
        commands = await self._ledger.read(self._clock(), lambda unit: unit.waiting_commands(20))
        for command in commands:
            await self._execute(command)
        return len(commands) + await self._end_waits() + await self._resume_held() + await self._look_again()

    async def _execute(self, command: CommandRow) -> None:
        try:
            answer, code = await self._carry_out(command), "done"
        except StoreUnavailable:
            raise
        except GatewayError as error:
            answer, code = error.text, "refused"
        except Exception as error:  # one command that cannot be carried out must not keep the others waiting
            log.exception("command.failed", command=command.id, kind=command.kind, parked=command.parked_id)
            answer, code = f"the command cannot be carried out: {type(error).__name__} [internal_error]", "refused"
        if code == "refused":
            text = answer
            await self._ledger.write(self._clock(), lambda unit: unit.answer_command(command.id, "refused", text))
        log.info(
            "command.done" if code == "done" else "command.refused",
            command=command.id,
            kind=command.kind,
            parked=command.parked_id,
            allegement=command.instruction_id,
            actor=command.actor,
            answer=answer if code == "done" else None,  # a refusal may quote what is wrong with the event
        )
        for name in ("publication", "commands"):
            self._signals.notify(name)

    async def _carry_out(self, command: CommandRow) -> str:
        if command.instruction_id is not None:
            return await self._answer(command, command.instruction_id)
        parked = await self._ledger.read(self._clock(), lambda unit: _parked(unit, command))
        if parked.stage == "event" and command.kind in ("release", "repair"):
            return await self._release_event(command, parked)
        work = _WORK.get((parked.stage, command.kind))
        if work is None:
            raise Refusal(f"no {command.kind} for a parked {parked.stage}: discard it and send a corrected event")

        def run(unit: Unit) -> str:
            locked = _still_open(unit, command)
            answer = work(unit, command, locked)
            unit.answer_command(command.id, "done", answer)
            return answer

        return await self._ledger.write(self._clock(), run)

    async def _release_event(self, command: CommandRow, parked: ParkedRow) -> str:
        event_row = parked.event_row
        assert event_row is not None
        event = await self._ledger.read(self._clock(), lambda unit: unit.stored_event(event_row))
        content = command.content if command.content is not None else event.content
        item = self._intake.prepare(
            content, topic=event.topic, partition=event.partition, offset=event.offset, row=event_row
        )
        if item.failure is not None:
            found = "; ".join(violation.text for violation in item.failure.violations) or item.failure.text
            raise Refusal(f"the event is still refused: {found}")
        new = item.event
        decoded = event.trade_id is not None
        if decoded and not (
            (new.source, new.trade_id) == (event.source, event.trade_id) and event.event_id in _kept_as(event, new)
        ):
            raise Refusal("a repair keeps source, event_id and trade_id; send anything else as a new event")

        def run(unit: Unit) -> str:
            number = _still_open(unit, command).id
            if not decoded and unit.known_events([(new.source, new.event_id)]):
                raise Refusal(f"event {new.event_id} of {new.source} is here already; discard this item")
            state = "released"
            unit.close_parked(number, state, command.actor, command.reason, command.content)
            result = self._intake.write_one(unit, item)
            if result.outcome in ("parked", "waiting"):
                raise Refusal("the event is still refused for what the ledger holds; see the other parked item")
            answer = f"released: {result.outcome} {result.transaction}".rstrip()
            unit.answer_command(command.id, "done", answer)
            self._signals.notify(result.channel or "publication")
            return answer

        return await self._ledger.write(self._clock(), run)

    async def _answer(self, command: CommandRow, instruction_id: int) -> str:
        """Answer what the other side began, as an event of upstream would; the history says who did."""
        said = _SAID.decode(command.content or b"")

        def run(unit: Unit) -> str:
            row = unit.lock([instruction_id])[instruction_id]
            if row.headline in GIVEN_UP or row.headline == "removed":
                raise Refusal(f"{row.trade_id} is {row.headline}: there is nothing to answer")
            event = answer(row, said.answer, said.code, said.text, f"command-{command.id}", unit.now)
            self._intake.ask(unit, event, row, cause=Cause("command", str(command.id)), actor=command.actor)
            told = f"answered {row.trade_id} of {row.counterparty}: {said.answer}"
            unit.answer_command(command.id, "done", told)
            self._signals.notify(row.counterparty)
            return told

        return await self._ledger.write(self._clock(), run)

    async def _resume_held(self) -> int:
        """Give the first held event of every trade that nothing holds any more its turn; first what is awaited."""
        done = 0
        for number, awaits in await self._ledger.read(
            self._clock(), lambda unit: unit.awaited_events(_BEGINNINGS, 1000)
        ):
            item = await self._prepare(number)
            if item.begins and item.transaction == awaits:
                await self._record(item)
                done += 1
        rows = await self._ledger.read(self._clock(), lambda unit: unit.released_events(100))
        for number in rows:
            await self._record(await self._prepare(number))
        return done + len(rows)

    async def _prepare(self, event_row: int) -> Prepared:
        event = await self._ledger.read(self._clock(), lambda unit: unit.stored_event(event_row))
        return self._intake.prepare(
            event.content, topic=event.topic, partition=event.partition, offset=event.offset, row=event_row
        )

    async def _record(self, item: Prepared) -> None:
        [result] = await self._intake.record([item])
        report(result)
        self._signals.notify(result.channel or "publication")

    async def _look_again(self) -> int:
        """Alert what goes with an instruction that was given up; compare what was alleged before ours came or went."""
        checks = await self._ledger.read(self._clock(), lambda unit: unit.rechecks(_CHECKS))
        if not checks:
            return 0

        def run(unit: Unit) -> tuple[list[tuple[InstructionRow, str]], bool]:
            numbers = {number for _, number in checks}
            pairs = unit.parted(numbers)
            alleged = around(unit, numbers)
            unit.lock(sorted({*alleged, *(number for pair in pairs for number in pair)}))
            told = links.mark(unit, pairs)
            self._intake.compare_again(unit, alleged)
            unit.end_rechecks([number for number, _ in checks])
            return told, bool(told or alleged)

        told, came_of_it = await self._ledger.write(self._clock(), run)
        for row, ended in told:
            log.warning("instruction.linked_ended", instruction=row.transaction_id, ended=ended)
            self._signals.notify("publication")
        # Mostly nothing comes of it: what comes meanwhile is looked at together, not one by one.
        return len(checks) if came_of_it or len(checks) == _CHECKS else 0

    async def _end_waits(self) -> int:
        """Park the requests whose instruction did not come in time; one whose instruction is there has its turn."""
        now = self._clock()
        overdue = await self._ledger.read(now, lambda unit: unit.overdue(now - self._wait, 100))
        for parked_id, awaits in overdue:
            await self._ledger.write(now, lambda unit, number=parked_id, what=awaits: _end_wait(unit, number, what))  # type: ignore[misc]  # a lambda's default has no type
            log.warning("event.waited", parked=parked_id, instruction=awaits)
            self._signals.notify("publication")
        return len(overdue)


def _end_wait(unit: Unit, parked_id: int, awaits: str) -> None:
    parked = unit.lock_parked(parked_id)
    assert parked is not None
    if parked.state != "waiting":
        return  # it came in this very moment
    if unit.by_transaction([awaits]):
        unit.end_wait([awaits])
        return
    assert parked.event_row is not None
    unit.dispose_event(parked.event_row, "parked")
    unit.give_up_waiting(parked_id)


def _kept_as(event: NewEvent, new: NewEvent) -> tuple[str, str]:
    """Return the identifiers under which an event may be kept: its own, or with its digest behind it (a conflict)."""
    return new.event_id, f"{new.event_id}#{event.digest.hex()[:16]}"


def _parked(unit: Unit, command: CommandRow) -> ParkedRow:
    parked = None if command.parked_id is None else unit.lock_parked(command.parked_id)
    if parked is None:
        raise Refusal(f"there is no parked item {command.parked_id}")
    return parked


def _still_open(unit: Unit, command: CommandRow) -> ParkedRow:
    parked = _parked(unit, command)
    if parked.state not in ("open", "waiting"):
        raise Refusal(f"parked item {parked.id} is {parked.state} already")
    return parked


def _discard_event(unit: Unit, command: CommandRow, parked: ParkedRow) -> str:
    assert parked.event_row is not None
    unit.dispose_event(parked.event_row, "discarded")
    unit.close_parked(parked.id, "discarded", command.actor, command.reason)
    return "discarded; later events of the trade go on"


# Where a parked message stands once an operator has dealt with it; what may have arrived stays in doubt.
_RELEASED = {Delivery.REFUSED: Delivery.RECORDED, Delivery.PARKED: Delivery.IN_DOUBT}
_DISCARDED = {Delivery.REFUSED: Delivery.WITHDRAWN, Delivery.PARKED: Delivery.IN_DOUBT}


def _move(
    unit: Unit,
    command: CommandRow,
    row: InstructionRow,
    entry: tuple[int, str, int, int, int],
    action: str,
    ways: dict[Delivery, Delivery],
) -> None:
    advance = lifecycle.Advance(row.state)
    if entry[1] not in REQUESTS and row.state.delivery in ways:
        advance = lifecycle.advance_delivery(row.state, ways[row.state.delivery])
    unit.move(
        row,
        advance.state,
        lifecycle.headline(advance.state),
        action=action,
        actor=command.actor,
        cause=Cause("command", str(command.id)),
        changes=advance.changes,
    )


def _release_send(unit: Unit, command: CommandRow, parked: ParkedRow) -> str:
    assert parked.document_id is not None
    assert parked.instruction_id is not None
    row = unit.lock([parked.instruction_id])[parked.instruction_id]
    if row.state.delivery is Delivery.WITHDRAWN:
        raise Refusal("the instruction was cancelled; it cannot be released")
    entry = next(item for item in unit.open_outbox(parked.instruction_id) if item[0] == parked.document_id)
    unit.set_outbox(parked.document_id, OutboxState.READY, entry[3], entry[4])
    unit.close_parked(parked.id, "released", command.actor, command.reason)
    _move(unit, command, row, entry, "send_released", _RELEASED)
    return "released: it is sent again"


def _discard_send(unit: Unit, command: CommandRow, parked: ParkedRow) -> str:
    assert parked.document_id is not None
    assert parked.instruction_id is not None
    row = unit.lock([parked.instruction_id])[parked.instruction_id]
    entry = next(item for item in unit.open_outbox(parked.instruction_id) if item[0] == parked.document_id)
    unit.set_outbox(parked.document_id, OutboxState.WITHDRAWN, entry[3], entry[4])
    unit.close_parked(parked.id, "discarded", command.actor, command.reason)
    _move(unit, command, row, entry, "send_discarded", _DISCARDED)
    return "discarded: it is not sent; later items of the trade go on"


def _release_reply(unit: Unit, command: CommandRow, parked: ParkedRow) -> str:
    assert parked.archive_id is not None
    unit.reopen_reply(parked.archive_id, command.content)
    unit.close_parked(parked.id, "released", command.actor, command.reason, command.content)
    return "released: it is applied again"


def _discard_reply(unit: Unit, command: CommandRow, parked: ParkedRow) -> str:
    assert parked.archive_id is not None
    unit.set_archive_state(parked.archive_id, ArchiveState.DISCARDED)
    unit.close_parked(parked.id, "discarded", command.actor, command.reason)
    return "discarded; the bytes stay in the archive"


_WORK = {
    ("event", "discard"): _discard_event,
    ("send", "release"): _release_send,
    ("send", "discard"): _discard_send,
    ("reply", "release"): _release_reply,
    ("reply", "repair"): _release_reply,
    ("reply", "discard"): _discard_reply,
}
