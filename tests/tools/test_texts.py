"""What a model may have sent: read, measured and refused without a telephone."""

import orjson
import pytest

from app.tools.callback import Refused
from app.tools.texts import Text, asked, reason_of, segments, told_of, why


def wanted(**given: object) -> str:
    """Arguments as a model writes them."""
    return orjson.dumps(given).decode()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_segments_are_counted_as_networks_do(text: str, count: int) -> None:
    """An operator pays for each of them."""
    assert segments(text) == count


def test_the_caller_is_meant_where_nobody_is_named() -> None:
    """W71: the usual case needs no word about it."""
    assert asked(wanted(text=" Main St 1 "), ("caller",), {}, 3) == Text("Main St 1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{", "not complete JSON"),
        ("[]", "not complete JSON"),
        (wanted(), "Write in text"),
        (wanted(text="  "), "Write in text"),
        (wanted(text=["x"]), "Write in text"),
        (wanted(text="x", to="+33612345678"), "one of: caller, desk"),
        (wanted(text="x", to="boss"), "one of: caller, desk"),
        (wanted(text="x", media="https://evil.test/a.png"), "one of: map"),
        (wanted(text="x" * 307), "at most 306"),
        (wanted(text="ж" * 135), "at most 134"),
        (wanted(text="x" * 1_601), "too long"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(arguments: str, words: str) -> None:
    """Neither a number nor an address of the model's gets anywhere (W68, W69, W71)."""
    with pytest.raises(Refused, match=words):
        asked(arguments, ("caller", "desk"), {"map"}, 2)


def test_signs_that_nobody_sees_are_left_out() -> None:
    """A message holds what can be read."""
    assert asked(wanted(text="a\x00b\x1b\nc"), ("caller",), {}, 1).body == "ab\nc"


def test_every_reason_has_words_the_model_can_use() -> None:
    """W74: it is the model who has to tell the caller."""
    codes = (21610, 30006, 21614, 21211, 21408, 30003, 30005, 99999, None)
    said = {why(reason_of(code, "not_sent")) for code in codes}

    assert len(said) == 6
    assert orjson.loads(told_of(None))["ok"] is True
    assert "do not send it again" in orjson.loads(told_of("unclear"))["reason"].casefold()
