"""The carrier of the experiments: it knows its calls, and asks what to do with a lost stream.

One rule: it does what Twilio does and no more. A caller whose stream is gone is on the telephone
until somebody hangs up, and REST tells the truth about that.
"""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs

import bench_edge as edge
import orjson
from bench_voice import Floor
from chaos_calls import Caller
from picows import WSHandshakeError

UNANSWERED = (OSError, TimeoutError, WSHandshakeError, edge.NotAnsweredError)
"""How a webhook or a stream goes wrong."""
_CALL = re.compile(rb"(GET|POST) \S+/Calls/(CA[0-9a-f]{32})\.json")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_TIMEOUT_S = 10.0


class Carrier:
    """Its tasks belong to ``group``; ``port`` is where the webhooks go."""

    def __init__(self, floor: Floor, group: asyncio.TaskGroup) -> None:
        self._floor = floor
        self._group = group
        self.port = 0
        self.calls: dict[str, Caller] = {}
        self.refused: list[str] = []
        """Why calls did not become conversations, or did not go on."""
        self.orders = 0
        """How often REST was told what to do with a call."""

    async def call(self, into: list[Caller]) -> None:
        """One call more; it is added when its first word is heard, or to ``refused``."""
        caller = Caller(self._floor, self._floor.new_caller(), self._lost)
        self.calls[caller.call_sid] = caller
        if await self._tried(caller, caller.dial(self.port)):
            into.append(caller)
        else:
            caller.hang_up()

    def _lost(self, caller: Caller) -> None:
        name = f"return of {caller.voice.number}"
        self._group.create_task(self._return(caller), name=name)

    async def _return(self, caller: Caller) -> None:
        if not await self._tried(caller, caller.come_back(self.port)):
            caller.hang_up()

    async def _tried(self, caller: Caller, step: Coroutine[Any, Any, None]) -> bool:
        try:
            await step
        except UNANSWERED as exc:
            self.refused.append(f"call {caller.voice.number}: {exc!r}")
            return False
        return True

    async def serve(self) -> asyncio.Server:
        """Its REST API."""
        return await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
            answer = orjson.dumps({"sid": "CA0", "status": self._status(head, body)})
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(answer), answer)
            )
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _status(self, head: bytes, body: bytes) -> str:
        asked = _CALL.match(head)
        caller = self.calls.get(asked[2].decode()) if asked else None
        if caller is None or caller.over:
            return "completed"
        order = parse_qs(body.decode())
        if "Twiml" in order:
            self.orders += 1
            work = self._redirected(caller, order["Twiml"][0])
            self._group.create_task(work, name=f"redirect of {caller.voice.number}")
        elif order.get("Status") == ["completed"]:
            self.orders += 1
            caller.hang_up()
        return "in-progress"

    async def _redirected(self, caller: Caller, twiml: str) -> None:
        """The present stream ends, and the document is done."""
        if not await self._tried(caller, caller.redirected(self.port, twiml)):
            caller.hang_up()
