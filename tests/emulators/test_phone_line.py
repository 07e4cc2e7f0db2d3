"""The play-out clock: the truth every statement about what a caller heard is measured by."""

from hypothesis import given
from hypothesis import strategies as st

from app.emulators.phone_line import PhoneLine

SECOND = bytes([0x10]) * 8000


def test_audio_is_heard_at_exactly_eight_bytes_a_millisecond() -> None:
    """A truncation is judged against this number, so it may not be off by a byte."""
    line = PhoneLine(now_ms=1000.0)

    line.play(SECOND, 1000.0)

    for elapsed_ms in (0, 1, 20, 499, 999):
        line.advance(1000.0 + elapsed_ms)
        assert line.chunks[0].heard_bytes == elapsed_ms * 8
    line.advance(1000.125)
    assert line.heard_bytes == 999 * 8, "time that runs backwards is no time"
    line.advance(5000.0)
    assert line.heard_bytes == 8000


def test_audio_sent_early_waits_for_what_was_sent_before() -> None:
    """Faster than real time is how models send; the second chunk starts when the first ends."""
    line = PhoneLine(now_ms=0.0)

    line.play(SECOND, 0.0)
    line.play(SECOND, 10.0)
    line.advance(1500.0)

    assert [chunk.started_at_ms for chunk in line.chunks] == [0.0, 1000.0]
    assert [chunk.heard_bytes for chunk in line.chunks] == [8000, 4000]
    assert line.buffered_ms(1500.0) == 500.0


def test_silence_between_two_bursts_is_kept_in_the_timeline() -> None:
    """The stereo recording must show the gap where the caller heard nothing."""
    line = PhoneLine(now_ms=0.0)

    line.play(b"\x01" * 80, 0.0)
    line.advance(30.0)
    line.play(b"\x02" * 80, 30.0)
    line.advance(50.0)

    assert line.heard == b"\x01" * 80 + b"\xff" * 160 + b"\x02" * 80 + b"\xff" * 80
    assert line.heard_ms == 20


def test_a_mark_returns_the_moment_its_audio_was_played() -> None:
    """A mark is the only thing a server learns about playback."""
    line = PhoneLine(now_ms=0.0)

    line.play(SECOND, 0.0)
    assert line.mark("a", 0.0) == []
    line.play(SECOND, 0.0)
    assert line.mark("b", 0.0) == []

    assert line.next_mark_at_ms() == 1000.0
    assert line.advance(999.9) == []
    assert line.advance(1000.0) == ["a"]
    assert line.next_mark_at_ms() == 2000.0
    assert line.advance(9000.0) == ["b"]
    assert line.next_mark_at_ms() is None


def test_a_mark_on_an_empty_line_returns_at_once() -> None:
    """Nothing to wait for is not a reason to wait."""
    line = PhoneLine(now_ms=0.0)

    assert line.mark("a", 5.0) == ["a"]
    line.play(b"\x01" * 8, 5.0)
    assert line.mark("b", 7.0) == ["b"]


def test_a_mark_behind_played_audio_returns_with_the_marks_before_it() -> None:
    """Order of marks is order of audio, also when they fall due in one call."""
    line = PhoneLine(now_ms=0.0)
    line.play(b"\x01" * 80, 0.0)
    line.mark("a", 0.0)

    assert line.mark("b", 10.0) == ["a", "b"]


def test_clear_stops_the_ear_in_mid_chunk_and_returns_every_mark() -> None:
    """D-TS-1: what comes back after a clear was not heard, and the ledger must know."""
    line = PhoneLine(now_ms=0.0)
    line.play(SECOND, 0.0)
    line.mark("a", 0.0)
    line.play(SECOND, 0.0)
    line.mark("b", 0.0)

    assert line.clear(400.0) == ["a", "b"]

    line.advance(5000.0)
    assert [chunk.heard_bytes for chunk in line.chunks] == [3200, 0]
    assert line.chunks[1].started_at_ms is None
    assert line.heard[:3200] == SECOND[:3200]
    assert set(line.heard[3200:]) == {0xFF}
    assert line.clear(5000.0) == []


def test_audio_after_a_clear_starts_at_once() -> None:
    """The answer to an interruption must not wait for what was interrupted."""
    line = PhoneLine(now_ms=0.0)
    line.play(SECOND, 0.0)
    line.clear(100.0)

    line.play(b"\x02" * 80, 120.0)
    line.advance(200.0)

    assert line.chunks[1].started_at_ms == 120.0
    assert line.heard == SECOND[:800] + b"\xff" * 160 + b"\x02" * 80 + b"\xff" * 560


def test_more_than_ten_minutes_ahead_is_discarded() -> None:
    """Twilio's warning 31931: the tail of a long answer sent unpaced is simply gone."""
    line = PhoneLine(now_ms=0.0)

    assert line.play(bytes(600_000 * 8), 0.0) == 0
    assert line.play(SECOND, 0.0) == 8000
    assert line.play(SECOND, 250.0) == 6000
    assert line.discarded_bytes == 14_000


def test_a_line_without_memory_still_counts() -> None:
    """A bench with hundreds of calls needs figures, not ten minutes of bytes each."""
    line = PhoneLine(now_ms=0.0, keep_audio=False)

    line.play(SECOND, 0.0)
    line.advance(500.0)

    assert line.heard_bytes == 4000
    assert line.chunks == []
    assert line.heard == b""


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["play", "mark", "clear", "advance"]),
            st.integers(0, 3000),
            st.integers(0, 400),
        ),
        max_size=40,
    ),
    st.floats(0, 1e9),
)
def test_whatever_happens_the_ear_hears_no_more_than_was_sent_and_time_passed(
    moves: list[tuple[str, int, int]], origin_ms: float
) -> None:
    """Heard ≤ sent, heard ≤ elapsed, every mark returned exactly once, timeline and sums agree."""
    line = PhoneLine(now_ms=origin_ms)
    now, sent, asked, returned = origin_ms, 0, [], []
    for index, (move, size, wait_ms) in enumerate(moves):
        now += wait_ms
        if move == "play":
            sent += size
            returned += line.advance(now)
            line.play(b"\x01" * size, now)
        elif move == "mark":
            asked.append(f"m{index}")
            returned += line.mark(f"m{index}", now)
        elif move == "clear":
            returned += line.clear(now)
        else:
            returned += line.advance(now)
        assert line.heard_bytes <= sent
        assert line.heard_bytes <= (now - origin_ms) * 8 + 1
    returned += line.clear(now)

    assert returned == asked
    assert line.heard.count(b"\x01") == line.heard_bytes
    assert sum(chunk.heard_bytes for chunk in line.chunks) == line.heard_bytes
