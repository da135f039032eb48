"""The character sets of FIN, and where a text leaves them.

X is the set of most fields; Y is that of EDIFACT (level A: capitals only); Z holds both and a few more. No set has
letters with accents, tabs, or the closing brace, which ends a block.
"""

from __future__ import annotations

import re
import string
from typing import Final, Literal

CharacterSet = Literal["X", "Y", "Z"]

_LINE_ENDS = "\r\n"
X: Final = string.ascii_letters + string.digits + "/-?:().,'+ " + _LINE_ENDS
Y: Final = string.ascii_uppercase + string.digits + " .,-()/='+:?!\"%&*<>;" + _LINE_ENDS
Z: Final = X + '=!"%&*<>;@#_{'

PRINTABLE: Final = "".join(map(chr, range(32, 127))) + _LINE_ENDS  # what may stand in a header or a trailer

_OUTSIDE: Final = {name: re.compile(f"[^{re.escape(allowed)}]") for name, allowed in (("X", X), ("Y", Y), ("Z", Z))}


def outside(text: str, character_set: CharacterSet) -> int | None:
    """Return the index of the first character that a set does not have, or None."""
    found = _OUTSIDE[character_set].search(text)
    return None if found is None else found.start()
