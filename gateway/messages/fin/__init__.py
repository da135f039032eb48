"""SWIFT FIN: messages of blocks and fields, read and written without losing a byte.

``split`` cuts a file into messages, ``parse`` reads one, ``write`` gives its bytes back. Nothing of these knows what a
field means.
"""

from gateway.messages.fin.acknowledgements import Acknowledgement, NetworkError, NetworkWords, is_system_message
from gateway.messages.fin.addresses import ANY_TERMINAL, OWN_TERMINAL, bic_of, logical_terminal
from gateway.messages.fin.files import FileKind, FinFile, join, split
from gateway.messages.fin.message import (
    BasicHeader,
    Field,
    FinMessage,
    InputHeader,
    Layout,
    MessageReference,
    OutputHeader,
    PossibleDuplicate,
    TagBlock,
)
from gateway.messages.fin.outgoing import Derived, cancellation, derived, envelope
from gateway.messages.fin.parsing import is_fin, parse, tag_blocks
from gateway.messages.fin.writing import mark_possible_duplicate, with_trailer, without_trailer, write

__all__ = [
    "ANY_TERMINAL",
    "OWN_TERMINAL",
    "Acknowledgement",
    "BasicHeader",
    "Derived",
    "Field",
    "FileKind",
    "FinFile",
    "FinMessage",
    "InputHeader",
    "Layout",
    "MessageReference",
    "NetworkError",
    "NetworkWords",
    "OutputHeader",
    "PossibleDuplicate",
    "TagBlock",
    "bic_of",
    "cancellation",
    "derived",
    "envelope",
    "is_fin",
    "is_system_message",
    "join",
    "logical_terminal",
    "mark_possible_duplicate",
    "parse",
    "split",
    "tag_blocks",
    "with_trailer",
    "without_trailer",
    "write",
]
