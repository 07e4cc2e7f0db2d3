"""The server that the demonstration calls: one of its own, started for it, or one that runs.

Its own is the real thing, `python -m app serve` in a process of its own (which ends with ours:
`app/emulators/demo_tether.py`) and an empty folder, between the two emulators instead of the two
companies. Rule: it knows the server only by its command line, its environment, its HTTP routes
and the files it writes.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

AGENT_FILE = Path(__file__).with_name("demo_agent.yaml")
PUBLIC_URL = "https://phone.patchline.test"
ACCOUNT = "AC" + "0" * 32
AUTH_TOKEN = "12345"
MODEL_KEY = "sk-local"
API_KEY = "operator-key-of-the-demonstration"

_ROOT = Path(__file__).parents[2]
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
_STARTING_S = 30.0
_STOPPING_S = 15.0
_LOOKING_S = 10.0
_GLANCE_S = 0.05
"""Another process announces nothing to us: it is looked at this often."""

T = TypeVar("T")


class ServerFault(Exception):
    """The server cannot be called, or does not say what it should; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server to call, and what has to be known to call it."""

    url: str
    """Where it listens."""
    public_url: str
    """What it believes its origin is, and what is signed."""
    account_sid: str
    auth_token: str
    api_key: str
    data: Path
    """Its data directory."""

    async def record(self, call_id: str) -> dict[str, Any]:
        """The record of a call that has ended. Raises ``ServerFault``."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            return await _soon(lambda: self._ended_record(client, call_id), "the call's record")

    async def _ended_record(
        self, client: aiohttp.ClientSession, call_id: str
    ) -> dict[str, Any] | None:
        async with client.get(f"{self.url}/v1/calls/{call_id}") as answer:
            if answer.status in (401, 403):
                raise ServerFault("the server does not take this API key: set API_KEY")
            if answer.status != 200:
                return None
            found: dict[str, Any] = await answer.json()
            return found if found["status"] == "completed" else None

    async def erase(self, call_id: str) -> None:
        """Leave nothing of a call that has ended. Raises ``ServerFault``."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.delete(f"{self.url}/v1/calls/{call_id}") as answer,
        ):
            if not answer.ok:
                raise ServerFault(f"the call was not erased: {answer.status}")

    async def flights(self, stream_sids: list[str]) -> list[Path]:
        """The flight logs of these streams, in their order. Raises ``ServerFault``."""

        async def look() -> list[Path] | None:
            return await asyncio.to_thread(_logs_of, self.data / "flights", stream_sids)

        return await _soon(look, f"the flight logs in {self.data}")


def _logs_of(folder: Path, stream_sids: list[str]) -> list[Path] | None:
    logs = sorted(folder.glob("*.jsonl"), key=lambda log: log.stat().st_mtime, reverse=True)
    newest = {log: log.read_text() for log in logs[: 2 * len(stream_sids) + 10]}
    found = [next((log for log in newest if sid in newest[log]), None) for sid in stream_sids]
    return [log for log in found if log is not None] if all(found) else None


async def _soon(
    look: Callable[[], Awaitable[T | None]], what: str, limit_s: float = _LOOKING_S
) -> T:
    """What ``look`` returns as soon as it is not None. Raises ``ServerFault``."""
    try:
        async with asyncio.timeout(limit_s):
            while (found := await look()) is None:  # noqa: ASYNC110 - see _GLANCE_S
                await asyncio.sleep(_GLANCE_S)
            return found
    except TimeoutError:
        raise ServerFault(f"{what} did not appear within {limit_s:g} s") from None
    except aiohttp.ClientError as exc:
        raise ServerFault(f"{what} cannot be read: {exc}") from exc


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def own(folder: Path, port: int) -> Server:
    """A server in ``folder`` that is called at ``port``, with ``own_environment``."""
    url = f"http://127.0.0.1:{port}"
    return Server(url, PUBLIC_URL, ACCOUNT, AUTH_TOKEN, API_KEY, folder / "data")


@contextlib.asynccontextmanager
async def running(
    folder: Path, url: str, environment: Mapping[str, str], *, log: str = "server.log"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program in ``folder``, with exactly this environment, once ``url`` takes calls.

    ``folder`` is a temporary one: it is removed with all it holds if this process is killed.
    Raises ``ServerFault`` with the end of its log when it does not start.
    """
    process = await _process(folder, folder / log, environment)
    try:
        await _serving(url, process, folder / log)
        yield process
    finally:
        await _ended(process)


def local_environment(port: int, settings: Mapping[str, str]) -> dict[str, str]:
    """Of a server on loopback that takes its calls from the local line, for one call.

    What else is set for this process holds for it too; ``settings`` come before that.
    """
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")}
    mine.pop("PUBLIC_URL", None)
    return {
        **mine,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), mine.get("PYTHONPATH")))),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOCAL_LINE_PORT": "0",
        "LOG_FORMAT": "json",
        "DRAIN_SECONDS": "0",
        **settings,
    }


async def _process(
    folder: Path, log: Path, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    def opened() -> int:
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    output = await asyncio.to_thread(opened)
    try:
        # Not in our process group: Ctrl-C is ours, and we tell the server in good order. The
        # pipe stays open for as long as we live: a server does not outlive who is killed.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.emulators.demo_tether", str(folder), "serve"),
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)


def own_environment(port: int, *, openai_url: str, twilio_url: str) -> dict[str, str]:
    """Nothing of the caller's own settings, or the demonstration would ring real phones."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(_ROOT),
        "OPENAI_API_KEY": MODEL_KEY,
        "OPENAI_BASE_URL": openai_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_API_URL": twilio_url,
        "PUBLIC_URL": PUBLIC_URL,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AGENT_FILE": str(AGENT_FILE),
        "API_KEY": API_KEY,
        "LOG_FORMAT": "json",
        # After Ctrl-C nobody waits for the call to come to its own end.
        "DRAIN_SECONDS": "0",
    }


async def _serving(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with aiohttp.ClientSession() as client:

        async def look() -> bool | None:
            if process.returncode is not None:
                said = await asyncio.to_thread(log.read_text)
                raise ServerFault(f"the server ended with {process.returncode}:\n{said[-2000:]}")
            return await reachable(client, url)

        await _soon(look, "the server", _STARTING_S)


async def reachable(client: aiohttp.ClientSession, url: str) -> bool | None:
    """True when the server there is ready for calls, else None."""
    try:
        async with client.get(f"{url}/ready") as answer:
            return True if answer.status == 200 else None
    except aiohttp.ClientConnectionError:
        return None


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOPPING_S):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
