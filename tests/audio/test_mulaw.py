"""G.711 mu-law to samples and back."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio import mulaw


@given(st.binary(max_size=400))
def test_decoding_and_encoding_again_changes_nothing_audible(audio: bytes) -> None:
    """Except negative zero (0x7F), which is zero."""
    assert mulaw.encode(mulaw.decode(audio)) == audio.replace(b"\x7f", b"\xff")


@given(st.lists(st.integers(-32_000, 32_000), max_size=200))
def test_a_sample_comes_back_nearly_as_it_was(samples: list[int]) -> None:
    """Logarithmic: the error grows with the loudness, never beyond a thirtieth of it."""
    linear = struct.pack(f"<{len(samples)}h", *samples)

    back = struct.unpack(f"<{len(samples)}h", mulaw.decode(mulaw.encode(linear)))

    assert all(abs(a - b) <= 16 + abs(a) / 32 for a, b in zip(samples, back, strict=True))


@pytest.mark.parametrize(("length_ms", "length_bytes"), [(0, 0), (20, 160), (1_000, 8_000)])
def test_silence_is_of_the_length_asked_for(length_ms: int, length_bytes: int) -> None:
    """8,000 bytes a second."""
    assert mulaw.silence(length_ms) == b"\xff" * length_bytes


def test_loudness_is_measured() -> None:
    """The full scale of 16 bits, nearly; nothing has no loudness."""
    assert mulaw.rms(mulaw.silence(20)) == 0
    assert mulaw.rms(b"") == 0
    assert mulaw.rms(b"\x00" * 160) > 32_000
