"""Identifiers on the wire are derived, never drawn: rebuilding and replaying give the same ones."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from gateway.model.transitions import Dialogue

_BYTES = 10  # 80 bits are 16 characters of 0-9A-V: they fit a FIN reference (16x) and an ISO 20022 Max35Text
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"  # base 32, as in RFC 4648 "base32hex"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]  # the library's encoder takes five times longer


def _derive(*parts: str) -> str:
    # A length before each part keeps ("ab", "c") apart from ("a", "bc").
    text = "".join(f"{len(part)}:{part}" for part in parts)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:_BYTES], "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in (70, 60, 50, 40, 30, 20, 10, 0)])


def transaction_id(own_bic: str, source: str, trade_id: str, dialogue: Dialogue, instruction_number: int) -> str:
    """Derive the account owner's transaction identification: 16 characters, fixed for the whole dialogue."""
    return _derive(own_bic, source, trade_id, dialogue, str(instruction_number))


def uetr(transaction: str) -> str:
    """Derive the unique end-to-end transaction reference of a payment of ours: a UUID in the form of version 4.

    122 of its bits are of SHA-256 over the transaction identification, so that it is fixed for the whole dialogue.
    """
    digest = bytearray(hashlib.sha256(f"uetr:{transaction}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40  # the version, 4
    digest[8] = digest[8] & 0x3F | 0x80  # the variant of RFC 9562
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def business_message_id(transaction: str, cause: str, message_definition: str) -> str:
    """Derive the header's business message identifier from what caused the message (event or command identifier)."""
    return _derive(transaction, cause, message_definition)


@lru_cache(maxsize=4096)  # asked for several times while a trade is in hand
def trade_key(source: str, trade_id: str) -> int:
    """Derive a signed 64-bit key of a trade, to keep its items in order; a clash only orders two trades needlessly."""
    digest = hashlib.sha256(f"{len(source)}:{source}{trade_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
