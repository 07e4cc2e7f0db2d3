"""The server that a call from a terminal goes to: the one that runs, or one for this call.

Rule: a server is asked for its local line as its own page asks, and what it refuses is told in
its own words. Where calls come from Twilio there is no line to call on, and none is made.
"""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from app.emulators.demo_server import ServerFault, free_port, local_environment, running
from app.emulators.phone_client import LineSetup
from app.emulators.preflight import NotReady

USUAL = "http://127.0.0.1:5050"
KEY_FILE = Path("data") / "api_key"
_LIMIT_S = 15.0
_RECORD_S = 5.0
_UNTOLD_S = 2.0
"""What takes longer is told."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server with a local line."""

    url: str
    line: LineSetup
    rungs: tuple[str, ...]
    """Who hears, thinks and speaks there, in words."""
    api_key: str = field(default="", repr=False)
    """Empty: not known."""

    async def record(self, call_sid: str) -> dict[str, Any] | None:
        """The record of a call; None where the key is not known or not the server's."""
        if not self.api_key:
            return None
        headers = {"Authorization": f"Bearer {self.api_key}"}
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=_within(_RECORD_S)) as client,
                client.get(f"{self.url}/v1/calls/{call_sid}") as answer,
            ):
                found: dict[str, Any] = await answer.json()
                return found if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Wish:
    """Which server is to be called."""

    server: str | None = None
    """None: the usual one if it runs, else one is started."""
    agent: Path | None = None
    """An agent document, its whole path: a server is started for it."""
    api_key: str = field(default="", repr=False)


@contextlib.asynccontextmanager
async def found(wish: Wish) -> AsyncIterator[Place]:
    """The server, for as long as the block lasts. Raises ``NotReady`` or ``ServerFault``."""
    if wish.agent is None:
        url = wish.server or USUAL
        place = await _asked(url, wish.api_key or _kept_key())
        if place is not None:
            yield place
            return
        if wish.server is not None:
            raise NotReady(
                f"No server answers at {url}: start one with ./scripts/start, or leave --server"
                " out to have one started for this call."
            )
    async with _started(wish.agent) as place:
        yield place


@contextlib.asynccontextmanager
async def _started(agent: Path | None) -> AsyncIterator[Place]:
    port, key = free_port(), secrets.token_urlsafe(24)
    url = f"http://127.0.0.1:{port}"
    settings = {"API_KEY": key}
    if agent is not None:
        settings["AGENT_FILE"] = str(agent)
    # Not where the user is: an .env there may be that of a server with real numbers.
    with tempfile.TemporaryDirectory(prefix="patchline-call-") as folder:
        server = running(Path(folder), url, local_environment(port, settings))
        async with contextlib.AsyncExitStack() as stack:
            with _told("No server answers yet: one is being started for this call"):
                await stack.enter_async_context(server)
            place = await _asked(url, key)
            if place is None:
                raise ServerFault("the server that was started for this call went away again")
            yield place


@contextlib.contextmanager
def _told(sentence: str) -> Iterator[None]:
    """Say on the standard error what is waited for, when it takes its time."""
    console = Console(stderr=True)
    status = console.status(f"{sentence} …")

    def tell() -> None:
        if console.is_terminal:
            status.start()
        else:
            console.print(f"{sentence} …", highlight=False, soft_wrap=True)

    timer = asyncio.get_running_loop().call_later(_UNTOLD_S, tell)
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


async def _asked(url: str, api_key: str) -> Place | None:
    """The local line there; None where nobody answers. Raises ``NotReady``."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_within(_LIMIT_S)) as client,
            client.get(f"{url}/phone/setup.json") as answer,
        ):
            status, told = answer.status, await _json(answer)
    except TimeoutError:
        raise NotReady(f"{url} does not answer within {_LIMIT_S:g} s.") from None
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError):
        return None
    except aiohttp.ClientError as exc:
        raise NotReady(f"What answers at {url} is no Patchline server: {exc}.") from None
    if status != 200 or not {"line", "ticket"} <= told.keys():
        raise NotReady(_refusal(url, status, told))
    rungs = tuple(str(one.get("sentence")) for one in told.get("rungs", []))
    return Place(url, LineSetup(str(told["line"]), str(told["ticket"])), rungs, api_key)


def _refusal(url: str, status: int, told: dict[str, Any]) -> str:
    detail = told.get("detail")
    if isinstance(detail, str) and status == 404 and "Twilio" in detail:
        return (
            f"The server at {url} takes its calls from Twilio and has no local line: call its"
            " number, or leave --server out while it does not run."
        )
    if isinstance(detail, str):
        return f"The server at {url} says: {detail}"
    return f"What answers at {url} is no Patchline server (/phone/setup.json: {status})."


async def _json(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        told = await answer.json(content_type=None)
    except (ValueError, UnicodeDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def _kept_key() -> str:
    """The key that a server started here keeps; empty where there is none."""
    try:
        return KEY_FILE.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _within(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)
