"""One validated settings tree: a TOML file, overridden by environment variables (``GATEWAY_KAFKA__BOOTSTRAP_SERVERS``).

The whole file is checked at start: an unknown key, a wrong type or a reference to nothing stops it, naming the file or
the variable, the key, the value and what would be right.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from gateway.calendar import Calendars, calendar_named
from gateway.calendar.deadlines import Cutoff, checked_zone
from gateway.errors import ConfigError, Violation
from gateway.model.connections import KafkaSettings
from gateway.model.profile import Profile
from gateway.penalties import Estimator, Instrument, InstrumentClass, Rate, Rates

_PREFIX = "GATEWAY_"
_NESTED = "__"
_LEDGER = re.compile(r"sqlite:///.|postgresql(\+asyncpg)?://.")
_UNION = "channel"  # the part of a location behind it tells which carrier was tried, and is no key


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnSettings(_Section):
    """Who we are: our BIC, as the header's sender and as part of every derived transaction identification."""

    bic: str = Field(pattern=r"^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$")
    shutdown_seconds: float = Field(default=20.0, gt=0, description="how long in-flight work may take after SIGTERM")


class StoreSettings(_Section):
    """Where the ledger is: ``sqlite:///path/ledger.db`` or ``postgresql://user@host/database``."""

    url: SecretStr = SecretStr("sqlite:///var/ledger.db")
    pool: int = Field(default=4, ge=2, le=50, description="PostgreSQL connections of this process")
    reserve_megabytes: int = Field(
        default=256, ge=0, description="free disk below which an SQLite ledger takes no new events; 0 does not look"
    )
    write_seconds_limit: float = Field(
        default=5.0, gt=0, description="transactions slower than this (median of ten seconds) pause the intake"
    )
    unapplied_limit: int = Field(
        default=20_000, ge=100, description="replies waiting to be applied above which the intake pauses"
    )

    @field_validator("url")
    @classmethod
    def _names_a_ledger(cls, url: SecretStr) -> SecretStr:
        if not _LEDGER.match(url.get_secret_value()):  # the value stays unsaid: it may hold a password
            raise ValueError("is sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        return url


class LoggingSettings(_Section):
    """``format`` auto is coloured on a terminal and JSON lines elsewhere; ``file`` appends there instead of stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    file: Path | None = None


class ConsoleSettings(_Section):
    """Where ``/health`` and ``/ready`` listen; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)


class SchemaSettings(_Section):
    """The user's own schema directory, which takes precedence over the dictionary."""

    directory: Path | None = None


class OwnCalendar(_Section):
    """A calendar of the bank's own, or special closing days of a known one (``name`` is then that one's).

    ``like`` names the calendar it follows otherwise; absent, that of its own name.
    """

    name: str = Field(min_length=1)
    like: str | None = None
    closed: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _follows_a_calendar(self) -> Self:
        try:
            calendar_named(self.like or self.name)
        except ConfigError as error:
            raise ValueError(error.text) from error
        return self


class DeadlineSettings(_Section):
    """When on a business day instructions of earlier dates are called overdue; how often deadlines are looked at."""

    zone: str = "UTC"
    overdue_at: time = Field(default=time(7), description="time of day, in that zone")
    poll_seconds: float = Field(default=1.0, gt=0, le=60)

    _zone_exists = field_validator("zone")(checked_zone)


