"""Files of the operator's, read into passages that can be quoted: Markdown, text, HTML, PDF.

A passage is short enough to be read on the telephone and says where it stands: under which
headings, or on which page. Rule: a file that cannot be read is a sentence for its owner, and
takes no other file along. Everything here blocks and belongs into a thread.
"""

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

KINDS = (".md", ".markdown", ".txt", ".html", ".htm", ".pdf")
MOST_FILES = 1_000
MOST_BYTES = 20 << 20
"""Of a file."""
MOST_TOGETHER_BYTES = 200 << 20
MOST_CHARS = 2_000_000
"""Of the text of a file."""
MOST_PAGES = 2_000
PASSAGE_CHARS = 1_000
"""At most; most are shorter, because a heading or a page ends them."""

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r"\s*(```|~~~)")
_PLACE_CHARS = 200

Section = tuple[str, str]
"""Where it stands, and its text."""


class Unreadable(Exception):
    """A file cannot be read; the message is a sentence for its owner."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document."""

    place: str
    """The headings it stands under, or its page; empty where there are none."""
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is to be read."""

    path: Path
    name: str
    """As it is quoted: from the folder on that the operator named."""


def listed(paths: Iterable[Path]) -> tuple[list[Found], list[str]]:
    """The files at these paths and in these folders, and what is wrong: sentences."""
    found: dict[Path, Found] = {}
    wrong: list[str] = []
    for path in paths:
        try:
            files = sorted(_files(path))
            if not path.exists():
                wrong.append(f'"{path.name}" is not there')
        except OSError as exc:
            wrong.append(f'"{path.name}" cannot be read: {exc.strerror}')
            continue
        for file in files:
            name = file.relative_to(path.parent).as_posix()
            if path.is_file() and file.suffix.lower() not in KINDS:
                wrong.append(f'"{name}" is of no kind that can be read: {", ".join(KINDS)}')
            elif file.suffix.lower() in KINDS:
                found.setdefault(file, Found(file, name))
    kept = _bounded(found.values())
    if len(kept) < len(found):
        wrong.append(
            f"there are {len(found)} files, of which the first {len(kept)} are read: at most"
            f" {MOST_FILES} may be, and {MOST_TOGETHER_BYTES >> 20} MB in all"
        )
    return kept, wrong


def content(path: Path) -> bytes:
    """Its bytes. Raises Unreadable."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unreadable(f"is larger than {MOST_BYTES >> 20} MB")
        return path.read_bytes()
    except OSError as exc:
        raise Unreadable(f"cannot be read: {exc.strerror}") from None


def passages(kind: str, data: bytes) -> list[Passage]:
    """The text of a file of this kind (a suffix), in its order. Raises Unreadable."""
    reader = {".pdf": _pdf, ".html": _html, ".htm": _html, ".txt": _text}.get(kind, _markdown)
    made: list[Passage] = []
    chars = 0
    for place, text in reader(data):
        for piece in _pieces(text):
            made.append(Passage(place[:_PLACE_CHARS], piece))
            chars += len(piece)
        if chars > MOST_CHARS:
            raise Unreadable(f"has more than {MOST_CHARS:,} characters of text: split it")
    if not made:
        hint = " (a PDF of pictures? have its text recognised first)" if kind == ".pdf" else ""
        raise Unreadable(f"has no text in it{hint}")
    return made


def problems(paths: Iterable[Path]) -> list[str]:
    """What is wrong with these files, each in a sentence that names it."""
    found, wrong = listed(paths)
    for one in found:
        try:
            passages(one.path.suffix.lower(), content(one.path))
        except Unreadable as fault:
            wrong.append(f'"{one.name}" {fault}')
    return wrong


def _bounded(found: Iterable[Found]) -> list[Found]:
    kept: list[Found] = []
    left = MOST_TOGETHER_BYTES
    for one in found:
        left -= _size(one.path)
        if left < 0 or len(kept) == MOST_FILES:
            break
        kept.append(one)
    return kept


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # Gone since it was listed: who reads it says so.


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        home = path.resolve()
        for file in path.rglob("*"):
            inside = file.relative_to(path).parts
            hidden = any(part.startswith(".") for part in inside)
            # A link in the folder may not lead out of it: what is there is not for callers.
            if file.is_file() and not hidden and file.resolve().is_relative_to(home):
                yield file


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text: save it as UTF-8") from None


