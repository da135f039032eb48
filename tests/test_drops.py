"""What a profile is willing to do without: left out where a version has no element, on record, and nothing else."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.errors import BuildError, ConfigError
from gateway.messages import Messages
from gateway.messages.building import containing
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import parse_event
from gateway.model.profile import Profile
from gateway.store import Ledger
from gateway.store.migration import upgrade
from tests.examples import IDENTITY, OWN_BIC, document, encode, terms
from tests.loops import CHANNEL, Loops, instruct, party, settings_for

OLD = "sese.023.001.10"
UTI = "529900T8BM49AURSDO55TRADE0001"


@cache
def messages(drops: str, version: str = OLD) -> Messages:
    profile = Profile.model_validate(
        party(CHANNEL, versions={"settlement_instruction": version}, drops=json.loads(drops))
    )
    return Messages(load_catalogue(), [profile], OWN_BIC)


def build(event: dict[str, Any], drops: dict[str, list[str]]) -> Any:
    room = messages(json.dumps(drops))
    profile = Profile.model_validate(party(CHANNEL, versions={"settlement_instruction": OLD}, drops=drops))
    return room.build(parse_event(encode(event)), profile, IDENTITY, terms())


def lacking(event: dict[str, Any]) -> set[str]:
    """Return the fields that the old version has no element for."""
    with pytest.raises(BuildError) as caught:
        build(event, {})
    return {violation.path for violation in caught.value.violations}


@pytest.mark.parametrize("key", ["instruct_settlement/1", "sese.023"])
def test_what_is_listed_is_left_out_and_named_by_event_or_by_message(key: str) -> None:
    event = document("instruct_settlement/1", minimal=True) | {"unique_transaction_identifier": UTI}
    assert lacking(event) == {"unique_transaction_identifier"}
    built = build(event, {key: ["unique_transaction_identifier"]})
    assert built.dropped == ("unique_transaction_identifier",)
    assert UTI.encode() not in built.content
    without = document("instruct_settlement/1", minimal=True)
    assert built.content == build(without, {}).content


def test_whatever_is_not_listed_stays_refused_with_all_that_lacks() -> None:
    event = document("instruct_settlement/1")
    fields = lacking(event)
    assert len(fields) > 1
    with pytest.raises(BuildError) as caught:
        build(event, {"sese.023": ["unique_transaction_identifier"]})
    assert {violation.path for violation in caught.value.violations} == fields - {"unique_transaction_identifier"}
    assert caught.value.code == "element_not_in_version"


def test_what_contains_a_field_may_be_listed_and_every_value_is_named_by_its_place() -> None:
    event = document("instruct_settlement/1")
    drops = {"sese.023": sorted(lacking(event))}
    built = build(event, drops)
    assert {containing(path)[0] for path in built.dropped} == {containing(path)[0] for path in lacking(event)}
    top = {"sese.023": sorted({path.split(".")[0].split("[")[0] for path in lacking(event)})}
    assert build(event, top).content == built.content


def test_an_item_of_a_list_is_named_by_its_place() -> None:
    profile = Profile.model_validate(
        party(
            CHANNEL,
            versions={"trade_confirmation": "setr.027.001.04"},
            drops={"confirm_trade/1": ["references[].unique_transaction_id"]},
        )
    )
    room = Messages(load_catalogue(), [profile], OWN_BIC)
    event = document("confirm_trade/1")
    [place] = [n for n, item in enumerate(event["references"]) if "unique_transaction_id" in item]
    built = room.build(parse_event(encode(event)), profile, IDENTITY, terms())
    assert built.dropped == (f"references[{place}].unique_transaction_id",)


def test_a_code_that_the_version_lacks_is_never_dropped() -> None:
    event = document("instruct_settlement/1", minimal=True) | {"transaction_type": "ZZZZ"}
    with pytest.raises(BuildError) as caught:
        build(event, {"sese.023": ["transaction_type"]})
    assert caught.value.code == "code_not_in_version"


def test_a_field_that_the_version_has_is_sent_though_it_may_be_dropped() -> None:
    event = document("instruct_settlement/1", minimal=True) | {"common_reference": "COMMON-1"}
    built = build(event, {"sese.023": ["common_reference"]})
    assert (b"COMMON-1" in built.content, built.dropped) == (True, ())


def test_shapes_that_are_known_drop_and_name_the_same() -> None:
    drops = {"sese.023": ["unique_transaction_identifier"]}
    event = document("instruct_settlement/1", minimal=True)
    for _ in range(6):  # with and without the field, in turn, until both have a function
        assert build(event, drops).dropped == ()
        assert build(event | {"unique_transaction_identifier": UTI}, drops).dropped == (
            "unique_transaction_identifier",
        )


def test_two_counterparties_of_one_version_drop_what_each_allows() -> None:
    versions = {"settlement_instruction": OLD}
    strict = Profile.model_validate(party("STRICT22XXX", versions=versions))
    lenient = Profile.model_validate(
        party(CHANNEL, versions=versions, drops={"sese.023": ["unique_transaction_identifier"]})
    )
    room = Messages(load_catalogue(), [strict, lenient], OWN_BIC)
    event = parse_event(
        encode(document("instruct_settlement/1", minimal=True) | {"unique_transaction_identifier": UTI})
    )
    assert room.build(event, lenient, IDENTITY, terms()).dropped == ("unique_transaction_identifier",)
    with pytest.raises(BuildError):
        room.build(event, strict, IDENTITY, terms())


@pytest.mark.parametrize(
    ("drops", "said"),
    [
        ({"instruct_settlement/1": ["unique_transaction_identifer"]}, "did you mean unique_transaction_identifier?"),
        ({"sese.023": ["lots[].numbr"]}, "did you mean lots[].number?"),
        ({"instruct_settlemnt/1": ["hold"]}, "did you mean instruct_settlement/1?"),
        ({"header": ["sender"]}, "no such kind of event, nor message"),
        ({"instruct_settlement/1": ["event_id"]}, "no such field"),
    ],
)
def test_a_list_that_names_nothing_is_a_mistake_of_the_configuration(drops: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        messages(json.dumps(drops))
    assert said in caught.value.text
    assert CHANNEL in caught.value.text
    assert caught.value.violations[0].path == f"drops.{next(iter(drops))}"


async def test_a_drop_is_logged_and_on_record_in_the_story_and_upstream(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    try:
        lenient = party(
            CHANNEL,
            versions={"settlement_instruction": OLD},
            drops={"sese.023": ["unique_transaction_identifier"]},
        )
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[lenient]))
        with capture_logs() as logs:
            await loops.take_in(instruct(unique_transaction_identifier=UTI), instruct("T2"))
        assert [(line["event"], line.get("alerts"), line["log_level"]) for line in logs] == [
            ("event.instructed", ["fields_dropped"], "warning"),
            ("event.instructed", None, "info"),
        ]
        story = await loops.story()
        assert [entry.action for entry in story.history] == ["recorded", "fields_dropped"]
        [alert] = story.history[1].alerts
        assert alert.code == "fields_dropped"
        assert f"{OLD} has no element for unique_transaction_identifier." in alert.text
        [told] = await loops.published("status")
        assert (told["action"], told["headline"]) == ("fields_dropped", "recorded")
        assert [entry.action for entry in (await loops.story("T2")).history] == ["recorded"]
        await loops.prove()
    finally:
        await ledger.close()
