"""Answers in FIN: the same plans, written as messages of blocks and fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from gateway.errors import BuildError
from gateway.messages.fin import (
    OWN_TERMINAL,
    BasicHeader,
    MessageReference,
    OutputHeader,
    logical_terminal,
)
from gateway.simulator.answers import Answer, Writer, reasons
from gateway.simulator.arrival import Arrival
from gateway.simulator.scenario import Step
from gateway.simulator.template import Template

_ACKNOWLEDGEMENT: Final = "F21"
_NETWORK_CODE: Final = re.compile("[A-Z][0-9]{2}")
_ANY_ERROR: Final = "T12"
_LINE_END: Final = "\r\n"


class FinWriter(Writer):
    """Plan and write the answers of a counterparty that speaks FIN."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what any writer takes; what a step is in FIN is laid over what it is elsewhere."""
        super().__init__(*arguments, **options)
        self._steps = {
            dialogue: {name: {**row, **row.get("in_fin", {})} for name, row in rows.items()}
            for dialogue, rows in self._steps.items()
        }

    def definition(self, document: str, terms: Mapping[str, str]) -> str:
        """Return the message type of a document: of some it follows from the terms, as from movement and payment."""
        kind = self._described(document)["type"]
        if isinstance(kind, str):
            return kind.format_map(terms)
        return str(kind[f"{terms.get('movement', 'receive')} {terms.get('payment', 'free')}"])

    def is_of_network(self, document: str) -> bool:
        """Tell whether a document is a message of the network's own service."""
        return bool(self._described(document)["type"] == _ACKNOWLEDGEMENT)

    def _described(self, document: str) -> Mapping[str, Any]:
        own: Mapping[str, Any] | None = self._documents[document].get("fin")
        if own is None:
            raise BuildError(f"the simulator has no message of FIN for '{document}'", code="not_in_language")
        return {**self._described(own["like"]), **own} if "like" in own else own

    def _render(
        self, arrival: Arrival, answer: Answer, document: str, step: str, definition: str | None = None
    ) -> bytes:
        row = self._steps[answer.dialogue][step]
        described = self._described(document)
        kind = definition or answer.message_definition or self.definition(document, arrival.terms)
        said_at = answer.said_at.astimezone(UTC)
        values = self._written(self._values(arrival, answer, row)) | {
            "prepared": f"{said_at:%Y%m%d%H%M%S},{said_at.microsecond // 1000:03}",
            "network_time": f"{said_at:%y%m%d%H%M}",
            "from_bic": self._bic,
            "to_bic": self._gateway_bic,
        }
        if "rate" in values:
            values["common_reference"] = _common_reference(self._bic, self._gateway_bic, values["rate"])
        values["network_code"] = _network_code(values.get("reason"))
        status = [str(row["fin"])] if "fin" in row else []
        if row.get("tells"):
            status = self._told_in_fin(answer, values)
        body = self._text(document, described, tuple(status)).render(values)
        sender = str(row.get("from_bic", self._bic))
        return self._around(body, kind, sender, answer)

    def _told_in_fin(self, answer: Answer, values: dict[str, str]) -> list[str]:
        """Return the statuses of several steps; each has a reason of its own, which is added to the values."""
        said = []
        for text in answer.values["told"].split(","):
            step = Step.parse(text)
            row = self.status_step(answer.dialogue, step)
            assert row is not None  # only such steps are told
            said.append(str(row["fin"]))
            if stated := reasons(row, step.argument):
                # A document with one status names its reason plainly.
                values[f"{_name(said[-1])}_reason"] = values["reason"] = stated["reason"]
        return said

    def _text(self, document: str, described: Mapping[str, Any], statuses: Sequence[str]) -> Template:
        key = (document, "", "|".join(statuses), "")
        template = self._templates.get(key)
        if template is None:
            fragments = {**self._table["fragments"], **described.get("fragments", {})}
            fragments["status"] = "\n".join(
                self._status(status, f"{_name(status)}_reason" if len(statuses) > 1 else "reason")
                for status in statuses
            )
            template = self._templates[key] = Template(described["body"], fragments, plain=True)
        return template

    def _status(self, said: str, reason: str) -> str:
        """Return how a status is said: in a sequence of its own by qualifier and code, or as the word that it is."""
        qualifier, parted, code = said.partition("//")
        if not parted:
            return said
        text: str = self._table["fragments"]["fin_status"]
        return text.replace("{>qualifier}", qualifier).replace("{>code}", code).replace("{reason}", f"{{{reason}}}")

    def _written(self, values: dict[str, str]) -> dict[str, str]:
        """Write dates and numbers as FIN does."""
        rules = self._table["fin_values"]
        for name in rules["dates"]:
            if name in values:
                values[name] = values[name].replace("-", "")
                values[f"{name}_short"] = values[name][2:]
        for name in rules["numbers"]:
            if name in values:
                whole, _, part = values[name].partition(".")
                values[name] = f"{whole},{part}"
        values["element"] = rules["elements"].get(values.get("quantity_type", ""), "UNIT")
        values["other_agent"] = rules["agents"].get(values.get("movement", ""), "")
        return values

    def _around(self, body: str, kind: str, sender: str, answer: Answer) -> bytes:
        """Put the blocks around a text, as the network delivers it; a service message has but two."""
        own, theirs = (logical_terminal(bic, OWN_TERMINAL) for bic in (self._gateway_bic, sender))
        session, sequence = f"{answer.number % 10_000:04}", f"{answer.position + 1:06}"
        if kind == _ACKNOWLEDGEMENT:
            return f"{{1:{BasicHeader(own, session, sequence, service_id='21')}}}{{4:{body}}}".encode()
        at = answer.said_at.astimezone(UTC)
        reference = MessageReference(f"{at:%y%m%d}", theirs, session, sequence)
        header = OutputHeader(kind[2:5], f"{at:%H%M}", reference, f"{at:%y%m%d}", f"{at:%H%M}")
        lines = [line for line in body.split("\n") if line]
        text = "".join(f"{line}{_LINE_END}" for line in lines)
        basic = BasicHeader(own, session, sequence)
        user = f"{{3:{{108:{answer.business_message_id}}}}}"
        return f"{{1:{basic}}}{{2:{header}}}{user}{{4:{_LINE_END}{text}-}}".encode()

    def _unknown(self, document: str) -> str:
        del document
        return "MT799"


def _name(status: str) -> str:
    return status.partition("//")[0].lower()


def _network_code(reason: str | None) -> str:
    return reason if reason and _NETWORK_CODE.fullmatch(reason) else _ANY_ERROR


def _common_reference(one_bic: str, other_bic: str, rate: str) -> str:
    """Return what both call a trade: their banks and places by the alphabet, around the last digits of its rate."""
    first, second = sorted(bic[:4] + bic[6:8] for bic in (one_bic, other_bic))
    digits = rate.replace(",", "").rstrip("0").zfill(4)[-4:]
    return f"{first}{digits}{second}"
