"""Draw ``docs/lifecycle.md`` from the transition tables."""

from __future__ import annotations

from itertools import product
from typing import Final

from gateway.model.transitions import ALERTS, DELIVERY, HEADLINES, NOTHING, ONCE_MOVED, TRANSITIONS, Dialogue, Edges


def lifecycle_page() -> str:
    """Draw ``docs/lifecycle.md`` from the tables: Markdown with one Mermaid state diagram a table."""
    parts = [_PAGE_HEAD]
    for dialogue in Dialogue:
        parts.append(f"## {dialogue.replace('_', ' ').capitalize()} dialogue\n")
        for (own, axis), rows in TRANSITIONS.items():
            if own is dialogue:
                parts.append(f"### {axis.replace('_', ' ').capitalize()}\n\n{_diagram(rows)}\n{_odd(rows)}")
        parts.append(
            "### Headline\n\nThe first row that holds gives the word.\n\n| axis | value | headline |\n"
            "| --- | --- | --- |"
        )
        parts.extend(f"| {axis} | {value} | **{word}** |" for axis, value, word in HEADLINES[dialogue])
        parts.append("| delivery | any | the delivery itself |\n")
        moved = [f"**{word}** is **{other}**" for word, other in ONCE_MOVED[dialogue].items()]
        if moved:
            parts.append(f"Once something has settled, {', '.join(moved)}.\n")
    parts.append(
        f"## Delivery of our own message\n\n{_DELIVERY_HEAD}\n```mermaid\nstateDiagram-v2\n    [*] --> recorded"
    )
    parts.extend(f"    {one} --> {other} : {why}" for one, others in DELIVERY.items() for other, why in others.items())
    parts.append("```\n\n## Alerts\n\n| code | meaning |\n| --- | --- |")
    parts.extend(f"| `{code}` | {text} |" for code, text in ALERTS.items())
    return "\n".join(parts) + "\n"


def _diagram(rows: tuple[Edges, ...]) -> str:
    # Values that follow each other in any order are drawn as one composite state: fifty arrows explain nothing.
    meshes = [row.after for row in rows if len(row.after) > 1 and set(row.after) <= set(row.before)]
    mesh = meshes[0] if meshes else ()
    lines = ["```mermaid", "stateDiagram-v2"]
    if mesh:
        inside = "\n".join(f"        {value}" for value in mesh)
        lines.append(f"    state any_order {{\n{inside}\n    }}")
    drawn: dict[tuple[str, str], None] = {}
    for row in rows:
        for one, other in product(_drawn(row.before, mesh), _drawn(row.after, mesh)):
            if one != other:
                drawn[f"{'[*]' if one == NOTHING else one} --> {other}", row.cause] = None
    lines.extend(f"    {arrow} : {cause}" for arrow, cause in drawn)
    return "\n".join([*lines, "```", ""])


def _drawn(values: tuple[str, ...], mesh: tuple[str, ...]) -> tuple[str, ...]:
    if not mesh or not set(mesh) <= set(values):
        return values
    return ("any_order", *(value for value in values if value not in mesh))


def _odd(rows: tuple[Edges, ...]) -> str:
    lines = [f"- {', '.join(row.before)} → {', '.join(row.after)} ({row.cause}): {row.why}." for row in rows if row.why]
    return "\n".join([*lines, ""]) if lines else ""


_PAGE_HEAD: Final = """\
# The life of an instruction

Drawn from the tables in `gateway/model/transitions/` by `lifecycle_page()`; a test says when it is out of date.

Every axis moves on its own, by a counterparty's *status*, by a settlement *confirmation* (sese.025), by its *reversal*
(sese.026), or by our own *request*. Each request has a life of its own, and its axis shows the latest of the kind. An
assertion older than the one an axis holds (by the header's creation time; by archive order where a time is missing or
equal) goes to history and moves nothing, and so does the same reply again. A way that is not drawn here is an
`illegal_transition`: the reply is kept and parked, and the axis stays. A box `any_order` holds values that may follow
each other in any order. An axis that is told its own value again may change its reasons.
"""
_DELIVERY_HEAD: Final = """\
Where our message stands between the ledger and the counterparty. Once a reply has proved it sent, the outcome of an
attempt that the reply overtook changes nothing.
"""
