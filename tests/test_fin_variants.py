"""Variants that fit ISO 15022 (``sese.023.002.11``): versions like any other, that carry less."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidMessage
from gateway.model.facts import MessageRejection, MessageWithdrawal
from gateway.store import Ledger
from tests.examples import EVERY_VARIANT, EVERY_VERSION, build, document, messages
from tests.loops import ACCEPTED, CHANNEL, Loops, instruct, party, settings_for, settled, status

ABOUT_MESSAGES = [
    (kind, name)
    for kind, name in (*EVERY_VERSION, *EVERY_VARIANT)
    if kind == "reject_message/1" or kind.startswith("withdraw_")
]


def test_there_are_variants_of_every_securities_message_that_is_sent() -> None:
    families = {name[:8] for _, name in EVERY_VARIANT}
    sent = {name[:8] for _, name in EVERY_VERSION if name.startswith(("sese.", "semt."))}
    assert families == sent - {"semt.001"}  # which has none


@pytest.mark.parametrize(("kind", "definition"), EVERY_VARIANT)
def test_what_fits_is_built_in_every_variant(kind: str, definition: str) -> None:
    built = build(document(kind, minimal=True), definition)
    assert built.message_definition == definition
    assert messages().validator.check(built.content).valid


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("common_reference", "SEVENTEEN-LETTERS", "value_length"),
        ("common_reference", "//BEGINS", "value_pattern"),
        ("security_description", "shares <ordinary>", "value_pattern"),
        ("safekeeping_account", "Ürsprung", "value_pattern"),
    ],
)
def test_what_fin_cannot_carry_is_refused_with_its_rule(field: str, value: str, code: str) -> None:
    event = document("instruct_settlement/1", minimal=True) | {field: value}
    build(event, "sese.023.001.12")
    with pytest.raises(InvalidMessage) as caught:
        build(event, "sese.023.002.11")
    assert (code, value) in {(found.code, found.value) for found in caught.value.violations}


async def test_a_counterparty_may_speak_variants_both_ways(ledger_url: str) -> None:
    ledger = await Ledger.open(ledger_url)
    try:
        speaks = party(CHANNEL, versions={"settlement_instruction": "sese.023.002.11"})
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[speaks]))
        await loops.take_in(instruct())
        await loops.send()
        assert b"tech:xsd:sese.023.002.11" in loops.arrived()[0].content
        advice = status(ACCEPTED).replace(b"sese.024.001.14", b"sese.024.002.12")
        confirmed = settled().replace(b"sese.025.001.13", b"sese.025.002.11")
        await loops.hear(advice, confirmed)
        assert await loops.parked() == []
        story = await loops.story()
        assert (story.instruction.headline, story.state.breaks) == ("settled", ())
    finally:
        await ledger.close()


@given(st.sampled_from(ABOUT_MESSAGES), st.text("ABCXYZ0189", min_size=1, max_size=16))
@settings(max_examples=60)
def test_what_we_say_of_messages_is_read_back_as_we_meant_it(named: tuple[str, str], reference: str) -> None:
    kind, definition = named
    rejects = kind == "reject_message/1"
    event = document(kind) | ({"trade_id": reference} if rejects else {"message_id": reference})
    [(_, fact)] = messages().read(build(event, definition).content).facts
    text = "No transaction of ours has this reference."
    assert fact == (MessageRejection(reference, "REFE", text) if rejects else MessageWithdrawal(reference))
