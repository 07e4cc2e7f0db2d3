"""The page of a call: its link comes by text message, and leads to one call for a while."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from app.emulators.twilio_call import EmulatedCall
from app.jobs.port import Answer
from tests.waiting import until
from tests.walks.stage import AGENT, API_KEY, PUBLIC_URL, VOICE, Stage, heard_tone, stage
from tests.walks.test_texting import CALLER, GREETING, Kept, told

LINKED = AGENT + "sms: line\nsend_link: {text: 'Write here: {{url}}'}\ntimeouts: {resume: 3h}\n"
SENDS = Reply("One moment.", 100, 550, tools=[ToolUse("send_link", {})])
SENT = Reply("It is on its way.", 200, 660)
AWARE = Reply("I see.", 200, 880)


@dataclass
class Page:
    """What a browser would do with the link."""

    stage: Stage
    path: str

    async def ask(self, way: str, path: str = "", **more: Any) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers."""
        async with (
            aiohttp.ClientSession() as client,
            client.request(way, self.stage.url + self.path + path, **more) as answer,
        ):
            return answer.status, await answer.text(), dict(answer.headers)

    async def conversation(self, seen: int = 0) -> Any:
        """What is shown; None: nothing new."""
        status, body, _ = await self.ask("GET", f"/conversation?seen={seen}")
        return orjson.loads(body) if status == 200 else None if status == 204 else status

    async def write(self, text: str) -> int:
        """Type and send; the status."""
        return (await self.ask("POST", "/text", json={"text": text}))[0]


def undone(_api: str) -> Any:
    """Nobody's work."""
    return Kept()


async def linked(s: Stage) -> tuple[EmulatedCall, Page]:
    """A call in which the link was sent."""
    call = await s.twilio.call(from_=CALLER)
    await call.heard_at_least(200)
    await call.speak(VOICE)
    await until(lambda: len(s.twilio.messages) == 1)
    await call.until(lambda: heard_tone(call.stream, 660) >= 160)
    [message] = s.twilio.messages
    found = re.fullmatch(rf"Write here: {PUBLIC_URL}(/c/\S+)", message["body"])
    assert found is not None
    return call, Page(s, found[1])


def lines(shown: dict[str, Any]) -> list[tuple[str, str]]:
    """Who said what."""
    return [(one["by"], one["text"]) for one in shown["lines"]]


def holding(folder: Path, secret: str) -> list[Path]:
    """Files with it: of the database, of flight logs."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return [one for one in files if secret.encode() in one.read_bytes()]


async def test_the_link_leads_to_the_call_which_goes_on_in_writing(tmp_path: Path) -> None:
    """W62, W63, W65: the page lists what was said; what is typed is a turn on the line, and after
    the call something to answer; the link is in no log."""
    kept: Any = Kept()
    openai = RealtimeEmulator(Scenario([GREETING, SENDS, SENT, AWARE]), pace=0)
    async with stage(openai, tmp_path, agent=LINKED, jobs=lambda _api: kept) as s:
        call, page = await linked(s)
        status, html, headers = await page.ask("GET")
        shown = await page.conversation()
        posted = await page.write("<b>12 Main Street</b>")
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        said = told(s)
        await call.hang_up()
        record = await s.record(call)
        late = await page.write("Is it still at nine?")
        after = await page.conversation(shown["seen"])
        same = await page.conversation(after["seen"])
        s.assert_conforms()

    assert (status, posted, late, same) == (200, 204, 204, None)
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Hello" not in html
    assert ("agent", "Hello, this is the test line.") in lines(shown)
    assert (shown["over"], shown["open"], after["over"], after["open"]) == (False, True, True, True)
    assert [text for role, text in said if role == "user"] == ["<b>12 Main Street</b>"]
    assert ("caller", "<b>12 Main Street</b>") in lines(after)
    assert lines(after)[-1] == ("caller", "Is it still at nine?")
    [(_, job)] = kept.jobs
    assert isinstance(job, Answer)
    assert job.call_id == record["call_id"]
    secret = page.path.rpartition(".")[2]
    assert not holding(tmp_path, secret)


async def test_a_link_ends_with_its_time_and_the_erasure_of_its_call(tmp_path: Path) -> None:
    """Nobody else's link, no other call's and none that was guessed leads anywhere."""
    openai = RealtimeEmulator(Scenario([GREETING, SENDS, SENT]), pace=0)
    async with stage(openai, tmp_path, agent=LINKED, jobs=undone) as s:
        call, page = await linked(s)
        live = s.board.book.call(call.call_sid)
        assert live is not None
        old = f"{live.call_id}.old"
        told_of = {"digest": hashlib.sha256(old.encode()).hexdigest(), "expires_at_s": 1}
        live.tell(live.now_ms(), "link.sent", told_of)
        guessed = [
            await Page(s, path).conversation()
            for path in (
                f"/c/{old}",
                f"{page.path}x",
                page.path.rpartition(".")[0],
                "/c/x.y",
                "/c/.",
            )
        ]
        await call.hang_up()
        record = await s.record(call)
        before = await page.conversation()
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            await client.delete(f"{s.url}/v1/calls/{record['call_id']}")
        after = [await page.conversation(), await page.write("Hello?")]

    assert guessed == [404] * 5
    assert before["over"]
    assert after == [404, 404]


async def test_nobody_floods_the_agent(tmp_path: Path) -> None:
    """Ten texts in a minute; 500 characters each; nothing else than a text."""
    openai = RealtimeEmulator(Scenario([GREETING, SENDS, SENT, AWARE]), pace=0)
    async with stage(openai, tmp_path, agent=LINKED, jobs=undone) as s:
        call, page = await linked(s)
        await call.hang_up()
        await s.record(call)
        refused = [await page.write("x" * 501), await page.write("  ")]
        states = [await page.write(str(number)) for number in range(11)]

    assert refused == [422, 422]
    assert states == [204] * 10 + [429]
