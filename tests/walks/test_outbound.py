"""Calls that we place, from the order to the record, on real sockets."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.audio.tones import tone
from app.call.facts import Fact
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from app.emulators.twilio import DialOutcome, Faults, PickUp
from app.emulators.twilio_call import EmulatedCall
from app.runtime import outbound
from app.runtime.orders import Order
from app.services.store.archive import Archive
from app.services.store.changes import NewCall
from tests.waiting import until
from tests.walks.jobs_here import JobsHere
from tests.walks.stage import ACCOUNT, API_KEY, PUBLIC_URL, TOKEN, VOICE, Stage, heard_tone, stage

TO, FROM = "+12125551234", "+12125550000"
MESSAGE = "This is Contoso. Please call us back."
ANSWER = Reply("Hello, it is Contoso.", 200, 440)
BEEP_HZ = 1000
HUMAN = PickUp()
GREETS = tone(300, 300) + tone(BEEP_HZ, 100)
"""A machine: its greeting, and its beep."""


@asynccontextmanager
async def placing(
    folder: Path,
    who: DialOutcome | PickUp = HUMAN,
    replies: tuple[Reply, ...] = (ANSWER,),
    faults: Faults | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Stage, JobsHere]]:
    """A stage whose agent may call, and what becomes of whoever is called."""
    made: list[JobsHere] = []

    def jobs(api_url: str) -> JobsHere:
        made.append(JobsHere(api_url, ACCOUNT, TOKEN))
        return made[0]

    outcome = who if isinstance(who, DialOutcome) else DialOutcome(pick_up=who)
    openai = RealtimeEmulator(Scenario(list(replies)), pace=0)
    twilio: dict[str, Any] = {"answers": {TO: outcome}, "faults": faults or Faults()}
    given = {"dial_countries": ("US",), "dial_from": FROM, **settings}
    async with stage(openai, folder, twilio=twilio, jobs=jobs, **given) as s:
        try:
            yield s, made[0]
        finally:
            await made[0].close()


async def order(
    s: Stage, query: str = "", *, key: str | None = None, **more: Any
) -> tuple[int, dict[str, Any]]:
    """An order of the operator's: status and answer."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{s.url}/v1/calls{query}", json={"to": TO, **more}) as answer,
    ):
        return answer.status, await answer.json()


