"""A model line to a server that speaks linear samples: mu-law on our side of it, to the sample.

The ledger of what was heard counts mu-law bytes, so lengths must survive the conversion: the
resamplers keep their state between pieces, and half a sample at the end of a delta waits for
its other half. Nothing of this is in the way of a line that needs no conversion.
"""

import audioop
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable

from app.audio import mulaw
from app.protocol.commands import AppendAudio, AppendSilence, ToModel
from app.protocol.dialect import AudioFormat, Dialect
from app.protocol.events import Event, SpeechAudio
from app.protocol.realtime_client_events import SessionConfig
from app.protocol.units import SAMPLE_RATE_HZ
from app.transports.model import Endpoint, ModelLine

_SAMPLE_BYTES = 2

Convert = Callable[[bytes], bytes]


def to_format(wanted: AudioFormat) -> Convert:
    """What turns consecutive mu-law into ``wanted``; resamplers drop up to two samples, once."""
    if not wanted.linear:
        return bytes
    if wanted.rate_hz == SAMPLE_RATE_HZ:
        return mulaw.decode
    resample = _resampler(SAMPLE_RATE_HZ, wanted.rate_hz)
    return lambda audio: resample(mulaw.decode(audio))


def from_format(given: AudioFormat) -> Convert:
    """What turns consecutive ``given`` into mu-law, cut anywhere; it may hold back a sample."""
    if not given.linear:
        return bytes
    if given.rate_hz == SAMPLE_RATE_HZ:
        return _whole_samples(mulaw.encode)
    resample = _resampler(given.rate_hz, SAMPLE_RATE_HZ)
    return _whole_samples(lambda linear: mulaw.encode(resample(linear)))


def _resampler(from_hz: int, to_hz: int) -> Convert:
    """Linear interpolation, at once: what a better filter would hold back is heard as delay."""
    state = None

    def resample(linear: bytes) -> bytes:
        nonlocal state
        audio, state = audioop.ratecv(linear, _SAMPLE_BYTES, 1, from_hz, to_hz, state)
        return audio

    return resample


def _whole_samples(convert: Convert) -> Convert:
    rest = b""

    def converted(linear: bytes) -> bytes:
        nonlocal rest
        linear = rest + linear
        whole = len(linear) // _SAMPLE_BYTES * _SAMPLE_BYTES
        rest = linear[whole:]
        return convert(linear[:whole])

    return converted


class TranscodedLine:
    """A model line like any other, to those who use it."""

    def __init__(
        self, config: SessionConfig, feed: Callable[[Event], None], dialect: Dialect
    ) -> None:
        self.feed = feed
        """Where events go; may be replaced."""
        self._line = ModelLine(config, self._heard, dialect)
        self.session_id = ""
        self.life_ms: int | None = None
        self.ignored = self._line.ignored
        self.warnings = self._line.warnings
        self._dialect = dialect
        self._to_model = to_format(dialect.audio_in)
        self._from_model = from_format(dialect.audio_out)
        self._speaking = ""

    async def open(self, endpoint: Endpoint, timeout_ms: int) -> None:
        """As ``ModelLine.open``."""
        await self._line.open(endpoint, timeout_ms)
        self.session_id = self._line.session_id
        self.life_ms = self._line.life_ms

    def append(self, payload_b64: str) -> None:
        """Caller audio, mu-law as base64. On the audio path."""
        audio = self._to_model(a2b_base64(payload_b64))
        self._line.append(b2a_base64(audio, newline=False).decode())

    def send(self, command: ToModel) -> None:
        """As ``ModelLine.send``; audio is mu-law."""
        if isinstance(command, AppendAudio):
            self.append(command.payload_b64)
        elif isinstance(command, AppendSilence):
            audio = self._to_model(mulaw.silence(command.length_ms))
            self._line.append(b2a_base64(audio, newline=False).decode())
        else:
            self._line.send(command)

    def close(self) -> None:
        """As ``ModelLine.close``."""
        self._line.close()

    def _heard(self, event: Event) -> None:
        """An event of the server's, its audio turned into mu-law. On the audio path."""
        if event.__class__ is not SpeechAudio:
            self.feed(event)
            return
        if event.item_id != self._speaking:
            # What is held back of one item is no part of the next.
            self._speaking = event.item_id
            self._from_model = from_format(self._dialect.audio_out)
        audio = self._from_model(a2b_base64(event.payload_b64))
        if audio:
            event.payload_b64 = b2a_base64(audio, newline=False).decode()
            event.length_bytes = len(audio)
            self.feed(event)
