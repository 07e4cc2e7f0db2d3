"""Who wishes for keys to be pressed, when it is done, and who is told.

The model wishes by its tool ``send_dtmf``, the operator by an order. Both are answered when the
keys were heard or, where the carrier presses them, when the caller's line is back. Whoever speaks
meanwhile does not stop it: a menu that talks on takes keys all the same.
"""

import orjson

from app.call.built_in import SEND_DTMF
from app.call.departure import Departure
from app.call.dialogue import Dialogue
from app.call.keying import Keying
from app.call.model_link import Link
from app.call.navigating import Navigating
from app.call.parts import Parts, Phase
from app.call.presses import DONE, UNKNOWN_KEY, Press, Sequence, written
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.units import bytes_of_b64

NO_KEYS = "This line is no telephone: nobody there hears keys. Go on in words."
NOT_PRESSED = "The keys {shown} were not pressed ({reason})."
ENDING = "the call is ending, or the caller is being put through"
ALREADY = "keys are being pressed already: wait for that"
NOT_FREE = "not_free"
"""What was being said never came to an end."""


class Pressing:
    """What becomes of wishes to press keys."""

    def __init__(
        self, parts: Parts, dialogue: Dialogue, departure: Departure, keying: Keying
    ) -> None:
        self._parts = parts
        self._dialogue = dialogue
        self._departure = departure
        self._keying = keying
        self._navigating = Navigating(parts, departure)

    def tool_called(self, call: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """The model wants keys pressed, or anything else."""
        if call.name != SEND_DTMF or not self._parts.plan.may_press:
            return self._keying.tool_called(call, now_ms)
        if not self._dialogue.tool_opened(call, now_ms, asks_caller=True):
            return []
        self._parts.tools.announced(call.response_id)
        if not self._parts.plan.has_keys:
            return [_failed("no_keypad"), *self._answer(call, NO_KEYS, now_ms)]
        symbols = _digits(call.arguments)
        refusal = self._refusal() or self._parts.presses.wrong(symbols)
        if refusal:
            return self._answer(call, refusal, now_ms)
        self._parts.presses.ask(Sequence(symbols, tool_call_id=call.tool_call_id), now_ms)
        return self._navigating.pressed() + self.go_on(now_ms)

    def _refusal(self) -> str:
        if self._parts.leaving_soon:
            return ENDING
        return ALREADY if self._parts.presses.under_way else ""

    def _answer(self, call: e.ToolCalled, why: str, now_ms: int) -> list[c.Command]:
        return self._settled(call.tool_call_id, _refused(why), now_ms, ok=False)

    def _settled(self, tool_call_id: str, output: str, now_ms: int, *, ok: bool) -> list[c.Command]:
        """Where the keys were pressed, what comes of them is worth more than a word about it."""
        done = e.ToolDone(tool_call_id, output, ok=ok, background=ok)
        return self._dialogue.tool_done(done, now_ms)

    def ordered(self, order: e.KeysOrdered, now_ms: int) -> list[c.Command]:
        """The operator wants keys pressed; completed when they were heard."""
        parts = self._parts
        if not parts.plan.has_keys:
            return [_failed("no_keypad"), *parts.orders.done()]
        if parts.leaving_soon:
            return parts.orders.done("refused", "call_ending")
        if parts.presses.under_way:
            return parts.orders.done("refused", "keys_under_way")
        if parts.presses.wrong(order.symbols.replace(UNKNOWN_KEY, "0")):
            return parts.orders.done("refused", "bad_digits")
        parts.presses.ask(Sequence(order.symbols, order.secret), now_ms)
        return self.go_on(now_ms)

    def go_on(self, now_ms: int) -> list[c.Command]:
        """Whatever waits for silence may begin, and what has been heard is over."""
        presses = self._parts.presses
        if presses.state is Press.WAITING and self._parts.playout.at_rest:
            if self._parts.leaving_soon:
                return []
            return self._redirected(now_ms) if presses.by_carrier else self._sounded(now_ms)
        if presses.sounding and self._parts.playout.idle and self._parts.live:
            return self._heard(now_ms)
        return []

    def _sounded(self, now_ms: int) -> list[c.Command]:
        pieces = [c.PlayKeys(one, bytes_of_b64(one)) for one in self._parts.presses.sounds()]
        length = sum(one.length_bytes for one in pieces)
        before = self._parts.background.keys(length, now_ms)
        return [*before, *pieces, *self._parts.playout.beside(length, now_ms)]

    def _heard(self, now_ms: int) -> list[c.Command]:
        """Every key was; what waited to be said is said now."""
        pressed = self._parts.presses.over()
        out: list[c.Command] = [pressed.known("inband")]
        for audio in self._parts.overture.release():
            out += self._dialogue.voiced(audio, now_ms)
        if self._parts.responses.active is None:
            out += self._parts.playout.finish()
        out += self._done(pressed, now_ms)
        return out + self._departure.if_line_idle(now_ms)

    def _done(self, pressed: Sequence, now_ms: int) -> list[c.Command]:
        if pressed.tool_call_id:
            return self._settled(pressed.tool_call_id, DONE, now_ms, ok=True)
        self._parts.transcript.note(f"The operator pressed the keys {pressed.shown}.", now_ms)
        told: list[c.Command] = []
        if self._parts.link.state is Link.READY:
            note = f"The operator pressed the keys {pressed.shown} on the line."
            told.append(c.AddMessage("system", note))
        return told + self._parts.orders.done()

    def _redirected(self, now_ms: int) -> list[c.Command]:
        """Nothing of ours may be in Twilio's ear when it presses them, not even music."""
        self._parts.presses.redirects()
        wanted = self._parts.presses.sequence
        keys = c.RedirectKeys(wanted.symbols, wanted.secret)
        cleared = self._parts.background.cleared(now_ms)
        return [c.ClearPlayback(), *cleared, *self._departure.leave([keys], now_ms)]

    def answered(self, event: e.KeysAnswered, now_ms: int) -> list[c.Command]:
        """REST took the redirect, or did not, or nobody knows: ``stop`` tells."""
        presses = self._parts.presses
        if event.outcome == "refused":
            return self._stays(event.reason, now_ms)
        accepted = event.outcome == "accepted"
        if presses.accepted() if accepted else presses.unclear(event.reason):
            self._parts.leaving.accepted(now_ms)
        return []

    def stop_due(self, now_ms: int) -> list[c.Command]:
        """Twilio should have ended the stream by now; where it was unclear whether it was to, it
        was not."""
        presses = self._parts.presses
        if presses.state is not Press.UNCLEAR:
            return self._dialogue.stop_due(now_ms)
        return self._stays(presses.doubt, now_ms)

    def _stays(self, reason: str, now_ms: int) -> list[c.Command]:
        """The caller never left."""
        parts = self._parts
        if not parts.presses.asked:
            return []
        parts.phase = Phase.LIVE
        parts.leaving.stayed()
        if parts.link.state is Link.GONE:
            parts.presses.over()
            return self._departure.fail(now_ms)
        return parts.tools.released(now_ms) + self._not_pressed(reason, now_ms)

    def due(self, now_ms: int) -> list[c.Command]:
        """What was being said has not come to an end."""
        waits = self._parts.presses.state is Press.WAITING
        return self._not_pressed(NOT_FREE, now_ms) if waits else []

    def _not_pressed(self, reason: str, now_ms: int) -> list[c.Command]:
        """Whoever wanted it is told, and the model is asked what to do about it."""
        parts = self._parts
        wanted = parts.presses.over()
        out: list[c.Command] = [_failed(reason)]
        if wanted.tool_call_id:
            why = f"the keys were not pressed ({reason})"
            return out + self._settled(wanted.tool_call_id, _refused(why), now_ms, ok=False)
        note = NOT_PRESSED.format(shown=wanted.shown, reason=reason)
        parts.transcript.note(note, now_ms)
        if parts.link.state is Link.READY:
            out.append(c.AddMessage("system", note))
        return out + parts.orders.done("failed", reason)


def _failed(reason: str) -> c.Command:
    return c.KeysPressed("", 0, "", ok=False, reason=reason)


def _refused(why: str) -> str:
    return orjson.dumps({"ok": False, "reason": why}).decode()


def _digits(arguments: str) -> str:
    """The keys that the model writes; empty where it writes none."""
    try:
        given = orjson.loads(arguments)
        keys = given.get("digits")
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    if isinstance(keys, int) and not isinstance(keys, bool):
        keys = str(keys)
    return written(keys) if isinstance(keys, str) else ""
