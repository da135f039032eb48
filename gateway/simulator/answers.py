"""Answers: a scenario becomes messages, each the same bytes whenever it is written again. Pure.

Everything in an answer follows from the seed, the arrival as the book holds it, and the table ``answers.toml``: the
simulator can be killed between two answers and say the second one, or the first one again, afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec

from gateway.errors import ConfigError
from gateway.simulator.account import Account
from gateway.simulator.arrival import Arrival
from gateway.simulator.scenario import Delays, Draw, Scenario, Scheduled, Step, schedule
from gateway.simulator.tables import dialogues, steps
from gateway.simulator.template import Template

GARBAGE = "garbage"
DUPLICATE = "duplicate"
_EVERYWHERE = (GARBAGE, DUPLICATE, "late")
_HEADER_FAMILY = "head.001"
_NAMESPACES = "urn:iso:std:iso:20022:tech:xsd:"
_NO_VERSION = "99"
LISTED = "listed"
"""The term of an arrival under which the transactions that its answers list are kept, as JSON."""

_NAMES = frozenset(
    {
        "original_message_id",
        "original_definition",
        "uetr",
        "end_to_end_id",
        "related_business_message_id",
        "related_definition",
        "related_created_at",
    }
)
"""What else names a transaction, or the message that brought it."""

_QUERY = "status_query"  # whose answers tell where a settlement stands


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to come or given: what it says (``axis``, ``value``), when it says so and when it is due.

    ``position`` counts what is said from 0, ``rank`` what is sent. ``values`` are what the template needs beside the
    terms of the arrival, as text: reasons, settled quantities and amounts, references. Garbage has no ``document``.
    A ``duplicate`` has everything of the answer that it repeats but its place; it moves no axis.
    """

    number: int
    position: int
    rank: int
    dialogue: str
    step: str
    document: str | None
    message_definition: str | None
    business_message_id: str
    said_at: datetime
    due_at: datetime
    axis: str | None = None
    value: str | None = None
    final: bool = False
    duplicate: bool = False
    values: dict[str, str] = field(default_factory=dict)


