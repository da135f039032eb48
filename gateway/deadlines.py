"""Time: what has to have happened by when, told once before and once after; silence is chased; overdue is counted.

One process does it at a time, under a lease. Instructions are followed by their documents, behind the intake, which
knows nothing of it; each has one row with its deadlines and the next time to look at it. What is told is written in the
transaction that says that it was told: a crash repeats nothing and loses nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway import lifecycle
from gateway.calendar.deadlines import OVERDUE, REPLY, Deadline, Stage, Subject, Timetable, rederived
from gateway.checkpoints import passed
from gateway.errors import GatewayError, StoreError
from gateway.lifecycle import timing
from gateway.model.events import EVENT_KINDS, TradeEvent
from gateway.model.facts import Alert, State
from gateway.model.reports import Cause
from gateway.requests import ask
from gateway.store import CutoffChange, InstructionRow, Ledger, Unit, WatchRow, cutoffs_in_force

if TYPE_CHECKING:
    from gateway.calendar import Calendars
    from gateway.calendar.deadlines import Cutoff
    from gateway.config import Settings
    from gateway.messages import Messages
    from gateway.model.profile import Chasing
    from gateway.pace import Clock, Signals

log = structlog.get_logger("gateway.deadlines")

LEASE: Final = "deadlines"
ACTOR: Final = "gateway"
_BATCH: Final = 200
_RECALLED: Final = 2_000
_CUTOFFS, _CONFIGURATION = "cutoffs", "deadline configuration"
_AFTER_A_FAULT: Final = timedelta(hours=1)
_EARLIEST, _LATEST = date(1970, 1, 1), date(2999, 12, 31)  # beyond them a date is a slip, and calendars end
_LOOK_AGAIN: Final = timedelta(minutes=5)  # while a modification is open: its answer may bring other dates


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an instruction finds: its deadlines from now on, what is to be told, whether to ask.

    ``told`` are kinds and alerts.
    """

    deadlines: tuple[Deadline, ...]
    told: tuple[tuple[str, Alert], ...] = ()
    asks: bool = False


def subject_of(row: InstructionRow) -> Subject | None:
    """State what the deadlines of an instruction depend on; None while it has no settlement date that can be kept."""
    terms = lifecycle.terms_in_force(row.state, row.terms)
    if terms.settlement_date is None or not _EARLIEST <= terms.settlement_date <= _LATEST:
        return None
    paid = (terms.amount, terms.bought_amount, terms.sold_amount)
    currencies = tuple(dict.fromkeys(amount.currency for amount in paid if amount is not None))
    return Subject(
        row.dialogue, row.counterparty, terms.place_of_settlement, currencies, terms.payment, terms.settlement_date
    )


def first_deadlines(
    subject: Subject | None, state: State, timetable: Timetable, chasing: Chasing | None, written_at: datetime
) -> tuple[Deadline, ...]:
    """Return the deadlines of an instruction that was not seen before; its message was written at that time."""
    found: tuple[Deadline, ...] = ()
    if subject is not None:
        found = timetable.deadlines(subject)
        if timing.settles(state):
            found = (*found, timetable.overdue(subject))
    if chasing is not None:
        found = (*found, _silence(chasing, written_at))
    return found


def look(
    before: tuple[Deadline, ...],
    state: State,
    subject: Subject | None,
    timetable: Timetable,
    chasing: Chasing | None,
    sent_at: datetime | None,
    now: datetime,
) -> Look:
    """Look at an instruction at a moment: what is met ends silently, what is near or missed is told, once each.

    ``sent_at`` is when the carrier took the last of its messages. What is finished, or not ours, has no deadline left.
    """
    if lifecycle.is_finished(state) or not timing.is_ours(state):
        return Look(tuple(replace(one, stage=Stage.MET) if one.is_open else one for one in before))
    deadlines: list[Deadline] = []
    told: list[tuple[str, Alert]] = []
    asks = False
    for one in rederived(before, timetable.deadlines(subject)) if subject is not None else ():
        after, code = _advance(one, state, now)
        deadlines.append(after)
        if code:
            text = f"Due {_shown(one.due_at)}; it stands at {lifecycle.headline(state)}."
            told.append((one.kind, lifecycle.alert(code, text)))
    kept = {one.kind: one for one in before}
    if subject is not None and timing.settles(state):
        after, days = _overdue(kept.get(OVERDUE), subject, timetable, now)
        deadlines.append(after)
        if days:
            text = f"It was due on {subject.settlement_date}, {days} business day{'' if days == 1 else 's'} ago."
            told.append((OVERDUE, lifecycle.alert("settlement_overdue", text)))
    if REPLY in kept and chasing is not None:
        after, what = _chased(kept[REPLY], state, chasing, sent_at, now)
        deadlines.append(after)
        asks = what == "ask"
        if what == "tell":
            told.append((REPLY, no_reply(state, sent_at)))
    return Look(tuple(deadlines), tuple(told), asks)


