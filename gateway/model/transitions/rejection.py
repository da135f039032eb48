"""Our rejection of a message of theirs (semt.001): sent, and nothing more is expected but that it is refused itself."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import NOTHING, STATUS, DialogueTable, Edges

TABLE: Final = DialogueTable(
    axes={"processing": (Edges((NOTHING,), ("rejected",), STATUS, "our rejection was refused technically"),)},
    headlines=(("processing", "rejected", "rejected"),),
    finished=frozenset({"sent", "rejected", "withdrawn"}),
)
