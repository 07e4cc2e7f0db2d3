"""Text messages of a live call, between the real server and the two companies."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from app.emulators.carrier import Numbers
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from app.emulators.twilio import Arrival
from app.emulators.twilio_call import EmulatedCall
from app.jobs.port import Answer as AnswerJob
from app.jobs.port import Job
from tests.waiting import until
from tests.walks.stage import AGENT, PUBLIC_URL, VOICE, Stage, heard_tone, kept_records, stage
from tests.walks.telephone import TICKET, telephone

CALLER = "+12125551234"
DESK = "+33612345678"
TEXTS = (
    AGENT
    + f"""
transfer_targets:
  desk: {{description: Claims., to: "{DESK}"}}
sms:
  to: [caller, desk]
  segments: 2
  per_call: 2
  media: {{map: {{url: "https://contoso.test/map.png"}}}}
webhooks: []
"""
)
GREETING = Reply("Hello, this is the test line.", 200, 440)
TOLD = Reply("It is on its way.", 200, 660)
AWARE = Reply("I see.", 200, 880)


def sends(**given: object) -> Reply:
    """The model wants a message sent."""
    return Reply("One moment.", 100, 550, tools=[ToolUse("send_sms", given)])


def texting(
    folder: Path, *replies: Reply, agent: str = TEXTS, **settings: Any
) -> AbstractAsyncContextManager[Stage]:
    """A stage whose agent may send messages."""
    openai = RealtimeEmulator(Scenario([GREETING, *replies]), pace=0)
    return stage(openai, folder, agent=agent, **settings)


def held(s: Stage) -> None:
    """Twilio tells nothing of messages by itself."""
    s.twilio.post.arrivals = lambda _number: None


def outputs(s: Stage) -> list[dict[str, Any]]:
    """What the model was told of its tool calls."""
    made = [x for x in s.session.client_events if x["type"] == "conversation.item.create"]
    items = [x["item"] for x in made]
    return [orjson.loads(x["output"]) for x in items if x["type"] == "function_call_output"]


def told(s: Stage) -> list[tuple[str, str]]:
    """Messages the model was told, with whose they are."""
    made = [x["item"] for x in s.session.client_events if x["type"] == "conversation.item.create"]
    said = [x for x in made if x["type"] == "message"]
    return [(x["role"], x["content"][0]["text"]) for x in said]


async def asks(s: Stage, call: EmulatedCall, times: int = 1) -> dict[str, Any]:
    """The caller asks for a message: what the model is told in the end."""
    await call.speak(VOICE)
    await until(lambda: len(outputs(s)) >= times, 30)
    await call.until(lambda: heard_tone(call.stream, 660) >= 160 * times)
    return outputs(s)[-1]


async def arrives(s: Stage, status: str, code: str = "", times: int = 1) -> None:
    """Twilio's word on the newest message, at the address it was given."""
    form = next(x[2] for x in reversed(s.twilio.desk.requests) if x[1].endswith("Messages.json"))
    url = urlsplit(form["StatusCallback"])
    assert f"{url.scheme}://{url.netloc}" == PUBLIC_URL
    news = {"MessageSid": s.twilio.messages[-1]["sid"], "MessageStatus": status}
    news |= {"ErrorCode": code} if code else {}
    for _ in range(times):
        assert await s.post(f"{url.path}?{url.query}", news) == (204, "")


async def message(s: Stage, body: str, sid: int = 1, from_: str = CALLER) -> None:
    """Somebody sends a message to the line."""
    form = {"MessageSid": f"SM{sid:032x}", "From": from_, "To": "+14155550100", "Body": body}
    status, answer = await s.post("/incoming-message", form | {"NumMedia": "0"})
    assert (status, answer.endswith("<Response/>")) == (200, True)


