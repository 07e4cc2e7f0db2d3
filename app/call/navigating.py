"""What becomes of the menus of a call we placed: answered late, and not for ever.

Nothing is kept here; ``app.call.menus`` knows what was heard.
"""

from app.call.departure import Departure
from app.call.menus import LOOP, Round
from app.call.model_link import Link
from app.call.parts import Parts
from app.call.responses import TURN, Finished
from app.protocol import commands as c

GOES_ROUND = (
    "You have heard this menu three times. Do something else than before: another key, 0 or # for "
    "a person, or end the call."
)
IVR = "ivr"
"""The end of a call that never got past a menu."""


class Navigating:
    """Through menus."""

    def __init__(self, parts: Parts, departure: Departure) -> None:
        self._parts = parts
        self._departure = departure

    def due(self, now_ms: int) -> list[c.Command]:
        """It has been silent for long enough to be over."""
        parts = self._parts
        usable = parts.live and parts.link.state is Link.READY and not parts.leaving_message
        if not usable or parts.responses.caller_speaking:
            return []
        return parts.responses.answer_owed(now_ms)

    def said(self, text: str, now_ms: int) -> list[c.Command]:
        """The words of a turn: perhaps not for the first time."""
        parts = self._parts
        match parts.menus.said(text):
            case Round.NEW:
                return []
            case Round.AGAIN:
                parts.transcript.note(GOES_ROUND, now_ms)
                ready = parts.link.state is Link.READY
                told: list[c.Command] = [c.AddMessage("system", GOES_ROUND)] if ready else []
                return [c.MenuRepeated(LOOP), *told]
            case Round.ENOUGH:
                if not parts.menus.ends or parts.leaving_soon:
                    return []
                return self._departure.leave(parts.farewell.order(IVR), now_ms)

    def answered(self, response: Finished) -> list[c.Command]:
        """A response to a turn that was heard: whoever is spoken to is a person."""
        to_turn = response.purpose in {None, TURN.purpose} and response.spoke
        heard = to_turn and not self._parts.responses.muted(response.response_id)
        return self._parts.turn_taking() if heard and self._parts.menus.person() else []

    def pressed(self) -> list[c.Command]:
        """Keys are an answer to a menu."""
        return self._parts.turn_taking() if self._parts.menus.keys() else []
