"""The recordings of calls: asked for at the carrier in order, and what the carrier tells of them.

When a call is to be recorded is decided by its machine (``app.call.recording``). Rule: the wishes
of one call are carried out one after the other, whatever their answers take, and each outcome is
a fact. A recording is known by its SID alone; where it is kept is nobody's to say but ours.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import structlog

from app.call import recorded
from app.call.plan import RecordingPlan
from app.errors import CarrierFault
from app.protocol.twilio_recordings import RecordingStatus
from app.runtime.book import Book
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.runtime.metrics import RECORDINGS
from app.runtime.ports import Recorder
from app.services.store.archive import Archive
from app.services.store.calls import CallRow

STATUS_PATH = "/twilio/recording"
OP = "recording"
ANSWER_S = 1.5
_WISHES = {
    "pause": ("paused", recorded.PAUSED),
    "resume": ("in-progress", recorded.RESUMED),
    "stop": ("stopped", recorded.STOPPED),
}
_NOT_ALLOWED = "credentials"
_NO_RECORDING = "call_over"
"""What the carrier says where nothing is recorded any more."""

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]

log = structlog.get_logger("recording")


class Tapes(Protocol):
    """Twilio's REST API; raises ``CarrierFault``."""

    async def record(self, call_sid: str, *, channels: str, status_callback: str) -> str:
        """Begin; the recording's SID."""

    async def change_recording(self, call_sid: str, recording_sid: str | None, status: str) -> None:
        """Pause, go on, stop."""

    async def recorded_call(self, recording_sid: str) -> str | None:
        """Whose call it is."""

    async def delete_recording(self, recording_sid: str) -> None:
        """Erase it."""


class Bus(Protocol):
    """The way to the other processes."""

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """What process ``to`` answers; None where it does not in time."""


