"""Commands that somebody else's computer carries out; the outcome comes back as an event.

An effect never raises: whatever goes wrong, the machine hears of it and decides. That makes
this the one file with a broad except. When the stream ends, tools are abandoned, because
nobody waits for their answer; what acts on the call itself is finished.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from app.call import built_in
from app.call.keypad import KEPT
from app.errors import CarrierFault, ModelFault, OurFault
from app.protocol.commands import (
    AskJudge,
    AskRecording,
    DropSideCall,
    FailOver,
    HangUp,
    Join,
    KeepDigits,
    PlaceSideCall,
    RedirectKeys,
    RunTool,
    Transfer,
    VerifyCall,
)
from app.protocol.events import (
    CallEnded,
    CallStillUp,
    Event,
    FailoverDone,
    HangUpDone,
    Judged,
    KeysAnswered,
    RecordingAnswered,
    SideCallOver,
    ToolDone,
    TransferAccepted,
    TransferRefused,
    TransferUnclear,
)
from app.runtime.ports import Carrier, Feed, Judge, People, Recorder, ToolRunner

Beside = (
    RunTool
    | Transfer
    | RedirectKeys
    | PlaceSideCall
    | Join
    | FailOver
    | HangUp
    | VerifyCall
    | AskRecording
    | AskJudge
)
"""Effects that run beside the audio."""
ABANDONED = (RunTool, VerifyCall, AskJudge)
"""Effects that end with the stream; the others are finished."""
FAIL_OVER_WITHIN_S = 2
"""The caller hears nothing meanwhile, and closing the socket leads to the same words."""
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

FORGOTTEN = "the digits are not known any more: have the caller key them in again"
"""They are kept by the process that had the call when they were keyed in, and nowhere else."""

T = TypeVar("T")

log = structlog.get_logger("effects")


Allowed = Callable[[RunTool], Awaitable[str | None]]


async def anything(_run: RunTool) -> str | None:
    """Nobody has to be asked."""
    return None


async def nobody_judges(_rule: str, _text: str) -> bool:
    """Nothing can be found out."""
    raise ModelFault("not_configured")


class Effects:
    """What one call may do to the world."""

    def __init__(
        self,
        call_sid: str,
        *,
        carrier: Carrier,
        run_tool: ToolRunner,
        put_through: Callable[[Transfer], Awaitable[None]],
        failure_twiml: Callable[[], str],
        kept: dict[str, str] | None = None,
        people: People | None = None,
        allowed: Allowed = anything,
        recorder: Recorder | None = None,
        keys_twiml: Callable[[str], Awaitable[str]] | None = None,
        judge: Judge = nobody_judges,
    ) -> None:
        """``kept``: what the caller keyed in for tools alone, in this call, by its name.
        ``allowed``: waits until a tool may be run: None, or why not.
        ``people``: who is asked first; None: nobody can be. ``recorder``: who records the call;
        None: nobody can. ``keys_twiml``: the document that presses keys and brings the caller
        back, known to whoever may be asked for it. ``judge``: says whether something breaks a
        rule."""
        self._call_sid = call_sid
        self._carrier = carrier
        self._run_tool = run_tool
        self._put_through = put_through
        self._failure_twiml = failure_twiml
        self._kept = {} if kept is None else kept
        self._people = people
        self._allowed = allowed
        self._recorder = recorder
        self._keys_twiml = keys_twiml
        self._judge = judge

    def keep(self, command: KeepDigits) -> None:
        """Tools are given these digits where their name stands, from now on."""
        self._kept[command.name] = command.secret

    def ask(self, wish: PlaceSideCall, feed: Feed) -> None:
        """A person is to be called, by ``perform``; until then they can be dropped."""
        if self._people is not None:
            self._people.asked(wish, feed)

    def drop(self, command: DropSideCall) -> None:
        """The person is not wanted from this moment on; their telephone stops by and by."""
        if self._people is not None:
            self._people.drop(command.attempt)

    def _filled(self, run: RunTool) -> RunTool | None:
        """With the digits in place of their names; None where they are not known any more.

        What is built in writes its arguments into the record, and is given no digits.
        """
        names = set() if run.name in built_in.NAMES else set(KEPT.findall(run.arguments))
        if not names:
            return run
        if not names <= self._kept.keys():
            return None
        return replace(run, arguments=KEPT.sub(lambda m: self._kept[m[1]], run.arguments))

    async def perform(self, effect: Beside) -> Event:
        """Carry an effect out. Cancelling is safe and passes through; nothing else is raised."""
        match effect:
            case RunTool():
                return await self._guarded(self._tool(effect), lambda r: _failed(effect, r))
            case Transfer():
                through = self._taken(self._put_through(effect))
                return await self._guarded(through, TransferRefused)
            case RedirectKeys():
                refused = partial(KeysAnswered, "refused")
                return await self._guarded(self._press(effect.secret or effect.symbols), refused)
            case PlaceSideCall():
                asked = self._asked(effect)
                return await self._guarded(asked, lambda r: SideCallOver(effect.attempt, r))
            case Join():
                return await self._guarded(self._joined(effect), TransferRefused)
            case FailOver():
                return await self._guarded(self._fail_over(), lambda _: FailoverDone(False))
            case HangUp():
                return await self._guarded(self._hang_up(), lambda _: HangUpDone(False))
            case AskRecording(wish=wish):
                return await self._guarded(
                    self._recorded(wish), lambda _: RecordingAnswered(wish, ok=False)
                )
            case VerifyCall() | AskJudge():
                return await self._found_out(effect)

    async def _found_out(self, effect: VerifyCall | AskJudge) -> Event:
        """Questions: nothing is done by them."""
        match effect:
            case VerifyCall():
                return await self._guarded(self._verify(), lambda _: CallStillUp())
            case AskJudge(question=number):
                return await self._guarded(
                    self._judged(effect), lambda r: Judged(number, tripped=False, failed=r)
                )

    async def _guarded(self, work: Awaitable[Event], otherwise: Callable[[str], Event]) -> Event:
        try:
            return await work
        except (CarrierFault, OurFault) as exc:
            log.warning("effect_refused", reason=exc.reason, call_sid=self._call_sid)
            return otherwise(exc.reason)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("effect_failed", call_sid=self._call_sid)
            return otherwise("internal_error")

    async def _tool(self, effect: RunTool) -> Event:
        """A tool, once nobody has anything against it; who is asked sees no secret digits."""
        refusal = await self._allowed(effect)
        if refusal is not None:
            return ToolDone(effect.tool_call_id, refusal, ok=False, error="not_approved")
        run = self._filled(effect)
        if run is None:
            return ToolDone(effect.tool_call_id, FORGOTTEN, ok=False, error="forgotten")
        return await self._run_tool(run)

    async def _asked(self, wish: PlaceSideCall) -> Event:
        if self._people is None:
            raise CarrierFault("not_configured")
        return await self._people.place(wish)

    async def _joined(self, wish: Join) -> Event:
        if self._people is None:
            raise CarrierFault("not_configured")
        document = self._people.join_twiml(wish.target, wish.attempt)
        return await self._taken(self._carrier.redirect(self._call_sid, document))

    async def _recorded(self, wish: str) -> Event:
        if self._recorder is None:
            raise CarrierFault("not_configured")
        return RecordingAnswered(wish, ok=await self._recorder(wish))

    async def _taken(self, redirect: Awaitable[None]) -> Event:
        """Whether Twilio took the call away."""
        try:
            await redirect
        except CarrierFault as exc:
            if not exc.unclear:
                raise
            log.warning("transfer_unclear", reason=exc.reason, call_sid=self._call_sid)
            return TransferUnclear(exc.reason)
        return TransferAccepted()

    async def _press(self, symbols: str) -> Event:
        if self._keys_twiml is None:
            raise CarrierFault("not_configured")
        document = await self._keys_twiml(symbols)
        answer = await self._taken(self._carrier.redirect(self._call_sid, document))
        if isinstance(answer, TransferUnclear):
            return KeysAnswered("unclear", answer.reason)
        return KeysAnswered("accepted")

    async def _fail_over(self) -> Event:
        try:
            async with asyncio.timeout(FAIL_OVER_WITHIN_S):
                await self._carrier.redirect(self._call_sid, self._failure_twiml())
        except TimeoutError:
            return self._doubtful("timed_out")
        except CarrierFault as exc:
            if not exc.unclear:
                raise
            return self._doubtful(exc.reason)
        return FailoverDone(accepted=True)

    def _doubtful(self, reason: str) -> Event:
        log.warning("failover_unclear", reason=reason, call_sid=self._call_sid)
        return FailoverDone(accepted=False, unclear=True)

    async def _hang_up(self) -> Event:
        await self._carrier.hang_up(self._call_sid)
        return HangUpDone(accepted=True)

    async def _judged(self, wish: AskJudge) -> Event:
        try:
            return Judged(wish.question, await self._judge(wish.rule, wish.text))
        except ModelFault as fault:
            return Judged(wish.question, tripped=False, failed=fault.reason)

    async def _verify(self) -> Event:
        try:
            status = await self._carrier.call_status(self._call_sid)
        except CarrierFault as exc:
            if exc.reason != "call_over":
                raise
            status = "completed"
        return CallEnded(status) if status in _OVER else CallStillUp()


async def contained(work: Awaitable[T], otherwise: T) -> T:
    """What ``work`` returns, or ``otherwise`` where it fails: one call never takes another along.

    The other half of the one broad except. Cancelling passes through.
    """
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("call_failed")
        return otherwise


def _failed(effect: RunTool, reason: str) -> ToolDone:
    return ToolDone(effect.tool_call_id, f"the tool failed: {reason}", ok=False, error=reason)
