"""What the agent promises: call-backs, placed as calls of their own, and reminders."""

import asyncio
import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from app.emulators.twilio import DialOutcome, PickUp
from app.emulators.twilio_call import EmulatedCall
from app.jobs.port import Remind
from tests.waiting import until
from tests.walks.jobs_here import JobsHere
from tests.walks.stage import ACCOUNT, AGENT, TOKEN, VOICE, Stage, heard_tone, stage
from tests.walks.test_outbound import ended, take_back
from tests.walks.test_outbound_jobs import UNWANTED, note_unwanted

CALLER = "+12125551234"
CALLS_BACK = AGENT + "callbacks: {within: 3d, attempts: 3}\n"
PICKS_UP = DialOutcome(pick_up=PickUp())
GREETING = Reply("Hello, this is the test line.", 200, 440)
DONE = Reply("I will call you then.", 200, 660)


def another_day() -> str:
    """Hours of the day after the day after tomorrow, wherever it is which day."""
    return f"{(datetime.now(UTC) + timedelta(days=3)):%a}"[:2] + " 10:00-11:00"


def promise(**given: object) -> Reply:
    """The model arranges a call-back."""
    return Reply("One moment.", 100, 550, tools=[ToolUse("schedule_callback", given)])


def promising(
    folder: Path,
    made: list[JobsHere],
    *replies: Reply,
    agent: str = CALLS_BACK,
    reached: DialOutcome = PICKS_UP,
    **settings: Any,
) -> AbstractAsyncContextManager[Stage]:
    """A stage whose agent may call back, with the dialler in ``made``."""

    def jobs(api_url: str) -> JobsHere:
        made.append(JobsHere(api_url, ACCOUNT, TOKEN))
        return made[0]

    given = {"dial_countries": ("US",), "calling_hours": "Mo-Su 00:00-24:00", **settings}
    twilio = {"answers": {CALLER: reached}}
    openai = RealtimeEmulator(Scenario([GREETING, *replies]), pace=0)
    return stage(openai, folder, agent=agent, twilio=twilio, jobs=jobs, **given)


async def asks(s: Stage, call: EmulatedCall, times: int = 1) -> dict[str, Any]:
    """The caller asks to be called back: what the model is told in the end."""
    await call.speak(VOICE)
    await until(lambda: len(outputs(s)) >= times, 15)
    await call.until(lambda: heard_tone(call.stream, 660) >= 160 * times)
    return outputs(s)[-1]


def outputs(s: Stage) -> list[dict[str, Any]]:
    """What the model was told of its tool calls."""
    made = [x for x in s.session.client_events if x["type"] == "conversation.item.create"]
    items = [x["item"] for x in made]
    return [orjson.loads(x["output"]) for x in items if x["type"] == "function_call_output"]


async def test_who_is_promised_a_call_gets_it_and_hears_why(tmp_path: Path) -> None:
    """The order outlives the call; the call placed is of the same conversation and knows it."""
    made: list[JobsHere] = []
    wish = promise(in_minutes=90, reason="The repair of the boiler")
    async with promising(tmp_path, made, wish, DONE, Reply("It is me.", 200, 880)) as s:
        [jobs] = made
        first = await s.twilio.call(from_=CALLER)
        await first.heard_at_least(200)
        told = await asks(s, first)
        await first.hang_up()
        promised = await s.record(first)
        [(callback_id, [run])] = jobs.runs.items()
        waiting = await s.get(f"/v1/calls/{callback_id}")

        jobs.hurried.set()
        await until(lambda: len(s.twilio.calls) == 2, 20)
        second = list(s.twilio.calls.values())[1]
        await second.stream_started()
        await second.speak(VOICE)
        await second.until(lambda: heard_tone(second.stream, 880) >= 160)
        seeded = [x for x in s.session.client_events if x["type"] == "conversation.item.create"]
        await second.hang_up()
        record = await ended(s, callback_id)
        s.assert_conforms()
        await jobs.close()

    assert told["ok"] is True
    assert promised["disposition"] == "callback_scheduled"
    assert (waiting["status"], waiting["resumed_from"]) == ("queued", promised["call_id"])
    assert {why: rule.times for why, rule in run.job.retries.items()} == {"busy": 2, "no-answer": 2}
    assert (second.from_, second.to) == (first.to, CALLER)
    assert record["resumed_from"] == promised["call_id"]
    assert record["conversation_id"] == promised["conversation_id"]
    story = facts(tmp_path, callback_id)
    assert [kind for kind in story if kind in {"callback.started", "call.answered"}] == [
        "callback.started",
        "call.answered",
    ]
    assert story["callback.started"] == {"callback_of": promised["call_id"]}
    words = str(seeded)
    assert "this is the test line" in words
    assert "promised" in words
    assert "The repair of the boiler" in words


