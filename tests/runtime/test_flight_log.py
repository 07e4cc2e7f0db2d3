"""The flight log: a call written down, decided again, and what is reported when it differs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import orjson
import pytest

from app.call.machine import CallMachine
from app.call.plan import BillPlan, CallPlan, DigitsPreset, Memory, SilencePlan, ToolPlan
from app.call.prices import PRICES
from app.protocol import commands as c
from app.protocol import events as e
from app.runtime.flight_log import BEGIN, FLUSH_BYTES, FRAMES, WAKE, FlightLog, Hangar, plain
from app.runtime.replay import FlightFault, replay
from tests.call.test_machine import EVERYTHING
from tests.call.words import frame, speech, started
from tests.properties.test_call_machine import Call, what_happens

PLAN = CallPlan(
    "Hello.",
    tools={"look_up": ToolPlan("One moment."), "slow": ToolPlan()},
    targets=("billing", "Front Desk"),
    server_interrupts=False,
    silence=SilencePlan(5_000, ("Are you there?",), 2, "billing"),
    filler_after_ms=4_000,
    max_call_ms=1_800_000,
    bill=BillPlan(PRICES["gpt-realtime-2.1"], "own", 1_000_000, 7),
    memories=(Memory("user", "Hi."), Memory("tool", "42", "T0", "look_up", "{}")),
)


class Logged(CallMachine):
    """A machine that is written down as a runner would."""

    def __init__(self, plan: CallPlan, log: FlightLog) -> None:
        super().__init__(plan)
        self._log = log
        log.take_passed = self.take_passed

    def begin(self, now_ms: int) -> list[c.Command]:
        commands = super().begin(now_ms)
        self._log.moment(now_ms, [BEGIN], commands)
        return commands

    def wake(self, now_ms: int) -> list[c.Command]:
        commands = super().wake(now_ms)
        self._log.moment(now_ms, [WAKE], commands)
        return commands

    def handle(self, event: e.Event, now_ms: int) -> list[c.Command]:
        if isinstance(event, e.CallerAudio) and self.passes(event, now_ms):
            return [c.AppendAudio(event.payload_b64)]
        commands = super().handle(event, now_ms)
        if isinstance(event, e.CallerAudio):
            self._log.frame(now_ms, event, commands)
        elif isinstance(event, e.SpeechAudio):
            self._log.speech(now_ms, event, commands)
        else:
            self._log.event(now_ms, event, commands)
        return commands


class Recorder:
    """A log in a file, without the thread."""

    def __init__(self, path: Path, plan: CallPlan = PLAN) -> None:
        self.path = path
        self.log = FlightLog("call", plan, self._append)
        self.machine = Logged(plan, self.log)

    def _append(self, _name: str, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def lines(self) -> list[bytes]:
        self.log.close()
        return self.path.read_bytes().splitlines()


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "call.jsonl")


def short_call(recorder: Recorder) -> None:
    machine = recorder.machine
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 40)
    machine.handle(started("R", "greeting"), 60)
    machine.handle(e.StreamStarted("MZ1"), 80)
    for n in range(10):
        machine.handle(frame(n * 20), 80 + n * 20)
    machine.handle(speech(1_000), 290)
    machine.handle(e.SpeechStarted("U"), 400)
    machine.handle(e.ResponseDone("R", "cancelled", "turn_detected", e.Usage(1, 2, 3, 4, 5)), 410)
    machine.handle(frame(500), 600)
    machine.handle(e.SpeechStopped("U"), 700)
    machine.wake(10_100)
    machine.handle(e.StreamStopped(), 10_200)


def test_a_recorded_call_is_decided_the_same_again(recorder: Recorder) -> None:
    """Every bug that a caller met can be met again at a desk."""
    short_call(recorder)
    recorder.log.close()

    moments = list(replay(recorder.path))

    assert all(moment.same for moment in moments)
    assert moments[-1].replayed == [["EndStream", "caller_hangup"]]


@pytest.mark.parametrize("seed", [*range(25), 3209])
def test_random_calls_are_decided_the_same_again(tmp_path: Path, seed: int) -> None:
    """Whatever happens in a call: losses, tools, interruptions, transfers, alarms."""
    recorder = Recorder(tmp_path / "call.jsonl")
    luck = Random(seed)
    call = Call(PLAN)
    call.machine = recorder.machine
    call.server.pending.clear()
    call.obey(recorder.machine.begin(0))
    call.feed(e.StreamStarted("MZ1"))
    for _ in range(250):
        what_happens(luck)(call)
    recorder.log.close()

    different = [moment for moment in replay(recorder.path) if not moment.same]

    assert different == []


def test_every_event_and_command_survives_the_log(recorder: Recorder) -> None:
    """A new field that cannot be written would be a log that cannot be read."""
    recorder.machine.begin(0)
    for n, event in enumerate(EVERYTHING):
        recorder.machine.handle(event, n * 10)
    recorder.log.close()

    assert all(moment.same for moment in replay(recorder.path))


def test_regular_frames_are_one_line(recorder: Recorder) -> None:
    """An hour of audio must not be 180,000 lines."""
    machine = recorder.machine
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 0)
    machine.handle(e.StreamStarted("MZ1"), 0)
    for n in range(1_000):
        machine.handle(frame(n * 20), n * 20)

    last = orjson.loads(recorder.lines()[-1])

    assert last == [19_980, [FRAMES, 20, 20, 999], [["AppendAudio"]]]


def test_there_is_no_audio_in_the_log(recorder: Recorder) -> None:
    """What a caller's voice sounds like is nobody's to keep."""
    short_call(recorder)

    text = b"".join(recorder.lines())

    assert frame(0).payload_b64.encode() not in text
    assert b"AAAA" not in text
    assert plain(c.PlayAudio("AAAA", 3)) == ["PlayAudio", 3]


@pytest.mark.parametrize("spare", [1, 2, 10])
def test_a_log_that_was_cut_is_read_up_to_there(recorder: Recorder, spare: int) -> None:
    """A process that is killed leaves half a line; what came before is still worth reading."""
    short_call(recorder)
    recorder.log.close()
    whole = recorder.path.read_bytes()
    count = len(list(replay(recorder.path)))
    recorder.path.write_bytes(whole[: -1 - spare])
    moments = replay(recorder.path)

    for _ in range(count - 1):
        assert next(moments).same
    with pytest.raises(FlightFault, match=f"line {count + 1} is not JSON"):
        next(moments)


def _plans(line: bytes) -> bytes:
    return line.replace(b'"greeting":"Hello."', b'"greeting":"Goodbye."')


def _names(line: bytes) -> bytes:
    return line.replace(b"caller_hangup", b"stream_lost")


def _numbers(line: bytes) -> bytes:
    return line.replace(b'"TruncateItem","A",0,110', b'"TruncateItem","A",0,111')


@pytest.mark.parametrize("change", [_plans, _names, _numbers])
def test_a_changed_decision_is_reported(
    recorder: Recorder, change: Callable[[bytes], bytes]
) -> None:
    """The moment that differs is where the bug, or its repair, shows."""
    short_call(recorder)
    lines = recorder.lines()
    changed = [change(line) for line in lines]
    assert changed != lines
    recorder.path.write_bytes(b"\n".join(changed) + b"\n")

    different = [moment for moment in replay(recorder.path) if not moment.same]

    assert len(different) == 1
    assert different[0].recorded != different[0].replayed


def hopeless() -> Iterator[bytes]:
    yield b""
    yield b"\n"
    yield b"[]\n"
    yield b'"flight"\n'
    yield b'{"flight":99,"plan":{}}\n'
    yield b"\xff\xfe\n"


@pytest.mark.parametrize("text", list(hopeless()), ids=repr)
def test_what_is_no_flight_log_is_said_to_be_none(tmp_path: Path, text: bytes) -> None:
    """A sentence with a line number, not a traceback."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(text)

    with pytest.raises(FlightFault, match="line 1"):
        list(replay(path))


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"7",
        b"[1]",
        b"[1,[],[]]",
        b'[1,["Nonsense"],[]]',
        b'[1,["MarkReturned"],[]]',
    ],
    ids=repr,
)
def test_a_line_that_is_no_moment_is_named(recorder: Recorder, line: bytes) -> None:
    """Hand-made logs, and those of other versions."""
    recorder.machine.begin(0)
    recorder.log.close()
    with recorder.path.open("ab") as file:
        file.write(line + b"\n")

    with pytest.raises(FlightFault, match="line 3"):
        list(replay(recorder.path))


