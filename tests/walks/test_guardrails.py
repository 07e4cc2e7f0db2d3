"""What must not be said, as the caller hears it: over all sockets, with a judge beside."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.emulators.openai_responses import ResponsesDesk
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario
from app.emulators.twilio_call import EmulatedCall
from tests.waiting import until
from tests.walks.front import Front
from tests.walks.stage import AGENT, GREETING, VOICE, Stage, heard_tone, measured, stage

SORRY = "I cannot talk about that."
BLOCKLIST = f"""{AGENT}
guardrails:
  say: {SORRY}
  output: [{{type: blocklist, name: rivals, words: [Acme]}}]
"""
JUDGED = f"""{AGENT}
guardrails:
  say: {SORRY}
  output: [{{type: classifier, name: advice, description: Gives legal advice.}}]
  limit: {{trips: 1}}
"""
CANCEL, TRUNCATE = "response.cancel", "conversation.item.truncate"
NEAR_MS = 80


class Desks(Front):
    """One address of OpenAI's: what is posted goes to the second port."""

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65_536)
        port = self.to[first.startswith(b"POST")]
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers |= {writer, there_writer}
        there_writer.write(first)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, there_writer))
            group.create_task(self._pump(there_reader, writer))


@asynccontextmanager
async def judged(
    openai: RealtimeEmulator, desk: ResponsesDesk, folder: Path
) -> AsyncIterator[Stage]:
    """A stage where judges are asked at the desk."""
    async with Desks(0, urlsplit(desk.url).port or 0).up() as both:
        url = f"http://127.0.0.1:{both.port}/v1"
        async with stage(openai, folder, agent=JUDGED, openai_base_url=url) as s:
            both.to[0] = openai.port
            yield s


async def greeted(s: Stage) -> EmulatedCall:
    """A caller who has heard the greeting and says something."""
    call = await s.twilio.call()
    await call.heard_at_least(180)
    await call.speak(VOICE)
    return call


def facts(folder: Path) -> list[dict[str, Any]]:
    """What is known of broken rules, as the store keeps it."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        asked = "SELECT data FROM call_facts WHERE type = 'guardrail.tripped' ORDER BY seq"
        return [json.loads(data) for (data,) in database.execute(asked)]


async def test_a_blocked_word_is_cut_and_an_apology_heard(tmp_path: Path) -> None:
    """C20: cancelled, truncated at what the ear heard; the fact names the rule, not the word."""
    long = "Well, you could for instance ask Acme, who are the best of all of them."
    script = Scenario(
        [
            GREETING,
            Reply(long, 1_600, 660),
            Expect(sent=[CANCEL], instructions_contain=SORRY),
            Reply(SORRY, 300, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=2)
    async with stage(openai, tmp_path, agent=BLOCKLIST) as s:
        call = await greeted(s)
        await call.until(lambda: call.stream.received["clear"] > 0)
        truth_ms = heard_tone(call.stream, 660)
        await s.session.client_events.until(TRUNCATE, 1)
        [cut] = s.session.client_events.of(TRUNCATE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 240)
        heard_ms = heard_tone(call.stream, 660)
        await call.hang_up()
        record = await s.record(call)

        assert abs(cut["audio_end_ms"] - truth_ms) <= NEAR_MS
        assert heard_ms - truth_ms <= NEAR_MS, "more of it after the clear"
        assert heard_ms < 1_200, "it was said nearly whole"
        assert record["guardrails"] == {"input_trips": 0, "output_trips": 1}
        said = [one["text"] for turn in record["turns"] for one in turn["responses"]]
        assert not [text for text in said if text and "Acme" in text]
        call.assert_clean()
        openai.assert_clean()
        s.assert_conforms()
    tripped = {"direction": "output", "type": "blocklist", "action": "cancel"}
    assert facts(tmp_path) == [{"name": "rivals", **tripped}]


async def test_a_verdict_cuts_an_answer_and_ends_the_call(tmp_path: Path) -> None:
    """A judge is asked beside the audio; once is enough for this operator."""
    long = "You should take them to court, and you will win, because the law is on your side. " * 2
    script = Scenario(
        [
            GREETING,
            Reply(long, 3_000, 660),
            Expect(sent=[CANCEL], instructions_contain="say goodbye"),
            Reply("Goodbye.", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=2)
    desk = ResponsesDesk("sk-local", [{"violates": x} for x in (False, True, False)])
    async with desk, judged(openai, desk, tmp_path) as s:
        call = await greeted(s)
        await until(lambda: call.stream.received["clear"] > 0)
        measured("verdict to silence, in steps of 10 ms", desk.answered_at_s[1])
        await call.ended()
        record = await s.record(call)

        assert record["end_reason"] == "guardrail"
        assert heard_tone(call.stream, 660) < 2_000
        assert heard_tone(call.stream, 880) >= 100
        assert desk.faults == []
        openai.assert_clean()
        s.assert_conforms()
    [tripped] = facts(tmp_path)
    assert (tripped["name"], tripped["action"]) == ("advice", "end_call")
