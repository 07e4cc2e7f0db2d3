"""In what other Realtime servers differ from OpenAI's, as values; strict GA is the default.

A dialect is read once, where a model line is made: it chooses functions, it is never asked
on the audio path. Behind the line everything is mu-law and milliseconds, whatever the server
speaks. What each server does was read in its source or its clients', 2026-11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.protocol.units import BYTES_PER_MS, SAMPLE_RATE_HZ


class Truncate(Enum):
    """What becomes of an item that is truncated where the caller interrupted."""

    EXACT = "exact"
    """The server forgets what was not heard, and refuses what was never said."""
    BLANKS = "blanks"
    """It forgets all of it."""
    NONE = "none"
    """It remembers all of it."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono audio on the wire: G.711 mu-law, or 16-bit little-endian samples (``audio/pcm``)."""

    type: str
    rate_hz: int
    says_rate: bool = False
    """The format is written with its rate; without, the server's own is meant."""

    def wire(self) -> dict[str, Any]:
        """As ``session.update`` asks for it."""
        return {"type": self.type} | ({"rate": self.rate_hz} if self.says_rate else {})

    @property
    def linear(self) -> bool:
        """Samples, and not mu-law."""
        return self.type == LINEAR

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of one millisecond."""
        return self.rate_hz // 1000 * 2 if self.linear else BYTES_PER_MS

    def confirmed_by(self, format_type: str, rate_hz: int | None) -> bool:
        """Whether the server's echo means this format. Mu-law has one rate only."""
        if format_type != self.type:
            return False
        if not self.linear or rate_hz == self.rate_hz:
            return True
        return rate_hz is None and not self.says_rate


LINEAR = "audio/pcm"
MULAW = AudioFormat("audio/pcmu", SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server; every default is OpenAI's GA."""

    name: str
    audio_in: AudioFormat = MULAW
    """What the server hears."""
    audio_out: AudioFormat = MULAW
    """What it says."""
    top_level: bool = False
    """``voice`` and ``turn_detection`` stand directly in the session, not in its ``audio``."""
    opens_with: str = "session.created"
    """The event that says that the session may be configured."""
    echoes_format: bool = True
    """``session.updated`` names the formats. Where it does not, its coming has to do; a format
    that is named and is another one is refused all the same."""
    terminal_only: bool = False
    """Tool calls are told by the last event about them alone, words perhaps by sentences that
    are each ``done``, and ``content_index`` counts deltas."""
    names_model: bool = True
    """The model is part of the address."""
    key_headers: tuple[str, ...] = ("Authorization",)
    """Headers that carry the key."""
    transcription_keys: frozenset[str] | None = None
    """Of ``transcription`` only these are sent; None: all."""
    semantic_vad: bool = True
    """There is ``semantic_vad``; where not, ``server_vad`` stands in for it."""
    tool_choice: bool = True
    """A single response can be told to call no tools."""
    truncate: Truncate = Truncate.EXACT
    cancel: bool = True
    """A response can be cancelled."""

    @property
    def converts(self) -> bool:
        """The server does not speak what Twilio speaks."""
        return self.audio_in.linear or self.audio_out.linear

    def headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """What the handshake shows ``key`` with."""
        return tuple(
            (name, f"Bearer {key}" if name == "Authorization" else key) for name in self.key_headers
        )

    def address(self, url: str) -> str:
        """The socket's address, given that of OpenAI's with its query."""
        return url if self.names_model else url.partition("?")[0]


OPENAI = Dialect("openai")

AZURE = Dialect("azure", key_headers=("Authorization", "api-key"))
"""The v1 path of Azure OpenAI; the deployment's name is the model."""

XAI = Dialect(
    "xai",
    top_level=True,
    opens_with="conversation.created",
    transcription_keys=frozenset(),
    semantic_vad=False,
    tool_choice=False,
)
"""Grok Voice. Naming a transcription model makes its transcripts cumulative
(https://docs.x.ai/docs/guides/voice/agent; pipecat, livekit/agents)."""

LOCALAI = Dialect(
    "localai",
    audio_in=AudioFormat(LINEAR, SAMPLE_RATE_HZ, says_rate=True),
    audio_out=AudioFormat(LINEAR, SAMPLE_RATE_HZ, says_rate=True),
    echoes_format=False,
    transcription_keys=frozenset({"language", "prompt"}),
    semantic_vad=False,
    truncate=Truncate.BLANKS,
)
"""Takes samples at any rate, so ours, and nothing else whatever is asked; a transcription
model it does not have fails the session (mudler/LocalAI, realtime.go)."""

HF_SPEECH_TO_SPEECH = Dialect(
    "hf-speech-to-speech",
    audio_in=AudioFormat(LINEAR, 16_000),
    audio_out=AudioFormat(LINEAR, 16_000),
    terminal_only=True,
    names_model=False,
    semantic_vad=False,
    truncate=Truncate.NONE,
)
"""Samples without a rate are at 16 kHz; a rate of 16,000 that is named is refused, and mu-law
is confirmed and not spoken (huggingface/speech-to-speech, handlers/audio.py)."""

DIALECTS: Mapping[str, Dialect] = {
    one.name: one for one in (OPENAI, AZURE, XAI, LOCALAI, HF_SPEECH_TO_SPEECH)
}
"""By the name that the setting ``REALTIME_DIALECT`` takes."""
