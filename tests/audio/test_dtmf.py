"""The sound of keys, as a decoder hears it."""

import base64
from itertools import pairwise

import pytest

from app.audio import dtmf
from app.protocol.units import BYTES_PER_MS, MULAW_SILENCE
from tests.audio.decoder import decoded

ALL = "123A456B789C*0#D"


def made(symbols: str, *, key_ms: int = 200, gap_ms: int = 200, level: int = -8) -> bytes:
    pieces = (dtmf.sound(one, key_ms=key_ms, gap_ms=gap_ms, level_dbm0=level) for one in symbols)
    return b"".join(map(base64.b64decode, pieces))


@pytest.mark.parametrize("level", [0, -8, -20, -35])
def test_every_key_is_heard_at_its_level(level: int) -> None:
    """W58, W60: all sixteen after a round of mu-law, within a decibel."""
    found = decoded(made(ALL, level=level))

    assert "".join(one.key for one in found) == ALL
    assert all(abs(one.level_dbm0 - level) < 1 for one in found)


@pytest.mark.parametrize(("key_ms", "gap_ms"), [(200, 200), (60, 80), (100, 40)])
def test_keys_and_gaps_last_as_long_as_asked_for(key_ms: int, gap_ms: int) -> None:
    """W59, W61: to 5 ms."""
    found = decoded(made("159D", key_ms=key_ms, gap_ms=gap_ms))

    assert all(abs(one.length_ms - key_ms) <= 5 for one in found)
    gaps = [after.at_ms - one.at_ms - one.length_ms for one, after in pairwise(found)]
    assert len(gaps) == 3
    assert all(abs(one - gap_ms) <= 5 for one in gaps)


def test_pauses_are_silence_and_no_key() -> None:
    """W58: w is half a second, W a whole one, beside the gap."""
    one, two = decoded(made("1wW2"))

    assert (one.key, two.key) == ("1", "2")
    assert two.at_ms == 200 + 200 + 500 + 1_000
    assert set(made("w")) == {MULAW_SILENCE}


def test_what_is_not_known_any_more_takes_its_time_in_silence() -> None:
    """The key of a flight log that says only that there was one."""
    audio = made("x")

    assert len(audio) == 400 * BYTES_PER_MS
    assert set(audio) == {MULAW_SILENCE}
