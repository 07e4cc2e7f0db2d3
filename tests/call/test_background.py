"""Sounds behind the speech: sent ahead, mixed, taken back; and the ledger stays exact."""

from app.call.background import LEAD_MS, PIECE_MS
from app.call.comfort import COMFORT_AFTER_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan, SoundPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, marks, on_the_phone, say, speech, started

LOOP = SoundPlan(24_000)
"""Three seconds."""
ROOM = CallPlan(sounds={"ambience": LOOP, "hold": SoundPlan(16_000)})
PIECE = c.PlaySound(PIECE_MS * 8)


def in_the_room() -> CallMachine:
    """A call with ambience, at 0 ms."""
    return on_the_phone(ROOM)


def awake(machine: CallMachine, until_ms: int) -> list[tuple[int, c.Command]]:
    """What comes of every alarm until then, with its moment."""
    out: list[tuple[int, c.Command]] = []
    while (at_ms := machine.deadline_ms()) is not None and at_ms <= until_ms:
        out += [(at_ms, command) for command in machine.wake(at_ms)]
    return out


def test_ambience_is_heard_from_the_beginning() -> None:
    """W45: mixed into every frame, idle frames included."""
    machine = CallMachine(ROOM)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 0)

    assert machine.handle(e.StreamStarted("MZ1"), 100) == [c.SetSound("ambience"), PIECE]


def test_a_call_without_sounds_waits_for_none() -> None:
    """Nothing is paced where nothing has to be."""
    machine = on_the_phone()

    assert machine.handle(e.StreamStarted("MZ1"), 0) == []
    assert not [x for _, x in awake(machine, 9_000) if isinstance(x, c.PlaySound | c.SetSound)]


def test_the_sound_goes_on_and_never_far_ahead() -> None:
    """W46: between 200 and 600 ms lie at Twilio, however long it lasts; more could not be
    answered quickly, less would stutter."""
    machine = in_the_room()
    sent_ms, times = PIECE_MS, awake(machine, 9_900)

    for at_ms, command in times:
        if isinstance(command, c.PlaySound):
            assert sent_ms - at_ms == LEAD_MS
            sent_ms += command.length_bytes // 8
    assert sent_ms >= 9_900 + LEAD_MS - PIECE_MS
    assert len([1 for _, x in times if x == PIECE]) < 26


def test_words_are_not_kept_waiting_by_the_sound() -> None:
    """What lies ahead of it is taken back, and goes on under the words where it was."""
    machine = in_the_room()
    machine.handle(started(), 100)

    out = machine.handle(speech(100), 150)

    assert out[:2] == [c.ClearPlayback(), c.SetSound("ambience", 150 * 8)]
    assert kinds(out[2:]) == ["PlayAudio", "SendMark"]


def test_words_follow_words_without_a_clear() -> None:
    """Only sound is taken back, never speech; and nothing is paced while the agent speaks."""
    machine = in_the_room()
    machine.handle(started(), 100)
    machine.handle(speech(1_000), 150)

    assert set(kinds(machine.handle(speech(100), 160))) <= {"SendMark", "PlayAudio"}
    assert (machine.deadline_ms() or 0) >= 160 + 1_000


def test_after_the_words_the_sound_is_heard_alone() -> None:
    """It begins before they end, so that there is no hole between."""
    machine = in_the_room()
    machine.handle(started(), 100)
    say(machine, 1_000, 150)

    later = awake(machine, 2_000)

    assert later[0] == (150 + 1_000 - LEAD_MS, PIECE)


def test_a_sentence_that_stutters_meets_slivers() -> None:
    """Its next words come any moment, and must not find 400 ms of sound before them."""
    machine = in_the_room()
    machine.handle(started(), 100)
    machine.handle(speech(200), 150)

    pieces = [(at, x) for at, x in awake(machine, 500) if isinstance(x, c.PlaySound)]

    assert pieces[0] == (150 + 200 - 20, c.PlaySound(40 * 8))
    assert all(x == c.PlaySound(40 * 8) for _, x in pieces)


