"""What no order of events may bring about.

Two drivers: plausible calls, in which a strict server and a carrier that plays in real time
answer the machine; and plain nonsense, any event in any phase.
"""

from collections import Counter
from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.call.attempts import LEAST_MS
from app.call.background import LEAD_MS, PIECE_MS
from app.call.machine import CallMachine
from app.call.noise import AT_FIRST_MS
from app.call.patience import ANSWER_MS, PATIENCE_MS
from app.call.plan import (
    BillPlan,
    CallPlan,
    DigitsPreset,
    GuardPlan,
    MenuPlan,
    PressPlan,
    RecordingPlan,
    RulePlan,
    SilencePlan,
    SoundPlan,
    ToolPlan,
    WarmPlan,
)
from app.call.prices import PRICES
from app.call.pulse import PROBE_AFTER_MS, PROBE_ANSWER_MS
from app.call.responses import STALLED_MS
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.units import bytes_of_ms
from tests.call.test_machine import EVERYTHING
from tests.call.words import frame
from tests.properties.strict_server import StrictServer
from tests.properties.telephone import Telephone, may_answer

QUICK = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TO_CALLER = (c.PlayAudio, c.SendMark, c.ClearPlayback, c.SetSound, c.PlaySound, c.PlayKeys)
TOOLS = (
    *("look_up", "slow", "nobody_knows", "hold", "end_call", "transfer_call"),
    *("collect_dtmf", "send_dtmf"),
)
PIN = DigitsPreset(
    num_digits=3, finish_on_key="#", retries=1, sensitive=True, ignore_speech=True, stop_after=True
)
MUSIC = {"hold": SoundPlan(24_000), "tool:slow": SoundPlan(7_777)}
SOUNDS: list[dict[str, SoundPlan]] = [
    {},
    {**MUSIC, "target:billing": SoundPlan(3_000, loop=False)},
    {**MUSIC, "ambience": SoundPlan(80_000)},
]

BILLS = [BillPlan(PRICES["gpt-realtime"], "test", most) for most in (None, 300_000)]
SILENCES = [SilencePlan(6_000, times=1), SilencePlan(6_000, times=1, then="billing")]
WARM = [{"billing": WarmPlan(ring_ms=5_000, then=then)} for then in ("resume", "end_call")]
RULES = tuple(
    RulePlan(side, "classifier", side, then, "I cannot do that.", closed=side == "input")
    for side, then in (("output", "cancel"), ("input", "refuse"))
)
GUARDS = [GuardPlan(RULES, debounce_chars=20, then=then) for then in ("end_call", "billing")]
RECORDINGS = [RecordingPlan(), RecordingPlan("This call is recorded.")]

PLANS = st.builds(
    CallPlan,
    greeting=st.sampled_from([None, "Hello."]),
    tools=st.just({"look_up": ToolPlan(), "slow": ToolPlan("One moment.")}),
    targets=st.just(("billing",)),
    presets=st.sampled_from([{}, {"pin": PIN}]),
    interruptible=st.sampled_from(["any", "any", "speech", "dtmf", "none"]),
    greeting_interruptible=st.sampled_from([None, None, "none", "dtmf", "speech"]),
    min_interruption_ms=st.sampled_from([0, 0, 250]),
    echo_guard=st.booleans(),
    sounds=st.sampled_from(SOUNDS),
    may_hold=st.booleans(),
    server_interrupts=st.booleans(),
    warm=st.sampled_from([{}, {}, *WARM]),
    may_press=st.booleans(),
    presses=st.sampled_from([PressPlan(), PressPlan(), PressPlan(by_carrier=True)]),
    max_call_ms=st.sampled_from([None, None, 40_000]),
    bill=st.sampled_from([None, None, *BILLS]),
    silence=st.sampled_from([None, None, *SILENCES]),
    menus=st.sampled_from([None, None, None, MenuPlan()]),
    recording=st.sampled_from([None, None, *RECORDINGS]),
    returning=st.sampled_from([None, None, None, "transfer to billing failed: busy"]),
    speaks_after_ms=st.sampled_from([None, None, None, 2_000]),
    message=st.sampled_from([None, "Please call back."]),
    filler_after_ms=st.sampled_from([None, 1_500]),
    guard=st.sampled_from([None, None, *GUARDS]),
)


