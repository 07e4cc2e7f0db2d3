"""Who has the floor: the one response of the conversation, those beside it, the idle caller.

The conversation has at most one response at a time. The end of the caller's turn, the
caller's silence and the client may all ask for it; only the first of them gets it.
"""

import asyncio
import copy
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.emulators.realtime_config import SessionConfig, format_name
from app.emulators.realtime_conversation import Conversation, Item, strip_audio
from app.emulators.realtime_errors import (
    Refusal,
    already_active,
    nothing_to_cancel,
    voice_locked,
)
from app.emulators.realtime_faults import Faults
from app.emulators.realtime_line import Line
from app.emulators.realtime_outputs import Stage
from app.emulators.realtime_response import EmulatedResponse, Pace, Settings
from app.emulators.realtime_turns import Ask, Brain, Origin
from app.emulators.realtime_usage import Meter

RACE_S = 0.25
"""For so long after a server event the client may act without having read it."""

_OWN_FIELDS = ("conversation", "metadata", "input", "audio")
"""Fields of ``response.create`` that do not simply replace those of the session."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the floor stands on."""

    line: Line
    config: SessionConfig
    conversation: Conversation
    brain: Brain
    pace: Pace
    tasks: asyncio.TaskGroup
    idle_rate: float
    """Idle timeouts pass so many times as fast as they should."""
    faults: Faults


