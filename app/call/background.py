"""What is heard behind the speech: music on hold, the sound of work, ambience.

Speech stays what it was: sent as soon as it comes, seconds ahead, and counted by the ledger. A
sound is added to it on its way (``app.audio.mixing``). Only where nobody speaks does somebody
have to see that the sound goes on: then pieces of it are sent alone, so that between 200 and
600 ms of them lie ahead at Twilio. Nothing is paced while the agent speaks.

Two things keep the ledger exact. Speech that begins while only sound lies ahead clears it, and
the sound goes on where it was heard: words are not kept waiting. Where what was said before is
not confirmed yet, nothing may be cleared, and a mark between sound and speech tells when the
speech begins. How far Twilio has played sound alone is told by the clock.

    layers   HOLD over WORK over AMBIENCE: the first that has a sound is heard
    sent     ───speech with sound───┬──sound alone──▶ end
                                    now ◀──ahead────┘
"""

from collections.abc import Mapping
from enum import IntEnum

from app.call.alarms import Alarm, Alarms
from app.call.plan import SoundPlan
from app.call.playout import Playout
from app.protocol.commands import ClearPlayback, Command, PlaySound, SetSound
from app.protocol.events import SpeechAudio
from app.protocol.units import BYTES_PER_MS, bytes_of_ms, ms_of_bytes

AMBIENCE = "ambience"
"""The name of the sound that is heard throughout."""
LEAD_MS = 200
"""Less than this ahead, and the next piece is sent."""
PIECE_MS = 400
"""Sent at a time, two or three a second: what lies ahead is cleared when somebody speaks."""
EDGE_MS = 20
SLIVER_MS = 40
"""The same while a sentence is being made and its next words are late: they come any moment,
and must not find a long piece before them."""


class Layer(IntEnum):
    """Why something is heard; the lower number wins."""

    HOLD = 0
    WORK = 1
    AMBIENCE = 2