def test_speech_behind_unconfirmed_speech_is_fenced() -> None:
    """The mark of the last words is on its way back: a clear would make it say nothing. A mark
    behind the sound tells when the new words begin, so that none count as heard before."""
    machine = in_the_room()
    machine.handle(started(), 100)
    names = say(machine, 300, 150)
    machine.handle(done(), 200)
    awake(machine, 400)
    machine.handle(started("R2"), 410)

    out = machine.handle(speech(1_000, "B", "R2"), 420)

    assert c.ClearPlayback() not in out
    assert kinds(out)[:2] == ["SendMark", "PlayAudio"]
    fence = marks(out)[0]
    for name in names:
        machine.handle(e.MarkReturned(name), 500)
    cut = machine.handle(e.SpeechStarted("U"), 600)
    assert c.TruncateItem("B", 0, 0) in cut, "nothing was heard of it: the fence had not come back"
    assert fence not in names


def test_the_fence_is_where_hearing_begins() -> None:
    """As above, but the fence came back, 100 ms before the caller spoke."""
    machine = in_the_room()
    machine.handle(started(), 100)
    names = say(machine, 300, 150)
    machine.handle(done(), 200)
    awake(machine, 400)
    machine.handle(started("R2"), 410)
    out = machine.handle(speech(1_000, "B", "R2"), 420)
    for name in [*names, marks(out)[0]]:
        machine.handle(e.MarkReturned(name), 900)

    cut = machine.handle(e.SpeechStarted("U"), 1_000)

    assert c.TruncateItem("B", 0, 100) in cut


def test_barge_in_takes_the_words_and_leaves_the_sound() -> None:
    """The room does not fall silent because the caller speaks."""
    machine = in_the_room()
    machine.handle(started(), 100)
    names = marks(machine.handle(speech(2_000), 150))
    for name in names[:3]:
        machine.handle(e.MarkReturned(name), 640)

    cut = machine.handle(e.SpeechStarted("U"), 650)

    assert kinds(cut) == ["ClearPlayback", "TruncateItem", "SetSound", "PlaySound"]
    assert cut[1] == c.TruncateItem("A", 0, 3 * 198 + 10)
    assert cut[2] == c.SetSound("ambience", 650 * 8)


def test_the_caller_speaking_over_sound_alone_clears_nothing() -> None:
    """There is nothing to interrupt."""
    assert in_the_room().handle(e.SpeechStarted("U"), 650) == []


def test_a_sound_that_is_played_once_ends() -> None:
    """W46: loop is false for prompts."""
    machine = on_the_phone(CallPlan(sounds={"ambience": SoundPlan(5_000, loop=False)}))

    later = [x for _, x in awake(machine, 5_000) if isinstance(x, c.PlaySound | c.SetSound)]

    assert later == [c.PlaySound(5_000 - PIECE_MS * 8), c.SetSound("")]


def test_the_greeting_is_said_over_the_sound() -> None:
    """It was made before the caller came; the sound begins with it, not before."""
    machine = CallMachine(CallPlan("Hello.", sounds=ROOM.sounds))
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(started("R", "greeting"), 20)
    machine.handle(speech(400), 30)

    out = machine.handle(e.StreamStarted("MZ1"), 100)

    assert kinds(out)[:2] == ["SetSound", "PlayAudio"]
    assert c.ClearPlayback() not in out


def test_the_comfort_tone_lengthens_what_lies_ahead() -> None:
    """The line of the model is lost: the tone is heard over the room, and counted."""
    machine = in_the_room()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 0)

    later = awake(machine, 2_600)

    assert (COMFORT_AFTER_MS, c.PlayComfort()) in later
    sent_ms = PIECE_MS + 180 + sum(x.length_bytes // 8 for _, x in later if x == PIECE)
    assert sent_ms - 2_600 <= PIECE_MS + LEAD_MS
