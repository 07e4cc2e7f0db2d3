"""A browser is started once per file; every test has a context of its own in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.page.hearing import babble, write_wav
from tests.page.stage import FAKE_DEVICE, FAKE_GRANT, Stage, chromium, stage

BABBLE_S = 14
LEAD_S = 0.5
"""Silence first: the device opens before the first frame leaves."""

expect.set_options(timeout=60_000)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(tmp_path_factory) -> AsyncIterator[Browser]:  # type: ignore[no-untyped-def]
    """With a microphone into which somebody babbles for a while, and leave to use it."""
    wav = Path(tmp_path_factory.mktemp("microphone")) / "babble.wav"
    write_wav(wav, babble(BABBLE_S))
    said = f"--use-file-for-fake-audio-capture={wav}%noloop"
    names = "--host-resolver-rules=MAP patchline.test 127.0.0.1"
    async with chromium(FAKE_DEVICE, FAKE_GRANT, said, names) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def s() -> AsyncIterator[Stage]:
    """A server and a carrier, and at the end: no request elsewhere, no complaint."""
    async with stage() as made:
        yield made
        assert not made.foreign()
        assert not made.complaints


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, s: Stage) -> AsyncIterator[Page]:
    """The caller's phone, its line up."""
    context = await browser.new_context()
    try:
        page = await s.open(context)
        await page.locator('body[data-state="idle"]').wait_for()
        yield page
    finally:
        await context.close()