def test_a_long_log_is_handed_over_in_pieces(recorder: Recorder) -> None:
    """A killed process loses one piece, and memory stays small."""
    recorder.machine.begin(0)
    for n in range(500):
        recorder.machine.handle(e.CallerTranscribed(f"U{n}", "word " * 20), n)

    assert recorder.path.stat().st_size > FLUSH_BYTES


def test_the_directory_keeps_logs_to_itself(tmp_path: Path) -> None:
    """They hold what was said."""
    hangar = Hangar(tmp_path / "flights")
    hangar.open()
    hangar.write("call-1", b"one\n")
    hangar.write("call-1", b"two\n")
    hangar.close()

    assert hangar.path("call-1").read_bytes() == b"one\ntwo\n"
    assert hangar.path("call-1").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "flights").stat().st_mode & 0o777 == 0o700


def test_a_disk_that_fails_costs_the_log_and_not_the_call(tmp_path: Path) -> None:
    """Counted, so that somebody can notice."""
    hangar = Hangar(tmp_path / "gone")
    hangar.write("call-1", b"one\n")
    hangar.close()

    assert hangar.dropped == 1


PIN = CallPlan(presets={"pin": DigitsPreset(num_digits=4, sensitive=True)})


def keyed(
    *, name: str = "pin", first: str = "12", then: str = "34", asks: bool = True
) -> tuple[str, FlightLog]:
    """The log of a call in which something is keyed in, half of it before it is asked for.

    Unless the response ``asks``, it is over before the first key."""
    written: list[bytes] = []
    machine = CallMachine(PIN)
    flight = FlightLog("a-1", PIN, lambda _name, data: written.append(data))
    flight.private_key = lambda: machine.private_key
    flight.private_turn = lambda: machine.private_turn
    flight.moment(0, ["begin"], machine.begin(0))

    def feed(event: e.Event, now_ms: int) -> None:
        flight.event(now_ms, event, machine.handle(event, now_ms))
        if isinstance(event, e.CallerDigit):
            flight.flush()

    for event in (e.ModelReady("sess_1"), e.StreamStarted("MZ1"), e.ResponseStarted("R", None)):
        feed(event, 0)
    if not asks:
        feed(e.ResponseDone("R", "completed"), 50)
    for digit in first:
        feed(e.CallerDigit(digit), 100)
    arguments = f'{{"preset":"{name}"}}'
    feed(e.ToolCalled("R", "I", "T", "collect_dtmf", arguments), 200)
    for digit in then:
        feed(e.CallerDigit(digit), 300)
    flight.close()
    return b"".join(written).decode(), flight


def test_a_sensitive_number_is_not_in_the_log_and_replays(tmp_path: Path) -> None:
    """Also the half of it that was keyed in before anybody had asked for it."""
    told, _ = keyed()
    (tmp_path / "a-1.jsonl").write_text(told)

    assert told.count('["CallerDigit","x"]') == 4
    assert "1234" not in told
    moments = list(replay(tmp_path / "a-1.jsonl"))
    assert len(moments) == 9
    assert all(moment.same for moment in moments)


def test_keys_that_are_no_secret_are_in_the_log_once_that_is_known() -> None:
    """A turn of an agent who has secrets, too; what nobody was told stays untold."""
    told, _ = keyed(name="unknown", first="12#", then="7", asks=False)

    assert [told.count(f'["CallerDigit","{key}"]') for key in "12#x7"] == [1, 1, 1, 1, 0]
