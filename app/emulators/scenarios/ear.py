"""An ear for tones: how long one was heard, whether one was heard at all, which keys were.

Every voice, key and piece of music of the scenarios has a pitch of its own, so that who was
heard is measured and not read out of a record. Rule: what has to be heard must fill its frames
by itself; what must not be heard is found under anything else that sounds.
"""

from functools import lru_cache
from itertools import groupby

from app.audio import mulaw, tones
from app.protocol.units import FRAME_BYTES, FRAME_MS

_AUDIBLE_RMS = 1_000
"""A tone that fades in and out to comfort a caller stays below."""
_ALONE = 0.8
_AMONG = 0.15
_BOTH = 0.7
_SIDE = 0.15
"""Of the energy, for either tone of a key."""
_ROWS = {697: "123A", 770: "456B", 852: "789C", 941: "*0#D"}
_COLUMNS = (1209, 1336, 1477, 1633)


def lasts_ms(audio: bytes, frequency_hz: float) -> int:
    """How long the tone sounded by itself; up to 40 ms less than it did."""
    return FRAME_MS * sum(strength(one, frequency_hz) > _ALONE for one in _loud(audio))


def trace_ms(audio: bytes, frequency_hz: float) -> int:
    """How long there was anything of the tone, under whatever else; its neighbours within 150 Hz
    leave traces, too."""
    return FRAME_MS * sum(strength(one, frequency_hz) > _AMONG for one in _loud(audio))


def begins(audio: bytes, frequency_hz: float) -> int | None:
    """At which byte the tone is heard first; None where it is not."""
    for at in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES):
        frame = audio[at : at + FRAME_BYTES]
        if mulaw.rms(frame) > _AUDIBLE_RMS and strength(frame, frequency_hz) > _ALONE:
            return at
    return None


def keys(audio: bytes) -> str:
    """The keys whose tones are heard, in their order; each lasts for 40 ms or more."""
    frames = (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
    return "".join(key for key, _ in groupby(_key(frame) for frame in frames) if key)


@lru_cache(maxsize=65_536)
def strength(frame: bytes, frequency_hz: float) -> float:
    """As ``tones.strength``; a tone brings the same frames again and again."""
    return tones.strength(frame, frequency_hz)


def _key(frame: bytes) -> str:
    if mulaw.rms(frame) <= _AUDIBLE_RMS:
        return ""
    rows = {hz: strength(frame, hz) for hz in _ROWS}
    columns = {hz: strength(frame, hz) for hz in _COLUMNS}
    row, column = max(rows, key=rows.__getitem__), max(columns, key=columns.__getitem__)
    if min(rows[row], columns[column]) < _SIDE or rows[row] + columns[column] < _BOTH:
        return ""
    return _ROWS[row][_COLUMNS.index(column)]


def _loud(audio: bytes) -> list[bytes]:
    frames = (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
    return [one for one in frames if mulaw.rms(one) > _AUDIBLE_RMS]
