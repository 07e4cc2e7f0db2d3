"""The whole way of an order, with the jobs in a process of their own, as in production."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.emulators.twilio import DialOutcome
from tests.waiting import until
from tests.walks.jobs_beside import working
from tests.walks.stage import VOICE, Stage, heard_tone, stage
from tests.walks.test_outbound import ANSWER, FROM, TO, ended, order, placed

UNWANTED = "+12125559999"
ROOT = Path(__file__).parents[2]


async def taken(s: Stage) -> dict[str, Any]:
    """An order, repeated under its key until it is taken: the jobs' database may be in use."""
    async with asyncio.timeout(60):
        while True:
            status, answer = await order(s, key="the first")
            if status == 202:
                return answer
            assert status == 503, answer
            await asyncio.sleep(0.2)


def note_unwanted(path: Path) -> None:
    """Put the number on the do-not-call list, as an operator would."""
    with closing(sqlite3.connect(path, timeout=30)) as database:
        row = (UNWANTED, "asked us", "2026-11-21 12:00:00.000000")
        database.execute("INSERT INTO do_not_call VALUES (?, ?, ?)", row)
        database.commit()


async def test_an_order_goes_through_the_jobs_and_back(tmp_path: Path) -> None:
    """One call is talked to, one is busy twice, one is on the do-not-call list: three records."""
    openai = RealtimeEmulator(Scenario([ANSWER]), pace=0)
    busy = "+12125558888"
    twilio = {"answers": {TO: DialOutcome(), busy: DialOutcome("busy", sip_response_code=486)}}
    given = {"dial_countries": ("US",), "dial_from": FROM}
    async with stage(openai, tmp_path, twilio=twilio, **given) as s:
        # In a thread: a lock of the server's is given back by this loop.
        await asyncio.to_thread(note_unwanted, tmp_path / "data" / "patchline.db")
        async with working(f"sqlite:///{s.folder}/data/patchline.db", s.twilio.api_url):
            queued = await taken(s)
            await until(lambda: bool(s.twilio.calls), 60)
            call = await placed(s)
            await call.stream_started()
            await call.speak(VOICE)
            await call.until(lambda: heard_tone(call.stream, 440) >= 160)
            await call.hang_up()
            talked = await ended(s, queued["call_id"])
            _, engaged = await order(
                s, "?wait=answered", to=busy, retry={"busy": {"times": 1, "after_s": 1}}
            )
            _, unwanted = await order(s, "?wait=answered", to=UNWANTED)
            refused = await s.get(f"/v1/calls/{unwanted['call_id']}")
            call.assert_clean()

    dialled = [one.to for one in s.twilio.calls.values()]
    assert dialled == [TO, busy, busy]
    assert talked["end_reason"] == "caller_hangup"
    assert (engaged["end_reason"], engaged["failure"]["sip_response_code"]) == ("busy", 486)
    assert (refused["end_reason"], refused["failure"]["message"]) == ("rejected", "do_not_call")
