"""A strict double of the part of Twilio's REST API that calls are placed with.

It lists as Twilio does (newest first, filtered by both numbers), and loses answers on demand:
with the order carried out or not, which is all that matters to who asked.
"""

import asyncio
import base64
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "fedcba9876543210" * 2
_E164 = re.compile(r"\+[1-9]\d{6,14}")


@dataclass
class Placed:
    """A call that was ordered."""

    call_sid: str
    to: str
    from_: str
    form: dict[str, str]
    at_s: float
    """Monotonic."""
    created_at: datetime
    status: str


@dataclass
class Exchange:
    """The double. Use it with ``async with``."""

    calls: list[Placed] = field(default_factory=list)
    ends: dict[str, list[str]] = field(default_factory=dict)
    """By number called, how its calls end, one after the other; else completed."""
    mishaps: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By number called, what goes wrong with the next requests: ``500`` and ``429`` instead of
    the call, ``500 after`` and ``reset after`` behind it, ``hold`` before and ``hold after``
    behind it until the client is gone or ``release``."""
    posts: int = 0
    messages: list[dict[str, str]] = field(default_factory=list)
    """Text messages that were taken."""
    mute: bool = False
    """Lists are not answered but with 500."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """A request is being held."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    placed: asyncio.Condition = field(default_factory=asyncio.Condition)
    url: str = ""

    def to(self, number: str) -> list[Placed]:
        """The calls to a number."""
        return [one for one in self.calls if one.to == number]

    async def __aenter__(self) -> "Exchange":
        application = web.Application(middlewares=[self._checked])
        root = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
        application.router.add_post(f"{root}.json", self._create)
        application.router.add_get(f"{root}.json", self._list)
        messages = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        application.router.add_post(messages, self._message)
        application.router.add_get(f"{root}/{{sid}}.json", self._fetch)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = site.name
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release.set()
        await self._runner.cleanup()

    @web.middleware
    async def _checked(self, request: web.Request, handler: object) -> web.StreamResponse:
        right = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {right}":
            return _problem(401, 20003)
        return await handler(request)  # type: ignore[operator, no-any-return]

    async def _create(self, request: web.Request) -> web.Response:
        self.posts += 1
        form = {name: str(value) for name, value in (await request.post()).items()}
        to, from_ = form.get("To", ""), form.get("From", "")
        if not (_E164.fullmatch(to) and _E164.fullmatch(from_)):
            return _problem(400, 21211)
        if not form.get("Url", "").startswith("https://"):
            return _problem(400, 21205)
        mishap = self.mishaps[to].pop(0) if self.mishaps[to] else ""
        if mishap in {"500", "429"}:
            return _problem(int(mishap), 20429 if mishap == "429" else 20500)
        if mishap == "hold":
            self.arrived.set()
            await self.release.wait()
        call = await self._carried_out(to, from_, form)
        if mishap == "hold after":
            self.arrived.set()
            await self.release.wait()
        if mishap == "500 after":
            return _problem(500, 20500)
        if mishap == "reset after" and request.transport is not None:
            request.transport.abort()
        return web.json_response(_resource(call, "queued"), status=201)

    async def _message(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        numbers = (form.get("To", ""), form.get("From", ""))
        if not all(_E164.fullmatch(one) for one in numbers) or not form.get("Body"):
            return _problem(400, 21211)
        self.messages.append(form)
        mishap = self.mishaps[form["To"]].pop(0) if self.mishaps[form["To"]] else ""
        if mishap == "hold after":
            self.arrived.set()
            await self.release.wait()
        if mishap == "reset after" and request.transport is not None:
            request.transport.abort()
        sid = f"SM{len(self.messages):032x}"
        return web.json_response({"sid": sid, "status": "queued", **form}, status=201)

    async def _carried_out(self, to: str, from_: str, form: dict[str, str]) -> Placed:
        ends = self.ends.get(to, [])
        call = Placed(
            f"CA{len(self.calls) + 1:032x}",
            to,
            from_,
            form,
            time.monotonic(),
            datetime.now(UTC),
            ends.pop(0) if ends else "completed",
        )
        self.calls.append(call)
        async with self.placed:
            self.placed.notify_all()
        return call

    async def _list(self, request: web.Request) -> web.Response:
        if self.mute:
            return _problem(500, 20500)
        found = [
            one
            for one in reversed(self.calls)
            if request.query.get("To", one.to) == one.to
            and request.query.get("From", one.from_) == one.from_
        ]
        size = int(request.query.get("PageSize", 50))
        page = {"calls": [_resource(one, one.status) for one in found[:size]], "page": 0}
        return web.json_response({**page, "page_size": size, "next_page_uri": None})

    async def _fetch(self, request: web.Request) -> web.Response:
        for one in self.calls:
            if one.call_sid == request.match_info["sid"]:
                return web.json_response(_resource(one, one.status))
        return _problem(404, 20404)


def _resource(call: Placed, status: str) -> dict[str, object]:
    return {
        "sid": call.call_sid,
        "account_sid": ACCOUNT,
        "to": call.to,
        "from": call.from_,
        "status": status,
        "direction": "outbound-api",
        "date_created": format_datetime(call.created_at),
        "start_time": None,
    }


def _problem(status: int, code: int) -> web.Response:
    return web.json_response({"code": code, "message": "x", "status": status}, status=status)
