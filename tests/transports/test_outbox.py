"""What waits to be written while a peer does not read."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from app.transports.outbox import LIMIT_CHARS, Outbox

BIG = "a" * (LIMIT_CHARS // 4)


class Wire:
    """A transport that takes so many messages and is full then."""

    def __init__(
        self, *, drop_oldest: bool, room: int = 1_000_000, limit_chars: int = LIMIT_CHARS
    ) -> None:
        self.written: list[str] = []
        self.room = room
        self.outbox = Outbox(self._write, drop_oldest=drop_oldest, limit_chars=limit_chars)

    def _write(self, text: str) -> None:
        self.written.append(text)
        self.room -= 1
        if self.room == 0:
            self.outbox.pause()


def test_a_free_line_is_written_at_once() -> None:
    """No queue hop that is not needed."""
    wire = Wire(drop_oldest=True)

    assert wire.outbox.audio("a1")
    wire.outbox.control("c1")

    assert wire.written == ["a1", "c1"]


def test_a_full_line_keeps_the_order() -> None:
    """A mark before its audio would say that it was heard."""
    wire = Wire(drop_oldest=True, room=1)
    for text in ("a1", "a2"):
        wire.outbox.audio(text)
    wire.outbox.control("c1")
    wire.outbox.audio("a3")
    assert wire.written == ["a1"]

    wire.room = 100
    wire.outbox.resume()

    assert wire.written == ["a1", "a2", "c1", "a3"]
    wire.outbox.audio("a4")
    assert wire.written[-1] == "a4"


def test_a_line_that_fills_up_again_stops_in_between() -> None:
    """Writing on into a full transport is what the pause is for."""
    wire = Wire(drop_oldest=True, room=1)
    for n in range(5):
        wire.outbox.audio(f"a{n}")

    wire.room = 2
    wire.outbox.resume()
    wire.outbox.audio("a5")

    assert wire.written == ["a0", "a1", "a2"]
    wire.room = 100
    wire.outbox.resume()
    assert wire.written == ["a0", "a1", "a2", "a3", "a4", "a5"]


def test_a_slow_model_loses_the_oldest_sound() -> None:
    """Old sound is worth nothing to a model that is late."""
    wire = Wire(drop_oldest=True)
    wire.outbox.pause()
    for n in range(6):
        assert wire.outbox.audio(f"{n}{BIG[1:]}")

    wire.outbox.resume()

    assert [text[0] for text in wire.written] == ["2", "3", "4", "5"]
    assert wire.outbox.dropped == 2


def test_as_much_goes_as_must_make_room() -> None:
    """One long silence is worth many frames; the newest sound is what the model needs."""
    wire = Wire(drop_oldest=True, limit_chars=10)
    wire.outbox.pause()
    for text in ("a", "bb", "ccc", "dddd", "eeeeee"):
        wire.outbox.audio(text)
    wire.outbox.control("c1")

    wire.outbox.resume()

    assert wire.written == ["dddd", "eeeeee", "c1"]
    assert wire.outbox.dropped == 3


def test_a_message_larger_than_the_bound_is_not_kept() -> None:
    """Ten seconds of silence for a model that does not listen."""
    wire = Wire(drop_oldest=True, limit_chars=10)
    wire.outbox.pause()
    wire.outbox.audio("a" * 11)
    wire.outbox.audio("b")

    wire.outbox.resume()

    assert wire.written == ["b"]


class Counted(deque[tuple[int, str]]):
    """A queue that counts how many of its entries were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for entry in super().__iter__():
            self.looked_at += 1
            yield entry

    def __getitem__(self, index: Any) -> Any:
        self.looked_at += 1
        return super().__getitem__(index)


def test_dropping_sound_does_not_look_at_control_again() -> None:
    """A thousand waiting messages must not make every later frame a thousand times as dear."""
    wire = Wire(drop_oldest=True, limit_chars=10)
    wire.outbox._control = control = Counted()
    wire.outbox.pause()
    for n in range(1_000):
        wire.outbox.control(f"c{n}")
    for _ in range(1_000):
        wire.outbox.audio("a" * 10)

    assert wire.outbox.dropped == 999
    assert control.looked_at == 0


def test_control_is_never_lost() -> None:
    """A truncation or a tool's output has no second chance."""
    wire = Wire(drop_oldest=True)
    wire.outbox.pause()
    wire.outbox.control("first")
    for n in range(20):
        wire.outbox.audio(BIG)
        wire.outbox.control(f"c{n}")

    wire.outbox.resume()

    assert [text for text in wire.written if text != BIG] == [
        "first",
        *(f"c{n}" for n in range(20)),
    ]


def test_a_caller_line_that_is_not_read_is_given_up() -> None:
    """Dropping the middle of a sentence is worse than ending a dead line."""
    wire = Wire(drop_oldest=False)
    wire.outbox.pause()

    assert [wire.outbox.audio(BIG) for _ in range(5)] == [True] * 4 + [False]
    assert wire.outbox.dropped == 0


def test_behind_a_clear_no_old_speech_is_sent() -> None:
    """The caller interrupted; what waits would be played after the clear."""
    wire = Wire(drop_oldest=False)
    wire.outbox.pause()
    wire.outbox.audio("a1")
    wire.outbox.control("mark")
    wire.outbox.audio("a2")
    wire.outbox.drop_audio()
    wire.outbox.control("clear")
    wire.outbox.audio("a3")

    wire.outbox.resume()

    assert wire.written == ["mark", "clear", "a3"]
    assert wire.outbox.dropped == 2


def test_what_was_dropped_makes_room() -> None:
    """The bound counts what waits, not what ever waited."""
    wire = Wire(drop_oldest=False)
    wire.outbox.pause()
    for _ in range(4):
        wire.outbox.audio(BIG)
    wire.outbox.drop_audio()

    assert [wire.outbox.audio(BIG) for _ in range(4)] == [True] * 4


def test_what_was_written_makes_room() -> None:
    """A line that stutters for an hour is still alive."""
    wire = Wire(drop_oldest=False)
    for _ in range(10):
        wire.outbox.pause()
        assert all(wire.outbox.audio(BIG) for _ in range(4))
        wire.outbox.resume()
