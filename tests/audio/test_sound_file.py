"""Sound files of any kind become samples at 8 kHz, or a sentence."""

import contextlib
import struct

import numpy as np
import pytest

from app.audio import mulaw
from app.audio.sound_file import LONGEST_S, NotASound, samples
from app.audio.tones import strength
from tests.audio.sound_files import as_mulaw, level, sine_file, written


def test_samples_at_8_khz_come_back_one_by_one() -> None:
    """W45: what the operator prepared for the telephone is what is played, bit by bit."""
    prepared = np.random.default_rng(1).integers(-32_768, 32_768, 4_000).astype("<i2")

    assert samples(written(prepared, 8_000)) == prepared.tobytes()


@pytest.mark.parametrize("rate_hz", [6_000, 11_025, 16_000, 22_050, 44_100, 44_101, 48_000, 96_000])
def test_any_rate_keeps_pitch_length_and_level(rate_hz: int) -> None:
    """W45: watsonx wants 8,000 Hz exactly; music is sold at 44,100."""
    linear = samples(sine_file(1_000, rate_hz=rate_hz))

    assert abs(len(linear) // 2 - 8_000) <= 1
    assert strength(as_mulaw(linear), 1_000) > 0.99
    assert level(linear) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_what_a_telephone_cannot_carry_does_not_fold_back(rate_hz: int) -> None:
    """Half the energy of cymbals would come back as a whistle at 2 kHz."""
    assert level(samples(sine_file(6_000, rate_hz=rate_hz))) < 0.001


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("MP3", None),
        ("FLAC", None),
        ("OGG", None),
        ("WAV", "PCM_24"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("WAV", "PCM_U8"),
    ],
)
def test_common_formats_in_stereo(kind: str, subtype: str | None) -> None:
    """W45: MP3 as well as WAV."""
    file = sine_file(1_000, rate_hz=44_100, channels=2, kind=kind, subtype=subtype)

    linear = samples(file)

    assert strength(as_mulaw(linear), 1_000) > 0.98
    assert level(linear) == pytest.approx(0.5, rel=0.05)


def test_channels_are_mixed_and_not_chosen_from() -> None:
    """A band whose piano is on the right has a piano."""
    moments = np.arange(8_000) / 8_000
    left, right = (0.5 * np.sin(2 * np.pi * hz * moments) for hz in (500, 1_500))

    both = as_mulaw(samples(written(np.stack([left, right], axis=1), 8_000)))

    assert strength(both, 500) > 0.4
    assert strength(both, 1_500) > 0.4


def test_what_is_louder_than_loud_is_clipped() -> None:
    """Samples that wrap around are a bang."""
    linear = samples(written(np.array([2.0, -2.0, 0.0] * 100), 8_000, subtype="FLOAT"))

    assert set(struct.unpack("<300h", linear)) == {32_767, -32_768, 0}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"I am a text.",
        b"RIFF\0\0\0\0WAVE",
        b"\xff\xfb" + bytes(1_000),
        sine_file()[:30],
        b"%PDF-1.7" + bytes(5_000),
    ],
)
def test_what_is_no_sound_is_told_in_a_sentence(content: bytes) -> None:
    """Refused at load, before anybody is put on hold with it."""
    with pytest.raises(NotASound, match=r"is no sound file|has no sound"):
        samples(content)


def test_a_kind_of_file_that_nobody_expects_is_named() -> None:
    """libsndfile reads more than we say; what is tried with it is what we say."""
    with pytest.raises(NotASound, match="is a AU file: save it as WAV or MP3"):
        samples(sine_file(kind="AU", length_s=0.1))


def test_every_truncation_is_a_sound_or_a_sentence() -> None:
    """A file whose upload broke off must not stop the server with a traceback."""
    whole = sine_file(length_s=0.02)
    for kept in range(0, len(whole), 7):
        with contextlib.suppress(NotASound):
            assert len(samples(whole[:kept])) % 2 == 0


@pytest.mark.parametrize("rate_hz", [1, 3_999, 400_000])
def test_rates_that_are_mistakes(rate_hz: int) -> None:
    """One sample a second is a header that lies; it would be stretched into hours."""
    with pytest.raises(NotASound, match="samples a second"):
        samples(written(np.zeros(50), rate_hz))


def test_hours_of_music_are_refused() -> None:
    """It is held in memory for as long as the server runs, and can be looped instead."""
    too_long = written(np.zeros((LONGEST_S + 1) * 8_000, dtype="int16"), 8_000, subtype="ULAW")

    with pytest.raises(NotASound, match="longer than 5 minutes"):
        samples(too_long)


def test_not_a_number_is_silence() -> None:
    """Float files may hold what is none."""
    linear = samples(written(np.array([np.nan, 0.5, np.inf] * 10), 8_000, subtype="FLOAT"))

    assert mulaw.rms(as_mulaw(linear)) > 0
