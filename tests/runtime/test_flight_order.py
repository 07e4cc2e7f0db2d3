"""Replay is exact in whatever order the telephone network brings its frames."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from app.call.plan import CallPlan, RecordingPlan
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.units import FRAME_MS
from app.runtime.replay import Moment, replay
from tests.call.words import frame, marks, speech, started
from tests.runtime.test_flight_log import Recorder

NOTICE = CallPlan("Hello.", recording=RecordingPlan("This is recorded."))
PLANS = st.sampled_from([CallPlan(), NOTICE])
JUMPS_MS = st.sampled_from([0, 0, 0, 0, -5, 5, -20, -40, -1_000, 20, 35, 900, -20_000, 30_000])
"""How far a timestamp is from the expected one: duplicates, jitter, gaps, another clock."""

Step = Callable[["Line"], None]


class Line:
    """A call being recorded, and where its telephone line is."""

    def __init__(self, folder: str, plan: CallPlan) -> None:
        self.recorder = Recorder(Path(folder) / "call.jsonl", plan)
        self.machine = self.recorder.machine
        self.opening = "notice" if plan.recording else "greeting"
        self.now_ms = 0
        self.timestamp_ms = 0
        self.heard: list[c.Command] = []
        self.marks: list[str] = []
        self.machine.begin(0)
        self.machine.handle(e.ModelReady("sess_1"), 0)
        self.machine.handle(e.StreamStarted("MZ1"), 0)

    def frames(self, jump_ms: int, count: int, length_ms: int = FRAME_MS) -> None:
        """Frames in a row, the first of them ``jump_ms`` away from where it should be."""
        at_ms = max(0, self.timestamp_ms + jump_ms)
        for _ in range(count):
            self.now_ms += FRAME_MS
            self.heard += self.machine.handle(frame(at_ms, length_ms), self.now_ms)
            at_ms += length_ms
        self.timestamp_ms = max(at_ms, self.timestamp_ms)

    def wait(self, elapsed_ms: int) -> None:
        """Time goes by, and alarms ring."""
        until_ms = self.now_ms + elapsed_ms
        while (due_ms := self.machine.deadline_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(due_ms, self.now_ms)
            self.heard += self.machine.wake(self.now_ms)
        self.now_ms = until_ms

    def happens(self, event: e.Event) -> None:
        """Something else than a frame."""
        commands = self.machine.handle(event, self.now_ms)
        self.marks += marks(commands)
        self.heard += commands

    def replayed(self) -> list[Moment]:
        """The call decided again."""
        self.recorder.log.close()
        return list(replay(self.recorder.path))


def frames() -> st.SearchStrategy[Step]:
    def step(jump_ms: int, count: int, length_ms: int) -> Step:
        return lambda line: line.frames(jump_ms, count, length_ms)

    return st.builds(step, JUMPS_MS, st.integers(1, 6), st.sampled_from([20, 20, 20, 10, 60]))


def others() -> st.SearchStrategy[Step]:
    def step(event: e.Event) -> Step:
        return lambda line: line.happens(event)

    events = [
        e.SpeechStarted("U"),
        e.SpeechStopped("U"),
        speech(40),
        e.SpeechText("R", "A", 0, "Hello"),
        e.ModelLineLost(1006, "abnormal"),
        e.ModelReady("sess_2"),
        e.StreamStarted("MZ1"),
    ]
    return st.builds(step, st.sampled_from(events))


def greet(line: Line) -> None:
    """The model says its first words, which may be shielded."""
    line.happens(started("R", line.opening))
    line.happens(speech(40))
    line.happens(e.ResponseDone("R", "completed"))


def hear(line: Line) -> None:
    """A mark comes back: the last of an announcement lifts the shield."""
    if line.marks:
        line.happens(e.MarkReturned(line.marks.pop(0)))


def pauses() -> st.SearchStrategy[Step]:
    def step(elapsed_ms: int) -> Step:
        return lambda line: line.wait(elapsed_ms)

    return st.builds(step, st.sampled_from([100, 800, 3_000]))


STEPS = st.lists(
    st.one_of(frames(), frames(), others(), st.just(greet), st.just(hear), pauses()), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(PLANS, STEPS)
def test_whatever_order_frames_come_in_the_replay_is_exact(
    plan: CallPlan, script: list[Step]
) -> None:
    """Late, twice, with gaps and between other things: the log must lose none of it."""
    with TemporaryDirectory() as folder:
        line = Line(folder, plan)
        for step in script:
            step(line)

        moments = line.replayed()

    assert [moment for moment in moments if not moment.same] == []
    assert _frames_of(moments) == _heard_of(line.heard)


def _heard_of(commands: list[c.Command]) -> int:
    return sum(isinstance(command, c.AppendAudio) for command in commands)


def _frames_of(moments: list[Moment]) -> int:
    """How many frames the model was given, by what the log says."""
    return sum(
        (moment.what[3] if moment.what[0] == "frames" else 1)
        * sum(command[0] == "AppendAudio" for command in moment.replayed)
        for moment in moments
        if moment.what[0] != "speech"
    )


def test_a_frame_that_comes_twice_between_runs_is_logged_between_them(tmp_path: Path) -> None:
    """Found by the property: the second run overwrote what the log had not asked for yet."""
    line = Line(str(tmp_path), CallPlan())
    line.frames(0, 5)
    line.frames(-80, 1)
    line.frames(0, 5)
    line.frames(-180, 1)
    line.frames(0, 5)

    moments = line.replayed()

    assert all(moment.same for moment in moments)
    assert _frames_of(moments) == 15


def test_a_frame_that_is_heard_although_it_was_not_is_reported(tmp_path: Path) -> None:
    """What a run of frames led to is compared like everything else."""
    line = Line(str(tmp_path), NOTICE)
    greet(line)
    line.frames(0, 5)
    hear(line)
    line.frames(0, 5)
    line.recorder.log.close()
    path = line.recorder.path
    path.write_bytes(path.read_bytes().replace(b'[["AppendSilence",20]]', b'[["AppendAudio"]]'))

    different = [moment for moment in replay(path) if not moment.same]

    assert [(m.what[0], m.recorded, m.replayed) for m in different] == [
        ("frames", [["AppendAudio"]], [["AppendSilence", 20]])
    ]


def test_the_line_of_a_deaf_machine_differs(tmp_path: Path) -> None:
    """Frames that were heard and now lead to nothing are a difference, not a silence."""
    line = Line(str(tmp_path), CallPlan())
    line.frames(0, 5)
    line.recorder.log.close()
    path = line.recorder.path
    deaf = [text for text in path.read_bytes().splitlines() if b"ModelReady" not in text]
    path.write_bytes(b"\n".join(deaf) + b"\n")

    different = [moment for moment in replay(path) if not moment.same]

    assert [moment.replayed for moment in different if moment.what[0] == "frames"] == [[], []]