def facts(folder: Path, call_id: str) -> dict[str, dict[str, Any]]:
    """The last fact of each kind, as they came."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        asked = "SELECT type, data FROM call_facts WHERE call_id = ? ORDER BY seq"
        return {kind: orjson.loads(data) for kind, data in database.execute(asked, (call_id,))}


async def test_who_cannot_be_called_back_is_told_of_once(tmp_path: Path) -> None:
    """The promise is not kept, and the operator's programs know."""
    made: list[JobsHere] = []
    once = AGENT + "callbacks: {within: 3d, attempts: 1}\n"
    replies = (promise(in_minutes=30, reason="x"), DONE)
    busy = DialOutcome("busy")
    async with promising(tmp_path, made, *replies, agent=once, reached=busy) as s:
        [jobs] = made
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await asks(s, call)
        await call.hang_up()
        promised = await s.record(call)
        jobs.hurried.set()
        [callback_id] = jobs.runs
        await ended(s, callback_id)
        await jobs.close()

    story = facts(tmp_path, callback_id)
    assert story["callback.exhausted"] == {"callback_of": promised["call_id"], "reason": "busy"}
    assert "callback.exhausted" not in facts(tmp_path, promised["call_id"])


@pytest.mark.parametrize(
    ("caller", "wish", "settings", "why"),
    [
        ("+33612345678", {"in_minutes": 30}, {}, "of that country"),
        ("+266696687", {"in_minutes": 30}, {}, "is hidden"),
        (CALLER, {"day": "2020-01-01", "time": "10:00"}, {}, "It is now"),
        (CALLER, {"in_minutes": 5 * 24 * 60}, {}, "at most 3 days"),
        (CALLER, {"in_minutes": 30}, {"calling_hours": another_day()}, "offer that"),
        (UNWANTED, {"in_minutes": 30}, {}, "must not be called"),
    ],
)
async def test_what_cannot_be_promised_is_not(
    tmp_path: Path, caller: str, wish: dict[str, object], settings: dict[str, Any], why: str
) -> None:
    """The model is told so in words, and nothing is ordered."""
    made: list[JobsHere] = []
    async with promising(tmp_path, made, promise(**wish, reason="x"), DONE, **settings) as s:
        # In a thread: a lock of the server's is given back by this loop.
        await asyncio.to_thread(note_unwanted, tmp_path / "data" / "patchline.db")
        call = await s.twilio.call(from_=caller)
        await call.heard_at_least(200)
        told = await asks(s, call)
        await call.hang_up()
        record = await s.record(call)
        await made[0].close()

    assert told["ok"] is False
    assert why in told["reason"]
    assert made[0].runs == {}
    assert record["disposition"] is None


async def test_a_second_wish_moves_the_first_and_the_operator_may_take_it_back(
    tmp_path: Path,
) -> None:
    """One call-back, at the time that was said last."""
    made: list[JobsHere] = []
    wishes = (
        *(promise(in_minutes=30, reason="x"), DONE),
        *(promise(in_minutes=60, reason="x"), DONE),
    )
    async with promising(tmp_path, made, *wishes) as s:
        [jobs] = made
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await asks(s, call)
        await asks(s, call, times=2)
        await call.hang_up()
        await s.record(call)
        first, second = jobs.runs
        records = [await s.get(f"/v1/calls/{one}") for one in (first, second)]
        taken_back = await take_back(s, second)
        await jobs.close()

    assert [one["end_reason"] for one in records] == ["canceled", None]
    assert taken_back == (200, "canceled")
    assert len(s.twilio.calls) == 1


async def test_a_reminder_is_noted_once_for_its_title_and_told_when_it_is_due(
    tmp_path: Path,
) -> None:
    """C17: the second one with the same title changes the first."""
    made: list[JobsHere] = []

    def remind(**given: object) -> Reply:
        return Reply("One moment.", 100, 550, tools=[ToolUse("set_reminder", given)])

    wishes = (
        *(remind(title="Send the bill", in_minutes=60), DONE),
        *(remind(title="send the Bill", description="By post", in_minutes=90), DONE),
    )
    agent = (
        AGENT + 'reminders: true\nwebhooks: [{url: "https://x.example", events: "reminder.*"}]\n'
    )
    async with promising(tmp_path, made, *wishes, agent=agent) as s:
        [jobs] = made
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await asks(s, call)
        told = await asks(s, call, times=2)
        await call.hang_up()
        record = await s.record(call)
        await jobs.close()

    [reminder] = record["reminders"]
    due = [job for job, _ in jobs.others.values()]
    assert told["ok"] is True
    assert (reminder["title"], reminder["description"]) == ("send the Bill", "By post")
    assert reminder["owner"] == "team"
    assert {job.reminder_id for job in due if isinstance(job, Remind)} == {reminder["id"]}
    assert len(due) == 2
    assert all(after_s > 3_000 for _, after_s in jobs.others.values())
