"""A caller who says nothing: reminded a few times, then let go, or put through.

Nothing is kept here but whether they were sent to somebody before: how long the silence was is
known to ``app.call.silence``.
"""

from app.call.parts import Parts
from app.call.prompts import verbatim
from app.call.silence import Silent
from app.call.transcript import SILENCE
from app.protocol import commands as c
from app.protocol import events as e

ENDED = "silence_timeout"
NOTE = "The caller has said nothing for {seconds} seconds."
REMINDER = (
    f"{NOTE} Ask them in one short, friendly sentence, in their language, whether they are still"
    " there."
)
GOODBYE = c.CreateResponse(
    "goodbye",
    "The caller has said nothing for a long time. Tell them in one short sentence, in their"
    " language, that the call ends now and that they may call again, and say goodbye.",
    tools=False,
)


class Reminding:
    """What follows from a silence."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sent_away = False
        """To somebody who was not reached: once is enough."""

    def due(self, now_ms: int) -> list[c.Command]:
        """The alarm rang."""
        match self._parts.silence.due(now_ms, still=self._parts.still):
            case Silent.NOT_YET:
                return []
            case Silent.REMIND:
                return self._remind(now_ms)
            case Silent.OVER:
                return self._over(now_ms)

    def _remind(self, now_ms: int) -> list[c.Command]:
        plan, count = self._parts.plan.silence, self._parts.silence.count
        assert plan is not None
        seconds = round(plan.after_ms / 1000)
        said = verbatim(plan.say[(count - 1) % len(plan.say)]) if plan.say else ""
        self._parts.transcript.note(NOTE.format(seconds=seconds), now_ms, name=SILENCE)
        words = said or REMINDER.format(seconds=seconds)
        asked = c.CreateResponse(SILENCE, words, tools=False)
        return [c.CallerSilent(count), *self._parts.responses.ask(asked, now_ms)]

    def _over(self, now_ms: int) -> list[c.Command]:
        parts = self._parts
        then = parts.plan.silence.then if parts.plan.silence else ""
        if then in parts.plan.targets and not self._sent_away:
            self._sent_away = True
            announced = parts.transfer.order(e.TransferOrdered("", then), now_ms)
            return [] if announced is None else parts.responses.ask(announced, now_ms)
        goodbye = parts.farewell.part(ENDED, None, now_ms, otherwise=GOODBYE)
        return parts.responses.ask(goodbye, now_ms)
