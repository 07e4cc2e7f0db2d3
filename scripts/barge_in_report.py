"""Measures what interrupts the agent and what does not, and prints the shares and times.

    .venv/bin/python -W ignore::DeprecationWarning -m scripts.barge_in_report [--every 4]

The agent's voice and the callers' are the stored utterances, each in another voice; coughs are
bursts of noise of 120 ms, the echo is the agent's own voice late, quieter and, in one row, as a
loudspeaker and a room bring it back. What the server would tell of a caller is told by the local
detector; the machine decides, fed with measurements as a live call is. No clock runs: a second
of a call takes a few milliseconds.
"""

import argparse
import audioop
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from app.audio import mulaw
from app.audio.presence import Presence
from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.emulators.realtime_config import TurnDetection
from app.emulators.realtime_hearing import Ear, SpeechStarted
from app.local.detector import best_detector
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.units import FRAME_BYTES, FRAME_MS, bytes_of_ms
from tests.local.utterances import Utterance, utterances

BEGINS_MS = 1_500
"""When something happens on the caller's line, from the agent's first word."""
LASTS_MS = 3_500
DETECTION = TurnDetection(0.5, 300, 500, False, False, None)
QUIET_DBFS, SPEECH_DBFS = -60.0, -20.0
POLICIES = {
    "at once": CallPlan(),
    "min_interruption: 200ms": CallPlan(min_interruption_ms=200),
    "min_interruption: 250ms": CallPlan(min_interruption_ms=250),
    "echo_guard: true": CallPlan(echo_guard=True),
    "200ms and echo_guard": CallPlan(min_interruption_ms=200, echo_guard=True),
    "250ms and echo_guard": CallPlan(min_interruption_ms=250, echo_guard=True),
}
Line = Callable[[bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one."""

    cut_ms: int | None
    """From the beginning of the caller's sound to the clear; None: nothing was cut."""
    measure_us: tuple[float, ...]


def scaled(linear: bytes, dbfs: float) -> bytes:
    """The same at a level, over its whole length."""
    level = audioop.rms(linear, 2)
    return audioop.mul(linear, 2, 32_768 * 10 ** (dbfs / 20) / level) if level else linear


def padded(linear: bytes, at_ms: int = 0) -> bytes:
    """As it lies on a line that lasts ``LASTS_MS``."""
    line = bytes(2 * bytes_of_ms(at_ms)) + linear
    return (line + bytes(2 * bytes_of_ms(LASTS_MS)))[: 2 * bytes_of_ms(LASTS_MS)]


def noise(length_ms: int, seed: int, dbfs: float) -> bytes:
    """White noise of a fixed seed."""
    made = np.random.default_rng(seed).normal(0, 3_000, bytes_of_ms(length_ms))
    return scaled(made.clip(-32_768, 32_767).astype(np.int16).tobytes(), dbfs)


def cough(_agent: bytes, seed: int) -> bytes:
    """120 ms of noise that dies away."""
    burst = np.frombuffer(noise(120, seed, -14), np.int16)
    shaped = burst * np.exp(-np.linspace(0, 2, len(burst)))
    return padded(shaped.astype(np.int16).tobytes(), BEGINS_MS)


def echo(agent: bytes, seed: int) -> bytes:
    """The agent 20 dB down, 120 to 400 ms late."""
    return padded(audioop.mul(agent, 2, 0.1), 120 + seed * 37 % 280)


def room(agent: bytes, seed: int) -> bytes:
    """The same through a loudspeaker and a room of 60 ms."""
    luck = np.random.default_rng(seed)
    taps = luck.normal(0, 1, bytes_of_ms(60)) * np.exp(-np.linspace(0, 6, bytes_of_ms(60)))
    taps[0] = 2.0
    heard = np.convolve(np.frombuffer(agent, np.int16).astype(float), taps)[: len(agent) // 2]
    peak = np.abs(heard).max() or 1.0
    linear = (heard / peak * 20_000).astype(np.int16).tobytes()
    level = max(1, audioop.rms(agent, 2))
    wanted = 20 * np.log10(level / 32_768) - 20
    return padded(scaled(linear, float(wanted)), 120 + seed * 37 % 280)


def caller(said: Utterance, dbfs: float) -> Line:
    """Somebody who speaks up while the agent talks."""
    return lambda _agent, _seed: padded(scaled(mulaw.decode(said.audio), dbfs), BEGINS_MS)


def with_echo(line: Line) -> Line:
    """The same while the agent comes back."""
    return lambda agent, seed: audioop.add(line(agent, seed), echo(agent, seed), 2)


def frames(linear: bytes, seed: int) -> list[bytes]:
    """20 ms each of mu-law, with the noise of a line."""
    hissing = audioop.add(linear, padded(noise(LASTS_MS, seed, QUIET_DBFS)), 2)
    coded = mulaw.encode(hissing)
    return [coded[at : at + FRAME_BYTES] for at in range(0, len(coded), FRAME_BYTES)]


class Trying:
    """One machine on the telephone, with an ear and a measure."""

    def __init__(self, plan: CallPlan) -> None:
        self.machine = CallMachine(plan)
        self.presence = Presence()
        self.ear = Ear(best_detector())
        self.guards = plan.echo_guard
        self.cut_at_ms: int | None = None
        self.spent_us: list[float] = []
        self.machine.begin(0)
        self.machine.handle(e.ModelReady("sess_1"), 0)
        self.machine.handle(e.StreamStarted("MZ1"), 0)

    def speak(self, agent: bytes) -> None:
        """The agent says all of it, which is sent at once."""
        coded = mulaw.encode(agent)
        purpose = None if self.machine._parts.plan.server_takes_turns else "turn"
        self.machine.handle(e.ResponseStarted("R", purpose), 0)
        payload = b64encode(coded).decode()
        self._obey(self.machine.handle(e.SpeechAudio("R", "A", 0, payload, len(coded)), 0), 0)
        self._obey(self.machine.handle(e.SpeechAudioDone("R", "A", 0), 0), 0)
        self._obey(self.machine.handle(e.ResponseDone("R", "completed"), 0), 0)

    def hear(self, frame: bytes, now_ms: int) -> None:
        """20 ms of the caller's line have come."""
        self.presence.heard(b64encode(frame).decode())
        for noticed in self.ear.hear(frame, "audio/pcmu", DETECTION):
            begins = isinstance(noticed, SpeechStarted)
            event: e.Event = e.SpeechStarted("U") if begins else e.SpeechStopped("U")
            self._obey(self.machine.handle(event, now_ms), now_ms)
            if not begins:
                turn = self.machine.handle(e.CallerTurnCommitted("U"), now_ms)
                self._obey(turn, now_ms)

    def pass_time(self, until_ms: int) -> None:
        """Alarms ring when they are due."""
        deadline_ms = self.machine.deadline_ms()
        while deadline_ms is not None and deadline_ms <= until_ms:
            self._obey(self.machine.wake(deadline_ms), deadline_ms)
            deadline_ms = self.machine.deadline_ms()

    def _obey(self, commands: list[c.Command], now_ms: int) -> None:
        for command in commands:
            if isinstance(command, c.PlayAudio) and self.guards:
                self.presence.sent(command.payload_b64, command.length_bytes, now_ms)
            elif isinstance(command, c.ClearPlayback) and self.cut_at_ms is None:
                self.cut_at_ms = now_ms
            elif isinstance(command, c.MeasureVoice):
                begun = time.perf_counter()
                found = self.presence.measure(now_ms)
                self.spent_us.append((time.perf_counter() - begun) * 1e6)
                event = e.VoiceMeasured(found.voice_ms, found.echo_ms)
                self._obey(self.machine.handle(event, now_ms), now_ms)


def trial(plan: CallPlan, agent: bytes, line: bytes, seed: int) -> Trial:
    """The agent speaks, and this comes on the caller's line."""
    trying = Trying(plan)
    trying.speak(agent)
    for index, frame in enumerate(frames(line, seed)):
        now_ms = (index + 1) * FRAME_MS
        trying.pass_time(now_ms)
        trying.hear(frame, now_ms)
    at_ms = trying.cut_at_ms
    return Trial(None if at_ms is None else at_ms - BEGINS_MS, tuple(trying.spent_us))


def agents(every: int) -> list[bytes]:
    """What the agent says: several utterances without a pause, longer than a trial."""
    said = [one for one in utterances() if one.voice.startswith("flite")][::every]
    spoken = [scaled(mulaw.decode(one.audio), SPEECH_DBFS) for one in said]
    return [
        b"".join(spoken[i:] + spoken[:i])[: 2 * bytes_of_ms(LASTS_MS)] for i in range(len(said))
    ]


def callers(every: int) -> list[Utterance]:
    """Who speaks up: other voices than the agent's."""
    return [one for one in utterances() if not one.voice.startswith("flite")][::every]


def false_ones() -> dict[str, Line]:
    """What must not cut."""
    return {"cough of 120 ms": cough, "echo at -20 dB": echo, "the same in a room": room}


def true_ones(said: Utterance) -> dict[str, Line]:
    """What must."""
    return {
        "a caller at -20 dBFS": caller(said, SPEECH_DBFS),
        "a quiet one, -32 dBFS": caller(said, -32.0),
        "one over the echo": with_echo(caller(said, SPEECH_DBFS)),
    }


def onset_ms(said: Utterance) -> int:
    """Silence before the first sound of an utterance."""
    linear = mulaw.decode(said.audio)
    frame = 2 * FRAME_BYTES
    loudest = audioop.max(linear, 2)
    for at in range(0, len(linear), frame):
        if audioop.max(linear[at : at + frame], 2) > loudest / 10:
            return at // frame * FRAME_MS
    return 0


def report(name: str, plan: CallPlan, every: int) -> list[str]:
    """One policy, every trial."""
    said, out, spent = agents(every), [name], list[float]()
    for what, line in false_ones().items():
        found = [trial(plan, agent, line(agent, seed), seed) for seed, agent in enumerate(said)]
        cut = sum(one.cut_ms is not None for one in found)
        spent += [us for one in found for us in one.measure_us]
        out.append(f"  {what:24} {cut:3} of {len(found)} cut, {cut / len(found):.1%}")
    times: dict[str, list[int | None]] = {}
    for seed, one in enumerate(callers(every)):
        agent = said[seed % len(said)]
        for what, line in true_ones(one).items():
            result = trial(plan, agent, line(agent, seed), seed)
            spent += result.measure_us
            late = None if result.cut_ms is None else result.cut_ms - onset_ms(one)
            times.setdefault(what, []).append(late)
    for what, lates in times.items():
        known = sorted(ms for ms in lates if ms is not None and ms >= 0)
        early = sum(ms is not None and ms < 0 for ms in lates)
        in_time = sum(ms <= 300 for ms in known)
        p95 = known[int(0.95 * (len(known) - 1))] if known else 0
        out.append(
            f"  {what:24} {len(known):3} of {len(lates)} cut; p50 {median(known or [0]):.0f} ms, "
            f"p95 {p95} ms; within 300 ms {in_time / len(lates):.1%}"
            + (f"; {early} cut before they spoke" if early else "")
        )
    if spent:
        out.append(
            f"  a measurement            p50 {median(spent):.0f} us, max {max(spent):.0f} us"
        )
    return out


def per_frame() -> str:
    """What is paid on the audio path where somebody measures."""
    payload = b64encode(bytes(FRAME_BYTES)).decode()
    presence, count = Presence(), 200_000
    begun = time.perf_counter()
    for _ in range(count):
        presence.heard(payload)
    heard = (time.perf_counter() - begun) / count * 1e9
    begun = time.perf_counter()
    for index in range(count):
        presence.sent(payload, FRAME_BYTES, index * FRAME_MS)
    sent = (time.perf_counter() - begun) / count * 1e9
    return f"a frame: {heard:.0f} ns where it is heard, {sent:.0f} ns where it is sent"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every n-th utterance")
    every = parser.parse_args().every
    for name, plan in POLICIES.items():
        print("\n".join(report(name, plan, every)))
    print(per_frame())


if __name__ == "__main__":
    main()
