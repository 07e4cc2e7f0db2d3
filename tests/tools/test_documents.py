"""Files become passages that say where they stand, or a sentence for their owner."""

from pathlib import Path

import pytest

from app.tools import documents
from app.tools.documents import PASSAGE_CHARS, Passage, Unreadable, listed, passages, problems

MARKDOWN = b"""Welcome.

# Returns

Within thirty days.

## Damaged *goods* ##

Replaced at
our cost.

```
# no heading
```

# Hours
Nine to six.
"""
HTML = b"""<html><head><title>Contoso</title><style>p {}</style></head><body>
<script>alert("no")</script><p>Welcome &amp; hello.</p>
<h1>Returns</h1><p>Within <b>thirty</b> days.<p>Not food.
<svg><text>nothing</text></svg><h2>Damaged</h2><ul><li>Replaced</ul></body>"""


def pdf(*texts: str) -> bytes:
    """A PDF with a page for each text."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(texts)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(texts):
        shown = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R"
            f" >> >> /Contents {5 + 2 * n} 0 R >>",
            f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        ]
    made, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n{one}\nendobj\n".encode()
    count = len(objects) + 1
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    made += f"xref\n0 {count}\n0000000000 65535 f \n{table}".encode()
    trailer = f"trailer\n<< /Size {count} /Root 1 0 R >>\n"
    start = made.index(b"xref\n")
    return made + f"{trailer}startxref\n{start}\n%%EOF\n".encode()


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (
            ".md",
            MARKDOWN,
            [
                ("", "Welcome."),
                ("Returns", "Within thirty days."),
                ("Returns > Damaged *goods*", "Replaced at our cost.\n``` # no heading ```"),
                ("Hours", "Nine to six."),
            ],
        ),
        (".txt", b"\xef\xbb\xbfA\n\nB  c\n", [("", "A\nB c")]),
        (
            ".html",
            HTML,
            [
                ("Contoso", "Welcome & hello."),
                ("Returns", "Within thirty days.\nNot food."),
                ("Damaged", "Replaced"),
            ],
        ),
        (".pdf", pdf("Hours", "Nine to six."), [("page 1", "Hours"), ("page 2", "Nine to six.")]),
    ],
    ids=["markdown", "text", "html", "pdf"],
)
def test_c16_a_file_is_passages_with_their_places(
    kind: str, data: bytes, expected: list[tuple[str, str]]
) -> None:
    """Headings or pages are what a citation names."""
    assert [(one.place, one.text) for one in passages(kind, data)] == expected


def test_c16_a_passage_is_short_whatever_the_file_is_like() -> None:
    """Whole sentences where there are any; nothing is lost."""
    text = "The goods are replaced. " * 200 + "x" * 3_000

    made = passages(".txt", text.encode())

    assert all(len(one.text) <= PASSAGE_CHARS for one in made)
    assert "".join("".join(one.text for one in made).split()) == "".join(text.split())
    assert made[0].text.endswith("replaced.")


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        (".txt", b"\xff\xfe\x00", "save it as UTF-8"),
        (".md", b" \n\n", "has no text"),
        (".pdf", b"not a pdf", "is no PDF that can be read"),
        (".pdf", b"", "is no PDF that can be read"),
        (".pdf", pdf(""), "a PDF of pictures?"),
        (
            ".pdf",
            pdf("x").replace(b"<< /Len", b"<< /Filter /Fl /Len"),
            "is no PDF that can be read",
        ),
        (".txt", b"words " * 400_000, "split it"),
        (".html", b"<p>Hours</p><![what[ x ]]>", "is no HTML that can be read"),
    ],
)
def test_c16_what_cannot_be_read_is_a_sentence(kind: str, data: bytes, sentence: str) -> None:
    """For whoever wrote the file."""
    with pytest.raises(Unreadable, match=sentence.replace("?", r"\?")):
        passages(kind, data)


def test_c16_a_cut_pdf_never_raises_anything_else() -> None:
    """Every truncation, and every byte changed somewhere."""
    whole = pdf("Hours", "Nine to six.")
    for cut in range(0, len(whole), 7):
        for data in (whole[:cut], whole[:cut] + b"\xff" + whole[cut + 1 :]):
            try:
                assert all(isinstance(one, Passage) for one in passages(".pdf", data))
            except Unreadable:
                continue


def test_c16_a_broken_file_takes_no_other_along(tmp_path: Path) -> None:
    """`check` names each; hidden files and other kinds in a folder are nobody's."""
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / ".git").mkdir()
    (docs / "deep" / "a.md").write_text("# A\nb")
    (docs / "broken.pdf").write_bytes(b"no")
    (docs / ".git" / "c.md").write_text("c")
    (docs / "logo.png").write_bytes(b"png")

    found, wrong = listed([docs, tmp_path / "gone.md", docs / "logo.png"])

    assert [one.name for one in found] == ["docs/broken.pdf", "docs/deep/a.md"]
    assert len(wrong) == 2
    said = problems([docs])
    assert len(said) == 1
    assert said[0].startswith('"docs/broken.pdf" is no PDF that can be read')


def test_c16_a_link_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    """Callers are told nothing that lies elsewhere; within the folder, links are files."""
    docs = tmp_path / "docs"
    (docs / ".data").mkdir(parents=True)
    (docs / ".data" / "a.md").write_text("a")
    (docs / "a.md").symlink_to(".data/a.md")
    (tmp_path / "wages.md").write_text("secret")
    (docs / "b.md").symlink_to(tmp_path / "wages.md")

    found, _ = listed([docs])

    assert [one.name for one in found] == ["docs/a.md"]


def test_c16_a_path_that_cannot_be_asked_takes_no_other_along(tmp_path: Path) -> None:
    """Whatever the file system refuses is a sentence, and not the end of the reading."""
    (tmp_path / "a.md").write_text("a")

    found, wrong = listed([tmp_path / ("x" * 300), tmp_path / "a.md"])

    assert [one.name for one in found] == ["a.md"]
    assert "cannot be read" in wrong[0]


def test_c16_size_and_count_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of everything is a mistake, and is said to be one."""
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("some words")
    monkeypatch.setattr(documents, "MOST_FILES", 2)

    found, wrong = listed([tmp_path])
    monkeypatch.setattr(documents, "MOST_TOGETHER_BYTES", 15)
    fewer, _ = listed([tmp_path])
    monkeypatch.setattr(documents, "MOST_BYTES", 5)

    assert (len(found), len(fewer)) == (2, 1)
    assert "of which the first 2 are read" in wrong[0]
    with pytest.raises(Unreadable, match="is larger than"):
        documents.content(tmp_path / "a.txt")
