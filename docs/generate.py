"""Write the generated pages of the documentation: ``python -m docs.generate``; a test says when one is out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from gateway.cli import _ROOMS, _mount, app
from gateway.config import Settings
from gateway.messages.data_files import data_directory
from gateway.messages.mapping import mapping_page, parse_table
from gateway.messages.rules.page import rules_page
from gateway.messages.schema_files import load_catalogue, load_rulebook
from gateway.model.transitions.page import lifecycle_page

FOLDER = Path(__file__).resolve().parent


def configuration_page() -> str:
    """List every key of the configuration file with its type, default and meaning, section by section."""
    return "\n".join(
        [
            "# Configuration",
            "",
            "One TOML file, checked whole at start; `deploy/` has a commented example. Every key can be given by an",
            "environment variable instead: `GATEWAY_`, then the path in capitals joined by two underscores, as in",
            "`GATEWAY_KAFKA__BOOTSTRAP_SERVERS`. Generated from the models in `gateway/config.py` and `gateway/model`.",
            *_sections(Settings, ""),
            "",
        ]
    )


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    plain = [(name, field) for name, field in model.model_fields.items() if not _models(field)]
    if path:
        yield from ("", f"## `{path}`", "", (model.__doc__ or "").strip().replace("``", "`"))
    if plain:
        yield from ("", "| key | type | default | meaning |", "| --- | --- | --- | --- |")
        yield from (
            f"| `{name}` | {_type(field)} | {_default(field)} | {field.description or ''} |" for name, field in plain
        )
    for name, field in model.model_fields.items():
        inner = f"{path}.{name}" if path else name
        repeated = "[]" if "tuple" in str(field.annotation) else ""
        for nested in _models(field):
            yield from _sections(nested, inner + repeated)


def _models(field: FieldInfo) -> list[type[BaseModel]]:
    return [found for found in _within(field.annotation) if isinstance(found, type) and issubclass(found, BaseModel)]


def _within(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [annotation, *(found for part in inner for found in _within(part))] if inner else [annotation]


def _type(field: FieldInfo) -> str:
    names = [
        "secret text" if part is SecretStr else part.__name__ if isinstance(part, type) else repr(part).replace("'", "")
        for part in _within(field.annotation)
        if not get_args(part) and part is not type(None)
    ]
    bounds = [
        f"{sign} {bound}"
        for rule in field.metadata
        for sign, name in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt"))
        if (bound := getattr(rule, name, None)) is not None
    ]
    words = {"str": "text", "int": "number", "float": "number", "bool": "true or false", "Path": "path"}
    return ", ".join([", ".join(words.get(name, name) for name in names), *bounds])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "none"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def command_line_page() -> str:
    """List every command with its arguments and options."""
    _mount(list(_ROOMS))
    lines = ["# Command line", "", "Generated from the commands themselves; `gateway COMMAND --help` says the same."]
    for path, command in _commands(typer.main.get_command(app), ("gateway",)):
        usage = " ".join(command.collect_usage_pieces(command.context_class(command)))
        text = " ".join((command.help or "").split())
        lines += ["", f"## `{' '.join(path)}`", "", text, "", "```", f"{' '.join(path)} {usage}", "```"]
        options = [option for option in command.params if option.param_type_name == "option" and option.help]
        if options:
            lines += ["", "| option | meaning |", "| --- | --- |"]
            lines += [
                f"| `{', '.join([*option.opts, *option.secondary_opts])}` | {option.help} |" for option in options
            ]
    return "\n".join(lines) + "\n"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner: dict[str, Any] = getattr(command, "commands", {})  # a group has them
    if not inner:
        yield path, command
    for name in sorted(inner):
        yield from _commands(inner[name], (*path, name))


def message_mapping_page() -> str:
    """Say how each field of a trade event becomes an element, and what each message version lacks."""
    catalogue = load_catalogue()
    tables = [
        parse_table(path.read_text(encoding="utf-8"), path.name)
        for path in sorted((data_directory() / "mapping").glob("*.map"))
    ]
    versions = {
        table.message: [
            catalogue.message(name) for name in catalogue.definitions() if name.startswith(f"{table.message}.001.")
        ]
        for table in tables
    }
    return mapping_page(tables, versions)


def all_rules_page() -> str:
    """List the rules that come with the gateway."""
    return rules_page(load_rulebook(load_catalogue()))


PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_line_page,
    "configuration.md": configuration_page,
    "lifecycle.md": lifecycle_page,
    "mapping.md": message_mapping_page,
    "rules.md": all_rules_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
