"""The page of a call in a browser: it shows what is said, and sends what is typed."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from tests.page.stage import axe
from tests.walks.stage import heard_tone, stage
from tests.walks.test_links import AWARE, LINKED, SENDS, SENT, linked, undone
from tests.walks.test_texting import GREETING, told

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOSTILE = "<img src=x onerror=alert(1)>"


async def test_a_caller_reads_along_and_writes_on_their_telephone(
    browser: Browser, tmp_path: Path
) -> None:
    """W62: on a small screen; whatever is typed stays text; axe finds nothing, live and over."""
    context = await browser.new_context(viewport={"width": 320, "height": 640})
    page = await context.new_page()
    openai = RealtimeEmulator(Scenario([GREETING, SENDS, SENT, AWARE]), pace=0)
    async with stage(openai, tmp_path, agent=LINKED, jobs=undone) as s:
        call, link = await linked(s)
        await page.goto(s.url + link.path)
        lines = page.locator("#lines li")
        await expect(lines.first).to_contain_text("Hello, this is the test line.")
        live = await axe(page)
        await page.get_by_label("Write to the agent").fill(HOSTILE)
        await page.get_by_role("button", name="Send").click()
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await expect(lines.filter(has_text=HOSTILE)).to_have_count(1)
        said = [text for role, text in told(s) if role == "user"]
        await call.hang_up()
        await expect(page.get_by_role("status")).to_contain_text("You can still write")
        over = await axe(page)
        wide = await page.evaluate("document.documentElement.scrollWidth")
    await context.close()

    assert said == [HOSTILE]
    assert (live, over) == ([], [])
    assert wide <= 320
