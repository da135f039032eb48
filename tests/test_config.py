"""Configuration: checked whole at start; a mistake names file or variable, key, value and what would be right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import Settings, load_settings
from gateway.errors import ConfigError, Violation

REPOSITORY = Path(__file__).resolve().parents[1]
GOOD = """
[gateway]
bic = "OURSGB2LXXX"
[store]
url = "sqlite:///var/ledger.db"
[[counterparties]]
bic = "CUSTDEFFXXX"
name = "Custodian"
channel = { carrier = "folder", outbound = "out", inbound = "in" }
[[counterparties]]
bic = "BROKFRPPXXX"
name = "Broker"
channel = { carrier = "kafka", outbound_topic = "out", inbound_topic = "in" }
"""


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GATEWAY_") and "__" in name:
            monkeypatch.delenv(name)


def load(folder: Path, text: str = GOOD) -> Settings:
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def mistakes(folder: Path, text: str) -> tuple[Violation, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert str(folder / "gateway.toml") in caught.value.text
    return caught.value.violations


def test_the_example_that_is_shipped_is_right() -> None:
    settings = load_settings(REPOSITORY / "deploy" / "gateway.example.toml")
    custodian = settings.profile("CUSTDEFFXXX")
    assert custodian is not None
    assert custodian.chasing is not None
    assert [cutoff.kind for cutoff in settings.cutoffs] == ["send", "match", "settle", "settle"]
    assert settings.penalties.discount_rates[0].currency == "USD"


@pytest.mark.parametrize(
    ("section", "key", "told"),
    [
        ('[[calendars]]\nname = "NOWHERE"\n', "calendars.0", "'NOWHERE'"),
        ('[deadlines]\nzone = "Mars/Base"\n', "deadlines.zone", "Europe/Berlin"),
        ('[[cutoffs]]\nkind = "settle"\nat = 16:00:00\nzone = "UTC"\n' * 2, "", "appears more than once"),
        ('[[cutoffs]]\nkind = "settle"\nat = 16:00:00\nzone = "Mars/Base"\n', "cutoffs.0.zone", "Mars/Base"),
        ('[[penalties.instruments]]\nisin = "X"\n', "penalties.instruments.0.isin", "pattern"),
    ],
)
def test_mistakes_about_time_and_penalties_are_found_at_the_start(
    tmp_path: Path, section: str, key: str, told: str
) -> None:
    [mistake] = mistakes(tmp_path, section + GOOD)
    assert mistake.path == key
    assert told in mistake.text


def test_defaults_are_enough_beside_who_we_are_and_whom_we_talk_to(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.kafka.topics.trade_events == "trade.events"
    assert settings.counterparties[0].versions == {}


@pytest.mark.parametrize(
    ("old", "new", "key", "told"),
    [
        ('bic = "OURSGB2LXXX"', 'bik = "OURSGB2LXXX"', "gateway.bik", "did you mean bic?"),
        ('bic = "OURSGB2LXXX"', 'bic = "ours"', "gateway.bic", "'ours'"),
        ("[store]", '[kafka]\nbootstrap_server = "x"\n[store]', "kafka.bootstrap_server", "bootstrap_servers"),
        ("[store]", "[kafka]\nheartbeat_seconds = 60\n[store]", "kafka", "heartbeat_seconds is at most half"),
        ("[store]", '[kafka]\nsecurity_protocol = "SASL_SSL"\n[store]', "kafka", "needs sasl_username"),
        ("[store]", "[loops]\nbatch = 0\n[store]", "loops.batch", "greater than or equal to 1"),
        ("[store]", '[logging]\nlevel = "loud"\n[store]', "logging.level", "'debug', 'info'"),
        ("[store]", "[console]\nport = 70000\n[store]", "console.port", "70000"),
        ("[store]", "[stoer]\n[store]", "stoer", "did you mean store?"),
        ('"out", inbound', '"out", inbond', "counterparties.0.channel.inbond", "did you mean inbound?"),
        ("outbound_topic", "outbound_topik", "counterparties.1.channel.outbound_topik", "did you mean outbound_topic?"),
        ('carrier = "folder"', 'carrier = "pigeon"', "counterparties.0.channel", "'kafka', 'folder'"),
        ('bic = "BROKFRPPXXX"', 'bic = "CUSTDEFFXXX"', "", "CUSTDEFFXXX appears more than once"),
        ("sqlite:///var/ledger.db", "ledger", "store.url", "sqlite:///PATH"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_key_and_what_would_be_right(
    tmp_path: Path, old: str, new: str, key: str, told: str
) -> None:
    found = {violation.path: violation.text for violation in mistakes(tmp_path, GOOD.replace(old, new, 1))}
    assert key in found
    assert told in found[key]


def test_every_mistake_is_told_at_once_and_once(tmp_path: Path) -> None:
    text = GOOD.replace('"OURSGB2LXXX"', '"x"').replace('name = "Broker"', "").replace('inbound = "in"', "inbound = 3")
    assert [violation.path for violation in mistakes(tmp_path, text)] == [
        "gateway.bic",
        "counterparties.0.channel.inbound",
        "counterparties.1.name",
    ]


def test_the_environment_goes_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KAFKA__BOOTSTRAP_SERVERS", "elsewhere:9092")
    monkeypatch.setenv("GATEWAY_KAFKA__TOPICS__EXCEPTIONS", "problems")
    settings = load(tmp_path)
    assert (settings.kafka.bootstrap_servers, settings.kafka.topics.exceptions) == ("elsewhere:9092", "problems")
    assert settings.kafka.topics.trade_events == "trade.events"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GATEWAY_LOOPS__BATCH", "many", "'many'"),
        ("GATEWAY_LOOPS__BACH", "1", "did you mean batch?"),
        ("GATEWAY_STOR__URL", "x", "did you mean GATEWAY_STORE__"),
        ("GATEWAY_COUNTERPARTIES", "CUSTDEFF", "JSON"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert f"environment variable {name}" in caught.value.text
    assert told in caught.value.text


def test_secrets_are_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_STORE__URL", "mysql://gateway:geheim@host/x")
    monkeypatch.setenv("GATEWAY_KAFKA__SASL_PASSWORD", '{"geheim": 1')
    monkeypatch.setenv("GATEWAY_LOOPS__BATCH", "0")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert "geheim" not in caught.value.text
    monkeypatch.setenv("GATEWAY_STORE__URL", "postgresql://gateway:geheim@host/x")
    monkeypatch.delenv("GATEWAY_LOOPS__BATCH")
    assert "geheim" not in repr(load(tmp_path))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[gateway", "configuration_not_toml"),
        (b"\xff\xfe", "configuration_unreadable"),
        (None, "configuration_absent"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "gateway.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert caught.value.code == code
    assert str(path) in caught.value.text


def test_a_counterparty_is_found_by_its_bic_with_or_without_head_office_branch(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.profile("CUSTDEFF") is settings.profile("CUSTDEFFXXX") is settings.counterparties[0]
    assert settings.profile("CUSTDEFF123") is None


def test_a_mistake_stops_the_start_with_code_2_and_one_sentence_each(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD.replace("[store]", "[store]\npol = 3"))
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "--config", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"{path}: store.pol: no such key; did you mean pool?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_version_that_the_dictionary_lacks_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    versions = '[counterparties.versions]\nsettlement_instruction = "sese.023.001.99"\n'
    path.write_text(GOOD + versions)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GATEWAY_CONSOLE__PORT": "0"},
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "sese.023.001.99" in done.stderr
    assert "sese.023.001.12" in done.stderr
