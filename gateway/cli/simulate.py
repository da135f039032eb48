"""``gateway simulate``: a counterparty to test against, in the terminal or under a script."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from gateway.errors import ConfigError, GatewayError

_EVERY_SECONDS = 1.0


def simulate(
    *,
    bic: Annotated[str | None, typer.Option(help="BIC of the counterparty that is simulated")] = None,
    gateway_bic: Annotated[str | None, typer.Option(help="BIC of the system under test")] = None,
    channel: Annotated[
        str | None,
        typer.Option(help="kafka:OUT_TOPIC,IN_TOPIC or folder:OUT_DIR,IN_DIR, seen from the system under test"),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(help="HOST:PORT of the brokers", envvar="GATEWAY_KAFKA__BOOTSTRAP_SERVERS")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="the gateway's configuration: channel, BIC and brokers are taken from it")
    ] = None,
    book: Annotated[Path, typer.Option(help="the simulator's own book (SQLite); kept between runs")] = Path("book.db"),
    seed: Annotated[int, typer.Option(help="the same seed answers the same transaction alike")] = 0,
    scenario: Annotated[
        list[str] | None, typer.Option(help="name of a scenario, or random; may be repeated, one for each dialogue")
    ] = None,
    scenarios: Annotated[Path | None, typer.Option(help="a table of scenarios of your own (TOML)")] = None,
    initiatives: Annotated[
        Path | None, typer.Option(help="what it begins by itself: a JSON object a line; the file may grow")
    ] = None,
    list_scenarios: Annotated[bool, typer.Option("--list", help="show the scenarios and stop")] = False,
    answer_with: Annotated[
        list[str] | None,
        typer.Option(help="a definition to answer with, sese.024.001.10 or head.001.001.02; repeatable"),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="what it speaks; iso20022 or fin; otherwise as the configuration says")
    ] = None,
    delay: Annotated[str, typer.Option(help="seconds between answers: MIN,MAX or one number")] = "0",
    late: Annotated[float, typer.Option(help="seconds by which a late answer is late")] = 30.0,
    schemas: Annotated[Path | None, typer.Option(help="your own schema directory, beside the dictionary")] = None,
    duration: Annotated[float | None, typer.Option(help="stop after so many seconds")] = None,
    until_idle: Annotated[float | None, typer.Option(help="stop when nothing happened for so many seconds")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="progress as JSON lines")] = False,
) -> None:
    """Simulate a counterparty: read instructions from a channel, answer them by a scenario, keep a book of its own."""
    try:
        if list_scenarios:
            _list(scenarios, as_json)
            return
        from gateway.simulator import Delays, SimulatorSettings

        bic = bic or _required("--bic")
        origin = _from_configuration(config, bic) if config else {}
        shortest, longest = _delay(delay)
        settings = SimulatorSettings(
            bic=bic,
            gateway_bic=gateway_bic or origin.get("gateway_bic") or _required("--gateway-bic"),
            channel=_channel(channel) if channel else origin.get("channel") or _required("--channel"),
            kafka=_kafka(kafka) or origin.get("kafka"),
            book=book,
            seed=seed,
            scenarios=tuple(scenario or ("random",)),
            versions=tuple(answer_with or ()),
            language=_language(language or origin.get("language", "iso20022")),
            delays=Delays(shortest, longest, late),
            scenario_file=scenarios,
            initiatives=initiatives,
            schema_directory=schemas or origin.get("schema_directory"),
        )
        # Standard output belongs to progress and scripts; what the rooms below have to say goes beside it.
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        asyncio.run(_play(settings, duration, until_idle, as_json or not sys.stdout.isatty()))
    except GatewayError as error:
        if as_json:
            print(json.dumps({"event": "failed", "code": error.code, "text": error.text}))
        else:
            typer.echo(f"{error.code}: {error.text}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error


async def _play(settings: Any, duration: float | None, until_idle: float | None, lines: bool) -> None:
    from gateway.simulator import open_counterparty

    async with open_counterparty(settings) as counterparty:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, counterparty.stop)
        show = _lines(settings) if lines else _screen(settings)
        watchers = [asyncio.create_task(_watch(show, counterparty))]
        if duration is not None:
            loop.call_later(duration, counterparty.stop)
        if until_idle is not None:
            watchers.append(asyncio.create_task(_stop_when_idle(counterparty, until_idle)))
        try:
            await counterparty.run()
        finally:
            for watcher in watchers:
                watcher.cancel()
            for watcher in watchers:
                with suppress(asyncio.CancelledError):
                    await watcher
            show(counterparty.progress, True)


async def _watch(show: Callable[[Any, bool], None], counterparty: Any) -> None:
    while True:
        show(counterparty.progress, False)
        await asyncio.sleep(_EVERY_SECONDS)


async def _stop_when_idle(counterparty: Any, seconds: float) -> None:
    await counterparty.until_idle(seconds)
    counterparty.stop()


def _lines(settings: Any) -> Callable[[Any, bool], None]:
    """Print a JSON line when something changed, and one at the end."""
    last: dict[str, Any] = {}

    def show(progress: Any, ended: bool) -> None:
        nonlocal last
        facts = progress.facts()
        if facts != last or ended:
            event = "stopped" if ended else "progress" if last else "started"
            print(json.dumps({"event": event, "bic": settings.bic, "book": str(settings.book), **facts}), flush=True)
            last = facts

    return show


def _screen(settings: Any) -> Callable[[Any, bool], None]:
    """Show counts that move in place, on a terminal."""
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    live = Live(console=Console(), auto_refresh=False)
    live.start()

    def show(progress: Any, ended: bool) -> None:
        facts = progress.facts()
        table = Table(title=f"{settings.bic} answers {settings.gateway_bic}", title_justify="left", show_header=False)
        table.add_row("arrived", f"{facts['arrived']:,}", _spread(facts["arrivals"]))
        table.add_row("refused", f"{facts['invalid']:,}", "")
        table.add_row("repeated", f"{sum(facts['repeats'].values()):,}", _spread(facts["repeats"]))
        table.add_row("scenarios", "", _spread(facts["scenarios"]))
        table.add_row("answered", f"{facts['answered']:,}", _spread(facts["answers"]))
        table.add_row("waiting", f"{facts['waiting']:,}", f"dropped {facts['dropped']:,}" if facts["dropped"] else "")
        if facts["unsendable"]:
            table.add_row("[red]not sendable", f"{facts['unsendable']:,}", "see the book")
        if facts["trouble"]:
            table.add_row("[red]trouble", "", facts["trouble"])
        live.update(table, refresh=True)
        if ended:
            live.stop()
            live.console.print(f"book: {settings.book}")

    return show


def _spread(counts: dict[str, int]) -> str:
    return "  ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _list(path: Path | None, as_json: bool) -> None:
    from gateway.simulator.counterparty import read_scenarios

    known = read_scenarios(path)
    if as_json:
        for scenario in known:
            steps = [str(step) for step in scenario.steps]
            facts = {"dialogue": scenario.dialogue, "name": scenario.name, "weight": scenario.weight}
            print(json.dumps({**facts, "steps": steps, "text": scenario.text}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("dialogue", "scenario", "weight", "answers", "what happens")
    for scenario in known:
        course = " ".join(str(step) for step in scenario.steps)
        table.add_row(scenario.dialogue, scenario.name, str(scenario.weight), course, scenario.text)
    Console().print(table)


def _from_configuration(path: Path, bic: str) -> dict[str, Any]:
    from gateway.config import load_settings

    settings = load_settings(path)
    profile = settings.profile(bic)
    if profile is None:
        known = ", ".join(profile.bic for profile in settings.counterparties)
        raise ConfigError(f"{path} has no counterparty {bic}; it has {known}")
    return {
        "gateway_bic": settings.gateway.bic,
        "channel": profile.channel,
        "language": profile.language,
        "kafka": settings.kafka,
        "schema_directory": settings.schemas.directory,
    }


def _language(text: str) -> Any:
    from gateway.model.profile import LANGUAGES

    if text not in LANGUAGES:
        raise ConfigError(f"--language {text}: should be {' or '.join(LANGUAGES)}")
    return text


def _channel(text: str) -> Any:
    from gateway.model.profile import FolderCarrier, KafkaCarrier

    carrier, _, pair = text.partition(":")
    outbound, _, inbound = pair.partition(",")
    if carrier not in ("kafka", "folder") or not outbound or not inbound:
        raise ConfigError(f"--channel {text}: should be kafka:OUT_TOPIC,IN_TOPIC or folder:OUT_DIR,IN_DIR")
    if carrier == "kafka":
        return KafkaCarrier(outbound_topic=outbound, inbound_topic=inbound)
    return FolderCarrier(outbound=outbound, inbound=inbound, poll_seconds=0.1)


def _kafka(bootstrap_servers: str | None) -> Any:
    if bootstrap_servers is None:
        return None
    from gateway.model.connections import KafkaSettings

    return KafkaSettings(bootstrap_servers=bootstrap_servers)


def _delay(text: str) -> tuple[float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or min(numbers, default=-1) < 0 or numbers[0] > numbers[-1]:
        raise ConfigError(f"--delay {text}: should be MIN,MAX in seconds, or one number")
    return numbers[0], numbers[-1]


def _required(option: str) -> Any:
    raise ConfigError(f"{option} is required" + ("" if option == "--bic" else " where no --config is given"))
