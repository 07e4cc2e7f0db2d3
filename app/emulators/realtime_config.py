"""The effective configuration of a Realtime session: its defaults, and how updates merge.

Only the fields that an update names change; an update with one bad field changes nothing.
What cannot change any more once the model spoke, or ever, is refused here.
"""

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from app.emulators.realtime_errors import Json, Refusal, voice_locked
from app.protocol.units import BYTES_PER_MS

_DEFAULT_INSTRUCTIONS = (
    "Your knowledge cutoff is 2024-06. You are a helpful, witty, and friendly AI. Act like a "
    "human, but remember that you aren't a human. Talk quickly. If a user asks, explain what "
    "you are."
)
_SERVER_VAD: dict[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: dict[str, Any] = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_EAGERNESS_SILENCE_MS = {"low": 1000, "medium": 500, "auto": 500, "high": 300}
"""How much silence stands in for the judgement of a semantic turn detector."""

_PCM_RATE_HZ = 24_000
_FORMAT_BYTES_PER_MS = {"audio/pcmu": BYTES_PER_MS, "audio/pcma": BYTES_PER_MS}
_NO_REASONING = re.compile(r"gpt-(4o-.*|realtime(-1\.5|-mini)?(-20\d\d-.*)?)")


def _whole_session() -> dict[str, Any]:
    pcm = {"type": "audio/pcm", "rate": 24000}
    return {
        "output_modalities": ["audio"],
        "instructions": _DEFAULT_INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": dict(pcm),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(_SERVER_VAD),
            },
            "output": {"format": dict(pcm), "voice": "marin", "speed": 1},
        },
    }


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the ear decides; None in place of it means that the client decides."""

    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    create_response: bool
    interrupt_response: bool
    idle_timeout_ms: int | None


@dataclass(slots=True)
class SessionConfig:
    """One session's settings; ``effective`` is the JSON that ``session.updated`` echoes."""

    model: str
    session_id: str
    expires_at: int
    effective: dict[str, Any] = field(default_factory=_whole_session)

    def echo(self) -> Json:
        """The whole session as an event carries it; a copy."""
        head = {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.session_id,
            "model": self.model,
            "expires_at": self.expires_at,
        }
        return head | copy.deepcopy(self.effective)

    def update(self, change: dict[str, Any], *, spoke: bool, speaking: bool) -> None:
        """Merge a shape-checked ``session`` object, or raise ``Refusal`` and change nothing.

        ``spoke``: the model has said something aloud; ``speaking``: a response is being made.
        """
        change = {name: value for name, value in change.items() if name != "type"}
        self._check_fixed(change, spoke=spoke, speaking=speaking)
        self._check_reasoning(change)
        _check_transcription(change)
        change.pop("model", None)
        self.effective = _merged(self.effective, change)

    def _check_fixed(self, change: dict[str, Any], *, spoke: bool, speaking: bool) -> None:
        if change.get("model", self.model) != self.model:
            raise Refusal("Cannot update the model of a session.", param="session.model")
        traced = self.effective["tracing"]
        if traced is not None and change.get("tracing", traced) != traced:
            raise Refusal("Cannot update tracing once it is on.", param="session.tracing")
        now = self.effective["audio"]["output"]
        wanted = change.get("audio", {}).get("output", {})
        if spoke and wanted.get("voice", now["voice"]) != now["voice"]:
            raise voice_locked()
        if speaking and wanted.get("speed", now["speed"]) != now["speed"]:
            raise Refusal(
                "Cannot update speed while a response is in progress.",
                param="session.audio.output.speed",
            )

    def _check_reasoning(self, change: dict[str, Any]) -> None:
        for name in ("reasoning", "parallel_tool_calls"):
            if name in change and _NO_REASONING.fullmatch(self.model):
                raise Refusal(
                    f"Unsupported parameter: '{name}' is not supported with this model.",
                    "unsupported_parameter",
                    f"session.{name}",
                )

    @property
    def input_format(self) -> str:
        """Name of the format of the audio the client appends."""
        return format_name(self.effective["audio"]["input"]["format"])

    @property
    def output_format(self) -> str:
        """Name of the format of the audio the model speaks."""
        return format_name(self.effective["audio"]["output"]["format"])

    @property
    def transcribes(self) -> bool:
        """Whether the caller's turns are written down."""
        return self.effective["audio"]["input"]["transcription"] is not None

    @property
    def turn_detection(self) -> TurnDetection | None:
        """The ear's settings, or None when the client commits turns itself."""
        now = self.effective["audio"]["input"]["turn_detection"]
        if now is None:
            return None
        silence_ms = now.get("silence_duration_ms")
        return TurnDetection(
            threshold=now.get("threshold", _SERVER_VAD["threshold"]),
            prefix_padding_ms=now.get("prefix_padding_ms", _SERVER_VAD["prefix_padding_ms"]),
            silence_duration_ms=_EAGERNESS_SILENCE_MS[now["eagerness"]]
            if silence_ms is None
            else silence_ms,
            create_response=now["create_response"],
            interrupt_response=now["interrupt_response"],
            idle_timeout_ms=now.get("idle_timeout_ms"),
        )


