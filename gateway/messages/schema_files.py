"""Files of schemas: the dictionary on disk, the user's own XSDs, import, export and rebuild.

The one module of ``messages/`` that touches files.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.calendar import Calendars
from gateway.errors import ConfigError, GatewayError
from gateway.messages.catalogue import Catalogue, ComplexType, ElementDefinition, MessageDefinition
from gateway.messages.data_files import data_directory, read_tables
from gateway.messages.fin.acknowledgements import NetworkWords
from gateway.messages.fin.source import FinMessages
from gateway.messages.rules import Rulebook
from gateway.messages.schema_text import (
    DefinitionEntry,
    Dictionary,
    canonical_digest,
    file_of,
    join_blocks,
    type_lines,
)
from gateway.messages.schema_tree import Difference, compare
from gateway.messages.xsd_text import MAXIMUM_SIZE, SchemaRefused, compile_schema, read_xsd

if TYPE_CHECKING:
    from gateway.messages.fin.definitions import Definitions

_DEFINITIONS = "definitions"
_RULES = ".rules"
_GUIDELINES = "guidelines"  # folder of the user's directory: a folder for each
_MAXIMUM_FILES = 5_000
_MAXIMUM_ARCHIVE = 512 * 1024 * 1024
_USER_DIRECTORY = "GATEWAY_SCHEMAS__DIRECTORY"


def load_penalty_rates() -> str:
    """Return the text of the penalty rates that are shipped."""
    return read_tables("penalties", ".txt")["rates.txt"]


def load_calendars(own: Mapping[str, tuple[str, frozenset[date]]] | None = None) -> Calendars:
    """Open the calendars of currencies, markets and places of settlement, with a bank's own before them."""
    return Calendars(read_tables("calendars", ".txt")["calendars.txt"], own)


def load_fin_definitions() -> Definitions:
    """Open the definitions of FIN messages; each message type is compiled when it is first asked for."""
    from gateway.messages.fin.definitions import Definitions  # which reads other tables from here

    messages = {name.removesuffix(".txt"): text for name, text in read_tables("fin/messages", ".txt").items()}
    return Definitions(read_tables("fin", ".txt"), messages, read_tables("fin", _RULES))


def load_network_words() -> NetworkWords:
    """Open the tables of FIN's error codes and of the names of its system messages."""
    tables = read_tables("fin", ".txt")
    return NetworkWords(tables["error_codes.txt"], tables["service_messages.txt"])


def default_user_directory() -> Path:
    """Return where the user's own schemas are kept: GATEWAY_SCHEMAS__DIRECTORY, or the user's data folder."""
    stated = os.environ.get(_USER_DIRECTORY)
    if stated:
        return Path(stated).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "iso20022-gateway" / "schemas"


def load_catalogue(user_directory: Path | None = None) -> Catalogue:
    """Open the schema dictionary, with the user's own schemas before it; nothing is read until it is asked for.

    ``user_directory`` may be absent on disk; None means ``default_user_directory()``.
    """
    directory = default_user_directory() if user_directory is None else user_directory
    folders = sorted((directory / _GUIDELINES).glob("*/"))
    guidelines = {folder.name: UserSchemas(folder) for folder in folders}
    return Catalogue(
        [UserSchemas(directory), open_dictionary()], guidelines, FinMessages(load_fin_definitions, load_network_words)
    )


