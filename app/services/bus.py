"""The bus: one process asks another about a call that lives there.

On PostgreSQL by ``NOTIFY``, which needs nothing that is not there already; a process alone, or
several on SQLite, have nobody to ask. The one rule: an answer that does not come in time is no
answer (None), and whoever asked goes on without it; nothing is ever asked twice.

    asker ── {id, from, op, args} ──▶ channel of the other process
    asker ◀── {id, answer} ────────── its own channel

A message that is longer than one notification goes as several of one transaction, which arrive
in their order and all together (PostgreSQL 15, NOTIFY): ``+<id> <index> <count> <piece>``.
"""

import asyncio
import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, LiteralString

import orjson
import psycopg
import structlog
from psycopg import AsyncConnection, sql

MOST_BYTES = 262_144
"""Of a message."""
PIECE_BYTES = 7_900
"""A payload of NOTIFY must be shorter than 8,000 bytes (PostgreSQL 15, NOTIFY)."""
MOST_PARTLY = 64
"""Messages of which the rest has not come; the oldest go."""
RECONNECT_S = 1.0
_SAY = (
    "SELECT CASE WHEN pg_try_advisory_xact_lock(%s) THEN NULL ELSE"
    " (SELECT count(pg_notify(%s, piece)) FROM unnest(%s::text[]) AS piece) END"
)
_HEARS = "SELECT NOT pg_try_advisory_xact_lock(%s)"
MOST_SERVED = 1_000
"""Questions being answered at once; those beyond get no answer."""

Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""``(op, args)`` to an answer of plain JSON values."""
Spawn = Callable[[Coroutine[Any, Any, None], str], None]

log = structlog.get_logger("bus")


class PostgresBus:
    """One process's place on the bus. Belongs to the loop."""

    def __init__(self, url: str, me: str) -> None:
        """``url`` is libpq's; its user needs no more than to connect."""
        self._url = url
        self.me = me
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._partly: OrderedDict[str, list[str]] = OrderedDict()
        self._serving = 0
        self._closed = False
        self._speaking = asyncio.Lock()
        self._mouth: AsyncConnection[Any] | None = None
        self.listening = asyncio.Event()
        """Set while questions reach this process."""

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """What process ``to`` answers; None where it does not within so many seconds.

        Raises ``ValueError`` for a question too long to be asked. Cancelling is safe.
        """
        name = secrets.token_hex(8)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[name] = answer
        try:
            async with asyncio.timeout(within_s):
                asked = {"id": name, "from": self.me, "op": op, "args": args}
                return await answer if await self._say(to, asked) else None
        except (TimeoutError, psycopg.Error, OSError) as exc:
            log.warning("bus_no_answer", op=op, reason=type(exc).__name__)
            return None
        finally:
            del self._waiting[name]

    async def hears(self, process: str) -> bool:
        """Whether questions reach that process, as the database knows it: a process that died
        does not hear, one that hangs does. True where nobody can tell."""
        try:
            async with asyncio.timeout(RECONNECT_S):
                return bool(await self._asked(_HEARS, (_ear(process),)))
        except (TimeoutError, psycopg.Error, OSError):
            return True

    async def _say(self, to: str, message: dict[str, Any]) -> bool:
        """False where nobody listens: the lock of who does is free."""
        pieces = _pieces(message)
        return await self._asked(_SAY, (_ear(to), _channel(to), pieces)) is not None

    async def _asked(self, statement: LiteralString, args: tuple[Any, ...]) -> Any:
        """The one value that a statement answers with."""
        async with self._speaking:
            mouth = await self._connected()
            self._mouth = None  # Whatever goes wrong now, the next question has a fresh one.
            try:
                said = await mouth.execute(statement, args)
                row = await said.fetchone()
                self._mouth = None if self._closed else mouth
            finally:
                if self._mouth is None:
                    await mouth.close()
        return None if row is None else row[0]

    async def _connected(self) -> AsyncConnection[Any]:
        if self._closed:
            raise OSError("the bus is closed")
        if self._mouth is None or self._mouth.closed:
            self._mouth = await AsyncConnection.connect(self._url, autocommit=True)
        return self._mouth

    async def run(self, handler: Handler, spawn: Spawn) -> None:
        """Listen until cancelled; what is asked meanwhile and not heard gets no answer."""
        while True:
            try:
                ears = await AsyncConnection.connect(self._url, autocommit=True)
                async with ears:
                    await ears.execute(
                        sql.SQL("LISTEN {}").format(sql.Identifier(_channel(self.me)))
                    )
                    await ears.execute("SELECT pg_advisory_lock_shared(%s)", (_ear(self.me),))
                    self.listening.set()
                    async for notice in ears.notifies():
                        self._notified(notice.payload, handler, spawn)
            except (psycopg.Error, OSError) as exc:
                log.warning("bus_lost", reason=type(exc).__name__)
            finally:
                self.listening.clear()
                self._partly.clear()
            await asyncio.sleep(RECONNECT_S)

    def _notified(self, payload: str, handler: Handler, spawn: Spawn) -> None:
        """Whoever may connect to the database may say what they like here."""
        try:
            whole = self._joined(payload) if payload.startswith("+") else payload
            message = None if whole is None else _message(whole)
        except ValueError:
            log.warning("bus_nonsense")
            return
        if message is not None:
            self._heard(message, handler, spawn)

    def _joined(self, payload: str) -> str | None:
        """The message that this piece completes; None while pieces are missing."""
        name, index, count, piece = payload[1:].split(" ", 3)
        pieces = self._partly.setdefault(name, [])
        if len(pieces) == int(index):
            pieces.append(piece)
        while len(self._partly) > MOST_PARTLY:
            self._partly.popitem(last=False)
        return "".join(self._partly.pop(name)) if len(pieces) == int(count) else None

    def _heard(self, message: dict[str, Any], handler: Handler, spawn: Spawn) -> None:
        if "op" not in message:
            waiting = self._waiting.get(message["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(message["answer"])
            return
        if self._serving >= MOST_SERVED:
            log.warning("bus_overloaded", op=message["op"])
            return
        self._serving += 1
        spawn(self._answer(message, handler), f"bus-{message['op']}")

    async def _answer(self, message: dict[str, Any], handler: Handler) -> None:
        try:
            answer = await handler(message["op"], message["args"])
            await self._say(message["from"], {"id": message["id"], "answer": answer})
        except (psycopg.Error, OSError, ValueError) as exc:
            log.warning("bus_mute", op=message["op"], reason=type(exc).__name__)
        finally:
            self._serving -= 1

    async def close(self) -> None:
        """Idempotent; ``run`` is ended by whoever started it. Nothing is asked or answered then."""
        self._closed = True
        mouth, self._mouth = self._mouth, None
        if mouth is not None:
            await mouth.close()


def _message(text: str) -> dict[str, Any]:
    """What somebody said, if it is a question or an answer. Raises ``ValueError``."""
    found = orjson.loads(text)
    message = found if isinstance(found, dict) else {}
    kinds = {name: type(value) for name, value in message.items()}
    asks = (kinds.get("op"), kinds.get("from"), kinds.get("args")) == (str, str, dict)
    answers = "op" not in message and "answer" in message
    if kinds.get("id") is not str or not (asks or answers):
        raise ValueError("neither a question nor an answer")
    return message


def _pieces(message: dict[str, Any]) -> list[str]:
    """What is notified, one after the other. Raises ``ValueError`` where it is too long."""
    # ASCII, so that it may be cut anywhere.
    text = json.dumps(message, separators=(",", ":"))
    if len(text) > MOST_BYTES:
        raise ValueError(f"a message of {len(text)} characters is too long for the bus")
    if len(text) <= PIECE_BYTES:
        return [text]
    name, room = secrets.token_hex(8), PIECE_BYTES - 40
    cut = [text[at : at + room] for at in range(0, len(text), room)]
    return [f"+{name} {index} {len(cut)} {piece}" for index, piece in enumerate(cut)]


def _channel(process: str) -> str:
    """A channel's name: 63 bytes at most, and nothing of the process's own making."""
    return f"patchline_{hashlib.sha256(process.encode()).hexdigest()[:24]}"


def _ear(process: str) -> int:
    """The advisory lock that a process holds as long as its listening connection lives. The
    server lets go of it when the process dies: nobody waits for the answer of the dead."""
    return int.from_bytes(hashlib.sha256(process.encode()).digest()[:8], signed=True)