def known_steps(table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Name the steps that each dialogue knows, by the table of answers."""
    return {dialogue: (*rows, *_EVERYWHERE) for dialogue, rows in steps(table).items()}


class Writer:
    """Plan and write the answers of one simulated counterparty."""

    def __init__(
        self,
        table: Mapping[str, Any],
        codes: Mapping[str, Mapping[str, str]],
        namespace: Callable[[str], str],
        *,
        bic: str,
        gateway_bic: str,
        seed: int,
        versions: Sequence[str] = (),
        delays: Delays | None = None,
    ) -> None:
        """Take the table of answers and the definitions to answer with (``sese.024.001.10``, ``head.001.001.02``).

        ``namespace`` gives a definition's namespace. Raises ConfigError for a definition of a family never written.
        """
        self._table = table
        self._steps: Mapping[str, Mapping[str, Mapping[str, Any]]] = steps(table)
        self.dialogues = dialogues(table)
        self._documents: Mapping[str, Mapping[str, Any]] = table["documents"]
        self._coded = {term: {word: code for code, word in words.items()} for term, words in codes.items()}
        self._namespace = cache(namespace)
        self._bic = bic
        self._gateway_bic = gateway_bic
        self._seed = seed
        self._delays = delays or Delays()
        self._templates: dict[tuple[str, str, str, str], Template] = {}
        self.definitions = _definitions(self._documents, versions)
        self.header = next((version for version in versions if version[:8] == _HEADER_FAMILY), "head.001.001.04")

    def draw(self, *words: str) -> Draw:
        """Return the draw of this counterparty for a purpose; the BIC enters, so two counterparties differ."""
        return Draw(self._seed, self._bic, *words)

    def plan(
        self,
        number: int,
        at: datetime,
        arrival: Arrival,
        scenario: Scenario,
        *,
        after: float = 0.0,
        standing: Sequence[str] = (),
        about: Mapping[str, str] | None = None,
    ) -> list[Answer]:
        """Return the answers to an arrival, in the order in which they are to be sent.

        ``after`` seconds pass before the first; ``standing`` are the steps by which its transaction stands where it
        does, for an answer that tells it; ``about`` are the transaction's own terms, for an answer that restates them.
        """
        plan = _Plan(arrival, number, at + timedelta(seconds=after), scenario.dialogue, tuple(standing), about or {})
        course = schedule(scenario, self._delays, self.draw("delays", scenario.dialogue, *plan.about))
        ranks = {item.position: rank for rank, item in enumerate(course)}
        for item in sorted(course, key=lambda item: item.position):
            answer = self._answer(plan, item, ranks[item.position])
            if answer is not None:
                plan.said.append(answer)
        return sorted(plan.said, key=lambda answer: answer.rank)

    def definition(self, document: str, terms: Mapping[str, str]) -> str:
        """Return the definition in which a document is written about a transaction of these terms."""
        del terms
        return self.definitions[document]

    def is_of_network(self, document: str) -> bool:
        """Tell whether it is the network that says a document, not the counterparty."""
        del document
        return False

    def write(self, arrival: Arrival, answer: Answer) -> bytes:
        """Return the bytes of an answer; the same arguments give the same bytes."""
        if answer.document is None:
            return self._garbage(arrival, answer)
        return self._render(arrival, answer, answer.document, answer.step.partition(":")[0])

    def _answer(self, plan: _Plan, item: Scheduled, rank: int) -> Answer | None:
        due_at = plan.at + timedelta(seconds=item.sent_after)
        if item.step.name == DUPLICATE:
            if not plan.said:
                return None
            return replace(
                plan.said[-1], position=item.position, rank=rank, due_at=due_at, axis=None, value=None, duplicate=True
            )
        identifier = self.identifier("answer", plan.dialogue, *plan.about, str(item.position))
        row: Mapping[str, Any] = {} if item.step.name == GARBAGE else self._steps[plan.dialogue][item.step.name]
        if row.get("own_reference"):
            identifier = plan.arrival.transaction_id or identifier
        elif row.get("names_transaction"):
            identifier = self.identifier("servicer", plan.arrival.transaction_id or "")
        document: str | None = row.get("document")
        if "settles" in row:
            account, leg = self._account(plan, row.get("leg", ""))
            settled = account.settle(row["settles"], item.step.argument, plan.at)
            if settled is None:
                return None
            values = leg | settled
            if row["settles"] != "none":
                account.last_confirmation = identifier
        elif document == "rejection" and plan.arrival.violations:
            values = _refusal(plan.arrival)
        else:
            values = reasons(row, item.step.argument) if row else {}
        values |= {name: plan.restated[name] for name in row.get("restates", ()) if name in plan.restated}
        values |= {name: plan.arrival.terms[name] for name in row.get("amends", ()) if name in plan.arrival.terms}
        if "differs" in row:
            values = _otherwise(plan.arrival.terms, item.step.argument or row["differs"])
        if row.get("tells"):
            values["told"] = ",".join(plan.standing)
        if row.get("withdraws") and plan.said:
            values["withdrawn_message"] = plan.said[-1].business_message_id
        if row.get("applies") and "hold" in plan.arrival.terms:
            values["hold"] = plan.arrival.terms["hold"]
        axis, value = row.get("axis"), row.get("value")
        if plan.dialogue == "refusal" and plan.arrival.dialogue is not None:
            # A request is refused, not the instruction that it names.
            axis = self.dialogues[plan.arrival.dialogue].axis or axis
        if axis == "processing" and document is not None and self.is_of_network(document):
            axis = value = None  # what the network says moves nothing here: it never came, or is only on its way
        return Answer(
            number=plan.number,
            position=item.position,
            rank=rank,
            dialogue=plan.dialogue,
            step=str(item.step),
            document=document,
            message_definition=self.definition(document, plan.arrival.terms) if document else None,
            business_message_id=identifier,
            # What tells where things stand speaks of the moment of asking: whatever is said later is newer.
            said_at=plan.at
            + timedelta(seconds=0.0 if row.get("tells") else item.said_after, microseconds=item.position),
            due_at=due_at,
            axis=axis,
            value=value,
            final=row.get("final", False),
            values=values,
        )

    def amended(self, answer: Answer) -> dict[str, str]:
        """Return the terms of the transaction that an answer says are changed."""
        return {name: answer.values[name] for name in self._row(answer).get("amends", ()) if name in answer.values}

    def replan(
        self, arrival: Arrival, said: Sequence[Answer], to_come: Sequence[Answer], amended: Mapping[str, str]
    ) -> list[tuple[Answer, Answer | None]]:
        """Return what each answer to come becomes under changed terms, after what was said; None where nothing is left.

        Only what settles changes: a duplicate is that of the changed answer, and every identifier and time stays.
        """
        plan = _Plan(arrival, to_come[0].number, to_come[0].said_at, to_come[0].dialogue, (), {})
        plan.terms = {**plan.terms, **amended}
        become: list[tuple[Answer, Answer | None]] = []
        for answer in sorted((*said, *to_come), key=lambda answer: answer.position):
            changed: Answer | None = answer
            row = self._row(answer)
            if answer.duplicate and become and become[-1][0].business_message_id == answer.business_message_id:
                last = become[-1][1]
                changed = replace(answer, values=last.values) if last is not None else None
            elif "settles" in row and not answer.duplicate:
                account, leg = self._account(plan, row.get("leg", ""))
                if answer not in to_come and row["settles"] != "none":
                    account.count(answer.values, answer.business_message_id)
                    continue
                settled = account.settle(row["settles"], Step.parse(answer.step).argument, answer.said_at)
                if row["settles"] != "none":
                    account.last_confirmation = answer.business_message_id
                changed = None if settled is None else replace(answer, values={**amended, **leg, **settled})
            if answer in to_come:
                become.append((answer, changed))
        return become

    def _row(self, answer: Answer) -> Mapping[str, Any]:
        return self._steps[answer.dialogue].get(Step.parse(answer.step).name, {})

    def _account(self, plan: _Plan, leg: str) -> tuple[Account, dict[str, str]]:
        """Return the account of a leg, and its terms where they are not those of the transaction."""
        terms, own = plan.terms, {}
        if leg:
            terms = self.dialogues[plan.dialogue].legs[leg].terms(plan.terms)
            # A leg without an agreed date settles when it is said to.
            terms.setdefault("settlement_date", plan.at.date().isoformat())
            own = {name: text for name, text in terms.items() if plan.terms.get(name) != text}
        if leg not in plan.accounts:
            plan.accounts[leg] = Account(terms)
        return plan.accounts[leg], own

    def _render(
        self, arrival: Arrival, answer: Answer, document: str, step: str, definition: str | None = None
    ) -> bytes:
        row = self._steps[answer.dialogue][step]
        described = self._documents[document]
        message_definition = definition or answer.message_definition or self.definitions[document]
        values = self._values(arrival, answer, row)
        named = row.get("related", described.get("related")) and not row.get("unknown")
        if named and arrival.business_message_id and arrival.message_definition:
            related = _normalised(arrival.created_at)
            if related:
                values |= {
                    "related_business_message_id": arrival.business_message_id,
                    "related_definition": arrival.message_definition,
                    "related_created_at": related,
                }
        if self.dialogues[answer.dialogue].lists:
            values |= self._listed(described, arrival, row.get("omits", 0))
        status = str(row.get("status", ""))
        if row.get("tells"):
            status = self._told(answer.dialogue, answer.values["told"].split(","), values)
        from_bic = str(row.get("from_bic", self._bic))
        return self._template(document, message_definition, status, from_bic).render(values).encode()

    def _values(self, arrival: Arrival, answer: Answer, row: Mapping[str, Any]) -> dict[str, str]:
        """Return what an answer says, whatever it is written in."""
        values = {
            term: self._coded[term].get(text, text) if term in self._coded else text
            for term, text in (arrival.terms | answer.values).items()
        }
        values |= {
            "transaction_id": arrival.transaction_id or "NONREF",
            "servicer_id": self.identifier("servicer", arrival.transaction_id or ""),
            "own_id": answer.business_message_id,
            "request_reference": (arrival.business_message_id or "NONREF")[:35],
            "business_message_id": answer.business_message_id,
            "created_at": _instant(answer.said_at),
            "element": self._table["elements"].get(arrival.terms.get("quantity_type", ""), "Unit"),
        }
        if arrival.message_definition:
            values["related_definition_text"] = arrival.message_definition
        if row.get("unknown"):
            nobody = self.identifier("nobody", answer.business_message_id)
            values = {name: text for name, text in values.items() if name not in _NAMES}
            values |= {"transaction_id": nobody, "request_reference": nobody}
        return values | {name: text for name, text in answer.values.items() if name not in self._coded}

    def _told(self, dialogue: str, standing: Sequence[str], values: dict[str, str]) -> str:
        """Join the statuses of several steps into one; each has a reason of its own, which is added to the values."""
        statuses = []
        for text in standing:
            step = Step.parse(text)
            row = self.status_step(dialogue, step)
            assert row is not None  # only such steps are told
            name = f"{row['axis']}_reason"
            if stated := reasons(row, step.argument):
                # A document with one status names its reason plainly.
                values[name] = values["reason"] = stated["reason"]
            reason = self._table["fragments"]["reason"].replace("{reason}", f"{{{name}}}")
            statuses.append(row["status"].replace("{>reason}", reason))
        return "".join(statuses)

    def _listed(self, described: Mapping[str, Any], arrival: Arrival, omits: int) -> dict[str, str]:
        """Write the transactions that a statement lists, and say whether there are any."""
        transactions = msgspec.json.decode(arrival.terms.get(LISTED, "[]"), type=list[dict[str, str]])
        template = Template(described["fragments"][LISTED])
        written = []
        for terms in transactions[: len(transactions) - omits]:
            values = {name: self._coded.get(name, {}).get(text, text) for name, text in terms.items()}
            values["element"] = self._table["elements"].get(terms.get("quantity_type", ""), "Unit")
            steps_said = [
                step for step in terms["standing"].split(",") if step and self.status_step(_QUERY, Step.parse(step))
            ]
            told = [self._told(_QUERY, [step], values) for step in steps_said]
            statuses = "".join(f"<StsAndRsn>{status}</StsAndRsn>" for status in told)
            written.append(template.render(values | {"statuses": Template(statuses).render(values)}))
        return {LISTED: "".join(written), "listed_any": "true" if written else "false"}

    def status_step(self, dialogue: str, step: Step) -> Mapping[str, Any] | None:
        """Return the row of a step that the document of a dialogue that tells statuses can state, or None."""
        told = next((row["document"] for row in self._steps[dialogue].values() if row.get("tells")), None)
        row = self._steps[self.dialogues[dialogue].about[0]].get(step.name, {})
        return row if row.get("document") == told and row.get("axis") else None

    def settles(self, answer: Answer) -> bool:
        """Tell whether an answer confirms that something has settled."""
        return not answer.duplicate and self._row(answer).get("settles", "none") != "none"

    def restates_status(self, answer: Answer) -> bool:
        """Tell whether the answer to a request says how the transaction itself stands, too."""
        return bool(self._row(answer).get("restates_status"))

    def _template(self, document: str, definition: str, status: str, from_bic: str) -> Template:
        key = (document, definition, status, from_bic)
        template = self._templates.get(key)
        if template is None:
            described = self._documents[document]
            fragments = {
                **self._table["fragments"],
                "header": self._table["header"],
                "related": self._table["related"],
                "body": described["body"],
                "status": status,
                **described.get("fragments", {}),
                **described.get("versions", {}).get(definition, {}),
            }
            invented = definition.endswith(_NO_VERSION)
            constants = {
                "from_bic": from_bic,
                "to_bic": self._gateway_bic,
                "message_definition": definition,
                "namespace": f"{_NAMESPACES}{definition}" if invented else self._namespace(definition),
                "header_namespace": self._namespace(self.header),
            }
            template = self._templates[key] = Template(self._table["envelope"], fragments, constants)
        return template

    def _unknown(self, document: str) -> str:
        """Return a definition that nobody knows."""
        return self.definitions[document][:-2] + _NO_VERSION

    def _garbage(self, arrival: Arrival, answer: Answer) -> bytes:
        kind = answer.step.partition(":")[2] or "bytes"
        document = "confirmation_status" if arrival.dialogue == "confirmation" else "status_advice"
        match kind:
            case "truncated":
                whole = self._render(arrival, answer, document, "accepted")
                return whole[: len(whole) // 2]
            case "entities":
                bomb = b"".join(b'<!ENTITY e%d "%s">' % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, 10))
                return b'<?xml version="1.0"?><!DOCTYPE bomb [<!ENTITY e0 "lol">' + bomb + b"]><bomb>&e9;</bomb>"
            case "unknown-definition":
                return self._render(arrival, answer, document, "accepted", self._unknown(document))
            case "not-a-message":
                return b"<!doctype html><html><body>502 Bad Gateway</body></html>"
            case "bytes":
                digest = sha256(answer.business_message_id.encode()).digest()
                return bytes((0xFF, 0x00)) + digest * (1 + digest[0] % 16)
            case _:
                known = "bytes, truncated, entities, unknown-definition, not-a-message"
                raise ConfigError(f"garbage of the kind '{kind}' is unknown; known: {known}")

    def identifier(self, *words: str) -> str:
        """Derive an identification of 16 characters from the seed, the BIC and what it is for."""
        text = "\x1f".join((str(self._seed), self._bic, *words))
        return sha256(text.encode()).hexdigest()[:16].upper()


class _Plan:
    """The answers to one arrival while they are planned."""

    def __init__(
        self,
        arrival: Arrival,
        number: int,
        at: datetime,
        dialogue: str,
        standing: tuple[str, ...],
        restated: Mapping[str, str],
    ) -> None:
        self.standing = standing
        self.restated = restated
        self.number = number
        self.at = at
        self.arrival = arrival
        self.dialogue = dialogue
        self.about = (arrival.transaction_id or "", arrival.business_message_id or arrival.sha256)
        # What is not valid is refused, never settled; its quantity may be no number.
        self.terms = arrival.terms if arrival.valid else {}
        self.accounts: dict[str, Account] = {}  # of each leg; "" where there is only one
        self.said: list[Answer] = []


def _definitions(documents: Mapping[str, Mapping[str, Any]], versions: Sequence[str]) -> dict[str, str]:
    described = {name: row for name, row in documents.items() if "family" in row}  # the others are of FIN alone
    families = {row["family"] for row in described.values()}
    chosen = {name: str(row["default"]) for name, row in described.items()}
    for version in versions:
        if version[:8] == _HEADER_FAMILY:
            continue
        if version[:8] not in families:
            known = ", ".join(sorted((*families, _HEADER_FAMILY)))
            raise ConfigError(f"the simulator never answers with '{version}'; it writes versions of {known}")
        chosen |= {name: version for name, row in described.items() if row["family"] == version[:8]}
    return chosen


def reasons(row: Mapping[str, Any], argument: str | None) -> dict[str, str]:
    """Return the reason that a step gives: its argument, or else that of its row."""
    reason = None if row.get("unreasoned") else argument or row.get("reason")
    return {"reason": str(reason)} if reason else {}


def _otherwise(terms: Mapping[str, str], name: str) -> dict[str, str]:
    """Return a term as it is not: a day later, or one more."""
    if name.endswith("_date"):
        return {name: (date.fromisoformat(terms[name]) + timedelta(days=1)).isoformat()}
    return {name: str(Decimal(terms[name]) + 1)}


def _refusal(arrival: Arrival) -> dict[str, str]:
    first = arrival.violations[0]
    values = {"reason": first.code[:35], "reason_text": first.text[:350], "location": first.path[:350]}
    return {name: text for name, text in values.items() if text}


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _normalised(text: str | None) -> str | None:
    """Write a header's creation time as UTC, as the first header version requires; None where it names no offset."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return _instant(moment) if moment.tzinfo else None
