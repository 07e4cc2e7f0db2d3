"""The smallest phone server: canned TwiML, a media socket, and a memory of what came in.

It is what the local Twilio is tested against, and it shares no code with the app.
"""

import asyncio
import base64
import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from app.emulators.twilio import TwilioEmulator

PUBLIC_URL = "https://patchline.test"

CONNECT = (
    '<Response><Connect><Stream url="wss://patchline.test/media">'
    '<Parameter name="token" value="t&amp;1"/></Stream></Connect>{behind}</Response>'
)

SAY_BEHIND = CONNECT.format(behind="<Say>behind</Say>")

Answer = str | Callable[[dict[str, str]], Any]


class Peer:
    """The server's end of one media socket."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.request = request
        self.messages: list[dict[str, Any]] = []
        self.gone = False

    @property
    def stream_sid(self) -> str:
        return str(next(one["streamSid"] for one in self.messages if one["event"] == "start"))

    def of(self, event: str) -> list[dict[str, Any]]:
        """Messages of one kind, in order."""
        return [one for one in self.messages if one["event"] == event]

    def marks(self) -> list[str]:
        return [one["mark"]["name"] for one in self.of("mark")]

    async def play(self, mulaw: bytes) -> None:
        payload = base64.b64encode(mulaw).decode()
        await self.send(event="media", media={"payload": payload})

    async def mark(self, name: str) -> None:
        await self.send(event="mark", mark={"name": name})

    async def clear(self) -> None:
        await self.send(event="clear")

    async def send(self, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"streamSid": self.stream_sid, **fields}))


class TinyServer:
    """Use with ``async with``; ``url`` is where it listens."""

    def __init__(self, voice: Answer = SAY_BEHIND) -> None:
        self.answers: dict[str, Answer] = {"/incoming-call": voice}
        self.posted: list[tuple[str, dict[str, str], dict[str, str], str]] = []
        """Path, form, headers and full path of every webhook."""
        self.peers: list[Peer] = []
        self.upgrade_status = 101
        self.url = ""
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "TinyServer":
        application = web.Application()
        application.router.add_get("/media", self._media)
        application.router.add_get("/media/", self._media)
        application.router.add_route("*", "/{path:.*}", self._webhook)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *error: object) -> None:
        for peer in self.peers:
            if peer.request.transport is not None:
                peer.request.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def until(self, predicate: Callable[[], bool], timeout: float = 60) -> None:  # noqa: ASYNC109
        """Return when something that arrived made ``predicate`` true."""
        async with asyncio.timeout(timeout):
            while not predicate():
                self._changed.clear()
                await self._changed.wait()

    async def peer(self, number: int = 1) -> Peer:
        """The ``number``-th media socket, once ``start`` came on it."""
        await self.until(
            lambda: len(self.peers) >= number and bool(self.peers[number - 1].of("start"))
        )
        return self.peers[number - 1]

    def forms(self, path: str) -> list[dict[str, str]]:
        return [form for where, form, _, _ in self.posted if where == path]

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.posted.append((request.path, form, dict(request.headers), request.path_qs))
        self._changed.set()
        answer = self.answers.get(request.path, "")
        if callable(answer):
            answer = answer(form)
            if inspect.isawaitable(answer):
                answer = await answer
        if isinstance(answer, web.StreamResponse):
            return answer
        if not answer:
            return web.Response(status=204)
        return web.Response(text=answer, content_type="text/xml")

    async def _media(self, request: web.Request) -> web.StreamResponse:
        if self.upgrade_status != 101:
            return web.Response(status=self.upgrade_status)
        socket = web.WebSocketResponse(heartbeat=None, autoping=True)
        await socket.prepare(request)
        peer = Peer(socket, request)
        self.peers.append(peer)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                peer.messages.append(json.loads(message.data))
                self._changed.set()
        peer.gone = True
        self._changed.set()
        return socket


@asynccontextmanager
async def telephone(
    voice: Answer = SAY_BEHIND, **options: Any
) -> AsyncIterator[tuple[TwilioEmulator, TinyServer]]:
    """A local Twilio pointed at a tiny server."""
    async with (
        TinyServer(voice) as server,
        TwilioEmulator(public_url=PUBLIC_URL, server_url=server.url, **options) as twilio,
    ):
        yield twilio, server
