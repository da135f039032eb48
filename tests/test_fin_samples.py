"""FIN messages written by other people: which the definitions accept, and why each of the others is refused."""

from __future__ import annotations

import re

from .reference import needs_reference

pytestmark = needs_reference

_BLOCK_4 = re.compile(r"\{4:\r?\n(.*?)\r?\n-\}", re.DOTALL)