async def take_back(s: Stage, call_id: str) -> tuple[int, Any]:
    """The operator does not want the call any more: status, and how it ended by now."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{s.url}/v1/calls/{call_id}/cancel") as answer,
    ):
        return answer.status, (await answer.json()).get("end_reason")


async def placed(s: Stage, number: int = 1) -> EmulatedCall:
    """The call as Twilio has it."""
    await until(lambda: len(s.twilio.calls) >= number)
    return list(s.twilio.calls.values())[number - 1]


async def ended(s: Stage, call_id: str, limit_s: float = 60) -> dict[str, Any]:
    """The record, when it has closed."""
    async with asyncio.timeout(limit_s):
        while True:
            record = await s.get(f"/v1/calls/{call_id}")
            if record["status"] == "completed":
                return record
            await asyncio.sleep(0.02)


async def test_who_is_called_speaks_first_and_is_answered(tmp_path: Path) -> None:
    """The order is answered when they pick up, and the record is one from its first moment."""
    async with placing(tmp_path) as (s, jobs):
        jobs.held.clear()
        status, queued = await order(s, task="Say that the shoes are ready.")
        waiting = await s.get(f"/v1/calls/{queued['call_id']}")
        jobs.held.set()

        call = await placed(s)
        await call.stream_started()
        assert not [e for e in s.session.client_events if e["type"] == "response.create"]
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 440) >= 160)
        await call.hang_up()
        record = await ended(s, queued["call_id"])
        call.assert_clean()
        s.assert_conforms()

    assert (status, queued["status"], waiting["status"]) == (202, "queued", "queued")
    assert (call.from_, call.to) == (FROM, TO)
    seeded = [e for e in s.session.client_events if e["type"] == "conversation.item.create"]
    assert "the shoes are ready" in str(seeded[0])
    assert (record["end_reason"], record["direction"]) == ("caller_hangup", "outbound")
    assert record["carrier"]["call_sid"] == call.call_sid
    assert record["to"]["number"] == TO
    assert record["answered_by"] is None


async def test_a_silent_person_is_spoken_to(tmp_path: Path) -> None:
    """After two seconds, once."""
    async with placing(tmp_path) as (s, _):
        _, answered = await order(s, "?wait=answered", greeting="Hello, it is Contoso.")
        assert answered["status"] == "in_progress"
        call = await placed(s)
        await call.stream_started()

        await call.until(lambda: heard_tone(call.stream, 440) >= 160)
        asked = [e for e in s.session.client_events if e["type"] == "response.create"]
        await call.hang_up()
        await ended(s, answered["call_id"])

    assert len(asked) == 1
    assert "Hello, it is Contoso." in str(asked[0])


async def test_a_machine_is_told_the_message_after_its_beep(tmp_path: Path) -> None:
    """L21, L22: the whole message, and half a second of quiet, before the call ends."""
    who = PickUp("machine", GREETS)
    replies = (Reply(MESSAGE, 400, 660), Reply(MESSAGE, 400, 660), Reply(MESSAGE, 400, 660))
    async with placing(tmp_path, who, replies) as (s, _):
        _, queued = await order(s, machine={"message": MESSAGE})
        call = await placed(s)
        record = await ended(s, queued["call_id"])
        await call.ended()
        call.assert_clean()

    assert (record["end_reason"], record["answered_by"]) == ("voicemail_left", "machine")
    assert record["ending"]["result"] == "success"
    assert call.ended_by == "rest"
    assert heard_tone(call.stream, 660) >= 340
    speech = [x for turn in record["turns"] for x in turn["responses"] if x["type"] == "speech"]
    assert speech[-1]["text"] == MESSAGE
    assert not speech[-1]["interrupted"]


@pytest.mark.parametrize("who", [PickUp("machine", GREETS), PickUp("fax")])
async def test_a_machine_without_a_message_and_a_fax_are_hung_up_on(
    tmp_path: Path, who: PickUp
) -> None:
    """At once: nobody listens."""
    async with placing(tmp_path, who) as (s, _):
        _, queued = await order(s, machine={"detect": True})
        call = await placed(s)
        record = await ended(s, queued["call_id"])
        await call.ended()

    assert (record["end_reason"], record["answered_by"]) == ("voicemail_hangup", who.who)
    assert call.ended_by == "rest"


async def test_a_person_is_a_person_in_the_record(tmp_path: Path) -> None:
    """And hears nothing of having been taken for a machine."""
    async with placing(tmp_path) as (s, _):
        _, queued = await order(s, machine={"message": MESSAGE})
        call = await placed(s)
        await call.stream_started()
        await call.until(lambda: call.answered_by is not None)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 440) >= 160)
        await call.hang_up()
        record = await ended(s, queued["call_id"])

    assert (record["end_reason"], record["answered_by"]) == ("caller_hangup", "human")


@pytest.mark.parametrize(
    ("outcome", "reason", "result"),
    [
        (DialOutcome("busy", sip_response_code=486), "busy", "client_error"),
        (DialOutcome("no-answer"), "no_answer", "client_error"),
        (DialOutcome("failed", sip_response_code=603), "dial_failed", "upstream_error"),
    ],
)
async def test_a_call_that_nobody_picks_up_has_its_record(
    tmp_path: Path, outcome: DialOutcome, reason: str, result: str
) -> None:
    """With what the network said; the model was never asked."""
    async with placing(tmp_path, outcome) as (s, _):
        status, answer = await order(s, "?wait=answered")
        record = await s.get(f"/v1/calls/{answer['call_id']}")

        assert not s.openai.connections

    assert (status, answer["status"], answer["end_reason"]) == (200, "completed", reason)
    assert record["ending"] == {"result": result, "reason": reason}
    assert record["failure"]["sip_response_code"] == outcome.sip_response_code
    assert record["timestamps"]["ringing_at"] is not None


async def test_a_busy_line_is_called_again(tmp_path: Path) -> None:
    """One order is one record, whatever it takes."""
    async with placing(tmp_path) as (s, _):
        outcomes = iter([DialOutcome("busy"), DialOutcome(), DialOutcome()])
        s.twilio.answers = lambda _number: next(outcomes)
        _, queued = await order(s, retry={"busy": {"times": 1, "after_s": 1}})
        call = await placed(s, 2)
        await call.stream_started()
        await call.hang_up()
        record = await ended(s, queued["call_id"])

    assert len(s.twilio.calls) == 2
    assert record["carrier"]["call_sid"] == call.call_sid
    assert record["end_reason"] == "caller_hangup"


async def test_retries_come_to_an_end(tmp_path: Path) -> None:
    """The last attempt closes the record."""
    async with placing(tmp_path, DialOutcome("busy")) as (s, _):
        _, queued = await order(s, retry={"busy": {"times": 2, "after_s": 1}})
        record = await ended(s, queued["call_id"])

    assert len(s.twilio.calls) == 3
    assert record["end_reason"] == "busy"


async def test_callbacks_in_any_order_and_twice_change_nothing(tmp_path: Path) -> None:
    """The first words of Twilio may come when the call is over, and the last ones twice."""
    faults = Faults(
        status_delay_ms={"initiated": 900, "ringing": 600, "in-progress": 700, "amd": 500},
        duplicate_webhooks=frozenset({"/twilio"}),
    )
    async with placing(tmp_path, faults=faults) as (s, _):
        _, queued = await order(s, machine={"detect": True})
        call = await placed(s)
        await call.stream_started()
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 440) >= 160)
        await call.hang_up()
        record = await ended(s, queued["call_id"])
        await call.ended()
        again = await s.get(f"/v1/calls/{queued['call_id']}")

    assert len(call.streams) == 1
    assert record["end_reason"] == "caller_hangup"
    assert again == record
    assert len(s.twilio.calls) == 1


async def test_the_failure_of_an_attempt_may_be_told_after_the_next_one_began(
    tmp_path: Path,
) -> None:
    """It is the attempt's, and says nothing about the call that lives."""
    async with placing(tmp_path) as (s, _):
        _, queued = await order(s)
        call = await placed(s)
        await call.stream_started()

        form = call.form() | {"CallSid": "CA" + "9" * 32, "CallStatus": "no-answer"}
        path = f"/twilio/call-status?call={queued['call_id']}&run={queued['call_id']}.7"
        assert (await s.post(path, form))[0] == 204
        assert s.board.book.lives(call.call_sid)
        await call.hang_up()
        record = await ended(s, queued["call_id"])

    assert record["end_reason"] == "caller_hangup"


