"""A counterparty that speaks FIN: its place in the configuration, and the messages that it sends."""

from __future__ import annotations

from tests.loops import CHANNEL, OTHER, OWN_BIC, party

SPEAKS_FIN = [party(CHANNEL, language="fin"), party(OTHER, language="fin")]


def said(number: str, *fields: str, sender: str = CHANNEL, uetr: str = "", receiver: str = OWN_BIC) -> bytes:
    """Return a message of theirs as the network delivers it; ``fields`` are written ``21:REFERENCE``."""
    text = "".join(f":{field}\n" for field in fields).replace("\n", "\r\n")
    user = f"{{3:{{121:{uetr}}}}}" if uetr else ""
    their_terminal, our_terminal = (f"{bic[:8]}A{bic[8:]}" for bic in (sender, receiver))
    block_2 = f"O{number}1200260304{their_terminal}00010000012603041201N"
    return f"{{1:F01{our_terminal}0001000001}}{{2:{block_2}}}{user}{{4:\r\n{text}-}}".encode()


def fields(content: bytes) -> list[str]:
    """Return the fields of a message as ``TAG:VALUE``, lines within a value parted by line feeds."""
    text = content.decode().replace("\r\n", "\n").partition("{4:\n:")[2].rpartition("\n-}")[0]
    return text.split("\n:")


def heading(content: bytes) -> str:
    """Return what stands before the text."""
    return content.decode().partition("{4:")[0]
