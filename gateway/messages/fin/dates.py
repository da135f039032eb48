"""Dates of FIN in the form of XML Schema."""

from __future__ import annotations


def iso_date(text: str) -> str:
    """Return YYYYMMDD or YYMMDD with hyphens and its century."""
    if len(text) == len("YYMMDD"):
        text = f"{'19' if text >= '80' else '20'}{text}"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"