class Call:
    """A machine between the strict server and the telephone, with its invariants checked."""

    def __init__(self, plan: CallPlan) -> None:
        self.plan = plan
        self.machine = CallMachine(plan)
        self.server = StrictServer(plan)
        self.measured = 0
        self.ordered: set[str] = set()
        """What the operator has wished to cut the agent, beside the plan."""
        self.telephone = Telephone()
        self.now_ms = 0
        self.ends = 0
        self.streaming = False
        self.speaking = False
        self.since_ms = 0
        """When the caller was last heard to begin or to stop."""
        self.running: list[str] = []
        self.outputs = Counter[str]()
        self.frames = 0
        self.tools = 0
        self.rest: list[e.Event] = []
        self.begun: set[str] = set()
        self.spoken_over: set[str] = set()
        """Responses that had begun when the caller last spoke."""
        self.wished = {"end_call": False, "transfer_call": False}
        self.entitled = {"end_call": _ends(plan), "transfer_call": bool(plan.silence or plan.guard)}
        """What nobody has to wish for: the operator, or the plan, does."""
        self.taken_over = self.recorded = False
        """Somebody took the call from the agent in mid-sentence; a machine has picked up."""
        self.obey(self.machine.begin(0))

    def feed(self, event: e.Event) -> None:
        if isinstance(event, e.StreamStarted):
            self.streaming = True
        elif isinstance(event, e.SpeechStarted | e.SpeechStopped):
            # Speaking over what announces a transfer interrupts nothing, refused or not.
            heard = self.streaming and not self.machine._parts.leaving_soon
            self.speaking = heard and isinstance(event, e.SpeechStarted)
            self.since_ms = self.now_ms
        self._told(event)
        self._listen(event)
        parts = self.machine._parts
        over, trying, may_cut = parts.leaving_soon, parts.attempts.trying, self._may_cut(event)
        pressing = parts.presses.sounding
        commands = self.machine.handle(event, self.now_ms)
        may_cut = may_cut or any(self._cuts(command) for command in commands)
        cut = self._truncations(commands)
        assert may_cut or not cut, "truncated for no interruption"
        unsaid = pressing and not any(one.audio_end_ms for one in cut)
        assert unsaid or c.ClearPlayback() in commands or not cut
        spoke = isinstance(event, e.SpeechStarted) or (
            isinstance(event, e.VoiceMeasured) and trying
        )
        if spoke and not over and not parts.attempts.withheld:
            self.spoken_over |= self.begun
            self.wished["end_call"] = False
        if isinstance(event, e.SpeechAudio) and self.speaking:
            heard_on = parts.leaving_soon or parts.attempts.withheld
            assert heard_on or not commands, "something is said into the caller's sentence"
        self.obey(commands)

    def _told(self, event: e.Event) -> None:
        """Keep what others than the model and the caller wish."""
        match event:
            case e.ConfigureOrdered() | e.SayOrdered():
                self.ordered.add(event.interruptible)
            case e.HangUpOrdered():
                self.entitled["end_call"] = True
            case e.TransferOrdered():
                self.entitled["transfer_call"] = True
                self.taken_over |= event.at_once
            case e.PickedUp():
                self.recorded = True
                self.entitled["end_call"] = True
            case _:
                pass

    def _may_cut(self, event: e.Event) -> bool:
        """Whether something may be truncated in answer to this event, by what the plan says."""
        plan = self.plan
        choices = self.ordered | {plan.interruptible, plan.greeting and plan.greeting_interruptible}
        by_voice, by_keys = choices & {"any", "speech"}, choices & {"any", "dtmf"}
        least_ms = max(LEAST_MS, plan.min_interruption_ms)
        match event:
            case _ if self.recorded:
                return True
            case e.TransferOrdered(at_once=True):
                return True
            case e.SpeechStarted():
                return bool(by_voice) and not (plan.min_interruption_ms or plan.echo_guard)
            case e.VoiceMeasured():
                trying = self.machine._parts.attempts.trying
                return bool(by_voice) and event.voice_ms >= least_ms and trying
            case _:
                return bool(by_keys)  # Keys pressed in silence may become a turn later.

    def _cuts(self, command: c.Command) -> bool:
        """Whether this tells of an order that interrupts whatever the plan says: a mute, which
        may have waited for the order before it, somebody who takes over, a rule."""
        if isinstance(command, c.Transfer | c.PlaceSideCall):
            return self.taken_over
        if isinstance(command, c.GuardrailTripped):
            return True
        return isinstance(command, c.OrderDone) and command.command_id in {"M"}

    def _listen(self, event: e.Event) -> None:
        """Keep the model's wishes to let the caller go, as the caller lets them stand."""
        if isinstance(event, e.ResponseStarted):
            self.begun.add(event.response_id)
        elif isinstance(event, e.ToolCalled) and event.name in self.wished:
            self.wished[event.name] |= event.response_id not in self.spoken_over

    def wait(self, elapsed_ms: int) -> None:
        """Time passes; alarms ring when they are due, marks return when they were played."""
        until_ms = self.now_ms + elapsed_ms
        while True:
            deadline_ms = self.machine.deadline_ms()
            at_ms = until_ms if deadline_ms is None else min(until_ms, deadline_ms)
            back = self.telephone.play(at_ms - self.now_ms)
            self.now_ms = at_ms
            for mark in back:
                self.feed(mark)
            self.obey(self.machine.wake(self.now_ms))
            later_ms = self.machine.deadline_ms()
            assert later_ms is None or later_ms > self.now_ms, "the deadline is past after a wake"
            if self.now_ms >= until_ms:
                return

    def obey(self, commands: list[c.Command]) -> None:
        assert not (commands and self.ends), "a command after the end"
        for command in commands:
            if isinstance(command, TO_CALLER):
                assert self.streaming, "something for a caller who is not there"
            if isinstance(command, c.OpenModel | c.CloseModel | c.SwitchModel):
                self.outputs.clear()
                self.speaking = False
            self._do(command)
            for echo in self.telephone.take(command):
                self.rest.append(echo)
            self.server.take(command, self.now_ms)

    def _truncations(self, commands: list[c.Command]) -> list[c.TruncateItem]:
        return [x for x in commands if isinstance(x, c.TruncateItem)]

    def _do(self, command: c.Command) -> None:
        match command:
            case c.EndStream():
                self.ends += 1
            case c.MeasureVoice():
                self.measured += 1
                voice_ms, echo_ms = (0, 60, 120, 260, 400)[self.measured % 5], self.measured % 2
                self.rest.append(e.VoiceMeasured(voice_ms, 100 * echo_ms))
            case c.RunTool():
                self.running.append(command.tool_call_id)
            case _:
                self._check(command)
                self.rest += may_answer(command)

    def _check(self, command: c.Command) -> None:
        match command:
            case c.CreateResponse():
                noise = self.now_ms - self.since_ms >= AT_FIRST_MS
                noise |= command.purpose == "voicemail"  # It is a machine that speaks.
                assert noise or not self.speaking, "a request into the caller's sentence"
                self.speaking = False
            case c.TruncateItem():
                sent_ms = self.server.sent_bytes[command.item_id] // 8
                assert 0 <= command.audio_end_ms <= sent_ms, "truncated beyond what was sent"
            case c.AddToolOutput():
                self.outputs[command.tool_call_id] += 1
                assert self.outputs[command.tool_call_id] == 1, "a second output for a call"
            case c.Transfer() | c.PlaceSideCall():
                wish = "transfer_call"
                assert self.wished[wish] or self.entitled[wish], "put through without an open wish"
                self.wished[wish] = False
            case c.HangUp():
                may = self.wished["end_call"] or self.entitled["end_call"]
                assert may, "let go after speaking over the goodbye"
            case _:
                pass