async def test_a_number_nobody_wants_called_is_not(tmp_path: Path) -> None:
    """The job knows, and the record says so."""
    async with placing(tmp_path) as (s, jobs):
        jobs.unwanted.add(TO)
        _, answer = await order(s, "?wait=answered")
        record = await s.get(f"/v1/calls/{answer['call_id']}")

    assert not s.twilio.calls
    assert record["end_reason"] == "rejected"
    assert record["failure"]["message"] == "do_not_call"


async def test_the_same_key_is_the_same_call(tmp_path: Path) -> None:
    """A program that was not answered asks again; another order under its key is a mistake."""
    async with placing(tmp_path) as (s, _):
        answers = await asyncio.gather(*(order(s, key="one") for _ in range(5)))
        other = await order(s, key="one", task="Something else.")
        call = await placed(s)
        await call.stream_started()
        await call.hang_up()
        await ended(s, answers[0][1]["call_id"])

    assert {status for status, _ in answers} == {202}
    assert len({answer["call_id"] for _, answer in answers}) == 1
    assert (other[0], len(s.twilio.calls)) == (409, 1)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"to": "2125551234"}, "to"),
        ({"to": "+442079460000"}, "country_not_allowed"),
        ({"to": "+19005551234"}, "premium_rate"),
        ({"colour": "red"}, "colour"),
        ({"machine": {"messsage": "hello"}}, "machine.messsage"),
        ({"retry": {"completed": {"times": 1, "after_s": 1}}}, "retry"),
        ({"schedule_at": "2030-01-01T10:00:00"}, "schedule_at"),
        ({"schedule_at": "9999-12-31T23:59:59Z"}, "in the next 365 days"),
        ({"to": FROM}, "own_number"),
        ({"custom_data": {"half a pair": "\ud800"}}, "custom_data"),
        ({"custom_data": {"integer": 2**70}}, "custom_data"),
        ({"custom_data": {"text": "x" * 65_536}}, "custom_data"),
        ({"custom_data": {"levels": json.loads("[" * 900 + "]" * 900)}}, "custom_data"),
        ({"variables": {"\ud800": "the name is half a pair"}}, "variables"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, asked: dict[str, Any], named: str
) -> None:
    """Nothing is dialled by guessing."""
    async with placing(tmp_path) as (s, jobs):
        status, problem = await order(s, **asked)

        assert status == 422
        assert named in problem["detail"]
        assert not jobs.runs


