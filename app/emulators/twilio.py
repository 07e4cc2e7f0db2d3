"""A local Twilio: phone numbers, callers, media streams and the REST API, without an account.

It dials the server it is pointed at exactly as Twilio would and judges what comes back by
Twilio's published rules, with code of its own: nothing here imports the server's codecs, so
the two cannot share a mistake. Rule: whatever it starts it owns, and leaving it ends all of
it; a call that is still up then is dropped without a word.

    async with TwilioEmulator(public_url="https://patchline.test",
                              server_url="http://127.0.0.1:5050") as twilio:
        call = await twilio.call()
        await call.stream_started()
        await call.hang_up()
        await call.ended()
        call.assert_clean()
"""

import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web

from app.emulators.phone import Phone
from app.emulators.phone_book import PhoneBook
from app.emulators.twilio_call import CallbackWish, EmulatedCall, Fetch
from app.emulators.twilio_exchange import Exchange
from app.emulators.twilio_media import EmulatedStream
from app.emulators.twilio_messages import Arrival, Post
from app.emulators.twilio_rest import (
    DROPPED,
    KEPT_MESSAGES,
    UNANSWERED,
    Desk,
    Failure,
    rest_application,
)
from app.emulators.twilio_run import Carrier, http_method
from app.emulators.twilio_tasks import OwnedTasks
from app.emulators.twilio_webhooks import PublicOrigin, Webhooks
from app.emulators.twilio_words import (
    Answers,
    DialOutcome,
    EmulatorViolations,
    Faults,
    Pace,
    PickUp,
    SharedKey,
    Violation,
)

__all__ = [
    "DROPPED",
    "UNANSWERED",
    "Arrival",
    "DialOutcome",
    "EmulatedCall",
    "EmulatedStream",
    "EmulatorViolations",
    "Faults",
    "Pace",
    "PickUp",
    "SharedKey",
    "TwilioEmulator",
    "Violation",
]

KEPT_CALLS = 1_000
"""Calls that are over are forgotten beyond that, oldest first; one that lives never is."""
_GRACE_S = 0.2
"""How long the REST server waits for requests under way when the emulator is left."""


