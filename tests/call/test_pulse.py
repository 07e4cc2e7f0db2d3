"""A model that hears nothing any more, behind a socket that lives."""

from itertools import pairwise

import pytest

from app.call.machine import CallMachine
from app.call.model_link import ATTEMPT_MS
from app.call.noise import LATER_MS
from app.call.patience import PATIENCE_MS
from app.call.plan import CallPlan
from app.call.prompts import RESUMED
from app.call.pulse import PROBE_AFTER_MS, PROBE_ANSWER_MS
from app.call.responses import HEARD_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, on_the_phone, say, speech, started, tool_call

Acts = list[tuple[int, c.Command]]
ASK = c.AskAlive()
NEWS_OF_THE_MODEL: list[e.Event] = [
    e.ModelAlive(),
    e.ModelError("unknown", "alive"),
    e.SpeechStarted("U"),
    e.SpeechStopped("U"),
    e.CallerTranscribed("U", "Hello?"),
    started(),
    speech(100),
    e.SpeechText("R", "A", 0, ""),
]
NEWS_OF_THE_CALLER: list[e.Event] = [
    e.CallerDigit("1"),
    e.CallStillUp(),
    e.MarkReturned("g0:1"),
    frame(21_000),
]


def hold(machine: CallMachine, begin_ms: int, end_ms: int, *, answers: bool = False) -> Acts:
    """The line is open and brings frames: what is commanded meanwhile, and when.

    ``answers``: a healthy model that has nothing to say but that it is there.
    """
    acts: Acts = []
    for now_ms in range(begin_ms, end_ms, 20):
        if not machine.passes(frame(now_ms), now_ms):
            machine.handle(frame(now_ms), now_ms)
        deadline_ms = machine.deadline_ms()
        if deadline_ms is None or deadline_ms > now_ms:
            continue
        out = machine.wake(now_ms)
        acts += [(now_ms, x) for x in out if not isinstance(x, c.PlayComfort)]
        if answers and ASK in out:
            machine.handle(e.ModelAlive(), now_ms + 10)
    return acts


def listening(*, speaking: bool) -> CallMachine:
    """A call in which nobody is owed anything: the caller speaks, or nobody does."""
    machine = on_the_phone()
    if speaking:
        machine.handle(e.SpeechStarted("U"), 0)
    return machine


@pytest.mark.parametrize("speaking", [True, False])
def test_a_mute_model_is_noticed_where_nobody_is_owed_words(speaking: bool) -> None:
    """Ten minutes of a caller's frames led to nothing: dead air for ever."""
    machine = listening(speaking=speaking)

    acts = hold(machine, 0, 600_000)

    mute_ms = PROBE_AFTER_MS + PROBE_ANSWER_MS
    assert acts == [
        (PROBE_AFTER_MS, ASK),
        (mute_ms, c.CloseModel()),
        (mute_ms, c.OpenModel(ATTEMPT_MS)),
        (mute_ms + PATIENCE_MS, c.CloseModel()),
        (mute_ms + PATIENCE_MS, c.FailOver()),
        (mute_ms + PATIENCE_MS + 10_000, c.EndStream("model_failed")),
    ]


@pytest.mark.parametrize("speaking", [True, False])
def test_another_line_takes_the_place_of_a_mute_one(speaking: bool) -> None:
    """The caller is asked to say it again rather than left alone."""
    machine = listening(speaking=speaking)
    hold(machine, 0, 24_010)

    out = machine.handle(e.ModelReady("sess_2"), 24_100)

    # What the mute line was told is heard by this one, which may find a turn in it.
    assert set(map(type, out)) == {c.AppendAudio}
    assert machine.wake(24_100 + HEARD_MS)[-1] == RESUMED


