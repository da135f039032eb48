"""The hash chain of an instruction's history: append-only, and provable."""

from __future__ import annotations

import hashlib

GENESIS = bytes(32)


def entry_hash(
    previous: bytes, instruction: str, sequence: int, at: int, actor: str, action: str, cause: str, detail: bytes
) -> bytes:
    """Return SHA-256 over the previous hash and every field of the entry, each preceded by its length.

    ``instruction`` is the transaction identification, ``at`` UTC microseconds, ``detail`` the JSON bytes as stored.
    """
    parts = (instruction, str(sequence), str(at), actor, action, cause)
    said = "".join([f"{len(part.encode())}:{part}" for part in parts])
    return hashlib.sha256(b"".join((previous, said.encode(), detail))).digest()
