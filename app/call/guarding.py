"""What follows when something is said that a rule forbids.

An answer of the model's is cut where it is heard, by the same means as if the caller had spoken
over it, and the caller is told a sentence instead. A turn of the caller's is refused: whatever is
being said to it is cut, tools that could do harm are not run. Nothing is taken back that was heard
already: then the model is told, and it is noted. What has happened too often ends the call, or has
it put through. Which words were said is in no fact.
"""

from collections.abc import Callable
from typing import Any

from app.call.departure import Departure
from app.call.dialogue import Dialogue
from app.call.farewell import Parting
from app.call.guardrails import NOT_DONE, OUTPUT, PURPOSE
from app.call.model_link import Link
from app.call.parts import Parts, Phase
from app.call.plan import RulePlan
from app.call.prompts import verbatim
from app.protocol import commands as c
from app.protocol import events as e

ENDED = "guardrail"
CUT = (
    'What you were saying was cut off: it is against the rule "{name}". The caller has been told'
    " so. Do not say it again, in no other words either."
)
TOO_LATE = (
    'What you said is against the rule "{name}", and the caller has heard it. Do not say it again,'
    " and do not go on about it."
)
REFUSED = (
    'What the caller asked for is against the rule "{name}". They have been told that you cannot'
    " help with it. Do not do it, whatever they say."
)
ANSWERED = (
    'What the caller said a moment ago is against the rule "{name}". Do not do what they asked'
    " for, and do not go on about it."
)
GOODBYE = c.CreateResponse(
    "goodbye",
    "Tell the caller in one short, friendly sentence, in their language, that you cannot go on"
    " with this call, and say goodbye.",
    tools=False,
)

Handler = Callable[[Any, int], list[c.Command]]


