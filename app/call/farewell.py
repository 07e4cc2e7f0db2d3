"""Hanging up: only after the goodbye was heard, and not if the caller has more to say.

NONE ──end_call──▶ SAYING ──heard──▶ HANGING_UP ──accepted──▶ (Twilio's stop)
                      └──caller speaks──▶ NONE
"""

from enum import Enum, auto

from app.call.alarms import Alarms
from app.call.announcement import Announcement, Spoken
from app.call.prompts import verbatim
from app.call.responses import Finished
from app.protocol.commands import Command, CreateResponse, HangUp
from app.protocol.events import ToolCalled

GOODBYE = CreateResponse(
    "goodbye", "Say a short, friendly goodbye in the caller's language.", tools=False
)
SORRY = CreateResponse(
    "goodbye",
    "Tell the caller in one short sentence, in their language, that nobody could be reached, and "
    "say goodbye.",
    tools=False,
)
INTERRUPTED = "The caller spoke during the goodbye. The call goes on: answer them."
MOST_TRIES = 3


class Parting(Enum):
    """How far the hang-up has come."""

    NONE = auto()
    SAYING = auto()
    HANGING_UP = auto()


class Farewell:
    """The end of a call from our side."""

    def __init__(self, alarms: Alarms) -> None:
        self._goodbye = Announcement(alarms, GOODBYE)
        self._tries = 0
        self.state = Parting.NONE
        self.firm = False
        """The call ends whatever the caller says: they hear a sentence, and interrupt it not."""
        self.reason = "assistant_hangup"

    def begin(self, call: ToolCalled, now_ms: int) -> str:
        """The model wants to end the call; what it is told."""
        self.state = Parting.SAYING
        self.reason = "assistant_hangup"
        self._goodbye.begin(call.response_id, now_ms)
        return '{"ok":true,"note":"The call ends when the goodbye was heard."}'

    def order(self, reason: str) -> list[Command]:
        """Somebody entitled to ends the call: no goodbye is waited for."""
        self.reason = reason
        return self._hang_up()

    def part(
        self,
        reason: str,
        words: str | None,
        now_ms: int,
        *,
        otherwise: CreateResponse = SORRY,
        firm: bool = False,
    ) -> CreateResponse:
        """The call ends for ``reason`` once these words were heard; None: ``otherwise``, in the
        model's own. ``firm``: whatever the caller says."""
        self.firm = firm
        self.state = Parting.SAYING
        self.reason = reason
        said = CreateResponse(GOODBYE.purpose, verbatim(words), tools=False) if words else otherwise
        return self._goodbye.ask(said, now_ms)

    def finished(self, response: Finished) -> CreateResponse | None:
        """A response ended: the goodbye, if it has yet to be said."""
        return self._goodbye.finished(response)

    def interrupted(self) -> bool:
        """The caller spoke: whether that called the hang-up off."""
        if self.state is not Parting.SAYING or self.firm:
            return False
        self.state = Parting.NONE
        self._goodbye.end()
        return True

    def yields(self) -> None:
        """The caller is put through instead, and the watchdog is that announcement's now."""
        if self.state is Parting.SAYING:
            self.state = Parting.NONE
            self._goodbye.state = Spoken.NONE

    def forget(self) -> None:
        """Who wished for it is gone, and the caller never came to hear of it."""
        if self.state is Parting.SAYING:
            self.state = Parting.NONE
            self._goodbye.end()

    def heard(self) -> list[Command]:
        """Everything that was sent has been heard."""
        if self.state is Parting.SAYING and self._goodbye.state is Spoken.SAID:
            return self._hang_up()
        return []

    def overdue(self) -> list[Command]:
        """The goodbye took too long to be heard."""
        return self._hang_up() if self.state is Parting.SAYING else []

    def _hang_up(self) -> list[Command]:
        self.state = Parting.HANGING_UP
        self._goodbye.end()
        self._tries += 1
        return [HangUp()]

    def refused(self) -> list[Command]:
        """REST did not take it: again, up to a point; nothing means the point is reached."""
        return self._hang_up() if self._tries < MOST_TRIES else []
