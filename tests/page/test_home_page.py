"""The first page in a real browser: alive with scripts, complete without, usable by everybody."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI, Request, Response
from playwright.async_api import Browser, BrowserContext, Page, expect

from app.http import pages, problems
from app.http.checklist import Checklist
from app.http.guard import operator
from app.http.home import Home
from app.http.steps import Calls, Place
from app.services.checks import Numbers, Told
from tests.page.stage import RUNGS, axe

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDTHS = (360, 820, 1280)
UNSET, NO_NUMBERS, NO_CALLS = Told("unset"), Numbers("unset"), Calls(0, 0)
SCRIPT = "<script>document.title='taken'</script>"
REAL = Place(
    port=5050,
    model="gpt-realtime-2.1",
    model_host="api.openai.com",
    agent_file="agent.yaml",
    public_url="https://phone.contoso.test",
    local_model=False,
    local_line=False,
)
LOCAL = replace(REAL, public_url=None, local_model=True, local_line=True)


@dataclass
class Others:
    """The other computers, as the test has them."""

    model: Told = UNSET
    carrier: Told = UNSET
    public: Told = UNSET
    owned: Numbers = NO_NUMBERS
    asked: int = 0

    async def openai(self) -> Told:
        self.asked += 1
        return self.model

    async def account(self) -> Told:
        return self.carrier

    async def public_url(self) -> Told:
        return self.public

    async def numbers(self) -> Numbers:
        return self.owned

    async def listens(self, url: str) -> bool:
        return url.endswith("/phone")

    def close(self) -> None:
        """Nothing to close."""


READY = Others(Told("ok"), Told("ok"), Told("ok"), Numbers("ok", here=("+33 ••• 78",)))


@dataclass
class Front:
    """A server of the page, and what the browser asked and complained of."""

    others: Others
    calls: Calls = NO_CALLS
    url: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    async def open(self, context: BrowserContext, path: str = "/", *, live: bool = True) -> Page:
        """The page; with scripts, once it has asked for the first time."""
        page = await context.new_page()
        self.pages.append(page)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._complained)
        await page.goto(self.url + path)
        if live:
            await expect(page.locator("#summary")).to_contain_text("Checked at")
        return page

    def _complained(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


async def gathered(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All at once."""
    return list(await asyncio.gather(*work))


