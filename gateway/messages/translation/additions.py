"""What a translation by facts has to know besides the reading tables: ``schemas/translation/facts.add``."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Addition:
    """An element that a message cannot be without, and what it says: a text, ``identity.FIELD``, ``references.FIELD``.

    ``when`` is a field that the fact must give.
    """

    path: str
    value: str
    when: str | None


@dataclass(slots=True)
class Additions:
    """What a reading table leaves open: elements that a message needs besides, and what else it is in other words."""

    needs: dict[str, list[Addition]] = field(default_factory=dict)
    becomes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def parse_additions(text: str, name: str) -> Additions:
    """Read ``MESSAGE PATH = VALUE [when FIELD]`` and ``MESSAGE becomes MESSAGE...``, a line each.

    Raises ``ConfigError`` naming the file and the line.
    """
    found = Additions()
    for number, raw in enumerate(text.splitlines(), 1):
        match raw.split("#", 1)[0].split():
            case []:
                continue
            case [message, "becomes", *others]:
                found.becomes[message] = tuple(others)
            case [message, path, "=", value]:
                found.needs.setdefault(message, []).append(Addition(path, value, None))
            case [message, path, "=", value, "when", field_name]:
                found.needs.setdefault(message, []).append(Addition(path, value, field_name))
            case _:
                text = f"{name}, line {number}: expected MESSAGE PATH = VALUE [when FIELD], or MESSAGE becomes MESSAGE"
                raise ConfigError(text, code="reading_table_invalid")
    return found
