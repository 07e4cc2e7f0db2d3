"""A spoken call on this machine, without accounts: everything in it is what a user starts.

The command, the local model with its recogniser and its voice, the local carrier, a browser
whose microphone was spoken by flite. Nothing is scripted but what the caller says and when; the
pauses leave several seconds for a machine that is busy, and the rest waits for facts.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from playwright.async_api import BrowserContext, Page, expect

from app.local.decoding import available
from tests.page.rehearsal import (
    FLITE,
    ROOT,
    House,
    Spoken,
    chromium,
    free_port,
    hearing,
    house,
    microphone,
)
from tests.page.stage import axe, needs_chromium
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENT = """
instructions: You answer the phone for Contoso Dental.
greeting: Hello, Contoso Dental. How can I help?
tools:
  appointment: {type: python, handler: "desk:appointment"}
transfer_to: "+14155550123"
failure: {then: end_call}
"""
DESK = '''
def appointment(number: int) -> str:
    """Say when an appointment is."""
    return (
        f"Appointment {number} is on Monday at nine in the morning, with Doctor Miller, in the"
        " second room on the left. Please come ten minutes early, bring your insurance card and"
        " the letter of your doctor, and tell us on the day before if you cannot come. You can"
        " park in the yard behind the house, and the door is open from eight in the morning."
    )
'''
SAID = (
    Spoken(6_000, "I have a question about my appointment"),
    Spoken(20_000, "I want to speak to a human please"),
)
FAILURE = "I'm sorry, we have a technical problem."
LONG_S = 60.0
KEY = "sk-local"
METERS = """
window.loud = {};
addEventListener("DOMContentLoaded", () => {
  for (const id of ["meter-you", "meter-they"]) {
    const bar = document.getElementById(id);
    window.loud[id] = 0;
    const look = () => (window.loud[id] += bar.style.getPropertyValue("--level") > 0.4);
    new MutationObserver(look).observe(bar, { attributes: true });
  }
  const status = document.getElementById("status");
  window.been = [];
  const note = () => window.been.push(status.textContent);
  new MutationObserver(note).observe(status, { childList: true, subtree: true });
});
"""
"""Counts the levels above -36 dBFS, of which the page measures twenty a second, and keeps the
states of the telephone, of which some are over soon."""


def needs_a_voice_and_ears() -> None:
    """Skip where they are not installed; where CI runs, that is a failure."""
    for there, what in ((FLITE, "flite"), (available(), "PocketSphinx")):
        if not there:
            assert os.environ.get("CI") != "true", f"CI needs {what} for a spoken call"
            pytest.skip(f"{what} is not installed")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def h(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """``python -m app serve`` with an agent document and no account."""
    needs_chromium()
    needs_a_voice_and_ears()
    folder = tmp_path_factory.mktemp("house")
    async with house(folder, AGENT_FILE=str(agent(folder))) as made:
        yield made


def agent(folder: Path) -> Path:
    """The agent document and its tool."""
    (folder / "desk.py").write_text(DESK, encoding="utf-8")
    document = folder / "agent.yaml"
    document.write_text(AGENT, encoding="utf-8")
    return document


@dataclass
class Tab:
    """A phone: a tab of the page, whose line is up."""

    page: Page
    complaints: list[str]
    """Exceptions of the page."""
    calls: list[str]
    """The CallSid of every call that it asked captions for."""

    async def hears(self, meter: str = "meter-they", levels: int = 8) -> None:
        """Wait until so many loud levels more were measured; raises TimeoutError."""
        began = await self._loud(meter)
        async with asyncio.timeout(LONG_S):
            while await self._loud(meter) - began < levels:  # noqa: ASYNC110 - in the browser
                await asyncio.sleep(0.1)

    async def _loud(self, meter: str) -> int:
        return int(await self.page.evaluate("(id) => window.loud[id]", meter))

    async def press(self, name: str) -> None:
        """A button, as soon as it can be pressed."""
        await self.page.get_by_role("button", name=name).click(timeout=1000 * LONG_S)

    async def shows(self, text: str) -> None:
        """Wait for words among the captions."""
        await expect(self.page.locator("#captions")).to_contain_text(text, timeout=1000 * LONG_S)

    async def is_(self, status: str) -> None:
        """Wait for a state of the telephone."""
        await expect(self.page.locator("#status")).to_have_text(status, timeout=1000 * LONG_S)

    async def been(self) -> list[str]:
        """The states of the telephone so far."""
        return list(await self.page.evaluate("window.been"))

    async def type(self, words: str, button: str) -> None:
        """A line for those who do not speak."""
        await self.page.get_by_label("Instead of speaking").fill(words)
        await self.press(button)


async def tab(context: BrowserContext, h: House, line: str, status: str) -> Tab:
    """Open a phone and wait until its line is up."""
    page = await context.new_page()
    complaints: list[str] = []
    calls: list[str] = []

    def asked(url: str) -> None:
        path, _, sid = url.partition("?callSid=")
        if path.endswith("/phone/events") and sid not in calls:
            calls.append(sid)

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked(request.url))
    await page.add_init_script(METERS)
    await page.goto(f"{h.url}/phone?line={line}")
    made = Tab(page, complaints, calls)
    await made.is_(status)
    return made


async def ended(h: House, phone: Tab) -> dict[str, Any]:
    """The record of the phone's last call, once it is closed."""
    async with asyncio.timeout(LONG_S):
        record = await h.record(phone.calls[-1])
        while record["status"] != "completed":
            await asyncio.sleep(0.1)
            record = await h.record(phone.calls[-1])
    return record