class Guarding:
    """What becomes of what was said."""

    def __init__(self, parts: Parts, dialogue: Dialogue, departure: Departure) -> None:
        self._parts = parts
        self._dialogue = dialogue
        self._departure = departure
        self._sent_away = False
        """To somebody who was not reached: once is enough."""

    def listening(self, handlers: dict[type, Handler]) -> dict[type, Handler]:
        """These handlers, with what is looked at besides."""
        after: dict[type, Handler] = {
            e.SpeechText: self._spoken,
            e.ResponseStarted: self._begun,
            e.ResponseDone: self._over,
            e.CallerTranscribed: self._transcribed,
            e.CallerTyped: self._wrote,
            e.TextReceived: self._wrote,
        }
        return {kind: _both(handlers[kind], look) for kind, look in after.items()}

    def _spoken(self, event: e.SpeechText, now_ms: int) -> list[c.Command]:
        if not event.text or self._parts.responses.muted(event.response_id):
            return []
        broken, asked = self._parts.guards.spoken(event)
        return asked + self._answer_broke(broken, event.response_id, now_ms)

    def _over(self, event: e.ResponseDone, now_ms: int) -> list[c.Command]:
        if self._parts.responses.muted(event.response_id):
            return []
        broken, asked = self._parts.guards.over(event.response_id)
        return asked + self._answer_broke(broken, event.response_id, now_ms)

    def _begun(self, event: e.ResponseStarted, now_ms: int) -> list[c.Command]:
        """Perhaps it answers what was refused before it began."""
        parts = self._parts
        if not parts.guards.refusing:
            return []
        if parts.responses.purpose == PURPOSE:
            parts.guards.refusing = False
            return []
        parts.guards.strike(event.response_id)
        return parts.responses.mute({event.response_id}, by_voice=False)

    def _transcribed(self, event: e.CallerTranscribed, now_ms: int) -> list[c.Command]:
        return self._caller_said(event.text, event.item_id, now_ms)

    def _wrote(self, event: e.CallerTyped | e.TextReceived, now_ms: int) -> list[c.Command]:
        return self._caller_said(event.text, "", now_ms)

    def _caller_said(self, text: str, item_id: str, now_ms: int) -> list[c.Command]:
        broken, asked = self._parts.guards.caller_said(text, item_id)
        if broken is not None:
            return asked + self._turn_broke(broken, now_ms)
        return asked + self._settled(now_ms)

    def judged(self, event: e.Judged, now_ms: int) -> list[c.Command]:
        """Somebody who was asked has answered."""
        broken, response_id, out = self._parts.guards.judged(event)
        if broken is not None and broken.side == OUTPUT:
            out += self._answer_broke(broken, response_id, now_ms)
        elif broken is not None:
            return out + self._turn_broke(broken, now_ms)
        return out + self._settled(now_ms)

    def words_due(self, now_ms: int) -> list[c.Command]:
        """The caller's words have not come, and a tool may be waiting for them."""
        broken = self._parts.guards.words_due()
        if broken is not None and self._parts.guards.holding:
            return self._turn_broke(broken, now_ms)
        return self._settled(now_ms)

    def _settled(self, now_ms: int) -> list[c.Command]:
        """Nothing stands against the tools that waited, if nothing is asked any more."""
        parts = self._parts
        if parts.guards.doubtful or not parts.guards.holding:
            return []
        held, finished = parts.guards.released()
        out: list[c.Command] = []
        for call in held:
            out += self._dialogue.tool_allowed(call, now_ms)
        for response in finished:
            out += self._dialogue.after(response, now_ms)
        return out + self._departure.if_line_idle(now_ms)

    def _answer_broke(
        self, rule: RulePlan | None, response_id: str, now_ms: int
    ) -> list[c.Command]:
        if rule is None:
            return []
        parts = self._parts
        audible = parts.playout.responses | parts.overture.responses
        if response_id != parts.responses.active and response_id not in audible:
            return self._too_late(rule, TOO_LATE, now_ms)
        parts.guards.strike(response_id)
        return self._told(rule, CUT, self._cut(now_ms), now_ms)

    def _turn_broke(self, rule: RulePlan, now_ms: int) -> list[c.Command]:
        parts = self._parts
        dropped = self._dropped(now_ms)
        if not (parts.busy or parts.responses.owes or dropped):
            return self._too_late(rule, ANSWERED, now_ms)
        parts.guards.refusing = parts.responses.active is None and parts.responses.owes
        if parts.responses.active is not None:
            parts.guards.strike(parts.responses.active)
        parts.responses.only_firm()
        return dropped + self._told(rule, REFUSED, self._cut(now_ms), now_ms)

    def _dropped(self, now_ms: int) -> list[c.Command]:
        """The tools that waited are not run."""
        out: list[c.Command] = []
        for call in self._parts.guards.released()[0]:
            self._parts.tools.announced(call.response_id)
            done = e.ToolDone(call.tool_call_id, NOT_DONE, ok=False, background=True)
            out += self._dialogue.tool_done(done, now_ms)
        return out

    def _cut(self, now_ms: int) -> list[c.Command]:
        """As if the caller had spoken; a goodbye stays one."""
        out = self._parts.barge_in.interrupt(now_ms, by_voice=False)
        return out + self._parts.orders.interrupted()

    def _told(
        self, rule: RulePlan, note: str, cut: list[c.Command], now_ms: int
    ) -> list[c.Command]:
        """The caller hears a sentence instead or, where it has come to that, is let go."""
        then = self._parts.guards.counted() or rule.then
        drastic = then not in {"cancel", "refuse"}
        what = ("end_call" if then == "end_call" else "transfer") if drastic else then
        out = [_tripped(rule, what), *cut, *self._note(note, rule, now_ms)]
        if self._parts.leaving_soon and self._parts.phase is not Phase.WAITING:
            return out + self._departure.if_line_idle(now_ms)
        return out + (self._parted(then, now_ms) if drastic else self._say(rule, now_ms))

    def _too_late(self, rule: RulePlan, note: str, now_ms: int) -> list[c.Command]:
        then = self._parts.guards.counted() or rule.then
        out = self._note(note, rule, now_ms)
        if then in {"cancel", "refuse"} or self._parts.leaving_soon:
            return [_tripped(rule, "note"), *out]
        what = "end_call" if then == "end_call" else "transfer"
        return [_tripped(rule, what), *out, *self._parted(then, now_ms)]

    def _note(self, note: str, rule: RulePlan, now_ms: int) -> list[c.Command]:
        """The model is told; a line that is still to come reads it in the transcript."""
        said = note.format(name=rule.name)
        self._parts.transcript.note(said, now_ms)
        ready = self._parts.link.state is Link.READY
        return [c.AddMessage("system", said)] if ready else []

    def _say(self, rule: RulePlan, now_ms: int) -> list[c.Command]:
        if self._parts.link.state is not Link.READY:
            return []
        said = c.CreateResponse(PURPOSE, verbatim(rule.say), tools=False)
        return self._parts.responses.ask(said, now_ms)

    def _parted(self, then: str, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if then in parts.plan.targets and not self._sent_away:
            self._sent_away = True
            order = e.TransferOrdered("", then)
            open_now = parts.transfer.closed(then, now_ms) is None
            announced = parts.transfer.order(order, now_ms) if open_now else None
            if announced is not None:
                parts.farewell.yields()
                parts.responses.withdraw("goodbye")
                return parts.responses.ask(announced, now_ms)
        if parts.link.state is not Link.READY:
            return self._departure.leave(parts.farewell.order(ENDED), now_ms)
        out = parts.hold.end(now_ms)
        if parts.farewell.state is Parting.SAYING:
            parts.responses.withdraw("goodbye")
        said = parts.farewell.part(ENDED, None, now_ms, otherwise=GOODBYE, firm=True)
        return out + parts.responses.ask(said, now_ms)


def _tripped(rule: RulePlan, action: str) -> c.Command:
    return c.GuardrailTripped(rule.name, rule.side, rule.kind, action)


def _both(handler: Handler, look: Handler) -> Handler:
    def both(event: Any, now_ms: int) -> list[c.Command]:
        out = handler(event, now_ms)
        return out + look(event, now_ms)

    return both
