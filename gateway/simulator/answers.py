"""Answers: a scenario becomes messages, each the same bytes whenever it is written again. Pure.

Everything in an answer follows from the seed, the arrival as the book holds it, and the table ``answers.toml``: the
simulator can be killed between two answers and say the second one, or the first one again, afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import cache
from hashlib import sha256
from typing import Any

from gateway.errors import ConfigError
from gateway.simulator.arrival import Arrival
from gateway.simulator.scenario import Delays, Draw, Scenario, Scheduled, schedule
from gateway.simulator.template import Template

GARBAGE = "garbage"
DUPLICATE = "duplicate"
_EVERYWHERE = (GARBAGE, DUPLICATE, "late")
_HEADER_FAMILY = "head.001"
_NAMESPACES = "urn:iso:std:iso:20022:tech:xsd:"
_NO_VERSION = "99"


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
    return {dialogue: (*steps, *_EVERYWHERE) for dialogue, steps in table["steps"].items()}


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
        self._steps: Mapping[str, Mapping[str, Mapping[str, Any]]] = table["steps"]
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

    def plan(self, number: int, at: datetime, arrival: Arrival, scenario: Scenario) -> list[Answer]:
        """Return the answers to an arrival, in the order in which they are to be sent."""
        plan = _Plan(number, at, arrival, scenario.dialogue)
        course = schedule(scenario, self._delays, self.draw("delays", scenario.dialogue, *plan.about))
        ranks = {item.position: rank for rank, item in enumerate(course)}
        for item in sorted(course, key=lambda item: item.position):
            answer = self._answer(plan, item, ranks[item.position])
            if answer is not None:
                plan.said.append(answer)
        return sorted(plan.said, key=lambda answer: answer.rank)

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
        identifier = self._identifier("answer", plan.dialogue, *plan.about, str(item.position))
        row: Mapping[str, Any] = {} if item.step.name == GARBAGE else self._steps[plan.dialogue][item.step.name]
        document: str | None = row.get("document")
        if "settles" in row:
            values = plan.account.settle(row["settles"], item.step.argument, plan.at)
            if values is None:
                return None
            if row["settles"] != "none":
                plan.account.last_confirmation = identifier
        elif document == "rejection" and plan.arrival.violations:
            values = _refusal(plan.arrival)
        else:
            values = _reasons(row, item.step.argument) if row else {}
        axis = row.get("axis")
        if plan.dialogue == "refusal" and plan.arrival.dialogue == "cancellation":
            axis = "cancellation"  # the request is refused, not the instruction that it names
        return Answer(
            number=plan.number,
            position=item.position,
            rank=rank,
            dialogue=plan.dialogue,
            step=str(item.step),
            document=document,
            message_definition=self.definitions[document] if document else None,
            business_message_id=identifier,
            said_at=plan.at + timedelta(seconds=item.said_after, microseconds=item.position),
            due_at=due_at,
            axis=axis,
            value=row.get("value"),
            final=row.get("final", False),
            values=values,
        )

    def _render(
        self, arrival: Arrival, answer: Answer, document: str, step: str, definition: str | None = None
    ) -> bytes:
        row = self._steps[answer.dialogue][step]
        described = self._documents[document]
        message_definition = definition or answer.message_definition or self.definitions[document]
        values = {
            term: self._coded[term].get(text, text) if term in self._coded else text
            for term, text in arrival.terms.items()
        }
        values |= {
            "transaction_id": arrival.transaction_id or "NONREF",
            "servicer_id": self._identifier("servicer", arrival.transaction_id or ""),
            "own_id": answer.business_message_id,
            "request_reference": (arrival.business_message_id or "NONREF")[:35],
            "business_message_id": answer.business_message_id,
            "created_at": _instant(answer.said_at),
            "element": self._table["elements"].get(arrival.terms.get("quantity_type", ""), "Unit"),
        }
        if arrival.message_definition:
            values["related_definition_text"] = arrival.message_definition
        if described.get("related") and arrival.business_message_id and arrival.message_definition:
            related = _normalised(arrival.created_at)
            if related:
                values |= {
                    "related_business_message_id": arrival.business_message_id,
                    "related_definition": arrival.message_definition,
                    "related_created_at": related,
                }
        if row.get("unknown"):
            values["transaction_id"] = self._identifier("nobody", answer.business_message_id)
        values |= answer.values
        return self._template(document, message_definition, row).render(values).encode()

    def _template(self, document: str, definition: str, row: Mapping[str, Any]) -> Template:
        status, from_bic = str(row.get("status", "")), str(row.get("from_bic", self._bic))
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
                return self._render(
                    arrival, answer, document, "accepted", self.definitions[document][:-2] + _NO_VERSION
                )
            case "not-a-message":
                return b"<!doctype html><html><body>502 Bad Gateway</body></html>"
            case "bytes":
                digest = sha256(answer.business_message_id.encode()).digest()
                return bytes((0xFF, 0x00)) + digest * (1 + digest[0] % 16)
            case _:
                known = "bytes, truncated, entities, unknown-definition, not-a-message"
                raise ConfigError(f"garbage of the kind '{kind}' is unknown; known: {known}")

    def _identifier(self, *words: str) -> str:
        text = "\x1f".join((str(self._seed), self._bic, *words))
        return sha256(text.encode()).hexdigest()[:16].upper()


class _Plan:
    """The answers to one arrival while they are planned."""

    def __init__(self, number: int, at: datetime, arrival: Arrival, dialogue: str) -> None:
        self.number = number
        self.at = at
        self.arrival = arrival
        self.dialogue = dialogue
        self.about = (arrival.transaction_id or "", arrival.business_message_id or arrival.sha256)
        # What is not valid is refused, never settled; its quantity may be no number.
        self.account = _Account(arrival.terms if arrival.valid else {})
        self.said: list[Answer] = []


class _Account:
    """What the confirmations of one instruction have settled so far, in exact decimals."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        self._terms = terms
        self._quantity = Decimal(terms.get("quantity", "0"))
        self._amount = Decimal(terms["amount"]) if "amount" in terms else None
        self._settled_quantity = Decimal(0)
        self._settled_amount = Decimal(0)
        self.last_confirmation: str | None = None

    def settle(self, share: str, argument: str | None, at: datetime) -> dict[str, str] | None:
        """Return the values of a confirmation or reversal; None where nothing is left or a part would be nothing."""
        values = {"effective_date": self._terms.get("settlement_date", at.date().isoformat())}
        match share:
            case "none":
                return self._reverse(values)
            case "part":
                return self._part(values, argument)
            case _:
                return self._all(values, argument)

    def _part(self, values: dict[str, str], argument: str | None) -> dict[str, str] | None:
        share = Decimal(argument or "50") / 100
        quantity = _share(self._quantity, share)
        if quantity <= 0 or self._settled_quantity + quantity >= self._quantity:
            return None
        amount = None if self._amount is None else _share(self._amount, share)
        return self._confirm(values, quantity, amount, "PAIN")

    def _all(self, values: dict[str, str], argument: str | None) -> dict[str, str] | None:
        quantity = self._quantity - self._settled_quantity
        amount = None if self._amount is None else self._amount - self._settled_amount
        if quantity <= 0:
            return None
        match argument:
            case "amount" if amount is not None:
                amount += 1
            case "quantity":
                quantity += 1
            case "date":
                values["effective_date"] = (
                    date.fromisoformat(values["effective_date"]) + timedelta(days=1)
                ).isoformat()
            case "account":
                values["safekeeping_account"] = ("WRONG" + self._terms.get("safekeeping_account", ""))[:35]
        if argument and not (argument == "amount" and amount is None):
            values["differs"] = argument
        return self._confirm(values, quantity, amount, "PARC" if self._settled_quantity else None)

    def _confirm(
        self, values: dict[str, str], quantity: Decimal, amount: Decimal | None, partial: str | None
    ) -> dict[str, str]:
        values["settled_quantity"] = format(quantity, "f")
        if amount is not None:
            values["settled_amount"] = format(amount, "f")
        if partial:
            values["partial"] = partial
        if self._settled_quantity:
            values["previously_settled_quantity"] = format(self._settled_quantity, "f")
            if amount is not None:
                values["previously_settled_amount"] = format(self._settled_amount, "f")
            if self.last_confirmation:
                values["previous_confirmation"] = self.last_confirmation
        self._settled_quantity += quantity
        if amount is not None:
            self._settled_amount += amount
        if partial == "PAIN":
            values["remaining_quantity"] = format(self._quantity - self._settled_quantity, "f")
            if self._amount is not None:
                values["remaining_amount"] = format(self._amount - self._settled_amount, "f")
        return values

    def _reverse(self, values: dict[str, str]) -> dict[str, str] | None:
        if self.last_confirmation is None:
            return None
        values |= {
            "previous_confirmation": self.last_confirmation,
            "settled_quantity": format(self._settled_quantity, "f"),
        }
        if self._amount is not None:
            values["settled_amount"] = format(self._settled_amount, "f")
        self._settled_quantity = self._settled_amount = Decimal(0)
        return values


