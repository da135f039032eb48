"""How operators see the ledger on a terminal: tables, and one trade's story as a timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.calendar.deadlines import Cutoff, Deadline
from gateway.model.facts import Amount, Change, Reason, State
from gateway.penalties import Penalty, totals
from gateway.store import CutoffChange
from gateway.store.views import (
    AllegementSummary,
    Content,
    CounterpartView,
    DeadlineView,
    DifferenceView,
    DocumentView,
    InstructionSummary,
    LinkView,
    ParkedItem,
    ParkedSummary,
    StatementStory,
    StatementSummary,
    Story,
    Verification,
)

_GOOD = {"met", "settled", "matched", "affirmed", "confirmed", "accepted", "sent", "released", "done", "applied"}
_BAD = {"missed", "rejected", "failing", "unmatched", "refused", "parked", "in_doubt", "disaffirmed", "denied", "open"}

_WHOLE = {
    "transaction",
    "counterparty",
    "status",
    "what",
    "ISIN",
    "settles",
    "changed",
    "since",
    "code",
    "time (UTC)",
    "due (UTC)",
    "deadline",
    "",
}  # never folded
_WHAT = {
    ("deliver", "against"): "DVP",
    ("receive", "against"): "RVP",
    ("deliver", "free"): "DFP",
    ("receive", "free"): "RFP",
}


def _coloured(word: str | None) -> Text:
    text = word or ""
    style = "green" if text in _GOOD else "red" if text in _BAD else "yellow"
    return Text(text, style=style)


def _time(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def _number(value: Decimal | None) -> str:
    return "" if value is None else f"{value:,f}"


def _trade(source: str | None, trade_id: str | None, number: int | None) -> str:
    if trade_id is None:
        return ""
    return f"{source}/{trade_id}" + (f" #{number}" if number is not None else "")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        right = column in {"id", "quantity", "amount", "line", "#"}
        table.add_column(
            column, justify="right" if right else "left", overflow="fold", no_wrap=column in _WHOLE or right
        )
    return table


def instruction_table(rows: Sequence[InstructionSummary], *, wide: bool = True) -> Table:
    """Return the table of a list, without account numbers; where it is not ``wide``, only what tells and matters."""
    names = "id transaction trade counterparty status what ISIN quantity changed amount settles"
    columns = (names if wide else "transaction trade counterparty status amount settles").split()
    table = _table(*columns)
    for row in rows:
        what = _WHAT.get((row.movement or "", row.payment or ""), row.movement or "")
        cells: dict[str, str | Text] = {
            "id": str(row.id),
            "transaction": row.transaction_id,
            "trade": _trade(row.source, row.trade_id, row.instruction_number),
            "counterparty": row.counterparty,
            "status": _coloured(row.headline),
            "what": f"confirm {what}".rstrip() if row.dialogue == "confirmation" else what,
            "ISIN": row.isin or "",
            "quantity": _number(row.quantity),
            "amount": f"{_number(row.amount)} {row.currency or ''}".strip(),
            "settles": str(row.settlement_date or ""),
            "changed": row.updated_at.strftime("%m-%d %H:%M:%S"),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def statement_table(rows: Sequence[StatementSummary], *, wide: bool = True) -> Table:
    """Return the table of a list of statements, without account numbers."""
    names = "id counterparty kind reference date pages entries status differences"
    columns = (names if wide else "id kind reference status differences").split()
    table = _table(*columns)
    for row in rows:
        cells: dict[str, str | Text] = {
            "id": str(row.id),
            "counterparty": row.counterparty,
            "kind": row.kind,
            "reference": row.reference,
            "date": str(row.statement_date or ""),
            "pages": f"{row.pages} of {row.last_page or '?'}",
            "entries": str(row.entries),
            "status": _coloured(row.headline),
            "differences": str(row.differences or ""),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def difference_table(rows: Sequence[DifferenceView]) -> Table:
    """Return the table of where statements and the ledger differ, ours and theirs side by side."""
    table = _table("id", "counterparty", "statement", "code", "subject", "field", "ours", "theirs")
    for row in rows:
        named = (row.counterparty, row.reference, row.code, row.subject, row.field)
        table.add_row(str(row.statement_id), *named, row.ours or "nothing", row.theirs or "nothing")
    return table


def statement(found: StatementStory) -> RenderableType:
    """Show a statement: how far it has come, what it says is held, and where it differs."""
    one = found.statement
    head = Table.grid(padding=(0, 2))
    for name, value in (
        ("statement", f"{one.kind} {one.reference}" + (f", number {one.number}" if one.number is not None else "")),
        ("transaction", one.transaction_id),
        ("counterparty", one.counterparty),
        ("account", found.account or ""),
        ("date", str(one.statement_date or "")),
        ("status", one.headline),
        ("pages", f"{one.pages} of {one.last_page or '?'}" + (", asked for" if one.requested else "")),
        ("entries", str(one.entries)),
    ):
        head.add_row(name, value)
    parts: list[RenderableType] = [head]
    if found.positions:
        table = _table("account", "instrument", "balance", "value", "unit", "date")
        for held in found.positions:
            day = str(held.balance_date or "")
            table.add_row(held.account, held.instrument, held.balance, _number(held.value), held.unit, day)
        parts.append(table)
    if found.differences:
        parts.append(difference_table(found.differences))
    return Group(*parts)


def parked_table(rows: Sequence[ParkedSummary], *, wide: bool = True) -> Table:
    """Return the table of parked items; where it is not ``wide``, only what tells and matters."""
    names = "id code stage state trade counterparty since why"
    columns = (names if wide else "id code trade why").split()
    table = _table(*columns)
    for row in rows:
        cells: dict[str, Text] = {
            "id": Text(str(row.id)),
            "code": Text(row.code),
            "stage": Text(row.stage),
            "state": _coloured(row.state),
            "trade": Text(_trade(row.source, row.trade_id, row.instruction_number)),
            "counterparty": Text(row.counterparty or ""),
            "since": Text(_time(row.created_at)),
            "why": Text(row.text),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def parked_item(item: ParkedItem) -> RenderableType:
    """Return one parked item whole; payloads only where they were asked for."""
    row = item.summary
    facts = _facts(
        ("what", f"{row.stage}, {row.state}"),
        ("trade", _trade(row.source, row.trade_id, row.instruction_number)),
        ("transaction", item.transaction_id),
        ("counterparty", row.counterparty),
        ("came from", row.origin),
        ("parked at", _time(row.created_at)),
        ("holds", f"{item.holding} later event(s) of the trade" if item.holding else None),
        ("closed", f"{_time(row.closed_at)} by {row.closed_by}: {row.reason}" if row.closed_at else None),
        ("what to do", f"docs/runbook.md, {row.code}"),
    )
    parts: list[RenderableType] = [Panel(Group(Text(row.text), facts), title=f"parked {row.id}: {row.code}")]
    if item.violations:
        table = _table("code", "path", "line", "value", "rule")
        for violation in item.violations:
            line = "" if violation.line is None else str(violation.line)
            cells = (violation.code, violation.path, line, violation.value or "", violation.rule)
            table.add_row(*(Text(cell) for cell in cells))
        parts.append(table)
    if item.commands:
        table = _table("id", "command", "by", "at", "state", "reason", "answer")
        for command in item.commands:
            asked = (str(command.id), command.kind, Text(command.actor), _time(command.created_at))
            table.add_row(*asked, _coloured(command.state), Text(command.reason), Text(command.answer or ""))
        parts.append(table)
    parts += _payload("original", item.original)
    parts += _payload("repaired", item.repaired)
    return Group(*parts)


def allegement_table(rows: Sequence[AllegementSummary], *, wide: bool = True) -> Table:
    """Return the table of what the other side began; where it is not ``wide``, only what tells and matters."""
    names = "id transaction counterparty reference status terms ours agrees differs unknown since"
    columns = (names if wide else "transaction reference status ours differs").split()
    table = _table(*columns)
    for row in rows:
        ours = "none" if row.ours is None else f"{_trade_of(row.ours)} {row.ours.stands or ''}".strip()
        cells: dict[str, str | Text] = {
            "id": str(row.id),
            "transaction": row.transaction_id,
            "counterparty": row.counterparty,
            "reference": Text(row.reference),
            "status": _coloured(row.headline),
            "terms": row.terms,
            "ours": Text(ours),
            "agrees": ", ".join(row.agreed),
            "differs": Text(", ".join(row.differing), style="red"),
            "unknown": ", ".join(row.unstated),
            "since": _time(row.created_at),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def _trade_of(ours: CounterpartView) -> str:
    known = _trade(ours.source, ours.trade_id, ours.instruction_number)
    return f"{ours.kind} {ours.identifier}" + (f" ({known})" if known else "")


def _side_by_side(ours: CounterpartView) -> RenderableType:
    """Show one of ours beside what the other side began: what differs first."""
    table = _table("field", "ours", "theirs", "verdict")
    styles = {"differs": "red", "agrees": "green", "unknown": "yellow"}
    for line in ours.fields:
        verdict = Text(line.verdict, style=styles[line.verdict])
        table.add_row(line.field, Text(line.ours or ""), Text(line.theirs or ""), verdict)
    differing = sum(line.verdict == "differs" for line in ours.fields)
    agreeing = sum(line.verdict == "agrees" for line in ours.fields)
    why = f"{agreeing} fields agree, {differing} differ"
    if ours.stands != ours.compared_as:
        why += f"; it was {ours.compared_as} when they were compared"
    return Panel(
        Group(Text(why), table), title=Text(f"{_trade_of(ours)}: {ours.stands or 'gone'}"), box=box.HORIZONTALS
    )


def whole(story: Story) -> RenderableType:
    """Return everything of one instruction: what it is, where it stands, and the timeline."""
    parts: list[RenderableType] = [_heading(story), _standing(story.state)]
    if story.deadlines:
        parts.append(deadline_table(story.deadlines))
    if story.links:
        parts.append(_links(story.links))
    parts += [_side_by_side(ours) for ours in story.counterparts]
    parts.append(_timeline(story))
    still_open = [row for row in story.parked if row.state == "open"]
    if still_open:
        parts.append(parked_table(still_open))
    for event in story.events:
        parts += _payload(f"event {event.event_id}", event.content)
    for document in story.documents:
        parts += _payload(f"{document.message_definition} {document.business_message_id}", document.content)
    for reply in story.replies:
        title = f"{reply.message_definition or 'reply'} {reply.business_message_id or ''} archive {reply.archive_id}"
        parts += _payload(title, reply.content)
    return Group(*parts)


def _heading(story: Story) -> Panel:
    row, terms = story.instruction, story.terms
    quantity = f"{_number(row.quantity)} {row.quantity_type or ''}".strip()
    amount = f"{_number(row.amount)} {row.currency or ''}".strip()
    facts = _facts(
        ("status", row.headline),
        ("what", f"{row.dialogue}: {row.movement or ''} {row.payment or ''} {row.isin or ''}".rstrip()),
        ("quantity", quantity),
        ("amount", amount),
        ("bought", _money(terms.bought_amount)),
        ("sold", _money(terms.sold_amount)),
        ("rate", _number(terms.exchange_rate)),
        ("traded with", terms.other_party),
        ("trade date", str(terms.trade_date or "")),
        ("settles", str(terms.settlement_date or "")),
        ("safekeeping account", terms.safekeeping_account),
        ("counterparty", row.counterparty),
        ("their identification", story.account_servicer_transaction_id),
        ("row", str(row.id)),
    )
    return Panel(facts, title=f"{row.transaction_id}  {_trade(row.source, row.trade_id, row.instruction_number)}")


def _money(amount: Amount | None) -> str:
    return f"{_number(amount.value)} {amount.currency}" if amount else ""


def _facts(*pairs: tuple[str, str | None]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in pairs:
        if value:
            table.add_row(Text(name, style="dim"), _coloured(value) if name == "status" else Text(value))
    return table


def _standing(state: State) -> Table:
    table = _table("axis", "stands at", "asserted at", "reasons")
    table.add_row("delivery", _coloured(str(state.delivery.value)), "", "")
    for name, axis in sorted((state.axes or {}).items()):
        word = axis.status.proprietary or axis.status.value
        table.add_row(name, _coloured(word), _time(axis.asserted_at), Text(_reasons(axis.status.reasons)))
    for part in state.parts:
        said = f"{_number(part.quantity.value)} {part.quantity.type}" if part.quantity else ""
        paid = f"{_number(part.amount.value)} {part.amount.currency}" if part.amount else ""
        word = "reversed" if part.reversed else "settled"
        settled = " for ".join(figure for figure in (said, paid) if figure)
        table.add_row("part", _coloured(word), _time(part.asserted_at), Text(f"{settled} ({part.confirmation_id})"))
    for difference in state.breaks:
        told = f"{difference.field}: instructed {difference.instructed}, confirmed {difference.confirmed}"
        table.add_row("break", Text("differs", style="red"), "", Text(told))
    for counterpart in state.counterparts:
        differing = (f"{d.field}: ours {d.instructed}, theirs {d.confirmed}" for d in counterpart.differences)
        told = "; ".join(differing) or f"agrees in {', '.join(counterpart.agreed)}"
        table.add_row("like", _coloured(counterpart.standing), "", Text(f"{counterpart.identifier}: {told}"))
    return table


def deadline_table(deadlines: Sequence[Deadline]) -> Table:
    """Return the table of one instruction's deadlines."""
    table = _table("deadline", "due (UTC)", "warning (UTC)", "stands at")
    for one in deadlines:
        table.add_row(one.kind, _time(one.due_at), _time(one.warn_at), _coloured(one.stage.value))
    return table


