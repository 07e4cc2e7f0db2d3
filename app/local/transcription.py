"""The operator's own speech-to-text server, asked once a turn.

Rule: it is waited for as long as a caller waits, and whatever goes wrong is one sentence and
the next rung's turn.
"""

import audioop
import io
import wave

import aiohttp

from app.local.remote import Remote, RemoteFault
from app.protocol.units import SAMPLE_RATE_HZ

WITHIN_S = 4
_WIDE_HZ = 2 * SAMPLE_RATE_HZ
_MOST_CHARS = 2000


async def transcribed(remote: Remote, model: str, linear: bytes) -> str:
    """The words of one turn (16-bit, 8 kHz); empty for silence. Raises ``RemoteFault``."""
    form = aiohttp.FormData()
    form.add_field("file", wav(linear), filename="turn.wav", content_type="audio/wav")
    form.add_field("model", model or "whisper-1")
    form.add_field("language", "en")
    form.add_field("response_format", "json")
    answer = await remote.json("audio/transcriptions", form, within_s=WITHIN_S)
    text = answer.get("text")
    if not isinstance(text, str):
        raise RemoteFault('STT_BASE_URL answered JSON without a "text"')
    return " ".join(text[:_MOST_CHARS].split())


def wav(linear: bytes) -> bytes:
    """A 16 kHz WAV of 16-bit, 8 kHz samples."""
    wide, _ = audioop.ratecv(linear, 2, 1, SAMPLE_RATE_HZ, _WIDE_HZ, None)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_WIDE_HZ)
        sound.writeframes(wide)
    return file.getvalue()