class Floor:
    """Starts, cuts and forgets responses."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.on_idle: Callable[[], None] | None = None
        """Told when the caller has been silent for too long."""
        self._conversation_id = parts.line.mint("conv")
        self._meter = Meter()
        self._responses: dict[str, EmulatedResponse] = {}
        self._idle: asyncio.TimerHandle | None = None
        self._ended_at = float("-inf")
        self._after_response: list[Callable[[], None]] = []
        self._beside: set[asyncio.Task[None]] = set()

    @property
    def conversation_id(self) -> str:
        """The default conversation's id."""
        return self._conversation_id

    @property
    def active(self) -> EmulatedResponse | None:
        """The conversation's response, if one is being made."""
        return next((one for one in self._responses.values() if not one.out_of_band), None)

    @property
    def spoke(self) -> bool:
        """Whether the model said anything aloud in this conversation."""
        return any(item.spoken and item.sent_bytes for item in self._parts.conversation.items)

    def request(self, override: Mapping[str, Any]) -> None:
        """The client asks for a response; raises ``Refusal``."""
        out_of_band = override.get("conversation") == "none"
        active = self.active
        if active is not None and not out_of_band:
            raise already_active(active.id, race=active.origin != "client" and self._new(active))
        wanted = override.get("audio", {}).get("output", {})
        voice = self._parts.config.effective["audio"]["output"]["voice"]
        if self.spoke and wanted.get("voice", voice) != voice:
            raise voice_locked()
        context = self._context(override.get("input"))
        self._begin("client", override, context)

    def offer(self, origin: Origin) -> None:
        """A turn ended, or the caller is silent: answer, unless a response is being made."""
        if self.active is None:
            self._begin(origin, {}, list(self._parts.conversation.items))

    def cancel(self, response_id: str | None) -> None:
        """The client cancels; raises ``Refusal`` when there is nothing to cancel."""
        response = self.active if response_id is None else self._responses.get(response_id)
        if response is None:
            race = asyncio.get_running_loop().time() - self._ended_at < RACE_S
            raise nothing_to_cancel(race=race)
        response.cut("client_cancelled")

    def interrupt(self, *, cut: bool) -> None:
        """The caller speaks: nobody is idle any more, and a response may have to be cut."""
        self._disarm()
        active = self.active
        if cut and active is not None:
            active.cut("turn_detected")
            self._disarm()

    def beside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do ``work`` beside the conversation; it is cancelled when the line is gone."""
        task = self._parts.tasks.create_task(work, name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def after_response(self, then: Callable[[], None]) -> None:
        """Do ``then`` when the next response of the conversation has ended."""
        self._after_response.append(then)

    def leave(self) -> None:
        """The line is gone: end the timer and the tasks. Nothing more is said."""
        self._disarm()
        for response in self._responses.values():
            response.abandon()
        for task in self._beside:
            task.cancel()

    def _new(self, response: EmulatedResponse) -> bool:
        return asyncio.get_running_loop().time() - response.began_at < RACE_S

    def _context(self, wanted: Sequence[dict[str, Any]] | None) -> list[Item]:
        if wanted is None:
            return list(self._parts.conversation.items)
        return [self._referenced(index, wire) for index, wire in enumerate(wanted)]

    def _referenced(self, index: int, wire: dict[str, Any]) -> Item:
        if wire["type"] != "item_reference":
            return Item(strip_audio(wire))
        item = self._parts.conversation.find(wire["id"])
        if item is None:
            param = f"response.input[{index}].id"
            raise Refusal(f"Item with id '{wire['id']}' not found.", param=param)
        return item

    def _begin(self, origin: Origin, override: Mapping[str, Any], context: list[Item]) -> None:
        self._disarm()
        parts = self._parts
        if parts.faults.never == "response":
            return
        out_of_band = override.get("conversation") == "none"
        settings = self._settings(override, context, out_of_band=out_of_band)
        ask = _ask(origin, settings)
        stage = Stage(
            parts.line, parts.line.mint("resp"), None if out_of_band else parts.conversation
        )
        response = EmulatedResponse(
            stage, settings, origin, parts.pace, self._meter, on_end=self._ended
        )
        self._responses[response.id] = response
        response.start(parts.tasks, parts.brain.answer(ask))

    def _settings(
        self, override: Mapping[str, Any], context: list[Item], *, out_of_band: bool
    ) -> Settings:
        effective = copy.deepcopy(self._parts.config.effective)
        effective |= {n: value for n, value in override.items() if n not in _OWN_FIELDS}
        effective["audio"]["output"] |= override.get("audio", {}).get("output", {})
        return Settings(
            effective=effective,
            format_name=format_name(effective["audio"]["output"]["format"]),
            metadata=override.get("metadata"),
            conversation_id=None if out_of_band else self._conversation_id,
            context=context,
            echoes_metadata=not self._parts.faults.forgets_metadata,
        )

    def _ended(self, response: EmulatedResponse) -> None:
        self._responses.pop(response.id, None)
        if response.out_of_band:
            return
        self._ended_at = asyncio.get_running_loop().time()
        waiting, self._after_response = self._after_response, []
        for then in waiting:
            then()
        self._arm(response.speech_ms)

    def _arm(self, speech_ms: int) -> None:
        detection = self._parts.config.turn_detection
        if detection is None or self.on_idle is None:
            return
        if detection.idle_timeout_ms is not None:
            due_s = (speech_ms + detection.idle_timeout_ms) / 1000 / self._parts.idle_rate
            self._idle = asyncio.get_running_loop().call_later(due_s, self.on_idle)

    def _disarm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _ask(origin: Origin, settings: Settings) -> Ask:
    effective = settings.effective
    choice = effective["tool_choice"]
    schemas = {
        tool["name"]: tool.get("parameters") or {}
        for tool in effective["tools"]
        if tool.get("type") == "function"
    }
    names = list(schemas)
    if choice == "none":
        names = []
    elif isinstance(choice, dict):
        names = [name for name in names if name == choice.get("name")]
    return Ask(
        origin=origin,
        out_of_band=settings.conversation_id is None,
        instructions=effective["instructions"],
        tools=tuple(names),
        metadata=settings.metadata or {},
        items=tuple(copy.deepcopy(item.wire) for item in settings.context),
        schemas={name: schemas[name] for name in names},
        tool_required=choice == "required" or isinstance(choice, dict),
    )
