"""The units of telephone audio, and the only place where their numbers appear bare.

Twilio Media Streams and OpenAI Realtime's ``audio/pcmu`` both carry G.711 mu-law, one byte
a sample, 8,000 samples a second, mono; Twilio brings it in frames of 20 ms. Lengths of
base64 text are derived without decoding it.
"""

SAMPLE_RATE_HZ = 8000
FRAME_MS = 20
BYTES_PER_MS = SAMPLE_RATE_HZ // 1000
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
MULAW_SILENCE = 0xFF
"""The mu-law code of a sample of value zero."""

B64_QUANTUM_BYTES = 24
B64_QUANTUM_CHARS = 32
"""24 bytes are 3 ms of audio and exactly 32 base64 characters without padding: base64 text
may be cut at any multiple of these and every piece is valid by itself."""


def ms_of_bytes(length_bytes: int) -> int:
    """Whole milliseconds of mu-law audio in ``length_bytes``, rounded down."""
    return length_bytes // BYTES_PER_MS


def bytes_of_ms(length_ms: int) -> int:
    """Bytes of mu-law audio that last ``length_ms``."""
    return length_ms * BYTES_PER_MS


def bytes_of_b64(text: str) -> int:
    """How many bytes the padded base64 ``text`` stands for; the text is not validated."""
    if text.endswith("=="):
        return len(text) * 3 // 4 - 2
    if text.endswith("="):
        return len(text) * 3 // 4 - 1
    return len(text) * 3 // 4


def chars_of_bytes(length_bytes: int) -> int:
    """How long the padded base64 text of that many bytes is."""
    return (length_bytes + 2) // 3 * 4
