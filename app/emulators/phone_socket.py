"""The phone socket: ``ws://127.0.0.1:PORT/phone?ticket=T&line=caller|person``, JSON texts.

    from a phone                                      to a phone
    dial                        call the agent        ready     line, number, voice: always first
    answer, decline             while it rings        calling   callSid: the webhook is asked
    hangup                                            start     callSid, streamSid: send media
    media.payload               160 bytes of mu-law,  media     to be played in order, any length
                                every 20 ms           mark      return it when played up to here
    dtmf.digit                  0-9 * # A-D           clear     drop the queue, return its marks
    mark.name                   played up to here,    stop      the stream is over, the call may
                                or it was cleared               go on
    say.text                    the carrier's voice   said      text: a <Say> begins, audio as media
                                says it for them      ring      callSid, from, to; who calls, as a
                                                                sentence; ringing-over
    text.body                   a text message to     dialling  to; then bridged: media both ways
                                the agent             sms       from, to, body
                                                      hungup    by caller, agent, person, carrier;
                                                                reason
                                                      problem   code, sentence

`caller` is a phone that calls our number (and rings when the agent calls out), `person` the
one that rings on a transfer. Whatever else comes is counted. Rule: nobody gets in without the
ticket, nor a page of another origin with it; the newest phone of a line wins (4000), a message
of more than 64 KiB ends the socket (1009), and a socket that ends has hung up.
"""

import asyncio
import hmac
from collections.abc import Callable, Collection

from aiohttp import WSCloseCode, WSMsgType, web

from app.emulators.phone_book import Extension, PhoneBook
from app.emulators.phone_tab import REPLACED_CODE, TabPhone

MESSAGE_LIMIT_BYTES = 64 * 1024
HEARTBEAT_S = 15.0
"""A tab whose computer went to sleep has hung up within one and a half of these."""
STALLED_S = 10.0
"""A phone that takes nothing for so long is given up."""
_ORIGINS_LIMIT = "This page may not use the phone."


class PhoneSocket:
    """Serves the phones of one carrier."""

    def __init__(
        self,
        book: PhoneBook,
        make: Callable[[Extension], TabPhone],
        *,
        ticket: str,
        origins: Collection[str],
    ) -> None:
        self._extensions: dict[str, Extension] = {"caller": book.caller, "person": book.person}
        self._make = make
        self._ticket = ticket.encode()
        self._origins = frozenset(origins)

    def application(self) -> web.Application:
        """An aiohttp application with the one route."""
        application = web.Application()
        application.router.add_get("/phone", self._serve)
        return application

    async def close(self) -> None:
        """Ask every phone to leave (1001)."""
        for extension in self._extensions.values():
            if isinstance(extension.phone, TabPhone):
                await extension.phone.leave(WSCloseCode.GOING_AWAY)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        extension = self._admitted(request)
        # What is compressed may grow when it is read; nothing here is worth it.
        ws = web.WebSocketResponse(
            max_msg_size=MESSAGE_LIMIT_BYTES, heartbeat=HEARTBEAT_S, compress=False
        )
        await ws.prepare(request)
        phone = self._make(extension)
        writing = asyncio.create_task(_write(ws, phone, request), name="phone writer")
        try:
            await _replace(extension, phone)
            await _read(ws, phone)
        finally:
            extension.unplug(phone)
            await phone.leave(WSCloseCode.OK)
            writing.cancel()
            await asyncio.wait({writing})
        return ws

    def _admitted(self, request: web.Request) -> Extension:
        """The extension asked for; raises 403 for strangers and 400 for a line that is none."""
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            raise web.HTTPForbidden(text=_ORIGINS_LIMIT)
        if not hmac.compare_digest(request.query.get("ticket", "").encode(), self._ticket):
            raise web.HTTPForbidden(text="The ticket is not valid.")
        extension = self._extensions.get(request.query.get("line", ""))
        if extension is None:
            raise web.HTTPBadRequest(text="A line is caller or person.")
        return extension


async def _replace(extension: Extension, phone: TabPhone) -> None:
    older = extension.plug_in(phone)
    if isinstance(older, TabPhone):
        older.refuse("replaced", "This phone was opened somewhere else.")
        await older.leave(REPLACED_CODE)


async def _read(ws: web.WebSocketResponse, phone: TabPhone) -> None:
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await phone.hear(message.data)
        elif message.type is WSMsgType.BINARY:
            phone.ignored += 1


async def _write(ws: web.WebSocketResponse, phone: TabPhone, request: web.Request) -> None:
    """Send what the phone is to get, then close; cut the socket of one that does not read."""
    try:
        while (text := await phone.outbox.next()) is not None:
            async with asyncio.timeout(STALLED_S):
                await ws.send_str(text)
            if phone.outbox.overfull:
                break
        else:
            await ws.close(code=phone.outbox.close_code or WSCloseCode.OK)
            return
    except (TimeoutError, ConnectionError):
        pass
    if request.transport is not None:
        request.transport.abort()
