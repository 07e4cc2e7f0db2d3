"""The ledger of what was sent and what was heard, literally."""

from base64 import b64decode

import pytest

from app.call.playout import Heard, Playout
from app.protocol import commands as c
from app.protocol.units import bytes_of_b64
from tests.call.words import marks, of_bytes, speech

PIECE_BYTES = 198 * 8


def sent(commands: list[c.Command]) -> list[c.PlayAudio]:
    return [command for command in commands if isinstance(command, c.PlayAudio)]


def gaps_ms(commands: list[c.Command]) -> list[float]:
    """Audio between each mark and the one before it, and after the last."""
    gaps, unmarked = [], 0
    for command in commands:
        if isinstance(command, c.PlayAudio):
            unmarked += command.length_bytes
        else:
            gaps.append(unmarked / 8)
            unmarked = 0
    return [*gaps, unmarked / 8]


def test_a_short_delta_is_sent_as_it_came_and_marked_at_once() -> None:
    """The first mark of a burst tells when the caller began to hear."""
    delta = speech(60)

    commands = Playout().speak(delta, 0)

    assert commands == [c.PlayAudio(delta.payload_b64, 480), c.SendMark("g0:1", 60)]
    assert sent(commands)[0].payload_b64 is delta.payload_b64


def test_only_the_first_delta_of_a_burst_is_marked_at_once() -> None:
    """A mark per delta would be a message per delta for nothing."""
    playout = Playout()
    playout.speak(speech(60), 0)

    second = playout.speak(speech(100), 20)
    third = playout.speak(speech(100), 40)
    fourth = playout.speak(speech(20), 60)

    assert marks(second) == []
    assert marks(third) == []
    assert fourth == [c.SendMark("g0:2", 200), c.PlayAudio(speech(20).payload_b64, 160)]