def guideline_directory(user_directory: Path, name: str) -> Path:
    """Return where the XSDs of a usage guideline are kept. Raises ``SchemaRefused`` for a name that is no file name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SchemaRefused(f"{name!r} is no name of a guideline: letters, digits, points, dashes, underscores")
    return user_directory / _GUIDELINES / name


def load_rulebook(catalogue: Catalogue, directory: Path | None = None, calendars: Calendars | None = None) -> Rulebook:
    """Open the packs of rules that come with the gateway, and those of the user's directory, or one file (``*.rules``).

    Raises ``ConfigError`` for a directory that cannot be read, and with every mistake in a rule file: file and line.
    """
    own: dict[str, str] = {}
    if directory is not None:
        try:
            files = [directory] if directory.is_file() else sorted(directory.iterdir())
            own = {str(path): path.read_text(encoding="utf-8") for path in files if path.suffix == _RULES}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"rules.directory {directory}: cannot be read: {error}", code="rules_unreadable"
            ) from error
    codes = read_tables("codes", ".txt")
    return Rulebook(catalogue, read_tables("rules", _RULES), own, codes, calendars or load_calendars())


def open_dictionary(directory: Path | None = None) -> Dictionary:
    """Open a dictionary folder (default: the gateway's own) by mapping its files, each when it is first needed."""
    folder = data_directory() / "dictionary" if directory is None else directory

    @cache
    def text(name: str) -> mmap.mmap | bytes:
        path = folder / f"{name}.txt"
        if not path.exists():
            return b""
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    definitions = text(_DEFINITIONS)
    return Dictionary(definitions, lambda name: text(f"types/{name}"))


class UserSchemas:
    """The user's own XSDs, kept as they were imported: ``<definition id>.xsd`` in one folder."""

    origin = "user"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def identifiers(self) -> list[str]:
        """Return the identifiers of the imported definitions."""
        if not self.directory.is_dir():
            return []
        return sorted(path.stem for path in self.directory.glob("*.xsd") if is_definition_id(path.stem))

    def namespace(self, definition_id: str) -> str:
        """Return the XML namespace of an imported definition."""
        return self.message(definition_id).namespace

    def message_name(self, definition_id: str) -> str:
        """Return the name of the message, from its element's type."""
        message = self.message(definition_id)
        element = _message_element(message)
        return message.root_type if element is None else element.type

    def message(self, definition_id: str) -> MessageDefinition:
        """Read an imported definition; raises ``SchemaRefused`` when its file was damaged meanwhile."""
        path = self._path(definition_id)
        message = read_xsd(self.xsd(definition_id), str(path))
        if message.identifier != definition_id:
            raise SchemaRefused(f"{path}: states {message.namespace}, which is not the definition that its name says")
        return message

    def digest(self, definition_id: str) -> str | None:
        """Return None: what the user imports has no digest beside it."""
        return None

    def xsd(self, definition_id: str) -> bytes:
        """Return an imported XSD, byte for byte."""
        return self._path(definition_id).read_bytes()

    def _path(self, definition_id: str) -> Path:
        return self.directory / f"{definition_id}.xsd"


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """An XSD found in what the user named: ``name`` says where, inside an archive too."""

    name: str
    content: bytes


def find_schemas(paths: Iterable[Path]) -> Iterator[SchemaFile]:
    """Yield the XSDs in files, folders (with their subfolders) and zip archives.

    Members of an archive are read in memory and never extracted, and their number and unpacked size are bounded. Raises
    ``SchemaRefused`` for what is neither, FileNotFoundError for what is not there.
    """
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*.xsd")):
                yield SchemaFile(str(file), _read_bounded(file))
        elif zipfile.is_zipfile(path):
            yield from _archive(path)
        elif path.suffix in {".xsd", ".xml"}:
            yield SchemaFile(str(path), _read_bounded(path))
        elif path.exists():
            raise SchemaRefused(f"{path}: neither an XSD file, nor a folder, nor a zip archive")
        else:
            raise FileNotFoundError(f"{path} is not there")


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAXIMUM_SIZE + 1)  # one more than is allowed, so that read_xsd refuses it by name