def test_a_second_line_that_is_mute_is_the_last() -> None:
    """It was asked to speak and did not: what follows is nobody's third attempt."""
    machine = listening(speaking=False)
    hold(machine, 0, 24_010)
    machine.handle(e.ModelReady("sess_2"), 24_100)

    acts = hold(machine, 24_120, 40_000)

    assert (24_000 + PATIENCE_MS, c.FailOver()) in acts


def test_a_healthy_model_is_only_asked_while_the_caller_speaks() -> None:
    """A long story; what never pauses is no story (``noise``)."""
    machine = listening(speaking=True)

    acts = hold(machine, 0, LATER_MS, answers=True)

    assert [command for _, command in acts] == [ASK]


def test_a_healthy_model_is_only_asked() -> None:
    """A silent caller: nothing but a question now and then."""
    machine = listening(speaking=False)

    acts = hold(machine, 0, 600_000, answers=True)

    assert {command for _, command in acts} == {ASK}
    moments = [at_ms for at_ms, _ in acts]
    gaps = {after - before for before, after in pairwise(moments)}
    assert all(PROBE_AFTER_MS <= gap <= PROBE_AFTER_MS + 20 for gap in gaps)
    assert len(moments) in (29, 30)


@pytest.mark.parametrize("event", NEWS_OF_THE_MODEL, ids=lambda x: type(x).__name__)
def test_any_word_of_the_model_answers_the_question(event: e.Event) -> None:
    """An error is a sign of life, too; what else it means is decided elsewhere."""
    machine = on_the_phone()
    assert ASK in machine.wake(PROBE_AFTER_MS)
    machine.handle(event, PROBE_AFTER_MS + 3_000)

    out = machine.wake(PROBE_AFTER_MS + PROBE_ANSWER_MS)

    assert not [x for x in out if isinstance(x, c.OpenModel | c.FailOver)]


@pytest.mark.parametrize("event", NEWS_OF_THE_CALLER, ids=lambda x: type(x).__name__)
def test_the_callers_line_says_nothing_about_the_model(event: e.Event) -> None:
    """A live telephone in front of a dead model is what has to be noticed."""
    machine = on_the_phone()
    assert ASK in machine.wake(PROBE_AFTER_MS)
    machine.handle(event, PROBE_AFTER_MS + 500)

    assert c.OpenModel(ATTEMPT_MS) in machine.wake(PROBE_AFTER_MS + PROBE_ANSWER_MS)


def test_speech_sets_no_alarm() -> None:
    """The deadline is not looked at after audio and words."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(100), 0)
    before_ms = machine.deadline_ms()

    for now_ms in range(100, 1_000, 100):
        machine.handle(speech(100), now_ms)
        machine.handle(e.SpeechText("R", "A", 0, "word "), now_ms)
        assert machine.deadline_ms() == before_ms


def test_nobody_is_asked_while_there_is_no_line() -> None:
    """Opening another one has its own patience."""
    machine = on_the_phone()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 19_000)

    assert ASK not in machine.wake(PROBE_AFTER_MS)


def test_a_line_is_listened_to_again_after_a_refused_transfer() -> None:
    """Nobody is asked while the caller is being taken away; the line must not be forgotten."""
    machine = on_the_phone(CallPlan(targets=("billing",)))
    machine.handle(started(), 11_000)
    names = say(machine, 100, 11_000)
    machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 11_100)
    machine.handle(done(), 11_200)
    assert machine.handle(e.MarkReturned(names[-1]), 11_300) == [c.Transfer("billing")]
    assert ASK not in machine.wake(20_000)
    machine.handle(e.TransferRefused("busy"), 20_500)
    machine.handle(started("R2", "tool_result"), 20_600)
    names = say(machine, 100, 20_700, item_id="B", response_id="R2")
    machine.handle(done("R2"), 20_800)
    machine.handle(e.MarkReturned(names[-1]), 20_900)

    acts = hold(machine, 21_000, 60_000)

    assert acts[0] == (40_800, ASK)
    assert (40_800 + PROBE_ANSWER_MS, c.OpenModel(ATTEMPT_MS)) in acts
