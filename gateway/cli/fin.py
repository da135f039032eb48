"""The definitions of FIN messages on a terminal: what ``gateway schemas`` says of a message type such as MT541."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from gateway.messages.fin.outline import Line
    from gateway.messages.fin.rules import NetworkRule


def message_types() -> Iterator[tuple[str, str]]:
    """Yield the message types there are definitions of, with their names."""
    from gateway.messages.schema_files import load_fin_definitions

    definitions = load_fin_definitions()
    for message_type in definitions.message_types():
        yield message_type, definitions.message(message_type).name


def show(message_type: str, path: str, depth: int | None, *, as_json: bool) -> None:
    """Print the tree of a message type, and its network validated rules."""
    from gateway.messages.fin.judging import Judge
    from gateway.messages.fin.outline import outline, rule_lines
    from gateway.messages.schema_files import load_fin_definitions

    definitions = load_fin_definitions()
    if message_type not in definitions:
        known = ", ".join(definitions.message_types())
        raise typer.BadParameter(f"there is no definition of {message_type}; there are {known}")
    try:
        lines = list(outline(definitions, message_type, path.strip("/"), depth))
    except KeyError:
        raise typer.BadParameter(f"{message_type} has no sequence {path}") from None
    rules = [] if path else Judge(definitions).rules(message_type)
    if as_json:
        for line in lines:
            print(json.dumps({key: value for key, value in asdict(line).items() if value not in ("", (), False)}))
        for rule in rules:
            record = {"kind": "rule", "code": rule.code, "rule": list(rule_lines(rule)), "because": rule.because}
            print(json.dumps(record | {"source": rule.source, "likely": rule.likely}))
        return
    message = definitions.message(message_type)
    _print_tree(f"{message_type}  {message.name}", f"release {message.release}", lines)
    _print_rules(rules)


def _multiplicity(line: Line) -> str:
    times = f" x{line.count}" if line.count > 1 else ""
    return f"[{line.minimum}..{'*' if line.maximum is None else line.maximum}]{times}"


def _print_tree(title: str, release: str, lines: Iterable[Line]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(title, style="bold"))
    console.print(Text(release, style="dim"))
    for line in lines:
        text = Text("  " * line.depth)
        text.append(line.label, style="" if line.kind == "qualifier" else "bold")
        if line.block:
            text.append(f" {line.block}", style="bold")
        text.append(f" {_multiplicity(line)}", style="cyan")
        text.append(f" {line.name}" if line.name else "", style="dim")
        if line.label.startswith("?"):
            text.append(" qualifiers that are not public", style="dim")
        if line.likely:
            text.append("  likely: only warned of", style="magenta")
        text.append(f"  {', '.join(line.formats)}" if line.formats else "", style="green")
        text.append(f"  {' | '.join(line.codes)}" if line.codes else "", style="green")
        console.print(text, soft_wrap=True)


def _print_rules(rules: Iterable[NetworkRule]) -> None:
    from rich.console import Console
    from rich.text import Text

    from gateway.messages.fin.outline import rule_lines

    console = Console(highlight=False)
    for number, rule in enumerate(rules):
        if not number:
            console.print(Text("\nnetwork validated rules", style="bold"))
        text = Text(f"{rule.code}  ", style="bold")
        text.append(rule.because, style="")
        if rule.likely:
            text.append("  likely: only warned of", style="magenta")
        console.print(text, soft_wrap=True)
        for said in rule_lines(rule):
            console.print(Text(f"    {said}", style="green"), soft_wrap=True)
