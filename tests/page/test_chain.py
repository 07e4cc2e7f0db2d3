"""The page, the local carrier and the real server: nothing is scripted but the model's words."""

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario, ToolUse
from tests.page.stage import chromium
from tests.walks.stage import Stage, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCAL = {"ticket": "t"}
AGENT = """
instructions: You answer the phone for the tests.
greeting: Hello.
transfer_targets:
  billing: {description: Questions about invoices., to: "+14155550123"}
"""
EAR = """
window.tones = 0;
window.loud = 0;
window.OscillatorNode = class extends OscillatorNode {
  start(...when) { window.tones += 1; super.start(...when); }
};
addEventListener("DOMContentLoaded", () => {
  const bar = document.getElementById("meter-they");
  const look = () => (window.loud += bar.style.getPropertyValue("--level") > 0.4);
  new MutationObserver(look).observe(bar, { attributes: true });
});
"""
"""Counts the tones that the page makes itself, and how often what came was loud."""
TRANSFER = ToolUse("transfer_call", {"target": "billing"})


async def opened(context: BrowserContext, s: Stage, path: str, status: str) -> Page:
    """A tab whose line is up."""
    page = await context.new_page()
    await page.add_init_script(EAR)
    await page.goto(s.url + path)
    await expect(page.locator("#status")).to_have_text(status)
    return page


async def test_a_call_is_typed_put_through_answered_and_ended(tmp_path: Path) -> None:
    """What a newcomer does first, on a machine that has not even a microphone."""
    model = RealtimeEmulator(
        Scenario(
            [
                Reply("Hello.", 300, 440),
                Expect(message_contains="my bill"),
                Reply("I put you through.", 300, 660, tools=[TRANSFER]),
            ]
        ),
        pace=0,
    )
    async with (
        chromium() as browser,
        stage(model, tmp_path, agent=AGENT, local=LOCAL) as s,
        await browser.new_context() as context,
    ):
        person = await opened(context, s, "/phone?line=person", "Waiting for a call")
        caller = await opened(context, s, "/phone", "Ready")
        captions = caller.locator("#captions")

        await caller.get_by_role("button", name="Call").click()
        await expect(captions).to_contain_text("Hello.")
        await caller.get_by_label("Instead of speaking").fill("It is about my bill.")
        await caller.get_by_role("button", name="Send as text").click()
        await expect(captions).to_contain_text("It is about my bill.")
        answer = person.get_by_role("button", name="Answer")
        await answer.wait_for(timeout=60_000)
        await expect(caller.locator("#status")).to_have_text("Putting you through …")
        before = await caller.evaluate("window.loud")
        await caller.wait_for_function("(before) => window.loud > before + 5", arg=before)
        assert await caller.evaluate("window.tones") == 0, "the ringing is the carrier's, once"
        await answer.click()
        await expect(caller.locator("#status")).to_have_text("Talking to a person")
        await expect(person.locator("#status")).to_have_text("Talking")
        await caller.get_by_role("button", name="Hang up").click()

        await expect(caller.locator("#status")).to_have_text("Ready")
        await expect(person.locator("#captions")).to_contain_text("The caller hung up.")
        await expect(captions).to_contain_text("I put you through.")
        (call,) = s.twilio.calls.values()
        record = await s.record(call)
        assert record["end_reason"] == "transferred"
        s.twilio.assert_clean()
        s.assert_conforms()
