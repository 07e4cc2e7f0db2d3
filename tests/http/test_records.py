"""The operator's programs: lists, records in three shapes, events, timelines, erasure."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.call.facts import Fact
from app.call.record import record
from app.call.report import Report
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist, Reply, Scenario
from app.emulators.twilio_call import EmulatedCall
from app.http.problems import Problem
from app.http.record import CallPage, CallTimeline
from app.runtime.draining import Drain
from app.services.store.archive import Archive
from app.services.store.changes import NewCall
from tests.waiting import until
from tests.walks.jobs_here import JobsHere
from tests.walks.stage import ACCOUNT, AGENT, API_KEY, TOKEN, VOICE, Stage, heard_tone, stage

GREETING = Reply("Hello.", 200, 440)
STORY = Reply("Let me tell you a long story.", 3_000, 660)
ANSWER = Reply("What else?", 200, 880)
KEY = {"Authorization": f"Bearer {API_KEY}"}
ANNA = "+14155550100"
MOMENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server whose agent greets, and tells a story that can be interrupted."""
    script = Scenario([GREETING, STORY, ANSWER], heard=["Tell me a story", "Stop"])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path) as made:
        yield made


async def ask(
    s: Stage, verb: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
) -> tuple[int, Any]:
    """A request of the operator's: status, and the body as JSON; a refusal is a problem."""
    async with (
        aiohttp.ClientSession(headers=KEY | (headers or {})) as client,
        client.request(verb, s.url + path, **more) as answer,
    ):
        text = await answer.text()
        body = json.loads(text) if text else None
        if answer.status >= 400:
            Problem.model_validate(body)
        return answer.status, body


async def refused(s: Stage, verb: str, path: str, **more: Any) -> tuple[int, str]:
    """Status and sentence of a refusal."""
    status, body = await ask(s, verb, path, **more)
    return status, body["detail"]


async def greeted(s: Stage) -> EmulatedCall:
    """A call whose caller has heard the greeting."""
    call = await s.twilio.call()
    await call.heard_at_least(200)
    return call


async def over(s: Stage, call: EmulatedCall) -> str:
    """Hang up; the call's id when its record is there."""
    await call.hang_up()
    return str((await s.record(call))["call_id"])


class Other:
    """Another process beside the server: its store, and the calls it holds."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._reports: dict[str, Report] = {}

    async def written(self) -> None:
        """Everything is in the database."""
        assert await self.archive.writer.flush(within_s=20)

    def opens(self, call_id: str, **more: Any) -> None:
        """A call begins."""
        known: dict[str, Any] = {
            "call_sid": f"CA{call_id}",
            "conversation_id": "conv_1",
            "direction": "inbound",
            "from_number": ANNA,
            "to_number": "+4930",
            "created_at": MOMENT,
            "config_version": "sha256:1",
            "owner": "another",
            "lease_s": 600,
        }
        self.archive.writer.opened(NewCall(call_id=call_id, **known | more))
        self._reports[call_id] = Report()
        told = {"from_number": ANNA, "to_number": "+4930", "call_sid": f"CA{call_id}"}
        self.tells(call_id, "call.created", told)

    def tells(self, call_id: str, kind: str, data: dict[str, Any]) -> None:
        """A fact."""
        report, fact = self._reports[call_id], Fact(kind, 9, data)
        report.learn(fact)
        self.archive.writer.append(call_id, report.seq, fact)

    def ends(self, call_id: str, ended_at: datetime = MOMENT + timedelta(minutes=1)) -> None:
        """The call is over."""
        self.tells(call_id, "call.ended", {"reason": "caller_hangup"})
        told = record(call_id, self._reports.pop(call_id), lambda at_ms: f"{at_ms}")
        self.archive.writer.closed(call_id, "caller_hangup", ended_at, told)

    def ends_all(self) -> None:
        """As a process does at its end."""
        for call_id in list(self._reports):
            self.ends(call_id)


@asynccontextmanager
async def another_process(s: Stage | Path) -> AsyncIterator[Other]:
    """Another process on the server's database."""
    folder = s if isinstance(s, Path) else s.folder
    archive = Archive(f"sqlite:///{folder}/data/patchline.db")
    async with archive.opened():
        writing = asyncio.create_task(archive.writer.run())
        other = Other(archive)
        try:
            yield other
        finally:
            other.ends_all()
            await archive.writer.close(5)
            await writing


