"""The reference folder beside the project, an extra oracle: tests that use it are skipped where it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared"
_FOLDER = Path(os.environ.get("GATEWAY_TEST_REFERENCE", str(_BESIDE)))

SHARED: Path | None = _FOLDER if (_FOLDER / "iso20022").is_dir() else None

needs_reference = pytest.mark.skipif(SHARED is None, reason="the reference folder is not here")


def shared() -> Path:
    """Return the reference folder; only for tests marked ``needs_reference``."""
    assert SHARED is not None
    return SHARED
