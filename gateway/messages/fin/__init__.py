"""SWIFT FIN: messages of blocks and fields, read and written without losing a byte.

``split`` cuts a file into messages, ``parse`` reads one with its faults, ``write`` gives its bytes back;
``parse_strictly`` is for who acts on what it reads. Nothing of these knows what a field means.
"""

from gateway.messages.fin.acknowledgements import Acknowledgement, NetworkError, NetworkWords, is_system_message
from gateway.messages.fin.addresses import ANY_TERMINAL, OWN_TERMINAL, bic_of, logical_terminal
from gateway.messages.fin.files import FileKind, FinFile, join, messages_in, split, text_block
from gateway.messages.fin.message import (
    BasicHeader,
    Field,
    FinMessage,
    InputHeader,
    Layout,
    MalformedHeader,
    MessageReference,
    OutputHeader,
    PossibleDuplicate,
    TagBlock,
)
from gateway.messages.fin.outgoing import IN_EVENT, Derived, cancellation, derived, envelope, implied, parties
from gateway.messages.fin.parsing import is_fin, parse, parse_strictly, tag_blocks
from gateway.messages.fin.writing import mark_possible_duplicate, with_trailer, without_trailer, write

__all__ = [
    "ANY_TERMINAL",
    "IN_EVENT",
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
    "MalformedHeader",
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
    "implied",
    "is_fin",
    "is_system_message",
    "join",
    "logical_terminal",
    "mark_possible_duplicate",
    "messages_in",
    "parse",
    "parse_strictly",
    "parties",
    "split",
    "tag_blocks",
    "text_block",
    "with_trailer",
    "without_trailer",
    "write",
]
