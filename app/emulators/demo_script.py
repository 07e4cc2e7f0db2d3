"""What is said and done in the demonstration, by the agent's model and by the caller.

There are two of it: the caller interrupts the long answer, or the process that gives it is killed.
The model's lines are a scenario, which must be used up and whose expectations hold what the
server has to have sent by then; the caller's lines are said by ear, when the agent has been
heard. Rule: only words and their order are here, no telling and no judging.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.audio import mulaw
from app.emulators.demo_voice import AGENT, CALLER, Studio, Voice
from app.emulators.realtime_turns import Plan, Reply, ToolUse
from app.emulators.scenario import Expect, Scenario
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import DialOutcome
from app.protocol.units import ms_of_bytes

GREETING = "Hello, Contoso Dental. This is the virtual assistant. How can I help?"
QUESTION = "Good morning. When are you open on Saturday?"
HOURS = (
    "On Saturday we are open from nine in the morning until noon. From Monday to Friday we open"
    " at eight in the morning and close at seven in the evening, and on Sunday we are closed."
)
APOLOGY = "I am sorry, we were cut off for a moment. On Saturday we are open from nine until noon."
INTERRUPTION = "Saturday is fine. But I have a question about my bill."
ANNOUNCEMENT = "Then let me put you through to the billing desk. One moment, please."
RETURN = "I am sorry, the billing desk is on another call. Shall they call you back?"
CONSENT = "Yes, please. That is all."
GOODBYE = "They will call you this afternoon. Thank you for calling, and goodbye."

TARGET = "billing"
BILLING_DESK = "+33612345678"
"""As in demo_agent.yaml."""
BUSY = DialOutcome("busy", ring_ms=1500)
HOURS_BEGIN = "On Saturday we are open"
"""Heard by anybody's count when the answer is cut."""
INTERRUPTS_AFTER_MS = 1800
"""Of HOURS: in the middle of its first sentence."""
TRUNCATED_MS = (INTERRUPTS_AFTER_MS - 200, INTERRUPTS_AFTER_MS + 1200)
"""Where that answer may be cut: the caller draws breath first, and the line is not instant."""

THOUGHT_MS = 250
"""The model's own time before it speaks."""

_BREATH_MS = 300
_LISTENING_S = 20.0


@dataclass(frozen=True, slots=True)
class Lines:
    """Everything that is said, as mu-law, by its text."""

    audio: dict[str, bytes]

    @classmethod
    async def spoken(cls, studio: Studio) -> "Lines":
        """Say all lines. Raises ``VoiceFault``."""
        audio: dict[str, bytes] = {}
        for voice, texts in _PARTS.items():
            for text in texts:
                audio[text] = await studio.say(text, voice)
        return cls(audio)

    def ms(self, text: str) -> int:
        """How long ``text`` sounds."""
        return ms_of_bytes(len(self.audio[text]))

    def reply(self, text: str, *tools: ToolUse) -> Reply:
        """The model says ``text``, then calls ``tools``."""
        return Reply(
            text,
            self.ms(text),
            audio=self.audio[text],
            tools=tools,
            first_audio_ms=THOUGHT_MS,
        )


_PARTS: dict[Voice, tuple[str, ...]] = {
    AGENT: (GREETING, HOURS, APOLOGY, ANNOUNCEMENT, RETURN, GOODBYE),
    CALLER: (QUESTION, INTERRUPTION, CONSENT),
}


@dataclass(frozen=True, slots=True)
class _OnlyTool:
    """A response that is a function call and nothing said."""

    tool: ToolUse

    def plan(self) -> Plan:
        """The call."""
        return Plan((self.tool,), first_ms=THOUGHT_MS)


def scenario(lines: Lines, *, killed: bool = False) -> Scenario:
    """The model's side, with what the server owes it before each line.

    ``killed``: whoever has the call dies in the middle of the long answer.
    """
    middle: tuple[Reply | Expect, ...]
    if killed:
        # Another process, and a session that it has to tell what was said, as it was heard.
        asked = Expect(origin="client", instructions_contain="interrupted")
        remembered = [Expect(message_contains=one) for one in (QUESTION, HOURS_BEGIN)]
        known = Expect(tool_output_contains="until noon")
        middle = (asked, *remembered, known, lines.reply(APOLOGY), Expect(origin="turn"))
    else:
        middle = (Expect(origin="turn", truncated_ms=TRUNCATED_MS),)
    return Scenario(
        [
            Expect(origin="client", instructions_contain=GREETING),
            lines.reply(GREETING),
            Expect(origin="turn", tools=["opening_hours", "transfer_call", "end_call"]),
            _OnlyTool(ToolUse("opening_hours", {"day": "Saturday"})),
            Expect(origin="client", tool_outputs=1, tool_output_contains="until noon"),
            lines.reply(HOURS),
            *middle,
            lines.reply(ANNOUNCEMENT, ToolUse("transfer_call", {"target": TARGET})),
            # A new stream and a new model session: it has to be told what was said before.
            Expect(origin="client", instructions_contain="busy", message_contains=INTERRUPTION),
            lines.reply(RETURN),
            Expect(origin="turn"),
            lines.reply(GOODBYE, ToolUse("end_call")),
        ],
        heard=[QUESTION, INTERRUPTION, CONSENT],
    )


class CutShort(Exception):
    """The call was over before the caller had heard what was to be said."""


class Caller:
    """The person on the telephone: hears, waits for their turn, and once does not."""

    def __init__(
        self,
        call: EmulatedCall,
        lines: Lines,
        on_speech: Callable[[str], None],
        kill: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        """``kill`` ends who has the call, and tells how much had been heard when somebody else
        began to speak, in ms; None: the caller interrupts."""
        self._call = call
        self._lines = lines
        self._on_speech = on_speech
        self._kill = kill

    async def converse(self) -> None:
        """The caller's side from the first word to the end of the call.

        Raises TimeoutError when the agent does not speak or does not hang up and ``CutShort``
        when the call is over too early; both tell where the call stands.
        """
        await self._hear_out(GREETING)
        await self._say(QUESTION)
        await self._hear(INTERRUPTS_AFTER_MS)
        if self._kill is not None:
            heard_ms = await self._kill()
            await self._hear(self._lines.ms(APOLOGY), since_ms=heard_ms)
        await self._say(INTERRUPTION)
        await self._hear_out(ANNOUNCEMENT)
        await self._hear_out(RETURN)
        await self._say(CONSENT)
        await self._hear_out(GOODBYE)
        await self._call.ended(_LISTENING_S)

    async def _hear_out(self, text: str) -> None:
        await self._hear(self._lines.ms(text))

    async def _hear(self, length_ms: int, since_ms: int | None = None) -> None:
        """Return when so much more was heard than before, or than ``since_ms``."""
        call = self._call
        until_ms = length_ms + (call.heard_ms if since_ms is None else since_ms)
        await call.until(lambda: call.over or call.heard_ms >= until_ms, _LISTENING_S)
        if call.heard_ms < until_ms:
            raise CutShort(f"the call was over too early; {call.story()}")

    async def _say(self, text: str) -> None:
        await self._call.speak(mulaw.silence(_BREATH_MS), wait=True)
        self._on_speech(text)
        await self._call.speak(self._lines.audio[text], wait=True)