class Background:
    """The sounds of one stream. Places and lengths are bytes of mu-law."""

    def __init__(self, alarms: Alarms, playout: Playout, sounds: Mapping[str, SoundPlan]) -> None:
        self._alarms = alarms
        self._playout = playout
        self._sounds = sounds
        self._layers: dict[Layer, str] = {}
        self._name = ""
        self._at = 0
        """Of the sound, what is sent next; counted on over the loops."""
        self._end = 0
        """When everything that was sent will have been heard, in bytes since the beginning of
        the clock."""
        self._alone = False
        """The last that was sent was sound alone."""
        self._there = False

    def has(self, name: str) -> bool:
        """Whether there is a sound of this name."""
        return name in self._sounds

    @property
    def off(self) -> bool:
        """Speech goes its own way, as if there were no sounds. On the audio path."""
        return not self._name and not self._alone

    @property
    def sounding(self) -> bool:
        """Something is heard behind the speech, and between."""
        return bool(self._name)

    @property
    def tells_of_life(self) -> bool:
        """Something is heard that is there to tell that the line lives."""
        return bool(self._name) and self._name != self._layers.get(Layer.AMBIENCE)

    def begin(self, now_ms: int, *, speaking: bool = False) -> list[Command]:
        """A caller is there: what is heard throughout begins. ``speaking``: speech follows."""
        self._there = True
        if self.has(AMBIENCE):
            self._layers[Layer.AMBIENCE] = AMBIENCE
        return self._settle(now_ms, speaking=speaking)

    def play(self, layer: Layer, name: str, now_ms: int) -> list[Command]:
        """From now on, or as soon as nothing above it is heard. A name that stands for no sound
        changes nothing."""
        if name not in self._sounds or self._layers.get(layer) == name:
            return []
        self._layers[layer] = name
        return self._settle(now_ms)

    def stop(self, layer: Layer, now_ms: int, *, speaking: bool = False) -> list[Command]:
        """It is heard no longer; what is below it is heard again. ``speaking``: speech follows."""
        if self._layers.pop(layer, None) is None:
            return []
        return self._settle(now_ms, speaking=speaking)

    def _settle(self, now_ms: int, *, speaking: bool = False) -> list[Command]:
        name = self._layers[min(self._layers)] if self._layers else ""
        if name == self._name or not self._there:
            return []
        out = self._take_back(now_ms)
        if not self._name:
            unheard = bytes_of_ms(self._playout.unheard_ms(now_ms))
            self._end = max(self._end, now_ms * BYTES_PER_MS + unheard)
        self._name, self._at = name, 0
        out.append(SetSound(name))
        if not name:
            self._alarms.clear(Alarm.SOUND)
        return out if speaking else out + self.due(now_ms)

    def _take_back(self, now_ms: int) -> list[Command]:
        """What lies ahead of sound alone is not wanted any more."""
        if not self._alone or not self._playout.idle:
            return []
        lies_ahead = bool(self._name) or self._end > now_ms * BYTES_PER_MS
        self._rewind(now_ms)
        return [ClearPlayback()] if lies_ahead else []

    def _rewind(self, now_ms: int) -> None:
        """Everything that was not heard is gone: the sound goes on where it was."""
        ahead = max(0, self._end - now_ms * BYTES_PER_MS)
        self._at = max(0, self._at - ahead)
        self._end = now_ms * BYTES_PER_MS
        self._alone = False

    def _again(self) -> SetSound:
        """The sound, from the place it has come to."""
        return SetSound(self._name, self._at % self._sounds[self._name].length_bytes)

    def speak(self, audio: SpeechAudio, now_ms: int) -> list[Command]:
        """Send speech with the sound behind it, at once. On the audio path unless ``off``."""
        out: list[Command] = []
        if self._alone and self._playout.idle:
            out = self._take_back(now_ms)
            if self._name:
                out.append(self._again())
        elif self._alone:
            out = self._playout.fence()
        self._alone = False
        self._sent(audio.length_bytes, now_ms)
        out += self._playout.speak(audio, now_ms)
        self.said(now_ms)  # Its end may lie nearer than that of what was cleared.
        return out

    def keys(self, length_bytes: int, now_ms: int) -> list[Command]:
        """Keys are about to be sent while nobody speaks; the sound pauses for so long, because
        who listens to them is a machine."""
        if self.off:
            return []
        out = self._take_back(now_ms)
        if self._name:
            out.append(self._again())
        self._alone = False
        self._end = max(self._end, now_ms * BYTES_PER_MS) + length_bytes
        self.said(now_ms)
        return out

    def said(self, now_ms: int) -> None:
        """What follows the words is due sooner or later than it was: there are more of them, or
        no more to come."""
        if self._name:
            self._alarms.set(Alarm.SOUND, max(now_ms + 1, self._due_ms))

    def _sent(self, length_bytes: int, now_ms: int) -> None:
        self._at += length_bytes
        self._end = max(self._end, now_ms * BYTES_PER_MS) + length_bytes

    def beside(self, length_bytes: int, now_ms: int) -> None:
        """Something else is played, of which the ledger knows nothing."""
        self._alone = True
        self._sent(length_bytes, now_ms)

    def cleared(self, now_ms: int) -> list[Command]:
        """Playback was cleared for the caller's sake: the sound goes on without a pause."""
        if self.off:
            return []
        self._rewind(now_ms)
        return [self._again(), *self.due(now_ms)] if self._name else []

    @property
    def _lead_ms(self) -> int:
        return EDGE_MS if self._playout.forming else LEAD_MS

    @property
    def _due_ms(self) -> int:
        return ms_of_bytes(self._end) - self._lead_ms

    def due(self, now_ms: int) -> list[Command]:
        """The next piece, if little is left of what lies ahead."""
        if not self._name:
            return []
        sound = self._sounds[self._name]
        if not sound.loop and self._at >= sound.length_bytes:
            return self._over(now_ms)
        out: list[Command] = []
        if self._due_ms <= now_ms:
            length = bytes_of_ms(SLIVER_MS if self._playout.forming else PIECE_MS)
            if not sound.loop:
                length = min(length, sound.length_bytes - self._at)
            self._sent(length, now_ms)
            self._alone = True
            out.append(PlaySound(length))
        self._alarms.set(Alarm.SOUND, max(now_ms + 1, self._due_ms))
        return out

    def _over(self, now_ms: int) -> list[Command]:
        """What is played once has been: the caller hears what is below it, or nothing."""
        over = [layer for layer, name in self._layers.items() if name == self._name]
        for layer in over:
            del self._layers[layer]
        return self._settle(now_ms)
