"""From the outbox to the counterparty: attempt row, lease check, carrier, outcome.

The attempt is committed before the send, with the hash of the exact bytes. An attempt that an earlier holder of the
channel left without outcome is in doubt: it goes again with the same business message identifier and the
possible-duplicate mark, unless a reply has proved its arrival. A channel has one next attempt time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from gateway import lifecycle
from gateway.checkpoints import passed
from gateway.errors import GatewayError, InDoubt, MessageError, NotSent, TransportError
from gateway.messages import Messages
from gateway.model.facts import Delivery
from gateway.model.reports import Cause
from gateway.model.transitions import REQUESTS
from gateway.pace import Backoff, Clock, Signals
from gateway.store import InstructionRow, Lease, Ledger, OutboxState, Parking, SendRow, Unit
from gateway.transports import Outcome, Outgoing, Sent, Transport

if TYPE_CHECKING:
    from gateway.config import LoopSettings
    from gateway.model.profile import Profile

log = structlog.get_logger("gateway.dispatch")

ACTOR = "gateway"
_TAKEN_BACK = (Delivery.REFUSED, Delivery.PARKED)


class LeaseLost(GatewayError):
    """Another process may hold the channel now: stop sending at once."""

    code = "lease_lost"
    retriable = True


@dataclass(frozen=True, slots=True)
class Claimed:
    """One attempt that is committed and about to be made."""

    row: SendRow
    number: int
    outgoing: Outgoing


class Dispatch:
    """Send one channel's documents while its lease is held."""

    def __init__(
        self,
        ledger: Ledger,
        messages: Messages,
        profile: Profile,
        loops: LoopSettings,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._messages = messages
        self._profile = profile
        self._channel = profile.bic
        self._loops = loops
        self._signals = signals
        self._clock = clock
        self._backoff = Backoff(loops.retry_initial_seconds, loops.retry_maximum_seconds)
        self._next_at: datetime | None = None

    async def run(self, transport: Transport, lease: LeaseView) -> None:
        """Send what is eligible until the stop. Raises LeaseLost, StoreError; attempts then made are found in doubt."""
        await self._declare_in_doubt(lease.lease)
        self._backoff.failures = lease.lease.failures
        self._next_at = lease.lease.next_attempt_at  # the channel's, whoever held it
        while not self._signals.stopping.is_set():
            if self._next_at is not None and (wait := (self._next_at - self._clock()).total_seconds()) > 0:
                await self._signals.pause(wait)
                continue
            claimed = await self._claim(transport, lease)
            if not claimed:
                await self._signals.wait(self._channel, self._loops.poll_seconds)
                continue
            if self._clock() >= lease.lease.expires_at:
                # The attempts stay without outcome; the next holder finds them in doubt and marks their repeat.
                raise LeaseLost(f"channel {self._channel}: the lease may have ended before the send")
            passed("dispatch.claimed")
            started = self._clock()
            outcomes = await transport.send([item.outgoing for item in claimed])
            passed("dispatch.sent")
            await self._settle(claimed, outcomes, started)
            passed("dispatch.settled")
            await self._note(lease.lease, outcomes)

    async def _declare_in_doubt(self, lease: Lease) -> None:
        """Judge the attempts that earlier holders left without outcome."""

        def work(unit: Unit) -> list[tuple[int, str]]:
            left = unit.unfinished_attempts(self._channel, lease.epoch)
            rows = unit.lock([instruction for _, _, instruction, *_ in left])
            verdicts = []
            for document, number, instruction, role, attempts, in_doubt in left:
                row = rows[instruction]
                if role not in REQUESTS and row.state.delivery is Delivery.SENT:
                    # A reply has proved its arrival: repeating it could only do harm.
                    unit.end_attempt(document, number, "sent", "proved_by_reply", None)
                    unit.set_outbox(document, OutboxState.DONE, attempts, in_doubt)
                    verdicts.append((document, "proved_by_reply"))
                    continue
                unit.end_attempt(document, number, "in_doubt", "process_ended", None)
                unit.set_outbox(document, OutboxState.READY, attempts, in_doubt + 1)
                if role not in REQUESTS:
                    _deliver(unit, row, Delivery.IN_DOUBT, f"{document}/{number}")
                verdicts.append((document, "in_doubt"))
            return verdicts

        for document, verdict in await self._ledger.write(self._clock(), work):
            log.warning(f"attempt.{verdict}", channel=self._channel, document=document, epoch=lease.epoch)

    async def _claim(self, transport: Transport, lease: LeaseView) -> list[Claimed]:
        """Commit an attempt for every eligible document; the lease is checked in the same transaction."""
        limit = self._profile.limits.batch
        held = lease.lease
        if not await self._ledger.read(self._clock(), lambda unit: unit.has_ready(self._channel)):
            return []  # mostly there is nothing: a look costs less than a transaction

        def work(unit: Unit) -> list[Claimed] | None:
            if not unit.holds(self._channel, held.holder, held.epoch):
                return None
            claimed = []
            for row in unit.eligible(self._channel, limit):
                mark = row.in_doubt > 0
                if mark and self._proved(unit, row):
                    unit.set_outbox(row.document_id, OutboxState.DONE, row.attempts, row.in_doubt)
                    self._signals.notify(self._channel)  # what waited behind it has its turn
                    continue
                content: bytes | None = None
                if mark and not self._profile.refuses_repeated_transaction:
                    try:
                        content = self._messages.mark_possible_duplicate(row.content)
                    except MessageError as error:
                        self._park(unit, row, "possible_duplicate_unmarkable", error)
                        continue
                sent = row.content if content is None else content
                number = row.attempts + 1
                unit.start_attempt(
                    row.document_id,
                    number,
                    held.epoch,
                    possible_duplicate=mark,
                    content=content,
                    digest=hashlib.sha256(sent).digest(),
                )
                unit.set_outbox(row.document_id, OutboxState.SENDING, number, row.in_doubt)
                outgoing = Outgoing(row.business_message_id, row.transaction_id, sent, mark)
                claimed.append(Claimed(row, number, outgoing))
            return claimed

        claimed = await self._ledger.write(self._clock(), work, size=limit)
        if claimed is None:
            raise LeaseLost(f"channel {self._channel}: another process holds the lease")
        return claimed

    @staticmethod
    def _proved(unit: Unit, send: SendRow) -> bool:
        """Tell whether a reply has proved meanwhile that what is in doubt arrived."""
        row = unit.lock([send.instruction_id])[send.instruction_id]
        return send.role not in REQUESTS and row.state.delivery is Delivery.SENT

    async def _settle(self, claimed: Sequence[Claimed], outcomes: Sequence[Outcome], started: datetime) -> None:
        """Record how the attempts ended, and move the delivery of their instructions."""

        def work(unit: Unit) -> None:
            rows = unit.lock({item.row.instruction_id for item in claimed})
            for item, outcome in zip(claimed, outcomes, strict=True):
                self._settle_one(unit, rows[item.row.instruction_id], item, outcome)

        await self._ledger.write(self._clock(), work, size=len(claimed))
        milliseconds = round((self._clock() - started).total_seconds() * 1000, 1)
        for item, outcome in zip(claimed, outcomes, strict=True):
            sent = isinstance(outcome, Sent)
            write = log.info if sent else log.warning
            write(
                "message.sent" if isinstance(outcome, Sent) else f"message.{outcome.code}",
                instruction=item.row.transaction_id,
                message_id=item.row.business_message_id,
                message_definition=item.row.message_definition,
                channel=self._channel,
                attempt=item.number,
                possible_duplicate=item.outgoing.possible_duplicate,
                reference=outcome.reference if isinstance(outcome, Sent) else None,
                error=None if isinstance(outcome, Sent) else outcome.text,
                milliseconds=milliseconds,
            )
        self._signals.notify("publication")

    def _settle_one(self, unit: Unit, row: InstructionRow, item: Claimed, outcome: Outcome) -> None:
        send, number = item.row, item.number
        evidence = f"{send.business_message_id}/{number}"
        if isinstance(outcome, Sent):
            unit.end_attempt(send.document_id, number, "sent", None, outcome.reference)
            if row.state.delivery in _TAKEN_BACK and send.role not in REQUESTS:
                return  # the network's refusal has overtaken the carrier's word
            unit.set_outbox(send.document_id, OutboxState.DONE, number, send.in_doubt)
            if send.role in REQUESTS:
                cause = Cause("send", evidence, send.message_definition)
                unit.move(
                    row, row.state, row.headline, action=f"{send.role}_sent", actor=ACTOR, cause=cause, publish=False
                )
            else:
                _deliver(unit, row, Delivery.SENT, evidence, send.message_definition)
        elif isinstance(outcome, InDoubt):
            unit.end_attempt(send.document_id, number, "in_doubt", outcome.code, None)
            if send.role not in REQUESTS:
                _deliver(unit, row, Delivery.IN_DOUBT, evidence, send.message_definition)
            if number >= self._profile.limits.max_attempts:
                self._park(
                    unit, send, "send_attempts_exhausted", outcome, row=row, number=number, in_doubt=send.in_doubt + 1
                )
            else:
                unit.set_outbox(send.document_id, OutboxState.READY, number, send.in_doubt + 1)
        elif isinstance(outcome, NotSent):
            unit.end_attempt(send.document_id, number, "not_sent", outcome.code, None)
            unit.set_outbox(send.document_id, OutboxState.READY, number, send.in_doubt)
        else:
            unit.end_attempt(send.document_id, number, "refused", outcome.code, None)
            self._park(unit, send, outcome.code, outcome, row=row, number=number, in_doubt=send.in_doubt)
            if send.role not in REQUESTS and not send.in_doubt:
                _deliver(unit, row, Delivery.REFUSED, evidence, send.message_definition)

    def _park(
        self,
        unit: Unit,
        send: SendRow,
        code: str,
        error: GatewayError,
        *,
        row: InstructionRow | None = None,
        number: int | None = None,
        in_doubt: int | None = None,
    ) -> None:
        row = row or unit.lock([send.instruction_id])[send.instruction_id]
        attempts = send.attempts if number is None else number
        doubts = send.in_doubt if in_doubt is None else in_doubt
        unit.set_outbox(send.document_id, OutboxState.PARKED, attempts, doubts)
        if doubts and send.role not in REQUESTS:
            # An earlier attempt may have arrived, whatever was said of this one.
            _deliver(unit, row, Delivery.PARKED, f"{send.business_message_id}/{attempts}", send.message_definition)
        unit.park(
            Parking(
                stage="send",
                code=code,
                text=error.text,
                origin=f"{self._channel}/{send.business_message_id}",
                violations=error.violations,
                source=row.source,
                trade_id=row.trade_id,
                instruction_number=row.instruction_number,
                counterparty=self._channel,
                document_id=send.document_id,
                instruction_id=send.instruction_id,
            )
        )

    async def _note(self, lease: Lease, outcomes: Sequence[Outcome]) -> None:
        """Set the channel's one next attempt time after a failure; clear it after a success."""
        failed: TransportError | None = next((o for o in outcomes if isinstance(o, NotSent | InDoubt)), None)
        if failed is None:
            if self._backoff.failures:
                log.info("channel.recovered", channel=self._channel, failures=self._backoff.failures)
                self._backoff.reset()
                self._next_at = None
                await self._ledger.note_channel(lease, 0, None, None)
            return
        wait = self._backoff.next()
        self._next_at = self._clock() + timedelta(seconds=wait)
        log.warning(
            "channel.failing",
            channel=self._channel,
            code=failed.code,
            error=failed.text,
            failures=self._backoff.failures,
            retry_in=round(wait, 2),
        )
        await self._ledger.note_channel(lease, self._backoff.failures, self._next_at, failed.text)


def _deliver(
    unit: Unit, row: InstructionRow, delivery: Delivery, evidence: str, message_definition: str | None = None
) -> None:
    """Move the delivery state; an outcome that a reply has overtaken changes nothing."""
    state = row.state
    if state.delivery is Delivery.RECORDED:
        state = lifecycle.advance_delivery(state, Delivery.SENDING).state
    advance = lifecycle.advance_delivery(state, delivery)
    if not advance.changes:
        return
    unit.move(
        row,
        advance.state,
        lifecycle.headline(advance.state),
        action=str(delivery.value),
        actor=ACTOR,
        cause=Cause("send", evidence, message_definition),
        changes=advance.changes,
    )


@dataclass(slots=True)
class LeaseView:
    """The lease as last renewed; shared by the tasks of one channel."""

    lease: Lease