def next_look(deadlines: tuple[Deadline, ...], state: State, now: datetime) -> datetime | None:
    """Return when to look again; None when nothing more is to be told."""
    times = [one.next_at for one in deadlines if one.is_open]
    if times and timing.has_open_modification(state):
        times.append(now + _LOOK_AGAIN)
    return min(times, default=None)


def no_reply(state: State, sent_at: datetime | None, why: str = "") -> Alert:
    """Say of what the counterparty is silent, since when, and why it was not asked."""
    what = ", ".join(timing.unanswered(state))
    since = f", sent {_shown(sent_at)}" if sent_at else ""
    return lifecycle.alert("no_reply", f"Unanswered: {what}{since}.{why}")


def _advance(one: Deadline, state: State, now: datetime) -> tuple[Deadline, str]:
    if not one.is_open:
        return one, ""
    happened = timing.has_happened(state, one.kind)
    if happened and (one.due_at <= now or one.kind in ("send", "settle")):
        return replace(one, stage=Stage.MET), ""
    if one.due_at <= now:
        return replace(one, stage=Stage.MISSED), f"{one.kind}_deadline_missed"
    if one.stage is Stage.WAITING and one.warn_at is not None and one.warn_at <= now:
        # What has happened may be undone: a leg withdrawn, held again. It is looked at once more when it is due.
        return replace(one, stage=Stage.WARNED), "" if happened else f"{one.kind}_deadline_near"
    return one, ""


def _overdue(
    before: Deadline | None, subject: Subject, timetable: Timetable, now: datetime
) -> tuple[Deadline, int | None]:
    """Return the next time to call it overdue, and the business days to be told of now."""
    first = timetable.overdue(subject)
    if first.due_at > now:
        return first, None
    if before is not None and before.stage is Stage.WARNED and before.due_at > now:
        return before, None  # today's was told
    following = replace(timetable.overdue(subject, after=now), stage=Stage.WARNED)
    return following, timetable.days_overdue(subject, now)


def _chased(
    one: Deadline, state: State, chasing: Chasing, sent_at: datetime | None, now: datetime
) -> tuple[Deadline, str]:
    """Return how long to wait for a reply from now on, and whether to ``ask`` or to ``tell``."""
    if not one.is_open or one.due_at > now:
        return one, ""
    if not timing.unanswered(state):
        return replace(one, stage=Stage.MET), ""
    if one.stage is Stage.ASKED:
        return replace(one, stage=Stage.MISSED), "tell"
    if sent_at is None or not timing.has_happened(state, "send"):
        return _silence(chasing, now), ""
    since = _silence(chasing, sent_at)
    if since.due_at > now:
        return since, ""
    if chasing.asks and timing.can_be_queried(state):
        return Deadline(REPLY, now + timedelta(seconds=chasing.alert_after_seconds), stage=Stage.ASKED), "ask"
    return replace(one, stage=Stage.MISSED), "tell"


def _silence(chasing: Chasing, since: datetime) -> Deadline:
    return Deadline(REPLY, since + timedelta(seconds=chasing.query_after_seconds))


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


