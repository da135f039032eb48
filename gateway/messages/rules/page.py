"""The page of all rules for the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.messages.rules import Rulebook, vacuous_in
from gateway.messages.rules.language import MessageRule


def rules_page(book: Rulebook) -> str:
    """Write the list of all rules by pack (Markdown), and where a version of a message makes one say nothing."""
    lines = [
        "# Rules",
        "",
        "Generated from `schemas/rules/`. `gateway rules explain CODE` says more of one,",
        "[the explanation](explanation-rules.md) what they are, [the how-to](howto-add-a-rule.md) how to write one.",
        "An error refuses a message, a warning is recorded and told.",
    ]
    for pack in sorted(book.packs.values(), key=lambda pack: pack.name != "standard"):
        lines += ["", f"## `{pack.name}`", "", f"{pack.title}.", ""]
        lines += [
            "| rule | messages | ours | theirs | what it asks | source |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [_row(rule) for rule in pack.rules]
        lines += _vacuous(book, pack.rules)
    return "\n".join(lines) + "\n"


def _row(rule: MessageRule) -> str:
    ours, theirs = (word if word != "no" else "" for word in (rule.severity["outgoing"], rule.severity["incoming"]))
    return f"| `{rule.code}` | {', '.join(rule.messages)} | {ours} | {theirs} | {rule.because} | {rule.source} |"


def _vacuous(book: Rulebook, rules: tuple[MessageRule, ...]) -> Iterator[str]:
    said = [
        f"- `{rule.code}` in {version}, which has no `{lacks}`"
        for rule in rules
        for version, lacks in vacuous_in(book.in_versions(rule).items()).items()
    ]
    if said:
        yield from ("", "Rules that say nothing in a version:", "", *said)
