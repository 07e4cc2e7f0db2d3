"""The other ways to a person: queues, TaskRouter, REFER, headers, an anchor that takes the call."""

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario, ToolUse
from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from tests.walks.stage import API_KEY, Stage, heard_tone, stage
from tests.walks.steps import ask, finish, orders

WORKFLOW = "WW" + "0" * 32
CALLER = "sip:ada@pbx.contoso.test"
SUMMARY = "Ada asks about an invoice."
SIP = {"SipCallId": "abc@pbx", "SipHeader_X-Desk": "7", "SipHeader_User-to-User": "00"}
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  queue: {{description: Waits., to: "queue:billing", wait_url: "https://x.example/hold.xml"}}
  task:
    description: TaskRouter.
    to: "workflow:{WORKFLOW}"
    attributes: {{about: "{{{{summary.short}}}}", desk: "{{{{sip.headers.X-Desk}}}}"}}
  pbx:
    description: The switchboard.
    to: "sip:desk@pbx.contoso.test"
    mode: refer
    headers: {{X-About: "{{{{summary.short}}}}"}}
  sip: {{description: By SIP., to: "sip:desk@pbx.contoso.test"}}
failure: {{say: "We have a problem.", then: end_call}}
"""
GREETING = Reply("Hello.", 200, 440)
BACK = Reply("They cannot come.", 200, 880)


def wish(target: str) -> Reply:
    """The agent puts the caller through."""
    call = ToolUse("transfer_call", {"target": target, "summary": SUMMARY})
    return Reply("I put you through.", 200, 660, tools=[call])


def document(s: Stage) -> ElementTree.Element:
    """What Twilio was told to do with the call."""
    return ElementTree.fromstring(next(one["Twiml"] for one in orders(s) if "Twiml" in one))


async def context(s: Stage, key: str, bearer: str) -> tuple[int, dict[str, Any]]:
    """What the call was about, by its key."""
    headers = {"Authorization": f"Bearer {bearer}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"{s.url}/v1/context/{key}") as answer,
    ):
        return answer.status, await answer.json()


async def returned(s: Stage, call: EmulatedCall) -> dict[str, Any]:
    """The caller is back with the agent, hears that nobody came, and hangs up."""
    second = await call.stream_started(2)
    await call.until(lambda: heard_tone(second, 880) >= 100)
    await call.hang_up()
    return await finish(s, call)


async def test_s20_a_caller_who_leaves_the_queue_is_back_with_the_agent(tmp_path: Path) -> None:
    """Nobody came: the agent knows why, and the conversation goes on."""
    script = Scenario([GREETING, wish("queue"), Expect(instructions_contain="(leave)"), BACK])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={"queue:billing": DialOutcome("no-answer")})
        record = await returned(s, call)

        verb = document(s).find("Enqueue")
        assert verb is not None
        assert (verb.text, verb.get("waitUrl")) == ("billing", "https://x.example/hold.xml")
        (transfer,) = record["transfers"]
        assert (transfer["mode"], transfer["outcome"]) == ("queue", "leave")


async def test_l27_w38_a_task_tells_whoever_takes_it_what_it_is_about(tmp_path: Path) -> None:
    """TaskRouter and Flex: attributes from templates, and the key to everything else."""
    script = Scenario([GREETING, wish("task")])
    answers = {f"queue:{WORKFLOW}": DialOutcome(talk_ms=50)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers=answers, from_=CALLER, extra_params=SIP)
        record = await finish(s, call)

        task = json.loads(document(s).findtext("Enqueue/Task") or "")
        assert (task["call_id"], task["about"], task["desk"]) == (record["call_id"], SUMMARY, "7")
        assert record["transfers"][0]["outcome"] == "connected"
        assert record["end_reason"] == "transferred"
        status, told = await context(s, task["context_key"], task["context_key"])
        assert status == 200
        assert told["call_id"] == record["call_id"]


@pytest.mark.parametrize(("kind", "outcome"), [("bridged", "connected"), ("busy", "busy")])
async def test_l4_w29_a_caller_by_sip_is_referred_or_back(
    tmp_path: Path, kind: Any, outcome: str
) -> None:
    """The last NOTIFY tells: gone, or with the agent, who knows why."""
    back = [] if kind == "bridged" else [Expect(instructions_contain="(busy)"), BACK]
    script = Scenario([GREETING, wish("pbx"), *back])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers=lambda _to: DialOutcome(kind), from_=CALLER, extra_params=SIP)
        record = await (finish(s, call) if kind == "bridged" else returned(s, call))

        address = document(s).findtext("Refer/Sip") or ""
        key = r"sip:desk@pbx\.contoso\.test\?User-to-User=([\w-]{32})&X-About=Ada%20asks.*"
        assert re.fullmatch(key, address)
        assert record["transfers"][0]["outcome"] == outcome
        assert record["carrier"]["sip"]["headers"] == {"X-Desk": "7", "User-to-User": "00"}


async def test_l4_a_caller_by_telephone_is_offered_no_refer(tmp_path: Path) -> None:
    """Twilio would fail with 13801: the model does not know of it."""
    script = Scenario([GREETING])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        (tool,) = [one for one in s.session.config["tools"] if one["name"] == "transfer_call"]
        await call.hang_up()
        await finish(s, call)

        names = tool["parameters"]["properties"]["target"]["enum"]
        assert names == ["queue", "task", "sip"]


async def test_w42_the_key_opens_what_the_call_was_about(tmp_path: Path) -> None:
    """Borne by whoever got it, or by the operator; in the address alone it opens nothing."""
    script = Scenario([GREETING, wish("sip")], heard=["My invoice is wrong"])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)
        record = await finish(s, call)

        key = (document(s).findtext("Dial/Sip") or "").partition("?User-to-User=")[2]
        assert len(key) == 32
        status, told = await context(s, key, key)
        assert status == 200
        assert (told["summary"], told["target"]) == (SUMMARY, "sip")
        assert "My invoice is wrong" in [line["text"] for line in told["transcript"]]
        assert (told["call_id"], told["caller"]) == (record["call_id"], "+14155550100")
        assert await context(s, key, API_KEY) == (200, told)
        assert (await context(s, key, "x"))[0] == 401
        assert (await context(s, "unknown", "unknown"))[0] == 404


class Anchor:
    """A program of the operator's that is told where calls go, or asked."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self.status = 200
        self.seen: Callable[[], None] = lambda: None
        self.url = ""

    async def __call__(self, request: web.Request) -> web.Response:
        self.told.append(await request.json())
        self.seen()
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def anchor() -> AsyncIterator[Anchor]:
    """One that listens."""
    made, app = Anchor(), web.Application()
    app.router.add_post("/", made)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


