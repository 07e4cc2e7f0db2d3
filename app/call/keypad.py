"""Collecting what the caller keys in: when it is complete, and whether it is what was wanted.

A collection follows a preset of the operator's (``DigitsPreset``). It ends with its finishing
key, with its last digit, or when no further key comes; what does not fit is asked for again as
often as the preset allows. The rule: of a sensitive one nobody is told more than how many keys
were pressed, also of keys that come before it is open or when it is over.

    OPEN ──collect──▶ COLLECTING ──complete, given up──▶ OPEN, or DEAF after ``stop_after``
      ▲                    └──asked for again──▶ COLLECTING                           │
      └───────────────── collect, or the order to listen again ──────────────────────┘
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.plan import CallPlan, DigitsPreset

MOST_DIGITS = 100
"""Of one collection without a limit of its own."""
LONGEST_MS = 300_000
"""A collection in which nobody presses a key ends then, whatever else is said meanwhile."""
AGAIN_MS = 3_000
"""So soon after the last digit the finishing key still belongs to it: fingers are used to it."""
DISCREET_MS = 60_000
"""After a sensitive collection: a slow caller's keys are still the ones that were asked for."""
NAME = "{{{{dtmf.{preset}}}}}"
"""What the model is given in place of sensitive digits; a tool is given the digits for it."""
KEPT = re.compile(r"\{\{\s*dtmf\.([A-Za-z0-9_-]+)\s*\}\}")
"""The same in the arguments of a tool, as models write it."""


class Keys(Enum):
    """What becomes of a key."""

    OPEN = auto()
    """Part of a turn."""
    COLLECTING = auto()
    DEAF = auto()
    """Nothing: the last collection was to be the end of it."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants it."""

    tool_call_id: str = ""
    """Empty: the operator."""
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """How a collection ended."""

    asker: Asker
    name: str
    """Of the preset."""
    preset: DigitsPreset
    digits: str
    ok: bool
    reason: str
    """finish_on_key, num_digits, max_digits or timeout; where it failed no_digits,
    too_few_digits, no_such_choice, superseded or call_ending."""

    @property
    def shown(self) -> str:
        """The digits, as anybody but a tool may know them."""
        return f"[redacted:{len(self.digits)}]" if self.preset.sensitive else self.digits


