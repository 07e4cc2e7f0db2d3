"""A Twilio reduced to what it plays and what it may answer, for random calls."""

from collections import deque

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


def may_answer(command: c.Command) -> list[e.Event]:
    """What may come of a request to REST: all of it, of which random calls take what they like."""
    match command:
        case c.Transfer():
            unclear = e.TransferUnclear("timed_out")
            return [e.TransferAccepted(), e.TransferRefused("busy"), unclear]
        case c.PlaceSideCall(attempt=attempt):
            answered = [e.SideCallAnswered(attempt), e.SideCallAccepted(attempt)]
            placed, over = e.SideCallPlaced(attempt, "billing", "CA2"), "no_answer"
            return [placed, *answered, e.SideCallOver(attempt, over)]
        case c.Join():
            return [e.TransferAccepted(), e.TransferRefused("busy")]
        case c.HangUp():
            return [e.HangUpDone(accepted=True), e.HangUpDone(accepted=False)]
        case c.RedirectKeys():
            return [e.KeysAnswered(how) for how in ("accepted", "refused", "unclear")]
        case c.AskRecording(wish=wish):
            return [e.RecordingAnswered(wish, ok=ok) for ok in (True, True, False)]
        case c.FailOver():
            unclear = e.FailoverDone(accepted=False, unclear=True)
            return [e.FailoverDone(accepted=True), e.FailoverDone(accepted=False), unclear]
        case _:
            return []
