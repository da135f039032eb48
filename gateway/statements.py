"""Statements that come, asked for or not: record their pages, and compare them with what the ledger holds.

A statement is a row like an instruction of ours, with a history and status events; its transaction identification is
derived from the counterparty, the kind, the account and the statement's reference, so that its pages find it again.
Each page is applied in a transaction of its own, and is compared entry by entry when it comes; what needs the whole
(transactions that are missing, holdings) when the last one does. Nothing of ours is moved: a difference is an alert of
the statement and, where it is about an instruction, of that instruction too.

What bounds it: a message has at most 1 MB, so a page some thousand entries; what it names is read in parts and only
instructions that differ are locked; at most 1,000 differences are kept of a page, beyond that their number.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final

from gateway import lifecycle, matching
from gateway import reconciliation as compare
from gateway.errors import Conflict, EventError
from gateway.model.events import parse_event
from gateway.model.events.statement import RequestSecuritiesStatement
from gateway.model.facts import (
    Delivery,
    References,
    Statement,
    StatementDifference,
    StatementProgress,
    StatusValue,
    Terms,
    TransactionEntry,
)
from gateway.model.profile import Profile
from gateway.model.references import transaction_id
from gateway.model.reports import encode
from gateway.model.transitions import FINISHED, SETTLED, Dialogue
from gateway.store import InstructionRow, Origin, StatementRow, Unit

_NUMBER: Final = 1
_MOST_DIFFERENCES: Final = 1_000
_HOLDINGS: Final = ("custody_holdings", "accounting_holdings")
_NEAR: Final = timedelta(days=10)  # around an alleged settlement date; beyond it two trades are not the same
_SKEW: Final = timedelta(days=1)  # between the counterparty's clock, which dates a confirmation, and ours
_MOVED: Final = frozenset({*SETTLED, "reversed"})

Moves = list[tuple[InstructionRow, lifecycle.Advance]]


@dataclass(slots=True)
class _Comparison:
    """What a page differs in, the rows of ours that it lists, and those that the whole statement lacks."""

    differences: list[StatementDifference] = field(default_factory=list)
    rows: dict[str, InstructionRow] = field(default_factory=dict)
    lacking: dict[str, InstructionRow] = field(default_factory=dict)

    def held(self, transaction: str | None) -> compare.Held | None:
        """Return what the ledger holds of a transaction."""
        row = self.rows.get(transaction or "")
        return None if row is None else _held(row)


class Statements:
    """Record the statements of one counterparty, and compare them."""

    def __init__(self, own_bic: str, profile: Profile) -> None:
        self._own_bic = own_bic
        self._profile = profile
        self._tolerances = profile.tolerances

    def transaction_of(self, fact: Statement, reference: str) -> str:
        """Derive the transaction identification under which the ledger keeps a statement."""
        name = f"{fact.kind}/{fact.account or ''}/{reference}"
        return transaction_id(self._own_bic, self._profile.bic, name, Dialogue.STATEMENT, _NUMBER)

    def record(self, unit: Unit, fact: Statement, references: References, evidence: lifecycle.Evidence) -> Moves:
        """Record a page and compare it; returns what is to be moved, the statement first.

        The same page again changes nothing; one with other content is alerted, and the first stays. Raises Conflict,
        which repeats the transaction, where an instruction moved between being compared and being locked.
        """
        reference = fact.reference or (fact.number and f"{fact.number}/{fact.statement_date}") or evidence.source_id
        name = self.transaction_of(fact, reference)
        number = unit.named([name]).get(name)
        kept = None if number is None else unit.statement(number)
        digest = hashlib.sha256(encode(replace(fact, at=None))).digest()
        if number is not None and kept is not None:
            page = unit.statement_pages(number).get(fact.page_number)
            if page is not None:
                row = unit.lock([number])[number]
                changed = lifecycle.alert("statement_page_changed", f"Page {fact.page_number}.")
                return [(row, lifecycle.Advance(row.state, alerts=() if page == digest else (changed,)))]
        stated_at = fact.at or evidence.asserted_at
        page_found = self._compare(unit, fact, stated_at)
        request = self._request(unit, references)
        asked = None if request is None else request.id
        statement = self._row(fact, reference, kept, asked, stated_at)
        whole = self._compare_whole(unit, fact, statement, page_found) if statement.complete else []
        found = [*page_found.differences, *whole]
        named = {difference.transaction_id for difference in found} - {None}
        locked = self._lock(unit, page_found, named, [number, asked])
        if number is not None and unit.statement(number) != kept:
            raise Conflict(f"statement {name} got another page while this one was compared")
        row = unit.lock([number])[number] if number is not None else self._add(unit, fact, reference, name)
        statement = replace(statement, instruction_id=row.id, differences=statement.differences + len(found))
        unit.keep_statement(statement, fresh=kept is None)
        unit.add_page(
            row.id,
            fact.page_number,
            archive_id=evidence.archive_id,
            digest=digest,
            entries=_entries(fact),
            named=[one.id for one in page_found.rows.values()],
            positions=compare.positions_of(fact),
        )
        unit.add_differences(row.id, fact.page_number, found[:_MOST_DIFFERENCES])
        return [
            (row, self._advance(unit, row, fact, statement, found, evidence, fresh=kept is None)),
            *self._tell_request(unit, request, statement, evidence),
            *_tell_instructions(locked, found[:_MOST_DIFFERENCES]),
        ]

    # The statement itself -------------------------------------------------------------------------------------------

    def _row(
        self,
        fact: Statement,
        reference: str,
        kept: StatementRow | None,
        asked: int | None,
        stated_at: datetime | None,
    ) -> StatementRow:
        """Give the statement's row with this page counted."""
        if kept is None:
            kept = StatementRow(
                instruction_id=0,
                counterparty=self._profile.bic,
                kind=fact.kind,
                account=fact.account or "",
                reference=reference,
                number=_ordinal(fact),
                statement_date=fact.statement_date,
                stated_at=stated_at,
                update_kind=fact.update,
                basis=fact.basis,
                last_page=None,
                pages=0,
                entries=0,
                differences=0,
                request_id=asked,
            )
        return replace(
            kept,
            last_page=fact.page_number if fact.last_page else kept.last_page,
            pages=kept.pages + 1,
            entries=kept.entries + _entries(fact),
        )

    def _add(self, unit: Unit, fact: Statement, reference: str, name: str) -> InstructionRow:
        return unit.add_instruction(
            transaction_id=name,
            event=Origin(self._profile.bic, reference, _NUMBER),
            dialogue=Dialogue.STATEMENT,
            counterparty=self._profile.bic,
            terms=Terms(safekeeping_account=fact.account),
            state=lifecycle.begin(Dialogue.STATEMENT, {}, Delivery.THEIRS),
        )

    def _advance(
        self,
        unit: Unit,
        row: InstructionRow,
        fact: Statement,
        statement: StatementRow,
        found: list[StatementDifference],
        evidence: lifecycle.Evidence,
        *,
        fresh: bool,
    ) -> lifecycle.Advance:
        alerts = [*lifecycle.tell(found)]
        if len(found) > _MOST_DIFFERENCES:
            detail = f"Page {fact.page_number}: {len(found)}, {_MOST_DIFFERENCES} are kept."
            alerts.append(lifecycle.alert("statement_too_many_differences", detail))
        if fact.last_page and not statement.complete:
            there = unit.statement_pages(row.id)
            lacking = [str(page) for page in range(1, fact.page_number + 1) if page not in there]
            alerts.append(
                lifecycle.alert("statement_page_missing", f"Pages {', '.join(lacking[:20])} of {fact.page_number}.")
            )
        if fresh and statement.number is not None:
            before = unit.number_before(statement)
            if before is not None and before + 1 < statement.number:
                alerts.append(lifecycle.alert("statement_number_gap", f"{statement.number} follows {before}."))
        differs = True if found else False if statement.complete else None
        advance = lifecycle.received(row.state, _progress(statement), evidence, differs=differs)
        return replace(advance, alerts=(*alerts, *advance.alerts))

    # The request that it answers ------------------------------------------------------------------------------------

    def _request(self, unit: Unit, references: References) -> InstructionRow | None:
        """Find our request that a statement names."""
        named = references.request_reference or references.related_business_message_id
        if named is None:
            return None
        number, _ = unit.by_message([named]).get(named, (None, ""))
        row = None if number is None else next(unit.look([number]))
        if row is None or row.dialogue != Dialogue.STATEMENT:
            return None
        return row if matching.same_party(row.counterparty, self._profile.bic) else None

    @staticmethod
    def _tell_request(
        unit: Unit, request: InstructionRow | None, statement: StatementRow, evidence: lifecycle.Evidence
    ) -> Moves:
        if request is None:
            return []
        row = unit.lock([request.id])[request.id]
        return [(row, lifecycle.received(row.state, _progress(statement), evidence))]

    def _lock(
        self, unit: Unit, compared: _Comparison, named: set[str | None], others: list[int | None]
    ) -> dict[str, InstructionRow]:
        """Lock in one go, in identifier order, what is going to be moved."""
        rows = {**compared.rows, **compared.lacking}
        looked = {row.id: row for transaction, row in rows.items() if transaction in named}
        locked = unit.lock(sorted({*looked, *(number for number in others if number is not None)}))
        for number, row in looked.items():
            if locked[number].sequence != row.sequence:
                raise Conflict(f"instruction {number} moved while a statement was compared with it")
        return {locked[number].transaction_id: locked[number] for number in looked}

    # Page by page ---------------------------------------------------------------------------------------------------

    def _compare(self, unit: Unit, fact: Statement, stated_at: datetime | None) -> _Comparison:
        """Compare what a page lists with what the ledger holds of it."""
        found = _Comparison()
        if fact.kind == "cash_account":
            self._compare_cash(unit, fact, found)
        elif fact.kind == "allegements":
            self._compare_allegements(unit, fact, found)
        elif fact.kind == "audit_trail":
            self._find(unit, fact, found)
            name = next((compare.names_ours(entry) for entry in fact.transactions), None)
            found.differences += compare.compare_trail(fact.transactions, found.held(name), stated_at)
        elif fact.transactions:
            alike = self._find(unit, fact, found)
            for place, entry in enumerate(fact.transactions):
                held = found.held(alike.get(place) or compare.names_ours(entry))
                if fact.kind == "postings":
                    found.differences += compare.compare_posting(entry, held, self._tolerances.amount)
                elif fact.kind == "pending":
                    found.differences += compare.compare_pending(entry, held, stated_at, self._tolerances.amount)
                else:
                    found.differences += compare.compare_movement(entry, held)
        return found

    def _find(self, unit: Unit, fact: Statement, found: _Comparison) -> dict[int, str]:
        """Read what the entries name; returns those that name nothing of ours but agree with one in their terms."""
        self._take(unit, found, {compare.names_ours(entry) for entry in fact.transactions} - {None})
        if fact.kind not in ("postings", "pending"):
            return {}
        unnamed: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for place, entry in enumerate(fact.transactions):
            if compare.names_ours(entry) is None and _day(entry) is not None and entry.quantity is not None:
                unnamed[_likeness(entry)].append(place)
        entries = [fact.transactions[place] for places in unnamed.values() for place in places]
        alike: dict[tuple[object, ...], list[InstructionRow]] = defaultdict(list)
        for row in self._of_their_days(unit, entries):
            terms = row.terms
            likeness = (terms.isin, terms.movement, terms.quantity, terms.settlement_date)
            if likeness in unnamed and row.transaction_id not in found.rows:
                alike[likeness].append(row)
        agreed: dict[int, str] = {}
        for shared, places in unnamed.items():
            rows = alike[shared]
            if len(rows) == len(places) == 1:  # of two alike it may be either: then it stays unnamed
                found.rows[rows[0].transaction_id] = rows[0]
                agreed[places[0]] = rows[0].transaction_id
        return agreed

    def _of_their_days(self, unit: Unit, entries: list[TransactionEntry]) -> Iterator[InstructionRow]:
        """Read our settlements in the quantities of some entries, between the first and the last of their days."""
        days = [day for entry in entries if (day := _day(entry)) is not None]
        quantities = {entry.quantity.value for entry in entries if entry.quantity is not None}
        if days:
            yield from unit.settlements(self._profile.bic, settling=(min(days), max(days)), quantities=quantities)

    def _take(self, unit: Unit, found: _Comparison, names: set[str | None] | set[str]) -> None:
        """Read the instructions of this counterparty that have these transaction identifications."""
        for row in unit.look(unit.named({name for name in names if name}).values()):
            if matching.same_party(row.counterparty, self._profile.bic):
                found.rows[row.transaction_id] = row

    def _compare_cash(self, unit: Unit, fact: Statement, found: _Comparison) -> None:
        listed = [(entry, compare.references_of(entry)) for entry in fact.entries]
        self._take(unit, found, {name for _, ones in listed for _, names in ones for name in names})
        for entry, ones in listed:
            for one, names in ones:
                held = next((held for name in names if (held := found.held(name)) is not None), None)
                if held is not None:
                    found.differences += compare.compare_cash(entry, one, held, self._tolerances.amount)

    def _compare_allegements(self, unit: Unit, fact: Statement, found: _Comparison) -> None:
        names = [self._alleged(entry) for entry in fact.transactions]
        came = {row.transaction_id: row.terms for row in unit.look(unit.named({n for n in names if n}).values())}
        ours = self._near(
            unit, [entry for entry, name in zip(fact.transactions, names, strict=True) if name not in came]
        )
        for entry, name in zip(fact.transactions, names, strict=True):
            rows = {} if name in came else {row.transaction_id: row for row in ours.get(entry.isin, ())}
            best = next(
                iter(matching.rank(compare.terms_of(entry), [*map(_ours, rows.values())], self._tolerances)), None
            )
            if best is not None:
                found.rows[best.identifier] = rows[best.identifier]
            found.differences += compare.compare_allegement(entry, came.get(name or ""), best)

    def _near(self, unit: Unit, entries: list[TransactionEntry]) -> dict[str | None, list[InstructionRow]]:
        """Read our open instructions about the securities and around the days of some entries, by security."""
        days = [day for entry in entries if (day := _day(entry)) is not None]
        securities = {entry.isin for entry in entries} - {None}
        near: dict[str | None, list[InstructionRow]] = defaultdict(list)
        if days:
            window = (min(days) - _NEAR, max(days) + _NEAR)
            for row in unit.settlements(self._profile.bic, settling=window, finished=FINISHED[Dialogue.SETTLEMENT]):
                if row.terms.isin in securities:
                    near[row.terms.isin].append(row)
        return near

    def _alleged(self, entry: TransactionEntry) -> str | None:
        reference = entry.account_servicer_transaction_id
        if reference is None:
            return None
        return transaction_id(self._own_bic, self._profile.bic, reference, Dialogue.ALLEGEMENT, _NUMBER)

    # The whole ------------------------------------------------------------------------------------------------------

    def _compare_whole(
        self, unit: Unit, fact: Statement, statement: StatementRow, page: _Comparison
    ) -> list[StatementDifference]:
        """Compare what only the whole statement tells, now that its last page is here."""
        if (
            fact.kind == "pending"
            and statement.update_kind in (None, "complete")
            and not self._narrowed(unit, statement)
        ):
            named = {row.id for row in page.rows.values()} | unit.named_on_pages(statement.instruction_id)
            lacking = (row for row in self._open(unit, fact, statement) if row.id not in named)
            page.lacking = {row.transaction_id: row for row in islice(lacking, _MOST_DIFFERENCES + 1)}
            return compare.missing(map(_held, page.lacking.values()))
        before = unit.statement_before(statement)
        if fact.kind == "cash_account" and statement.pages == 1:
            return compare.compare_balances(fact, unit.positions(before.instruction_id) if before else [])
        if fact.kind not in _HOLDINGS or before is None or "traded" in (statement.basis, before.basis):
            return []
        if before.statement_date is None or statement.statement_date is None:
            return []
        since = datetime.combine(before.statement_date, time.min, UTC) - _SKEW
        settled = unit.settlements(self._profile.bic, changed_since=since, headlines=_MOVED)
        moved = compare.movements(map(_held, settled), before.statement_date, statement.statement_date)
        now = [*unit.positions(statement.instruction_id), *compare.positions_of(fact)]
        complete = statement.update_kind in (None, "complete")
        return compare.compare_holdings(unit.positions(before.instruction_id), now, moved, complete=complete)

    def _open(self, unit: Unit, fact: Statement, statement: StatementRow) -> Iterator[InstructionRow]:
        """Yield what was recorded before the statement was made, was sent, is open, and settles on its account.

        Of one that states a day without a time, what was recorded on that day is not expected.
        """
        made = fact.at or statement.stated_at or unit.now
        if fact.at is None and fact.statement_date is not None:
            made = datetime.combine(fact.statement_date, time.min, UTC)
        finished = FINISHED[Dialogue.SETTLEMENT]
        for row in unit.settlements(self._profile.bic, created_before=made, finished=finished):
            sent = row.state.delivery in (Delivery.SENT, Delivery.THEIRS)
            if (
                sent
                and statement.account in ("", row.terms.safekeeping_account)
                and not lifecycle.is_finished(row.state)
            ):
                yield row

    @staticmethod
    def _narrowed(unit: Unit, statement: StatementRow) -> bool:
        """Tell whether we asked for some securities only, so that others are not to be expected."""
        row = None if statement.request_id is None else next(unit.look([statement.request_id]))
        content = None if row is None else unit.asked_by(row)
        try:
            event = None if content is None else parse_event(content)
        except EventError:
            return False
        return isinstance(event, RequestSecuritiesStatement) and bool(event.securities)


