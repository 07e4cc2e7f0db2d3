"""The local carrier: the local Twilio with telephones that people can hold.

It posts the signed webhook, reads the TwiML, opens the signed media socket and answers the
REST calls, as Twilio would, so that a server it calls has nothing switched off. Rule: what is
here only plugs telephones into the local Twilio; how a call goes is decided there.

    async with LocalCarrier(account, ticket="...", numbers=Numbers()) as carrier:
        print(carrier.phone_url, carrier.api_url)
"""

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from app.emulators import carrier_voice
from app.emulators.phone import Leg, Phone, Voice
from app.emulators.phone_book import Extension, PhoneBook
from app.emulators.phone_socket import PhoneSocket
from app.emulators.phone_tab import TabPhone
from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_tasks import OwnedTasks
from app.emulators.twilio_words import DialOutcome, Faults, Pace

PATIENT = Pace(say_ms_per_character=60, say_cap_ms=20_000, key_ms=200)
"""People read what is not spoken."""
_GRACE_S = 0.5
_FAREWELL_S = 1.5
"""How long calls may take to end when the carrier does."""
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Account:
    """What the server and its carrier have in common."""

    server_url: str
    """Where the server really listens."""
    public_url: str
    """What it believes to be its address: signed, and never connected to."""
    account_sid: str
    auth_token: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who has which telephone number."""

    agent: str = "+15005550006"
    caller: str = "+14155550100"
    person: str = "+14155550123"
    dialled: frozenset[str] | None = None
    """Destinations that ring the person; None: every one does."""


class LocalCarrier:
    """One carrier with two extensions. Use it with ``async with``.

    ``voice`` speaks <Say>, ``speaker`` what a phone wants said for it; flite or espeak-ng
    where nothing is given. Ports of 0 are any that is free; both servers listen on 127.0.0.1 only.
    """

    def __init__(
        self,
        account: Account,
        *,
        ticket: str,
        numbers: Numbers | None = None,
        port: int = 0,
        api_port: int = 0,
        origins: Collection[str] | None = None,
        voice: Voice | None = None,
        speaker: Voice | None = None,
        unattended_ms: int = 6_000,
        pace: Pace = PATIENT,
    ) -> None:
        self.numbers = numbers or Numbers()
        spoken, speaking = carrier_voice.found()
        self.book = PhoneBook(
            caller=Extension("caller", self.numbers.caller),
            person=Extension("person", self.numbers.person),
            voice=voice or spoken,
            persons_numbers=self.numbers.dialled,
            unattended_ms=unattended_ms,
        )
        self.twilio = TwilioEmulator(
            account_sid=account.account_sid,
            auth_token=account.auth_token,
            public_url=account.public_url,
            server_url=account.server_url,
            api_port=api_port,
            api_host=_LOOPBACK,
            answers=lambda _number: DialOutcome("failed"),
            faults=Faults(extra_parameters={}),
            pace=pace,
            keep_audio=False,
            phones=self.book,
        )
        self.twilio.desk.told = self._tell_of_message
        self.phone_url = ""
        """Where phones register; empty until the carrier was entered."""
        self._speaker = speaker or speaking
        self._tasks = OwnedTasks()
        self._port = port
        self._socket = PhoneSocket(
            self.book,
            self._phone,
            ticket=ticket,
            origins=origins if origins is not None else pages_of(account.server_url),
        )
        self._open = contextlib.AsyncExitStack()

    @property
    def api_url(self) -> str:
        """Base of the REST API; empty until the carrier was entered."""
        return self.twilio.api_url

    async def __aenter__(self) -> "LocalCarrier":
        async with contextlib.AsyncExitStack() as opening:
            await opening.enter_async_context(self.twilio)
            opening.push_async_callback(self._tasks.close)
            server = web.AppRunner(
                self._socket.application(), access_log=None, shutdown_timeout=_GRACE_S
            )
            await server.setup()
            opening.push_async_callback(server.cleanup)
            await web.TCPSite(server, _LOOPBACK, self._port).start()
            opening.push_async_callback(self._end_calls)
            opening.push_async_callback(self._socket.close)
            self.phone_url = f"ws://{_LOOPBACK}:{server.addresses[0][1]}/phone"
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """End every phone and every call, and let the server know while there is time."""
        await self._open.__aexit__(*error)

    @property
    def voice_rung(self) -> str:
        """What <Say> is spoken with; ``none`` where it is only shown."""
        return self.book.voice.rung

    async def dial(self, phone: Phone) -> EmulatedCall:
        """``phone`` calls the agent; it has to talk on the call that is returned."""
        return await self.twilio.call(from_=self.numbers.caller, to=self.numbers.agent, phone=phone)

    def text(self, body: str, from_: str | None = None) -> None:
        """Somebody sends the agent's number a text message; the caller, unless it is said who."""
        work = self._brought(from_ or self.numbers.caller, body)
        self._tasks.start(work, name="text message of a phone")

    async def _brought(self, from_: str, body: str) -> None:
        await self.twilio.post.bring(from_, self.numbers.agent, body)

    async def _end_calls(self) -> None:
        running = [call for call in self.twilio.calls.values() if not call.settled]
        for call in running:
            await call.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                for call in running:
                    await call.ended(_FAREWELL_S)

    def _phone(self, extension: Extension) -> TabPhone:
        return TabPhone(extension, voice=self._speaker, dialler=_Dialler(self), tasks=self._tasks)

    def _tell_of_message(self, message: dict[str, Any]) -> None:
        """A text message is seen on every phone: who it is for has none of their own."""
        fields = {name: message[name] for name in ("from", "to", "body")}
        for extension in (self.book.caller, self.book.person):
            if extension.phone is not None:
                extension.phone.tell("sms", **fields)


class _Dialler:
    """Places the calls of tabs, and sends their messages."""

    def __init__(self, carrier: LocalCarrier) -> None:
        self._carrier = carrier

    def text(self, extension: Extension, body: str) -> None:
        """Bring it to the agent's number."""
        self._carrier.text(body, extension.number)

    async def dial(self, phone: TabPhone) -> None:
        """Call the agent's number."""
        call = await self._carrier.dial(phone)
        leg: Leg = call
        phone.take_up(leg)
        phone.tell("calling", callSid=call.call_sid)


def pages_of(server_url: str) -> frozenset[str]:
    """The origins under which a browser on this machine may have opened the server's pages."""
    port = urlsplit(server_url).port
    # A browser leaves the usual port out of an origin.
    suffix = "" if port in (None, 80) else f":{port}"
    return frozenset(f"http://{name}{suffix}" for name in ("localhost", _LOOPBACK, "[::1]"))
