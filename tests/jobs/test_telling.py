"""The operator's programs are told that a call ended: all that asked, once, whoever died."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.call.facts import Fact
from app.http.guard import operator
from app.http.webhooks import routes
from app.jobs.port import Remind
from app.services.store.archive import Archive
from app.services.store.calls import Calls
from app.services.store.database import open_blocking, open_engine
from app.services.store.schema import calls
from tests.jobs.calls import CALLER, a_call
from tests.jobs.conftest import House
from tests.jobs.receiver import Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The operator's."""
    async with receiving() as made:
        yield made


def agent_file(folder: Path, *webhooks: dict[str, object], **more: object) -> str:
    """An agent document with these receivers."""
    file = folder / "agent.json"
    document = {"instructions": "You answer the phone.", "webhooks": list(webhooks), **more}
    file.write_bytes(orjson.dumps(document))
    return str(file)


def operator_of(house: House) -> TestClient:
    """Somebody with the key."""
    app = FastAPI()
    app.include_router(routes(house.jobs, operator("key")))
    return TestClient(app, headers={"authorization": "Bearer key"})


async def test_who_asked_for_it_is_told_that_a_call_ended(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """With the record, in an envelope whose signature can be checked."""
    file = agent_file(tmp_path, {"url": receiver.url})
    await a_call(house.address)

    await house.start(AGENT_FILE=file, WEBHOOK_SECRETS=SECRET)
    await receiver.hears("call.ended")
    status = await house.done("postcall:call_1")

    [told] = receiver.told("call.ended")
    # What came of the call may be told first: the two are not waited for in turn.
    headers = next(one for one, _ in receiver.heard if ":call_ended:" in one["webhook-id"])
    data = told["data"]
    assert headers["webhook-id"].startswith("webhook:call_1:call_ended:")
    assert "." not in headers["webhook-id"]
    assert headers["webhook-signature"].startswith("v1,")
    assert told["timestamp"].endswith("Z")
    assert (data["call_id"], data["conversation_id"], data["seq"]) == ("call_1", "conv_call_1", 10)
    assert data["from"] == {"number": CALLER}
    assert (data["end_reason"], data["schema"]) == ("caller_hangup", "cdr/1")
    assert "analysis" not in data
    assert status.state == "done"


async def corrected(address: str, seq: int, reason: str) -> None:
    """A call that seemed over was not, and ended like this: told as the server tells it."""
    archive = Archive(address)
    async with archive.opened(), asyncio.TaskGroup() as group:
        group.create_task(archive.writer.run())
        record = await archive.get("call_1") or {}
        archive.writer.append("call_1", seq, Fact("call.corrected", 9_900, {"reason": reason}))
        await archive.writer.retell("call_1", {**record, "end_reason": reason})
        await archive.writer.close(5)


async def test_a_record_that_changed_after_it_was_told_is_told_again(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """Each change once, whoever was killed over it; what was told keeps what it was."""
    file = agent_file(tmp_path, {"url": receiver.url})
    await a_call(house.address)
    process = await house.start(AGENT_FILE=file)
    await receiver.hears("call.analyzed")
    await house.done("postcall:call_1")

    await corrected(house.address, 11, "transferred")
    await receiver.hears("call.corrected")
    await house.kill(process)
    await house.start(AGENT_FILE=file)
    await corrected(house.address, 12, "transfer_failed")
    await receiver.hears("call.corrected", 2)
    await a_call(house.address, "call_2")
    await house.done("postcall:call_2")  # a look later than the last correction

    ended = [one["data"] for one in receiver.told("call.ended")]
    told = {
        headers["webhook-id"]: orjson.loads(body)
        for headers, body in receiver.heard
        if b"call.corrected" in body.encode()
    }
    firsts = [one["end_reason"] for one in ended if one["call_id"] == "call_1"]
    assert firsts == ["caller_hangup"]
    assert [one["data"]["end_reason"] for one in told.values()] == [
        "transferred",
        "transfer_failed",
    ]
    assert [one["data"]["reason"] for one in told.values()] == ["transferred", "transfer_failed"]
    assert [one["data"]["seq"] for one in told.values()] == [11, 12]
    assert all("analysis" not in one["data"] for one in told.values())


async def test_a_reminder_is_told_when_it_is_due_as_it_was_noted_last(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """Once, by whatever process; one that was changed or forgotten is not."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": "reminder.due"})
    note = {"id": "rem_1", "title": "Send the bill", "description": None, "owner": "team"}
    noted = [
        Fact("reminder.created", 5_000, {**note, "due_at": "2026-11-23T08:00:00.000Z"}),
        Fact("reminder.created", 6_000, {**note, "due_at": "2026-11-23T09:00:00.000Z"}),
        Fact("reminder.created", 6_000, {**note, "id": "rem_2", "due_at": None}),
    ]
    await a_call(house.address, words=noted)
    jobs = [
        Remind("call_1", "rem_1", "2026-11-23T08:00:00.000Z"),
        Remind("call_1", "rem_1", "2026-11-23T09:00:00.000Z"),
        Remind("call_1", "rem_3", "2026-11-23T09:00:00.000Z"),
        Remind("call_2", "rem_1", "2026-11-23T09:00:00.000Z"),
    ]
    for job in (*jobs, *jobs):
        await house.jobs.enqueue(job, job_id=job.job_id)

    await house.start(AGENT_FILE=file)
    states = [(await house.done(job.job_id)).result["state"] for job in jobs]
    await receiver.hears("reminder.due")

    assert states == ["forgotten", "told", "forgotten", "forgotten"]
    [told] = receiver.told()
    assert (told["data"]["title"], told["data"]["due_at"]) == ("Send the bill", jobs[1].due_at)
    assert len(receiver.ids) == 1
    assert await house.jobs.forget("call_1") >= 3


async def test_an_end_is_told_once_whoever_is_killed_over_it(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """Processes die between finding, enqueuing, telling and writing down."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": "call.ended"})
    for number in range(12):
        await a_call(house.address, f"call_{number}")
    for _ in range(3):
        process = await house.start(AGENT_FILE=file)
        heard = len(receiver.heard)
        await receiver.hears("call.ended", heard + 1)
        await house.kill(process)

    await house.start(AGENT_FILE=file)
    for number in range(12):
        await house.done(f"postcall:call_{number}")
    await receiver.knows(12)

    assert len(receiver.ids) == 12


async def test_two_processes_tell_once(house: House, receiver: Receiver, tmp_path: Path) -> None:
    """Both find the same ends."""
    if house.on_sqlite:
        pytest.skip("one process works on SQLite")
    file = agent_file(tmp_path, {"url": receiver.url, "events": "call.ended"})
    await asyncio.gather(*(house.start(AGENT_FILE=file) for _ in range(2)))

    for number in range(10):
        await a_call(house.address, f"call_{number}")
    for number in range(10):
        await house.done(f"postcall:call_{number}")
    await receiver.hears("call.ended", 10)

    ended = [told["data"]["call_id"] for told in receiver.told("call.ended")]
    assert sorted(ended) == sorted(f"call_{number}" for number in range(10))


async def test_facts_are_told_while_the_call_goes_on_to_who_asked(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """Words only to who named them; each with its number, by which they are put in order."""
    async with receiving() as curious:
        file = agent_file(
            tmp_path,
            {"url": receiver.url, "events": "call.*"},
            {"url": curious.url, "events": ["*", "transcript.*"]},
        )
        await a_call(house.address, over=False)
        await house.start(AGENT_FILE=file)
        await curious.hears("transcript.updated", 5)
        await receiver.hears("call.stream_started")

        words = sorted(
            (x["data"]["seq"], x["data"]["text"]) for x in curious.told() if "text" in x["data"]
        )
        kinds = {told["type"] for told in receiver.told()}
    assert [seq for seq, _ in words] == [3, 5, 6, 7, 8]
    assert words[1][1].startswith("I hit a post")
    assert kinds == {"call.created", "call.stream_started"}


async def test_a_receiver_that_hangs_keeps_nobody_else_waiting(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """More calls than deliveries under way at a time."""
    async with receiving() as stuck:
        stuck.answers = [0]
        file = agent_file(tmp_path, {"url": stuck.url}, {"url": receiver.url})
        for number in range(25):
            await a_call(house.address, f"call_{number}")

        await house.start(AGENT_FILE=file, PATIENCE_S="3600")
        await receiver.hears("call.ended", 25)


async def test_an_erased_call_is_told_to_nobody(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """What was forgotten stays forgotten; and it is not looked at again."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": ["*", "transcript.*"]})
    await a_call(house.address)
    engine = open_engine(house.address)
    await Calls(engine).erase("call_1")
    await engine.dispose()

    await house.start(AGENT_FILE=file)
    status = await house.done("postcall:call_1")

    assert status.result == {"state": "forgotten"}
    assert receiver.heard == []
    blocking = open_blocking(house.address)
    with blocking.connect() as connection:
        assert connection.execute(sa.select(calls.c.followed_up)).scalar_one() is True
    blocking.dispose()


async def test_what_was_given_up_is_listed_until_it_is_begun_anew(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """Whoever repaired the receiver finds what it missed."""
    receiver.answers = [302]
    file = agent_file(tmp_path, {"url": receiver.url, "events": "call.ended"})
    await a_call(house.address)
    await house.start(AGENT_FILE=file)
    await house.done("postcall:call_1")
    await receiver.hears("call.ended", 3)
    job_id = receiver.heard[0][0]["webhook-id"]
    await house.done(job_id, "parked")

    receiver.answers = [200]
    client = operator_of(house)
    listed = client.get("/v1/webhooks/parked").json()["deliveries"]
    replayed = client.post(f"/v1/webhooks/{job_id}/replay")
    await house.done(job_id, "delivered")
    unknown = client.post("/v1/webhooks/webhook:call_9:1:x/replay")
    rest = client.get("/v1/webhooks/parked").json()["deliveries"]
    stranger = client.get("/v1/webhooks/parked", headers={"authorization": "Bearer x"})

    [parked] = listed
    assert (parked["id"], parked["url"], parked["status"]) == (job_id, receiver.url, 302)
    assert parked["given_up_at"].endswith("Z")
    assert (replayed.status_code, unknown.status_code, stranger.status_code) == (202, 404, 401)
    assert rest == []
    assert {told["type"] for told in receiver.told()} == {"call.ended"}


async def test_what_follows_a_call_can_be_forgotten_with_it(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """The bodies of webhooks hold what was said."""
    receiver.answers = [500]
    file = agent_file(tmp_path, {"url": receiver.url, "events": "call.ended"})
    await a_call(house.address)
    await house.start(AGENT_FILE=file)
    await receiver.hears("call.ended", 3)
    job_id = receiver.heard[0][0]["webhook-id"]
    await house.done(job_id, "parked")

    gone = await house.jobs.forget("call_1")

    assert gone >= 3
    assert await house.jobs.parked() == []
    assert await house.jobs.status(job_id) is None
