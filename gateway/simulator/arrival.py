"""What arrived: bytes of an instruction become terms, by the simulator's own reading table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from gateway.errors import UnreadableMessage, Violation
from gateway.messages.validation import Validator
from gateway.simulator.scenario import scripted

_FIN = "FIN"  # the definition of what stands around the text of such a message
_DATES = ("trade_date", "settlement_date")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it arrived, before the simulator decides what to do with it.

    ``terms`` holds what the message states, as text exactly as received, under the names of ``reading.toml``:
    transaction identification, movement, payment, quantity and its type, amount and currency, dates, account.
    """

    carrier_key: str
    sha256: str
    message_definition: str | None = None
    business_message_id: str | None = None
    transaction_id: str | None = None
    dialogue: str | None = None
    possible_duplicate: bool = False
    valid: bool = False
    created_at: str | None = None
    terms: dict[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()

    @property
    def scripted(self) -> tuple[str, ...]:
        """Name the scenarios that the message itself asks for."""
        return scripted(self.terms.get("processing_text"))


class Reader:
    """Read and validate arrivals; ``bic`` is the simulated counterparty, ``gateway_bic`` the only sender it accepts."""

    def __init__(self, validator: Validator, table: Mapping[str, Any], bic: str, gateway_bic: str) -> None:
        self._validator = validator
        self._headers: Mapping[bool, Mapping[str, str]] = {False: table["header"], True: table["fin_header"]}
        self._codes: Mapping[bool, Mapping[str, Mapping[str, str]]] = {False: table["codes"], True: table["fin_codes"]}
        self._families: Mapping[str, Mapping[str, Any]] = {
            family: row
            for name, row in table.items()
            if "." in name or name.startswith("MT")
            for family in name.split()
        }
        self._bic = _branch(bic)
        self._gateway_bic = _branch(gateway_bic)

    def read(self, carrier_key: str, content: bytes) -> Arrival:
        """Judge one message and take its terms; never raises for bad content: violations say what is wrong."""
        digest = sha256(content).hexdigest()
        try:
            parsed = self._validator.parse(content)
        except UnreadableMessage as unreadable:
            references = self._validator.envelope_references(content)
            return Arrival(
                carrier_key=carrier_key,
                sha256=digest,
                message_definition=references.message_definition,
                business_message_id=references.business_message_id,
                violations=unreadable.violations,
            )
        header = _texts(parsed.header)
        definition = parsed.message_definition or ""
        is_fin = parsed.header_definition == _FIN
        names = self._headers[is_fin]
        family = self._families.get(definition if is_fin else definition[:8])
        violations = tuple(found for found in self._validator.violations(parsed) if found.severity == "error")
        if parsed.header_definition is not None:
            violations += self._address(header, names)
        if family is None:
            violations += (_unsupported(definition, self._families),)
        texts = _texts(parsed.document[0] if is_fin and parsed.document is not None else parsed.document)
        dialogue = _dialogue(texts, family) if family else None
        terms = self._terms(texts, family, dialogue, self._codes[is_fin]) if family else {}
        if family and is_fin:
            terms |= family.get("types", {}).get(definition, {})
            terms |= {name: header[name] for name in ("user_reference",) if name in header}
        return Arrival(
            carrier_key=carrier_key,
            sha256=digest,
            message_definition=parsed.message_definition,
            business_message_id=header.get(names["business_message_id"]),
            transaction_id=terms.get("transaction_id"),
            dialogue=dialogue,
            possible_duplicate=header.get(names["possible_duplicate"]) in ("true", "1"),
            valid=not violations,
            created_at=header.get(names["created_at"]),
            terms=terms,
            violations=violations,
        )

    def _terms(
        self,
        texts: Mapping[str, str],
        family: Mapping[str, Any],
        dialogue: str | None,
        codes: Mapping[str, Mapping[str, str]],
    ) -> dict[str, str]:
        terms: dict[str, str] = {}
        for name, paths in {**family.get("values", {}), **family.get("own", {}).get(dialogue, {})}.items():
            value = next((texts[path] for path in paths if texts.get(path)), None)
            if value is not None:
                terms[name] = value
        for name, path in family.get("choices", {}).items():
            chosen = next((below for below in texts if below.startswith(f"{path}/")), None)
            if chosen is not None:
                terms[name] = chosen[len(path) + 1 :].partition("/")[0]
        for name, words in (*codes.items(), *family.get("codes", {}).items()):
            if name in terms:
                terms[name] = words.get(terms[name], terms[name])
                if not terms[name]:
                    del terms[name]
        for quantity_type, paths in family.get("quantity", {}).items():
            value = next((texts[path] for path in paths if texts.get(path)), None)
            if value is not None:
                terms["quantity"] = value
                terms["quantity_type"] = quantity_type
                break
        for name in _DATES:
            if name in terms:
                terms[name] = terms[name][:10]
        return terms

    def _address(self, header: Mapping[str, str], names: Mapping[str, str]) -> tuple[Violation, ...]:
        expected = {"sender": self._gateway_bic, "receiver": self._bic}
        return tuple(
            Violation(
                code="header_address_wrong",
                path=f"/AppHdr/{names[role]}",
                rule=f"{role} is {bic}",
                value=found,
                text=f"The {role} in the header is {found or 'missing'}; it should be {bic}.",
            )
            for role, bic in expected.items()
            if _branch(found := header.get(names[role], "")) != bic
        )


def _dialogue(texts: Mapping[str, str], family: Mapping[str, Any]) -> str:
    """Say in which dialogue a message is; the same request may be made about different transactions."""
    others: Mapping[str, str] = family.get("dialogues", {})
    return next((name for place, name in others.items() if _says(texts, place)), str(family["dialogue"]))


def _says(texts: Mapping[str, str], place: str) -> bool:
    """Tell whether there is something at a place, ``PATH`` or ``PATH = TEXT``."""
    path, equals, text = place.partition(" = ")
    return path in texts and (not equals or texts[path] == text)


def _branch(bic: str) -> str:
    """Write a BIC of a head office in its long form, so that both forms are the same."""
    return bic + "XXX" if len(bic) == 8 else bic


def _texts(element: Any) -> dict[str, str]:
    """Return the text below an element by path of local names, the first of each; attributes as ``path/@name``."""
    texts: dict[str, str] = {}
    if element is not None:
        _collect(element, "", texts)
    return texts


def _collect(element: Any, path: str, texts: dict[str, str]) -> None:
    for child in element:
        below = path + child.tag.rpartition("}")[2]
        if len(child):
            _collect(child, below + "/", texts)
        elif below not in texts:
            texts[below] = child.text or ""
            for name, value in child.attrib.items():
                texts[f"{below}/@{name}"] = value


def _unsupported(definition: str, families: Iterable[str]) -> Violation:
    return Violation(
        code="message_not_expected",
        path="/Document",
        rule=f"one of {', '.join(sorted(families))}",
        value=definition,
        text=f"This counterparty does not take {definition}.",
    )