async def test_nobody_is_called_where_the_operator_named_no_country(tmp_path: Path) -> None:
    """A stolen key is no telephone bill."""
    async with placing(tmp_path, dial_countries=()) as (s, jobs):
        status, problem = await order(s)

        assert (status, jobs.runs) == (403, {})
        assert "DIAL_COUNTRIES" in problem["detail"]


async def test_a_document_for_a_call_that_nobody_ordered_ends_it(tmp_path: Path) -> None:
    """And opens no model line."""
    async with placing(tmp_path) as (s, _):
        form = {"CallSid": "CA" + "7" * 32, "AccountSid": ACCOUNT, "CallStatus": "in-progress"}

        status, twiml = await s.post("/twilio/outbound/call_unknown?run=x.1", form)

        assert (status, "<Hangup" in twiml, "<Connect" in twiml) == (200, True, False)
        assert not s.openai.connections


async def test_an_end_that_is_told_before_the_document_is_asked_for_is_one_end(
    tmp_path: Path,
) -> None:
    """Somebody picked up and hung up at once; Twilio's two requests overtook each other."""
    async with placing(tmp_path) as (s, jobs):
        jobs.held.clear()
        _, queued = await order(s)
        call_id = queued["call_id"]
        form = {"CallSid": "CA" + "7" * 32, "AccountSid": ACCOUNT, "CallStatus": "completed"}
        await s.post(f"/twilio/call-status?call={call_id}&run={call_id}.1", form)
        record = await ended(s, call_id)

        answer = form | {"CallStatus": "in-progress"}
        _, twiml = await s.post(f"/twilio/outbound/{call_id}?run={call_id}.1", answer)
        again = await s.get(f"/v1/calls/{call_id}")

    assert record["end_reason"] == "stream_lost"
    assert "<Hangup" in twiml
    assert again == record


async def test_an_order_is_taken_back_until_somebody_is_being_called(tmp_path: Path) -> None:
    """It ends as Twilio calls it, once, is not dialled, and its key is no way around."""
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with placing(tmp_path) as (s, jobs):
        _, queued = await order(s, key="k", schedule_at=at)
        call_id = queued["call_id"]
        taken_back = await take_back(s, call_id)
        again = await take_back(s, call_id)
        repeated = await order(s, key="k", schedule_at=at)
        unknown = await take_back(s, "call_unknown")
        record = await s.get(f"/v1/calls/{call_id}")

        _, live = await order(s, "?wait=answered")
        call = await placed(s)
        under_way = await take_back(s, live["call_id"])
        await call.stream_started()
        await call.hang_up()
        await ended(s, live["call_id"])
        over = await take_back(s, live["call_id"])

    assert (taken_back, again, (repeated[0], repeated[1]["end_reason"])) == (
        (200, "canceled"),
        (200, "canceled"),
        (202, "canceled"),
    )
    assert (unknown[0], under_way[0], over[0]) == (404, 409, 409)
    assert (record["status"], record["end_reason"]) == ("completed", "canceled")
    assert record["ending"]["result"] == "success"
    assert len(s.twilio.calls) == 1
    assert list(jobs.runs) == [call_id, live["call_id"]]