def _ends(plan: CallPlan) -> bool:
    """Whether such a call may come to its end although nobody wishes for that."""
    warm = any(one.then == "end_call" for one in plan.warm.values())
    return bool(plan.max_call_ms or plan.bill or plan.silence or plan.menus or plan.guard or warm)


Step = Callable[[Call], None]


def deliver(call: Call, most: int) -> None:
    for _ in range(most):
        event = call.server.deliver()
        if event is None:
            return
        call.feed(event)


def answer_rest(call: Call, index: int) -> None:
    if call.rest:
        call.feed(call.rest.pop(index % len(call.rest)))


def finish_tool(call: Call, index: int, background: bool) -> None:
    if call.running:
        name = call.running.pop(index % len(call.running))
        call.feed(e.ToolDone(name, "42", ok=True, background=background))


def call_tool(call: Call, name: str) -> None:
    call.tools += 1
    call.server.call_tool(call.tools, name)


def wish_late(call: Call, name: str) -> None:
    call.tools += 1
    call.server.wish_late(call.tools, name)


def caller_audio(call: Call, gap_ms: int) -> None:
    call.frames += 20 + gap_ms
    call.feed(frame(call.frames))


def lose_line(call: Call) -> None:
    if call.server.open:
        call.server.cut()
        call.feed(e.ModelLineLost(1006, "abnormal"))


