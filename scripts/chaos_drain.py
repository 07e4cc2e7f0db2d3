"""SIGTERM to one of two processes behind HAProxy: nobody is cut off, nobody is turned away.

Half as many new calls as there are come in from the signal on, while HAProxy does not know yet.
"""

import asyncio
import time

from bench_voice import Plan
from chaos_stage import Row, Stage, stage, terminate, until, zero

GO_ON_S = 5.0
"""From the signal to the first hang-up, at least: HAProxy has learnt of it long before."""
EXIT_S = 5.0
"""From the last hang-up to the end of the process, at most; it waits a second for reports."""


async def run(calls: int) -> list[Row]:
    """The rows of one drain."""
    plan = Plan(kind="server", calls=2 * calls, seconds=0)
    async with stage(plan, processes=2) as s:
        return await _drain(s, calls)


async def _drain(s: Stage, calls: int) -> list[Row]:
    old = await s.calls(calls)
    failed_before = len(s.refused)
    await asyncio.sleep(1)
    began_s = time.monotonic()
    terminate(s.servers[0])
    new = await s.calls(calls // 2)
    await asyncio.sleep(max(0.0, began_s + GO_ON_S - time.monotonic()))
    cut = [one for one in old + new if one.losses]
    early = s.servers[0].ended()
    await s.part(old + new)
    parted_s = time.monotonic()
    ended = await until(s.servers[0].ended, 2 * EXIT_S)
    exit_s = time.monotonic() - parted_s
    for note in (s.refused + s.floor.tally.notes)[:5]:
        print(note)
    return [
        zero("calls that could not begin before the signal", failed_before),
        zero("calls cut", len(cut)),
        zero("new calls refused by the pair", len(s.refused) - failed_before),
        Row("new calls answered", str(len(new))),
        Row(
            "… of these sent on by the draining process", str(sum(one.redirects > 0 for one in new))
        ),
        Row(
            "time to exit after the last call, s",
            f"{exit_s:.1f}" if ended else "never",
            f"≤ {EXIT_S:g}, not before",
            ended and not early and exit_s <= EXIT_S,
        ),
        Row("faults of audio and messages", faults := s.faults(), "none", faults == "none"),
        zero("errors in the logs", s.errors()),
    ]