def format_name(described: Json) -> str:
    """The format's type; where it is samples at a rate that GA does not have, with the rate."""
    kind, rate = str(described["type"]), described.get("rate", _PCM_RATE_HZ)
    return kind if rate == _PCM_RATE_HZ else f"{kind};rate={rate}"


def rate_hz(name: str) -> int:
    """Samples a second of the linear format of that name."""
    rate = name.partition(";rate=")[2]
    return int(rate) if rate else _PCM_RATE_HZ


def is_linear(name: str) -> bool:
    """Whether the format of that name is 16-bit samples."""
    return name.partition(";")[0] == "audio/pcm"


def bytes_per_ms(name: str) -> int:
    """Bytes of one millisecond in the audio format of that name."""
    return rate_hz(name) * 2 // 1000 if is_linear(name) else _FORMAT_BYTES_PER_MS[name]


def _merged(now: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(now)
    for name, value in change.items():
        if name != "audio":
            merged[name] = copy.deepcopy(value)
    audio = change.get("audio", {})
    for name, value in audio.get("input", {}).items():
        before = merged["audio"]["input"][name]
        merged["audio"]["input"][name] = _merged_input(name, before, copy.deepcopy(value))
    for name, value in audio.get("output", {}).items():
        merged["audio"]["output"][name] = copy.deepcopy(value)
    for side in merged["audio"].values():
        if side["format"]["type"] == "audio/pcm":
            side["format"].setdefault("rate", _PCM_RATE_HZ)
    return merged


def _merged_input(name: str, before: Any, value: Any) -> Any:
    if name == "turn_detection" and value is not None:
        same = before is not None and before["type"] == value["type"]
        whole = _SERVER_VAD if value["type"] == "server_vad" else _SEMANTIC_VAD
        return (before if same else dict(whole)) | value
    if name == "noise_reduction" and value is not None:
        return {"strength": (before or {}).get("strength", 1)} | value
    return value


def _check_transcription(change: dict[str, Any]) -> None:
    wanted = change.get("audio", {}).get("input", {}).get("transcription")
    if not wanted:
        return
    path = "session.audio.input.transcription"
    if "language" in wanted and "languages" in wanted:
        raise Refusal("Send either language or languages, not both.", param=path)
    if "prompt" in wanted and wanted["model"] == "gpt-realtime-whisper":
        raise Refusal("Prompt is not supported for this model.", param=f"{path}.prompt")
    if wanted["model"] == "gpt-live-transcribe":
        raise Refusal(
            "Turn detection is not supported for this transcription model.",
            param="session.audio.input.turn_detection",
        )
