"""The session object of the emulated model, and how an update changes it.

One rule: it starts with the service's defaults, so that a server that configures nothing, or
the wrong thing, is told so by what ``session.updated`` echoes.
"""

import time
from typing import Any


def new_session(number: int) -> dict[str, Any]:
    """What ``session.created`` shows: the service's defaults, PCM both ways."""
    pcm = {"type": "audio/pcm", "rate": 24000}
    turns = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": f"sess_{number}",
        "model": "gpt-realtime-2.1",
        "expires_at": int(time.time()) + 3600,
        "output_modalities": ["audio"],
        "instructions": "Your knowledge cutoff is 2023-10.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": pcm,
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": turns,
            },
            "output": {"format": pcm, "voice": "marin", "speed": 1},
        },
    }


def merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    """Apply a ``session.update``: only the fields present change, unions as a whole."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and "type" not in value:
            merge(into[key], value)
        else:
            into[key] = value