@asynccontextmanager
async def front(place: Place, others: Others) -> AsyncIterator[Front]:
    """A server on a port of its own; at the end: no request elsewhere, no complaint."""
    made = Front(replace(others))
    setup = pages.PhoneSetup("ws://localhost:9/phone", "the-ticket", RUNGS)
    checklist = Checklist(
        place,
        made.others,
        phone=lambda: setup if place.local_line else None,
        calls=lambda: made.calls,
        at_once=gathered,
    )
    home = Home(checklist, operator("the-key"))
    app = FastAPI()
    problems.install(app)
    app.include_router(home.routes())

    @app.get("/")
    async def root(request: Request) -> Response:
        return await home.page(request)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        made.url = f"http://localhost:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield made
        finally:
            # It goes on counting calls, and would complain of a server that is gone.
            for page in made.pages:
                await page.close()
            server.should_exit = True
            await serving
    assert not [url for url in made.requests if not url.startswith(made.url)]
    assert not made.complaints


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser window of its own."""
    made = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        yield made
    finally:
        await made.close()


async def unfold(page: Page) -> None:
    """All the advice there is."""
    folded = page.locator("details:not([open]) > summary")
    while await folded.count():
        await folded.first.click()


def state(page: Page, step: str) -> Any:
    """The word beside a step."""
    return page.locator(f'[data-id="{step}"] .state')


async def test_a_newcomer_sees_what_runs_and_the_next_step(context: BrowserContext) -> None:
    """Without an account there is one thing to do now, and one to do next."""
    async with front(LOCAL, Others()) as f:
        page = await f.open(context)

        await expect(page.get_by_role("heading", level=1)).to_have_text("Patchline is running")
        await expect(page.locator(".running")).to_contain_text("Local model")
        await expect(page.locator(".running")).to_contain_text("PocketSphinx")
        for link in ("Talk to it now", "Open the telephone"):
            assert await page.get_by_role("link", name=link).get_attribute("href") == "/phone"
        await expect(page.locator("#summary")).to_contain_text("1 of 6 done.")
        await expect(page.locator("details[open]")).to_have_count(1)
        await expect(page.locator('[data-id="openai"] code')).to_be_visible()
        assert "the-ticket" not in await page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("others", [Others(), READY, Others(Told("refused"), Told("busy"))])
async def test_everybody_can_read_it(browser: Browser, scheme: Any, others: Others) -> None:
    """Contrast, names, order, in every state and in both lights."""
    context = await browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    try:
        async with front(LOCAL if others == Others() else REAL, others) as f:
            page = await f.open(context)
            await unfold(page)

            assert await axe(page) == []
    finally:
        await context.close()


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_is_wider_than_the_window(context: BrowserContext, width: int) -> None:
    """Long lines to copy scroll in their boxes; the page does not."""
    async with front(LOCAL, Others()) as f:
        page = await f.open(context)
        await page.set_viewport_size({"width": width, "height": 800})
        await unfold(page)

        wide = await page.locator("html").evaluate("all => all.scrollWidth")
        small = [
            box
            for button in await page.locator("button:visible, .button:visible").all()
            if (box := await button.bounding_box()) and min(box["width"], box["height"]) < 24
        ]
        assert wide <= width
        assert not small


async def test_it_is_worked_with_the_keyboard(context: BrowserContext) -> None:
    """Unfolded advice stays unfolded and the place is kept when the list comes anew."""
    async with front(LOCAL, Others()) as f:
        page = await f.open(context)
        how = page.locator('[data-id="public_url"] summary')
        await how.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("ngrok http 5050")).to_be_visible()
        before = f.others.asked

        await page.locator("#again").focus()
        await page.keyboard.press("Enter")

        await expect(page.locator("#again")).to_have_text("Check again")
        assert f.others.asked == before + 1
        await expect(page.get_by_text("ngrok http 5050")).to_be_visible()
        await expect(page.locator("#again")).to_be_focused()


async def test_the_place_in_the_list_is_kept_while_it_is_asked_anew(
    context: BrowserContext,
) -> None:
    """Who tabs through the page while a call comes in is not thrown to its top."""
    async with front(REAL, READY) as f:
        page = await f.open(context)
        f.others.owned = Numbers("ok", elsewhere=("+33 ••• 78",))
        await page.locator("#again").click()
        how = page.locator('[data-id="webhook"] summary')
        await how.focus()

        f.calls = Calls(1, 1)

        await expect(state(page, "real_call")).to_have_text("Done")
        await expect(how).to_be_focused()


async def test_a_line_is_copied_with_one_press(context: BrowserContext) -> None:
    """What is typed by hand is typed wrong."""
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    async with front(LOCAL, Others()) as f:
        page = await f.open(context)
        button = page.get_by_role("button", name=re.compile("^Copy OPENAI_API_KEY="))

        await button.click()

        await expect(page.locator('[data-id="openai"] .copy')).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == "OPENAI_API_KEY=sk-…"


async def test_what_was_mended_is_seen_when_it_is_checked_again(context: BrowserContext) -> None:
    """From not working to done, without loading the page anew."""
    others = replace(READY, public=Told("tunnel_offline"))
    async with front(REAL, others) as f:
        page = await f.open(context)
        await expect(state(page, "public_url")).to_have_text("Not working")
        await expect(page.locator("#summary")).to_contain_text("4 of 6 done, 1 not working.")

        f.others.public = Told("ok")
        await page.get_by_role("button", name="Check again").click()

        await expect(state(page, "public_url")).to_have_text("Done")
        await expect(page.locator('[data-id="real_call"]')).to_contain_text("Ring +33 ••• 78")


async def test_a_call_that_comes_in_is_seen_at_once(context: BrowserContext) -> None:
    """The moment everything was for needs no button."""
    async with front(REAL, READY) as f:
        page = await f.open(context)
        await expect(page.locator("#calls")).to_have_text("None since the start")
        await expect(state(page, "real_call")).to_have_text("To do")

        f.calls = Calls(live=1, since_start=1)

        await expect(page.locator("#calls")).to_have_text("1 since the start, 1 live")
        await expect(state(page, "real_call")).to_have_text("Done")
        await expect(page.locator("#summary")).to_contain_text("6 of 6 done.")


async def test_all_of_it_is_there_without_scripts(browser: Browser) -> None:
    """And one link asks the others."""
    context = await browser.new_context(java_script_enabled=False)
    try:
        async with front(REAL, replace(READY, public=Told("tunnel_offline"))) as f:
            page = await f.open(context, live=False)
            await expect(page.locator(".running")).to_contain_text("gpt-realtime-2.1")
            await expect(state(page, "public_url")).to_have_text("Not sure")
            await expect(page.locator("#again")).to_be_hidden()
            assert f.others.asked == 0

            await page.get_by_role("link", name="Check now").click()

            await expect(state(page, "public_url")).to_have_text("Not working")
            await expect(page.get_by_text("ngrok http 5050")).to_be_visible()
            await expect(page.locator("#summary")).to_have_text("4 of 6 done, 1 not working.")
    finally:
        await context.close()


async def test_what_others_say_is_text(context: BrowserContext) -> None:
    """A number's, a model's or a file's name is nobody's script."""
    others = Others(
        Told("without_model", (SCRIPT,)),
        Told("ok"),
        Told("redirected", (SCRIPT,)),
        Numbers("ok", here=(SCRIPT,), elsewhere=(SCRIPT,)),
    )
    place = replace(REAL, agent_file=SCRIPT, model=SCRIPT, model_host=SCRIPT)
    async with front(place, others) as f:
        page = await f.open(context)

        await expect(page).to_have_title("Patchline")
        await expect(page.locator("main script")).to_have_count(0)
        await expect(page.locator("#steps")).to_contain_text(SCRIPT)


async def test_a_server_that_went_away_is_told(context: BrowserContext) -> None:
    """A page that shows yesterday's state as today's is worse than none."""
    async with front(LOCAL, Others()) as f:
        page = await f.open(context)
        await page.route("**/setup/**", lambda route: route.abort())

        await page.locator("#again").click()

        await expect(page.locator("#summary")).to_contain_text("The server does not answer.")
        await expect(page.locator("#again")).to_have_text("Check again")
        f.complaints.clear()  # the browser tells of requests that fail


async def test_another_name_of_this_machine_shows_that_it_runs_and_no_more(
    context: BrowserContext,
) -> None:
    """A name somebody pointed at 127.0.0.1 is the way of a page from elsewhere."""
    async with front(LOCAL, Others()) as f:
        port = f.url.rpartition(":")[2]
        own, f.url = f.url, f"http://patchline.test:{port}"
        page = await f.open(context, live=False)

        await expect(page.get_by_role("heading", level=1)).to_have_text("Patchline is running")
        await expect(page.locator("#steps")).to_have_count(0)
        await expect(page.get_by_text("http://localhost:5050", exact=True)).to_be_visible()
        assert await axe(page) == []
        assert own != f.url
        assert f.others.asked == 0