class Deadlines:
    """Follow instructions, and tell what is near, missed, unanswered and overdue."""

    def __init__(
        self,
        ledger: Ledger,
        messages: Messages,
        settings: Settings,
        calendars: Calendars,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._messages = messages
        self._settings = settings
        self._calendars = calendars
        self._signals = signals
        self._clock = clock
        self._change = -1  # the last change of a cut-off that the timetable knows
        self._timetable = self._timetable_of([])

    async def run(self) -> None:
        """Run until the stop; the caller holds the lease."""
        while not self._signals.stopping.is_set():
            if not await self.work_off():
                await self._signals.wait("deadlines", self._settings.deadlines.poll_seconds)

    async def work_off(self) -> bool:
        """Take account of what is new and look at what is due, a batch of each; returns whether there may be more."""
        await self._take_cutoffs()
        dated = looked = 0
        if await self._read(lambda unit: unit.has_undated()):
            dated = await self._ledger.write(self._clock(), self._date, size=_BATCH)
            passed("deadlines.dated")
        if await self._read(lambda unit: unit.has_due()):
            looked = await self._look()
        return _BATCH in (dated, looked)

    async def _read(self, work: Callable[[Unit], bool]) -> bool:
        return await self._ledger.read(self._clock(), work)

    # Cut-offs ---

    def _timetable_of(self, changes: list[CutoffChange]) -> Timetable:
        settings = self._settings
        return Timetable(
            self._calendars,
            cutoffs_in_force(settings.cutoffs, changes),
            settings.deadlines.zone,
            settings.deadlines.overdue_at,
        )

    async def _take_cutoffs(self) -> None:
        """Learn what operators have changed, and look again at every open instruction that it may be about."""
        now = self._clock()
        last = await self._ledger.read(now, lambda unit: unit.last_cutoff_change())
        if last == self._change:
            return
        changes = await self._ledger.read(now, lambda unit: unit.cutoff_changes())
        self._timetable = self._timetable_of(changes)
        applied, configured = await self._ledger.read(
            now, lambda unit: (unit.position(_CUTOFFS), unit.position(_CONFIGURATION))
        )
        configuration = _digest(self._settings)
        changed = [change.cutoff for change in changes if change.id > applied]
        if changed or configured != configuration:
            await self._recall(None if configured != configuration else changed)
            if self._signals.stopping.is_set():
                return  # perhaps not to the end: it begins again at the next start

            def remember(unit: Unit) -> None:
                unit.set_position(_CUTOFFS, last)
                unit.set_position(_CONFIGURATION, configuration)

            await self._ledger.write(self._clock(), remember)
            log.info("cutoffs.taken", cutoffs=len(self._timetable.cutoffs), changes=len(changed))
        self._change = last

    async def _recall(self, cutoffs: list[Cutoff] | None) -> None:
        last: int | None = 0
        while last is not None and not self._signals.stopping.is_set():
            last = await self._ledger.write(
                self._clock(), partial(Unit.recall, cutoffs=cutoffs, after=last, limit=_RECALLED)
            )

    # Instructions ---

    def _date(self, unit: Unit) -> int:
        """Derive the deadlines of instructions with new documents."""
        found = unit.undated(_BATCH)
        latest = {number: (watch, document, written_at) for watch, number, document, written_at in found}
        rows = unit.look_up(latest)
        for number, (watch, document, written_at) in latest.items():
            row = rows[number]
            chasing = self._chasing(row)
            if watch is None:
                deadlines = self._first(row, chasing, written_at)
                at = next_look(deadlines, row.state, unit.now)
                unit.add_watch(WatchRow(number, document, at, deadlines))
                continue
            # We have said something more: silence begins anew, and what we asked for may change the dates.
            deadlines = watch.deadlines
            reply = next((one for one in deadlines if one.kind == REPLY), None)
            if chasing is not None and (reply is None or reply.stage is not Stage.ASKED):
                deadlines = (*(one for one in deadlines if one.kind != REPLY), _silence(chasing, written_at))
            at = next_look(deadlines, row.state, unit.now)
            unit.set_watch(WatchRow(number, document, at, deadlines))
        unit.documents_seen(found[-1][2] if found else None)
        return len(found)

    def _first(self, row: InstructionRow, chasing: Chasing | None, written_at: datetime) -> tuple[Deadline, ...]:
        if not timing.is_ours(row.state) or lifecycle.is_finished(row.state):
            return ()
        try:
            return first_deadlines(subject_of(row), row.state, self._timetable, chasing, written_at)
        except Exception:  # one instruction that cannot be dated must not keep the others from it
            log.exception("deadline.not_looked_at", instruction=row.transaction_id, channel=row.counterparty)
            return ()

    async def _look(self) -> int:
        told: list[tuple[str, str, str | None]] = []

        def work(unit: Unit) -> int:
            told.clear()
            due = unit.due(_BATCH)
            numbers = [watch.instruction_id for watch in due]
            rows = unit.lock(numbers)
            silent = [watch.instruction_id for watch in due if any(one.kind == REPLY for one in watch.deadlines)]
            sent = unit.sent_at(silent) if silent else {}
            for watch in due:
                row = rows[watch.instruction_id]
                told.extend(self._look_at(unit, watch, row, sent.get(row.id)))
            return len(due)

        looked = await self._ledger.write(self._clock(), work, size=_BATCH)
        passed("deadlines.told")
        for transaction, channel, code in told:
            self._signals.notify("publication")
            if code is None:
                log.info("reply.chased", instruction=transaction, channel=channel)
            else:
                log.warning("deadline.told", instruction=transaction, channel=channel, code=code)
        return looked

    def _look_at(
        self, unit: Unit, watch: WatchRow, row: InstructionRow, sent_at: datetime | None
    ) -> list[tuple[str, str, str | None]]:
        try:
            found = look(
                watch.deadlines, row.state, subject_of(row), self._timetable, self._chasing(row), sent_at, unit.now
            )
        except Exception:  # the same
            log.exception("deadline.not_looked_at", instruction=row.transaction_id, channel=row.counterparty)
            unit.set_watch(replace(watch, next_at=unit.now + _AFTER_A_FAULT))
            return []
        deadlines, told = found.deadlines, list(found.told)
        happened: list[tuple[str, str, str | None]] = []
        if found.asks:
            refusal = self._ask(unit, row, watch.document_id)
            if refusal is None:
                happened.append((row.transaction_id, row.counterparty, None))
            else:
                deadlines = tuple(replace(one, stage=Stage.MISSED) if one.kind == REPLY else one for one in deadlines)
                told.append((REPLY, no_reply(row.state, sent_at, f" It cannot be asked: {refusal}.")))
        for kind, alert in told:
            unit.move(
                row,
                row.state,
                row.headline,
                action=alert.code,
                actor=ACTOR,
                cause=Cause("deadline", kind),
                alerts=(alert,),
            )
            happened.append((row.transaction_id, row.counterparty, alert.code))
        unit.set_watch(WatchRow(row.id, watch.document_id, next_look(deadlines, row.state, unit.now), deadlines))
        return happened

    def _ask(self, unit: Unit, row: InstructionRow, silence: int) -> str | None:
        """Ask the counterparty where it stands, once a silence; returns why that is not possible."""
        profile = self._settings.profile(row.counterparty)
        if profile is None:
            return "the counterparty has no profile any more"
        try:
            event = _query(row, silence, unit.now)
            ask(unit, self._messages, profile, event, row, cause=Cause("deadline", REPLY), actor=ACTOR)
        except StoreError:
            raise
        except GatewayError as error:
            return error.code
        except Exception:  # the same
            log.exception("deadline.not_looked_at", instruction=row.transaction_id, channel=row.counterparty)
            return GatewayError.code
        self._signals.notify(profile.bic)
        return None

    def _chasing(self, row: InstructionRow) -> Chasing | None:
        profile = self._settings.profile(row.counterparty)
        return None if profile is None else profile.chasing


def _query(row: InstructionRow, silence: int, now: datetime) -> TradeEvent:
    """Make the status query of a dialogue, as upstream would send it; ``silence`` tells this one from another."""
    model = next(
        kind.model
        for kind in EVENT_KINDS.values()
        if kind.model.role == "status_query" and kind.model.dialogue == row.dialogue
    )
    said: dict[str, Any] = {
        "schema": next(name for name, kind in EVENT_KINDS.items() if kind.model is model),
        "event_id": f"{row.transaction_id}-silence-{silence}",
        "source": ACTOR,
        "trade_id": row.trade_id,
        "instruction_number": row.instruction_number,
        "occurred_at": now.isoformat(),
        "counterparty": row.counterparty,
    }
    return model(**said)


def _digest(settings: Settings) -> int:
    """Return a number for what deadlines follow from in the configuration: another one means to look at them again."""
    parts = [settings.deadlines, *settings.cutoffs, *settings.calendars]
    parts += [profile.chasing for profile in settings.counterparties if profile.chasing is not None]
    text = "\n".join(part.model_dump_json() for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
