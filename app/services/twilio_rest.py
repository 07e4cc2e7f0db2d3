"""Twilio's REST API, as far as a live call needs it, with the time limits the library lacks.

twilio-python's asynchronous client has no timeout at all and repeats POSTs of its own accord,
so the synchronous one does the talking, in a few threads of its own. The one rule: a slow or
dead REST API costs whoever asked an answer in bounded time, and costs the event loop nothing.
Twilio's errors are translated here, once, into CarrierFault with a stable reason; no message
holds a number, a SID, a key or a URL.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import requests
from twilio import rest
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import HttpClient
from twilio.http.response import Response
from urllib3.exceptions import NewConnectionError

from app.errors import CarrierFault, OurFault
from app.protocol.twilio_recordings import is_recording_sid
from app.protocol.twilio_webhooks import is_call_sid

_CALL_OVER_CODES = frozenset({20404, 21220})
_CREDENTIAL_CODES = frozenset({20003, 20005})
_RATE_CODES = frozenset({20429})
_WITHOUT_EFFECT = frozenset({"rate_limited", "unreachable"})
"""Such a request was certainly not carried out."""
_WORTH_ANOTHER_TRY = _WITHOUT_EFFECT | {"connection_lost", "server_error"}
"""For requests that do no harm when they are carried out twice."""
_NO_REGION = {"TWILIO_REGION": "", "TWILIO_EDGE": ""}
"""The library reads these two from the environment and then rewrites our base URL's host."""

CURRENT_RECORDING = "Twilio.CURRENT"
"""In place of a RecordingSid: whichever goes on."""
_TWILIO = "https://api.twilio.com"
_library: Any = rest
"""twilio-python is not typed; what it sends is judged by Prism (tests/services/test_prism.py)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long Twilio may take. A caller whose transfer hangs hears nothing meanwhile."""

    connect_s: float = 2.0
    read_s: float = 4.0
    retry_window_s: float = 3.0
    """No attempt begins later than this after the first."""
    total_s: float = 6.0
    """Attempts, pauses, name resolution and waiting for a thread, all together."""
    first_pause_s: float = 0.1
    """Doubles with every attempt, give or take a tenth: Twilio's own advice."""


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A call that Twilio knows to have been placed by this account."""

    call_sid: str
    status: str
    """In Twilio's words, as of now."""
    created_at: datetime
    """UTC, whole seconds."""


