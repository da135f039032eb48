"""Labelled points of the data path, at which the crash test kills the process.

``GATEWAY_KILL_AT=dispatch.sent:3`` makes the third passage of that point a SIGKILL. Unset, a passage is one comparison.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "intake.polled",
    "intake.recorded",
    "intake.committed",
    "dispatch.claimed",
    "dispatch.sent",
    "dispatch.settled",
    "replies.received",
    "replies.archived",
    "replies.acknowledged",
    "replies.applied",
    "publication.read",
    "publication.sent",
    "publication.marked",
    "deadlines.dated",
    "deadlines.told",
)

_label, _, _count = os.environ.get("GATEWAY_KILL_AT", "").partition(":")
_left = int(_count or 1)


def passed(point: str) -> None:
    """Pass a labelled point."""
    global _left  # noqa: PLW0603  # a countdown of this process, armed by its environment only
    if point == _label:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