async def test_the_caller_gets_a_message(tmp_path: Path) -> None:
    """W68, W69, W70, W71, W75: its text as written, from the line, to who is calling; and the
    record knows that it arrived."""
    wish = sends(text="Contoso, Main St 1", media="map")
    async with texting(tmp_path, wish, TOLD) as s:
        held(s)
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        output = await asks(s, call)
        await arrives(s, "delivered", times=2)
        await call.hang_up()
        record = await s.record(call)
        s.assert_conforms()
        [form] = [x[2] for x in s.twilio.desk.requests if x[1].endswith("Messages.json")]
        [sent] = s.twilio.messages

    assert output["ok"] is True
    given = {name: form[name] for name in ("To", "From", "Body", "MediaUrl")}
    assert given == {
        "To": CALLER,
        "From": call.to,
        "Body": "Contoso, Main St 1",
        "MediaUrl": "https://contoso.test/map.png",
    }
    [text] = record["sms"]
    assert (text["message_sid"], text["status"], text["to"]) == (sent["sid"], "delivered", "caller")
    assert text["direction"] == "outbound"


async def test_a_message_goes_to_a_target_by_its_name(tmp_path: Path) -> None:
    """W71: the number is the document's; a messaging service may send it (W70)."""
    service = "MG" + "0" * 32
    agent = TEXTS.replace("sms:\n", f"sms:\n  from: {service}\n")
    async with texting(tmp_path, sends(text="Call back", to="desk"), TOLD, agent=agent) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        output = await asks(s, call)
        await call.hang_up()
        await s.record(call)
        [sent] = s.twilio.messages

    assert output["ok"] is True
    assert (sent["to"], sent["from"], sent["messaging_service_sid"]) == (DESK, None, service)


async def opts_out(s: Stage) -> None:
    """The caller once sent STOP, of which only Twilio knows."""
    s.twilio.desk.opted_out.add(CALLER)


async def is_a_landline(s: Stage) -> None:
    """Twilio refuses what libphonenumber took for a mobile number."""
    s.twilio.fail_next("Messages.json", status=400, code=21614)


async def loses_the_answer(s: Stage) -> None:
    """The message is sent, and nobody hears of it."""
    s.twilio.fail_next("Messages.json", status=0, code=0, after=True)


async def nothing(_s: Stage) -> None:
    """All is as usual."""


@pytest.mark.parametrize(
    ("caller", "before", "words", "messages"),
    [
        (CALLER, opts_out, "opted out", 0),
        (CALLER, is_a_landline, "landline", 0),
        (CALLER, loses_the_answer, "Do not send it again", 1),
        ("+33142685300", nothing, "landline", 0),
        ("anonymous", nothing, "no number", 0),
        ("+266696687", nothing, "no number", 0),
    ],
)
async def test_what_is_not_sent_is_told_in_words(
    tmp_path: Path,
    caller: str,
    before: Callable[[Stage], Awaitable[None]],
    words: str,
    messages: int,
) -> None:
    """W71, W74: refused at once, by us or by Twilio; the agent knows why, nothing is repeated."""
    async with texting(tmp_path, sends(text="x"), TOLD) as s:
        await before(s)
        call = await s.twilio.call(from_=caller)
        await call.heard_at_least(200)
        output = await asks(s, call)
        await call.hang_up()
        await s.record(call)
        count = len(s.twilio.messages)

    assert output["ok"] is False
    assert words.casefold() in output["reason"].casefold()
    assert count == messages


async def test_who_opted_out_is_not_asked_of_twilio_again(tmp_path: Path) -> None:
    """21610 is kept, until the caller sends START."""
    replies = (sends(text="x"), TOLD, sends(text="y"), TOLD, sends(text="z"), TOLD)
    async with texting(tmp_path, *replies) as s:
        await opts_out(s)
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        first = await asks(s, call)
        second = await asks(s, call, 2)
        asked = sum(x[1].endswith("Messages.json") for x in s.twilio.desk.requests)
        await call.hang_up()
        await s.record(call)

    assert (first["status"], second["status"]) == ("opted_out", "opted_out")
    assert asked == 1


