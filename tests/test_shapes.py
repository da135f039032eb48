"""Messages of a known shape say exactly what they would say when read at length."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from random import Random

import pytest

from gateway.errors import InvalidMessage, UnreadableMessage
from gateway.messages import shapes
from gateway.messages.catalogue import Catalogue
from gateway.messages.data_files import data_directory
from gateway.messages.parsing import ParsedMessage
from gateway.messages.reading import Reader, parse_table
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.facts import Reply

from .documents import mutations, random_document

REPLIES = Path(__file__).parent / "messages" / "replies"
FAMILIES = (
    "sese.024",
    "sese.025",
    "sese.026",
    "sese.027",
    "setr.030",
    "setr.044",
    "admi.002",
    "semt.018",
    "semt.002",
    "camt.053",
)
HEAD = "urn:iso:std:iso:20022:tech:xsd:head.001.001.02"


class Readers:
    """A reader whose ways of reading can be compared: by shape, and at length."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.validator = Validator(catalogue)
        tables = [parse_table(file.read_text(), file.name) for file in (data_directory() / "reading").glob("*.read")]
        self.reader = Reader(self.validator, catalogue, tables)
        self.shapes = self.reader._shapes
        self.read_at_length = 0
        extract = self.shapes._extract

        def counted(parsed: ParsedMessage, later: bool) -> Reply:
            self.read_at_length += 1
            return extract(parsed, later)

        self.shapes._extract = counted

    def learn(self, content: bytes) -> None:
        """Read a message until its shape is known, if it ever will be."""
        for _ in range(shapes._PATIENCE):
            self.reader.read(content)

    def knows(self, content: bytes) -> bool:
        """Say whether a message is read by its shape."""
        before = self.read_at_length
        self.reader.read(content)
        return self.read_at_length == before

    def agree(self, content: bytes) -> None:
        """Check that a message says the same both ways, if it is one: an invalid message gets to neither."""
        try:
            parsed = self.validator.parse(content)
        except UnreadableMessage:
            return
        if self.validator.is_valid(parsed):
            at_length = said(lambda: self.reader.extract(parsed))
            assert said(lambda: self.shapes.read(content, parsed)) == at_length, content.decode("utf-8", "replace")


def said(read: Callable[[], Reply]) -> object:
    try:
        return read()
    except UnreadableMessage as error:
        return error.code, error.violations


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return load_catalogue(tmp_path_factory.mktemp("schemas"))


