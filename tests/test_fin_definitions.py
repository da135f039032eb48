"""The definitions of FIN messages: every valid message is accepted, every single mistake is found and named."""

from __future__ import annotations

import pytest

from gateway.messages.fin.structure import read_structure
from tests.fin_documents import MESSAGE_TYPES, definitions, made_messages, mutations


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
@pytest.mark.parametrize("fullness", [0.0, 0.4, 1.0])
def test_what_is_made_from_a_definition_has_its_structure(message_type: str, fullness: float) -> None:
    definition = definitions().message(message_type)
    for made in made_messages(message_type, range(4), fullness):
        root, violations = read_structure([one.field for one in made], definition, definitions())
        assert [one.text for one in violations if one.severity == "error"] == []
        assert [one.code for one in violations if one.severity == "warning"] == []
        assert sum(len(one.fields) for one in root.walk()) == sum(one.item is not None for one in made)


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
def test_a_single_mistake_is_found_and_named(message_type: str) -> None:
    definition = definitions().message(message_type)
    for seed, made in enumerate(made_messages(message_type, range(6))):
        for mutation in mutations(made, seed):
            if definition.open_end and mutation.name in {"two fields swapped", "unknown letter"}:
                continue  # what comes at the end may be another message's
            _, violations = read_structure(mutation.fields, definition, definitions())
            found = {(one.code, one.path) for one in violations if one.severity == "error"}
            named = {code for code, path in found if mutation.where in path}
            assert named & mutation.codes, (mutation.name, mutation.where, found)
