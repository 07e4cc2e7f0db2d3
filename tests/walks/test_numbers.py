"""Which calls the agent answers: by number, hour, country, room, and a program that is asked."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from app.call.reception import NOBODY
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from app.emulators.twilio_words import DialOutcome, new_sid
from app.jobs.signing import signed
from app.services.store.calls import AFTERWARDS
from tests.waiting import until
from tests.walks.raw_stream import incoming
from tests.walks.stage import DESK, NUMBER, PROBLEM, Stage, stage

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LINE, OTHER = "+15005550006", "+14155550199"


def numbers(text: str, *, more: str = "") -> str:
    """An agent with one person, and with that in its document."""
    return f"{DESK}{more}numbers:\n{text}"


def closed_today() -> str:
    """Hours that are over whenever the test runs: they begin in two days, in its time zone."""
    day = (datetime.now(UTC) + timedelta(days=2)).strftime("%a")[:2]
    return f'hours: {{office: {{timezone: UTC, open: "{day} 00:00-24:00"}}}}\n'


class Crm:
    """The operator's program: answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.answer: Any = {}
        self.status = 200
        self.url = ""

    async def meet(self, request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((headers, await request.read()))
        return web.Response(status=self.status, body=orjson.dumps(self.answer))


@asynccontextmanager
async def crm() -> AsyncIterator[Crm]:
    made = Crm()
    runner = web.ServerRunner(web.Server(made.meet, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"{site.name}/caller"
    try:
        yield made
    finally:
        await runner.cleanup()


def asking(crm: Crm, *, then: str = "continue", timeout: str = "7s") -> str:
    """A document whose number asks it."""
    return numbers(
        f'  "*": {{before_call: {{url: "{crm.url}", then: {then}, timeout: {timeout}}}}}\n'
    )


async def nobody_answers(s: Stage, **calling: Any) -> tuple[list[str], str, dict[str, Any]]:
    """A call that the agent does not take: what was said, who ended it, its record."""
    call = await s.twilio.call(**calling)
    ended = await call.ended()
    assert call.streams == []
    assert s.openai.attempts == 0
    call.assert_clean()
    return call.said, ended, await s.record(call)


async def test_a_number_that_is_not_in_the_document_is_rejected(tmp_path: Path) -> None:
    """L6: the model is never asked, and another number is answered meanwhile."""
    agent = numbers(f'  "{LINE}": {{label: Claims}}\n')
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        said, ended, record = await nobody_answers(s, to=OTHER)

        assert (said, ended) == ([], "reject")
        assert record["ending"] == {"result": "client_error", "reason": "blocked"}
        answered = await s.twilio.call(to=LINE)
        await answered.heard_at_least(100)


async def test_out_of_hours_callers_hear_that_and_no_more(tmp_path: Path) -> None:
    """Row 24 of callcentre section 4, W-hours: without any model cost, and the same twice."""
    agent = numbers(
        f'  "{LINE}": {{hours: office, when_closed: "We are closed."}}\n', more=closed_today()
    )
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        call = await s.twilio.call()
        assert await call.ended() == "hangup"

        assert call.said == ["We are closed."]
        record = await s.record(call)
        assert record["ending"] == {"result": "success", "reason": "closed_hours"}
        form = {**incoming(call.call_sid), "CallStatus": "ringing"}
        _, again = await s.post("/incoming-call", form)
        assert again == call.requests[0].body
        assert await s.record(call) == record
        assert s.openai.attempts == 0


async def test_out_of_hours_callers_may_be_put_through(tmp_path: Path) -> None:
    """Somebody is on duty."""
    agent = numbers(
        f'  "{LINE}": {{hours: office, when_closed: {{say: One moment., then: billing}}}}\n',
        more=closed_today(),
    )
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        call = await s.twilio.call()
        await call.ended()

        assert call.said[0] == "One moment."
        assert call.dialled == [NUMBER]
        assert (await s.record(call))["end_reason"] == "closed_hours"
        assert s.openai.attempts == 0


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("bridged", "connected"), ("busy", "busy"), ("unbridged", "not-connected")],
)
async def test_how_ringing_somebody_else_ended_is_known(
    tmp_path: Path, kind: Any, outcome: str
) -> None:
    """L-numbers: in the record that has closed, which is told anew; who reached nobody hears so,
    and Twilio may ask twice. Whoever is asked knows it from the record alone."""
    agent = numbers(
        f'  "{LINE}": {{hours: office, when_closed: {{then: billing}}}}\n', more=closed_today()
    )
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        call = await s.twilio.call(answers={NUMBER: DialOutcome(kind, talk_ms=600)})
        await call.ended()
        await until(lambda: told_afterwards(tmp_path) == ["transfer.ended", "call.corrected"], 10)
        asked = next(one for one in call.requests if "/turned-away/" in one.path)
        _, again = await s.post(asked.path, asked.form)
        record = await s.record(call)

    assert call.said == ([] if kind == "bridged" else [NOBODY])
    assert again == asked.body
    (transfer,) = record["transfers"]
    assert (transfer["target"], transfer["outcome"]) == ("billing", outcome)
    assert transfer["talk_s"] == (1 if kind == "bridged" else None)
    assert record["durations_ms"]["human"] == (1000 if kind == "bridged" else None)
    assert record["end_reason"] == "closed_hours"
    assert len(told_afterwards(tmp_path)) == 2


def told_afterwards(folder: Path) -> list[str]:
    """The facts that came when the record had closed."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        asked = "SELECT type FROM call_facts WHERE seq > ? ORDER BY seq"
        return [kind for (kind,) in database.execute(asked, (AFTERWARDS,)).fetchall()]


async def test_the_result_of_another_callers_dial_changes_nothing(tmp_path: Path) -> None:
    """A token that was not drawn for this call is nobody's."""
    agent = numbers(
        f'  "{LINE}": {{hours: office, when_closed: {{then: billing}}}}\n', more=closed_today()
    )
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        call = await s.twilio.call(answers={NUMBER: DialOutcome("busy", ring_ms=60_000)})
        await call.until(lambda: call.dialled == [NUMBER])
        form = {**incoming(call.call_sid), "DialCallStatus": "busy"}

        _, answer = await s.post("/twilio/turned-away/of-somebody-else", form)
        await call.hang_up()
        await until(lambda: told_afterwards(tmp_path) == ["transfer.ended", "call.corrected"], 10)

        assert PROBLEM in answer
        assert (await s.record(call))["transfers"][0]["outcome"] != "busy"


async def test_callers_from_elsewhere_are_rejected(tmp_path: Path) -> None:
    """Nobody pays for a robot that rings from a country without customers."""
    agent = numbers(f'  "{LINE}": {{allow_countries: [FR]}}\n')
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        said, ended, record = await nobody_answers(s, from_="+14155550100")
        hidden = await nobody_answers(s, from_="+266696687")

        assert (said, ended, record["end_reason"]) == ([], "reject", "blocked")
        assert hidden[:2] == ([], "reject")
        known = await s.twilio.call(from_="+33612345678")
        await known.heard_at_least(100)


async def test_a_full_line_says_so_and_the_next_one_does_not_mind(tmp_path: Path) -> None:
    """O23: the number's own limit, its own words; other numbers have room."""
    agent = numbers(
        f'  "{LINE}": {{max_concurrent: 1, when_full: {{say: All busy here., then: billing}}}}\n'
        '  "*": {}\n'
    )
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        first = await s.twilio.call()
        await first.heard_at_least(100)
        second = await s.twilio.call()
        await second.ended()

        assert second.said[0] == "All busy here."
        assert second.dialled == [NUMBER]
        assert second.streams == []
        assert (await s.record(second))["end_reason"] == "capacity"
        other = await s.twilio.call(to=OTHER)
        await other.heard_at_least(100)
        await first.hang_up()
        await s.record(first)
        third = await s.twilio.call()
        await third.heard_at_least(100)


async def test_a_full_house_gives_the_numbers_own_treatment(tmp_path: Path) -> None:
    """O23: MAX_CONCURRENT_CALLS is full, too."""
    agent = numbers(f'  "{LINE}": {{when_full: Try again at noon.}}\n')
    async with stage(
        RealtimeEmulator(Receptionist), tmp_path, agent=agent, max_concurrent_calls=1
    ) as s:
        first = await s.twilio.call()
        await first.heard_at_least(100)
        second = await s.twilio.call()
        await second.ended()

        assert second.said == ["Try again at noon."]
        assert second.streams == []


async def test_the_operators_program_knows_who_calls(tmp_path: Path) -> None:
    """L12: variables reach the model, metadata the record alone; the question is signed."""
    async with crm() as program:
        program.answer = {"variables": {"name": "Ada Lovelace"}, "metadata": {"crm_id": "c-7"}}
        async with stage(
            RealtimeEmulator(Receptionist),
            tmp_path,
            agent=asking(program),
            webhook_loopback=True,
            webhook_secrets=(SECRET,),
        ) as s:
            call = await s.twilio.call()
            await call.heard_at_least(100)
            told = orjson.dumps(s.session.client_events).decode()
            await call.hang_up()
            record = await s.record(call)

    ((headers, body),) = program.asked
    asked = orjson.loads(body)
    assert asked["type"] == "call.incoming"
    assert asked["data"] == {
        "call_sid": call.call_sid,
        "from": {"number": "+14155550100"},
        "to": {"number": LINE},
    }
    name, stamp = headers["webhook-id"], int(headers["webhook-timestamp"])
    seal = signed(name, stamp, body.decode(), [SECRET])
    assert headers["webhook-signature"] == seal["webhook-signature"]
    assert "name: Ada Lovelace" in told
    assert "c-7" not in told
    assert record["custom_data"] == {"crm_id": "c-7"}


@pytest.mark.parametrize(
    ("answer", "status", "said", "dialled"),
    [
        ({"reject": {"reason": "busy"}}, 200, [], []),
        ({"say": "Your account is closed."}, 200, ["Your account is closed."], []),
        ({"transfer": {"to": "billing"}}, 200, [], [NUMBER]),
    ],
)
async def test_the_operators_program_may_turn_a_caller_away(
    tmp_path: Path, answer: Any, status: int, said: list[str], dialled: list[str]
) -> None:
    """Section 7.3: rejected, told something, or put through to a person of the document."""
    async with crm() as program:
        program.answer, program.status = answer, status
        async with stage(
            RealtimeEmulator(Receptionist),
            tmp_path,
            agent=asking(program),
            webhook_loopback=True,
        ) as s:
            call = await s.twilio.call()
            await call.ended()

            assert call.said[: len(said)] == said
            assert call.dialled == dialled
            assert ('<Reject reason="busy"' in call.requests[0].body) is ("reject" in answer)
            assert s.openai.attempts == 0
            await s.record(call)


@pytest.mark.parametrize("then", ["continue", "reject"])
@pytest.mark.parametrize(
    ("answer", "status"), [({"transfer": {"to": "+14155550177"}}, 200), ({}, 500), ({}, 302)]
)
async def test_a_program_that_answers_nonsense_decides_nothing(
    tmp_path: Path, then: str, answer: Any, status: int
) -> None:
    """A number of its own choosing is never dialled; the document says what happens instead."""
    async with crm() as program:
        program.answer, program.status = answer, status
        async with stage(
            RealtimeEmulator(Receptionist),
            tmp_path,
            agent=asking(program, then=then),
            webhook_loopback=True,
        ) as s:
            call = await s.twilio.call()
            if then == "continue":
                await call.heard_at_least(100)
                await call.hang_up()
            record = await s.record(call)

            await call.ended()
            assert call.dialled == []
            assert (s.openai.attempts == 0) is (then == "reject")
            assert record["end_reason"] == ("blocked" if then == "reject" else "caller_hangup")
            warned = [one for one in record["warnings"] if "before_call" in str(one)]
            assert bool(warned) is (then == "continue")


async def test_a_program_in_this_house_is_not_asked(tmp_path: Path) -> None:
    """As with webhooks: what an operator's document names must not lead to our own machines."""
    async with crm() as program:
        async with stage(
            RealtimeEmulator(Receptionist), tmp_path, agent=asking(program, then="reject")
        ) as s:
            await nobody_answers(s)

        assert program.asked == []


async def test_a_program_is_not_asked_twice_about_a_call_that_is_here(tmp_path: Path) -> None:
    """Twilio repeats; the caller's file was opened a moment ago."""
    async with (
        crm() as program,
        stage(
            RealtimeEmulator(Receptionist), tmp_path, agent=asking(program), webhook_loopback=True
        ) as s,
    ):
        form = incoming(new_sid("CA"))

        first = await s.post("/incoming-call", form)
        second = await s.post("/incoming-call", form)

        assert first == second
        assert len(program.asked) == 1
