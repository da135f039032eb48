"""End the demo's processes should the demo itself be killed: its own process, which waits for the demo's end.

It reads process ids from standard input, one a line, with a minus sign once a process has ended. When the other end of
the pipe closes, whatever is left is asked to end, and killed if it does not.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

_GRACE_SECONDS = 10.0


def keep() -> None:
    """Wait for the end of the demo, then leave none of its processes behind."""
    alive: dict[int, None] = {}
    for line in sys.stdin:
        number = int(line)
        if number > 0:
            alive[number] = None
        else:
            alive.pop(-number, None)
    until = time.monotonic() + _GRACE_SECONDS
    last: int | None = None
    while alive and time.monotonic() < until:
        # The newest first, one after the other: the broker, which is the oldest, goes when nobody needs it any more.
        newest = next(reversed(alive))
        try:
            os.kill(newest, 0 if newest == last else signal.SIGTERM)
            last = newest
        except ProcessLookupError:
            del alive[newest]
        else:
            time.sleep(0.05)
    for number in alive:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


if __name__ == "__main__":
    keep()
