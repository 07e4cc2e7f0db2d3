"""A Realtime server reduced to its rules about responses, for random calls.

It is told the machine's commands and turns them into the events a strict server would send,
in order, some time later. It complains where the real one would, and more: a second request
before the first was answered is a machine that lost count, unless the first is overdue.
"""

from collections import deque

from app.call.plan import CallPlan
from app.call.responses import OWED_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import of_bytes

NEXT_LINES = (e.ModelReady, e.SpareReady)
USAGE = e.Usage(input_text=1_000, output_audio=1_000)
"""What each response is billed."""
COLLISION = "conversation_already_has_active_response"


class StrictServer:
    """One model line after another. ``pending`` are events on their way to the machine."""

    def __init__(self, plan: CallPlan) -> None:
        self._at_first = self.takes_turns = plan.server_takes_turns
        """It interrupts and answers by itself."""
        self.pending: deque[e.Event] = deque()
        self.active: str | None = None
        self.asked: deque[int] = deque()
        """When responses were asked for that the machine has not been answered about yet."""
        self.open = False
        self.dumb = False
        """Takes everything and says nothing any more."""
        self.sent_bytes: dict[str, int] = {}
        """Audio the machine was given, by item of this line."""
        self.spare = False
        """Another line is open beside this one."""
        self._responses = 0
        self._saying = ""
        """The item whose audio came last."""
        self._doubled = False
        """A request was repeated that may have been answered, or is overdue, and not all of them
        have been."""
        self._echoed = False
        """The machine has seen that it is told which response it has asked for."""

    def take(self, command: c.Command, now_ms: int) -> None:
        """The machine wants something of the model."""
        match command:
            case _ if self.dumb:
                pass
            case c.OpenModel():
                self.takes_turns = self._at_first
                self.pending.append(e.ModelReady(f"sess_{self._responses}"))
            case c.CloseModel():
                self.cut()
            case c.OpenSpare() | c.CloseSpare() | c.SwitchModel():
                self._beside(command)
            case c.CreateResponse():
                self._create(command, now_ms)
            case c.SetTurnTaking():
                assert self.open, "an update of a line that is not open"
                self.takes_turns = command.by_server
            case c.AskAlive():
                if self.open:
                    self.pending.append(e.ModelAlive())
            case c.CancelResponse(response_id=response_id) if response_id == self.active:
                self._end("cancelled", "client_cancelled")
            case _:
                pass

    def _beside(self, command: c.Command) -> None:
        if isinstance(command, c.OpenSpare):
            assert not self.spare, "a second spare line"
            self.pending.append(e.SpareReady(f"spare_{self._responses}"))
        elif isinstance(command, c.CloseSpare):
            self.drop_spare()
        else:
            assert self.spare, "a switch to a spare line that is not there"
            self.cut()
            self.spare, self.open = False, True
            self.takes_turns = self._at_first

    def _create(self, command: c.CreateResponse, now_ms: int) -> None:
        assert self.open, "a response was asked for on a line that is not open"
        self._doubled = bool(self.asked) and (self._doubled or now_ms - self.asked[0] >= OWED_MS)
        assert self._doubled or not self.asked, "two requests at once"
        self.asked.append(now_ms)
        if self.active is not None:
            self.pending.append(e.ModelError(COLLISION, f"create:{command.purpose}"))
        else:
            self._begin(command.purpose)

    def _begin(self, purpose: str | None) -> None:
        self._responses += 1
        self.active = f"R{self._responses}"
        self.pending.append(e.ResponseStarted(self.active, purpose))

    def _end(self, status: str, reason: str | None = None) -> None:
        if self.active is not None:
            self.pending.append(e.ResponseDone(self.active, status, reason, USAGE))
            self.active = None

    def refuse(self) -> None:
        """The next answer to a request is an error, where one is on its way."""
        for index, event in enumerate(self.pending):
            if isinstance(event, e.ResponseStarted) and event.purpose is not None:
                self.pending[index] = e.ModelError("invalid_value", f"create:{event.purpose}")
                self.active = None if self.active == event.response_id else self.active
                rest = list(self.pending)[index + 1 :]
                kept = [x for x in rest if getattr(x, "response_id", None) != event.response_id]
                self.pending = deque([*list(self.pending)[: index + 1], *kept])
                return

    def speak(self, item: int, length_bytes: int) -> None:
        """The active response brings audio and words."""
        if self.active is not None:
            name = self._saying = f"{self.active}.{item}"
            self.pending.append(e.SpeechText(self.active, name, 0, "word "))
            self.pending.append(of_bytes(length_bytes, name, self.active))

    def call_tool(self, n: int, name: str) -> None:
        """The active response calls a tool."""
        if self.active is not None:
            arguments = {
                "transfer_call": '{"target":"billing"}',
                "collect_dtmf": '{"preset":"pin"}',
                "send_dtmf": '{"digits":"1w2#"}',
            }.get(name, "{}")
            self.pending.append(
                e.ToolCalled(self.active, f"{self.active}.f{n}", f"T{n}", name, arguments)
            )

    def finish(self, status: str) -> None:
        """The active response ends by itself, and before it what it was saying."""
        if self.active is not None and self._saying.startswith(f"{self.active}."):
            self.pending.append(e.SpeechAudioDone(self.active, self._saying, 0))
        self._end(status, "server_error" if status == "failed" else None)

    def hear(self, *, interrupts: bool) -> None:
        """The caller begins to speak."""
        if not self.open:
            return
        self.pending.append(e.SpeechStarted("U"))
        if interrupts and self.takes_turns:
            self._end("cancelled", "turn_detected")

    def turn(self, n: int, *, answers: bool) -> None:
        """The caller has finished; a server that answers begins a response of its own."""
        if not self.open:
            return
        self.pending += [e.SpeechStopped("U"), e.CallerTurnCommitted(f"U{n}")]
        if answers and self.takes_turns and self.active is None:
            self._begin(None)

    def transcribe(self, n: int, text: str) -> None:
        """The words of a turn."""
        if self.open:
            self.pending.append(e.CallerTranscribed(f"U{n}", text))

    def pause(self) -> None:
        """The caller has stopped, and what they said was nothing."""
        if self.open:
            self.pending.append(e.SpeechStopped("U"))

    def wish_late(self, n: int, name: str) -> None:
        """The active response calls a tool after the caller spoke over it."""
        self.hear(interrupts=False)
        self.call_tool(n, name)

    def cut(self) -> None:
        """The line is gone, with everything that was on its way."""
        self.active, self.open = None, False
        self.asked.clear()
        self.sent_bytes.clear()
        self.pending = deque(x for x in self.pending if isinstance(x, NEXT_LINES))

    def drop_spare(self) -> None:
        """The spare line is gone, or will not come."""
        self.spare = False
        self.pending = deque(x for x in self.pending if not isinstance(x, e.SpareReady))

    def deliver(self) -> e.Event | None:
        """The next event for the machine."""
        if not self.pending:
            return None
        event = self.pending.popleft()
        if isinstance(event, e.ModelReady):
            self.open = True
        elif isinstance(event, e.SpareReady):
            self.spare = True
        elif isinstance(event, e.SpeechAudio):
            before = self.sent_bytes.get(event.item_id, 0)
            self.sent_bytes[event.item_id] = before + event.length_bytes
        elif self._answers_a_request(event):
            self.asked.popleft()
            self._echoed = self._echoed or isinstance(event, e.ResponseStarted)
        elif isinstance(event, e.ResponseStarted) and self.asked and not self._echoed:
            # It began before it was told to leave turns to us, and might be what was asked for:
            # there are servers that do not say, and this one has not had the occasion yet.
            self._doubled = True
        return event

    def _answers_a_request(self, event: e.Event) -> bool:
        if isinstance(event, e.ResponseStarted):
            return event.purpose is not None
        return isinstance(event, e.ModelError) and (event.event_id or "").startswith("create:")