class Told:
    """Server-sent events, as they arrive."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.events: list[dict[str, Any]] = []

    @property
    def ids(self) -> list[int]:
        return [event["id"] for event in self.events]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def read(self, until_type: str | None = None) -> None:
        """Until an event of that type came, or the stream ended."""
        event: dict[str, Any] = {}
        async for line in self.answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                event["id"] = int(value)
            elif name == "event":
                event["type"] = value
            elif name == "data":
                event["body"] = json.loads(value)
            elif not name and event:
                self.events.append(event)
                if event["type"] == until_type:
                    return
                event = {}


@asynccontextmanager
async def following(
    s: Stage, name: str, *, after: int | None = None, raw: bool = False
) -> AsyncIterator[Told]:
    """The events of a call, from the beginning or behind one of them."""
    headers = KEY if after is None else KEY | {"Last-Event-ID": str(after)}
    path = f"{s.url}/v1/calls/{name}/events{'?raw=true' if raw else ''}"
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(path) as answer,
    ):
        assert answer.status in (200, 204), await answer.text()
        yield Told(answer)


async def test_calls_are_listed_newest_first_while_others_begin(s: Stage) -> None:
    """A page goes on behind the last call of the one before, whatever came meanwhile."""
    async with another_process(s) as other:
        for number in range(9):
            other.opens(f"call_{number}", created_at=MOMENT + timedelta(seconds=number // 2))
        await other.written()
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            status, body = await ask(s, "GET", f"/v1/calls?limit=2{more}")
            assert status == 200
            page = CallPage.model_validate(body)
            seen += [call.call_id for call in page.calls]
            cursor = page.cursor
            other.opens(f"new_{len(seen)}", created_at=MOMENT + timedelta(minutes=len(seen)))
            await other.written()

    assert seen == [f"call_{number}" for number in range(8, -1, -1)]


async def test_lists_are_filtered(s: Stage) -> None:
    """Each filter alone; a plus sign need not be escaped."""
    async with another_process(s) as other:
        other.opens("a", from_number="+4911")
        other.opens("b", to_number="+4911", created_at=MOMENT + timedelta(minutes=1))
        other.opens("c", config_version="sha256:2", conversation_id="conv_2", from_number="x y")
        other.ends("b")
        await other.written()

        async def ids(query: str) -> list[str]:
            status, body = await ask(s, "GET", f"/v1/calls?{query}")
            assert status == 200, body
            return [call["call_id"] for call in body["calls"]]

        assert await ids("number=%2B4911") == await ids("number=+4911") == ["b", "a"]
        assert await ids("from=+4911") == ["a"]
        assert await ids("from=x+y") == ["c"]
        assert await ids("to=+4911&status=completed") == ["b"]
        assert await ids("status=in_progress") == ["c", "a"]
        assert await ids("status=queued") == []
        assert await ids("end_reason=caller_hangup") == ["b"]
        assert await ids("after=2026-11-21T12:00:30Z") == ["b"]
        assert await ids("before=2026-11-21T13:00:30+01:00") == ["c", "a"]
        assert await ids("config_version=sha256:2") == ["c"]
        assert await ids("conversation_id=conv_2&limit=200") == ["c"]
        assert await ids("number=%00") == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("form=+4911", "form: did you mean from?"),
        ("colour=red", "colour: known are"),
        ("%3Cscript%3E=1", "?script?"),
        ("from=", "from is empty"),
        ("from=1&from=2", "from is there more than once"),
        ("from=" + "9" * 300, "from is empty or too long"),
        ("limit=0", "limit must be a whole number from 1 to 200"),
        ("limit=201", "limit must be"),
        ("limit=1e2", "limit must be"),
        ("limit=\u0662", "limit must be"),
        ("after=yesterday", "after must be a time with its zone, like 2026-11-21T12:00:00Z"),
        ("after=2026-11-21T12:00:00", "after must be a time with its zone"),
        ("before=0001-01-01T00:00:00%2B14:00", "before must be"),
        ("status=ended", "status must be one of queued, in_progress, completed"),
        ("cursor=x", "cursor is none that a page ended with"),
        ("cursor=" + "A" * 3000, "cursor is none"),
        ("cursor=W10", "cursor is none"),
        ("cursor=%ED%A0%80", "cursor is none"),
        ("cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwieCJd", "cursor is none"),
    ],
)
async def test_a_bad_question_is_refused_with_its_name(s: Stage, query: str, named: str) -> None:
    """A filter passed over in silence would show the calls of everybody."""
    status, detail = await refused(s, "GET", f"/v1/calls?{query}")

    assert status == 400
    assert named in detail
    assert "9999" not in detail


async def test_everything_wants_the_key(s: Stage) -> None:
    """And who does not have it learns nothing about calls."""
    wrong = {"Authorization": "Bearer x"}
    for verb, path in (
        ("GET", "/v1/calls?colour=red"),
        ("GET", "/v1/calls/x?shape=vcon"),
        ("GET", "/v1/calls/x/events"),
        ("GET", "/v1/calls/x/timeline"),
        ("DELETE", "/v1/calls/x"),
        ("PATCH", "/v1/calls/x/custom-data"),
    ):
        assert (await ask(s, verb, path, headers=wrong))[0] == 401
        fine = "" if "?" in path else "?colour=red"
        if "{" not in path and path != "/v1/calls?colour=red":
            expected = 400 if fine else 404
            assert (await ask(s, verb, path + fine))[0] == expected


async def test_events_are_read_along_and_taken_up_again(s: Stage) -> None:
    """A reader who is cut off in the middle of a live call misses nothing and hears nothing
    twice; the stream ends behind the end of the call."""
    call = await greeted(s)
    call_id = await s.call_id(call)
    async with following(s, call_id) as first:
        await first.read("call.stream_started")
    broken_at = first.ids[-1]

    async with following(s, call_id, after=broken_at) as second:
        assert second.answer.content_type == "text/event-stream"
        await second.read("transcript.updated")
        await over(s, call)
        await asyncio.wait_for(second.read(), 60)
    async with following(s, call.call_sid, raw=True) as whole:
        await asyncio.wait_for(whole.read(), 60)

    assert first.types[0] == "call.created"
    assert second.ids[0] > broken_at
    assert second.types[-1] == "call.ended"
    assert whole.ids == list(range(1, len(whole.ids) + 1))
    assert {"line.figures", "call.first_audio"} <= set(whole.types)
    assert not {"line.figures", "call.first_audio"} & set(first.types + second.types)
    public = [e["id"] for e in whole.events if e["type"] not in raw_only()]
    assert [*first.ids, *second.ids] == public
    end = whole.events[-1]["body"]
    assert end["type"] == "call.ended"
    assert end["data"]["call_id"] == call_id
    assert (end["data"]["seq"], end["data"]["reason"]) == (whole.ids[-1], "caller_hangup")
    assert end["timestamp"].endswith("Z")

    async with following(s, call_id, after=whole.ids[-1]) as done:
        assert done.answer.status == 204


def raw_only() -> frozenset[str]:
    """What is told with ``?raw=true`` alone."""
    from app.http.events import INTERNAL

    return INTERNAL


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "99999999999", "2147483648", "\u0663"])
async def test_a_last_event_that_is_none_is_refused(s: Stage, given: str) -> None:
    """It comes from outside, and goes into a comparison of numbers."""
    call_id = await over(s, await greeted(s))

    status, detail = await refused(
        s, "GET", f"/v1/calls/{call_id}/events", headers={"Last-Event-ID": given}
    )

    assert status == 400
    assert "Last-Event-ID" in detail


async def test_a_call_of_another_process_is_followed(s: Stage) -> None:
    """Whichever process is asked: facts go through the store."""
    async with another_process(s) as other:
        other.opens("elsewhere")
        await other.written()
        async with following(s, "elsewhere") as told:
            await told.read("call.created")
            words = {"stream": 1, "entry": 0, "voice": "caller", "key": "I", "began_at_ms": 3}
            words |= {"arguments": "1234"}
            other.tells("elsewhere", "transcript.updated", {**words, "text": "Hello"})
            await asyncio.wait_for(told.read("transcript.updated"), 60)
            status, known = await ask(s, "GET", "/v1/calls/elsewhere")
            assert (status, known["status"]) == (200, "in_progress")
            assert known["turns"][0]["text"] == "Hello"
            patch = await refused(s, "PATCH", "/v1/calls/elsewhere/custom-data", json={"a": 1})
            erase = await refused(s, "DELETE", "/v1/calls/elsewhere")
            other.ends("elsewhere")
            await asyncio.wait_for(told.read(), 60)

    assert told.types == ["call.created", "transcript.updated", "call.ended"]
    said = told.events[1]["body"]["data"]
    assert (said["role"], said["text"], "arguments" in said) == ("caller", "Hello", False)
    assert patch[0] == 503
    assert "does not answer" in patch[1]
    assert erase == (409, "the call goes on or is to be placed: end or cancel it, then erase it")


async def test_readers_are_let_go_when_the_server_drains(s: Stage) -> None:
    """A page that reads along must not hold the end of a process."""
    call = await greeted(s)
    async with following(s, call.call_sid) as here, another_process(s) as other:
        other.opens("elsewhere")
        await other.written()
        async with following(s, "elsewhere") as there:
            await here.read("call.stream_started")
            await there.read("call.created")
            Drain(s.board.book, 60).begin(0)
            await asyncio.wait_for(asyncio.gather(here.read(), there.read()), 60)
        status, _ = await refused(s, "GET", f"/v1/calls/{call.call_sid}/events")
    await over(s, call)

    assert status == 503
    assert "call.ended" not in here.types


async def test_there_are_so_many_readers_and_no_more(
    s: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs a reading of the database for every piece that is told."""
    monkeypatch.setattr("app.http.events.MOST_READERS", 1)
    call = await greeted(s)
    path = f"/v1/calls/{call.call_sid}/events"
    async with following(s, call.call_sid) as told:
        await told.read("call.created")
        status, _ = await refused(s, "GET", path)
    async with aiohttp.ClientSession(headers=KEY) as client:

        async def again() -> int:
            async with client.get(s.url + path) as answer:
                return answer.status

        async with asyncio.timeout(60):
            while await again() != 200:
                pass
    await over(s, call)

    assert status == 503