@pytest.mark.parametrize(
    "length_bytes", [1, 7, 159, 160, 1583, 1584, 1585, 1599, 1600, 1601, 3200, 16_001, 240_000]
)
def test_marks_are_never_more_than_200_ms_apart(length_bytes: int) -> None:
    """`D-OAJ-2`: with a mark per delta, a delta of two seconds was truncated at 50 ms."""
    playout = Playout()
    commands: list[c.Command] = []

    for _ in range(max(3, 5_000 // length_bytes)):
        commands += playout.speak(of_bytes(length_bytes), 0)
    commands += playout.finish()

    assert max(gaps_ms(commands)) <= 200
    assert gaps_ms(commands)[-1] == 0
    assert len(set(marks(commands))) == len(marks(commands))


@pytest.mark.parametrize("length_bytes", [1585, 1586, 1587, 3168, 3169, 8_000, 100_003])
def test_long_deltas_are_cut_where_base64_can_be_cut(length_bytes: int) -> None:
    """A cut inside a group of four characters would be noise; 24 bytes are 32 characters."""
    delta = of_bytes(length_bytes)

    pieces = sent(Playout().speak(delta, 0))

    assert all(piece.length_bytes == PIECE_BYTES for piece in pieces[:-1])
    assert all(len(piece.payload_b64) % 32 == 0 for piece in pieces[:-1])
    assert [len(b64decode(p.payload_b64, validate=True)) for p in pieces] == [
        p.length_bytes for p in pieces
    ]
    assert sum(bytes_of_b64(p.payload_b64) for p in pieces) == length_bytes
    assert "".join(p.payload_b64 for p in pieces) == delta.payload_b64


def test_finishing_marks_what_is_unmarked_and_only_that() -> None:
    """Without a last mark nobody would know when the caller heard the end."""
    playout = Playout()
    playout.speak(speech(60), 0)

    assert playout.finish() == []
    playout.speak(speech(50), 0)
    assert playout.finish() == [c.SendMark("g0:2", 50)]
    assert playout.finish() == []


def test_the_ledger_is_idle_only_when_the_last_mark_is_back() -> None:
    """Generation ends seconds before playback does."""
    playout = Playout()
    names = marks(playout.speak(speech(500), 0) + playout.finish())

    assert len(names) == 3
    assert [(playout.returned(name, 500), playout.idle) for name in names] == [
        (True, False),
        (True, False),
        (True, True),
    ]


def test_unmarked_audio_keeps_the_ledger_busy() -> None:
    """All marks may be back while the last piece still plays."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(60), 0))
    playout.speak(speech(60), 0)

    playout.returned(first, 60)

    assert not playout.idle


def test_the_clock_tells_between_marks_and_stops_at_the_next_one() -> None:
    """The caller cannot have heard what Twilio has not confirmed."""
    playout = Playout()
    first, second, _ = marks(playout.speak(speech(500), 0) + playout.finish())

    assert [playout.heard_ms(now) for now in (0, 100, 198, 400)] == [0, 100, 198, 198]
    playout.returned(first, 300)
    assert [playout.heard_ms(now) for now in (300, 350, 498, 900)] == [198, 248, 396, 396]
    playout.returned(second, 510)
    assert [playout.heard_ms(now) for now in (510, 560, 2_000)] == [396, 446, 500]


def test_the_clock_never_passes_what_was_sent() -> None:
    """A slow model leaves the line silent; silence is not heard speech."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(60), 0))
    playout.speak(speech(60), 10)
    playout.returned(first, 70)

    assert playout.heard_ms(1_000) == 120


def test_an_underrun_moves_the_clock_to_the_next_delta() -> None:
    """`D-TS-4`: time without audio must not count as heard."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(100), 0))
    playout.returned(first, 120)

    playout.speak(speech(100), 1_000)

    assert playout.heard_ms(1_040) == 140


def test_a_mark_that_comes_late_does_not_turn_the_clock_back() -> None:
    """Heard time never runs backwards, however late the echo."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(100), 0))
    playout.speak(speech(100), 150)
    before_ms = playout.heard_ms(400)

    playout.returned(first, 400)

    assert before_ms == 100
    assert playout.heard_ms(400) == 100
    assert playout.heard_ms(450) == 150


def test_a_mark_confirms_every_mark_before_it() -> None:
    """Twilio plays in order, so an echo that got lost is no loss."""
    playout = Playout()
    *_, last = marks(playout.speak(speech(500), 0) + playout.finish())

    assert playout.returned(last, 480)
    assert playout.idle


@pytest.mark.parametrize("name", ["g0:99", "responsePart", "", "g1:1"])
def test_a_mark_that_is_not_ours_says_nothing(name: str) -> None:
    """`D-DEMO-1`: marks without names are no proof of anything."""
    playout = Playout()
    playout.speak(speech(500), 0)

    assert not playout.returned(name, 100)
    assert playout.heard_ms(100) == 100


def test_a_mark_says_something_only_once() -> None:
    """Twilio repeats nothing, but a proxy may."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(60), 0))

    assert playout.returned(first, 60)
    assert not playout.returned(first, 61)


def test_echoes_of_cleared_marks_are_ignored() -> None:
    """`D-TS-2`, `D-OAP-2`: the echoes of a `clear` counted as audio of the next answer."""
    playout = Playout()
    old = marks(playout.speak(speech(2_000, "A"), 0) + playout.finish())
    playout.interrupt(500)
    new = marks(playout.speak(speech(2_000, "B"), 600))

    assert not any(playout.returned(name, 610) for name in old)
    assert playout.heard_ms(700) == 100
    assert playout.interrupt(700) == [Heard("R", "B", 0, 100, 2_000)]
    assert not set(old) & set(new)
    assert all(name.startswith("g1:") for name in new)


def test_an_interruption_before_the_first_mark_counts_what_the_clock_says() -> None:
    """`D-OAP-1`: without an echo yet, nothing was truncated and the model believed it all."""
    playout = Playout()
    playout.speak(speech(3_000), 0)
    for at_ms, name in ((198, "g0:1"), (396, "g0:2"), (594, "g0:3"), (792, "g0:4")):
        playout.returned(name, at_ms)

    assert playout.interrupt(900) == [Heard("R", "A", 0, 900, 3_000)]


def test_without_a_single_echo_only_the_first_piece_can_have_been_heard() -> None:
    """`D-OAP-1`: the very first echo is late by the network, never by the delta's length."""
    playout = Playout()
    playout.speak(speech(3_000), 0)

    assert playout.interrupt(150) == [Heard("R", "A", 0, 150, 3_000)]


def test_the_audible_item_is_cut_where_it_was_heard_and_the_queued_one_at_nothing() -> None:
    """`D-TS-1`, `D-OAP-3`, `D-PC-1`, `D-TRA-1`: A plays, B waits; only A was heard."""
    playout = Playout()
    names = marks(playout.speak(speech(10_000, "A"), 0) + playout.speak(speech(1_000, "B"), 0))
    heard_of_a = names[: 7_000 // 198]
    for index, name in enumerate(heard_of_a):
        playout.returned(name, (index + 1) * 198)

    assert playout.interrupt(7_000) == [
        Heard("R", "A", 0, 7_000, 10_000),
        Heard("R", "B", 0, 0, 1_000),
    ]


def test_an_item_that_was_heard_whole_is_not_cut() -> None:
    """`D-TS-1`: the one behind it is the one that is playing."""
    playout = Playout()
    playout.speak(speech(100, "A"), 0)
    (end_of_a,) = marks(playout.finish()) or ["g0:1"]
    playout.speak(speech(1_000, "B"), 0)
    playout.returned(end_of_a, 100)

    assert playout.interrupt(150) == [Heard("R", "B", 0, 50, 1_000)]


def test_content_parts_are_counted_by_themselves() -> None:
    """`D-TS-1`: a truncation names a part, and its length is that part's."""
    playout = Playout()
    playout.speak(speech(150, "A", content_index=0), 0)
    playout.speak(speech(400, "A", content_index=1), 0)
    playout.returned("g0:1", 150)

    assert playout.interrupt(250) == [Heard("R", "A", 1, 100, 400)]


def test_what_was_heard_of_an_item_grows_from_part_to_part() -> None:
    """The record tells items: the second part must not take back what was heard of the first."""
    playout = Playout()
    playout.speak(speech(150, "A", content_index=0), 0)
    playout.speak(speech(400, "A", content_index=1), 0)
    playout.speak(speech(100, "B"), 0)

    assert playout.so_far(100) == {"A": 100, "B": 0}
    playout.returned("g0:1", 150)
    assert playout.so_far(250) == {"A": 250, "B": 0}


def test_items_that_take_turns_are_each_counted_whole() -> None:
    """A, B, A: what was heard of A is the sum of its pieces, not the last one."""
    playout = Playout()
    names: list[str] = []
    for item in ("A", "B", "A"):
        names += marks(playout.speak(speech(200, item), 0))
    names += marks(playout.finish())
    for name in names[:-1]:
        playout.returned(name, 400)

    assert playout.interrupt(450) == [Heard("R", "A", 0, 250, 400)]


def test_what_was_heard_before_a_pause_of_the_models_still_counts() -> None:
    """An item whose audio stutters would be truncated as if it had begun at the last delta."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(200), 0))
    playout.returned(first, 210)
    assert playout.idle

    playout.speak(speech(200), 1_000)

    assert playout.interrupt(1_100) == [Heard("R", "A", 0, 300, 400)]


def test_an_item_that_goes_on_is_cut_where_its_audio_stopped_coming() -> None:
    """All that came was heard, but more is on its way and will be muted: it was not said."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(200), 0))
    playout.returned(first, 210)

    assert playout.idle
    assert playout.interrupt(300) == [Heard("R", "A", 0, 200, 200)]


def test_an_item_that_ended_and_was_heard_is_not_cut() -> None:
    """There is nothing to correct in the model's memory."""
    playout = Playout()
    (first,) = marks(playout.speak(speech(200), 0))
    playout.finish()
    playout.returned(first, 210)

    assert playout.interrupt(300) == []


def test_nothing_is_cut_twice() -> None:
    """Afterwards the ledger is empty, and the next answer begins at nothing."""
    playout = Playout()
    playout.speak(speech(1_000), 0)
    playout.interrupt(100)

    assert playout.interrupt(200) == []
    assert playout.idle
    assert playout.heard_ms(300) == 0


def test_the_ledger_knows_whose_audio_is_unheard() -> None:
    """`D-TAC-2`: an interruption mutes these responses as a whole."""
    playout = Playout()
    playout.speak(speech(100, "A", "R1"), 0)
    playout.speak(speech(300, "B", "R2"), 0)

    assert playout.responses == {"R1", "R2"}
    playout.returned("g0:1", 100)
    assert playout.responses == {"R2"}


def test_an_item_of_many_deltas_is_one_item() -> None:
    """`D-TAC-1`: heard and sent are counted over all of them."""
    playout = Playout()
    names: list[str] = []
    for _ in range(10):
        names += marks(playout.speak(speech(100), 0))
    for index, name in enumerate(names[:3]):
        playout.returned(name, (100, 300, 500)[index])

    assert playout.interrupt(550) == [Heard("R", "A", 0, 550, 1_000)]


def test_an_item_heard_whole_by_the_clock_alone_is_not_cut() -> None:
    """Its last echo is still on the way, but there is nothing left of it to play."""
    playout = Playout()
    playout.speak(speech(100, "A"), 0)
    playout.finish()
    playout.speak(speech(1_000, "B"), 0)

    assert playout.interrupt(110) == [Heard("R", "B", 0, 0, 1_000)]


def test_every_pause_of_the_models_is_counted_over() -> None:
    """An item that stutters three times has been heard three times as long."""
    playout = Playout()
    for at_ms in (0, 1_000, 2_000):
        (name,) = marks(playout.speak(speech(150), at_ms))
        playout.returned(name, at_ms + 160)
    playout.speak(speech(150), 3_000)

    assert playout.interrupt(3_050) == [Heard("R", "A", 0, 500, 600)]
    assert playout.interrupt(3_060) == []


def test_an_item_that_goes_on_and_still_plays_is_counted_once() -> None:
    """What was heard before the pause and what plays now are the same part."""
    playout = Playout()
    (name,) = marks(playout.speak(speech(150), 0))
    playout.speak(speech(150), 0)
    playout.returned(name, 150)

    assert playout.interrupt(200) == [Heard("R", "A", 0, 200, 300)]
