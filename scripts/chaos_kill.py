"""kill -9 to one of two processes behind HAProxy, in mid-conversation: who goes on, and how soon.

All calls are on the one that is killed; from then on HAProxy brings them where they belong.
Twilio notices that the streams are gone and asks what to do; the other process answers. Then the
record is read as an operator would, and compared with what the callers had heard.
"""

import asyncio
import time

from bench_tally import summary_of
from bench_voice import Plan
from chaos_calls import Caller, remembers
from chaos_records import kept
from chaos_stage import Row, Stage, shown, stage, until, zero

WITHIN_MS = 4_000
"""From Twilio's question to the first audible audio."""
KEPT_MS = 300
"""So much of what was heard when the process dies may be missing on record."""
TURNS_S = 10.0
"""From the last greeting: everybody has been heard once, and is being answered."""
GO_ON_S = 20.0


async def run(calls: int) -> list[Row]:
    """The rows of one death."""
    plan = Plan(
        kind="server",
        calls=calls,
        seconds=0,
        shortest_ms=5_000,
        longest_ms=7_000,
        interrupt_every=1_000_000,
    )
    async with stage(plan, processes=2) as s:
        return await _kill(s, calls)


async def _kill(s: Stage, calls: int) -> list[Row]:
    balanced, s.carrier.port = s.carrier.port, s.ports[0]
    callers = await s.calls(calls)
    early = sum(one.losses for one in callers)
    await asyncio.sleep(TURNS_S)
    s.carrier.port = balanced
    s.servers[0].kill()
    killed_ns = time.perf_counter_ns()
    await until(lambda: any(one.losses for one in callers), 5)
    await asyncio.sleep(1)
    lost = [one for one in callers if one.losses]
    heard = {one.call_sid: one.streams[-1].heard_ms(killed_ns) for one in lost}
    await until(lambda: all(one.returns_ns or one.over for one in lost), GO_ON_S)
    await asyncio.sleep(5)
    went_on = [one for one in callers if one.transport is not None]
    remembering = [one for one in lost if one in went_on and remembers(s.models, one)]
    await s.part(callers)
    records = await kept(s)
    complete = sum(one.complete for one in records.values())
    behind = [heard[sid] - records[sid].heard_ms() for sid in heard if sid in records]
    for note in (s.refused + s.floor.tally.notes)[:5]:
        print(note)
    return [
        zero("calls that could not begin, or came back before", len(s.refused) + early),
        Row("calls on the killed process", str(len(lost)), str(calls), len(lost) == calls),
        Row("calls that go on", str(len(went_on)), str(calls), len(went_on) == calls),
        Row(
            "… with memory",
            str(len(remembering)),
            str(calls),
            len(remembering) == calls,
        ),
        _returns(lost),
        Row("records complete, closed once", str(complete), str(calls), complete == calls),
        Row(
            "heard and not on record, ms: p50 / p95 / max",
            shown(summary_of([float(max(0, one)) for one in behind])),
            f"≤ {KEPT_MS}",
            len(behind) == len(lost) and max(behind, default=0) <= KEPT_MS,
        ),
        Row("faults of audio and messages", s.faults()),
        Row("errors in the logs", str(s.errors())),
    ]


def _returns(lost: list[Caller]) -> Row:
    taken = [one.returns_ns[0] / 1e6 for one in lost if one.returns_ns]
    spread = summary_of(taken)
    return Row(
        "from Twilio's question to the first audio, ms: p50 / p95 / max",
        shown(spread),
        f"≤ {WITHIN_MS}",
        len(taken) == len(lost) > 0 and max(taken) <= WITHIN_MS,
    )