class Recordings:
    """Carries out what machines wish for, and takes Twilio's callbacks. Belongs to the loop."""

    def __init__(
        self,
        carrier: Tapes,
        archive: Archive,
        book: Book,
        bus: Bus,
        *,
        origin: str,
        me: str,
    ) -> None:
        self._carrier = carrier
        self._archive = archive
        self._book = book
        self._bus = bus
        self._me = me
        self._callback = f"{origin}{STATUS_PATH}"

    def of(self, call: LiveCall) -> Recorder:
        """What one call's machine asks."""
        return partial(self._in_turn, call)

    async def _in_turn(self, call: LiveCall, wish: str) -> bool:
        async with call.recording:
            return await (self._start(call) if wish == "start" else self._change(call, wish))

    async def _start(self, call: LiveCall) -> bool:
        try:
            sid = await self._carrier.record(
                call.facts.call_sid,
                channels=_planned(call).channels,
                status_callback=self._callback,
            )
        except CarrierFault as fault:
            reason = f"{recorded.UNCLEAR}:{fault.reason}" if fault.unclear else fault.reason
            self._failed(call, "start", reason)
            return fault.unclear
        if call.report.recorded.sid != sid:
            self._began(call, sid)
        return True

    def _began(self, call: LiveCall, sid: str) -> None:
        plan = _planned(call)
        channels = 1 if plan.channels == "mono" else 2
        told = {"recording_sid": sid, "channels": channels, "announced": bool(plan.announcement)}
        call.tell(call.now_ms(), recorded.STARTED, told)
        RECORDINGS.labels("started").inc()
        log.info("recording_started", recording_sid=sid, call_id=call.call_id)

    async def _change(self, call: LiveCall, wish: str) -> bool:
        status, kind = _WISHES[wish]
        sid = call.report.recorded.sid
        try:
            await self._carrier.change_recording(call.facts.call_sid, sid, status)
        except CarrierFault as fault:
            if fault.reason == _NO_RECORDING:
                return True
            self._failed(call, wish, fault.reason)
            return False
        call.tell(call.now_ms(), kind, {"recording_sid": sid})
        log.info("recording_changed", status=status, recording_sid=sid, call_id=call.call_id)
        return True

    def _failed(self, call: LiveCall, wish: str, reason: str) -> None:
        told = {"recording_sid": call.report.recorded.sid, "wish": wish, "reason": reason}
        call.tell(call.now_ms(), recorded.FAILED, told)
        RECORDINGS.labels(f"{wish}_failed").inc()
        log.error("recording_failed", wish=wish, reason=reason, call_id=call.call_id)

    async def status(self, news: RecordingStatus) -> None:
        """How far the recording of a call has come. Idempotent. Raises ``StoreFault``."""
        call = self._book.call(news.call_sid)
        if news.began:
            # Told where REST's answer was lost: without its SID nobody could fetch it.
            if call is not None and call.report.recorded.sid is None:
                self._began(call, news.recording_sid)
            return
        if await self._tell(news, recorded.COMPLETED):
            RECORDINGS.labels(news.status).inc()

    async def message(self, news: RecordingStatus) -> None:
        """A caller whom nobody answered left a message. Idempotent. Raises ``StoreFault``."""
        if (
            news.status == "completed"
            and news.duration_s
            and await self._tell(news, recorded.TAKEN)
        ):
            RECORDINGS.labels("message").inc()

    async def _tell(self, news: RecordingStatus, kind: str) -> bool:
        """A fact of a call of ours, told once, whoever holds the call."""
        told: dict[str, Any] = {
            "recording_sid": news.recording_sid,
            "status": news.status,
            "duration_s": news.duration_s,
            "channels": news.channels,
        }
        call = self._book.call(news.call_sid)
        if call is not None:
            return _told(call, kind, told)
        row = await self._archive.row(news.call_sid)
        if row is None:
            return False
        if row.erased:
            await self.erase([news.recording_sid])
            return False
        if row.status == "live" and await self._elsewhere(row, kind, told):
            return True
        if recorded.is_final((row.record or {}).get("recording") or (), news.recording_sid):
            return False
        return await self._archive.add(row.call_id, kind, told)

    async def _elsewhere(self, row: CallRow, kind: str, told: Mapping[str, Any]) -> bool:
        if row.owner in (None, self._me):
            return False
        asked = {"call_id": row.call_id, "kind": kind, "told": dict(told)}
        answer = await self._bus.ask(str(row.owner), OP, asked, ANSWER_S)
        return answer is not None and bool(answer.get("taken"))

    def or_else(self, otherwise: Answer) -> Answer:
        """What answers the other processes: about recordings here, about anything else there."""

        async def answer(op: str, args: dict[str, Any]) -> dict[str, Any] | None:
            return (
                await contained(self._answered(args), None)
                if op == OP
                else await otherwise(op, args)
            )

        return answer

    async def _answered(self, args: dict[str, Any]) -> dict[str, Any] | None:
        call = self._book.here(str(args["call_id"]))
        if call is None or args["kind"] not in recorded.KINDS:
            return None
        _told(call, args["kind"], args["told"])
        return {"taken": True}

    async def ours(self, recording_sid: str) -> bool:
        """Whether this recording is of a call in our record. Raises CarrierFault, StoreFault."""
        call_sid = await self._carrier.recorded_call(recording_sid)
        if call_sid is None:
            return False
        record: Mapping[str, Any] = (
            self._book.record(call_sid) or await self._archive.get(call_sid) or {}
        )
        return any(one["sid"] == recording_sid for one in record.get("recording") or ())

    async def erase(self, recording_sids: Iterable[str]) -> None:
        """Have Twilio forget them, too, where it lets us. Raises CarrierFault: ask again."""
        for sid in recording_sids:
            try:
                await self._carrier.delete_recording(sid)
            except CarrierFault as fault:
                if fault.reason != _NOT_ALLOWED:
                    raise
                log.warning("recording_not_erased", reason=fault.reason, recording_sid=sid)


def _planned(call: LiveCall) -> RecordingPlan:
    return call.met.plan.recording or RecordingPlan()


def _told(call: LiveCall, kind: str, told: Mapping[str, Any]) -> bool:
    if recorded.is_final(call.report.recorded.entries, told["recording_sid"]):
        return False
    call.tell(call.now_ms(), kind, told)
    return True