def _tell_instructions(locked: dict[str, InstructionRow], found: list[StatementDifference]) -> Moves:
    """Alert every instruction that a statement disagrees with, in its own history; it is not moved."""
    about: dict[str, list[StatementDifference]] = defaultdict(list)
    for difference in found:
        if difference.transaction_id in locked:
            about[difference.transaction_id].append(difference)
    return [
        (locked[name], lifecycle.Advance(locked[name].state, alerts=lifecycle.tell(ones)))
        for name, ones in sorted(about.items())
    ]


def _ours(row: InstructionRow) -> matching.Ours:
    return matching.Ours(
        "instruction", row.transaction_id, row.headline, lifecycle.terms_in_force(row.state, row.terms)
    )


def _held(row: InstructionRow) -> compare.Held:
    terms = lifecycle.terms_in_force(row.state, row.terms)
    finished = lifecycle.is_finished(row.state)
    return compare.Held(row.transaction_id, row.dialogue, row.headline, finished, row.state, terms)


def _progress(statement: StatementRow) -> StatementProgress:
    return StatementProgress(StatusValue("complete" if statement.complete else "incomplete"))


def _ordinal(fact: Statement) -> int | None:
    if fact.number is not None:
        return int(fact.number)
    return None if fact.sequence is None else int(fact.sequence)


def _entries(fact: Statement) -> int:
    return len(fact.holdings) + len(fact.transactions) + len(fact.entries)


def _day(entry: TransactionEntry) -> date | None:
    return entry.settlement_date or entry.effective_settlement_date


def _likeness(entry: TransactionEntry) -> tuple[object, ...]:
    """Return the terms by which an entry that names nothing is recognised."""
    return (entry.isin, entry.movement, entry.quantity, _day(entry))
