"""Messages written by other people give the verdict that their index states, and are read from their envelopes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import MessageError
from gateway.messages.catalogue import Catalogue
from gateway.messages.data_files import data_directory
from gateway.messages.reading import HEADER, Reader, parse_table
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator, Verdict

from .reference import needs_reference, shared

pytestmark = needs_reference

TABLES = [parse_table(file.read_text(), file.name) for file in sorted((data_directory() / "reading").glob("*.read"))]
READ = tuple(f"{table.family}." for table in TABLES if table.family != HEADER)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return load_catalogue(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def validator(catalogue: Catalogue) -> Validator:
    return Validator(catalogue)


def samples(kind: str = "mx") -> list[dict[str, Any]]:
    entries = json.loads((shared() / "samples" / "index.json").read_text())
    return [entry for entry in entries if entry["kind"] == kind]


def content(sample: dict[str, Any]) -> bytes:
    return (shared() / "samples" / Path(sample["file"])).read_bytes()


def verdict_on_what_the_index_judged(sample: dict[str, Any], verdict: Verdict) -> bool:
    """Say what we found of the header or the document: the index judges one of them, we judge both."""
    part = "/AppHdr" if sample["message_id"].startswith("head.") else "/Document"
    return not any(violation.path.startswith((part, "/@")) or violation.path == "/" for violation in verdict.violations)


def test_every_sample_gives_the_verdict_of_its_index(catalogue: Catalogue, validator: Validator) -> None:
    wrong, judged = [], 0
    for sample in samples():
        verdict = validator.check(content(sample))
        codes = {violation.code for violation in verdict.violations}
        if codes == {"definition_unknown"}:
            namespace = verdict.violations[0].value
            assert namespace is not None
            assert catalogue.identify(namespace) is None
        elif "validates" not in sample or not sample["well_formed"]:
            assert not verdict.valid, sample["file"]
        else:
            judged += 1
            if verdict_on_what_the_index_judged(sample, verdict) != sample["validates"]:
                wrong.append((sample["file"], sample["validates"], [found.text for found in verdict.violations][:3]))
    assert wrong == []
    assert judged > 200


def test_every_valid_sample_of_the_families_read_is_read_from_its_envelope(
    catalogue: Catalogue, validator: Validator
) -> None:
    reader = Reader(validator, catalogue, TABLES)
    read = 0
    for sample in samples():
        definition = sample["message_id"]
        if not definition.startswith(READ) or definition not in catalogue:
            continue
        if not sample.get("validates"):
            with pytest.raises(MessageError):
                reader.read(content(sample))
            continue
        reply = reader.read(content(sample))
        assert reply.message_definition == definition
        assert b"BizMsgIdr" not in content(sample) or reply.business_message_id or b"BizMsgIdr></" in content(sample)
        read += 1
    assert read > 10
