"""What callers hear besides the agent, as the operator writes it: files, and how loud.

Files are read and decoded when the document is, so that one that is no sound is told at the
start, and no call ever waits for a disk. Their names are relative to the document's folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from app.agents.layers import near
from app.agents.part import Part
from app.agents.source import Unreadable, Where, read
from app.agents.values import Text
from app.audio.made import MADE
from app.audio.mixing import Sound, sound
from app.audio.sound_file import MOST_BYTES, NotASound, samples

DUCKED = 0.3
"""Of its volume is left of music while somebody speaks."""
TONES = "tones"
"""What callers on hold hear where the document has no music."""


class Ambience(Part):
    """What is heard throughout the call, behind everything."""

    source: Text
    """A WAV or MP3 file beside the document, or typing or tones; it is looped."""
    volume: float = Field(default=0.15, ge=0, le=2)
    """1.0: as loud as the file."""


class HoldAudio(Part):
    """What is heard instead of the agent."""

    source: Text
    """A WAV or MP3 file beside the document, or typing or tones."""
    volume: float = Field(default=1.0, ge=0, le=2)
    """1.0: as loud as the file; less of it is left while the agent speaks."""
    loop: bool = True
    """false: it is heard once."""


@dataclass(frozen=True, slots=True)
class Use:
    """A sound, and where the document speaks of it."""

    where: Where
    source: str
    volume: float
    under: float
    loop: bool


def ambience(wanted: Ambience | None) -> dict[str, Use]:
    """The ambience as a use."""
    if wanted is None:
        return {}
    where, volume = ("ambience",), wanted.volume
    return {"ambience": Use(where, wanted.source, volume, volume, loop=True)}


def hold(name: str, where: Where, wanted: HoldAudio | None) -> dict[str, Use]:
    """The sound of an occasion as a use."""
    if wanted is None:
        return {}
    under = wanted.volume * DUCKED
    use = Use((*where, "hold_audio"), wanted.source, wanted.volume, under, wanted.loop)
    return {name: use}


class SoundFault(Exception):
    """A sound cannot be had; says where the document speaks of it."""

    def __init__(self, where: Where, sentence: str, meant: str = "") -> None:
        super().__init__(sentence)
        self.where = where
        self.sentence = sentence
        self.meant = meant


class Loader:
    """Reads each file once, however often the document speaks of it. Blocks."""

    def __init__(self, folder: Path, note: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._note = note
        self._known: dict[str, bytes] = {}

    def load(self, uses: Mapping[str, Use]) -> dict[str, Sound]:
        """The sounds, by the names of their uses. Raises ``SoundFault``; what a file holds is
        noted for the document's version."""
        return {
            name: sound(self._samples(use), volume=use.volume, under=use.under, loop=use.loop)
            for name, use in uses.items()
        }

    @property
    def files(self) -> list[str]:
        """What was read, as the document names it."""
        return [name for name in self._known if name not in MADE]

    def _samples(self, use: Use) -> bytes:
        if use.source not in self._known:
            make = MADE.get(use.source)
            self._known[use.source] = self._of_file(use) if make is None else make()
        return self._known[use.source]

    def _of_file(self, use: Use) -> bytes:
        if "://" in use.source:
            raise SoundFault(use.where, "must be a file beside the document: download it")
        try:
            content = read(self._folder / use.source, MOST_BYTES)
            decoded = samples(content)
        except Unreadable as fault:
            meant = near(use.source, MADE)
            raise SoundFault(use.where, f'"{use.source}": {fault.sentence}', meant) from None
        except NotASound as fault:
            raise SoundFault(use.where, f'"{use.source}" {fault}') from None
        self._note(content)
        return decoded
