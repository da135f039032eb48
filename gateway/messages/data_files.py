"""The files of data that come with the gateway: tables as text, by folder."""

from __future__ import annotations

from pathlib import Path


def data_directory() -> Path:
    """Return the folder of the gateway's data: ``gateway/_schemas`` in a wheel, ``schemas`` in the repository."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def read_tables(folder: str, suffix: str) -> dict[str, str]:
    """Read the tables of one folder of the gateway's data (``mapping``, ``reading``), by file name."""
    files = sorted((data_directory() / folder).glob(f"*{suffix}"))
    return {path.name: path.read_text(encoding="utf-8") for path in files}