class TwilioRest:
    """The account's REST API. Constructing it neither connects nor starts a thread.

    Cancelling a method stops the waiting; a request on its way may still take effect.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        username: str,
        password: str,
        base_url: str = _TWILIO,
        patience: Patience = Patience(),
        threads: int = 8,
    ) -> None:
        """``username`` and ``password`` are the account SID and auth token, or an API key."""
        if not (account_sid and username and password):
            raise OurFault("credentials", "Twilio's REST API needs an account SID and a secret")
        self._patience = patience
        self._http = _BoundedHttpClient(patience)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="twilio-rest")
        client = _library.Client(
            username, password, account_sid, http_client=self._http, environment=_NO_REGION
        )
        client.api.base_url = base_url.rstrip("/")
        if client.api.base_url != _TWILIO:
            # Somebody stands in for Twilio: for its other products, too.
            client.voice.base_url = client.api.base_url
        self._client = client
        self._closed = False
        self._calls = client.api.v2010.account.calls
        self._messages = client.api.v2010.account.messages

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Let the call go on with another document; its stream, if any, ends soon after.

        Returns once Twilio accepted it, which is before it takes effect. Raises CarrierFault,
        ``call_over`` where there is no call any more; where the fault is ``unclear`` the
        document may run all the same, and it is never sent a second time: that would ring
        whoever it dials twice.
        """
        call = self._call(call_sid)
        await self._ask(lambda: call.update(twiml=twiml), again_after=_WITHOUT_EFFECT)

    async def hang_up(self, call_sid: str) -> None:
        """End the call for everybody. A call that is over already counts as success.

        Raises CarrierFault.
        """
        call = self._call(call_sid)
        try:
            await self._ask(lambda: call.update(status="completed"))
        except CarrierFault as fault:
            if fault.reason != "call_over":
                raise

    async def call_status(self, call_sid: str) -> str:
        """The call's status in Twilio's words; it may lag behind the truth by a moment.

        Raises CarrierFault, ``call_over`` where Twilio does not know the call.
        """
        call = self._call(call_sid)
        return str(await self._ask(lambda: call.fetch().status))

    async def place(self, to: str, from_: str, url: str, more: Mapping[str, Any]) -> str:
        """Place a call; returns its CallSid once Twilio has taken the order, before it rings.

        ``more`` are further parameters by the library's names. Raises CarrierFault; where it
        is ``unclear`` the telephone may ring all the same. It is sent a second time only where
        the first was certainly not carried out: Twilio has no idempotency key for this.
        """
        self._check_open()
        create = self._calls.create
        sid = await self._ask(
            lambda: create(to=to, from_=from_, url=url, **more).sid, again_after=_WITHOUT_EFFECT
        )
        if not is_call_sid(str(sid)):
            raise CarrierFault("server_error")
        return str(sid)

    async def placed_since(self, to: str, from_: str, since: datetime) -> list[PlacedCall]:
        """The calls this account placed from one number to another, oldest first.

        Only those that were ordered at ``since`` or later; Twilio's clock has whole seconds.
        Its filter by time is not used: it leaves out calls that wait to be dialled. Raises
        CarrierFault.
        """
        self._check_open()
        listed = self._calls.list
        found: Any = await self._ask(
            lambda: [
                _placed(one)
                for one in listed(to=to, from_=from_, limit=50, page_size=50)
                if one.to == to and one._from == from_ and one.direction == "outbound-api"
            ]
        )
        recent = [one for one in found if one.created_at >= since.replace(microsecond=0)]
        return sorted(recent, key=lambda one: one.created_at)

    async def message(
        self,
        to: str,
        from_: str,
        body: str,
        *,
        media_url: str | None = None,
        status_callback: str | None = None,
    ) -> str:
        """Send a text message; its SID once Twilio has taken it, before it arrives.

        ``from_``: a number, or the SID of a messaging service. ``media_url``: what Twilio fetches
        and attaches. ``status_callback``: where it is told how far the message has come.

        Raises CarrierFault; where it is ``unclear`` it may have been sent all the same. It is
        sent a second time only where the first was certainly not carried out.
        """
        self._check_open()
        create = self._messages.create
        sender = "messaging_service_sid" if from_.startswith("MG") else "from_"
        given: dict[str, Any] = {sender: from_}
        if media_url:
            given["media_url"] = [media_url]
        if status_callback:
            given["status_callback"] = status_callback
        sid = await self._ask(
            lambda: create(to=to, body=body, **given).sid, again_after=_WITHOUT_EFFECT
        )
        return str(sid)

    async def record(self, call_sid: str, *, channels: str, status_callback: str) -> str:
        """Begin to record the call; the recording's SID. ``channels``: dual or mono.

        Raises CarrierFault; where it is ``unclear`` the call may be recorded all the same.
        """
        call = self._call(call_sid)
        create = call.recordings.create
        sid = await self._ask(
            lambda: (
                create(
                    recording_channels=channels,
                    recording_status_callback=status_callback,
                    recording_status_callback_event=["in-progress", "completed", "absent"],
                    recording_status_callback_method="POST",
                    trim="do-not-trim",  # Else it would be shorter than the call it is laid beside.
                ).sid
            ),
            again_after=_WITHOUT_EFFECT,
        )
        if not is_recording_sid(str(sid)):
            raise CarrierFault("server_error")
        return str(sid)

    async def change_recording(self, call_sid: str, recording_sid: str | None, status: str) -> None:
        """Have a recording ``paused`` (in silence), ``in-progress`` again, or ``stopped``.

        ``recording_sid``: None is the only one there can be. Raises CarrierFault, ``call_over``
        where there is no such recording any more.
        """
        call = self._call(call_sid)
        more = {"pause_behavior": "silence"} if status == "paused" else {}
        change = call.recordings(recording_sid or CURRENT_RECORDING).update
        await self._ask(lambda: change(status=status, **more))

    async def recorded_call(self, recording_sid: str) -> str | None:
        """The CallSid of the call that is heard on a recording; None where there is no such
        recording. Raises CarrierFault."""
        recording = self._recording(recording_sid)
        try:
            return str(await self._ask(lambda: recording.fetch().call_sid))
        except CarrierFault as fault:
            if fault.reason != "call_over":
                raise
            return None

    async def delete_recording(self, recording_sid: str) -> None:
        """Erase a recording; one that is not there any more is fine. Raises CarrierFault."""
        try:
            await self._ask(self._recording(recording_sid).delete)
        except CarrierFault as fault:
            if fault.reason != "call_over":
                raise

    def close(self) -> None:
        """Give up what has not begun and close what is idle; requests under way time out."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def _call(self, call_sid: str) -> Any:
        # The library puts the SID into the path as it is.
        self._check_open()
        if not is_call_sid(call_sid):
            raise OurFault("malformed_call_sid", "a REST request needs a well-formed CallSid")
        return self._calls(call_sid)

    def _recording(self, recording_sid: str) -> Any:
        self._check_open()
        if not is_recording_sid(recording_sid):
            raise OurFault("malformed_recording_sid", "a REST request needs a RecordingSid")
        return self._client.api.v2010.account.recordings(recording_sid)

    def _check_open(self) -> None:
        if self._closed:
            raise OurFault("closed", "the REST client was closed")

    async def _ask(
        self, request: Callable[[], object], *, again_after: frozenset[str] = _WORTH_ANOTHER_TRY
    ) -> object:
        """Carry out a request, again where another attempt is safe and may help."""
        try:
            async with asyncio.timeout(self._patience.total_s):
                return await self._attempts(request, again_after)
        except TimeoutError:
            raise CarrierFault("timed_out") from None

    async def _attempts(self, request: Callable[[], object], again_after: frozenset[str]) -> object:
        begun = time.monotonic()
        pause_s = self._patience.first_pause_s
        server_errors = 0
        while True:
            try:
                return await self._attempt(request)
            except CarrierFault as fault:
                server_errors += fault.reason == "server_error"
                late = time.monotonic() - begun + pause_s > self._patience.retry_window_s
                if fault.reason not in again_after or server_errors > 1 or late:
                    raise
            await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))
            pause_s *= 2

    async def _attempt(self, request: Callable[[], object]) -> object:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, request)
        except (TwilioException, requests.RequestException) as exc:
            _translate(exc)
        except (ValueError, TypeError, AttributeError, KeyError) as exc:
            # Whatever answered with success is not Twilio's API: the reply is no call.
            raise CarrierFault("server_error") from exc


def _placed(call: Any) -> PlacedCall:
    return PlacedCall(call.sid, str(call.status), call.date_created.astimezone(UTC))


def _translate(exc: TwilioException | requests.RequestException) -> NoReturn:
    raise CarrierFault(_reason(exc)) from exc


def _reason(exc: TwilioException | requests.RequestException) -> str:
    if isinstance(exc, TwilioRestException | TwilioServiceException):
        return _refusal(exc.status, exc.code)
    if isinstance(exc, requests.ConnectTimeout) or _never_connected(exc):
        return "unreachable"
    if isinstance(exc, requests.Timeout):
        return "timed_out"
    return "connection_lost" if isinstance(exc, requests.ConnectionError) else "server_error"


def _never_connected(exc: BaseException) -> bool:
    """Whether the connection failed before anything could be sent."""
    cause = exc.args[0] if exc.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _refusal(status: object, code: object) -> str:
    """Twilio's own code decides; the HTTP status where somebody else answered."""
    if code in _CALL_OVER_CODES:
        return "call_over"
    if code in _CREDENTIAL_CODES or status in (401, 403):
        return "credentials"
    if code in _RATE_CODES or status == 429:
        return "rate_limited"
    if not isinstance(status, int) or status >= 500:
        return "server_error"
    return f"refused_{code if isinstance(code, int) else status}"


class _BoundedHttpClient(HttpClient):
    """What the library sends its requests with, in place of its own TwilioHttpClient.

    That one has no time limit for connecting, logs URLs (with SIDs in them) at INFO, and
    hands over its reply through an attribute, so that two threads may get each other's.
    """

    def __init__(self, patience: Patience) -> None:
        super().__init__(logging.getLogger(__name__), is_async=False)
        self._timeout_s = (patience.connect_s, patience.read_s)
        self._session = requests.Session()

    def request(  # noqa: PLR0917 - the signature is the library's
        self,
        method: str,
        uri: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Carry out one request on whatever thread asks. Raises requests.RequestException."""
        del timeout
        reply = self._session.request(
            method,
            uri,
            params=params,
            data=data,
            headers=headers,
            auth=auth,
            timeout=self._timeout_s,
            allow_redirects=allow_redirects,
        )
        return Response(reply.status_code, reply.text, reply.headers)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._session.close()