def deadlines_table(rows: Sequence[DeadlineView]) -> Table:
    """Return the table of what comes next, instruction by instruction."""
    table = _table("due (UTC)", "deadline", "transaction", "trade", "counterparty", "status", "settles")
    for row in rows:
        table.add_row(
            _time(row.due_at),
            row.kind,
            row.transaction_id,
            _trade(row.source, row.trade_id, row.instruction_number),
            row.counterparty,
            _coloured(row.headline),
            str(row.settlement_date or ""),
        )
    return table


def _links(links: Sequence[LinkView]) -> Table:
    """Show what an instruction goes with, in both directions, and where the other one stands."""
    table = _table("linked", "as", "by", "transaction", "trade", "counterparty", "status")
    for link in links:
        said = {"states": "to", "stated_by": "from", "shares": "with"}[link.direction]
        relation = link.relation + (", unlinked" if link.ended else "")
        other = link.transaction_id or "(not here)"
        trade = _trade(link.source, link.trade_id, link.instruction_number)
        table.add_row(
            said, relation, f"{link.names} {link.value}", other, trade, link.counterparty, _coloured(link.headline)
        )
    return table


def cutoff_table(rows: Sequence[tuple[Cutoff, CutoffChange | None]]) -> Table:
    """Return the table of cut-offs, each with the change that set it; None is of the configuration."""
    table = _table("kind", "at", "zone", "days before", "warning", "for", "set by", "#")
    for cutoff, change in rows:
        criteria = cutoff.model_dump(
            mode="json", exclude_none=True, exclude={"kind", "at", "zone", "days_before", "warn_minutes"}
        )
        said = "configuration" if change is None else f"{change.actor}, {_time(change.created_at)}: {change.reason}"
        table.add_row(
            cutoff.kind,
            f"{cutoff.at:%H:%M}",
            cutoff.zone,
            str(cutoff.days_before),
            f"{cutoff.warn_minutes} min",
            Text(", ".join(str(value) for value in criteria.values())),
            Text(said),
            "" if change is None else str(change.id),
        )
    return table


