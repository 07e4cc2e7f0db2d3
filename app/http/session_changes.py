"""What clients may change of a Realtime session in mid-call, in Realtime's own shape.

Rule: what cannot be changed while a call lives is refused by its name, and nothing of the request
is done then.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.http.problems import SAID
from app.runtime.wishes import Wish

LOCKED = (
    *("model", "voice", "tracing", "audio.input.format"),
    *("audio.output.format", "audio.output.voice"),
)
NEEDED = {"transcription": "model", "turn_detection": "type"}
"""What a new value has to say; where it is merged in, the old one says it."""
Word = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[list[Word], Field(max_length=100)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class TranscriptionChange(_Part):
    """How what callers say is written down."""

    model: Word | None = None
    language: Locale | None = None
    languages: Annotated[list[Locale], Field(max_length=20)] | None = None
    prompt: Annotated[str, Field(max_length=4_000)] | None = None
    keywords: Words | None = None
    """Names and words that are easily misheard."""


class NoiseReductionChange(_Part):
    """What is filtered out of the caller's sound."""

    type: Literal["near_field", "far_field"]


class TurnDetectionChange(_Part):
    """How turns are told apart."""

    type: Literal["server_vad", "semantic_vad"] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5_000)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    eagerness: Literal["low", "medium", "high", "auto"] | None = None

    @model_validator(mode="after")
    def _has_a_type(self) -> Self:
        if "type" in self.model_fields_set and self.type is None:
            raise _said("audio.input.turn_detection.type must not be null")
        return self


class InputChange(_Part):
    """Of what the model hears. null switches off."""

    transcription: TranscriptionChange | None = None
    noise_reduction: NoiseReductionChange | None = None
    turn_detection: TurnDetectionChange = TurnDetectionChange()


class OutputChange(_Part):
    """Of what the model says."""

    speed: Annotated[float, Field(ge=0.25, le=1.5)] = 1.0


class AudioChange(_Part):
    """Of the sound."""

    input: InputChange = InputChange()
    output: OutputChange = OutputChange()


class SessionChange(_Part):
    """What is changed of the agent's Realtime session; what is absent stays as it is."""

    strategy: Literal["replace", "replace_once", "merge", "merge_once"] = "replace"
    """replace: each field has the new value; merge: a JSON Merge Patch of it. ``_once``: for the
    caller's next turn."""
    instructions: Annotated[str, Field(max_length=15_000)] = ""
    """In the place of the agent's."""
    tools: Words = []
    """The names of those of the agent's that remain."""
    audio: AudioChange = AudioChange()
    band_preference: Literal["narrowband"] = "narrowband"
    """There is no other."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_locked(cls, given: Any) -> Any:
        for path in LOCKED:
            if _names(given, path.split(".")):
                raise _said(f"locked_field: {path} cannot be changed while the call lives")
        if isinstance(given, Mapping) and given.get("band_preference") == "broadband":
            raise _said("band_preference: broadband is not available on this carrier")
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.strategy.startswith("replace"):
            return self
        for name, value in self.changed.items():
            key = NEEDED.get(name)
            if key and isinstance(value, dict) and value.get(key) is None:
                raise _said(f"audio.input.{name}.{key} is needed with strategy replace")
        return self

    @property
    def changed(self) -> dict[str, Any]:
        """The new values by the names of ``app.protocol.session_changes.FIELDS``."""
        given = self.model_dump(exclude_unset=True)
        audio = given.get("audio", {})
        named = {name: given[name] for name in ("instructions", "tools") if name in given}
        return {**named, **audio.get("input", {}), **audio.get("output", {})}

    def session_fields(self) -> dict[str, str]:
        """The same for a wish; empty where nothing is changed."""
        if not self.changed:
            return {}
        return {"strategy": self.strategy, "session": orjson.dumps(self.changed).decode()}


class PatchSession(SessionChange):
    """The body of ``PATCH /v1/calls/{id}/session``."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.changed:
            raise _said("nothing is to be changed: write instructions, tools or audio")
        return self

    def wish(self) -> Wish:
        """The same as a command."""
        return Wish("configure", self.session_fields())


def _said(sentence: str) -> PydanticCustomError:
    return PydanticCustomError(SAID, sentence)


def _names(given: Any, path: list[str]) -> bool:
    for step in path:
        if not isinstance(given, Mapping) or step not in given:
            return False
        given = given[step]
    return True
