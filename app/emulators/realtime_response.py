"""One response of the model, from ``response.created`` to the ``response.done`` that always comes.

in progress -> completed | incomplete | failed | cancelled. Being cut off is synchronous: the
closers and ``response.done`` are on their way before the event that caused it is answered.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.emulators.realtime_conversation import Item
from app.emulators.realtime_errors import Json
from app.emulators.realtime_outputs import (
    CallOutput,
    ItemStatus,
    OpenOutput,
    SpokenOutput,
    Stage,
    WrittenOutput,
)
from app.emulators.realtime_speech import deltas, split
from app.emulators.realtime_turns import Origin, Output, Plan, Speech, ToolUse, Words
from app.emulators.realtime_usage import Meter

_ARGUMENT_PIECE_CHARS = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast speech is made, and in which pieces."""

    rate: float
    """So many times as fast as it sounds; 0 for at once."""
    sizes_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one response."""

    effective: dict[str, Any]
    """The session's settings with those of the response over them."""
    format_name: str
    metadata: dict[str, str] | None
    conversation_id: str | None
    """None for a response out of band."""
    context: Sequence[Item]
    echoes_metadata: bool = True


class EmulatedResponse:
    """Tells the events of one response; ``plan`` may still be awaited when it begins."""

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        origin: Origin,
        pace: Pace,
        meter: Meter,
        *,
        on_end: Callable[["EmulatedResponse"], None],
    ) -> None:
        self._stage = stage
        self._settings = settings
        self._pace = pace
        self._meter = meter
        self._on_end = on_end
        self._outputs: list[OpenOutput] = []
        self._open: OpenOutput | None = None
        self._task: asyncio.Task[None] | None = None
        self._speech_began: float | None = None
        self._made_ms = 0.0
        self.origin = origin
        self.over = False
        self.began_at = asyncio.get_running_loop().time()
        stage.line.emit("response.created", response=self._wire("in_progress", None, None))
        stage.line.emit("rate_limits.updated", rate_limits=meter.limits())

    @property
    def id(self) -> str:
        """The id both sides call it by."""
        return self._stage.response_id

    @property
    def out_of_band(self) -> bool:
        """Whether it leaves the conversation alone."""
        return self._settings.conversation_id is None

    @property
    def speech_ms(self) -> int:
        """How long what it said so far sounds."""
        return round(self._made_ms)

    def start(self, tasks: asyncio.TaskGroup, plan: Plan | Awaitable[Plan]) -> None:
        """Begin to say what ``plan`` says, in a task of ``tasks``."""
        self._task = tasks.create_task(self._run(plan), name=self.id)

    async def _run(self, plan: Plan | Awaitable[Plan]) -> None:
        if not isinstance(plan, Plan):
            plan = await plan
        await asyncio.sleep(plan.first_ms / 1000)
        for output in plan.outputs:
            self._close("completed")
            await self._deliver(output)
        if plan.hangs:
            await asyncio.Event().wait()
        error = {"type": "server_error", "code": plan.code, "message": plan.message}
        details = {"reason": plan.reason} if plan.reason else {"error": error}
        self._finish(plan.status, details)

    def cut(self, reason: str) -> None:
        """Cancel it now, for ``turn_detected`` or ``client_cancelled``; twice is once."""
        if not self.over:
            self._finish("cancelled", {"reason": reason})
            self.abandon()

    def abandon(self) -> None:
        """Stop in silence: the line is gone."""
        self.over = True
        if self._task is not None:
            self._task.cancel()

    async def _deliver(self, output: Output) -> None:
        written = self._settings.effective["output_modalities"] == ["text"]
        if isinstance(output, ToolUse):
            await self._call(output)
        elif isinstance(output, Words) or written:
            await self._write(output.text)
        else:
            await self._speak(output)

    async def _speak(self, speech: Speech) -> None:
        sound = speech.sound()
        name = self._settings.format_name
        output = SpokenOutput(self._stage, len(self._outputs), sound, name)
        self._hold(output)
        for delta in deltas(speech.text, sound, name, self._pace.sizes_ms):
            await self._wait_for_the_voice()
            output.say(delta)
            self._made_ms += delta.length_ms

    async def _wait_for_the_voice(self) -> None:
        await self._stage.line.room()
        if not self._pace.rate:
            return
        now = asyncio.get_running_loop().time()
        if self._speech_began is None:
            self._speech_began = now
        due = self._speech_began + self._made_ms / 1000 / self._pace.rate
        await asyncio.sleep(max(0.0, due - now))

    async def _write(self, text: str) -> None:
        output = WrittenOutput(self._stage, len(self._outputs))
        self._hold(output)
        for words in split(text):
            await self._stage.line.room()
            output.write(words)

    async def _call(self, use: ToolUse) -> None:
        index = len(self._outputs)
        output = CallOutput(self._stage, index, use.name, use.call_id, use.announced)
        self._hold(output)
        arguments = use.json()
        for start in range(0, len(arguments), _ARGUMENT_PIECE_CHARS):
            await self._stage.line.room()
            output.write(arguments[start : start + _ARGUMENT_PIECE_CHARS])

    def _hold(self, output: OpenOutput) -> None:
        self._outputs.append(output)
        self._open = output

    def _close(self, status: ItemStatus) -> None:
        if self._open is not None:
            self._open.close(status)
            self._open = None

    def _finish(self, status: str, details: Json) -> None:
        self.over = True
        completed = status == "completed"
        self._close("completed" if completed else "incomplete")
        items = [output.item for output in self._outputs]
        usage = self._meter.usage(self._settings.context, self._settings.effective, items)
        told = None if completed else {"type": status} | details
        self._stage.line.emit("response.done", response=self._wire(status, told, usage))
        self._stage.line.emit("rate_limits.updated", rate_limits=self._meter.limits())
        self._on_end(self)

    def _wire(self, status: str, details: Json | None, usage: Json | None) -> Json:
        effective = self._settings.effective
        voice = effective["audio"]["output"]["voice"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [copy.deepcopy(output.item.wire) for output in self._outputs],
            "conversation_id": self._settings.conversation_id,
            "output_modalities": list(effective["output_modalities"]),
            "max_output_tokens": effective["max_output_tokens"],
            "audio": {
                "output": {
                    "format": dict(effective["audio"]["output"]["format"]),
                    "voice": voice["id"] if isinstance(voice, dict) else voice,
                }
            },
            "usage": usage,
            "metadata": self._settings.metadata if self._settings.echoes_metadata else None,
        }
