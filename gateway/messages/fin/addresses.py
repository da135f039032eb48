"""BIC and logical terminal address: the address has 12 characters, a terminal code between BIC and branch."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_BIC = re.compile("[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_ADDRESS = re.compile("[A-Z0-9]{12}")
_HEAD_OFFICE = "XXX"

ANY_TERMINAL: Final = "X"  # as a receiver is addressed
OWN_TERMINAL: Final = "A"  # as a sender's first terminal is called


@lru_cache(maxsize=1024)  # a few correspondents, again and again
def logical_terminal(bic: str, terminal: str = ANY_TERMINAL) -> str:
    """Return the address of a BIC of 8 or 11 characters; raises ``ValueError`` for anything else."""
    if not _BIC.fullmatch(bic) or not re.fullmatch("[A-Z0-9]", terminal):
        raise ValueError(f"{bic!r} is no BIC of 8 or 11 characters, or {terminal!r} no terminal code")
    return f"{bic[:8]}{terminal}{bic[8:] or _HEAD_OFFICE}"


@lru_cache(maxsize=1024)
def bic_of(address: str) -> str:
    """Return the BIC of a logical terminal address: 8 characters for a head office, else 11; raises ``ValueError``."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is no logical terminal address of 12 characters")
    branch = address[9:]
    return address[:8] if branch == _HEAD_OFFICE else address[:8] + branch
