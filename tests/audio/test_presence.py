"""How much voice there is on a caller's line: rows S7 and peers' defect of false interruptions."""

from base64 import b64encode

import numpy as np
import pytest

from app.audio import mulaw
from app.audio.presence import KEPT_FRAMES, Presence
from app.protocol.units import FRAME_BYTES, bytes_of_ms
from scripts import barge_in_report as report


def hear(presence: Presence, linear: bytes) -> None:
    """A line brings this, frame by frame."""
    coded = mulaw.encode(linear)
    for at in range(0, len(coded), FRAME_BYTES):
        presence.heard(b64encode(coded[at : at + FRAME_BYTES]).decode())


def some(length_ms: int, dbfs: float, seed: int = 1) -> bytes:
    return report.noise(length_ms, seed, dbfs)


def test_silence_is_no_voice() -> None:
    """And neither is a line of which nothing is known."""
    presence = Presence()
    assert presence.measure(0) == presence.measure(20)

    hear(presence, bytes(2 * bytes_of_ms(400)))
    assert presence.measure(400).voice_ms == 0


def test_a_steady_noise_is_no_voice() -> None:
    """What the line always sounds like is nobody, however loud."""
    presence = Presence()
    hear(presence, some(2_000, -30))

    assert presence.measure(2_000).voice_ms == 0


def test_a_voice_counts_from_its_beginning_while_it_is_heard() -> None:
    """And not any more when it has been over for longer than a pause within a word."""
    presence = Presence()
    hear(presence, some(1_000, -60) + some(200, -20))
    assert presence.measure(1_200).voice_ms == 200

    hear(presence, some(80, -60))
    assert presence.measure(1_280).voice_ms == 200
    hear(presence, some(60, -60))
    assert presence.measure(1_340).voice_ms == 0


def test_what_was_sent_and_comes_back_is_an_echo() -> None:
    """Late and 20 dB down; louder than noise, and no voice."""
    presence, agent = Presence(), bytes(2 * bytes_of_ms(800)) + some(1_200, -20, seed=2)
    presence.sent(b64encode(mulaw.encode(agent)).decode(), bytes_of_ms(2_000), 0)
    hear(presence, report.echo(agent, 3)[: 2 * bytes_of_ms(1_500)])

    found = presence.measure(1_500)

    assert found.voice_ms == 0
    assert found.echo_ms >= 400


def test_what_was_cleared_does_not_come_back() -> None:
    """Speech after it is the caller's, who is not compared with what nobody heard."""
    presence, agent = Presence(), some(2_000, -20, seed=2)
    presence.sent(b64encode(mulaw.encode(agent)).decode(), bytes_of_ms(2_000), 0)
    presence.cleared(100)
    late = quieter(agent[2 * bytes_of_ms(1_500) :])
    hear(presence, some(1_500, -60) + late[: 2 * bytes_of_ms(300)])

    assert presence.measure(1_800).voice_ms == 300


def quieter(linear: bytes) -> bytes:
    """20 dB."""
    return (np.frombuffer(linear, np.int16) // 10).astype(np.int16).tobytes()


def test_a_frame_is_judged_once_and_the_oldest_are_forgotten() -> None:
    """Whoever measures every 20 ms pays for 20 ms, and a call of hours costs two seconds."""
    presence = Presence()
    hear(presence, some(10_000, -20))
    presence.measure(10_000)
    again = presence.measure(10_020)

    assert again == presence.measure(10_040)
    assert len(presence._levels) == KEPT_FRAMES
    assert not presence._fresh


@pytest.mark.parametrize("what", ["cough of 120 ms", "echo at -20 dB"])
def test_false_interruptions_do_not_cut(what: str) -> None:
    """S7: fewer than 2 % of them, by the local detector and the machine itself."""
    plan, agents = report.POLICIES["200ms and echo_guard"], report.agents(8)
    line = report.false_ones()[what]

    found = [report.trial(plan, agent, line(agent, n), n) for n, agent in enumerate(agents)]

    assert [one.cut_ms for one in found] == [None] * len(agents)


@pytest.mark.parametrize("what", ["a caller at -20 dBFS", "one over the echo"])
def test_true_interruptions_cut_within_300_ms(what: str) -> None:
    """S7: from the caller's first sound to the clear, on the call's own clock."""
    plan, agents = report.POLICIES["200ms and echo_guard"], report.agents(8)
    late = []
    for n, said in enumerate(report.callers(12)):
        agent = agents[n % len(agents)]
        cut_ms = report.trial(plan, agent, report.true_ones(said)[what](agent, n), n).cut_ms
        assert cut_ms is not None
        late.append(cut_ms - report.onset_ms(said))

    assert late
    assert all(0 < ms <= 300 for ms in late), late
