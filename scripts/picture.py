"""The README's picture: the page in the middle of a spoken call, taken and not drawn.

Everything on it happened: the server, the local model and the local carrier are real, and the
caller is a microphone that was written in advance. Run it again when the page changes.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Page, ViewportSize, expect

from tests.page.rehearsal import ROOT, Spoken, chromium, hearing, house, microphone

PICTURE = ROOT / "docs" / "phone.png"
MOST_BYTES = 200 * 1024
WITHIN_MS = 30_000
SIZE: ViewportSize = {"width": 1080, "height": 778}
SAID = (
    Spoken(7_000, "when are you open on monday"),
    Spoken(15_000, "what can you do"),
    Spoken(20_500, "I want to speak to a human please"),
)
AGENT = """
instructions: You answer the phone for Contoso Dental.
greeting: Hello, Contoso Dental. How can I help?
tools:
  opening_hours: {type: python, handler: "app.agents.example_tools:opening_hours"}
transfer_to: "+14155550123"
"""


async def take(picture: Path, folder: Path) -> None:
    """Hold a call as far as the transfer and photograph it."""
    (folder / "agent.yaml").write_text(AGENT, encoding="utf-8")
    await microphone(folder / "microphone.wav", SAID, 40_000)
    async with (
        house(folder, AGENT_FILE=str(folder / "agent.yaml")) as made,
        chromium(*hearing(folder / "microphone.wav")) as browser,
    ):
        context = await browser.new_context(viewport=SIZE, color_scheme="light")
        person = await context.new_page()
        await person.goto(f"{made.url}/phone?line=person")
        page = await context.new_page()
        await page.goto(f"{made.url}/phone")
        await page.get_by_role("button", name="Call").click()
        await _story(page)
        await page.screenshot(path=picture)


async def _story(page: Page) -> None:
    """Wait until there is an answer, a cut one, and the person's phone rings."""
    captions = page.locator("#captions")
    await expect(captions.locator(".cut-here")).to_be_visible(timeout=WITHIN_MS)
    await expect(captions).to_contain_text("I am putting you through", timeout=WITHIN_MS)
    await expect(page.locator("#status")).to_have_text("Putting you through …", timeout=WITHIN_MS)


def main() -> None:
    """Take it, and refuse one that would weigh on the repository."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=PICTURE)
    picture: Path = parser.parse_args().to
    picture.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(take(picture, Path(folder)))
    size_bytes = picture.stat().st_size
    if size_bytes > MOST_BYTES:
        raise SystemExit(f"{picture} has {size_bytes} bytes, more than {MOST_BYTES}.")
    print(f"{picture}: {size_bytes // 1024} KiB")


if __name__ == "__main__":
    main()
