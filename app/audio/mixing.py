"""A sound under the agent's speech, or alone: taken from a loop, added, clipped.

Twilio plays one stream of audio in order, so whatever is heard together is added up here before
it is sent. The samples are added in C by ``audioop``: 2 us for 20 ms of speech, base64 on both
sides included (2026-11; 9 with numpy, 47 in plain Python), and nothing at all where no sound is
heard. Rule: what is alone is sent as it is in the file, byte by byte.
"""

import audioop
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass

from app.protocol.units import MULAW_SILENCE

_WIDTH = 2
_SILENCE = bytes([MULAW_SILENCE])


@dataclass(frozen=True, slots=True)
class Sound:
    """Something to be heard besides speech, at 8 kHz."""

    alone: bytes
    """Mu-law, as loud as it is where nobody speaks."""
    under: bytes
    """16-bit samples, as loud as it is while somebody does."""
    loop: bool = True
    """False: silence after its end."""

    @property
    def length_bytes(self) -> int:
        """Of mu-law, once."""
        return len(self.alone)


def sound(linear: bytes, *, volume: float = 1.0, under: float = 1.0, loop: bool = True) -> Sound:
    """A sound of 16-bit samples at 8 kHz; ``under`` is its volume while somebody speaks."""
    alone = linear if volume == 1.0 else audioop.mul(linear, _WIDTH, volume)
    return Sound(audioop.lin2ulaw(alone, _WIDTH), audioop.mul(linear, _WIDTH, under), loop)


class Mixer:
    """One call's place in one of its sounds. All lengths and places are bytes of mu-law."""

    def __init__(self, sounds: Mapping[str, Sound]) -> None:
        self._sounds = sounds
        self._sound: Sound | None = None
        self._at = 0

    def cue(self, name: str, at_bytes: int) -> bool:
        """Go on with this sound at this place. False where there is none of that name."""
        self._sound = self._sounds.get(name)
        self._at = at_bytes
        return self._sound is not None

    def alone(self, length_bytes: int) -> str:
        """So much of the sound, as base64 of mu-law; silence where there is none."""
        if self._sound is None:
            return _b64(_SILENCE * length_bytes)
        return _b64(self._take(self._sound.alone, 1, length_bytes, _SILENCE))

    def under(self, payload_b64: str, length_bytes: int) -> str:
        """Speech, base64 of mu-law, with so much of the sound under it; clipped, never wrapped."""
        if self._sound is None:
            return payload_b64
        speech = audioop.ulaw2lin(a2b_base64(payload_b64), _WIDTH)
        behind = self._take(self._sound.under, _WIDTH, length_bytes, bytes(_WIDTH))
        return _b64(audioop.lin2ulaw(audioop.add(speech, behind, _WIDTH), _WIDTH))

    def _take(self, track: bytes, width: int, length_bytes: int, silence: bytes) -> bytes:
        begin = self._at * width
        self._at += length_bytes
        piece = track[begin : begin + length_bytes * width]
        missing = length_bytes - len(piece) // width
        if not missing:
            return piece
        if self._sound is None or not self._sound.loop:
            return piece + silence * missing
        whole, self._at = len(track) // width, missing % (len(track) // width)
        return piece + track * (missing // whole) + track[: self._at * width]


def _b64(mulaw: bytes) -> str:
    return b2a_base64(mulaw, newline=False).decode()
