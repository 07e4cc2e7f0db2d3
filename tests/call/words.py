"""Literal events in few words, and a machine that is already on the telephone."""

from base64 import b64encode

from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e

NO_WORDS = CallPlan()
"""A call in which the caller speaks first."""


def b64(length_bytes: int) -> str:
    """That much audio; decisions never depend on how it sounds."""
    return b64encode(bytes(length_bytes)).decode()


def frame(timestamp_ms: int, length_ms: int = 20) -> e.CallerAudio:
    """Caller audio that begins at ``timestamp_ms`` of the stream."""
    return e.CallerAudio(b64(length_ms * 8), length_ms * 8, timestamp_ms)


def speech(
    length_ms: int, item_id: str = "A", response_id: str = "R", content_index: int = 0
) -> e.SpeechAudio:
    """A delta of the model's."""
    return of_bytes(length_ms * 8, item_id, response_id, content_index)


def of_bytes(
    length_bytes: int, item_id: str = "A", response_id: str = "R", content_index: int = 0
) -> e.SpeechAudio:
    """A delta whose length is no whole number of milliseconds."""
    return e.SpeechAudio(response_id, item_id, content_index, b64(length_bytes), length_bytes)


def done(response_id: str = "R", status: str = "completed", reason: str | None = None) -> e.Event:
    """The end of a response."""
    return e.ResponseDone(response_id, status, reason)


def started(response_id: str = "R", purpose: str | None = None) -> e.Event:
    """The beginning of a response; by the server's own decision unless it has a purpose."""
    return e.ResponseStarted(response_id, purpose)


def tool_call(
    name: str = "look_up",
    *,
    tool_call_id: str = "T1",
    response_id: str = "R",
    arguments: str = "{}",
) -> e.ToolCalled:
    """The model wants a tool."""
    return e.ToolCalled(response_id, f"item-{tool_call_id}", tool_call_id, name, arguments)


def on_the_phone(plan: CallPlan = NO_WORDS) -> CallMachine:
    """A machine at 0 ms: model line ready, stream started; what that led to is not asked."""
    machine = CallMachine(plan)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 0)
    machine.handle(e.StreamStarted("MZ1"), 0)
    return machine


def marks(commands: list[c.Command]) -> list[str]:
    """The names of the marks among ``commands``."""
    return [command.name for command in commands if isinstance(command, c.SendMark)]


def kinds(commands: list[c.Command]) -> list[str]:
    """What is done, in order, without the details."""
    return [type(command).__name__ for command in commands]


def say(
    machine: CallMachine, length_ms: int, now_ms: int, *, item_id: str = "A", response_id: str = "R"
) -> list[str]:
    """The model speaks in the response in progress and ends the part; marks still to return."""
    commands = machine.handle(speech(length_ms, item_id, response_id), now_ms)
    commands += machine.handle(e.SpeechAudioDone(response_id, item_id, 0), now_ms)
    return marks(commands)