async def test_stop_and_start_are_kept(tmp_path: Path) -> None:
    """Neither is given to the agent, nor answered: Twilio does that."""
    async with texting(tmp_path, sends(text="x"), TOLD, sends(text="y"), TOLD) as s:
        held(s)
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await message(s, "STOP", 1)
        refused = await asks(s, call)
        await message(s, "HELP", 2)
        await message(s, "Start", 3)
        sent = await asks(s, call, 2)
        said = told(s)
        await call.hang_up()
        record = await s.record(call)

    with closing(sqlite3.connect(tmp_path / "data" / "patchline.db")) as database:
        asked = "SELECT data FROM call_facts WHERE type = 'caller.opted_out'"
        assert database.execute(asked).fetchall() == [('{"channel":"sms"}',)]
    assert (refused["status"], sent["status"]) == ("opted_out", "sent")
    assert not [text for role, text in said if role == "user"]
    assert [one["status"] for one in record["sms"]] == ["not_sent", "sent"]


async def test_a_call_sends_no_more_than_it_may(tmp_path: Path) -> None:
    """A model that loops must not become a bill."""
    wishes = [reply for _ in range(3) for reply in (sends(text="x"), TOLD)]
    async with texting(tmp_path, *wishes) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        states = [(await asks(s, call, times))["status"] for times in (1, 2, 3)]
        await call.hang_up()
        await s.record(call)
        count = len(s.twilio.messages)

    assert states == ["sent", "sent", "too_many"]
    assert count == 2


async def test_a_message_that_does_not_arrive_becomes_a_turn(tmp_path: Path) -> None:
    """W74: Twilio says so later, twice; the agent speaks of it once."""
    async with texting(tmp_path, sends(text="x"), TOLD, AWARE) as s:
        held(s)
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await asks(s, call)
        await arrives(s, "sent")
        await arrives(s, "undelivered", "30006", times=2)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        said = told(s)
        await call.hang_up()
        record = await s.record(call)
        s.assert_conforms()

    notes = [text for role, text in said if role == "system" and "has not arrived" in text]
    assert len(notes) == 1
    assert "landline" in notes[0]
    [text] = record["sms"]
    assert (text["status"], text["error_code"]) == ("undelivered", 30006)
    assert "sms_failed" in [turn["type"] for turn in record["turns"]]


@pytest.mark.parametrize(
    ("arrival", "status", "code"),
    [
        (Arrival(), "delivered", None),
        (Arrival("undelivered", 30003), "undelivered", 30003),
        (Arrival("failed", 30006), "failed", 30006),
    ],
)
async def test_the_carrier_tells_what_became_of_a_message(
    tmp_path: Path, arrival: Arrival, status: str, code: int | None
) -> None:
    """W74: by signed callbacks of its own; one that is in vain becomes a turn."""
    async with texting(tmp_path, sends(text="x"), TOLD, AWARE) as s:
        s.twilio.post.arrivals = {CALLER: arrival}
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await asks(s, call)
        await until(lambda: len(s.twilio.post.told) == 2 + (status != "failed"))
        if code is not None:
            await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        record = await s.record(call)
        told = [(one.form["MessageStatus"], one.status_code) for one in s.twilio.post.told]

    before = ["queued"] if status == "failed" else ["queued", "sent"]
    assert told == [(one, 204) for one in (*before, status)]
    [text] = record["sms"]
    assert (text["status"], text["error_code"]) == (status, code)


async def test_answer_this_text_with_your_address(tmp_path: Path) -> None:
    """W75: the agent writes, the caller answers from their phone, the agent reads it and speaks."""
    wish = sends(text="Answer this text with your address.")
    reads = Reply("Main Street, then.", 200, 880)
    async with (
        texting(
            tmp_path, wish, TOLD, reads, local={"ticket": TICKET, "numbers": Numbers(caller=CALLER)}
        ) as s,
        telephone(s.local) as phone,
    ):
        await phone.send("dial")
        await phone.hears(440, 160)
        phone.speak(VOICE)
        message = await phone.got("sms")
        await phone.hears(660, 160)
        await phone.send("text", body="12 Main Street")
        await phone.hears(880, 160)
        said = told(s)
        await phone.send("hangup")
        await s.all_closed()
    [record] = kept_records(tmp_path)

    assert (message["body"], message["to"]) == ("Answer this text with your address.", CALLER)
    assert [text for role, text in said if role == "user"] == ["[SMS] 12 Main Street"]
    assert [(x["direction"], x["status"]) for x in record["sms"]] == [
        ("outbound", "delivered"),
        ("inbound", "received"),
    ]


