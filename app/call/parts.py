"""The components of one stream's machine, put together once.

Each knows one subject; the three phase files (``connecting``, ``dialogue``, ``departure``)
and ``machine`` decide who hears of what, in which order.
"""

from dataclasses import replace
from enum import Enum, auto

from app.call.alarms import Alarms
from app.call.attempts import Attempts
from app.call.background import Background
from app.call.barge_in import BargeIn
from app.call.comfort import Comfort
from app.call.digits import Digits
from app.call.failing import Failing
from app.call.farewell import Farewell, Parting
from app.call.guardrails import Guardrails
from app.call.handoff import Handoff
from app.call.hearing import Hearing
from app.call.hold import Hold
from app.call.keypad import Keypad
from app.call.leaving import Leaving
from app.call.limits import Limits
from app.call.line_swap import LineSwap, Quiet
from app.call.meanwhile import Meanwhile
from app.call.menus import Menus
from app.call.model_link import Link, ModelLink
from app.call.mute import Mute
from app.call.noise import Noise
from app.call.orders import Orders
from app.call.overture import Overture
from app.call.patience import Patience
from app.call.plan import CallPlan
from app.call.playout import Playout
from app.call.presses import Presses
from app.call.pulse import Pulse
from app.call.recording import Recording
from app.call.responses import Responses
from app.call.session_changing import SessionChanging, session_of
from app.call.silence import Silence
from app.call.toolbook import Toolbook
from app.call.transcript import Transcript
from app.call.transfer import Putting, TransferDesk
from app.call.warm import SideCall
from app.protocol.commands import Command

THEIRS = (
    *("tools", "targets", "offered", "warm", "modes", "impossible", "closed", "handoffs"),
    *("presets", "presses", "may_press", "may_hold", "max_tool_rounds"),
    *("interruptible", "min_interruption_ms", "echo_guard"),
)
"""What of a plan is the agent's; the rest is the call's, whoever has the conversation."""


class Phase(Enum):
    """Where the stream is in its life."""

    WAITING = auto()
    LIVE = auto()
    LEAVING = auto()
    OVER = auto()


class Parts:
    """Who there is, and which phase the stream is in."""

    def __init__(self, plan: CallPlan) -> None:
        self.plan = plan
        self.phase = Phase.WAITING
        self.greeted = False
        """The model has been asked for the first words of this stream."""
        self.leaving_message = False
        """Whoever picked up is a machine, and is told the message."""
        self.alarms = Alarms()
        self.playout = Playout()
        self.background = Background(self.alarms, self.playout, plan.sounds)
        self.transcript = Transcript()
        self.patience = Patience(
            self.alarms,
            self.playout,
            answer_ms=plan.give_up_ms,
            filler_after_ms=plan.filler_after_ms,
        )
        self.responses = Responses(
            self.alarms,
            self.patience,
            server_interrupts=plan.server_interrupts,
            quiet_ms=plan.give_up_ms,
        )
        self.overture = Overture()
        self.presses = Presses(self.alarms, plan.presses)
        self.recording = Recording(self.alarms, plan)
        self.barge_in = BargeIn(
            self.playout,
            self.responses,
            self.transcript,
            self.background,
            self.recording,
            presses=self.presses,
            overture=self.overture,
        )
        self.hearing = Hearing(self.alarms)
        self.mute = Mute(self.hearing)
        self.hold = Hold(self.background, self.hearing)
        self.meanwhile = Meanwhile(self.alarms, self.background, plan.sounds)
        self.link = ModelLink(self.alarms)
        self.swap = LineSwap(self.alarms)
        self.handoff = Handoff()
        self.failing = Failing()
        self.comfort = Comfort(self.alarms, self.playout)
        self.noise = Noise(self.alarms)
        self.limits = Limits(self.alarms, plan)
        self.silence = Silence(self.alarms, plan.silence)
        self.pulse = Pulse(self.alarms)
        self.tools = Toolbook(self.alarms, most_rounds=plan.max_tool_rounds)
        self.side = SideCall(self.alarms, plan.warm)
        self.transfer = TransferDesk(self.alarms, plan, self.side)
        self.farewell = Farewell(self.alarms)
        self.changes = SessionChanging(session_of(plan.session))
        self.guards = Guardrails(self.alarms, plan.guard)
        self.orders = Orders(self.alarms)
        self.menus = Menus(self.alarms, plan.menus)
        self.attempts = Attempts(
            self.alarms, plan, self.orders, self.playout, self.recording, menus=self.menus
        )
        self.responses.taken_by(server=plan.server_takes_turns)
        self.leaving = Leaving(self.alarms)
        self.digits = Digits(self.alarms)
        self.keypad = Keypad(self.alarms, plan.presets)

    def agent_is(self, name: str) -> None:
        """Another agent has the conversation from now on."""
        theirs = self.plan.colleagues[name]
        self.plan = replace(self.plan, **{field: getattr(theirs, field) for field in THEIRS})
        for part in (self.attempts, self.keypad, self.presses, self.recording, self.transfer):
            part.agent_is(self.plan)
        self.tools.most_rounds = self.plan.max_tool_rounds
        self.changes.agent_is()

    @property
    def live(self) -> bool:
        """The caller is on the line and nobody is taking the call away."""
        return self.phase is Phase.LIVE

    @property
    def redirecting(self) -> bool:
        """Twilio was asked to take the caller away and has not agreed: they are still there."""
        asked = self.transfer.state in {Putting.REDIRECTING, Putting.UNCLEAR}
        return (
            self.phase is Phase.LEAVING
            and (asked or self.presses.asked)
            and self.farewell.state is not Parting.HANGING_UP
        )

    def turn_taking(self) -> list[Command]:
        """Who takes turns from now on; a line that is still to come is told when it is there."""
        told = self.attempts.settle()
        self.responses.taken_by(server=self.attempts.server_takes_turns)
        return told if self.link.state is Link.READY else []

    @property
    def busy(self) -> bool:
        """Something is being said, or about to be."""
        return not self.playout.at_rest or self.responses.under_way

    @property
    def still(self) -> bool:
        """Nobody says or does anything, nothing is waited for, and it is the caller's turn."""
        theirs = self.link.state is Link.READY and not self.busy and not self.responses.owes
        waits = self.hold.on or self.keypad.collecting or self.tools.running
        ordered = self.orders.current is not None or self.farewell.state is not Parting.NONE
        return theirs and not (
            waits or ordered or self.leaving_soon or self.responses.caller_speaking
        )

    @property
    def quiet(self) -> Quiet:
        """How little it would disturb if the model line were another one from now on."""
        if self.leaving_soon or self.responses.caller_speaking or self.responses.owes:
            return Quiet.NOT
        under_way = self.tools.running or self.hearing.turn_kept or not self.playout.at_rest
        return Quiet.FAIR if under_way else Quiet.WHOLE

    @property
    def leaving_soon(self) -> bool:
        """Nothing new is begun with the caller: a transfer is under way, or more."""
        parting = self.leaving_message or self.farewell.firm
        return self.transfer.under_way or parting or not self.live
