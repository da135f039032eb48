"""SWIFT FIN: messages of blocks and fields, read and written without losing a byte."""

from gateway.messages.fin.message import Field, FinMessage

__all__ = ["Field", "FinMessage"]
