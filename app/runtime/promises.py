"""What the agent promises a caller is noted also when the caller hangs up meanwhile.

Rule: the model is told within ``NOTED_S`` what became of it; where that is not known by then, it
is told just that, because the work goes on and the promise may still be kept.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.errors import CallerFault, OurFault
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.tools.callback import Refused, refused

NOTED_S = 10
"""How long the caller waits for the database."""
_NOT_NOTED = "It could not be noted just now. Say so, and offer another way."
_UNSURE = "It is not certain that it was noted. Say so, and offer another way as well."

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""Owns a task, by its name, until it ends."""

log = structlog.get_logger("promises")


async def promised(
    work: Coroutine[Any, Any, str], wish: RunTool, spawn: Spawn, *, what: str, call_id: str
) -> ToolDone:
    """Do ``work``, whose result is the tool's output; ``what`` names it in the log.

    ``work`` may raise ``Refused``, whose sentence is the output, ``CallerFault`` and ``OurFault``.
    Cancelling abandons the answer, not the work.
    """
    told: asyncio.Future[tuple[str, bool]] = asyncio.get_running_loop().create_future()
    spawn(_told(work, told, what, call_id), f"{what}-{call_id}")
    try:
        async with asyncio.timeout(NOTED_S):
            output, ok = await asyncio.shield(told)
    except TimeoutError:
        output, ok = refused(_UNSURE), False
    return ToolDone(wish.tool_call_id, output, ok=ok)


async def _told(
    work: Coroutine[Any, Any, str],
    told: asyncio.Future[tuple[str, bool]],
    what: str,
    call_id: str,
) -> None:
    output, ok = refused(_NOT_NOTED), False
    try:
        output, ok = await work, True
    except Refused as why:
        output = refused(str(why))
    except (CallerFault, OurFault) as fault:
        log.warning("promise_not_noted", what=what, reason=fault.reason, call_id=call_id)
    finally:
        if not told.done():
            told.set_result((output, ok))
