"""Lines rendered in advance, so that the first call speaks where no program can.

One file holds the mu-law of all of them, an index beside it says what is where. Made by
``scripts/render_prompts`` with flite's voice slt (its licence allows redistribution of what
it says); a test compares the index with the lines the local model has.
"""

import json
from pathlib import Path

from app.emulators.demo_voice import VoiceFault, sentences

SOUND = Path(__file__).parent / "prompts.ulaw"
INDEX = Path(__file__).parent / "prompts.json"


class Prompts:
    """The stored sentences."""

    rung = "lines rendered in advance"

    def __init__(self, places: dict[str, tuple[int, int]], sound: bytes) -> None:
        self._places = places
        self._sound = sound

    @classmethod
    def stored(cls) -> "Prompts":
        """Those that come with the project. Raises ``OSError`` when a file is missing."""
        index = json.loads(INDEX.read_text(encoding="utf-8"))
        return cls({text: (at, length) for text, at, length in index}, SOUND.read_bytes())

    async def sentence(self, text: str) -> bytes:
        """The stored sound. Raises ``VoiceFault`` for any other text."""
        place = self._places.get(text)
        if place is None:
            raise VoiceFault("no program can speak here; this line was not rendered in advance")
        at, length = place
        return self._sound[at : at + length]


def pack(sounds: dict[str, bytes]) -> tuple[str, bytes]:
    """Index and sound of these sentences, as they are stored."""
    index: list[tuple[str, int, int]] = []
    whole = bytearray()
    for text, sound in sounds.items():
        index.append((text, len(whole), len(sound)))
        whole += sound
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n", bytes(whole)


def needed(lines: tuple[str, ...]) -> list[str]:
    """The sentences of ``lines``, each once, in order."""
    return list(dict.fromkeys(one for line in lines for one in sentences(line)))