def penalty_table(rows: Sequence[Mapping[str, Any]], until: date) -> Table:
    """Return the table of fails: what each costs whom, so far and on the last day."""
    table = _table(
        "transaction",
        "trade",
        "counterparty",
        "settles",
        "days",
        "who fails",
        f"on {until}",
        "so far",
        "reported",
        "difference",
    )
    for row in rows:
        last = [one for one in row["penalties"] if one.day == row["penalties"][-1].day]
        table.add_row(
            row["transaction_id"],
            row["trade"],
            row["counterparty"],
            str(row["settlement_date"]),
            str(len({one.day for one in row["penalties"]})),
            ", ".join(sorted({one.failing for one in last})),
            _sums(last),
            _sums(row["penalties"]),
            ", ".join(_reported(one) for one in row["reported"]),
            ", ".join(_difference(one) for one in row["reported"]),
        )
    return table


def reported_penalties(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the penalties that were reported of one instruction, each with our estimate for the same days."""
    table = _table("reported", "kind", "status", "days", "amount", "estimated", "difference")
    for row in rows:
        report = row["report"]
        days = ", ".join(str(one["day"]) for one in report["days"]) or _number(report["business_days"])
        estimated = "not known" if row["estimated"] is None else _number(row["estimated"])
        names = (report["reference"] or "", report["kind"] or "", report["status"] or "", days)
        table.add_row(*names, _reported(row), estimated, _difference(row))
    return table


def _reported(row: Mapping[str, Any]) -> str:
    return "not known" if row["reported"] is None else f"{_number(row['reported'])} {row['currency']}"


def _difference(row: Mapping[str, Any]) -> str:
    return "not known" if row["difference"] is None else _number(row["difference"])


def penalty_days(row: Mapping[str, Any]) -> RenderableType:
    """Return the penalties of one instruction, day by day, with what each is made of."""
    table = _table("day", "kind", "who fails", "rate", "price", "quantity", "amount")
    for one in row["penalties"]:
        amount = "not known" if one.amount is None else f"{_number(one.amount)} {one.currency or ''}"
        table.add_row(
            str(one.day), one.kind, one.failing, one.rate_source, _number(one.price), _number(one.quantity), amount
        )
    assumed = dict.fromkeys(said for one in row["penalties"] for said in one.assumptions)
    return Group(
        Text(f"{row['transaction_id']}  {row['trade']}  settles {row['settlement_date']}, days of {row['calendar']}"),
        table,
        Text(f"together: {_sums(row['penalties'])}"),
        *(Text(f"assumed: {said}", style="yellow") for said in assumed),
    )


def _sums(found: Iterable[Penalty]) -> str:
    sums = totals(found)
    return ", ".join(f"{side} {_number(amount)} {currency}" for (side, currency), amount in sums.items()) or "not known"


def _reasons(reasons: Iterable[Reason]) -> str:
    shown = (" ".join(filter(None, (reason.code, reason.proprietary, reason.text))) for reason in reasons)
    return "; ".join(shown)


def _timeline(story: Story) -> Table:
    """Merge everything that has a time, in its order; entries of one instant keep the order of the data path."""
    entries: list[tuple[datetime, int, str, Text]] = []

    def add(at: datetime | None, place: int, what: str, said: str, style: str = "") -> None:
        if at is not None:
            entries.append((at, place, what, Text(said, style=style)))

    for event in story.events:
        add(event.received_at, 0, "event", f"{event.kind} {event.event_id} from {event.origin}: {event.disposition}")
    for document in story.documents:
        built = f"{document.message_definition} {document.business_message_id} ({document.role}), now {document.state}"
        add(document.created_at, 2, "message", built)
        _add_attempts(document, add)
    for reply in story.replies:
        named = " ".join(filter(None, (reply.message_definition, reply.business_message_id)))
        repeats = f", came {reply.repeats + 1} times" if reply.repeats else ""
        add(
            reply.received_at, 4, "reply", f"{named} from {reply.channel} ({reply.carrier_key}): {reply.state}{repeats}"
        )
    for entry in story.history:
        moved = "; ".join(_change(change) for change in entry.changes)
        add(
            entry.at,
            5,
            f"history {entry.sequence}",
            f"{entry.action} by {entry.actor} ({entry.cause}) {moved}".rstrip(),
        )
        for alert in entry.alerts:
            add(entry.at, 6, "alert", f"{alert.code}: {alert.text}", "red")
    for row in story.parked:
        add(row.created_at, 7, "parked", f"{row.id} {row.code}: {row.text}", "red")
        add(row.closed_at, 8, "parked", f"{row.id} {row.state} by {row.closed_by}: {row.reason}")
    table = _table("time (UTC)", "", "what happened")
    for at, _, what, said in sorted(entries, key=lambda entry: (entry[0], entry[1])):
        table.add_row(at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3], what, said)
    return table


def _add_attempts(document: DocumentView, add: Callable[..., None]) -> None:
    for attempt in document.attempts:
        mark = ", marked possible duplicate" if attempt.possible_duplicate else ""
        add(attempt.started_at, 3, "send", f"{document.business_message_id} attempt {attempt.number}{mark}")
        outcome = " ".join(filter(None, (attempt.outcome, attempt.code, attempt.reference)))
        style = "" if attempt.outcome == "sent" else "red"
        add(attempt.ended_at, 3, "sent" if attempt.outcome == "sent" else "not sent", outcome, style)


def _change(change: Change) -> str:
    told = _reasons(change.reasons)
    return f"{change.axis}: {change.before or 'none'} -> {change.after}" + (f" ({told})" if told else "")


def _payload(title: str, content: Content) -> list[RenderableType]:
    if content is None:
        return []
    shown = content if isinstance(content, str) else f"{len(content)} bytes that are no text: {content[:60]!r}"
    return [Panel(Text(shown), title=Text(title), box=box.HORIZONTALS)]


def verification(result: Verification, what: str) -> RenderableType:
    """Return the outcome of a proof, with the first faults."""
    counted = f"{result.instructions} instruction(s), {result.entries} entries"
    if result.proven:
        return Text(f"{what}: {counted}: every one holds", style="green")
    table = _table("code", "id", "transaction", "#", "what is wrong")
    for fault in result.faults:
        sequence = "" if fault.sequence is None else str(fault.sequence)
        table.add_row(fault.code, str(fault.instruction_id), fault.transaction_id or "", sequence, Text(fault.text))
    more = result.fault_count - len(result.faults)
    closing = [Text(f"and {more} more")] if more else []
    return Group(Text(f"{what}: {counted}: {result.fault_count} FAULTS", style="bold red"), table, *closing)
