"""``gateway rules``: what messages must say beyond their schemas, and whether a rule file of one's own is right."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.messages.rules import MessageRule, Rulebook

app = typer.Typer(no_args_is_help=True, help="Rules beyond the schemas: list them, explain one, test a rule file.")

_Directory = Annotated[
    Path | None,
    typer.Option("--directory", envvar="GATEWAY_RULES__DIRECTORY", help="the folder of your own rule files"),
]
_UserDirectory = Annotated[
    Path | None,
    typer.Option(envvar="GATEWAY_SCHEMAS__DIRECTORY", help="the folder of your own schemas"),
]
_WIDTH: Final = 100
_INDENT: Final = " " * 6


@app.command("list")
def list_rules(
    pack: Annotated[list[str] | None, typer.Option(help="only this pack; may be repeated")] = None,
    message: Annotated[str, typer.Option(help="only rules about this message: sese.023, or sese.023.001.12")] = "",
    directory: _Directory = None,
    user_directory: _UserDirectory = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """List the rules by pack: code, what a broken one does, messages, and the versions in which it says nothing."""
    from gateway.messages.rules import vacuous_in

    book = _rulebook(directory, user_directory)
    unknown = sorted(set(pack or ()) - set(book.packs))
    if unknown:
        raise typer.BadParameter(f"no pack {', '.join(unknown)}; packs are {', '.join(sorted(book.packs))}")
    shown = ""
    for rule in book.rules():
        if (pack and rule.pack not in pack) or not _is_about(rule, message):
            continue
        vacuous = vacuous_in(book.in_versions(rule).items())
        if as_json:
            print(json.dumps(_record(rule) | {"vacuous": vacuous}, ensure_ascii=False))
            continue
        if rule.pack != shown:
            print(f"{'' if not shown else chr(10)}{rule.pack}: {book.packs[rule.pack].title}")
            shown = rule.pack
        severity = ", ".join(f"{direction} {word}" for direction, word in rule.severity.items() if word != "no")
        print(f"  {rule.code}  ({', '.join(rule.messages)}; {severity})")
        print(textwrap.fill(rule.because, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))
        for version, lacks in vacuous.items():
            print(f"      says nothing in {version}, which has no {lacks}")


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="the code of a rule")],
    directory: _Directory = None,
    user_directory: _UserDirectory = None,
) -> None:
    """Say what a rule asks, why, where that is written, and which versions of a message it is about."""
    import difflib

    from gateway.messages.rules import vacuous_in

    book = _rulebook(directory, user_directory)
    rules = {rule.code: rule for rule in book.rules()}
    rule = rules.get(code)
    if rule is None:
        near = difflib.get_close_matches(code, rules, n=3)
        meant = f"; did you mean {', '.join(near)}?" if near else "; gateway rules list names them"
        raise typer.BadParameter(f"there is no rule {code}{meant}")
    print(f"{rule.code}: {rule.because}")
    rows = [
        ("pack", f"{rule.pack}: {book.packs[rule.pack].title}"),
        ("messages", ", ".join(rule.messages)),
        *([("each", str(rule.each))] if rule.each is not None else []),
        *(("when", condition.text) for condition in rule.when),
        *(tuple(str(assertion).split(" ", 1)) for assertion in rule.assertions),
        *rule.severity.items(),
        ("source", rule.source),
        ("file", f"{Path(rule.file).name}, line {rule.line}"),
    ]
    for name, value in rows:
        print(f"  {name:<9} {value}")
    versions = book.in_versions(rule)
    vacuous = vacuous_in(versions.items())
    if versions:
        print(f"  {'versions':<9} {', '.join(name for name in versions if name not in vacuous)}")
    for version, lacks in vacuous.items():
        print(f"  says nothing in {version}, which has no {lacks}")


@app.command("test")
def judge_by(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a rule file of your own")],
    messages: Annotated[list[Path] | None, typer.Argument(metavar="MESSAGE...", help="messages to judge by it")] = None,
    user_directory: _UserDirectory = None,
) -> None:
    """Check a rule file whole, and judge messages by it: which rule holds, is broken, or is not about the message.

    Exit 1 when a rule is broken; a mistake in the file is named with its line (exit 2).
    """
    from gateway.messages.rules import DIRECTIONS
    from gateway.messages.schema_files import load_catalogue, load_rulebook
    from gateway.messages.validation import Validator

    if not file.is_file():
        raise typer.BadParameter(f"{file}: there is no such file")
    catalogue = load_catalogue(user_directory)
    book = load_rulebook(catalogue, file)
    name = next(pack.name for pack in book.packs.values() if pack.rules[0].file == str(file))
    print(f"{file}: pack {name}, {len(book.packs[name].rules)} rules, no mistakes")
    validator, broken = Validator(catalogue), 0
    for path in messages or ():
        content = path.read_bytes()
        verdict = validator.check(content)
        print(f"{path}: {verdict.message_definition or 'no message'}")
        if not verdict.valid:
            raise ConfigError(f"{path}: breaks its schema: {verdict.violations[0].text}", code="message_invalid")
        parsed = validator.parse(content)
        for rule in book.packs[name].rules:
            direction = next((one for one in DIRECTIONS if rule.severity[one] != "no"), DIRECTIONS[0])
            found = [one for one in book.judge(parsed, (name,), direction) if one.code == rule.code]
            about = book.is_about(rule, parsed, (name,), direction)
            print(f"    {'BROKEN' if found else 'holds' if about else 'not about it':<12}  {rule.code}")
            for violation in found:
                line = f"line {violation.line}, " if violation.line is not None else ""
                print(f"        {line}{violation.text}")
            broken += bool(found)
    if broken:
        raise typer.Exit(1)


def _rulebook(directory: Path | None, user_directory: Path | None) -> Rulebook:
    from gateway.messages.schema_files import load_catalogue, load_rulebook

    return load_rulebook(load_catalogue(user_directory), directory)


def _is_about(rule: MessageRule, message: str) -> bool:
    return not message or rule.applies_to(message) or any(name.startswith(f"{message}.") for name in rule.messages)


def _record(rule: MessageRule) -> dict[str, object]:
    return {
        "code": rule.code,
        "pack": rule.pack,
        "messages": rule.messages,
        "each": None if rule.each is None else str(rule.each),
        "when": [condition.text for condition in rule.when],
        "asserts": [str(assertion) for assertion in rule.assertions],
        "outgoing": rule.severity["outgoing"],
        "incoming": rule.severity["incoming"],
        "because": rule.because,
        "source": rule.source,
    }