class Keypad:
    """The one collection there may be, and what becomes of keys beside it."""

    def __init__(self, alarms: Alarms, presets: Mapping[str, DigitsPreset]) -> None:
        self._alarms = alarms
        self._presets = presets
        self._keeps_secrets = any(one.sensitive for one in presets.values())
        self._keys = Keys.OPEN
        self._asker = Asker()
        self._name = ""
        self._preset = DigitsPreset()
        self._digits = ""
        self._retries = 0
        self._until_ms = 0
        self._swallow = ("", 0)
        """The finishing key of a collection that needed none, and until when it is its."""
        self._discreet_until_ms = 0
        self.private_key: bool | None = False
        """Whether the key pressed last must not be written down. None: that is not known yet."""
        self.private_turn: bool | None = False
        """What has become known of keys of which it was not known; None: nothing yet."""

    def agent_is(self, plan: CallPlan) -> None:
        """What may be asked for from now on; what was secret before stays so."""
        self._presets = plan.presets
        secret = any(one.sensitive for one in plan.presets.values())
        self._keeps_secrets = self._keeps_secrets or secret

    @property
    def collecting(self) -> bool:
        """A collection goes on."""
        return self._keys is Keys.COLLECTING

    @property
    def collects(self) -> str:
        """The name of the preset that is being keyed in; empty: none is."""
        return self._name if self.collecting else ""

    @property
    def deaf(self) -> bool:
        """Keys are ignored until they are asked for."""
        return self._keys is Keys.DEAF

    @property
    def begun(self) -> bool:
        """A collection goes on, and its first key was pressed."""
        return self.collecting and bool(self._digits)

    @property
    def ignores_speech(self) -> bool:
        """The caller keys in, and is not heard meanwhile."""
        return self.begun and self._preset.ignore_speech

    @property
    def wanted(self) -> tuple[DigitsPreset, int]:
        """What is being collected, and how many digits of it there are."""
        return self._preset, len(self._digits)

    def known(self, name: str) -> bool:
        """Whether there is a preset of this name."""
        return name in self._presets

    def collect(self, name: str, asker: Asker, typed: str, now_ms: int) -> Collected | None:
        """Collect by the preset ``name``, which is known; ``typed`` are keys that were pressed
        just before. The end, if these are all of it."""
        self._keys = Keys.COLLECTING
        self._name, self._preset, self._asker = name, self._presets[name], asker
        self._digits = ""
        self._retries = self._preset.retries
        self._swallow = ("", 0)
        self._until_ms = now_ms + LONGEST_MS
        self._alarms.set(Alarm.KEYPAD, now_ms + self._preset.first_digit_timeout_ms)
        if typed:
            self.private_turn = self._preset.sensitive
        for digit in typed:
            over = self._press(digit, now_ms)
            if over is not None:
                return over
        return None

    def listen(self) -> None:
        """Keys count again."""
        if self.deaf:
            self._keys = Keys.OPEN

    def turn_key(self, digit: str, now_ms: int) -> bool:
        """A key beside any collection: whether it is part of a turn."""
        key, until_ms = self._swallow
        self._swallow = ("", 0)
        if digit == key and now_ms < until_ms:
            self.private_key = False
            return False
        if self.discreet(now_ms):
            self.private_key = digit != "#"
        else:
            self.private_key = self.private_turn = None if self._keeps_secrets else False
        return True

    def turn_told(self, now_ms: int) -> None:
        """The keys so far were a turn."""
        self.private_turn = self.discreet(now_ms)

    def ignored(self) -> None:
        """A key that nobody is told of."""
        self.private_key = self._keeps_secrets

    def understood(self) -> None:
        """A key that means the same whenever it is pressed, and is nothing that was asked for."""
        self.private_key = False

    def discreet(self, now_ms: int) -> bool:
        """Whether what is keyed in now may be what a sensitive collection waited for."""
        return now_ms < self._discreet_until_ms

    def press(self, digit: str, now_ms: int) -> Collected | None:
        """A key in a collection; the end of it, if it was the last."""
        self.private_key = self._preset.sensitive and digit != self._preset.finish_on_key
        return self._press(digit, now_ms)

    def _press(self, digit: str, now_ms: int) -> Collected | None:
        preset = self._preset
        if digit == preset.finish_on_key:
            return self._over("finish_on_key", now_ms)
        self._digits += digit
        if len(self._digits) >= (preset.num_digits or preset.max_digits or MOST_DIGITS):
            if preset.finish_on_key:
                self._swallow = (preset.finish_on_key, now_ms + AGAIN_MS)
            return self._over("num_digits" if preset.num_digits else "max_digits", now_ms)
        self._alarms.set(Alarm.KEYPAD, now_ms + preset.inter_digit_timeout_ms)
        return None

    def heard(self, now_ms: int) -> None:
        """Everything that was said has been heard: who was asked has their time from now."""
        if self.collecting and not self._digits:
            self._alarms.set(Alarm.KEYPAD, now_ms + self._preset.first_digit_timeout_ms)

    def due(self, now_ms: int, *, busy: bool) -> Collected | None:
        """The alarm rang. ``busy``: somebody is speaking, which is no time to press a key in."""
        if not self.collecting:
            return None
        if busy and not self._digits and now_ms < self._until_ms:
            self.heard(now_ms)
            return None
        return self._over("timeout", now_ms)

    def again(self, now_ms: int) -> bool:
        """The collection just over failed: whether it goes on from its beginning."""
        if self._retries <= 0 or now_ms >= self._until_ms:
            return False
        self._retries -= 1
        self._keys, self._digits, self._swallow = Keys.COLLECTING, "", ("", 0)
        self._alarms.set(Alarm.KEYPAD, now_ms + self._preset.first_digit_timeout_ms)
        return True

    def give_up(self, reason: str, now_ms: int) -> Collected | None:
        """It is not waited for any longer; None if nothing was."""
        return self._ended(reason, now_ms, ok=False) if self.collecting else None

    def _over(self, reason: str, now_ms: int) -> Collected:
        problem = self._problem()
        return self._ended(problem or reason, now_ms, ok=not problem)

    def _problem(self) -> str:
        preset, count = self._preset, len(self._digits)
        if not count:
            return "no_digits"
        if count < (preset.num_digits or preset.min_digits):
            return "too_few_digits"
        if preset.choices and self._digits not in preset.choices:
            return "no_such_choice"
        return ""

    def _ended(self, reason: str, now_ms: int, *, ok: bool) -> Collected:
        self._alarms.clear(Alarm.KEYPAD)
        self._keys = Keys.DEAF if self._preset.stop_after else Keys.OPEN
        if self._preset.sensitive:
            self._discreet_until_ms = now_ms + DISCREET_MS
        return Collected(self._asker, self._name, self._preset, self._digits, ok, reason)