@pytest.fixture
def readers(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> Readers:
    monkeypatch.setattr(shapes, "_PATIENCE", 3)
    return Readers(catalogue)


def example(name: str = "sese.025.001.12_partial") -> bytes:
    return (REPLIES / f"{name}.xml").read_bytes()


def enclosed(document: bytes, header_values: tuple[str, str] = ("M1", "2026-03-12T08:15:30Z")) -> bytes:
    """Put a document into an envelope with a header."""
    message_id, created = header_values
    party = "<FIId><FinInstnId><BICFI>CSDXDEFFXXX</BICFI></FinInstnId></FIId>"
    header = (
        f'<AppHdr xmlns="{HEAD}"><Fr>{party}</Fr><To>{party}</To><BizMsgIdr>{message_id}</BizMsgIdr>'
        f"<MsgDefIdr>sese.025.001.12</MsgDefIdr><CreDt>{created}</CreDt></AppHdr>"
    )
    body = re.sub(rb"^<\?xml[^>]*\?>\s*", b"", document)
    return b'<?xml version="1.0" encoding="UTF-8"?><E>' + header.encode() + body + b"</E>"


_LEAF = re.compile(rb">([^<>]+)</")
_ODD = (
    *(b"a&amp;b", b"&#65;", b"a>b", b"]]&gt;", b"<![CDATA[A]]>", b"<![CDATA[<a>]]>", b"A<!-- c -->B", b"A<?p?>B"),
    *(b"", b" ", b" 1 ", b"A\r\nB", b"A\nB", "Zürich 漢字 😀".encode(), b"\xff", b"\x00", b"&undeclared;", b"x" * 36),
    *(b"0", b"-1", b"1.50", b"1e3", b"NaN", b"RECE", b"DELI", b"FREE", b"APMT", b"ZZZZ", b"true", b"1", b"EUR"),
    *(b"2026-02-30", b"2026-02-28", b"2026-02-28Z", b"2026-02-28+01:00", b"2026-02-28T24:00:00", b"12026-03-12"),
    *(
        b"2026-02-28T08:00:00",
        b"2026-02-28T08:00:00.123456789-05:00",
        b"9999-12-31T23:00:00-05:00",
        b"<x/>",
        b"<a>b</a>",
    ),
)


def with_other_values(content: bytes, rng: Random, number: int) -> bytes:
    """Return a message of the same markup, as far as the values let it be, with some other values."""
    places = [match.span(1) for match in _LEAF.finditer(content)]
    values = [content[start:end] for start, end in places]
    for start, end in sorted(rng.sample(places, min(number, len(places))), reverse=True):
        content = content[:start] + rng.choice((*_ODD, *rng.sample(values, min(5, len(values))))) + content[end:]
    return content


@pytest.mark.parametrize("definition", FAMILIES)
def test_any_values_in_a_known_shape_are_read_as_at_length(
    catalogue: Catalogue, readers: Readers, definition: str
) -> None:
    rng = Random(definition)
    names = [name for name in catalogue.definitions() if name.startswith(definition)]
    known = 0
    for seed in range(8):
        name = rng.choice(names)
        content = random_document(catalogue, name, Random(seed), richness=(0.1, 0.5, 0.9)[seed % 3], most_elements=120)
        content = re.sub(rb"&[a-z]+;|[\r]", b"+", content if seed % 2 else enclosed(content))
        readers.learn(content)
        readers.agree(content)
        known += readers.knows(content)
        for _ in range(30):
            readers.agree(with_other_values(content, rng, rng.choice((1, 1, 2, 4))))
        for _, mutated in list(mutations(content, rng))[::3]:
            readers.agree(mutated)
    assert known >= 4  # the others have values that are only understood at length


@pytest.mark.parametrize("file", sorted(REPLIES.glob("*.xml")), ids=lambda file: file.stem)
def test_every_example_has_a_shape(readers: Readers, file: Path) -> None:
    content, rng = file.read_bytes(), Random(file.stem)
    plain = re.sub(rb"<!--.*?-->", b"", content, flags=re.DOTALL).replace(b"&", b"+")
    readers.learn(plain)
    readers.agree(plain)
    readers.agree(content)
    for _ in range(20):
        readers.agree(with_other_values(plain, rng, 1))


def test_new_values_are_read_by_the_shape(readers: Readers) -> None:
    content = example()
    readers.learn(content)
    other = content.replace(b"70543.20", b"1.25").replace(b"2026-03-12", b"2026-03-13").replace(b"40022-917", b"7>6")
    assert readers.knows(content)
    assert readers.knows(other)
    readers.agree(other)


def test_facts_read_by_a_shape_are_facts_like_others(readers: Readers) -> None:
    readers.learn(example())
    reply, parsed = readers.reader.read(example()), readers.validator.parse(example())
    assert hash(reply) == hash(readers.reader.extract(parsed))
    assert pickle.loads(pickle.dumps(reply)) == reply
    assert type(reply) is Reply
    with pytest.raises(FrozenInstanceError):
        reply.facts[0][1].isin = "X"  # type: ignore[misc, union-attr]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"40022-917", b"40022&amp;917"),
        (b"40022-917", b"40022<!-- -->917"),
        (b"40022-917", b"<![CDATA[40022-917]]>"),
        (b'Ccy="EUR">70543.20', b'Ccy="USD">70543.20'),
        (b"PAIN", b"PARC<!---->"),
        (b"</Document>", b"</Document ><!-- <Document/> -->"),
        (b"<AppHdr ", b"<AppHdr  "),
    ],
)
def test_other_markup_is_no_known_shape(readers: Readers, old: bytes, new: bytes) -> None:
    content = example()
    readers.learn(content)
    other = content.replace(old, new)
    assert other != content
    assert not readers.knows(other)
    readers.agree(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("<RequestPayload>", '<RequestPayload a="x>y">'),
        lambda text: text.replace("<RequestPayload>", "<RequestPayload a='/>'>"),
        lambda text: text.replace("<RequestPayload>", "<RequestPayload><!-- a -->"),
        lambda text: text.replace("<RequestPayload>", "<RequestPayload><?a b?>"),
        lambda text: text.replace("<RequestPayload>", "<RequestPayload><![CDATA[ ]]>"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("UTF-8", "windows-1252"),
        lambda text: text.replace("\n", "\r\n"),
    ],
)
def test_what_the_pattern_could_mistake_is_never_learned(readers: Readers, change: Callable[[str], str]) -> None:
    content = example().decode()
    text = change(content)
    assert text != content
    for _ in range(10):
        readers.reader.read(text.encode())
    assert not readers.knows(text.encode())
    readers.agree(text.encode())


