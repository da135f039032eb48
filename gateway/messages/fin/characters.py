"""The character sets of FIN.

X is the set of most fields and of the user header. Z is that of the fields with most freedom; it holds X, and all of Y,
the set of EDIFACT. No set has letters with accents, tabs, or the closing brace, which ends a block.
"""

from __future__ import annotations

import string
from typing import Final

_LINE_ENDS = "\r\n"
X: Final = string.ascii_letters + string.digits + "/-?:().,'+ " + _LINE_ENDS
Z: Final = X + '=!"%&*<>;@#_{'

PRINTABLE: Final = "".join(map(chr, range(32, 127))) + _LINE_ENDS  # what may stand in a header or a trailer
