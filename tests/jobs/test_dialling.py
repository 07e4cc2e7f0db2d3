"""Calling once, never twice: real processes, killed in the middle, on both databases."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

import orjson
import pytest
import sqlalchemy as sa

from app.errors import CallerFault
from app.jobs.database import open_jobs
from app.jobs.port import Dial, JobState, Retry
from app.services.store.database import open_blocking
from app.services.store.schema import do_not_call
from tests.jobs.conftest import LIMIT_S, House

FROM = "+12125550000"


def number(last: int) -> str:
    """A number that may be called."""
    return f"+1212555{1000 + last}"


def call(to: str, **more: object) -> Dial:
    """A job, asked after quickly."""
    return Dial(to, FROM, "https://house.patchline.dev/answer?run={run}", ask_after_s=0.3, **more)  # type: ignore[arg-type]


async def test_a_call_is_placed_with_what_was_asked_for(house: House) -> None:
    """Its document knows the run, its progress is reported, other parameters go out as given."""
    job = call(
        number(1),
        status_callback="https://house.patchline.dev/status?run={run}",
        parameters={"machine_detection": "DetectMessageEnd", "async_amd": "true"},
    )
    await house.jobs.enqueue(job, job_id="dial-1")
    await house.start()

    status = await house.done("dial-1")

    [placed] = house.exchange.calls
    assert status.result == {
        "state": "completed",
        "status": "completed",
        "call_sid": placed.call_sid,
    }
    assert placed.form["Url"].endswith("?run=dial-1.1")
    assert placed.form["StatusCallback"].endswith("?run=dial-1.1")
    assert placed.form["MachineDetection"] == "DetectMessageEnd"
    assert placed.form["AsyncAmd"] == "true"


@pytest.mark.parametrize("moment", ["hold", "hold after"])
async def test_killed_in_mid_dial_it_is_one_call(house: House, moment: str) -> None:
    """Whether Twilio took the order before the process died or never got it."""
    house.exchange.mishaps[number(1)] = [moment]
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    first = await house.start()
    await asyncio.wait_for(house.exchange.arrived.wait(), LIMIT_S)

    await house.kill(first)
    await house.start()
    status = await house.done("dial-1")

    assert len(house.exchange.calls) == 1
    assert status.result["call_sid"] == house.exchange.calls[0].call_sid
    assert status.result.get("adopted", False) is (moment == "hold after")


@pytest.mark.parametrize("mishap", ["500 after", "reset after"])
async def test_an_answer_that_was_lost_is_looked_for(house: House, mishap: str) -> None:
    """The telephone rings although Twilio said, or did not say, otherwise."""
    house.exchange.mishaps[number(1)] = [mishap]
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    await house.start()

    status = await house.done("dial-1")

    assert house.exchange.posts == 1
    assert status.result["state"] == "completed"
    assert status.result["adopted"] is True


@pytest.mark.parametrize(("mute", "reason"), [(False, "nothing_listed"), (True, "carrier_silent")])
async def test_what_nobody_can_know_is_not_tried_again(
    house: House, mute: bool, reason: str
) -> None:
    """It may ring yet; calling somebody twice is worse than asking a person to look."""
    house.exchange.mishaps[number(1)] = ["500"]
    house.exchange.mute = mute
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    await house.start()

    status = await house.done("dial-1")

    assert status.result == {"state": "indeterminate", "reason": reason}
    assert house.exchange.posts == 1


async def test_a_status_callback_settles_what_the_list_did_not(house: House) -> None:
    """It names our run, so it is proof."""
    house.exchange.mishaps[number(1)] = ["500"]
    house.exchange.mute = True
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    await house.start()

    await house.jobs.tell("dial-1.1", {"call_sid": "CA" + "1" * 32, "status": "ringing"})
    await house.jobs.tell(
        "dial-1.1", {"call_sid": "CA" + "1" * 32, "status": "failed", "sip_response_code": "603"}
    )
    status = await house.done("dial-1")

    assert status.result["state"] == "failed"
    assert status.result["sip_response_code"] == "603"
    assert status.result["call_sid"] == "CA" + "1" * 32


async def test_too_many_requests_are_waited_out(house: House) -> None:
    """Such a request was certainly not carried out."""
    house.exchange.mishaps[number(1)] = ["429"] * 12
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    await house.start()

    status = await house.done("dial-1")

    assert status.result["state"] == "completed"
    assert len(house.exchange.calls) == 1


async def test_calls_keep_their_distance(house: House) -> None:
    """Also right after a process was killed, whose last call the next one cannot know."""
    for one in range(8):
        await house.jobs.enqueue(call(number(one)), job_id=f"dial-{one}")
    house.exchange.mishaps[number(3)] = ["hold after"]
    first = await house.start(CALLS_PER_SECOND="2")
    await asyncio.wait_for(house.exchange.arrived.wait(), LIMIT_S)
    await house.kill(first)
    await house.start(CALLS_PER_SECOND="2")
    for one in range(8):
        await house.done(f"dial-{one}")

    at_s = [one.at_s for one in house.exchange.calls]
    assert sorted(one.to for one in house.exchange.calls) == sorted(number(i) for i in range(8))
    # The way of a request to the exchange takes longer and shorter on a busy machine.
    assert min(later - sooner for sooner, later in pairwise(at_s)) > 0.25
    assert at_s[-1] - at_s[0] > 7 * 0.5 - 0.25


async def test_one_key_is_one_job(house: House) -> None:
    """A client that repeats its request does not ring twice; one that errs is told so."""
    await house.start()
    for _ in range(3):
        await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    with pytest.raises(CallerFault) as caught:
        await house.jobs.enqueue(call(number(2)), job_id="dial-1")
    await house.done("dial-1")
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")

    assert caught.value.reason == "job_id_in_use"
    assert (await house.done("dial-1")).runs == 1
    assert [one.to for one in house.exchange.calls] == [number(1)]


async def test_who_is_not_to_be_called_is_not_called(house: House) -> None:
    """Asked at the last moment: a number can be listed while its job waits."""
    engine = open_blocking(house.address)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(do_not_call).values(number=number(1), created_at=datetime.now(UTC))
        )
    engine.dispose()
    for one, to in enumerate((number(1), "+19005551234", "+442071838750")):
        await house.jobs.enqueue(call(to), job_id=f"dial-{one}")
    await house.start()

    found = [(await house.done(f"dial-{one}")).result for one in range(3)]

    assert [one["reason"] for one in found] == [
        "do_not_call",
        "premium_rate",
        "country_not_allowed",
    ]
    assert house.exchange.posts == 0


async def test_outside_the_hours_it_waits_for_the_callees_day(house: House) -> None:
    """It holds no slot meanwhile, and can be cancelled."""
    now = datetime.now(UTC)
    closed = (now.weekday() + 3) % 7
    day = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")[closed]
    await house.jobs.enqueue(call(number(1)), job_id="dial-1")
    await house.start(CALLING_HOURS=f"{day} 12:00-13:00")

    status = await house.done("dial-1", "deferred")

    assert status.state is JobState.WAITING
    assert status.not_before_ms is not None
    assert status.not_before_ms > now.timestamp() * 1000 + 24 * 3_600_000
    assert await house.jobs.cancel("dial-1") is True
    assert (await house.done("dial-1")).state is JobState.CANCELLED
    assert await house.jobs.cancel("dial-1") is False
    assert house.exchange.posts == 0


async def test_a_busy_line_is_called_again_as_often_as_was_asked_for(house: House) -> None:
    """By reason: who does not answer is not treated as who is on the telephone."""
    house.exchange.ends = {
        number(1): ["busy", "busy", "busy"],
        number(2): ["busy", "completed"],
        number(3): ["no-answer", "completed"],
    }
    retries = {"busy": Retry(times=2, after_s=1)}
    for one in (1, 2, 3):
        await house.jobs.enqueue(call(number(one), retries=retries), job_id=f"dial-{one}")
    await house.start()

    found = [await house.done(f"dial-{one}") for one in (1, 2, 3)]

    assert [one.result["state"] for one in found] == ["busy", "completed", "no-answer"]
    assert [len(house.exchange.to(number(one))) for one in (1, 2, 3)] == [3, 2, 1]
    assert len({one.call_sid for one in house.exchange.calls}) == 6


async def test_only_so_many_calls_are_up_at_a_time(house: House) -> None:
    """The account has a limit, and so have the people who may have to take over."""
    for one in range(4):
        house.exchange.ends[number(one)] = ["in-progress"]
        await house.jobs.enqueue(call(number(one)), job_id=f"dial-{one}")
    await house.start(MAX_OUTBOUND_CALLS="3")
    async with asyncio.timeout(LIMIT_S), house.exchange.placed:
        await house.exchange.placed.wait_for(lambda: len(house.exchange.calls) == 3)
    waiting = [one for one in range(4) if not house.exchange.to(number(one))]
    running = house.exchange.calls[0]

    status = await house.jobs.status(f"dial-{waiting[0]}")
    running.status = "completed"
    async with asyncio.timeout(LIMIT_S), house.exchange.placed:
        await house.exchange.placed.wait_for(lambda: len(house.exchange.calls) == 4)

    assert status is not None
    assert status.state is JobState.WAITING


async def test_on_sqlite_one_process_works_and_a_second_one_says_so(house: House) -> None:
    """Two would break the rate; on PostgreSQL they share the work."""
    await house.start()
    second = await house.spawn(told="yes")
    if not house.on_sqlite:
        assert second.stdout is not None
        assert b"ready" in await asyncio.wait_for(second.stdout.readline(), LIMIT_S)
        return

    _, said = await asyncio.wait_for(second.communicate(), LIMIT_S)

    assert second.returncode == 1
    assert b"Another jobs process works on this SQLite database" in said


async def test_two_processes_share_and_the_living_takes_over(house: House) -> None:
    """With PostgreSQL; nobody calls twice, and nothing is left lying."""
    if house.on_sqlite:
        pytest.skip("one process alone")
    house.exchange.mishaps[number(0)] = ["hold after"]
    await house.jobs.enqueue(call(number(0)), job_id="dial-0")
    first = await house.start(CALLS_PER_SECOND="10")
    await asyncio.wait_for(house.exchange.arrived.wait(), LIMIT_S)
    await house.start(CALLS_PER_SECOND="10")
    for one in range(1, 10):
        await house.jobs.enqueue(call(number(one)), job_id=f"dial-{one}")
    await house.kill(first)

    for one in range(10):
        assert (await house.done(f"dial-{one}")).result["state"] == "completed"

    assert sorted(one.to for one in house.exchange.calls) == sorted(number(i) for i in range(10))


async def test_it_ends_when_who_started_it_is_gone(house: House) -> None:
    """And at once: what is under way was written down."""
    process = await house.start()
    assert process.stdin is not None

    process.stdin.close()

    assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0


async def test_what_is_over_is_kept_as_text_and_then_forgotten(house: House) -> None:
    """Whoever can write the database must not run code here, and numbers do not stay for ever."""
    await house.jobs.enqueue(call("+19005551234"), job_id="dial-1")
    first = await house.start()
    await house.done("dial-1")
    kept = await asyncio.to_thread(_stored, house.address)
    await house.kill(first)

    await house.start(KEEP_DAYS="-1")
    async with asyncio.timeout(LIMIT_S):
        while await house.jobs.status("dial-1") is not None:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.2)

    assert kept
    assert all(orjson.loads(text) is not None for text in kept)


async def test_what_has_not_begun_is_taken_back_and_nothing_else(house: House) -> None:
    """A call that is being ordered is not cut off in the middle: nobody would know of it."""
    await house.jobs.enqueue(call("+12125551111"), job_id="later", after_s=3_600)
    await house.jobs.enqueue(call("+12125552222"), job_id="now")
    await house.jobs.enqueue(call("+12125553333"), job_id="queued")
    before = [await house.jobs.withdraw(name) for name in ("later", "queued", "unknown")]
    await house.start()
    async with asyncio.timeout(LIMIT_S), house.exchange.placed:
        await house.exchange.placed.wait_for(lambda: bool(house.exchange.calls))

    under_way = await house.jobs.withdraw("now")
    again = await house.jobs.withdraw("later")
    later, now = await house.jobs.status("later"), await house.jobs.status("now")

    assert (before, under_way, again) == ([True, True, False], False, False)
    assert [one.to for one in house.exchange.calls] == ["+12125552222"]
    assert later is not None
    assert now is not None
    assert (later.state, now.state) == ("cancelled", "running")


async def test_jobs_are_not_kept_for_longer_than_calls(house: House) -> None:
    """Numbers and the bodies of webhooks lie there: what is over for longer goes as calls do."""
    for job_id in ("dial-old", "dial-young"):
        await house.jobs.enqueue(call("+19005551234"), job_id=job_id)
    first = await house.start(RETENTION_DAYS="7")
    for job_id in ("dial-old", "dial-young"):
        await house.done(job_id)
    await house.kill(first)
    await asyncio.to_thread(_aged, house.address, "dial-old.1", days=8)

    await house.start(RETENTION_DAYS="7")
    async with asyncio.timeout(LIMIT_S):
        while await house.jobs.status("dial-old") is not None:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.2)

    assert await house.jobs.status("dial-young") is not None


async def test_a_call_that_is_erased_takes_its_placing_along(house: House) -> None:
    """The number lies in it."""
    await house.jobs.enqueue(call("+19005551234"), job_id="call_1")
    await house.jobs.enqueue(call("+19005551234"), job_id="call_10")
    await house.start()
    await house.done("call_1")

    await house.jobs.forget("call_1")

    assert await house.jobs.status("call_1") is None
    assert await house.jobs.status("call_10") is not None


def _aged(address: str, run_id: str, *, days: int) -> None:
    """As if the run had been over for so many days."""
    engine = open_jobs(address, connections=1)
    schema = "" if address.startswith("sqlite") else "dbos."
    change = (
        f"UPDATE {schema}workflow_status SET completed_at = completed_at - :ms"
        " WHERE workflow_uuid = :id"
    )
    with engine.begin() as connection:
        changed = connection.execute(sa.text(change), {"ms": days * 86_400_000, "id": run_id})
        assert changed.rowcount == 1
    engine.dispose()


def _stored(address: str) -> list[str]:
    """What lies in the database of jobs and steps."""
    engine = open_jobs(address, connections=1)
    schema = "" if address.startswith("sqlite") else "dbos."
    asked = (
        f"SELECT inputs FROM {schema}workflow_input",
        f"SELECT inputs FROM {schema}workflow_status",
        f"SELECT output FROM {schema}workflow_status",
        f"SELECT output FROM {schema}operation_outputs",
    )
    with engine.begin() as connection:
        found = [row for one in asked for row in connection.execute(sa.text(one)).scalars()]
    engine.dispose()
    return [one for one in found if one is not None]
