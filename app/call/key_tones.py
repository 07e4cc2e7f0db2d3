"""The sound of keys, which the model must not hear: silence in its place.

Twilio tells of a key and leaves its two tones in the audio, which voice activity detection
takes for speech, and which anybody could read a sensitive number from. What follows a key is
silenced for as long as a tone lasts. The news comes when a tone has begun; so while keys are
expected, everything is held back for that long, and silenced from there. Where a collection
wants no speech, all of it is silence from the first key to the end. The timeline stays whole:
what is taken away is replaced by as much.
"""

from collections import deque
from collections.abc import Iterable

from app.protocol.commands import AppendAudio, AppendSilence, Command
from app.protocol.units import bytes_of_b64, ms_of_bytes

HELD_FRAMES = 5
"""100 ms, while keys are expected: a tone has begun so long before Twilio tells of it."""
TONE_FRAMES = 13
"""260 ms are silenced after a key; a tone of Twilio's own softphones lasts 160 to 200 ms."""
EXPECTED_FRAMES = 150
"""For 3 s after a key the next one is expected. Counted in what is heard, as tones are: a server
that stood still for a moment finds both in their order."""


class KeyTones:
    """Stands between the caller's frames and the model while keys are pressed."""

    def __init__(self) -> None:
        self._held: deque[Command] = deque()
        self._wanted = False
        self._ignoring = False
        self._silent = 0
        self._expected = 0
        self.at_work = False
        """Frames have to go through here."""

    def pressed(self) -> None:
        """A key: what is held may be its tone, and so may what comes next."""
        self._silent, self._expected = TONE_FRAMES, EXPECTED_FRAMES
        self._held = deque(map(_silence, self._held))
        self.at_work = True

    def expect(self, *, keys: bool, speech: bool) -> None:
        """Whether keys are waited for, and whether what is said meanwhile counts."""
        self._wanted, self._ignoring = keys, not speech
        self.at_work = self.at_work or keys

    def through(self, frame: Iterable[Command]) -> list[Command]:
        """What the model hears of this frame and what was missing before it, and of what was
        held."""
        hides = self._ignoring or self._silent > 0
        self._held.extend(map(_silence, frame) if hides else frame)
        self._silent -= 1
        self._expected -= 1
        if not self._wanted and self._expected <= 0:
            self.at_work = False
            return self.release()
        return [self._held.popleft() for _ in range(len(self._held) - HELD_FRAMES)]

    def release(self) -> list[Command]:
        """All that is held, which is heard now."""
        held, self._held = list(self._held), deque()
        return held


def _silence(command: Command) -> Command:
    if isinstance(command, AppendAudio):
        return AppendSilence(ms_of_bytes(bytes_of_b64(command.payload_b64)))
    return command
