"""The page in a real browser, between a server that serves it and a scripted carrier.

Everything the browser asks for and complains about is kept: a test ends by looking at it.
"""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from app.http import pages, problems
from tests.page.carrier import TICKET, ScriptedCarrier, scripted_carrier

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FAKE_DEVICE = "--use-fake-device-for-media-stream"
FAKE_GRANT = "--use-fake-ui-for-media-stream"
RUNGS = (
    pages.Rung("hears", "PocketSphinx", "Listens for what the scenario expects."),
    pages.Rung("thinks", "Scenario", "Follows rules in a file.", "Set LOCAL_LLM_URL for more."),
    pages.Rung("speaks", "flite", "A voice from Debian."),
    pages.Rung("carrier", "Local carrier", "Stands where Twilio would be."),
)


def needs_chromium() -> None:
    """Skip where there is none; where CI runs, that is a failure."""
    if CHROMIUM is None:
        assert os.environ.get("CI") != "true", "CI needs Chromium for the tests of the page"
        pytest.skip("Chromium is not installed")


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Browser]:
    """Debian's Chromium, headless, without a sound card."""
    needs_chromium()
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*root, *arguments]
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Stage:
    """A page, what serves it and what it talks to."""

    carrier: ScriptedCarrier
    url: str
    texts: list[dict[str, str]] = field(default_factory=list)
    """What was typed to the agent."""
    text_refusal: str | None = None
    story: list[dict[str, Any]] = field(default_factory=list)
    """What the server tells about the call, as soon as it is asked."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the browser's console, and exceptions of the page."""

    async def open(self, context: BrowserContext, path: str = "/phone") -> Page:
        """A tab with the page."""
        page = await context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda one: self.requests.append(one.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._complained)
        await page.goto(self.url + path)
        return page

    def _complained(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def foreign(self) -> list[str]:
        """Requests that went anywhere but to the server and the carrier."""
        own = {urlsplit(self.url).netloc, urlsplit(self.carrier.url).netloc}
        return [url for url in self.requests if urlsplit(url).netloc not in own]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A server with the page, and a carrier, each on a port of its own."""
    async with scripted_carrier() as carrier:
        made = Stage(carrier, "")
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            made.url = f"http://localhost:{listening.getsockname()[1]}"
            server = uvicorn.Server(uvicorn.Config(_server(made), log_level="warning"))
            serving = asyncio.create_task(server.serve([listening]))
            try:
                yield made
            finally:
                made.over.set()
                server.should_exit = True
                await serving


def _server(made: Stage) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    setup = pages.PhoneSetup(made.carrier.url, TICKET, RUNGS)
    app.include_router(pages.routes(lambda: setup))

    @app.post("/phone/text")
    async def text(request: Request) -> Response:
        if made.text_refusal is not None:
            return Response(json.dumps({"detail": made.text_refusal}), 409)
        made.texts.append(await request.json())
        return Response(status_code=202)

    @app.get("/phone/events")
    async def events(callSid: str) -> StreamingResponse:
        async def told() -> AsyncIterator[str]:
            for event in made.story:
                yield f"data: {json.dumps({'callSid': callSid, **event})}\n\n"
            if not made.story or made.story[-1]["kind"] != "end":
                await made.over.wait()

        return StreamingResponse(told(), media_type="text/event-stream")

    return app


async def axe(page: Page) -> list[dict[str, Any]]:
    """What axe finds. Through the debugger: the page's policy lets nobody evaluate strings."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    debugger = await page.context.new_cdp_session(page)
    await debugger.send("Runtime.evaluate", {"expression": script.read_text(encoding="utf-8")})
    run = "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))"
    answer = await debugger.send(
        "Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True}
    )
    await debugger.detach()
    found: list[dict[str, Any]] = json.loads(answer["result"]["value"])
    return found