def test_text_in_another_encoding_is_not_mistaken(readers: Readers) -> None:
    content = example().replace(b"UTF-8", b"windows-1252")
    readers.learn(content)
    readers.agree(content.replace(b"40022-917", "Zürich".encode("windows-1252")))
    readers.agree(content.replace(b"40022-917", "Zürich".encode()))


def test_wrong_value_in_a_known_shape_is_refused(readers: Readers) -> None:
    readers.learn(example())
    with pytest.raises(InvalidMessage) as refused:
        readers.reader.read(example().replace(b"70543.20", b"70543.2O"))
    assert [violation.code for violation in refused.value.violations] == ["value_type"]


def test_limits_hold_for_known_shapes(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_PATIENCE", 1)
    content = example()
    tables = [parse_table(file.read_text(), file.name) for file in (data_directory() / "reading").glob("*.read")]
    reader = Reader(Validator(catalogue, max_bytes=len(content)), catalogue, tables)
    reader.read(content)
    with pytest.raises(UnreadableMessage) as refused:
        reader.read(content.replace(b"40022-917", b"40022-9179"))
    assert refused.value.code == "xml_too_large"


def test_a_shape_is_learned_only_after_many_messages_and_few_are_kept(catalogue: Catalogue) -> None:
    readers = Readers(catalogue)
    content = example()
    for _ in range(shapes._PATIENCE - 1):
        readers.reader.read(content)
    assert not readers.reader._shapes._known
    readers.reader.read(content)
    assert readers.knows(content)


def test_what_strangers_send_is_bounded(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_STRANGERS", 20)
    monkeypatch.setattr(shapes, "_PATIENCE", 1)
    known = readers.reader._shapes
    block = b"<SplmtryData><Envlp><a xmlns='urn:a'/></Envlp></SplmtryData>"
    for number in range(60):
        content = example().replace(b"</SctiesSttlmTxConf>", block * (number % 40) + b"</SctiesSttlmTxConf>")
        for spaces in range(1 + 12 * (number == 7)):
            readers.reader.read(content.replace(b"</AppHdr>", b"</AppHdr" + b" " * spaces + b">"))
    assert len(known._known) <= shapes._OUTLINES
    assert max(map(len, known._known.values())) <= shapes._ALIKE
    monkeypatch.setattr(shapes, "_PATIENCE", 100)
    known._known.clear()
    for number in range(60):
        readers.reader.read(example().replace(b"</SctiesSttlmTxConf>", block * number + b"</SctiesSttlmTxConf>"))
    assert len(known._strangers) <= 21
    long = example().replace(b"</SctiesSttlmTxConf>", block * 300 + b"</SctiesSttlmTxConf>")
    readers.reader.read(long)
    assert (len(long) > shapes._LONGEST, len(known._strangers) <= 21) == (True, True)
