"""``gateway doctor`` looks at everything the gateway stands on, and says what to do about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway import cli
from gateway.bus import Bus
from gateway.doctor import Finding, examine
from gateway.embedded import free_port
from tests.conftest import Broker, unique


def config(folder: Path, url: str, servers: str, *, topics: dict[str, str], version: str = "sese.023.001.12") -> Path:
    (folder / "out").mkdir(exist_ok=True)
    (folder / "in").mkdir(exist_ok=True)
    listed = "\n".join(f'{name} = "{topic}"' for name, topic in topics.items())
    path = folder / "gateway.toml"
    path.write_text(
        f"""
[gateway]
bic = "OURSGB2LXXX"
[kafka]
bootstrap_servers = "{servers}"
request_timeout_seconds = 2
start_timeout_seconds = 2
[kafka.topics]
{listed}
[store]
url = "{url}"
[[counterparties]]
bic = "CUSTDEFFXXX"
name = "Custodian"
channel = {{ carrier = "folder", outbound = "{folder}/out", inbound = "{folder}/in" }}
[counterparties.versions]
settlement_instruction = "{version}"
"""
    )
    return path


def topics() -> dict[str, str]:
    return {name: unique(name) for name in ("trade_events", "settlement_status", "exceptions")}


async def findings(path: Path) -> dict[str, Finding]:
    with capture_logs():
        return {finding.check: finding for finding in await examine(path)}


async def test_everything_in_order(tmp_path: Path, ledger_url: str, embedded_broker: Broker) -> None:
    names = topics()
    async with Bus(embedded_broker.settings()) as bus:
        await bus.ensure_topics(names.values(), 1)
    found = await findings(config(tmp_path, ledger_url, embedded_broker.bootstrap_servers, topics=names))
    assert list(found) == [
        "configuration",
        "clock",
        "schemas",
        "ledger",
        "disk",
        "kafka",
        "channel CUSTDEFFXXX (folder)",
    ]
    assert [finding for finding in found.values() if not finding.ok and finding.check not in {"clock", "disk"}] == []
    assert "synchronous=2" in found["ledger"].found


async def test_one_thing_wrong_never_hides_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    path = config(tmp_path, url, f"127.0.0.1:{free_port()}", topics=topics(), version="sese.023.001.99")
    (tmp_path / "out").rmdir()
    found = await findings(path)
    wrong = {name for name, finding in found.items() if not finding.ok}
    assert {"schemas", "ledger", "kafka", "channel CUSTDEFFXXX (folder)"} <= wrong
    assert all(finding.advice for finding in found.values() if not finding.ok)
    assert "sese.023.001.99" in found["schemas"].found
    assert "gateway store upgrade" in found["ledger"].found + found["ledger"].advice
    assert "refused" in found["kafka"].found
    assert str(tmp_path / "out") in found["channel CUSTDEFFXXX (folder)"].found


async def test_a_topic_that_is_absent_is_named(tmp_path: Path, ledger_url: str, embedded_broker: Broker) -> None:
    names = topics()
    async with Bus(embedded_broker.settings()) as bus:
        await bus.ensure_topics([names["trade_events"], names["settlement_status"]], 1)
    found = await findings(config(tmp_path, ledger_url, embedded_broker.bootstrap_servers, topics=names))
    assert not found["kafka"].ok
    assert names["exceptions"] in found["kafka"].found


async def test_a_configuration_that_cannot_be_read_is_the_only_finding(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[gateway]\nbic = "x"\n')
    [finding] = await examine(path)
    assert (finding.check, finding.ok) == ("configuration", False)
    assert "gateway.bic" in finding.found


def test_the_command_prints_one_object_a_check_and_fails_when_one_does(tmp_path: Path) -> None:
    cli._mount(["doctor"])
    path = tmp_path / "gateway.toml"
    path.write_text("")
    result = CliRunner().invoke(cli.app, ["doctor", "--config", str(path), "--json"])
    assert result.exit_code == 1
    [line] = result.stdout.splitlines()
    assert json.loads(line).keys() == {"check", "ok", "found", "advice"}
