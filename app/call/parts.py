"""The components of one stream's machine, put together once.

Each knows one subject; the three phase files (``connecting``, ``dialogue``, ``departure``)
and ``machine`` decide who hears of what, in which order.
"""

from enum import Enum, auto

from app.call.alarms import Alarms
from app.call.barge_in import BargeIn
from app.call.digits import Digits
from app.call.farewell import Farewell, Parting
from app.call.hearing import Hearing
from app.call.leaving import Leaving
from app.call.model_link import ModelLink
from app.call.overture import Overture
from app.call.patience import Patience
from app.call.plan import CallPlan
from app.call.playout import Playout
from app.call.pulse import Pulse
from app.call.responses import Responses
from app.call.toolbook import Toolbook
from app.call.transcript import Transcript
from app.call.transfer import Putting, TransferDesk


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
        self.alarms = Alarms()
        self.playout = Playout()
        self.transcript = Transcript()
        self.patience = Patience(self.alarms, self.playout)
        self.responses = Responses(
            self.alarms, self.patience, server_interrupts=plan.server_interrupts
        )
        self.barge_in = BargeIn(self.playout, self.responses, self.transcript)
        self.hearing = Hearing(self.alarms)
        self.overture = Overture()
        self.link = ModelLink()
        self.pulse = Pulse(self.alarms)
        self.tools = Toolbook(self.alarms)
        self.transfer = TransferDesk(self.alarms, plan.targets)
        self.farewell = Farewell(self.alarms)
        self.leaving = Leaving(self.alarms)
        self.digits = Digits(self.alarms)

    @property
    def live(self) -> bool:
        """The caller is on the line and nobody is taking the call away."""
        return self.phase is Phase.LIVE

    @property
    def redirecting(self) -> bool:
        """Twilio was asked to take the caller away and has not agreed: they are still there."""
        return (
            self.phase is Phase.LEAVING
            and self.transfer.state in {Putting.REDIRECTING, Putting.UNCLEAR}
            and self.farewell.state is not Parting.HANGING_UP
        )

    @property
    def leaving_soon(self) -> bool:
        """Nothing new is begun with the caller: a transfer is under way, or more."""
        return self.transfer.under_way or not self.live