def refuse_line(call: Call) -> None:
    coming = [x for x in call.server.pending if isinstance(x, e.ModelReady)]
    if coming:
        call.server.cut()
        call.server.pending.clear()
        call.feed(e.ModelRefused("http_503", retryable=True))


def lose_spare(call: Call) -> None:
    if call.server.spare:
        call.server.drop_spare()
        call.feed(e.SpareLost(1006, "abnormal"))


def refuse_spare(call: Call) -> None:
    coming = [x for x in call.server.pending if isinstance(x, e.SpareReady)]
    if coming:
        call.server.drop_spare()
        call.feed(e.SpareRefused("http_503", retryable=True))


def what_happens(luck: Random) -> Step:
    """One thing that happens; what happens often in a call happens often here."""
    n, yes = luck.randrange(4), luck.random() < 0.85
    length = luck.choice([1, 7, 160, 800, 1_600, 3_200, 8_000, 100_000])
    status = luck.choices(["completed", "failed", "incomplete"], [10, 1, 1])[0]
    tool = luck.choices(TOOLS, [6, 3, 1, 1, 1, 1, 3, 3])[0]
    leave = luck.choice(["end_call", "transfer_call"])
    words = luck.choice(["Yes.", "Yes.", "", "Press one for sales, two for service."])
    cuts = luck.choice(["none", "dtmf", "speech", "any"])
    gap_ms, digit = luck.choice([0, 0, 5, 400]), luck.choice("12#")
    soon_ms, late_ms = luck.randrange(1, 500), luck.randrange(500, 12_000)
    likely: list[tuple[float, Step]] = [
        (30, lambda call: deliver(call, 1 + 3 * n)),
        (25, lambda call: call.wait(soon_ms)),
        (15, lambda call: call.server.speak(n // 2, length)),
        (6, lambda call: call.server.finish(status)),
        (4, lambda call: call.server.hear(interrupts=yes)),
        (6, lambda call: call.server.turn(n, answers=yes)),
        (2, lambda call: call.server.pause()),
        (3, lambda call: call_tool(call, tool)),
        (1, lambda call: wish_late(call, leave)),
        (4, lambda call: finish_tool(call, n, not yes)),
        (3, lambda call: answer_rest(call, n)),
        (5, lambda call: caller_audio(call, gap_ms)),
        (3, lambda call: call.feed(e.CallerDigit(digit))),
        (0.5, lambda call: call.feed(e.DigitsOrdered("", "pin" if yes else ""))),
        (1, lambda call: call.wait(late_ms)),
        (0.2, lambda call: call.wait(3 * late_ms)),
        (0.4, lambda call: call.server.refuse()),
        (0.3, lose_line),
        (0.5, lambda call: call.feed(e.SwapOrdered("voice"))),
        (0.3, lambda call: call.feed(e.ConfigureOrdered("C", interruptible=cuts))),
        (2, lambda call: call.server.transcribe(n, words)),
        (1, lambda call: call.feed(e.HoldOrdered("H", "Look it up." if yes else ""))),
        (1, lambda call: call.feed(e.UnholdOrdered("U"))),
        (0.2, refuse_line),
        (0.2, lose_spare),
        (0.2, refuse_spare),
        (0.5, lambda call: call.feed(e.RespondOrdered("R"))),
        (0.3, lambda call: call.feed(e.MuteOrdered("M", "agent" if yes else "caller"))),
        (0.6, lambda call: call.feed(e.UnmuteOrdered("N", "agent" if yes else "caller"))),
        (1, lambda call: call.feed(e.SayOrdered("S", "A moment.", interruptible=cuts))),
        (0.5, lambda call: call.feed(e.MessageOrdered("E", "system", "A patient.", after="S"))),
        (0.2, lambda call: call.feed(e.TransferOrdered("T", "billing", at_once=yes))),
        (0.05, lambda call: call.feed(e.HangUpOrdered("operator_ended", "H"))),
        (1, lambda call: call.feed(e.KeysOrdered("D", "1w2#"))),
        (0.7, lambda call: call.feed(e.CallerTyped("Hello?"))),
        (0.7, lambda call: call.feed(e.TextReceived("Here it is.", as_caller=yes))),
        (0.3, lambda call: call.feed(e.TextFailed("caller", "undelivered", "It is a landline."))),
        (0.1, lambda call: call.feed(e.PickedUp("machine", records=yes))),
        (0.02, lambda call: call.feed(e.StreamReportedOver())),
        (0.02, lambda call: call.feed(e.FailoverOrdered("server_shutdown"))),
    ]
    return luck.choices([step for _, step in likely], [weight for weight, _ in likely])[0]


def scripts() -> st.SearchStrategy[list[Step]]:
    """Long ones, because what is wrong with a call shows late; shortened when one fails."""

    def script(seed: int, length: int) -> list[Step]:
        luck = Random(seed)
        return [what_happens(luck) for _ in range(length)]

    return st.builds(script, st.integers(0, 2**32), st.integers(1, 250))


@QUICK
@given(PLANS, scripts(), st.integers(0, 10))
def test_a_plausible_call_keeps_its_rules(plan: CallPlan, script: list[Step], late: int) -> None:
    """One response at a time; nothing truncated that was not sent; one output per tool call.

    A hang-up or a transfer needs a wish of the model's that the caller has not spoken over, or
    somebody else's; one that is being announced is not called off: the caller asked for it.
    """
    call = Call(plan)

    for index, step in enumerate(script):
        if index == late:
            call.feed(e.StreamStarted("MZ1"))
        step(call)

    assert call.ends <= 1


def test_a_server_that_began_before_it_was_told_not_to_may_have_answered_us() -> None:
    """Its first response might be ours; that it brought nothing is made good by one request."""
    call = Call(CallPlan())
    call.feed(e.StreamStarted("MZ1"))
    deliver(call, 1)
    call.server.turn(2, answers=True)
    call.server.finish("completed")
    call.feed(e.ConfigureOrdered("C", interruptible="none"))

    deliver(call, 100)

    assert call.server.active == "R2"


@QUICK
@given(PLANS, scripts())
def test_heard_time_never_runs_backwards(plan: CallPlan, script: list[Step]) -> None:
    """Between two clears the caller hears more and more, and never more than was sent."""
    call = Call(plan)
    call.feed(e.StreamStarted("MZ1"))
    playout = call.machine._parts.playout
    generation, heard_ms = playout._generation, 0

    for step in script:
        step(call)
        if playout._generation != generation:
            generation, heard_ms = playout._generation, 0
        now_heard_ms = playout.heard_ms(call.now_ms)
        assert heard_ms <= now_heard_ms <= playout._sent // 8
        heard_ms = now_heard_ms


@QUICK
@given(PLANS, scripts())
def test_the_ledger_and_the_telephone_agree(plan: CallPlan, script: list[Step]) -> None:
    """With a perfect carrier the ledger is never ahead of what was truly played."""
    call = Call(plan)
    call.feed(e.StreamStarted("MZ1"))
    playout = call.machine._parts.playout
    generation, played_before = playout._generation, 0

    for step in script:
        step(call)
        if playout._generation != generation:
            generation, played_before = playout._generation, call.telephone.cleared_at
        played_ms = (call.telephone.played_bytes - played_before) // 8
        assert playout.heard_ms(call.now_ms) <= played_ms + 1


@QUICK
@given(scripts())
def test_a_sound_never_lies_far_ahead_and_never_breaks_off(script: list[Step]) -> None:
    """Whoever hears one hears it without a hole, and is answered without waiting for its end."""
    call = Call(CallPlan(tools={"slow": ToolPlan()}, sounds=SOUNDS[-1], may_hold=True))
    call.feed(e.StreamStarted("MZ1"))
    background = call.machine._parts.background

    for step in script:
        step(call)
        alone = sum(length for length, what in call.telephone.queue if what == "sound")
        assert alone <= bytes_of_ms(LEAD_MS + 2 * PIECE_MS)
        if background.sounding and call.ends == 0:
            assert call.telephone.queue, "silence where a sound should be"


@QUICK
@given(PLANS, scripts(), st.sampled_from(["stop", "gone", "over"]))
def test_a_call_ends_once_and_is_silent_afterwards(
    plan: CallPlan, script: list[Step], how: str
) -> None:
    """Exactly one EndStream, whatever happened before, and nothing after it."""
    call = Call(plan)
    call.feed(e.StreamStarted("MZ1"))
    for step in script:
        step(call)

    ending = {
        "stop": e.StreamStopped(),
        "gone": e.CallerLineLost(1006),
        "over": e.CallEnded("completed"),
    }
    call.feed(ending[how])
    for event in EVERYTHING:
        call.feed(event)
    call.wait(100_000)

    assert call.ends == 1
    assert call.machine.deadline_ms() is None


@QUICK
@given(PLANS, scripts())
def test_a_silent_world_ends_every_wait(plan: CallPlan, script: list[Step]) -> None:
    """Left alone by everybody, a call waits for nothing but news of the caller's line."""
    call = Call(plan)
    call.feed(e.StreamStarted("MZ1"))
    for step in script:
        step(call)
    deliver(call, 1_000)
    call.server.dumb = True
    call.server.pending.clear()
    call.rest.clear()

    call.wait(200_000)

    waits = set(call.machine._parts.alarms._at_ms)
    assert {alarm.name for alarm in waits} <= {"MEDIA", "SOUND"}


@QUICK
@given(PLANS, scripts())
def test_a_mute_model_leaves_nobody_in_silence(plan: CallPlan, script: list[Step]) -> None:
    """Who is owed words hears them, or somebody else, within one budget and one stall.

    Who speaks, or says nothing, is owed none, and learns it after a question and one budget.
    """
    call = Call(plan)
    call.feed(e.StreamStarted("MZ1"))
    for step in script:
        step(call)
    deliver(call, 1_000)
    parts = call.machine._parts
    there = parts.live and not parts.hold.silences  # Who is on hold waits for somebody else.
    busy = call.speaking or parts.responses.caller_speaking or parts.presses.sounding
    owed = there and parts.responses.owes and not busy and not parts.leaving_message
    call.server.dumb = True
    call.server.pending.clear()
    call.rest.clear()

    call.wait(parts.playout.unheard_ms(call.now_ms) + ANSWER_MS + STALLED_MS)

    assert not owed or not parts.live or parts.hold.silences
    call.wait(parts.playout.unheard_ms(call.now_ms) + PROBE_AFTER_MS + PROBE_ANSWER_MS)
    call.wait(PATIENCE_MS)
    # An operator may have put them on hold since; the end of the call's time takes them back.
    assert not there or not parts.live or parts.hold.silences or parts.farewell.firm


@QUICK
@given(
    PLANS,
    st.lists(st.tuples(st.sampled_from(EVERYTHING), st.integers(0, 5_000)), max_size=40),
)
def test_nonsense_is_survived(plan: CallPlan, script: list[tuple[e.Event, int]]) -> None:
    """Any event in any phase: no exception, no command to nobody, one end, no past deadline."""
    machine = CallMachine(plan)
    commands = machine.begin(0)
    now_ms, started, ends = 0, False, 0

    for event, elapsed_ms in script:
        now_ms += elapsed_ms
        started = started or isinstance(event, e.StreamStarted)
        for commands in (machine.wake(now_ms), machine.handle(event, now_ms), machine.wake(now_ms)):
            assert not (commands and ends)
            assert started or not any(isinstance(x, TO_CALLER) for x in commands)
            ends += sum(isinstance(x, c.EndStream) for x in commands)
        deadline_ms = machine.deadline_ms()
        assert deadline_ms is None or deadline_ms > now_ms
    assert ends <= 1


@QUICK
@given(st.lists(st.tuples(st.sampled_from(EVERYTHING), st.integers(0, 3_000)), max_size=30))
def test_a_wake_between_events_changes_nothing(script: list[tuple[e.Event, int]]) -> None:
    """A runner that wakes too often must decide the same."""
    once, often = CallMachine(CallPlan("Hello.")), CallMachine(CallPlan("Hello."))
    assert once.begin(0) == often.begin(0)
    now_ms = 0

    for event, elapsed_ms in script:
        for machine_ms in (now_ms, now_ms + elapsed_ms // 2):
            if (due_ms := often.deadline_ms()) is None or machine_ms < due_ms:
                assert often.wake(machine_ms) == []
        now_ms += elapsed_ms
        assert once.wake(now_ms) == often.wake(now_ms)
        assert once.handle(event, now_ms) == often.handle(event, now_ms)
