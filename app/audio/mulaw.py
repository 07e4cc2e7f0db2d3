"""G.711 mu-law to linear samples and back, for whole clips.

Uses the interpreter's ``audioop`` (the ``audioop-lts`` package from Python 3.13 on); nothing
here runs on the audio path, where mu-law passes through as base64 text.
"""

import audioop

from app.protocol.units import BYTES_PER_MS, MULAW_SILENCE


def encode(linear: bytes) -> bytes:
    """Mu-law, one byte a sample, of 16-bit little-endian mono samples at the same rate."""
    return audioop.lin2ulaw(linear, 2)


def decode(mulaw: bytes) -> bytes:
    """16-bit little-endian mono samples of mu-law at the same rate."""
    return audioop.ulaw2lin(mulaw, 2)


def silence(length_ms: int) -> bytes:
    """Mu-law silence of ``length_ms`` milliseconds."""
    return bytes([MULAW_SILENCE]) * (length_ms * BYTES_PER_MS)


def rms(mulaw: bytes) -> int:
    """Root mean square of the samples, 0 (silence) to 32,767."""
    return audioop.rms(decode(mulaw), 2) if mulaw else 0