class TwilioEmulator:
    """One account with as many callers as a test wants. Use it with ``async with``.

    ``public_url`` is the origin that is signed and that the server believes in;
    ``server_url`` is where requests and sockets really go. ``answers`` say how dialled
    numbers behave (key: the number, ``conference:name`` or ``queue:name``); a single call
    can bring its own. ``faults`` may be changed at any time. ``status_path`` and
    ``fallback_path`` are what is configured on the phone number; None where nothing is.
    """

    def __init__(
        self,
        *,
        account_sid: str = "AC" + "0" * 32,
        auth_token: str = "12345",
        public_url: str,
        server_url: str,
        api_port: int = 0,
        api_host: str = "127.0.0.1",
        api_keys: Mapping[str, str] | None = None,
        answers: Answers | None = None,
        faults: Faults | None = None,
        pace: Pace | None = None,
        status_path: str | None = "/twilio/call-status",
        fallback_path: str | None = None,
        keep_audio: bool = True,
        phones: PhoneBook | None = None,
        kept_calls: int = KEPT_CALLS,
    ) -> None:
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.origin = PublicOrigin(public_url, server_url)
        self.faults = faults or Faults()
        self.pace = pace or Pace()
        self.answers: Answers = answers if answers is not None else {}
        self.calls: dict[str, EmulatedCall] = {}
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT_MESSAGES)
        self.api_url = ""
        """Base of the REST API; empty until the emulator was entered."""
        self._api_address = (api_host, api_port)
        self._status_path = status_path
        self._fallback_path = fallback_path
        self._keep_audio = keep_audio
        self._kept_calls = kept_calls
        self._tasks = OwnedTasks()
        self._webhooks = Webhooks(
            origin=self.origin,
            auth_token=auth_token,
            faults=self.faults,
            limit_s=self.pace.webhook_limit_s,
        )
        carrier = Carrier(
            account_sid=account_sid,
            auth_token=auth_token,
            webhooks=self._webhooks,
            tasks=self._tasks,
            faults=self.faults,
            pace=self.pace,
            answers=self._outcome,
            phones=phones,
        )
        self._exchange = Exchange(carrier)
        self.desk = Desk(
            account_sid=account_sid,
            auth_token=auth_token,
            api_keys=dict(api_keys or {}),
            calls=self.calls,
            remember=self._remember,
            messages=self.messages,
            place=self._exchange.place,
            report_tape=self._exchange.report_tape,
            pace=self.pace,
            keep_audio=keep_audio,
        )
        self.post = Post(account_sid, self._webhooks, self._tasks, self.desk.opted_out)
        """Text messages: how those of the account arrive, and those that are written to it."""
        self.desk.carry = self.post.carry
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "TwilioEmulator":
        async with contextlib.AsyncExitStack() as opening:
            await opening.enter_async_context(self._webhooks)
            server = web.AppRunner(
                rest_application(self.desk), access_log=None, shutdown_timeout=_GRACE_S
            )
            await server.setup()
            opening.push_async_callback(server.cleanup)
            await web.TCPSite(server, *self._api_address).start()
            host, port = server.addresses[0][:2]
            self.api_url = f"http://{host}:{port}"
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """End everything; what failed inside the emulator is raised, or noted on ``error``."""
        async with self._open:
            await self._tasks.close()
            for call in self.calls.values():
                for stream in call.streams:
                    stream.abort()
        if not self._tasks.failures:
            return
        if error is None:
            raise ExceptionGroup("the local Twilio failed", self._tasks.failures)
        error.add_note(f"the local Twilio failed as well: {self._tasks.failures!r}")

    async def call(
        self,
        *,
        from_: str = "+14155550100",
        to: str = "+15005550006",
        voice_path: str = "/incoming-call",
        extra_params: dict[str, str] | None = None,
        method: Literal["GET", "POST"] = "POST",
        answers: Answers | None = None,
        phone: Phone | None = None,
    ) -> EmulatedCall:
        """Somebody calls the number: ask the server for TwiML and run it, beside the caller.

        Returns at once. ``extra_params`` go with the voice webhook only; with a ``phone`` the
        caller hears and speaks there, and not by the methods of the call.
        """
        call = EmulatedCall(
            account_sid=self.account_sid,
            from_=from_,
            to=to,
            answers=answers,
            callback=self._number_callback(),
            fallback_url=self.origin.absolute(self._fallback_path) if self._fallback_path else None,
            keep_audio=self._keep_audio,
            phone=phone,
        )
        self._remember(call)
        source = Fetch(
            self.origin.absolute(voice_path), http_method(method), dict(extra_params or {})
        )
        self._exchange.receive(call, source)
        return call

    def fail_next(
        self,
        path: str,
        status: int,
        code: int = 20500,
        times: int = 1,
        *,
        after: bool = False,
        late_ms: int = 0,
    ) -> None:
        """Answer the next REST requests whose path contains ``path`` with an error.

        Status DROPPED (0) resets the connection; UNANSWERED (-1) keeps the client waiting
        until it gives up. With ``after`` the request is carried out first, so that the
        server cannot know; ``late_ms`` later the error is told, maybe when the deed was
        already felt on the stream.
        """
        self.desk.failures.append(Failure(path, status, code, times, after, late_ms))

    def assert_clean(self, *, allow: tuple[int, ...] = ()) -> None:
        """``assert_clean`` for every call of the account."""
        for call in self.calls.values():
            call.assert_clean(allow=allow)

    def _outcome(self, destination: str) -> DialOutcome | None:
        """Looked up late, so that a test may replace ``answers`` at any time."""
        if isinstance(self.answers, Mapping):
            return self.answers.get(destination)
        return self.answers(destination)

    def _number_callback(self) -> CallbackWish | None:
        if self._status_path is None:
            return None
        return CallbackWish(self.origin.absolute(self._status_path))

    def _remember(self, call: EmulatedCall) -> None:
        over = (sid for sid, one in self.calls.items() if one.settled)
        if len(self.calls) >= self._kept_calls and (oldest := next(over, None)) is not None:
            del self.calls[oldest]
        self.calls[call.call_sid] = call
