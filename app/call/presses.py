"""Keys that we press: one sequence at a time, in the caller's audio or by the carrier.

In the audio nothing else is heard until the last of them was: what the agent says meanwhile
waits (``app.call.overture``), and whoever speaks over them cuts nothing. By the carrier the
stream ends for as long as they take (``via: play``) and the conversation goes on in another one.
A sequence begins when what was being said has been heard, and is over when it was heard itself.

    NONE ──asked──▶ WAITING ──nothing is being said──▶ SOUNDING ──its mark──▶ NONE
                       ├──it never is──▶ NONE
                       └──via play──▶ REDIRECTING ──accepted──▶ GONE (Twilio's stop)
                                        │  └──unclear──▶ UNCLEAR ──no stop──▶ NONE
                                        └──refused──▶ NONE
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from app.audio import dtmf
from app.call.alarms import Alarm, Alarms
from app.call.plan import CallPlan, PressPlan
from app.protocol.commands import KeysPressed

MOST_SYMBOLS = 32
"""Keys and pauses together; Twilio takes as many where it dials."""
LONGEST_MS = 20_000
"""From the first key to the end of the last; an invitation lasts longer."""
WAITS_MS = 15_000
"""For what is being said to be heard."""
PRESSED = "pressing"
"""Why a stream ends on which keys are pressed by the carrier; the call goes on."""
UNKNOWN_KEY = "x"
"""A key that nobody may know: it takes as long as any."""
DONE = (
    '{"ok":true,"note":"The keys were pressed. Listen to what comes of it, and speak only to a '
    'person."}'
)
"""What the model is told of its own."""
_SYMBOLS = re.compile(r"[0-9*#A-DwW]+")
_SPACING = str.maketrans("abcd", "ABCD", " -.,()")


class Press(Enum):
    """How far it has come."""

    NONE = auto()
    WAITING = auto()
    SOUNDING = auto()
    REDIRECTING = auto()
    UNCLEAR = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Sequence:
    """What is pressed, and who wants it."""

    symbols: str
    """Keys and pauses; where they are secret, and this is a replay, ``UNKNOWN_KEY`` for each."""
    secret: str = field(default="", repr=False)
    """The same with the keys in it, where nobody may know them."""
    tool_call_id: str = ""
    """Empty: the operator."""

    @property
    def pressed(self) -> str:
        """What goes on the line."""
        return self.secret or self.symbols

    @property
    def private(self) -> bool:
        """Nobody is told more than how many keys there are."""
        return UNKNOWN_KEY in self.symbols

    @property
    def length(self) -> int:
        """Keys."""
        return sum(symbol not in dtmf.PAUSES_MS for symbol in self.symbols)

    @property
    def shown(self) -> str:
        """As everybody may know it."""
        return f"[redacted:{self.length}]" if self.private else self.symbols

    def known(self, via: str) -> KeysPressed:
        """They were pressed: for the record."""
        return KeysPressed(self.shown, self.length, via, ok=True)


def written(text: str) -> str:
    """The keys that somebody wrote, without what people put between them."""
    return text.translate(_SPACING)


def without_keys(symbols: str) -> str:
    """How long each of them takes, and no more."""
    return "".join(one if one in dtmf.PAUSES_MS else UNKNOWN_KEY for one in symbols)


class Presses:
    """The one sequence under way."""

    def __init__(self, alarms: Alarms, plan: PressPlan) -> None:
        self._alarms = alarms
        self._plan = plan
        self.sequence = Sequence("")
        self.state = Press.NONE
        self.sounding = False
        """Keys are in the caller's audio, not all heard. Beside the state, because every delta
        of speech asks."""
        self.doubt = ""
        """Why it is unclear whether Twilio took the redirect."""

    def agent_is(self, plan: CallPlan) -> None:
        """How this agent presses keys, from the next sequence on."""
        self._plan = plan.presses

    @property
    def by_carrier(self) -> bool:
        """They are pressed by the carrier, to which the stream is lost meanwhile."""
        return self._plan.by_carrier

    @property
    def under_way(self) -> bool:
        """Keys are to be pressed, or are being."""
        return self.state is not Press.NONE

    @property
    def asked(self) -> bool:
        """Twilio was asked to press them, and has not agreed."""
        return self.state in {Press.REDIRECTING, Press.UNCLEAR}

    @property
    def away(self) -> bool:
        """The stream ends, or may, because the carrier presses them."""
        return self.asked or self.state is Press.GONE

    def wrong(self, symbols: str) -> str:
        """What is wrong with these, in words; empty where nothing is."""
        if not symbols:
            return "no keys: write them as a text, such as 1w2#"
        if not _SYMBOLS.fullmatch(symbols):
            return "keys are 0-9, *, #, A-D; w waits half a second and W a second"
        if not symbols.strip("wW"):
            return "there are only pauses: write a key"
        if len(symbols) > MOST_SYMBOLS:
            return f"too many: {MOST_SYMBOLS} keys and pauses at most"
        if self._length_ms(symbols) > LONGEST_MS:
            return f"too long: {LONGEST_MS // 1000} seconds at most, with all pauses"
        return ""

    def _length_ms(self, symbols: str) -> int:
        key_ms, gap_ms = self._plan.key_ms, self._plan.gap_ms
        return sum(dtmf.length_ms(one, key_ms=key_ms, gap_ms=gap_ms) for one in symbols)

    def ask(self, sequence: Sequence, now_ms: int) -> None:
        """Press these, as soon as nothing else is being said."""
        self.sequence, self.state = sequence, Press.WAITING
        self._alarms.set(Alarm.PRESS, now_ms + WAITS_MS)

    def sounds(self) -> list[str]:
        """They begin now: base64 of mu-law, one piece for each."""
        self._alarms.clear(Alarm.PRESS)
        self.state, self.sounding = Press.SOUNDING, True
        return [
            dtmf.sound(
                one,
                key_ms=self._plan.key_ms,
                gap_ms=self._plan.gap_ms,
                level_dbm0=self._plan.level_dbm0,
            )
            for one in self.sequence.pressed
        ]

    def redirects(self) -> None:
        """Twilio is asked to press them."""
        self._alarms.clear(Alarm.PRESS)
        self.state = Press.REDIRECTING

    def accepted(self) -> bool:
        """Twilio will end the stream. False if nobody asked it to."""
        if self.state is not Press.REDIRECTING:
            return False
        self.state = Press.GONE
        return True

    def unclear(self, reason: str) -> bool:
        """Twilio may end the stream, or may not. False if nobody asked it to."""
        if self.state is not Press.REDIRECTING:
            return False
        self.state, self.doubt = Press.UNCLEAR, reason
        return True

    def over(self) -> Sequence:
        """It is, one way or another: what it was."""
        self._alarms.clear(Alarm.PRESS)
        self.state, self.sounding = Press.NONE, False
        return self.sequence