async def kept_order(folder: Path, call_id: str, order_: dict[str, Any]) -> None:
    """An order that another process took and did not live to see answered."""
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    archive = Archive(f"sqlite:///{folder}/data/patchline.db")
    told = {"direction": "outbound", "from_number": FROM, "to_number": TO}
    async with archive.opened(), asyncio.TaskGroup() as group:
        group.create_task(archive.writer.run())
        archive.writer.opened(
            NewCall(
                call_id=call_id,
                conversation_id="conv_1",
                direction="outbound",
                from_number=FROM,
                to_number=TO,
                status="queued",
                created_at=datetime.now(UTC),
            )
        )
        archive.writer.append(call_id, 1, Fact("call.created", 0, {**told, "order": order_}))
        await archive.writer.close(5)


async def test_an_order_whose_process_has_died_is_ended_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job is over, or never was, and nobody of Twilio's calls us back for it."""
    monkeypatch.setattr(outbound, "ABANDONED_LOOK_S", 0.05)
    monkeypatch.setattr(outbound, "LOST_S", 0.0)
    call_id = f"call_{'8' * 24}"
    async with placing(tmp_path) as (s, _):
        await kept_order(tmp_path, call_id, Order(to=TO, from_=FROM).to_json())

        async with asyncio.timeout(60):
            while (told := await s.get(f"/v1/calls/{call_id}"))["status"] == "queued":  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    assert told["end_reason"] == "dial_failed"


@pytest.mark.parametrize("later", [{}, {"busy": {"times": 1, "after_s": 9, "jitter_s": 2}}])
async def test_an_order_that_another_process_took_is_answered_here(
    tmp_path: Path, later: dict[str, Any]
) -> None:
    """That process may have ended since, or be of a later version; its task is in the call's
    first fact."""
    call_id = f"call_{'7' * 24}"
    order_ = Order(to=TO, from_=FROM, task="Say that the shoes are ready.")
    await kept_order(tmp_path, call_id, {**order_.to_json(), "retries": later})
    async with placing(tmp_path) as (s, jobs):
        waiting = await s.get(f"/v1/calls/{call_id}")
        dial = order_.dial(call_id, PUBLIC_URL)
        await jobs.enqueue(dial, job_id=call_id)
        call = await placed(s)
        await call.stream_started()
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 440) >= 160)
        await call.hang_up()
        record = await ended(s, call_id)

    assert waiting["status"] == "queued"
    seeded = next(e for e in s.session.client_events if e["type"] == "conversation.item.create")
    assert "the shoes are ready" in str(seeded)
    assert (record["end_reason"], record["carrier"]["call_sid"]) == ("caller_hangup", call.call_sid)


async def test_an_order_that_cannot_be_read_takes_nobody_along(tmp_path: Path) -> None:
    """It is there at every start."""
    call_id = f"call_{'8' * 24}"
    await kept_order(tmp_path, call_id, {"whom": "who knows"})
    async with placing(tmp_path) as (s, _):
        _, queued = await order(s)
        call = await placed(s)
        await call.stream_started()
        await call.hang_up()
        await ended(s, queued["call_id"])

        with closing(sqlite3.connect(tmp_path / "data" / "patchline.db")) as database, database:
            database.execute("UPDATE calls SET erased = 1 WHERE call_id = ?", (call_id,))