def answer_to(record: dict[str, Any], word: str) -> list[dict[str, Any]]:
    """What the agent said and did after the turn of the caller in which ``word`` was heard."""
    (turn,) = (turn for turn in record["turns"] if word in (turn["text"] or ""))
    responses: list[dict[str, Any]] = turn["responses"]
    return responses


async def test_a_caller_speaks_is_understood_interrupts_and_is_put_through(
    h: House, tmp_path: Path
) -> None:
    """The whole of what a newcomer is promised, in one call."""
    wav = tmp_path / "microphone.wav"
    await microphone(wav, SAID, 60_000)
    async with chromium(*hearing(wav)) as browser, await browser.new_context() as context:
        person = await tab(context, h, "person", "Waiting for a call")
        caller = await tab(context, h, "caller", "Ready")

        await caller.press("Call")
        await caller.hears()
        await caller.shows("Hello, Contoso Dental. How can I help?")

        await caller.shows("Please key in the number")
        await caller.page.locator("#telephone").press("4")
        await caller.page.keyboard.type("2#")
        await caller.shows("Appointment 42 is on Monday")
        cut = caller.page.locator(".caption.agent", has_text="Appointment 42").locator(".cut-here")
        await expect(cut).to_have_text("cut here", timeout=1000 * LONG_S)

        await caller.is_("Putting you through …")
        await person.press("Answer")
        await caller.is_("Talking to a person")
        await person.is_("Talking")
        await caller.type("It is about my bill. Can you hear me?", "Say it for me")
        await person.hears()
        await caller.hears()
        found = [await axe(caller.page), await axe(person.page)]

        await caller.press("Hang up")
        await caller.is_("Ready")
        await person.shows("The caller hung up.")
        record = await ended(h, caller)

    assert found == [[], []]
    assert caller.complaints + person.complaints == []
    assert record["end_reason"] == "transferred"
    assert [one["outcome"] for one in record["transfers"]] == ["connected"]
    one, other = record["turns"][-2]["responses"], answer_to(record, "human")
    assert one[-1]["interrupted"]
    assert 0 < one[-1]["heard_ms"] < one[-1]["audio_ms"]
    assert "transfer_call" in [response.get("name") for response in other]


@asynccontextmanager
async def killed(h: House, module: str) -> AsyncIterator[int]:
    """It and whoever is started in its place, for the length of the block: a successor that is
    quick takes the call over. Gives the id that it had."""
    died = h.companion(module)
    assert died is not None

    async def again(found: int | None) -> None:
        while True:
            if found is not None:
                with suppress(ProcessLookupError):
                    os.kill(found, signal.SIGKILL)
            await asyncio.sleep(0.1)
            found = await asyncio.to_thread(h.companion, module)

    killing = asyncio.create_task(again(died), name="killing")
    try:
        yield died
    finally:
        killing.cancel()
        await asyncio.wait({killing})


async def test_a_model_that_dies_in_mid_sentence_is_a_sentence_and_the_next_call_works(
    h: House,
) -> None:
    """The process can be killed by anybody; a caller who listens to nothing is a lost caller."""
    async with chromium() as browser, await browser.new_context() as context:
        caller = await tab(context, h, "caller", "Ready")
        await caller.press("Call")
        await caller.shows("Hello, Contoso Dental.")
        await caller.type("What can you do?", "Send as text")
        await caller.shows("This is the rehearsal voice")
        await caller.hears()

        async with killed(h, "app.local") as died:
            await caller.shows(FAILURE)
            await caller.hears()
            await caller.is_("Ready")
        assert "One moment …" in await caller.been()
        record = await ended(h, caller)
        assert record["end_reason"] == "model_failed"

        await until(lambda: "companion_started" in h.log, LONG_S)
        assert h.companion("app.local") not in (None, died)
        await caller.press("Call")
        await caller.hears()
        await caller.shows("Hello, Contoso Dental.")
        await caller.press("Hang up")
        await caller.is_("Ready")
        record = await ended(h, caller)

    assert record["end_reason"] == "caller_hangup"
    assert caller.complaints == []


@asynccontextmanager
async def local_model(port: int) -> AsyncIterator[None]:
    """The local model with room for one session."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.local", "--port", str(port), "--sessions", "1"),
        cwd=ROOT,
        env=os.environ | {"LOCAL_MODEL_KEY": KEY},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LONG_S):
            assert json.loads(await process.stdout.readline())["port"] == port
        yield
    finally:
        process.stdin.close()
        async with asyncio.timeout(LONG_S):
            await process.wait()


async def test_a_call_over_the_cap_of_the_model_hears_a_sentence(tmp_path: Path) -> None:
    """Its sessions share one core: one more would make all of them stammer."""
    needs_chromium()
    needs_a_voice_and_ears()
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url, "AGENT_FILE": str(agent(tmp_path))}
    async with (
        local_model(port),
        house(tmp_path, **settings) as h,
        chromium() as browser,
        await browser.new_context() as context,
    ):
        caller = await tab(context, h, "caller", "Ready")

        async with (
            AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client,
            client.realtime.connect(model="any"),
        ):
            for _ in range(2):
                await caller.press("Call")
                await caller.hears()
                await caller.shows(FAILURE)
                await caller.is_("Ready")
                assert (await ended(h, caller))["end_reason"] == "model_failed"
        await caller.press("Call")
        await caller.hears()
        await caller.shows("Hello, Contoso Dental.")
        await caller.press("Hang up")
        await caller.is_("Ready")
        record = await ended(h, caller)

    assert record["end_reason"] == "caller_hangup"
    assert caller.complaints == []
