"""The sound behind the URL of a <Play>, as a telephone hears it.

WAV in any common form, and plain mu-law. Rule: what is not one of these is said to be wrong
and not guessed at; Twilio plays MP3 as well, and this carrier has nothing to decode it with.
"""

import asyncio

from app.emulators.demo_voice import VoiceFault
from app.emulators.phone_wav import heard_in
from app.emulators.twilio_webhooks import Webhooks
from app.emulators.twilio_words import Violation

_MULAW_TYPES = frozenset({"audio/basic", "audio/mulaw", "audio/ulaw", "audio/x-mulaw"})


async def sound_of(webhooks: Webhooks, url: str) -> bytes | Violation:
    """Mu-law, or what Twilio's debugger would show (11200, 12400)."""
    found = await webhooks.media(url)
    if isinstance(found, Violation):
        return found
    kind, content = found
    if kind in _MULAW_TYPES:
        return content
    try:
        # Resampling ten minutes takes longer than a frame may wait.
        return await asyncio.to_thread(heard_in, url, content)
    except VoiceFault as fault:
        text = str(fault).rstrip(".")
        return Violation(12400, f"{text} (the local carrier plays WAV and mu-law)")