def _definitions(documents: Mapping[str, Mapping[str, Any]], versions: Sequence[str]) -> dict[str, str]:
    families = {row["family"]: name for name, row in documents.items()}
    chosen = {name: str(row["default"]) for name, row in documents.items()}
    for version in versions:
        if version[:8] == _HEADER_FAMILY:
            continue
        if version[:8] not in families:
            known = ", ".join(sorted((*families, _HEADER_FAMILY)))
            raise ConfigError(f"the simulator never answers with '{version}'; it writes versions of {known}")
        chosen[families[version[:8]]] = version
    return chosen


def _reasons(row: Mapping[str, Any], argument: str | None) -> dict[str, str]:
    reason = argument or row.get("reason")
    return {"reason": str(reason)} if reason else {}


def _refusal(arrival: Arrival) -> dict[str, str]:
    first = arrival.violations[0]
    values = {"reason": first.code[:35], "reason_text": first.text[:350], "location": first.path[:350]}
    return {name: text for name, text in values.items() if text}


def _share(whole: Decimal, share: Decimal) -> Decimal:
    exponent = whole.as_tuple().exponent
    return (whole * share).quantize(Decimal((0, (1,), exponent if isinstance(exponent, int) else 0)), ROUND_DOWN)


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _normalised(text: str | None) -> str | None:
    """Write a header's creation time as UTC, as the first header version requires; None where it names no offset."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return _instant(moment) if moment.tzinfo else None
