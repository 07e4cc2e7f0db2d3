"""The form of a call: noted by the agent while they talk, by the tool ``update_form``.

What is noted is a fact at once, so that it outlives the process, and is known wherever the call
goes on. The deciding is pure (``app.call.noted``).
"""

from dataclasses import replace
from datetime import UTC, datetime, tzinfo

import orjson
import structlog

from app.call.forms import Form, Where
from app.call.noted import briefing, update
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.protocol.realtime_client_events import SessionConfig
from app.runtime.live_call import LiveCall
from app.runtime.reception import country_of

log = structlog.get_logger("forms")


class Forms:
    """Carries out ``update_form`` for one form. Holds nothing between calls."""

    def __init__(self, form: Form) -> None:
        self._form = form

    async def run(self, call: LiveCall, wish: RunTool) -> ToolDone:
        """Note what fits, and tell the model what does not. Waits for nothing."""
        clock = call.clock

        def zoned(moment: str) -> str:
            return datetime.fromisoformat(moment).replace(tzinfo=clock).isoformat()

        facts, told = update(
            self._form,
            call.report.form,
            wish.arguments,
            now_ms=call.now_ms(),
            now=_now(clock),
            where=Where(zoned, country_of(call.caller_number) or country_of(call.line_number)),
        )
        for kind, data in facts:
            call.tell(call.now_ms(), kind, data)
        log.info("form_updated", facts=len(facts), ok=told["ok"], call_id=call.call_id)
        return ToolDone(wish.tool_call_id, orjson.dumps(told).decode(), ok=told["ok"])


def briefed(session: SessionConfig, form: Form | None, call: LiveCall) -> SessionConfig:
    """The session of a new model line, which knows what of the form is noted by now."""
    if form is None:
        return session
    known = briefing(form, call.report.form, _now(call.clock))
    return replace(session, instructions=f"{session.instructions}\n\n{known}")


def _now(clock: tzinfo) -> str:
    return datetime.now(UTC).astimezone(clock).isoformat(timespec="minutes")
