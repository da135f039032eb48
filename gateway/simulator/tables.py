"""The simulator's tables: what it reads, what it writes, what it plays; every file of ``schemas/simulator/`` together.

``reading.toml``, ``answers.toml`` and ``scenarios.toml`` hold one table each. Any other file belongs to a family of
messages and holds its part of all three: ``reading`` and ``scenarios`` under those names, and at the top what
``answers.toml`` has at its top (``dialogues``, ``documents``, ``steps``, ``fragments``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.errors import ConfigError
from gateway.messages.data_files import data_directory

_WHOLE: Final = ("reading", "answers", "scenarios")


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables: where the terms of a message are, what is written, and the scenarios of every dialogue."""

    reading: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    scenarios: dict[str, Any] = field(default_factory=dict)


def read_tables(directory: Path | None = None) -> Tables:
    """Read the tables; raises ConfigError naming the file that cannot be read, or states something twice."""
    return _own_tables() if directory is None else _read(directory)


@cache
def _own_tables() -> Tables:
    return _read(data_directory() / "simulator")


def _read(folder: Path) -> Tables:
    tables = Tables()
    for path in sorted(folder.glob("*.toml"), key=lambda path: (path.stem not in _WHOLE, path.stem)):
        content = read_table(path)
        parts = {path.stem: content} if path.stem in _WHOLE else _parts(content)
        for name, part in parts.items():
            _lay(getattr(tables, name), part, path, ())
    return tables


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A leg of a transaction: its terms are under other names (``takes``), and some go the other way (``turned``)."""

    takes: dict[str, str] = {}
    turned: dict[str, dict[str, str]] = {}

    def terms(self, terms: Mapping[str, str]) -> dict[str, str]:
        """Return the terms of this leg, out of those of the whole transaction; what is not agreed yet is left out."""
        own = {name: text for name, text in terms.items() if name not in self.takes}
        own |= {name: terms[taken] for name, taken in self.takes.items() if taken in terms}
        return own | {name: words.get(own[name], own[name]) for name, words in self.turned.items() if name in own}


class Dialogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tells a dialogue from that of a plain instruction; the head of ``answers.toml`` explains the fields."""

    about: tuple[str, ...] = ()
    axis: str | None = None
    unknown: str | None = None
    finished: str | None = None
    silent: str | None = None
    begins: bool = False
    mirrors: str | None = None
    turned: dict[str, dict[str, str]] = {}
    steps_of: str | None = None
    lists: str | None = None
    tells: tuple[str, ...] = ()
    legs: dict[str, Leg] = {}
    named_by: str | None = None


def dialogues(answers: Mapping[str, Any]) -> dict[str, Dialogue]:
    """Return the dialogues that have steps, by name; raises ConfigError for a field that nobody knows."""
    rows: Mapping[str, Any] = answers.get("dialogues", {})
    known = {}
    for name in (*answers["steps"], *(name for name in rows if name not in answers["steps"])):
        try:
            known[name] = msgspec.convert(rows.get(name, {}), Dialogue)
        except msgspec.ValidationError as error:
            raise ConfigError(f"answers: the dialogue '{name}' is not as it has to be: {error}") from error
    return known


def request_dialogues() -> frozenset[str]:
    """Name the dialogues in which something is asked about a transaction that is there."""
    return frozenset(name for name, dialogue in dialogues(read_tables().answers).items() if dialogue.about)


def steps(answers: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the steps of every dialogue, with those of the dialogue that it follows."""
    own: Mapping[str, Mapping[str, Any]] = answers["steps"]
    return {
        name: {**own.get(dialogue.steps_of or "", {}), **own.get(name, {})}
        for name, dialogue in dialogues(answers).items()
    }


def read_table(path: Path) -> dict[str, Any]:
    """Read one TOML file; raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def _parts(content: dict[str, Any]) -> dict[str, Any]:
    answers = {name: value for name, value in content.items() if name not in ("reading", "scenarios")}
    return {"reading": content.get("reading", {}), "answers": answers, "scenarios": content.get("scenarios", {})}


def _lay(below: dict[str, Any], above: Mapping[str, Any], path: Path, place: tuple[str, ...]) -> None:
    for name, value in above.items():
        here = (*place, name)
        if name not in below:
            below[name] = value
        elif isinstance(value, dict) and isinstance(below[name], dict):
            _lay(below[name], value, path, here)
        else:
            raise ConfigError(f"{path}: {'.'.join(here)} is in another file of the simulator's tables already")
