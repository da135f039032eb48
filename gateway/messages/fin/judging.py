"""Judge FIN messages: structure, formats and network validated rules, all that is wrong at once."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import replace

from gateway.errors import Violation
from gateway.messages.fin.definitions import Definitions
from gateway.messages.fin.message import Field
from gateway.messages.fin.rules import NetworkRule, judge_rules, parse_rules
from gateway.messages.fin.shapes import Recognised, Shapes
from gateway.messages.fin.structure import Sequence, read_structure

_MOST = 100  # violations that are told
_VARIANTS = {"STP": "STP", "REMIT": "REMIT", "COV": "COV"}  # block 3, field 119


def definition_name(message_type: str, validation_flag: str = "") -> str:
    """Return the name of a definition: ``MT202COV`` of the type 202 with the validation flag COV of the user header."""
    return f"MT{message_type.removeprefix('MT')}{_VARIANTS.get(validation_flag, '')}"


class Judge:
    """Judge messages by the definitions; what is seen often is judged by its shape."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._rules: dict[str, list[NetworkRule]] | None = None
        self._shapes = Shapes()

    def rules(self, message_type: str) -> list[NetworkRule]:
        """Return the network validated rules of a message type (``MT541``)."""
        if self._rules is None:
            self._rules = {}
            for file, text in sorted(self.definitions.rule_texts.items()):
                for rule in parse_rules(text, file):
                    for name in rule.messages:
                        self._rules.setdefault(name, []).append(rule)
        return self._rules.get(message_type, [])

    def read(self, fields: Items[Field], message_type: str) -> tuple[Sequence, list[Violation]]:
        """Return the tree of a message's fields and all that is wrong with it, errors first.

        ``message_type`` is the name of a definition (``MT541``, ``MT202COV``). Rules are asked of a message whose
        structure holds: what is missing there would be said twice.
        """
        if message_type not in self.definitions:
            known = ", ".join(self.definitions.message_types())
            text = f"there is no definition of {message_type}"
            return Sequence("", ""), [Violation("fin_message_unknown", "/2", f"one of {known}", message_type, text)]
        definition = self.definitions.message(message_type)
        root, violations = read_structure(fields, definition, self.definitions)
        if not any(violation.severity == "error" for violation in violations):
            violations += judge_rules(self.rules(message_type), root, self.definitions.formats)
            violations.sort(key=lambda violation: violation.severity != "error")
        violations = violations[:_MOST]
        if fields and not fields[-1].line:  # not parsed: there are no lines yet
            violations = [replace(violation, line=None) for violation in violations]
        return root, violations

    def judge(self, fields: Items[Field], message_type: str) -> list[Violation]:
        """Return all that is wrong with a message, errors first; empty for nearly every message."""
        return self.read(fields, message_type)[1]

    def recognise(self, text: str, message_type: str) -> Recognised | None:
        """Return a valid message of a known shape: ``text`` is block 4 from the first colon, without its end.

        None says nothing of the message: it is then read into fields and judged, and shown with ``learn`` if valid.
        """
        return self._shapes.read(text, message_type)

    def learn(self, text: str, fields: Items[Field], message_type: str) -> None:
        """Remember the shape of a message that was judged and is without any violation."""
        if not self.definitions.message(message_type).open_end:
            self._shapes.learn(text, message_type, fields, self.rules(message_type), self.definitions)
