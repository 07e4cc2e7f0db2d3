"""A Twilio, and others, reduced to what they play and may answer, for random calls."""

from collections import deque
from collections.abc import Callable
from typing import Any

from app.audio.tones import COMFORT_TONE
from app.protocol import commands as c
from app.protocol import events as e


class Telephone:
    """Twilio: plays what it is sent at 8 bytes a millisecond and returns marks."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, str]] = deque()
        """Lengths of speech, sound and keys; marks by their names, of no length."""
        self.played_bytes = 0
        """Of speech and keys, which are in the ledger."""
        self.cleared_at = 0
        """So much of it had been played before the last clear."""

    def take(self, command: c.Command) -> list[e.Event]:
        match command:
            case c.PlayAudio():
                self.queue.append((command.length_bytes, "speech"))
            case c.PlaySound():
                self.queue.append((command.length_bytes, "sound"))
            case c.PlayComfort():
                self.queue.append((len(COMFORT_TONE), "sound"))
            case c.PlayKeys():
                self.queue.append((command.length_bytes, "keys"))
            case c.SendMark():
                self.queue.append((0, command.name))
            case c.ClearPlayback():
                flushed = [name for length, name in self.queue if not length]
                self.queue.clear()
                self.cleared_at = self.played_bytes
                return [e.MarkReturned(name) for name in flushed]
        return []

    def play(self, elapsed_ms: int) -> list[e.Event]:
        budget, back = elapsed_ms * 8, list[e.Event]()
        while self.queue:
            length, name = self.queue.popleft()
            if not length:
                back.append(e.MarkReturned(name))
                continue
            played = min(length, budget)
            budget -= played
            self.played_bytes += played if name != "sound" else 0
            if played < length:
                self.queue.appendleft((length - played, name))
                break
        return back


_ANSWERS: dict[type, Callable[[Any], list[e.Event]]] = {
    c.Transfer: lambda _: [
        *(e.TransferAccepted(), e.TransferRefused("busy"), e.TransferUnclear("timed_out"))
    ],
    c.PlaceSideCall: lambda x: [
        *(e.SideCallPlaced(x.attempt, "billing", "CA2"), e.SideCallAnswered(x.attempt)),
        *(e.SideCallAccepted(x.attempt), e.SideCallOver(x.attempt, "no_answer")),
    ],
    c.Join: lambda _: [e.TransferAccepted(), e.TransferRefused("busy")],
    c.HangUp: lambda _: [e.HangUpDone(accepted=True), e.HangUpDone(accepted=False)],
    c.RedirectKeys: lambda _: [e.KeysAnswered(x) for x in ("accepted", "refused", "unclear")],
    c.AskRecording: lambda x: [e.RecordingAnswered(x.wish, ok=ok) for ok in (True, True, False)],
    c.AskJudge: lambda x: [
        *(e.Judged(x.question, tripped) for tripped in (False, False, True)),
        e.Judged(x.question, tripped=False, failed="timed_out"),
    ],
    c.VerifyCall: lambda _: [e.CallStillUp()],
    c.FailOver: lambda _: [
        *(e.FailoverDone(accepted) for accepted in (True, False)),
        e.FailoverDone(accepted=False, unclear=True),
    ],
}


def may_answer(command: c.Command) -> list[e.Event]:
    """What may come of a request to REST, or to a judge: all of it, of which random calls take
    what they like."""
    answers = _ANSWERS.get(type(command))
    return [] if answers is None else answers(command)
