"""A caller who seems to speak without end: the line is noisy, and nobody else gets a word in.

The server's voice detection takes steady noise for a caller. It reports a beginning, which cuts
the greeting, and never an end: no turn, no answer, silence on both sides. OpenAI names no bound
for that, so there is one here. Nobody who has heard the agent and answers is talked over for
half a minute; a line that was never quiet is told what it sounds like much sooner.

    QUIET ──speech started──▶ LOUD ──too long──▶ (said so, and again later)
      ◀──────── stopped, or a turn ────────┘
"""

from app.call.alarms import Alarm, Alarms
from app.call.plan import CallPlan
from app.call.prompts import opening
from app.protocol.commands import CreateResponse

AT_FIRST_MS = 6_000
"""Where the noise was there before the agent could be heard: who calls does not begin so."""
LATER_MS = 30_000
"""In a conversation: voice detection finds the pauses of a person long before."""
HEARD_MS = 1_000
"""So much of the agent's voice is something a caller can have answered."""
NOISY = (
    "Sound has come from the caller's line without a pause, so that you cannot tell their words "
    "from noise. Tell them so in one short, friendly sentence, in their language, and ask them "
    "to go where it is quieter, or to speak and then pause for a moment."
)


class Noise:
    """Since when the caller has not paused."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._met = False
        """Agent or caller have heard something of each other."""

    def speech_started(self, plan: CallPlan, heard_ms: int, now_ms: int) -> None:
        """The caller begins, as it seems, having heard ``heard_ms`` of the agent.

        A caller who is not greeted was to speak first, and may take their time.
        """
        self._met = self._met or heard_ms >= HEARD_MS or opening(plan) is None
        self._alarms.set(Alarm.NOISE, now_ms + (LATER_MS if self._met else AT_FIRST_MS))

    def paused(self) -> None:
        """The caller stopped, or there is no line that listens."""
        self._alarms.clear(Alarm.NOISE)

    def caller_turn(self) -> None:
        """Something the caller said was taken for a turn."""
        self._met = True
        self.paused()

    def due(self, plan: CallPlan, now_ms: int) -> CreateResponse:
        """The alarm rang: what is said about it, after the greeting where that was cut at once."""
        first = None if self._met else opening(plan)
        self._met = True
        self.wait(now_ms)
        words = NOISY if first is None else f"{first.instructions} Then: {NOISY}"
        return CreateResponse("noise", words, tools=False)

    def wait(self, now_ms: int) -> None:
        """Look again later."""
        self._alarms.set(Alarm.NOISE, now_ms + LATER_MS)