class InstrumentSettings(_Section):
    """What penalties of an instrument are computed with."""

    isin: str = Field(pattern=r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$")
    instrument_class: InstrumentClass | None = None
    price: Decimal | None = Field(default=None, gt=0, description="for a unit, or per cent of the face amount")
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")


class DiscountRate(_Section):
    """A central bank's rate for overnight credit, in per cent a year, from a day on."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    since: date
    percent: Decimal


class SecurityRate(_Section):
    """The penalty rate of a class of instruments, in basis points a day, from a day on."""

    instrument_class: InstrumentClass
    since: date
    basis_points: Decimal = Field(ge=0)


class PenaltySettings(_Section):
    """What the estimate of cash penalties is made with; rates go before those that are shipped."""

    assumed_class: InstrumentClass = Field(default="liquid_share", description="of units of an unknown instrument")
    instruments: tuple[InstrumentSettings, ...] = ()
    discount_rates: tuple[DiscountRate, ...] = ()
    security_rates: tuple[SecurityRate, ...] = ()
    tolerance_percent: Decimal = Field(
        default=Decimal(5), ge=0, description="by which a reported penalty may differ from the estimate; a cent always"
    )

    def estimator(self, table: str, calendars: Calendars) -> Estimator:
        """Return what estimates penalties and compares reported ones; ``table`` as of ``rates``."""
        return Estimator(self.rates(table), calendars, self.tolerance_percent)

    def rates(self, table: str) -> Rates:
        """Return the rates and instruments; ``table`` is the text of those that are shipped."""
        own = [Rate("cash", one.currency, one.since, one.percent) for one in self.discount_rates]
        own += [Rate("security", one.instrument_class, one.since, one.basis_points) for one in self.security_rates]
        known = {one.isin: Instrument(one.instrument_class, one.price, one.currency) for one in self.instruments}
        return Rates(table, own, known, self.assumed_class)


class RuleSettings(_Section):
    """Rules of your own: files `*.rules`, each a pack that the profile of a counterparty may name."""

    directory: Path | None = None


class LoopSettings(_Section):
    """How the four loops pace themselves. Times are seconds."""

    batch: int = Field(default=100, ge=1, le=1_000)
    batch_wait_seconds: float = Field(default=0.02, ge=0, le=1)
    poll_seconds: float = Field(default=0.2, gt=0, le=60, description="how often work of another process is looked for")
    instruction_wait_seconds: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="how long a request that comes before its instruction waits for it before it is parked; 0: not",
    )
    lease_seconds: float = Field(default=10.0, ge=1, le=300)
    retry_initial_seconds: float = Field(default=0.2, gt=0)
    retry_maximum_seconds: float = Field(default=30.0, gt=0)
    backlog_limit: int = Field(
        default=20_000,
        ge=100,
        description="unsent messages at which the log warns; intake goes on, only the ledger (store) slows it",
    )


class Settings(BaseSettings):
    """Everything the gateway can be told."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_NESTED,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    gateway: OwnSettings
    kafka: KafkaSettings = KafkaSettings()
    store: StoreSettings = StoreSettings()
    logging: LoggingSettings = LoggingSettings()
    console: ConsoleSettings = ConsoleSettings()
    schemas: SchemaSettings = SchemaSettings()
    rules: RuleSettings = RuleSettings()
    loops: LoopSettings = LoopSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    cutoffs: tuple[Cutoff, ...] = ()
    calendars: tuple[OwnCalendar, ...] = ()
    penalties: PenaltySettings = PenaltySettings()
    counterparties: tuple[Profile, ...] = Field(min_length=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _counterparties_are_distinct(self) -> Self:
        bics = [profile.bic for profile in self.counterparties]
        repeated = sorted({bic for bic in bics if bics.count(bic) > 1})
        if repeated:
            raise ValueError(f"counterparties: BIC {', '.join(repeated)} appears more than once; one profile each")
        return self

    @model_validator(mode="after")
    def _cutoffs_are_distinct(self) -> Self:
        keys = [cutoff.key for cutoff in self.cutoffs]
        for cutoff in self.cutoffs:
            if keys.count(cutoff.key) > 1:
                said = cutoff.model_dump(mode="json", exclude_defaults=True, exclude={"at", "zone"})
                raise ValueError(f"cutoffs: {said} appears more than once; one cut-off for the same criteria")
        return self

    def own_calendars(self) -> dict[str, tuple[str, frozenset[date]]]:
        """Return the bank's own calendars: by name, what each is like and its special closing days."""
        return {own.name: (own.like or own.name, frozenset(own.closed)) for own in self.calendars}

    def profile(self, bic: str) -> Profile | None:
        """Return the profile of a counterparty; a BIC of 8 characters is that of its head office (``XXX``)."""
        return self._profiles.get(bic if len(bic) == 11 else f"{bic}XXX")

    @cached_property
    def _profiles(self) -> dict[str, Profile]:
        return {f"{profile.bic:X<11}": profile for profile in self.counterparties}


def load_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read and check the configuration file, then the environment.

    Raises ConfigError whose violations name the file (or variable), key, value and what would be right.
    """
    source = str(path) if path else "(no file)"
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(
                f"{source}: there is no such file; give one with --config", code="configuration_absent"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{source}: cannot be read: {error}", code="configuration_unreadable") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{source}: is not TOML: {error}", code="configuration_not_toml") from error
    values.update(overrides or {})
    values.pop("simulator", None)  # the same file may tell the simulator what it needs; the gateway does not read it
    try:
        settings = Settings(**values)
        violations = _unknown_variables()
        if not violations:
            return settings
        cause: Exception | None = None
    except SettingsError:  # its text and cause may quote a secret
        whole = (_PREFIX + name.upper() for name in Settings.model_fields)
        given = ", ".join(name for name in whole if name in os.environ)
        text = f"environment variable {given}: a whole section or list is given as JSON"
        raise ConfigError(text) from None
    except ValidationError as error:
        cause, violations = error, _unknown_variables() + _violations(source, error)
    listed = "\n".join(f"  {violation.text}" for violation in violations)
    hint = "" if path else "\n  a configuration file is named with --config FILE"
    raise ConfigError(f"{source}: {len(violations)} mistake(s)\n{listed}{hint}", violations=violations) from cause


def _unknown_variables() -> tuple[Violation, ...]:
    """Find environment variables that are meant for the settings and name no section of them."""
    found = []
    for name in sorted(os.environ):
        section, nested, _ = name.removeprefix(_PREFIX).partition(_NESTED)
        if name.startswith(_PREFIX) and nested and section.lower() not in Settings.model_fields:
            near = difflib.get_close_matches(section.lower(), Settings.model_fields, n=1)
            known = [_PREFIX + field.upper() + _NESTED for field in near or Settings.model_fields]
            rule = f"no such section; {'did you mean' if near else 'known are'} {', '.join(known)}..."
            text = f"environment variable {name}: {rule}"
            found.append(Violation("configuration_invalid", section.lower(), rule, None, text))
    return tuple(found)


def _violations(source: str, error: ValidationError) -> tuple[Violation, ...]:
    details = error.errors()
    inside = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    # A list whose items are wrong is also said to be too short: an echo.
    told = [detail for detail in details if detail["loc"] not in {(name,) for name in inside}]
    return tuple(_violation(source, detail) for detail in told)


def _violation(source: str, detail: Any) -> Violation:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(part for before, part in pairwise(["", *location]) if before != _UNION)
    variable = _PREFIX + _NESTED.join(part.upper() for part in location)
    where = f"environment variable {variable}" if variable in os.environ else source
    rule = detail["msg"].removeprefix("Value error, ")
    value: str | None = None
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        rule = f"no such key; {f'did you mean {near[0]}?' if near else 'known keys: ' + ', '.join(known)}"
    elif detail["type"] == "missing":
        rule = "is required"
    elif not any(word in key for word in ("password", "url")) and not isinstance(detail["input"], dict | list):
        value = str(detail["input"])[:140]
    said = f" (value: {value!r})" if value is not None else ""
    return Violation("configuration_invalid", key, rule, value, f"{where}: {key or 'settings'}: {rule}{said}")


def _known_keys(location: list[str]) -> list[str]:
    models: list[Any] = [Settings]
    for before, part in pairwise(["", *location]):
        if before == _UNION:
            models = [model for model in models if model.model_fields["carrier"].default == part]
        elif not part.isdigit():
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [
                model for field in fields for model in _within(field.annotation) if hasattr(model, "model_fields")
            ]
    return sorted({name for model in models for name in model.model_fields})


def _within(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [found for part in inner for found in _within(part)] if inner else [annotation]
