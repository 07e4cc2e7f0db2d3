"""A voice for the carrier where nobody brings a better one: espeak-ng, or captions only."""

from app.emulators.demo_voice import PROGRAM, Studio, Voice, VoiceFault


class StudioVoice:
    """Speaks with the demonstration's studio where that has words, and else not at all."""

    def __init__(self, studio: Studio, speaker: Voice) -> None:
        self.rung = PROGRAM if studio.speaks else "none"
        self._studio = studio
        self._speaker = speaker

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law; empty when it cannot be said."""
        if self.rung == "none":
            return b""
        try:
            return await self._studio.say(text, self._speaker)
        except (VoiceFault, TimeoutError):
            return b""
