"""The desk where client events are carried out, once their shape has been found right.

Each of the eleven events has one method here; a method either does what the event asks or
raises a ``Refusal`` before it changed anything.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.emulators.realtime_caller import CallerSide
from app.emulators.realtime_config import SessionConfig
from app.emulators.realtime_conversation import Conversation, strip_audio
from app.emulators.realtime_deviations import Deviation
from app.emulators.realtime_errors import Refusal
from app.emulators.realtime_faults import NO_FAULTS, Faults
from app.emulators.realtime_floor import Floor
from app.emulators.realtime_line import Line
from app.emulators.realtime_response import Pace
from app.emulators.realtime_turns import Brain


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a session from its first moment to its last."""

    brain: Brain
    pace: Pace
    faults: Faults = NO_FAULTS
    noisy: bool = False
    keep_audio: bool = True
    created_after_ms: int = 0
    life_s: float = 3600
    idle_rate: float = 1.0
    deviation: Deviation = field(default_factory=Deviation)


@dataclass(frozen=True, slots=True)
class Desk:
    """Carries out everything but appended audio."""

    line: Line
    config: SessionConfig
    conversation: Conversation
    floor: Floor
    caller: CallerSide
    terms: Terms

    def carry_out(self, event: dict[str, Any]) -> list[str]:
        """Do what ``event`` asks; returns what is wrong about it though it is not refused."""
        carried: dict[str, Callable[[dict[str, Any]], list[str] | None]] = {
            "session.update": self._update,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "output_audio_buffer.clear": self._clear_output,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.truncate": self._truncate,
            "conversation.item.delete": self._delete,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }
        return carried[event["type"]](event) or []

    def _update(self, event: dict[str, Any]) -> None:
        speaking = self.floor.active is not None
        self.config.update(event["session"], spoke=self.floor.spoke, speaking=speaking)
        faults = self.terms.faults
        if faults.never == "updated":
            return
        echo = self.config.echo()
        if faults.echoed_format is not None:
            _pretend(echo, faults.echoed_format)
        self.line.emit("session.updated", session=echo)

    def _commit(self, event: dict[str, Any]) -> None:
        self.caller.commit()

    def _clear(self, event: dict[str, Any]) -> None:
        self.caller.clear()

    def _clear_output(self, event: dict[str, Any]) -> None:
        raise Refusal("output_audio_buffer.clear is only for WebRTC and SIP.", param="type")

    def _create_item(self, event: dict[str, Any]) -> list[str]:
        wire = {"object": "realtime.item", "status": "completed"} | event["item"]
        wire.setdefault("id", self.line.mint("item"))
        if wire["type"] == "function_call":
            wire.setdefault("call_id", self.line.mint("call"))
        if wire["type"] == "mcp_approval_response":
            raise Refusal("There is no such approval request.", param="item.approval_request_id")
        wrong = []
        if wire["type"] == "function_call_output" and self.conversation.answered(wire["call_id"]):
            wrong.append(f"conversation.item.create: a second output for {wire['call_id']}")
        item, before = self.conversation.insert(
            copy.deepcopy(wire), event.get("previous_item_id"), self.config.input_format
        )
        for event_type in ("conversation.item.added", "conversation.item.done"):
            self.line.emit(event_type, previous_item_id=before, item=strip_audio(item.wire))
        return wrong

    def _retrieve(self, event: dict[str, Any]) -> None:
        item = self.conversation.retrieve(event["item_id"])
        self.line.emit("conversation.item.retrieved", item=item)

    def _truncate(self, event: dict[str, Any]) -> None:
        place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        if self.terms.deviation.truncate(self.conversation, place):
            self.line.emit("conversation.item.truncated", **place)

    def _delete(self, event: dict[str, Any]) -> None:
        self.conversation.delete(event["item_id"])
        self.line.emit("conversation.item.deleted", item_id=event["item_id"])

    def _respond(self, event: dict[str, Any]) -> None:
        self.floor.request(event.get("response", {}))

    def _cancel(self, event: dict[str, Any]) -> None:
        self.floor.cancel(event.get("response_id"))


def _pretend(echo: dict[str, Any], format_name: str) -> None:
    for side in echo["audio"].values():
        side["format"] = {"type": format_name}