async def test_a_reader_who_takes_nothing_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent waits in memory, and would hold the end of the process."""
    monkeypatch.setattr("app.http.events.TAKEN_WITHIN_S", 0.2)
    openai = RealtimeEmulator(Scenario([]))
    async with (
        stage(openai, tmp_path, send_buffer_bytes=4096) as s,
        another_process(s) as other,
    ):
        other.opens("long")
        for _ in range(300):
            other.tells("long", "warning", {"id": "x" * 60_000, "count": 1})
        other.ends("long")
        await other.written()
        reader, writer = await asyncio.open_connection("127.0.0.1", s.port, limit=4096)
        head = f"GET /v1/calls/long/events?raw=true HTTP/1.1\r\nHost: x\r\n{_line(KEY)}\r\n\r\n"
        writer.write(head.encode())
        assert b"200" in await reader.readline()
        await until(lambda: len(s.server.server_state.connections) == 1)

        await until(lambda: not s.server.server_state.connections, 60)

        writer.close()


async def test_readers_who_leave_in_the_midst_of_a_question_leave_nothing_behind(
    s: Stage,
) -> None:
    """A page is closed while the store is asked: nothing is logged as an error for that."""
    call = await greeted(s)
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, told: said.append(str(told)))

    async def leaves(after_s: float) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", s.port)
        path = f"/v1/calls/{call.call_sid}/events?raw=true"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{_line(KEY)}\r\n\r\n".encode())
        await asyncio.sleep(after_s)
        writer.transport.abort()

    for _ in range(3):
        await asyncio.gather(*(leaves(number / 1000) for number in range(50)))
    await until(lambda: not s.server.server_state.connections, 60)
    await over(s, call)
    gc.collect()

    assert said == []


def _line(headers: dict[str, str]) -> str:
    return "\r\n".join(f"{name}: {value}" for name, value in headers.items())


async def test_the_timeline_says_what_was_sent_played_and_heard(s: Stage) -> None:
    """Of an interrupted reply less was heard than was sent."""
    call = await greeted(s)
    await call.speak(VOICE)
    await call.until(lambda: heard_tone(call.stream, 660) >= 400)
    await call.speak(VOICE)
    await call.until(lambda: heard_tone(call.stream, 880) >= 160)
    await until(lambda: not call.stream.line.playing)
    call_id = await over(s, call)

    status, body = await ask(s, "GET", f"/v1/calls/{call_id}/timeline")

    assert status == 200
    CallTimeline.model_validate(body)
    said = [item for item in body["items"] if item["type"] == "speech"]
    assert [item["cut"] for item in said] == [False, True, False]
    assert said[0]["sent_ms"] == said[0]["heard_ms"] == 200
    assert 0 < said[1]["heard_ms"] < said[1]["sent_ms"] == 3_000
    assert said[0]["played"]["from"] < said[0]["played"]["until"] <= said[1]["played"]["from"]
    types = [item["type"] for item in body["items"]]
    assert types.index("stream_started") < types.index("interrupted") < types.index("ended")
    assert "Tell me a story" in [item.get("text") for item in body["items"]]
    assert (await refused(s, "GET", "/v1/calls/x/timeline"))[0] == 404


async def test_what_was_to_be_done_after_a_call_is_forgotten_with_it(tmp_path: Path) -> None:
    """A webhook that waits for its receiver holds the caller's words; who cannot reach it keeps
    the call, so that the next try finds it."""
    made: list[JobsHere] = []

    def jobs(api_url: str) -> JobsHere:
        made.append(JobsHere(api_url, ACCOUNT, TOKEN))
        return made[0]

    agent = f"{AGENT}webhooks: [{{url: https://crm.contoso.test/calls}}]\n"
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent, jobs=jobs) as s:
        call_id = await over(s, await greeted(s))
        made[0].unreachable = True
        assert (await refused(s, "DELETE", f"/v1/calls/{call_id}"))[0] == 503

        made[0].unreachable = False
        assert await ask(s, "DELETE", f"/v1/calls/{call_id}") == (204, None)

        assert made[0].forgotten == [call_id]


async def test_an_ended_call_is_erased_with_all_that_was_kept(s: Stage) -> None:
    """Nothing of it can be read afterwards; erasing twice is erasing once."""
    call = await greeted(s)
    call_id = await s.call_id(call)
    status, detail = await refused(s, "DELETE", f"/v1/calls/{call_id}")
    assert (status, detail) == (
        409,
        "the call goes on or is to be placed: end or cancel it, then erase it",
    )
    await over(s, call)
    await s.all_closed()
    flights = s.folder / "data" / "flights"
    await until(lambda: len(list(flights.iterdir())) == 1)

    assert await ask(s, "DELETE", f"/v1/calls/{call.call_sid}") == (204, None)
    assert await ask(s, "DELETE", f"/v1/calls/{call_id}") == (204, None)

    for name in (call_id, call.call_sid):
        for path in ("", "/timeline", "/events"):
            assert (await refused(s, "GET", f"/v1/calls/{name}{path}"))[0] == 404
    patch = await refused(s, "PATCH", f"/v1/calls/{call_id}/custom-data", json={"a": 1})
    assert patch[0] == 404
    assert await ask(s, "GET", "/v1/calls") == (200, {"calls": [], "cursor": None})
    assert list(flights.iterdir()) == []
    assert (await refused(s, "DELETE", "/v1/calls/nobody"))[0] == 404
    async with another_process(s) as other:
        assert await other.archive.calls.facts(call_id) == []


async def test_custom_data_is_put_to_a_call_while_and_after(s: Stage) -> None:
    """W76 to W78, by the API: the record has it at once, and keeps it."""
    call = await greeted(s)
    call_id = await s.call_id(call)
    path = f"/v1/calls/{call_id}/custom-data"

    async def put(patch: Any) -> Any:
        status, body = await ask(s, "PATCH", path, json=patch)
        assert status == 200, body
        return body["custom_data"]

    assert await put({"a": 1, "b": 1}) == {"a": 1, "b": 1}
    assert await put({"b": 2, "c": {"x": None}}) == {"a": 1, "b": 2, "c": {"x": None}}
    async with following(s, call_id) as told:
        await told.read("call.custom_data")
    assert told.events[-1]["body"]["data"]["b"] == 1
    await over(s, call)
    status, detail = await refused(s, "PATCH", path, json={"e": "x" * 65_520})
    assert (status, detail) == (413, "a call's custom data may have 64 KiB in all")
    assert await put({"a": "", "d": "after"}) == {"b": 2, "c": {"x": None}, "d": "after"}

    _, known = await ask(s, "GET", f"/v1/calls/{call_id}")
    assert known["custom_data"] == {"b": 2, "c": {"x": None}, "d": "after"}
    assert known["end_reason"] == "caller_hangup"


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "JSON object"),
        (b"[1]", 400, "JSON object"),
        (b'{"a": NaN}', 400, "JSON object"),
        (b'{"a": "\\ud800"}', 400, "JSON object"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "more than 32 levels"),
        (b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}", 400, "JSON object"),
        (b'{"a": "' + b"x" * 65_000 + b'"}', 200, ""),
        (b'{"a": "' + b"x" * 70_000 + b'"}', 413, "65536 bytes"),
    ],
    ids=range(8),
)
async def test_custom_data_that_cannot_be_kept_is_refused(
    s: Stage, body: bytes, status: int, named: str
) -> None:
    """Whatever is taken comes back as it was, from every database."""
    call = await greeted(s)

    got, told = await ask(s, "PATCH", f"/v1/calls/{call.call_sid}/custom-data", data=body)

    await over(s, call)
    assert got == status
    assert named in told.get("detail", "")


async def test_the_record_is_told_in_three_other_shapes(s: Stage) -> None:
    """For who moves here or away; the raw record goes along."""
    call = await greeted(s)
    await call.speak(VOICE)
    await call.until(lambda: heard_tone(call.stream, 660) >= 200)
    call_id = await over(s, call)
    path = f"/v1/calls/{call_id}"
    await ask(s, "PATCH", f"{path}/custom-data", json={"campaign": "winter"})
    _, known = await ask(s, "GET", path)

    async with (
        aiohttp.ClientSession(headers=KEY) as client,
        client.get(f"{s.url}{path}?shape=vcon") as answer,
    ):
        assert answer.content_type == "application/vcon+json"
        vcon = await answer.json(content_type=None)
    watsonx = (await ask(s, "GET", f"{path}?shape=watsonx"))[1]["payload"]
    theirs = (await ask(s, "GET", f"{path}?shape=call-center-ai"))[1]

    assert vcon["parties"][0] == {"tel": f"tel:{ANNA}", "role": "customer"}
    assert [one["body"] for one in vcon["dialog"]][:2] == ["Hello.", "Tell me a story"]
    assert [one["originator"] for one in vcon["dialog"]][:2] == [1, 0]
    assert json.loads(vcon["attachments"][0]["body"]) == known
    assert vcon["uuid"] == theirs["call_id"]
    assert watsonx["global_session_id"] == call_id
    assert watsonx["call"]["end_reason"] == "caller_hangup"
    assert watsonx["injected_custom_data"] == {"campaign": "winter"}
    assert (watsonx["failure_occurred"], watsonx["failure_details"]) == (False, None)
    turns = watsonx["assistant_interaction_summaries"][0]["turns"]
    assert [turn["request"]["type"] for turn in turns] == ["start", "speech_to_text"]
    assert theirs["initiate"] == {"phone_number": ANNA}
    assert [one["action"] for one in theirs["messages"]][::3] == ["call", "talk"]
    assert theirs["messages"][-1]["action"] == "hangup"
    assert theirs["in_progress"] is False
    assert await refused(s, "GET", f"{path}?shape=xml") == (
        400,
        "the parameter shape must be one of vcon, watsonx, call-center-ai",
    )


async def test_a_database_that_is_gone_is_a_503(s: Stage) -> None:
    """A fault of the store is no traceback, and the live record is told all the same."""
    call = await greeted(s)
    call_id = await s.call_id(call)
    async with another_process(s) as other:
        await other.written()
        async with other.archive._engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE calls RENAME TO away")

        status, detail = await refused(s, "GET", "/v1/calls")
        live = await ask(s, "GET", f"/v1/calls/{call_id}")

        async with other.archive._engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE away RENAME TO calls")
    await over(s, call)

    assert status == 503
    assert "cannot be reached" in detail
    assert live[0] == 200


async def test_a_call_that_cannot_be_taken_over_is_closed_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later version told of it says nothing to this one; nobody else waits for that."""
    monkeypatch.setattr("app.runtime.custody.ROUND_S", 0.05)
    nobodys: dict[str, Any] = {"owner": None, "lease_s": None}
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as s:
        archive = Archive(f"sqlite:///{tmp_path}/data/patchline.db")
        async with archive.opened(), asyncio.TaskGroup() as group:
            group.create_task(archive.writer.run())
            other = Other(archive)
            other.opens("strange", call_sid=f"CA{1:032x}", **nobodys)
            strange = {"from_number": ANNA, "order": {"to": ["+4930"], "version": 99}}
            other.tells("strange", "call.created", strange)
            other.opens("plain", call_sid=f"CA{2:032x}", **nobodys)
            await archive.writer.close(20)

        for call_id in ("strange", "plain"):
            async with asyncio.timeout(60):
                while (found := await s.get(f"/v1/calls/{call_id}"))["status"] != "completed":  # noqa: ASYNC110 - another process's fact
                    await asyncio.sleep(0.05)
            assert found["end_reason"] == "stream_lost"
            assert found["from"]["number"] == ANNA


async def test_calls_are_kept_for_so_long(tmp_path: Path) -> None:
    """A server with RETENTION_DAYS deletes what is older when it starts, and the young stays."""
    async with another_process(tmp_path) as other:
        other.opens("old", created_at=MOMENT - timedelta(days=400))
        other.ends("old", ended_at=MOMENT - timedelta(days=400))
        other.opens("young", created_at=datetime.now(UTC))
        other.ends("young", ended_at=datetime.now(UTC))
    async with stage(RealtimeEmulator(Scenario([])), tmp_path, retention_days=1) as s:
        async with asyncio.timeout(60):
            while (await ask(s, "GET", "/v1/calls/old"))[0] != 404:
                pass
        _, page = await ask(s, "GET", "/v1/calls")

    assert [call["call_id"] for call in page["calls"]] == ["young"]
