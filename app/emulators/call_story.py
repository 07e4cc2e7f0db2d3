"""A single call told to whoever placed it: what the ear heard, when, and how it ended.

Nothing of the model is known here, only the telephone: words are told where the caller says
them or Twilio does, and of the agent how long it was heard. Rule: it changes nothing.
"""

from typing import Generic, TypeVar

from app.emulators.demo_story import Screen
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import monotonic_ms

T = TypeVar("T")

_PAUSE_MS = 400
"""So long a silence ends what the agent says."""
_ENDINGS = {
    "caller": "the caller hung up",
    "rest": "the agent hung up",
    "hangup": "the server's TwiML hung up",
    "end_of_twiml": "the server's TwiML came to its end",
    "reject": "the server rejected it",
    "refer": "the caller was referred elsewhere",
    "stream": "the stream died",
    "error": "Twilio had no TwiML to go on with",
}


class _Growing(Generic[T]):
    """A list that only grows, of which nothing is told twice."""

    def __init__(self, every: list[T]) -> None:
        self._every = every
        self._told = 0

    def fresh(self) -> list[T]:
        """What was not told yet."""
        fresh = self._every[self._told :]
        self._told = len(self._every)
        return fresh


class CallStory:
    """Tells one call on the screen."""

    def __init__(self, screen: Screen, call: EmulatedCall) -> None:
        self._screen = screen
        self._call = call
        self._requests = _Growing(call.requests)
        self._streams = 0
        self._said = _Growing(call.said)
        self._dialled = _Growing(call.dialled)
        self._dial_results = _Growing(call.dial_results)
        self._speaking = False
        self._heard_before_ms = 0
        self._clears_before = 0
        self._quiet_since_ms: float | None = None
        self._over = False

    async def watch(self) -> None:
        """Tell until cancelled."""
        while True:
            self.look()
            await self._call.pulse.next()

    def look(self) -> None:
        """Tell what is new."""
        for request in self._requests.fresh():
            answer = f"answered {request.status_code}" if request.status_code else "unanswered"
            self._screen.tell("webhook", f"{request.path}: {answer}")
        self._look_at_streams()
        for text in self._said.fresh():
            self._screen.tell("twilio", f"says: {text}")
        for number in self._dialled.fresh():
            self._screen.tell("transfer", f"{number} rings")
        for outcome in self._dial_results.fresh():
            self._screen.tell("transfer", outcome.status)
        self._look_at_speech()
        if self._call.over and not self._over:
            self._over = True
            self._screen.tell("call", ending(self._call))

    def caller_says(self, what: str) -> None:
        """The caller opens their mouth."""
        self._screen.tell("caller", what)

    def _look_at_streams(self) -> None:
        """A stream is told of when it is known whether it opens."""
        for stream in self._call.streams[self._streams :]:
            if stream.started_at_ms is None and stream.refused is None:
                return
            self._streams += 1
            name = "the media stream" if self._streams == 1 else "another media stream"
            became = f"is refused: {stream.refused}" if stream.refused else "opens"
            self._screen.tell("call", f"{name} {became}")

    def _look_at_speech(self) -> None:
        call = self._call
        playing = bool(call.streams) and call.stream.live and call.stream.line.playing
        if playing:
            self._quiet_since_ms = None
            if not self._speaking:
                self._begin()
        elif self._speaking:
            now_ms = monotonic_ms()
            since_ms = self._quiet_since_ms = self._quiet_since_ms or now_ms
            if call.over or not call.stream.live or now_ms - since_ms >= _PAUSE_MS:
                self._end()

    def _begin(self) -> None:
        self._speaking = True
        self._heard_before_ms = self._call.heard_ms
        self._clears_before = _clears(self._call)
        self._screen.tell("agent", "begins to speak")

    def _end(self) -> None:
        self._speaking = False
        self._quiet_since_ms = None
        length_s = (self._call.heard_ms - self._heard_before_ms) / 1000
        if _clears(self._call) > self._clears_before:
            self._screen.tell("cut", f"the agent is cut off after {length_s:.1f} s")
        else:
            self._screen.tell("agent", f"was heard for {length_s:.1f} s")


def ending(call: EmulatedCall) -> str:
    """How the call ended, in words."""
    return _ENDINGS.get(call.ended_by or "", f"the call ended: {call.ended_by}")


def went_well(call: EmulatedCall) -> bool:
    """Whether the caller met the agent, heard something and Twilio has nothing to complain of."""
    return bool(call.streams) and call.heard_ms > 0 and not call.violations


def conclude(screen: Screen, call: EmulatedCall, recording: str) -> None:
    """The call in a few lines: its id, what was heard, what was wrong, where the audio is."""
    rows = {
        "CallSid": call.call_sid,
        "ended": f"{call.status} after {call.duration_s} s: {ending(call)}",
        "heard": f"{call.heard_ms / 1000:.1f} s of the agent, over {_streams(call)}",
        "recording": f"{recording} (caller left, agent right)",
    }
    screen.write()
    for name, text in rows.items():
        screen.write(f"{name:<10} {text}")
    screen.write()
    for violation in call.violations:
        screen.write(f"  {screen.painted('bad', str(violation.code))} {violation.text}")
    screen.write(screen.painted("good" if went_well(call) else "bad", _verdict(call)))


def _verdict(call: EmulatedCall) -> str:
    if call.violations:
        return f"Twilio would complain: {len(call.violations)}."
    if not call.heard_ms:
        return "The caller heard nothing of the agent."
    return "Nothing to complain about."


def _streams(call: EmulatedCall) -> str:
    count = len(call.streams)
    return "one media stream" if count == 1 else f"{count or 'no'} media streams"


def _clears(call: EmulatedCall) -> int:
    return sum(stream.received["clear"] for stream in call.streams)
