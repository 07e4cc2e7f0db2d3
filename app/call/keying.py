"""Keys: part of a turn or of a collection, or nothing; and what a collection leads to.

The collection itself is decided in ``keypad``, what is a turn in ``digits``. Here is who hears
of it: the model by the output of its tool or by a message, tools by the name of what is kept
for them, the operator by the end of the order, the record by ``DigitsCollected``. Rule: what is
sensitive goes into ``KeepDigits`` and nowhere else.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from app.call.dialogue import Dialogue
from app.call.digits import KEYPAD, told
from app.call.keypad import NAME, Asker, Collected
from app.call.model_link import Link
from app.call.parts import Parts
from app.protocol import commands as c
from app.protocol import events as e

COLLECT_DTMF = "collect_dtmf"
AGAIN = "keypad"
"""The purpose of asking for it once more."""
ONCE_MORE = (
    "What the caller keyed in is not complete or not one of the choices ({why}). Ask them once "
    "more, in one short sentence, to key in {what}. Say none of the digits."
)
NO_KEYPAD = '{"ok":false,"reason":"no_keypad","note":"This line has no keys: ask for it in words."}'


class Keying:
    """What happens when keys are pressed, or are not."""

    def __init__(self, parts: Parts, dialogue: Dialogue) -> None:
        self._parts = parts
        self._dialogue = dialogue
        self._has_keys = parts.plan.has_keys

    def digit(self, event: e.CallerDigit, now_ms: int) -> list[c.Command]:
        """A key: it cuts what is being said, and counts, unless it must not."""
        parts = self._parts
        self._has_keys = True
        parts.hearing.key_pressed()
        if parts.leaving_soon or parts.keypad.deaf or self._spoken_to(now_ms):
            parts.keypad.ignored()
            return []
        if not parts.keypad.collecting and not parts.keypad.turn_key(event.digit, now_ms):
            return []
        out = self._dialogue.key_interrupts(now_ms)
        if parts.keypad.collecting:
            parts.responses.withdraw(AGAIN)
            return out + self._collects(parts.keypad.press(event.digit, now_ms), now_ms)
        keys = parts.digits.press(event.digit, now_ms, wanted=self._wanted_soon)
        return out + self._turn(keys, now_ms)

    @property
    def _wanted_soon(self) -> bool:
        """The response in progress may end with asking for keys: one that was cut, too."""
        return bool(self._parts.plan.presets) and self._parts.responses.active is not None

    def _spoken_to(self, now_ms: int) -> bool:
        """Something is being played that keys do not cut."""
        playing = self._parts.playout.unheard_ms(now_ms) > 0 or not self._parts.playout.at_rest
        return playing and not self._parts.attempts.keys_may

    def turn_due(self, now_ms: int) -> list[c.Command]:
        """No further key was pressed."""
        if self._wanted_soon:
            self._parts.digits.wait(now_ms)
            return []
        return self._turn(self._parts.digits.paused(), now_ms)

    def _turn(self, keys: str | None, now_ms: int) -> list[c.Command]:
        """What was keyed in beside any collection is one thing to say."""
        parts = self._parts
        if keys is None:
            return []
        parts.keypad.turn_told(now_ms)
        if not (parts.live or parts.redirecting):
            return []
        secret = parts.keypad.discreet(now_ms)
        shown = f"[redacted:{len(keys)}]" if secret else keys
        turn = told(keys, secret=secret)
        parts.transcript.keyed("", shown, now_ms, told=turn, ok=True)
        return self._dialogue.written(turn, "digits", now_ms)

    def tool_called(self, call: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """The model wants something keyed in, or anything else."""
        if call.name != COLLECT_DTMF or not self._parts.plan.presets:
            return self._dialogue.tool_called(call, now_ms)
        if not self._dialogue.tool_opened(call, now_ms, asks_caller=True):
            return []
        if not self._has_keys:
            return [self._no_keypad(""), *self._output(call.tool_call_id, NO_KEYPAD, now_ms)]
        name = _preset(call.arguments)
        if not self._parts.keypad.known(name):
            names = ", ".join(self._parts.plan.presets)
            output = _json(ok=False, reason="unknown_preset", note=f"The presets are: {names}.")
            return self._output(call.tool_call_id, output, now_ms)
        return self._begin(name, Asker(tool_call_id=call.tool_call_id), now_ms)

    def ordered(self, order: e.DigitsOrdered, now_ms: int) -> list[c.Command]:
        """The operator wants something keyed in, or keys to count again."""
        parts = self._parts
        if not self._has_keys:
            return [self._no_keypad(order.preset), *parts.orders.done()]
        if parts.leaving_soon:
            return parts.orders.done("refused", "call_ending")
        if not order.preset:
            parts.keypad.listen()
            return parts.orders.done()
        if not parts.keypad.known(order.preset):
            return parts.orders.done("refused", "unknown_preset")
        return self._begin(order.preset, Asker(command_id=order.command_id), now_ms)

    def _no_keypad(self, preset: str) -> c.Command:
        return c.DigitsCollected(preset, "", 0, ok=False, reason="no_keypad")

    def _begin(self, name: str, asker: Asker, now_ms: int) -> list[c.Command]:
        parts = self._parts
        earlier = parts.keypad.give_up("superseded", now_ms)
        out = self._ends(earlier, now_ms) if earlier is not None else []
        over = parts.keypad.collect(name, asker, parts.digits.taken(), now_ms)
        return out + self._collects(over, now_ms)

    def mark_returned(self, event: e.MarkReturned, now_ms: int) -> list[c.Command]:
        """Something was heard; when it is everything, who was asked has their time."""
        out = self._dialogue.mark_returned(event, now_ms)
        if self._parts.playout.idle:
            self._parts.keypad.heard(now_ms)
        return out

    def due(self, now_ms: int) -> list[c.Command]:
        """No key was pressed for as long as there is time."""
        parts = self._parts
        busy = (
            parts.leaving_soon
            or parts.responses.owes
            or parts.responses.caller_speaking
            or not parts.playout.idle
        )
        return self._collects(parts.keypad.due(now_ms, busy=busy), now_ms)

    def _collects(self, over: Collected | None, now_ms: int) -> list[c.Command]:
        """A collection has begun, got on, or is ``over``."""
        out = self._judged(over, now_ms) if over is not None else []
        keypad = self._parts.keypad
        self._parts.hearing.expect_keys(keys=keypad.collecting, speech=not keypad.ignores_speech)
        return out + self._parts.recording.collects(keypad.collects, now_ms)

    def _judged(self, over: Collected, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if over.digits:
            parts.tools.caller_turn()
        if over.ok or not parts.keypad.again(now_ms):
            return self._ends(over, now_ms)
        out: list[c.Command] = [_told(over)]
        if parts.link.state is Link.READY and not parts.leaving_soon:
            words = ONCE_MORE.format(why=over.reason.replace("_", " "), what=_wanted(over))
            again = c.CreateResponse(AGAIN, words, tools=False)
            out += parts.responses.ask(again, now_ms)
        return out

    def _ends(self, over: Collected, now_ms: int) -> list[c.Command]:
        """Everybody is told who wants to know."""
        parts = self._parts
        parts.responses.withdraw(AGAIN)
        out: list[c.Command] = [_told(over)]
        if over.digits and over.preset.sensitive:
            out.append(c.KeepDigits(over.name, over.digits))
        if over.asker.tool_call_id:
            parts.transcript.keyed(over.name, over.shown, now_ms, ok=over.ok)
            quiet = over.reason == "superseded"
            return out + self._output(over.asker.tool_call_id, _result(over), now_ms, quiet=quiet)
        turn = f"{KEYPAD[:-1]} for {over.name}: {_result(over)}"
        parts.transcript.keyed(over.name, over.shown, now_ms, told=turn, ok=over.ok)
        if over.reason != "superseded":
            out += self._dialogue.written(turn, "digits", now_ms)
        return out + self._order_ends(over)

    def _order_ends(self, over: Collected) -> list[c.Command]:
        order = self._parts.orders.current
        if not isinstance(order, e.DigitsOrdered) or order.command_id != over.asker.command_id:
            return []
        return self._parts.orders.done(*([] if over.ok else ["failed", over.reason]))

    def _output(
        self, tool_call_id: str, output: str, now_ms: int, *, quiet: bool = False
    ) -> list[c.Command]:
        return self._dialogue.tool_done(
            e.ToolDone(tool_call_id, output, ok=not quiet, background=quiet), now_ms
        )


def _told(over: Collected) -> c.Command:
    length = len(over.digits)
    return c.DigitsCollected(over.name, over.shown, length, ok=over.ok, reason=over.reason)


def _result(over: Collected) -> str:
    """What the model is told of it."""
    told: dict[str, Any] = {"ok": over.ok}
    if not over.ok:
        told["reason"] = over.reason
    if not over.preset.sensitive:
        told["digits"] = over.digits
    elif over.digits:
        told |= {"length": len(over.digits), "digits": NAME.format(preset=over.name)}
    if over.ok and over.preset.choices:
        told["choice"] = over.preset.choices[over.digits]
    return _json(**told)


def _wanted(over: Collected) -> str:
    """What a preset asks for, in words."""
    preset = over.preset
    if preset.choices:
        return "; ".join(f"{key} for {what}" for key, what in preset.choices.items())
    count = f"{preset.num_digits} digits" if preset.num_digits else "the digits"
    if not preset.num_digits and preset.min_digits > 1:
        count = f"at least {preset.min_digits} digits"
    ending = (
        "" if preset.num_digits or not preset.finish_on_key else f", then {preset.finish_on_key}"
    )
    return f"{over.name.replace('_', ' ')} ({count}{ending})"


def _preset(arguments: str) -> str:
    """The preset the model names; empty where it names none."""
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return ""
    name = given.get("preset") if isinstance(given, Mapping) else None
    return name if isinstance(name, str) else ""


def _json(**told: Any) -> str:
    return orjson.dumps(told).decode()