async def test_news_of_a_call_that_is_over_are_in_its_record(tmp_path: Path) -> None:
    """Carriers take their time."""
    async with texting(tmp_path, sends(text="x"), TOLD) as s:
        held(s)
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await asks(s, call)
        await call.hang_up()
        record = await s.record(call)
        await arrives(s, "undelivered", "30003", times=2)
        later = await s.get(f"/v1/calls/{record['call_id']}")

    assert record["sms"][0]["status"] == "sent"
    assert [(x["status"], x["error_code"]) for x in later["sms"]] == [("undelivered", 30003)]


async def test_the_caller_sends_a_message_during_the_call(tmp_path: Path) -> None:
    """W73: it joins the call it belongs to, once, and no other."""
    async with texting(tmp_path, AWARE) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await message(s, "What a stranger writes", 1, from_="+12125559999")
        await message(s, "12 Main St", 2)
        await message(s, "12 Main St", 2)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        said = told(s)
        await call.hang_up()
        record = await s.record(call)
        s.assert_conforms()

    assert [text for role, text in said if role == "user"] == ["[SMS] 12 Main St"]
    assert [(x["direction"], x["status"]) for x in record["sms"]] == [("inbound", "received")]
    assert "sms" in [turn["type"] for turn in record["turns"]]


async def test_without_sms_in_the_document_messages_are_not_read(tmp_path: Path) -> None:
    """Off until the document says so; and a forged one is refused in any case."""
    async with texting(tmp_path, agent=AGENT) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await message(s, "12 Main St")
        session = next(x for x in s.session.client_events if x["type"] == "session.update")
        said = told(s)
        await call.hang_up()
        await s.record(call)

    assert "send_sms" not in str(session)
    assert not [text for role, text in said if role == "user"]


RESUMED = TEXTS + "timeouts: {resume: 3h}\n"


@dataclass
class Kept:
    """Jobs that are noted, and done by nobody."""

    jobs: list[tuple[str, Job]] = field(default_factory=list)

    async def enqueue(self, job: Job, *, job_id: str, after_s: float = 0) -> None:
        """Note it, once for its id."""
        if job_id not in dict(self.jobs):
            self.jobs.append((job_id, job))

    async def forget(self, call_id: str) -> int:
        """Nothing is."""
        return 0


async def test_a_text_after_the_call_joins_its_record_and_is_to_be_answered(tmp_path: Path) -> None:
    """W65, W73: once, however often Twilio brings it; a stranger's, and STOP, are nothing to
    answer."""
    kept = Kept()
    async with texting(tmp_path, agent=RESUMED, jobs=lambda _api: kept) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.hang_up()
        record = await s.record(call)
        await message(s, "Is it still at nine?", 2)
        await message(s, "Is it still at nine?", 2)
        await message(s, "Hello?", 3, from_="+12125559999")
        await message(s, "STOP", 4)
        later = await s.get(f"/v1/calls/{record['call_id']}")

    [(job_id, job)] = kept.jobs
    sid = f"SM{2:032x}"
    assert (job_id, job) == (
        f"answer:{record['call_id']}:{sid}",
        AnswerJob(record["call_id"], sid),
    )
    [text] = later["texts"]
    assert (text["by"], text["via"], text["text"]) == ("caller", "sms", "Is it still at nine?")
    assert [(x["direction"], x["message_sid"]) for x in later["sms"]] == [("inbound", sid)]


@pytest.mark.parametrize("agent", [TEXTS, AGENT + "timeouts: {resume: 3h}\n"])
async def test_nothing_is_answered_unless_the_document_says_so(tmp_path: Path, agent: str) -> None:
    """Neither without sms nor without a time in which the conversation goes on."""
    kept = Kept()
    async with texting(tmp_path, agent=agent, jobs=lambda _api: kept) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.hang_up()
        record = await s.record(call)
        await message(s, "Is it still at nine?", 2)
        later = await s.get(f"/v1/calls/{record['call_id']}")

    assert (kept.jobs, later["texts"]) == ([], [])
