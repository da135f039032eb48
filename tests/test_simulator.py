"""The counterparty simulator: what it answers, that it never answers twice, and that its book tells the truth."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.errors import BuildError, ConfigError, StoreUnavailable
from gateway.messages.schema_files import load_catalogue
from gateway.simulator import (
    AnswerState,
    Counterparty,
    Delays,
    Repeat,
    outcomes,
    read_book,
)
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.scenario import Draw, Scenario, Step, scripted
from gateway.simulator.tables import read_tables
from gateway.simulator.template import Template
from tests.simulated import (
    ARRIVALS,
    ELSEWHERE,
    NOON,
    OLD_VERSIONS,
    STANDING,
    TERMS,
    Pipe,
    cancellation,
    confirmation,
    envelope,
    every_scenario,
    instruction,
    play,
    settings,
    tools,
    validator,
    values,
)

# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(), OLD_VERSIONS], ids=["newest", "oldest"])
def test_every_answer_of_every_scenario_is_valid_in_the_version_asked_for(versions: tuple[str, ...]) -> None:
    reader, writer = tools(versions)
    written: set[str] = set()
    for scenario in every_scenario():
        if scenario.dialogue in ELSEWHERE:
            continue
        for number, content in enumerate(ARRIVALS.get(scenario.dialogue, [b"no XML at all"])):
            arrival = reader.read("k", content) if isinstance(content, bytes) else content
            assert arrival.valid or scenario.dialogue == "refusal", arrival.violations
            for answer in writer.plan(number, NOON, arrival, scenario, standing=STANDING, about=TERMS):
                answered = writer.write(arrival, answer)
                violations = validator().check(answered).violations
                assert bool(violations) == (answer.document is None), (scenario.name, answer.step, violations)
                written.add(answer.message_definition or "garbage")
    families = {definition[:8] for definition in written}
    expected = {
        "sese.022",
        "sese.024",
        "sese.025",
        "sese.026",
        "sese.027",
        "sese.028",
        "sese.029",
        "sese.031",
        "sese.032",
    }
    expected |= {"setr.027", "setr.029", "setr.030", "setr.044", "admi.002", "admi.007", "garbage"}
    expected |= {"pacs.002", "pacs.004", "camt.029", "camt.054"}
    expected |= {"semt.014", "semt.015", "sese.034", "sese.035", "sese.039", "semt.020", "semt.001"}
    expected |= {"semt.018", "admi.004"}
    assert families == expected
    assert set(versions) - {"head.001.001.01"} <= written


async def test_same_seed_gives_identical_answers_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    messages = [instruction(f"T{number}") for number in range(40)]
    forward, backward = Pipe(), Pipe()
    first = await play(tmp_path / "a", forward, *messages, scenarios=("random",), delays=Delays(late=0))
    second = await play(tmp_path / "b", backward, *reversed(messages), scenarios=("random",), delays=Delays(late=0))
    chosen = {entry.transaction_id: entry.scenario for entry in first}
    assert {entry.transaction_id: entry.scenario for entry in second} == chosen
    assert len(set(chosen.values())) > 3
    told = sorted(item.business_message_id for item in forward.sent)
    assert told == sorted(item.business_message_id for item in backward.sent)


async def test_another_seed_chooses_otherwise(tmp_path: Path) -> None:
    messages = [instruction(f"T{number}") for number in range(40)]
    first = await play(tmp_path / "a", Pipe(), *messages, scenarios=("random",), delays=Delays(late=0), seed=1)
    second = await play(tmp_path / "b", Pipe(), *messages, scenarios=("random",), delays=Delays(late=0), seed=2)
    assert [entry.scenario for entry in first] != [entry.scenario for entry in second]


def test_random_choice_follows_the_weights() -> None:
    scenarios = read_scenarios()
    drawn = [scenarios.choose("settlement", ("random",), Draw(1, str(number))).name for number in range(4000)]
    total = sum(scenario.weight for scenario in scenarios if scenario.dialogue == "settlement")
    for scenario in scenarios:
        if scenario.dialogue == "settlement":
            assert abs(drawn.count(scenario.name) / 4000 - scenario.weight / total) < 0.04
            assert scenario.weight or scenario.name not in drawn


async def test_instruction_names_its_own_scenario_in_its_processing_text(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1", text="please SIM:unmatched-then-settled thanks"),
        confirmation("T2", text="SIM:disaffirmed"),
        instruction("T3", text="SIM:no-such-scenario"),
        instruction("T4", text="SIM:matched,cancellation-denied"),
        cancellation("T4"),
    )
    assert [entry.scenario for entry in entries] == [
        "unmatched-then-settled",
        "disaffirmed",
        "settled",
        "matched",
        "cancellation-denied",
    ]
    assert scripted("SIM:a-b,c rest") == ("a-b", "c")
    assert scripted(None) == ()


quantities = st.decimals(min_value=1, max_value=10**12, places=4).map(lambda number: format(number.normalize(), "f"))
amounts = st.decimals(min_value=0, max_value=10**12, places=2).map(lambda number: format(number, "f"))


@examples(max_examples=40)
@given(quantity=quantities, amount=st.none() | amounts, shares=st.lists(st.integers(1, 60), max_size=5))
def test_partial_settlements_add_up_exactly(quantity: str, amount: str | None, shares: list[int]) -> None:
    reader, writer = tools()
    arrival = reader.read("k", instruction("T", quantity=quantity, amount=amount))
    assert arrival.valid
    steps = (*(Step("partial", str(share)) for share in shares), Step("rest"))
    planned = writer.plan(1, NOON, arrival, Scenario("settlement", "s", steps, 1))
    root = "SctiesSttlmTxConf/"
    parts = [
        values(
            writer.write(arrival, answer),
            root + "QtyAndAcctDtls/SttldQty/Qty/Unit",
            root + "SttldAmt/Amt",
            root + "AddtlParams/PrtlSttlm",
            root + "AddtlParams/PrvsPrtlConfId",
        )
        for answer in planned
    ]
    assert sum(Decimal(part[0] or 0) for part in parts) == Decimal(quantity)
    if amount is not None:
        assert sum(Decimal(part[1] or 0) for part in parts) == Decimal(amount)
    codes = [part[2] for part in parts]
    assert codes == ([None] if len(parts) == 1 else ["PAIN"] * (len(parts) - 1) + ["PARC"])
    assert [part[3] for part in parts] == [None, *(answer.business_message_id for answer in planned)][: len(parts)]


@examples(max_examples=60)
@given(account=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=35))
def test_any_text_of_an_instruction_comes_back_unchanged(account: str) -> None:
    reader, writer = tools()
    arrival = reader.read("k", instruction("T", account=account))
    scenario = next(scenario for scenario in every_scenario() if scenario.name == "settled-at-once")
    content = writer.write(arrival, writer.plan(1, NOON, arrival, scenario)[0])
    assert values(content, "SctiesSttlmTxConf/QtyAndAcctDtls/SfkpgAcct/Id") == [account]


@pytest.mark.parametrize("term", ["amount", "quantity", "date", "account"])
async def test_wrong_confirmation_differs_in_the_named_term_only(tmp_path: Path, term: str) -> None:
    pipe = Pipe()
    entry = (await play(tmp_path / "b", pipe, instruction("T1"), scenarios=(f"wrong-{term}",)))[0]
    root = "SctiesSttlmTxConf/"
    confirmed = values(
        pipe.sent[-1].content,
        root + "SttldAmt/Amt",
        root + "QtyAndAcctDtls/SttldQty/Qty/Unit",
        root + "TradDtls/FctvSttlmDt/Dt/Dt",
        root + "QtyAndAcctDtls/SfkpgAcct/Id",
    )
    right = ["1234.56", "100", "2026-11-23", "ACC-1"]
    different = [
        name
        for name, is_, was in zip(("amount", "quantity", "date", "account"), confirmed, right, strict=True)
        if is_ != was
    ]
    assert different == [term]
    assert entry.outcome is not None
    assert entry.outcome.differs == (term,)


async def test_creation_times_order_the_answers_even_when_they_are_sent_last_first(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, instruction("T1"), scenarios=("out-of-order",))
    steps = [answer.step for answer in entries[0].answers]
    assert steps == ["settled", "matched", "unmatched:DMON", "accepted"]
    created = [validator().parse(item.content).header_value("CreDt") or "" for item in pipe.sent]
    assert created == sorted(created, reverse=True)
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes == {"processing": "accepted", "matching": "matched", "settlement": "settled"}


async def test_duplicates_are_the_same_bytes_and_count_once_in_the_outcome(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, instruction("T1"), scenarios=("duplicates",))
    contents = [item.content for item in pipe.sent]
    assert contents[0::2] == contents[1::2]
    assert len({item.business_message_id for item in pipe.sent}) == 6  # a folder would not write one name twice
    assert entries[0].outcome is not None
    assert entries[0].outcome.settled_quantity == 100


async def test_outcomes_say_where_each_scenario_ends(tmp_path: Path) -> None:
    names = ["partial", "partial-open", "rejected", "reversed", "refused", "silence", "garbage", "impostor"]
    entries = await play(tmp_path / "b", Pipe(), *(instruction(name, text=f"SIM:{name}") for name in names))
    found = outcomes(entries)
    assert (found["partial"].axes["settlement"], found["partial"].settled_quantity, found["partial"].parts) == (
        "settled",
        100,
        2,
    )
    assert found["partial"].settled_amount == Decimal("1234.56")
    assert (found["partial-open"].axes["settlement"], found["partial-open"].settled_quantity) == (
        "partially_settled",
        60,
    )
    assert found["rejected"].axes == {"processing": "rejected"}
    assert (found["reversed"].axes["settlement"], found["reversed"].settled_quantity) == ("reversed", 0)
    assert found["refused"].axes == {"processing": "rejected"}
    assert found["silence"].axes == {}
    assert found["garbage"].axes == found["impostor"].axes
    assert found["impostor"].axes["processing"] == "accepted"


# --- What arrives -----------------------------------------------------------------------------------------------------


async def test_marked_repeat_is_recorded_and_not_answered_again(tmp_path: Path) -> None:
    pipe = Pipe()
    first, second = await play(tmp_path / "b", pipe, instruction("T1"), instruction("T1", marked=True))
    assert len(pipe.sent) == 3
    assert (first.repeat, second.repeat, second.possible_duplicate) == (None, Repeat.MARKED, True)
    assert second.answers == ()
    assert first.sha256 != second.sha256


async def test_repeat_without_mark_or_with_other_terms_is_recorded_as_a_fault(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b", pipe, instruction("T1"), instruction("T1"), instruction("T1", marked=True, quantity="101")
    )
    assert [entry.repeat for entry in entries] == [None, Repeat.UNMARKED, Repeat.CHANGED]
    assert len(pipe.sent) == 3


async def test_transaction_instructed_again_by_another_message_is_refused_and_keeps_its_outcome(tmp_path: Path) -> None:
    pipe = Pipe()
    first, second = await play(tmp_path / "b", pipe, instruction("T1"), instruction("T1", message="OTHER"))
    assert second.repeat is Repeat.TRANSACTION
    assert second.violations[-1].code == "transaction_repeated"
    assert [answer.message_definition for answer in second.answers] == ["admi.002.001.01"]
    assert values(pipe.sent[-1].content, "admi.002.001.01/RltdRef/Ref") == ["OTHER"]
    assert first.outcome is not None
    assert first.outcome.axes["processing"] == "accepted"


async def test_marked_message_whose_first_copy_never_arrived_is_answered(tmp_path: Path) -> None:
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, instruction("T1", marked=True))
    assert entry.repeat is None
    assert len(pipe.sent) == 3


async def test_same_message_delivered_again_by_the_carrier_is_no_second_arrival(tmp_path: Path) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, instruction("T1"))
    entries = await play(tmp_path / "b", pipe, instruction("T1"))  # the same topic/partition/offset
    assert len(entries) == 1
    assert pipe.acknowledged == ["in/0", "in/0"]
    assert len(pipe.sent) == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\x00 no XML", "xml_malformed"),
        (b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "xml_forbidden"),
        (instruction("T1", quantity="many"), None),
        (instruction("T1", sender="ELSEGB2LXXX"), "header_address_wrong"),
        (
            envelope(
                "sese.024.001.14",
                "<SctiesSttlmTxStsAdvc><TxId><AcctOwnrTxId>T</AcctOwnrTxId></TxId></SctiesSttlmTxStsAdvc>",
                "M",
            ),
            "message_not_expected",
        ),
    ],
    ids=["bytes", "entities", "schema", "sender", "unexpected"],
)
async def test_what_is_not_accepted_is_refused_by_reference_with_the_reason(
    tmp_path: Path, content: bytes, code: str | None
) -> None:
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, content)
    assert not entry.valid
    assert entry.violations
    assert code is None or entry.violations[0].code == code
    (refusal,) = pipe.sent
    assert validator().check(refusal.content).violations == ()
    reference, reason = values(refusal.content, "admi.002.001.01/RltdRef/Ref", "admi.002.001.01/Rsn/RjctgPtyRsn")
    assert reference == (entry.business_message_id or "NONREF")
    assert reason == entry.violations[0].code[:35]


async def test_book_holds_the_terms_seen(tmp_path: Path) -> None:
    (entry,) = await play(tmp_path / "b", Pipe(), instruction("T1"))
    assert entry.valid
    assert entry.message_definition == "sese.023.001.12"
    assert entry.terms == {
        "transaction_id": "T1",
        "movement": "receive",
        "payment": "against",
        "isin": "DE0007164600",
        "trade_date": "2026-11-19",
        "settlement_date": "2026-11-23",
        "safekeeping_account": "ACC-1",
        "transaction_type": "TRAD",
        "amount": "1234.56",
        "currency": "EUR",
        "credit_debit": "DBIT",
        "quantity": "100",
        "quantity_type": "unit",
    }
    assert all(answer.state is AnswerState.SENT and answer.sent_at and answer.sha256 for answer in entry.answers)


# --- Settings and templates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scenarios": ("setled",)}, "scenario 'setled' is unknown"),
        ({"versions": ("pacs.008.001.10",)}, "never answers with"),
        ({"versions": ("sese.024.001.99",)}, "cannot answer with sese.024.001.99"),
        ({"scenario_file": Path("no-such-file.toml")}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_played_are_refused(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Counterparty(settings(tmp_path / "b", **changes), Pipe(), load_catalogue())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[settlement]\nx = { steps = ['acceptd'] }", "unknown step 'acceptd'"),
        ("[settlement]\nx = { steps = ['late', 'duplicate'] }", "has to follow an answer"),
        ("[settlement]\nx = { steps = [], weight = -1 }", "whole number from 0"),
        ("[settlment]\nx = { steps = [] }", "no dialogue"),
        ("[settlement", "no TOML"),
    ],
)
def test_scenario_table_with_a_mistake_is_refused(tmp_path: Path, table: str, says: str) -> None:
    path = tmp_path / "scenarios.toml"
    path.write_text(table)
    with pytest.raises(ConfigError, match=says):
        read_scenarios(path)


def test_tables_of_every_family_are_laid_together_and_nothing_is_stated_twice(tmp_path: Path) -> None:
    (tmp_path / "answers.toml").write_text("[steps.settlement]\naccepted = { final = false }")
    (tmp_path / "repo.toml").write_text(
        "[reading.'sese.033']\ndialogue = 'repo'\n[steps.repo]\nopened = { final = false }\n"
        "[scenarios.repo]\nopened = { steps = ['opened'] }"
    )
    tables = read_tables(tmp_path)
    assert tables.reading == {"sese.033": {"dialogue": "repo"}}
    assert set(tables.answers["steps"]) == {"settlement", "repo"}
    assert tables.scenarios == {"repo": {"opened": {"steps": ["opened"]}}}
    (tmp_path / "twice.toml").write_text("[steps.settlement]\naccepted = { final = true }")
    with pytest.raises(ConfigError, match=r"twice.toml: steps\.settlement\.accepted\.final"):
        read_tables(tmp_path)


def test_own_table_of_scenarios_comes_first_and_alone_at_random(tmp_path: Path) -> None:
    path = tmp_path / "scenarios.toml"
    path.write_text("[settlement]\nslow = { weight = 1, steps = ['late', 'settled'] }")
    scenarios = read_scenarios(path)
    chosen = {scenarios.choose("settlement", wanted, Draw(1, "T")).name for wanted in ((), ("random",), ("slow",))}
    assert chosen == {"slow"}
    assert scenarios.choose("settlement", ("partial",), Draw(1, "T")).name == "partial"
    assert scenarios.choose("confirmation", (), Draw(1, "T")).name == "affirmed"


async def test_book_of_another_counterparty_or_seed_is_refused(tmp_path: Path) -> None:
    await play(tmp_path / "b", Pipe(), instruction("T1"))
    with pytest.raises(ConfigError, match="seed 7, not 8"):
        Counterparty(settings(tmp_path / "b", seed=8), Pipe(), load_catalogue())
    with pytest.raises(StoreUnavailable, match="no simulator's book"):
        read_book(tmp_path / "absent")


def test_template_drops_groups_whose_values_are_missing_and_escapes_the_rest() -> None:
    template = Template('<a b="{b}">[[<c>{c}</c>[[<d>{d}</d>]]||<e>{e}[[{f}]]</e>]]</a>')
    assert template.render({"b": '"&', "c": "<"}) == '<a b="&quot;&amp;"><c>&lt;</c></a>'
    assert template.render({"b": "1", "c": "2", "d": "3"}) == '<a b="1"><c>2</c><d>3</d></a>'
    assert template.render({"b": "1", "d": "3", "e": "4", "f": "5"}) == '<a b="1"><e>45</e></a>'
    with pytest.raises(BuildError, match="'e'"):
        template.render({"b": "1"})
    with pytest.raises(ConfigError, match="not closed"):
        Template("[[{a}")
    with pytest.raises(ConfigError, match="unknown"):
        Template("{>nothing}")
