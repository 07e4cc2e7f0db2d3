"""What a response costs, counted the way the bill is: text and audio, new and cached, in and out.

The figures are invented but lawful: caller audio is a token per 100 ms, model audio one per
50 ms, parts add up to totals, and the context that the last response saw comes from the cache.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from app.emulators.realtime_config import bytes_per_ms
from app.emulators.realtime_conversation import Item
from app.emulators.realtime_errors import Json

_CALLER_MS_PER_TOKEN = 100
_MODEL_MS_PER_TOKEN = 50
_CHARS_PER_TOKEN = 4
_CACHE_BLOCK_TOKENS = 64
TOKENS_PER_MINUTE = 50_000


@dataclass(slots=True)
class Tokens:
    """So many of text and so many of audio."""

    text: int = 0
    audio: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.text + self.audio


def _text_tokens(text: str) -> int:
    return -(-len(text) // _CHARS_PER_TOKEN)


def tokens_of(items: Iterable[Item]) -> Tokens:
    """What ``items`` weigh in a context."""
    tokens = Tokens()
    for item in items:
        tokens.text += _text_tokens(item.text)
        if item.spoken:
            tokens.audio += -(-item.audio_ms // _MODEL_MS_PER_TOKEN)
        else:
            length_ms = item.turn_bytes // bytes_per_ms(item.format_name)
            tokens.audio += -(-length_ms // _CALLER_MS_PER_TOKEN)
    return tokens


@dataclass(slots=True)
class Meter:
    """Meters one session; remembers what the cache holds."""

    _cached: int = 0
    _spent: int = 0

    def usage(self, context: Iterable[Item], settings: Json, outputs: Iterable[Item]) -> Json:
        """The ``usage`` of a response that saw ``context`` and made ``outputs``."""
        used = tokens_of(context)
        used.text += _text_tokens(str(settings["instructions"]))
        used.text += _text_tokens(json.dumps(settings["tools"]))
        made = tokens_of(outputs)
        cached = min(self._cached, used.total) // _CACHE_BLOCK_TOKENS * _CACHE_BLOCK_TOKENS
        cached_text = min(cached, used.text)
        self._cached = used.total
        self._spent += used.total + made.total
        return {
            "total_tokens": used.total + made.total,
            "input_tokens": used.total,
            "output_tokens": made.total,
            "input_token_details": {
                "text_tokens": used.text,
                "audio_tokens": used.audio,
                "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": cached_text,
                    "audio_tokens": cached - cached_text,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
        }

    def limits(self) -> list[Json]:
        """The ``rate_limits`` of the moment."""
        remaining = max(0, TOKENS_PER_MINUTE - self._spent % TOKENS_PER_MINUTE)
        return [
            {
                "name": "tokens",
                "limit": TOKENS_PER_MINUTE,
                "remaining": remaining,
                "reset_seconds": round((TOKENS_PER_MINUTE - remaining) / 1000, 3),
            }
        ]
