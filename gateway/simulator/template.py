"""Text templates of the simulator: values escaped, groups that vanish when a value is missing. Pure.

The signs are explained at the head of ``schemas/simulator/answers.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.errors import BuildError, ConfigError

_SIGNS = re.compile(r"(\[\[|\]\]|\|\||\{[>*]?[a-z_]+\})")
_BREAK = re.compile(r"\s*\n\s*")
_SPECIAL = re.compile('[&<>"\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}


@dataclass(frozen=True, slots=True)
class _Value:
    name: str
    written: bool = False  # it is XML already


@dataclass(frozen=True, slots=True)
class _Group:
    first: list[str | _Value | _Group]
    otherwise: list[str | _Value | _Group]


_Parts = list[str | _Value | _Group]


class Template:
    """A text with places for values, compiled once and rendered often."""

    def __init__(
        self,
        text: str,
        fragments: Mapping[str, str] | None = None,
        constants: Mapping[str, str] | None = None,
        *,
        plain: bool = False,
    ) -> None:
        """Compile a text; ``constants`` are values known now. Raises ConfigError for unknown fragments, open groups.

        A ``plain`` text keeps its lines, and its values are written as they are.
        """
        self._escape = str if plain else escape
        self._parts = _compile(_BREAK.sub("\n" if plain else "", _expand(text, fragments or {})), constants or {})

    def render(self, values: Mapping[str, str]) -> str:
        """Return the text with its values; raises BuildError naming a value that is missing outside every group."""
        out: list[str] = []
        missing = _render(self._parts, values, out, self._escape)
        if missing is not None:
            raise BuildError(f"the answer needs a value for '{missing}', which the instruction does not state")
        return "".join(out)


def escape(value: str) -> str:
    """Escape a value for XML text and for attributes in double quotes."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found.group()], value) if _SPECIAL.search(value) else value


def _expand(text: str, fragments: Mapping[str, str], depth: int = 0) -> str:
    if depth > 8:
        raise ConfigError("answers: fragments name each other in a circle")

    def fragment(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in fragments:
            raise ConfigError(f"answers: the fragment '{name}' is unknown; known: {', '.join(sorted(fragments))}")
        return _expand(fragments[name], fragments, depth + 1)

    return re.sub(r"\{>([a-z_]+)\}", fragment, text)


def _compile(text: str, constants: Mapping[str, str]) -> _Parts:
    top: _Parts = []
    open_groups: list[_Group] = []
    parts = top
    for token in _SIGNS.split(text):
        if token == "[[":  # noqa: S105 - a sign of the template, no secret
            group = _Group([], [])
            parts.append(group)
            open_groups.append(group)
            parts = group.first
        elif token == "||" and open_groups:  # noqa: S105
            parts = open_groups[-1].otherwise
        elif token == "]]" and open_groups:  # noqa: S105
            open_groups.pop()
            parts = _innermost(open_groups, top)
        elif token.startswith("{") and token.endswith("}") and token[1:-1] not in constants:
            parts.append(_Value(token[1:-1].removeprefix("*"), token.startswith("{*")))
        elif token:
            constant = constants.get(token[1:-1]) if token.startswith("{") else None
            fixed = token if constant is None else escape(constant)
            if parts and isinstance(parts[-1], str):
                parts[-1] += fixed
            else:
                parts.append(fixed)
    if open_groups:
        raise ConfigError(f"answers: a group '[[' is not closed in: {text[:80]}")
    return top


def _innermost(open_groups: list[_Group], top: _Parts) -> _Parts:
    if not open_groups:
        return top
    # After "||" of an outer group its parts go on there; groups inside "otherwise" are closed before it is.
    return open_groups[-1].otherwise or open_groups[-1].first


def _render(parts: _Parts, values: Mapping[str, str], out: list[str], escaped: Callable[[str], str]) -> str | None:
    """Append what the parts say; return the name of a missing value, or None."""
    for part in parts:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, _Value):
            value = values.get(part.name)
            if value is None:
                return part.name
            out.append(value if part.written else escaped(value))
        else:
            mark = len(out)
            if _render(part.first, values, out, escaped) is not None:
                del out[mark:]
                missing = _render(part.otherwise, values, out, escaped)
                if missing is not None:
                    return missing
    return None