def _archive(path: Path) -> Iterator[SchemaFile]:
    total = 0
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".xsd")]
        if len(members) > _MAXIMUM_FILES:
            raise SchemaRefused(f"{path}: {len(members)} schemas in one archive; at most {_MAXIMUM_FILES} are read")
        for member in members:
            name = f"{path}!{member.filename}"
            if stat.S_ISLNK(member.external_attr >> 16):
                raise SchemaRefused(f"{name}: a link inside an archive is not followed")
            if member.flag_bits & 1:
                raise SchemaRefused(f"{name}: encrypted")
            try:
                with archive.open(member) as file:
                    content = file.read(MAXIMUM_SIZE + 1)  # the size stated in the archive is not believed
            except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
                raise SchemaRefused(f"{name}: cannot be unpacked: {error}") from error
            total += len(content)
            if total > _MAXIMUM_ARCHIVE:
                raise SchemaRefused(f"{path}: unpacks to more than {_MAXIMUM_ARCHIVE} bytes")
            yield SchemaFile(name, content)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one XSD: kept as ``definition``, or refused because of ``refusal``."""

    name: str
    definition: str | None
    refusal: str | None
    replaced: bool = False


def import_schemas(paths: Iterable[Path], directory: Path) -> Iterator[Imported]:
    """Check the XSDs in files, folders and archives, and keep each good one as it is in the user's folder.

    A schema is read (only the constructs of ISO 20022 are accepted) and compiled by libxml2 before it is kept; a
    refused one does not stop the others, and a file of the user's folder is replaced whole or not at all.
    """
    for file in find_schemas(paths):
        try:
            message = read_xsd(file.content, file.name)
            if not is_definition_id(message.identifier):
                raise SchemaRefused(f"{file.name}: namespace {message.namespace} names no message definition")
            compile_schema(file.content, file.name)
        except SchemaRefused as refusal:
            yield Imported(file.name, None, refusal.text)
            continue
        target = directory / f"{message.identifier}.xsd"
        replaced = target.exists()
        _write(target, file.content)
        yield Imported(file.name, message.identifier, None, replaced)


def is_definition_id(text: str) -> bool:
    """Say whether a text has the form of a message definition identifier: ``sese.023.001.12``."""
    parts = text.split(".")
    return (
        text.isascii()
        and [len(part) for part in parts] == [4, 3, 3, 2]
        and parts[0].isalpha()
        and parts[0].islower()
        and all(part.isdigit() for part in parts[1:])
    )


def export_schemas(catalogue: Catalogue, definitions: Iterable[str], directory: Path) -> Iterator[Path]:
    """Write the XSDs of definitions as ``<definition id>.xsd`` into a folder; yield each path once it is written."""
    for definition_id in definitions:
        path = directory / f"{definition_id}.xsd"
        _write(path, catalogue.xsd(definition_id))
        yield path


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class Verified:
    """What the verification of one definition found; ``problems`` and ``differences`` are empty when it holds.

    ``compared`` says whether an official file was there to compare with, element by element.
    """

    definition: str
    problems: tuple[str, ...]
    compared: bool
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.problems and not self.differences


def verify_schemas(
    catalogue: Catalogue, definitions: Iterable[str], reference: Path | None = None
) -> Iterator[Verified]:
    """Prove each definition: its XSD compiles, has the canonical digest kept beside it, and equals the official file.

    ``reference`` is a folder of official XSDs, found at any depth by the definition's identifier. The user's own
    schemas have no digest: that they compile and are read is what is proved of them.
    """
    official = {path.stem: path for path in sorted(reference.rglob("*.xsd"))} if reference else {}
    for definition_id in definitions:
        yield _verify(catalogue, definition_id, official.get(definition_id))


def _verify(catalogue: Catalogue, definition_id: str, official: Path | None) -> Verified:
    problems: list[str] = []
    differences: list[Difference] = []
    try:
        xsd = catalogue.xsd(definition_id)
        compile_schema(xsd, definition_id)
        ours = read_xsd(xsd, definition_id)
        stated = catalogue.digest(definition_id)
        if stated is not None and canonical_digest(ours) != stated:
            problems.append(f"canonical digest {canonical_digest(ours)}; the one kept beside it is {stated}")
        if official is not None:
            theirs = read_xsd(official.read_bytes(), str(official))
            differences = compare(ours, theirs)
            if not differences and canonical_digest(theirs) != canonical_digest(ours):
                problems.append(f"canonical digest {canonical_digest(ours)}; that of {official} differs")
    except (GatewayError, KeyError, ValueError) as error:
        problems.append(error.text if isinstance(error, GatewayError) else f"the dictionary is damaged: {error}")
    return Verified(definition_id, tuple(problems), official is not None, tuple(differences))


def rebuild_dictionary(
    paths: Iterable[Path], directory: Path, progress: Callable[[str], None] = lambda _: None
) -> tuple[int, int]:
    """Make the dictionary from official XSDs, replacing the one in ``directory``.

    Returns the numbers of definitions and of types. The same files give the same text, byte for byte. Where types of
    one name differ, the one that most definitions use keeps the plain name (ties: the first in order). Raises
    ``SchemaRefused`` at the first schema outside ISO 20022's constructs, before anything is written.
    """
    messages: dict[str, MessageDefinition] = {}
    for file in find_schemas(paths):
        message = read_xsd(file.content, file.name)
        known = messages.setdefault(message.identifier, message)
        if canonical_digest(known) != canonical_digest(message):
            raise SchemaRefused(f"{file.name}: another schema of {message.identifier} was read before and differs")
        progress(message.identifier)
    users: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    entries: list[tuple[MessageDefinition, ElementDefinition | None]] = []
    for _, message in sorted(messages.items()):
        entries.append((message, _message_element(message)))
        for name, definition in message.types.items():
            if entries[-1][1] is None or name != message.root_type:
                users[name][tuple(type_lines(definition))] += 1
    numbers = {
        name: {lines: number for number, (lines, _) in enumerate(variants.most_common(), 1)}
        for name, variants in users.items()
    }
    files: dict[str, list[list[str]]] = defaultdict(list)
    files[f"{_DEFINITIONS}.txt"] = [_entry(message, element, numbers).lines() for message, element in entries]
    for name, variants in numbers.items():
        files[f"types/{file_of(name)}.txt"] += [
            [_numbered(lines[0], number), *lines[1:]] for lines, number in variants.items()
        ]
    for old in directory.rglob("*.txt"):
        if old.relative_to(directory).as_posix() not in files:
            old.unlink()
    for file_name, blocks in files.items():
        _write(directory / file_name, join_blocks(blocks))
    return len(messages), sum(map(len, numbers.values()))


def _message_element(message: MessageDefinition) -> ElementDefinition | None:
    """Return the one element of a root type that is nothing but its holder, as in ``Document``."""
    root_type = message.types.get(message.root_type)
    if message.root != message.root_type or not isinstance(root_type, ComplexType):
        return None
    items = root_type.content.items
    only = items[0] if len(items) == 1 and root_type.content.kind == "sequence" else None
    return only if isinstance(only, ElementDefinition) and (only.minimum, only.maximum) == (1, 1) else None


def _entry(
    message: MessageDefinition, element: ElementDefinition | None, numbers: dict[str, dict[tuple[str, ...], int]]
) -> DefinitionEntry:
    variants = {}
    for name, definition in message.types.items():
        if element is None or name != message.root_type:
            number = numbers[name][tuple(type_lines(definition))]
            if number > 1:
                variants[name] = number
    root_type = message.root_type if element is None else element.type
    return DefinitionEntry(
        message.identifier,
        message.namespace,
        message.root,
        root_type,
        None if element is None else element.name,
        canonical_digest(message),
        variants,
    )


def _numbered(head: str, number: int) -> str:
    name, _, rest = head.partition(" ")
    return f"{name} {rest}" if number == 1 else f"{name}~{number} {rest}"
