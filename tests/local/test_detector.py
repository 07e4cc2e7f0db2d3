"""Who speaks and when, by the detector and the ear it is given to."""

import pytest

from app.audio import mulaw
from app.emulators.realtime_config import TurnDetection
from app.emulators.realtime_hearing import Ear, SpeechStarted, SpeechStopped
from app.local.decoding import available
from app.local.detector import Energy, best_detector
from app.protocol.units import FRAME_BYTES
from tests.local.utterances import NOISES, frames, line_of_turns, turn, utterances
from tests.needs import needs

needs_pocketsphinx = needs("pocketsphinx", there=available())
DETECTION = TurnDetection(
    threshold=0.5,
    prefix_padding_ms=300,
    silence_duration_ms=500,
    create_response=True,
    interrupt_response=True,
    idle_timeout_ms=None,
)


def noticed(ear: Ear, audio: bytes) -> list[SpeechStarted | SpeechStopped]:
    """What the ear says of mu-law audio that is appended in frames."""
    out = []
    for begin in range(0, len(audio), FRAME_BYTES):
        out += ear.hear(audio[begin : begin + FRAME_BYTES], "audio/pcmu", DETECTION)
    return out


@needs_pocketsphinx
@pytest.mark.parametrize("noise", NOISES)
def test_every_turn_begins_and_nothing_else_does(noise: str) -> None:
    """A missed turn is an agent that does not answer, a false start one that falls silent."""
    line, turns = line_of_turns(noise, snr_db=20, seed=5)

    heard = noticed(Ear(best_detector()), mulaw.encode(line))

    # The padding is taken off again: a start is where the voice was first heard.
    starts = [one.audio_start_ms + 300 for one in heard if isinstance(one, SpeechStarted)]
    missed = [t for t in turns if not any(t[0] - 60 <= at <= t[1] for at in starts)]
    false = [at for at in starts if not any(t[0] - 60 <= at <= t[1] for t in turns)]
    assert len(turns) == 48
    assert not missed
    assert not false


@pytest.mark.parametrize("noise", ["clean", "pink"])
def test_level_alone_hears_the_turns_too(noise: str) -> None:
    """Where PocketSphinx cannot be installed the caller is still let speak."""
    line, turns = line_of_turns(noise, snr_db=20, seed=5)

    heard = noticed(Ear(Energy()), mulaw.encode(line))

    starts = [one.audio_start_ms + 300 for one in heard if isinstance(one, SpeechStarted)]
    assert all(any(t[0] - 60 <= at <= t[1] for at in starts) for t in turns)


def test_a_higher_threshold_hears_less() -> None:
    """The client's setting is a distance from the noise of the line."""
    linear = turn(utterances()[0].audio, snr_db=15)

    def loud(threshold: float) -> int:
        detector = Energy()
        return sum(detector.is_speech(frame, threshold) for frame in frames(linear))

    assert loud(0.2) > loud(0.5) > loud(1.0) > 0


class Script:
    """Says what it is told, window after window."""

    def __init__(self, windows: str) -> None:
        self.windows = iter(windows)
        self.lengths: set[int] = set()

    def is_speech(self, linear: bytes, threshold: float) -> bool:
        """Each ``x`` is speech."""
        self.lengths.add(len(linear))
        return next(self.windows, ".") == "x"


@pytest.mark.parametrize(
    ("windows", "starts_at_ms"),
    [
        ("...xxx....", [60]),
        ("...x..x..x....", [60]),
        ("...x...x...x....", []),
        ("...xx......", []),
        ("...xx...xxx....", [160]),
    ],
)
def test_three_windows_with_small_gaps_are_a_voice(windows: str, starts_at_ms: list[int]) -> None:
    """Two of them are a cough; a sound between two vowels may be missed by the detector."""
    detection = TurnDetection(0.5, 0, 500, True, True, None)
    ear = Ear(Script(windows))

    heard = ear.hear(mulaw.silence(20 * len(windows)), "audio/pcmu", detection)

    assert [one.audio_start_ms for one in heard if isinstance(one, SpeechStarted)] == starts_at_ms


def test_padding_and_silence_are_exact_with_a_detector() -> None:
    """They are the client's, whoever hears."""
    windows = "." * 30 + "x" * 20 + "." * 40
    ear = Ear(Script(windows))

    heard = ear.hear(mulaw.silence(20 * len(windows)), "audio/pcmu", DETECTION)

    start, stop = heard
    assert isinstance(start, SpeechStarted)
    assert isinstance(stop, SpeechStopped)
    assert start.audio_start_ms == 600 - 300
    assert stop.audio_end_ms == 1000 + 500
    assert len(stop.audio) == 1200 * 8


@pytest.mark.parametrize(
    ("name", "bytes_a_window"), [("audio/pcmu", 160), ("audio/pcma", 160), ("audio/pcm", 960)]
)
def test_detectors_are_given_telephone_frames_of_any_format(name: str, bytes_a_window: int) -> None:
    """They know one: 16-bit, 8 kHz, 20 ms."""
    script = Script("")
    ear = Ear(script)

    for _ in range(50):
        ear.hear(bytes(bytes_a_window), name, DETECTION)

    assert script.lengths == {320}
