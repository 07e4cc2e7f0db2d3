"""Something has to be heard before something is done: a goodbye, "I put you through".

The model may have said it in the response that called the tool; if it said nothing there, it
is asked to. It was heard when its response is done and the ledger is idle. If the model never
comes to its end, the watchdog goes on without it.

    NONE ──begin──▶ CALLED ──response done, was silent──▶ SAYING ◀──ask── NONE
                       └── it spoke ──┐   response done ──┤
                                      ▼                   ▼
                                     SAID ── line idle ──▶ (act)
"""

from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.responses import Finished
from app.protocol.commands import CreateResponse

WATCHDOG_MS = 10_000


class Spoken(Enum):
    """How far the announcement has come."""

    NONE = auto()
    CALLED = auto()
    SAYING = auto()
    SAID = auto()


class Announcement:
    """One announcement at a time, told apart by its purpose."""

    def __init__(self, alarms: Alarms, wanted: CreateResponse) -> None:
        self._alarms = alarms
        self._usual = self._wanted = wanted
        self._response_id = ""
        self.state = Spoken.NONE

    def begin(self, response_id: str, now_ms: int) -> None:
        """The tool was called in this response."""
        self._wanted = self._usual
        self._response_id = response_id
        self.state = Spoken.CALLED
        self._alarms.set(Alarm.ANNOUNCED, now_ms + WATCHDOG_MS)

    def ask(self, wanted: CreateResponse | None, now_ms: int) -> CreateResponse:
        """Nobody called a tool: it has yet to be said, as ``wanted``, which has the usual
        purpose. None: in the usual way."""
        self._wanted = wanted or self._usual
        self.state = Spoken.SAYING
        self._alarms.set(Alarm.ANNOUNCED, now_ms + WATCHDOG_MS)
        return self._wanted

    def finished(self, response: Finished) -> CreateResponse | None:
        """A response ended: what the model must still be asked to say, if anything."""
        if self.state is Spoken.CALLED and response.response_id == self._response_id:
            if response.spoke:
                self.state = Spoken.SAID
                return None
            self.state = Spoken.SAYING
            return self._wanted
        said = response.purpose == self._wanted.purpose and not response.failed
        if self.state is Spoken.SAYING and said:
            self.state = Spoken.SAID
        return None

    def end(self) -> None:
        """It was heard, or is not wanted any more."""
        self.state = Spoken.NONE
        self._alarms.clear(Alarm.ANNOUNCED)
