"""From the counterparty's bytes to the instruction's state: archive, then read, correlate, compare, advance.

The bytes are archived and committed before the carrier is told, and before they are parsed: after a crash what waits in
the archive is applied. The same reply again changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from gateway import lifecycle, matching, unfit
from gateway.allegements import Allegements
from gateway.candidates import begun, find, reference
from gateway.checkpoints import passed
from gateway.differences import differences_of
from gateway.errors import (
    Conflict,
    GatewayError,
    IllegalTransition,
    MessageError,
    StoreError,
    StoreUnavailable,
)
from gateway.messages import Messages
from gateway.messages.fin import messages_in
from gateway.messages.header import without_header
from gateway.model.facts import (
    AccountEntry,
    Alert,
    Alleged,
    Delivery,
    Fact,
    MessageRejection,
    Receipt,
    References,
    Reply,
    SettlementInstruction,
    State,
    Statement,
    SystemEvent,
)
from gateway.model.reports import Cause
from gateway.pace import Backoff, Clock, Signals
from gateway.penalties import Estimator
from gateway.requests import compare_anew
from gateway.statements import Statements
from gateway.store import ArchiveState, InstructionRow, Ledger, OutboxState, Parking, Unit, WaitingReply
from gateway.transports import Incoming, Transport

if TYPE_CHECKING:
    from gateway.config import LoopSettings
    from gateway.model.profile import Profile

log = structlog.get_logger("gateway.replies")

_Found = tuple[References, Fact, matching.Correlated]
ACTOR = "gateway"
_EXPLAINED = 100  # parked replies of a channel that are read again when it begins a trade, the newest first
_FRESH = 1_000  # archived replies kept at hand; more wait in the archive


@dataclass(frozen=True, slots=True)
class Read:
    """An archived reply with what it says, or why it cannot be read."""

    waiting: WaitingReply
    document_digest: bytes
    reply: Reply | None = None
    failure: GatewayError | None = None

    @property
    def message_id(self) -> str | None:
        """Return the header's business message identifier, where there is one."""
        return None if self.reply is None else self.reply.business_message_id

    @property
    def is_statement(self) -> bool:
        """Tell whether it is a page of a statement, or of several."""
        return self.reply is not None and any(isinstance(fact, Statement) for _, fact in self.reply.facts)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one reply: ``applied``, ``duplicate`` or ``parked``."""

    outcome: str
    read: Read
    instruction: str | None = None
    headline: str | None = None
    code: str | None = None
    alerts: tuple[Alert, ...] = ()


class Replies:
    """Archive and apply one channel's replies while its lease is held."""

    def __init__(
        self,
        ledger: Ledger,
        messages: Messages,
        profile: Profile,
        estimator: Estimator,
        loops: LoopSettings,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._messages = messages
        self._channel, self._profile = profile.bic, profile
        self._receipt_codes = profile.receipt_codes
        self._estimator = estimator
        self._allegements = Allegements(messages.own_bic, profile)
        self._statements = Statements(messages.own_bic, profile)
        self._loops = loops
        self._signals = signals
        self._clock = clock
        self._backoff = Backoff(loops.retry_initial_seconds, loops.retry_maximum_seconds)
        self._fresh: deque[WaitingReply] = deque()

    async def receive(self, transport: Transport) -> None:
        """Archive what the carrier brings, then let go of it there; until the stop."""
        while not self._signals.stopping.is_set():
            try:
                incoming = await self._receive(transport)
            except GatewayError as error:
                if not error.retriable:
                    raise
                wait = self._backoff.next()
                log.warning("channel.inbound_failing", channel=self._channel, code=error.code, error=error.text)
                await self._signals.pause(wait)
                continue
            self._backoff.reset()
            if incoming:
                await self._archive(transport, incoming)

    async def _receive(self, transport: Transport) -> list[Incoming]:
        """Wait for messages, but not beyond the stop."""
        receiving = asyncio.ensure_future(transport.receive(self._loops.batch))
        stopping = asyncio.ensure_future(self._signals.stopping.wait())
        try:
            await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else []
        finally:
            for task in (receiving, stopping):
                if not task.done():
                    task.cancel()
            await asyncio.gather(receiving, stopping, return_exceptions=True)

    async def _archive(self, transport: Transport, incoming: Sequence[Incoming]) -> None:
        passed("replies.received")
        rows = [(key, content, hashlib.sha256(content).digest()) for item in incoming for key, content in _cut(item)]
        numbers = await self._ledger.write(
            self._clock(), lambda unit: unit.archive(self._channel, rows), size=len(rows)
        )
        for (carrier_key, content, _), number in zip(rows, numbers, strict=True):
            if number is None:
                log.info("reply.repeated_bytes", channel=self._channel, carrier_key=carrier_key)
            elif len(self._fresh) < _FRESH:  # what does not fit is found in the archive
                self._fresh.append(WaitingReply(number, content, carrier_key))
        passed("replies.archived")
        await transport.acknowledge(incoming)
        passed("replies.acknowledged")
        self._signals.notify(self._wake)

    @property
    def _wake(self) -> str:
        return f"replies:{self._channel}"

    async def apply(self) -> None:
        """Apply what waits in the archive, oldest first, until the stop; leftovers of a crash come first."""
        while not self._signals.stopping.is_set():
            if not await self.apply_waiting():
                await self._signals.wait(self._wake, self._loops.poll_seconds)

    async def apply_waiting(self) -> int:
        """Apply one batch of waiting replies; returns how many there were."""
        if self._fresh:  # archived by this process a moment ago: they need not be read back
            waiting = [self._fresh.popleft() for _ in range(min(len(self._fresh), self._loops.batch))]
        else:
            now = self._clock()
            waiting = await self._ledger.read(now, lambda unit: unit.waiting_replies(self._channel, self._loops.batch))
        if waiting:
            await self._apply_in_turn(waiting)
            passed("replies.applied")
        return len(waiting)

    async def _apply_in_turn(self, waiting: Sequence[WaitingReply]) -> None:
        """Apply replies together, but a statement alone: one is enough for the memory and for a transaction."""
        batch: list[Read] = []
        for item in waiting:
            read = self._read(item)
            if read.is_statement:
                await self._apply_all(batch)
                await self._apply_all([read])
                batch = []
            else:
                batch.append(read)
        await self._apply_all(batch)

    async def _apply_all(self, batch: Sequence[Read]) -> None:
        if batch:
            await self._apply(batch)

    def _read(self, waiting: WaitingReply) -> Read:
        digest = hashlib.sha256(without_header(waiting.content)).digest()
        try:
            return Read(waiting, digest, reply=self._messages.read(waiting.content, self._profile))
        except MessageError as error:
            return Read(waiting, digest, failure=error)
        except Exception as error:  # a fault of ours must not stop the channel: the reply is parked with the rest
            log.exception("reply.not_read", archive=waiting.archive_id, channel=self._channel)
            failure = MessageError(f"this reply cannot be handled: {type(error).__name__}", code="internal_error")
            return Read(waiting, digest, failure=failure)

    async def _apply(self, batch: Sequence[Read]) -> None:
        try:
            results = await self._ledger.write(
                self._clock(), lambda unit: self._write(unit, batch), size=2 * len(batch)
            )
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is: it stands alone in the end, and is parked, never lost
            if isinstance(error, Conflict) and len(batch) == 1:
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._apply(batch[:middle])
                await self._apply(batch[middle:])
                return
            log.exception("reply.not_applied", archive=batch[0].waiting.archive_id, channel=self._channel)
            if isinstance(error, StoreError):
                refused = MessageError(f"the ledger refuses this reply: {error.text}", code="reply_refused_by_ledger")
            else:
                text = f"this reply cannot be applied: {type(error).__name__}"
                refused = MessageError(text, code="internal_error")
            parked = [Read(batch[0].waiting, batch[0].document_digest, failure=refused)]
            results = await self._ledger.write(self._clock(), lambda unit: self._write(unit, parked))
        for result in results:
            self._report(result)
        self._signals.notify("publication")
        if any(result.headline for result in results):
            self._signals.notify(self._channel)

    # In the transaction ----------------------------------------------------------------------------------------------

    def _write(self, unit: Unit, batch: Sequence[Read]) -> list[Applied]:
        ours = unit.claim_replies(item.waiting.archive_id for item in batch)
        mine = [item for item in batch if item.waiting.archive_id in ours]
        taken = unit.replies_with(self._channel, {item.message_id for item in mine if item.message_id})
        candidates = find(unit, (item.reply for item in mine if item.reply), self._channel, self._allegements)
        attempted = unit.attempted(candidates)
        results: list[Applied] = []
        later: list[Read] = []  # what names something unknown: it may begin in this very batch
        for items, last in ((mine, False), (later, True)):
            for item in items:
                result = self._write_one(unit, item, taken, candidates, attempted, last=last)
                if result is None:
                    later.append(item)
                    continue
                results.append(result)
                if result.outcome == "applied" and item.message_id:
                    taken[item.message_id] = (item.waiting.archive_id, item.document_digest)
        return results

    def _write_one(
        self,
        unit: Unit,
        item: Read,
        taken: dict[str, tuple[int, bytes | None]],
        candidates: dict[int, matching.Candidate],
        attempted: set[int],
        *,
        last: bool,
    ) -> Applied | None:
        """Apply or park one reply; None, with nothing written, where it names something unknown and is not the last."""
        reply = item.reply
        if reply is None:
            assert item.failure is not None
            return self._park(unit, item, item.failure)
        if reply.business_message_id in taken:
            archive_id, digest = taken[reply.business_message_id]
            if digest == item.document_digest:
                self._finish(unit, item, ArchiveState.DUPLICATE, None)
                return Applied("duplicate", item)
            text = f"business message {reply.business_message_id} came before with other content (archive {archive_id})"
            return self._park(unit, item, MessageError(text, code="reply_conflict"))
        if reply.stated_definition not in (None, reply.message_definition):
            return self._park(unit, item, unfit.misstated(reply))
        if any(isinstance(fact, SettlementInstruction) for _, fact in reply.facts):
            return self._park(unit, item, unfit.instruction(reply))
        reply = self._allegements.told_apart(reply, tuple(candidates.values()))
        if any(isinstance(fact, Alleged | SystemEvent) for _, fact in reply.facts):
            return self._begin(unit, item, reply, candidates)
        if item.is_statement:
            return self._receive_statements(unit, item, reply)
        found: list[_Found] = []
        foreign: list[matching.Unknown] = []
        unknown: list[matching.Unknown] = []
        for references, fact in reply.facts:
            correlation = matching.correlate(references, reply, tuple(candidates.values()), self._channel)
            if isinstance(correlation, matching.Correlated):
                found.append((references, fact, correlation))
            elif not isinstance(correlation, matching.Unknown):
                return self._park(unit, item, MessageError(correlation.text, code=correlation.code))
            elif isinstance(fact, AccountEntry):
                foreign.append(correlation)  # an account has other entries than those that the gateway knows of
            else:
                unknown.append(correlation)
        if unknown and not last:
            return None
        if not found:
            text = (*unknown, *foreign)[0].text if unknown or foreign else "the reply speaks of no transaction"
            return self._park(unit, item, MessageError(text, code="reply_unknown_transaction"))
        try:
            steps = self._advance(unit, item, reply, found, attempted)
        except IllegalTransition as error:
            number = found[0][2].candidate.instruction_id
            row = unit.lock([number])[number]
            if error.code == lifecycle.NOT_OF_DIALOGUE:
                error = unfit.not_of_dialogue(reply, row, self._messages.belonging(row.dialogue))
            return self._park(unit, item, error, row)
        if foreign and steps:
            row, advance, references = steps[-1]
            others = lifecycle.alert("entries_unknown", f"{len(foreign)} of {len(reply.facts)}.")
            steps[-1] = row, replace(advance, alerts=(*advance.alerts, others)), references
        alerts: list[Alert] = []
        refused = {
            correlated.candidate.instruction_id: correlated.names
            for _, fact, correlated in found
            if isinstance(fact, MessageRejection) and fact.by_network
        }
        for row, advance, references in steps:
            alerts += self._move(unit, item, reply, row, advance, references)
            if row.id in refused:
                self._take_back(unit, row, refused[row.id], advance)
            evidence = self._evidence(unit, item, reply, "instruction", None)
            alerts += self._allegements.confirm_ours(unit, row, row.state.counterparts, evidence)
        number = found[0][2].candidate.instruction_id
        row = unit.lock([number])[number]
        if unknown:
            parked = self._park(unit, item, unfit.partly_unknown(unknown, len(reply.facts)))
            return replace(parked, instruction=row.transaction_id, headline=row.headline, alerts=tuple(alerts))
        self._finish(unit, item, ArchiveState.APPLIED, row.id)
        candidate = candidates[row.id]  # a withdrawal of it may come in the same batch
        candidates[row.id] = replace(candidate, received_message_ids=_received(candidate, item))
        return Applied("applied", item, row.transaction_id, row.headline, alerts=tuple(alerts))

    def _begin(self, unit: Unit, item: Read, reply: Reply, candidates: dict[int, matching.Candidate]) -> Applied:
        """Record what the other side begins; every fact of the message is one trade."""
        if stranger := unfit.stranger(reply, self._channel, "begins a trade"):
            return self._park(unit, item, stranger)
        rows = {row.transaction_id: row for row in unit.lock(candidates).values()}
        fresh: list[matching.Candidate] = []
        alerts: list[Alert] = []
        row: InstructionRow | None = None
        for references, fact in reply.facts:
            assert isinstance(fact, Alleged | SystemEvent)
            evidence = self._evidence(unit, item, reply, "instruction", None)
            named = reference(fact, references) if isinstance(fact, Alleged) else evidence.source_id[:35]
            held = rows.get(self._allegements.transaction_of(named, fact.about))
            if held is None and references.related_reference:
                held = next(
                    (
                        one
                        for one in rows.values()
                        if one.dialogue == fact.about
                        and references.related_reference in candidates[one.id].received_message_ids
                    ),
                    None,
                )
            before = () if held is None else held.state.counterparts
            row, advance = self._allegements.record(unit, fact, named, evidence, held)
            rows[row.transaction_id] = row
            alerts += self._move(unit, item, reply, row, advance, references)
            alerts += self._allegements.answer(unit, self._messages, row, reply.message_definition)
            alerts += self._allegements.confirm_ours(unit, row, before, evidence)
            # Whatever follows in the same batch may be about it: its removal, or the same again.
            received = _received(candidates.get(row.id), item)
            candidates[row.id] = replace(begun(row), received_message_ids=received)
            if held is None and isinstance(fact, Alleged):
                fresh.append(candidates[row.id])
        assert row is not None
        if fresh:
            self._explain(unit, fresh)
        self._finish(unit, item, ArchiveState.APPLIED, row.id)
        return Applied("applied", item, row.transaction_id, row.headline, alerts=tuple(alerts))

    def _explain(self, unit: Unit, begun: Sequence[matching.Candidate]) -> None:
        """Let what named a trade of theirs before they began it, and was parked for that, be applied now."""
        for parked_id, waiting in unit.unknown_replies(self._channel, _EXPLAINED):
            reply = self._read(waiting).reply
            if reply is not None and any(
                isinstance(matching.correlate(references, reply, begun, self._channel), matching.Correlated)
                for references, _ in reply.facts
            ):
                unit.reopen_reply(waiting.archive_id, None)
                unit.close_parked(parked_id, "released", ACTOR, "what it is about came")

    def _receive_statements(self, unit: Unit, item: Read, reply: Reply) -> Applied:
        """Record statements; every fact of the message is a page of one."""
        if stranger := unfit.stranger(reply, self._channel, "is a statement"):
            return self._park(unit, item, stranger)
        alerts: list[Alert] = []
        statement: InstructionRow | None = None
        for references, fact in reply.facts:
            assert isinstance(fact, Statement)
            evidence = self._evidence(unit, item, reply, "instruction", None)
            moves = self._statements.record(unit, fact, references, evidence)
            for row, advance in moves:
                self._move(unit, item, reply, row, advance, References())
            statement = moves[0][0]
            alerts += moves[0][1].alerts
        assert statement is not None
        self._finish(unit, item, ArchiveState.APPLIED, statement.id)
        return Applied("applied", item, statement.transaction_id, statement.headline, alerts=tuple(alerts))

    def _take_back(self, unit: Unit, row: InstructionRow, message_id: str | None, advance: lifecycle.Advance) -> None:
        """Park the message that the network refused, where that moved its delivery: it may be sent again, or given up.

        An earlier attempt of it that is in doubt may have arrived, whatever was said of this one.
        """
        compare_anew(unit, row)
        if not any(change.axis == "delivery" for change in advance.changes):
            return
        document, attempts, in_doubt = unit.sent_document(row.id, message_id)
        unit.set_outbox(document, OutboxState.PARKED, attempts, in_doubt)
        if in_doubt and row.state.delivery is Delivery.REFUSED:
            doubtful = lifecycle.advance_delivery(row.state, Delivery.PARKED)
            unit.move(
                row,
                doubtful.state,
                lifecycle.headline(doubtful.state),
                action="parked",
                actor=self._channel,
                cause=Cause("send", message_id or row.transaction_id),
                changes=doubtful.changes,
            )
        (alert,) = (alert for alert in advance.alerts if alert.code == "network_refused")
        unit.park(
            Parking(
                stage="send",
                code=alert.code,
                text=alert.text,
                origin=f"{self._channel}/{message_id or row.transaction_id}",
                source=row.source,
                trade_id=row.trade_id,
                instruction_number=row.instruction_number,
                counterparty=self._channel,
                document_id=document,
                instruction_id=row.id,
            )
        )

    def _move(
        self,
        unit: Unit,
        item: Read,
        reply: Reply,
        row: InstructionRow,
        advance: lifecycle.Advance,
        references: References,
    ) -> tuple[Alert, ...]:
        """Give an instruction what a reply makes of it."""
        alerts = (*advance.alerts, *lifecycle.warned(reply.warnings))
        unit.name_references(
            row, references.account_servicer_transaction_id, references.market_infrastructure_transaction_id
        )
        unit.move(
            row,
            advance.state,
            lifecycle.headline(advance.state),
            action="reply_applied",
            actor=self._channel,
            cause=Cause("message", item.message_id or f"archive-{item.waiting.archive_id}", reply.message_definition),
            changes=advance.changes,
            alerts=alerts,
        )
        return alerts

    @staticmethod
    def _evidence(unit: Unit, item: Read, reply: Reply, about: str, names: str | None) -> lifecycle.Evidence:
        return lifecycle.Evidence(
            at=unit.now,
            asserted_at=reply.created_at,
            archive_id=item.waiting.archive_id,
            source_id=item.message_id or item.document_digest.hex(),
            about=about,
            names=names,
        )

    def _advance(
        self,
        unit: Unit,
        item: Read,
        reply: Reply,
        found: Sequence[_Found],
        attempted: set[int],
    ) -> list[tuple[InstructionRow, lifecycle.Advance, References]]:
        """Advance every instruction that the reply speaks of; nothing is written unless all of it is legal.

        One to which this archived reply was applied before it was parked for another is left as it is.
        """
        source, archive = item.message_id or item.document_digest.hex(), item.waiting.archive_id
        states: dict[int, State] = {}
        steps = []
        for references, stated, correlated in found:
            fact = self._explained(stated)
            number = correlated.candidate.instruction_id
            row = unit.lock([number])[number]
            if (row.state.sources or {}).get(source) == archive:
                continue
            state = states.get(number, row.state)
            if state.delivery is Delivery.RECORDED and number in attempted:
                # The reply has overtaken the outcome of the send, which is recorded after it.
                state = lifecycle.advance_delivery(state, Delivery.SENDING).state
            differences = differences_of(fact, row, state, self._estimator, unit.now)
            evidence = self._evidence(unit, item, reply, correlated.about or "instruction", correlated.names)
            advance = lifecycle.advance(state, fact, evidence, row.terms, differences)
            states[number] = advance.state
            steps.append((row, advance, references))
        return steps

    def _explained(self, fact: Fact) -> Fact:
        """Give a receipt the meaning that its code has with this counterparty."""
        if isinstance(fact, Receipt):
            return replace(fact, meaning=self._receipt_codes.get(fact.code, fact.meaning))
        return fact

    def _finish(self, unit: Unit, item: Read, state: ArchiveState, instruction_id: int | None) -> None:
        unit.set_archive(
            item.waiting.archive_id,
            state,
            message_definition=item.reply.message_definition if item.reply else None,
            business_message_id=item.message_id,
            document_digest=item.document_digest,
            instruction_id=instruction_id,
        )

    def _park(self, unit: Unit, item: Read, error: GatewayError, row: InstructionRow | None = None) -> Applied:
        self._finish(unit, item, ArchiveState.PARKED, row.id if row else None)
        unit.park(
            Parking(
                stage="reply",
                code=error.code,
                text=error.text,
                origin=f"{self._channel}/{item.waiting.carrier_key}",
                violations=error.violations,
                source=row.source if row else None,
                trade_id=row.trade_id if row else None,
                instruction_number=row.instruction_number if row else None,
                counterparty=self._channel,
                archive_id=item.waiting.archive_id,
                instruction_id=row.id if row else None,
            )
        )
        return Applied("parked", item, row.transaction_id if row else None, code=error.code)

    def _report(self, result: Applied) -> None:
        reply = result.read.reply
        write = log.warning if result.outcome == "parked" or result.alerts else log.info
        write(
            f"reply.{result.outcome}",
            channel=self._channel,
            archive=result.read.waiting.archive_id,
            message_id=result.read.message_id,
            message_definition=reply.message_definition if reply else None,
            instruction=result.instruction,
            headline=result.headline,
            code=result.code,
            alerts=[alert.code for alert in result.alerts] or None,
        )


def _cut(item: Incoming) -> list[tuple[str, bytes]]:
    """Return what is archived of one thing that the carrier brought, each with a key of its own: its messages."""
    pieces = messages_in(item.content)
    if len(pieces) == 1:
        return [(item.carrier_key, item.content)]
    return [(f"{item.carrier_key}#{number}", piece) for number, piece in enumerate(pieces, 1)]


def _received(candidate: matching.Candidate | None, item: Read) -> frozenset[str]:
    """Return the identifiers of their messages about an instruction, with that of one more."""
    before = frozenset() if candidate is None else candidate.received_message_ids
    return before | {item.message_id} if item.message_id else before
