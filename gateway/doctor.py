"""``gateway doctor``: look at everything the gateway stands on, and say what to do about what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.bus import Bus
from gateway.config import Settings, load_settings
from gateway.errors import ConfigError, GatewayError
from gateway.messages import Messages
from gateway.messages.schema_files import load_calendars, load_catalogue, load_rulebook
from gateway.store import Ledger
from gateway.transports import open_transport

_FREE_BYTES = 500_000_000
_PROBE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do about it."""

    check: str
    ok: bool
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)


async def examine(config: Path | None) -> list[Finding]:
    """Run every check; a failing one never keeps the others from running, unless the configuration cannot be read."""
    try:
        settings = load_settings(config)
    except ConfigError as error:
        return [Finding("configuration", False, error.text, "correct the file or the variable named")]
    count = len(settings.counterparties)
    findings = [Finding("configuration", True, f"{count} counterparties, own BIC {settings.gateway.bic}")]
    findings += [_clock(), _schemas(settings), await _store(settings), _disk(settings)]
    async with Bus(settings.kafka) as bus:
        findings.append(await _kafka(settings, bus))
        for profile in settings.counterparties:
            transport = open_transport(profile, bus)
            name = f"channel {profile.bic} ({profile.channel.carrier})"
            findings.append(await _probe(name, transport.probe, "reachable", "check the profile's channel"))
    return findings


async def _probe(name: str, probe: Callable[[], Awaitable[None]], good: str, advice: str) -> Finding:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await probe()
    except GatewayError as error:
        return Finding(name, False, f"{error.text} [{error.code}]", advice)
    except TimeoutError:
        return Finding(name, False, f"no answer within {_PROBE_SECONDS} s", advice)
    return Finding(name, True, good)


def _clock() -> Finding:
    """Compare the wall clock with the monotonic one over a moment: a clock being stepped would misdate messages."""
    wall, steady = time.time(), time.monotonic()
    drift = 0.0
    for _ in range(3):
        time.sleep(0.02)
        drift = max(drift, abs((time.time() - wall) - (time.monotonic() - steady)))
    recent = time.time() > 1_750_000_000  # a clock before mid-2025 was never set
    ok = drift < 0.01 and recent
    found = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, steady within {drift * 1000:.1f} ms"
    return Finding(
        "clock", ok, found, "" if ok else "synchronise the clock (NTP): headers carry it, replies are ordered by it"
    )


def _schemas(settings: Settings) -> Finding:
    try:
        catalogue = load_catalogue(settings.schemas.directory)
        rulebook = load_rulebook(catalogue, settings.rules.directory, load_calendars(settings.own_calendars()))
        Messages(catalogue, settings.counterparties, settings.gateway.bic, rulebook)
    except GatewayError as error:
        return Finding(
            "schemas", False, error.text, "correct the profile or the rule file, or: gateway schemas import FILE"
        )
    return Finding(
        "schemas", True, f"{len(catalogue.definitions())} definitions, every profile's versions and rules compile"
    )


async def _store(settings: Settings) -> Finding:
    url = settings.store.url.get_secret_value()
    try:
        ledger = await Ledger.open(url, pool=2, exclusive=False)
    except GatewayError as error:
        advice = "gateway store upgrade" if error.code == "store_outdated" else "check store.url and the database"
        return Finding("ledger", False, f"{error.text} [{error.code}]", advice)
    durability = await ledger.durability()
    kind = "PostgreSQL" if ledger.is_postgresql else "SQLite"
    with contextlib.suppress(GatewayError):
        await ledger.close()
    return Finding("ledger", True, f"{kind}, {', '.join(f'{name}={value}' for name, (value, _) in durability.items())}")


def _disk(settings: Settings) -> Finding:
    places = {Path(settings.logging.file).parent} if settings.logging.file else set()
    url = settings.store.url.get_secret_value()
    if url.startswith("sqlite:///"):
        places.add(Path(url.removeprefix("sqlite:///")).parent)
    places = {place for place in places if place.exists()} or {Path()}
    free = min(shutil.disk_usage(place).free for place in places)
    ok = free > _FREE_BYTES
    return Finding(
        "disk", ok, f"{free / 1e9:.1f} GB free", "" if ok else "make room: intake stops when the ledger cannot grow"
    )


async def _kafka(settings: Settings, bus: Bus) -> Finding:
    topics = settings.kafka.topics
    names = [topics.trade_events, topics.settlement_status, topics.exceptions]
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await bus.check_topics(names)
    except GatewayError as error:
        return Finding("kafka", False, f"{error.text} [{error.code}]", "check kafka.* and the broker's log")
    except TimeoutError:
        return Finding(
            "kafka", False, f"no answer from {settings.kafka.bootstrap_servers}", "check kafka.bootstrap_servers"
        )
    return Finding("kafka", True, f"{settings.kafka.bootstrap_servers}, topics {', '.join(names)}")