def _text(data: bytes) -> Iterator[Section]:
    yield "", _decoded(data)


def _markdown(data: bytes) -> Iterator[Section]:
    headings: list[str] = []
    lines: list[str] = []
    fenced = False
    for line in _decoded(data).splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        yield " > ".join(filter(None, headings)), "\n".join(lines)
        depth = len(heading[1])
        above = [*headings, *([""] * depth)][: depth - 1]
        headings = [*above, heading[2]]
        lines = []
    yield " > ".join(filter(None, headings)), "\n".join(lines)


class _Page(HTMLParser):
    """The text of a page, under its headings."""

    SILENT = frozenset({"script", "style", "template", "noscript", "svg"})
    FLOWING = frozenset({"a", "abbr", "b", "code", "em", "i", "q", "small", "span", "strong", "u"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[Section] = []
        self._place = ""
        self._words: list[str] = []
        self._heading: list[str] | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Headings begin a section, blocks a paragraph."""
        if tag in self.SILENT:
            self._silent += 1
        elif tag == "title" or re.fullmatch("h[1-6]", tag):
            self.ended()
            self._heading = []
        elif tag not in self.FLOWING:
            self._words.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        """A heading is where what follows stands."""
        if tag in self.SILENT:
            self._silent = max(0, self._silent - 1)
        elif self._heading is not None and (tag == "title" or re.fullmatch("h[1-6]", tag)):
            self._place, self._heading = " ".join("".join(self._heading).split()), None

    def handle_data(self, data: str) -> None:
        """Text, unless nobody reads it."""
        if not self._silent:
            (self._words if self._heading is None else self._heading).append(data)

    def ended(self) -> None:
        """What was read stands under the last heading."""
        self.sections.append((self._place, "".join(self._words)))
        self._words = []


def _html(data: bytes) -> Iterator[Section]:
    page = _Page()
    try:
        page.feed(_decoded(data))
        page.close()
    except AssertionError:
        # The parser's word for a section like <![x[ that HTML does not have.
        raise Unreadable("is no HTML that can be read") from None
    page.ended()
    yield from page.sections


def _pdf(data: bytes) -> Iterator[Section]:
    # Half a second of imports, which only who has a PDF waits for, in a thread.
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import DeprecationError, PyPdfError  # noqa: PLC0415

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("needs a password")
        for number, page in enumerate(reader.pages[:MOST_PAGES], 1):
            yield f"page {number}", page.extract_text()
    except (
        *(
            PyPdfError,
            DeprecationError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
        ),
        *(OSError, RecursionError, AssertionError, ArithmeticError, NotImplementedError),
    ) as exc:
        # Not what the format allows; pypdf then raises whatever came of that.
        raise Unreadable(f"is no PDF that can be read ({type(exc).__name__})") from None


def _pieces(text: str) -> Iterator[str]:
    """A text in passages, whole paragraphs where they are short enough."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "")
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text):
        for part in _short(" ".join(paragraph.split())):
            if piece and len(piece) + len(part) + 1 > PASSAGE_CHARS:
                yield piece
                piece = ""
            piece = f"{piece}\n{part}" if piece else part
    if piece:
        yield piece


def _short(paragraph: str) -> Iterator[str]:
    while len(paragraph) > PASSAGE_CHARS:
        head = paragraph[:PASSAGE_CHARS]
        cut = max(head.rfind(". ") + 1, head.rfind("? ") + 1, head.rfind("! ") + 1)
        cut = cut if cut > PASSAGE_CHARS // 2 else max(head.rfind(" "), 0) or PASSAGE_CHARS
        yield paragraph[:cut].strip()
        paragraph = paragraph[cut:].strip()
    if paragraph:
        yield paragraph