def anchored(url: str) -> str:
    """An agent that gives calls back."""
    return (
        AGENT.replace(
            "  sip:",
            "  anchor:\n    description: Who gave us the call.\n"
            '    to: "+33612345678"\n    mode: hangup\n'
            '    headers: {X-About: "{{summary.short}}"}\n  sip:',
            1,
        )
        + f'webhooks: [{{url: "{url}", events: ["transfer.requested"]}}]\n'
    )


async def test_w30_w31_a_call_is_given_back_when_somebody_knows_of_it(
    tmp_path: Path, anchor: Anchor
) -> None:
    """Said, heard, told, and only then hung up."""
    script = Scenario([GREETING, wish("anchor")])
    agent = anchored(anchor.url)
    async with stage(
        RealtimeEmulator(script, pace=0), tmp_path, agent=agent, webhook_loopback=True
    ) as s:
        anchor.seen = lambda: heard.append((heard_tone(call.stream, 660), len(orders(s))))
        heard: list[tuple[int, int]] = []
        call = await ask(s)
        record = await finish(s, call)

    ((heard_ms, ordered),) = heard
    assert heard_ms >= 160
    assert ordered == 0, "hung up before anybody knew"
    [told] = anchor.told
    assert told["type"] == "transfer.requested"
    assert told["data"]["to"] == "+33612345678"
    headers = told["data"]["headers"]
    assert (headers["Transfer-Target"], headers["X-About"]) == ("+33612345678", SUMMARY)
    assert record["end_reason"] == "transferred"
    assert record["transfers"][0]["outcome"] == "handed_over"


async def test_nobody_is_hung_up_on_whom_nobody_takes_back(tmp_path: Path, anchor: Anchor) -> None:
    """The anchor is down: the agent says that it did not work."""
    anchor.status = 500
    told = Expect(tool_outputs=1, tool_output_contains="not_told")
    script = Scenario([GREETING, wish("anchor"), told, BACK])
    agent = anchored(anchor.url)
    async with stage(
        RealtimeEmulator(script, pace=0), tmp_path, agent=agent, webhook_loopback=True
    ) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 100)
        await call.hang_up()
        record = await finish(s, call)

    assert record["end_reason"] == "caller_hangup"
    assert record["transfers"][0]["outcome"] == "refused:not_told"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"to": "+14155550123"}, "connected"),
        ({"to": "+19005551234"}, "refused:misunderstood"),
    ],
)
async def test_l27_a_program_says_where_the_caller_goes(
    tmp_path: Path, anchor: Anchor, answer: dict[str, Any], outcome: str
) -> None:
    """Asked when it comes to that; what the document could not say leads nowhere."""
    anchor.answer = answer
    script = Scenario([GREETING, wish("asked"), *([] if outcome == "connected" else [BACK])])
    agent = AGENT.replace(
        "  sip:", f'  asked: {{description: Asked., to: "webhook:{anchor.url}"}}\n  sip:', 1
    )
    async with stage(
        RealtimeEmulator(script, pace=0), tmp_path, agent=agent, webhook_loopback=True
    ) as s:
        call = await ask(s, answers={"+14155550123": DialOutcome(talk_ms=50)})
        if outcome != "connected":
            await call.until(lambda: heard_tone(call.stream, 880) >= 100)
            await call.hang_up()
        record = await finish(s, call)

    assert anchor.told[0]["data"]["summary"] == SUMMARY
    assert call.dialled == (["+14155550123"] if outcome == "connected" else [])
    assert record["transfers"][0]["outcome"] == outcome
