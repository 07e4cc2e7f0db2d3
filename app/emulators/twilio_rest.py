"""The part of Twilio's REST API that a phone server needs, with Twilio's errors.

Calls can be made, shown, redirected and ended; messages are taken down; the account and its
numbers can be looked at. Rule: what the request says is checked here and what it means for a
call is ordered from the exchange; an answer of 200 to an update promises nothing about the
moment it takes effect.
"""

import asyncio
import base64
import binascii
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from app.emulators import twilio_detection
from app.emulators.twilio_account import (
    OwnedNumber,
    account_resource,
    number_page,
    number_resource,
    permission_resource,
    rewired,
)
from app.emulators.twilio_call import (
    CallbackWish,
    EmulatedCall,
    Fetch,
    HungUp,
    Inline,
    Redirected,
    Source,
)
from app.emulators.twilio_detection import Detection
from app.emulators.twilio_problem import TwilioProblem
from app.emulators.twilio_recordings import add_recordings
from app.emulators.twilio_run import http_method
from app.emulators.twilio_tape import Tape
from app.emulators.twilio_twiml import is_absolute
from app.emulators.twilio_words import Pace, new_sid

TWIML_LIMIT_CHARACTERS = 4000
MESSAGE_LIMIT_CHARACTERS = 1600
_DESTINATION = re.compile(r"\+[1-9]\d{4,14}|(sip|sips|client|app):.+")
_HTTP_ERROR = 400
KEPT_REQUESTS = 10_000
KEPT_MESSAGES = 1_000
"""Of either the newest; a carrier beside a server runs for weeks. A message that was forgotten is
not found any more (20404)."""
DROPPED = 0
UNANSWERED = -1

_Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Failure:
    """Requests to come that are answered with an error instead of being carried out."""

    path: str
    """Any part of the request's path."""
    status: int
    """HTTP status; DROPPED resets the connection, UNANSWERED leaves the client waiting."""
    code: int
    times: int
    after: bool = False
    """True: the request is carried out and only its answer is lost."""
    late_ms: int = 0
    """How long the error takes: with ``after`` the deed may be felt before it is told."""


@dataclass(slots=True)
class Desk:
    """What the REST API works on; the emulator owns it."""

    account_sid: str
    auth_token: str
    calls: Mapping[str, EmulatedCall]
    remember: Callable[[EmulatedCall], None]
    """Adds to the calls; old ones may go for it."""
    messages: deque[dict[str, Any]]
    place: Callable[[EmulatedCall, Source, Detection | None], None]
    report_tape: Callable[[EmulatedCall, Tape], None]
    pace: Pace
    keep_audio: bool
    api_keys: Mapping[str, str] = field(default_factory=dict)
    account_status: str = "active"
    account_type: str = "Full"
    numbers: list[OwnedNumber] = field(default_factory=list)
    dialing_countries: set[str] = field(default_factory=lambda: {"US", "CA"})
    """Where ordinary numbers may be called."""
    opted_out: set[str] = field(default_factory=set)
    """Numbers that sent STOP: messages to them fail with 21610."""
    failures: list[Failure] = field(default_factory=list)
    delay_ms: int = 0
    told: Callable[[dict[str, Any]], None] = lambda _message: None
    """Hears of every text message that was taken down."""
    carry: Callable[[dict[str, Any], str], None] = lambda _message, _callback: None
    """Sees a message that was taken down to its end, and tells its StatusCallback."""
    requests: deque[tuple[str, str, dict[str, str]]] = field(
        default_factory=lambda: deque(maxlen=KEPT_REQUESTS)
    )
    """Method, path and form of every request, refused ones included."""


def rest_application(desk: Desk) -> web.Application:
    """An aiohttp application that serves the API below ``/2010-04-01``."""
    api = _Api(desk)

    @web.middleware
    async def guard(request: web.Request, handler: _Endpoint) -> web.StreamResponse:
        return await api.guard(request, handler)

    application = web.Application(middlewares=[guard])
    root = "/2010-04-01/Accounts/{account}"
    application.router.add_get(f"{root}.json", api.fetch_account)
    application.router.add_get(f"{root}/IncomingPhoneNumbers.json", api.list_numbers)
    application.router.add_post(f"{root}/IncomingPhoneNumbers/{{number}}.json", api.update_number)
    permissions = "/v1/DialingPermissions/Countries/{country}"
    application.router.add_get(permissions, api.fetch_permission)
    application.router.add_post(f"{root}/Calls.json", api.create_call)
    application.router.add_get(f"{root}/Calls.json", api.list_calls)
    application.router.add_get(f"{root}/Calls/{{call}}.json", api.fetch_call)
    application.router.add_post(f"{root}/Calls/{{call}}.json", api.update_call)
    add_recordings(application, root, desk.calls, desk.report_tape)
    application.router.add_post(f"{root}/Messages.json", api.create_message)
    application.router.add_get(f"{root}/Messages/{{message}}.json", api.fetch_message)
    return application


class _Api:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def guard(self, request: web.Request, endpoint: _Endpoint) -> web.StreamResponse:
        """Write the request down, fail where failing was asked for, and check who asks."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self._desk.requests.append((request.method, request.path, form))
        if self._desk.delay_ms > 0:
            await asyncio.sleep(self._desk.delay_ms / 1000)
        failure = self._take_failure(request.path)
        try:
            if failure is not None and not failure.after:
                return await _fail(request, failure)
            self._authenticate(request)
            answer = await endpoint(request)
        except TwilioProblem as problem:
            return problem.response()
        except web.HTTPNotFound:
            return TwilioProblem(404, 20404).response()
        except web.HTTPMethodNotAllowed:
            return TwilioProblem(405, 20004, "Method not allowed").response()
        if failure is not None:
            return await _fail(request, failure)
        return answer

    def _take_failure(self, path: str) -> Failure | None:
        for failure in self._desk.failures:
            if failure.path in path:
                failure.times -= 1
                if failure.times <= 0:
                    self._desk.failures.remove(failure)
                return failure
        return None

    def _authenticate(self, request: web.Request) -> None:
        kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            kind = user = secret = ""
        known = {self._desk.account_sid: self._desk.auth_token, **self._desk.api_keys}
        if kind.lower() != "basic" or known.get(user) != secret:
            raise TwilioProblem(401, 20003)
        account = request.match_info.get("account", self._desk.account_sid)
        if account != self._desk.account_sid:
            raise TwilioProblem(404, 20404)

    async def fetch_account(self, _request: web.Request) -> web.Response:
        desk = self._desk
        return web.json_response(
            account_resource(desk.account_sid, status=desk.account_status, kind=desk.account_type)
        )

    async def list_numbers(self, request: web.Request) -> web.Response:
        asked = {name: request.query.get(name, "") for name in ("Page", "PageSize")}
        page, size = (int(text) if text.isdecimal() else 0 for text in asked.values())
        return web.json_response(
            number_page(self._desk.account_sid, self._desk.numbers, page=page, size=size or 50)
        )

    async def update_number(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        desk = self._desk
        for place, number in enumerate(desk.numbers):
            if number.sid == request.match_info["number"]:
                if any(not is_absolute(form[name]) for name in form if name.endswith("Url")):
                    raise TwilioProblem(400, 21502, "Voice Url is not valid")
                desk.numbers[place] = rewired(number, form)
                return web.json_response(number_resource(desk.account_sid, desk.numbers[place]))
        raise TwilioProblem(404, 20404)

    async def fetch_permission(self, request: web.Request) -> web.Response:
        country = request.match_info["country"]
        allowed = country in self._desk.dialing_countries
        return web.json_response(permission_resource(country, allowed=allowed))

    async def create_call(self, request: web.Request) -> web.Response:
        form = await request.post()
        to, from_ = str(form.get("To", "")), str(form.get("From", ""))
        if not to:
            raise TwilioProblem(400, 21201, "No 'To' number is specified")
        if not from_:
            raise TwilioProblem(400, 21213, "No 'From' number is specified")
        if not _DESTINATION.fullmatch(to):
            raise TwilioProblem(400, 21211, f"Invalid 'To' Phone Number: {to}")
        source = _source(form)
        if source is None:
            raise TwilioProblem(400, 21205, "Url parameter is required.")
        try:
            detection = twilio_detection.wanted(form)
        except twilio_detection.Refused as fault:
            raise TwilioProblem(400, 20001, str(fault)) from None
        events = frozenset(str(one) for one in form.getall("StatusCallbackEvent", ["completed"]))
        callback = str(form.get("StatusCallback", ""))
        call = EmulatedCall(
            account_sid=self._desk.account_sid,
            from_=from_,
            to=to,
            direction="outbound-api",
            callback=CallbackWish(
                callback, events, http_method(str(form.get("StatusCallbackMethod", "POST")))
            )
            if callback
            else None,
            fallback_url=str(form["FallbackUrl"]) if "FallbackUrl" in form else None,
            keep_audio=self._desk.keep_audio,
        )
        if "Timeout" in form:
            call.ring_limit_ms = 1000 * int(str(form["Timeout"]))
        self._desk.remember(call)
        answer = web.json_response(call.resource(), status=201)
        self._desk.place(call, source, detection)
        return answer

    async def list_calls(self, request: web.Request) -> web.Response:
        calls = [call.resource() for call in self._desk.calls.values()]
        page = {
            "calls": calls,
            "page": 0,
            "page_size": len(calls),
            "uri": request.path,
            "first_page_uri": request.path,
            "next_page_uri": None,
            "previous_page_uri": None,
        }
        return web.json_response(page)

    async def fetch_call(self, request: web.Request) -> web.Response:
        return web.json_response(self._call(request).resource())

    async def update_call(self, request: web.Request) -> web.Response:
        form = await request.post()
        call = self._call(request)
        status = str(form.get("Status", ""))
        if status:
            self._change_status(call, status)
            return web.json_response({**call.resource(), "status": status})
        source = _source(form)
        if source is None:
            raise TwilioProblem(400, 20001, "Nothing to update")
        if call.status != "in-progress":
            raise TwilioProblem(400, 21220)
        if "FallbackUrl" in form:
            call.fallback_url = str(form["FallbackUrl"])
        call.order(Redirected(source, self._desk.pace.redirect_delay_ms))
        return web.json_response(call.resource())

    async def create_message(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        to, body = form.get("To", ""), form.get("Body", "")
        if not _DESTINATION.fullmatch(to):
            raise TwilioProblem(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if not form.get("From") and not form.get("MessagingServiceSid"):
            raise TwilioProblem(400, 21603, "A 'From' phone number is required")
        if not body and not form.get("MediaUrl") and not form.get("ContentSid"):
            raise TwilioProblem(400, 21602, "Message body is required")
        if len(body) > MESSAGE_LIMIT_CHARACTERS:
            raise TwilioProblem(400, 21617, "The message body exceeds the 1600 character limit")
        if to in self._desk.opted_out:
            raise TwilioProblem(400, 21610)
        message = _message(self._desk.account_sid, form)
        self._desk.messages.append(message)
        self._desk.told(message)
        answer = web.json_response(message, status=201)
        self._desk.carry(message, form.get("StatusCallback", ""))
        return answer

    async def fetch_message(self, request: web.Request) -> web.Response:
        for message in self._desk.messages:
            if message["sid"] == request.match_info["message"]:
                return web.json_response(message)
        raise TwilioProblem(404, 20404)

    def _call(self, request: web.Request) -> EmulatedCall:
        call = self._desk.calls.get(request.match_info["call"])
        if call is None:
            raise TwilioProblem(404, 20404)
        return call

    def _change_status(self, call: EmulatedCall, status: str) -> None:
        if status not in ("completed", "canceled"):
            raise TwilioProblem(400, 21218, f"Invalid status {status}")
        running = call.status == "in-progress"
        if call.over or (status == "canceled" and running):
            raise TwilioProblem(400, 21220)
        call.order(HungUp("rest", status))


def _source(form: Mapping[str, Any]) -> Source | None:
    """The TwiML a request brings or names; raises TwilioProblem for one Twilio refuses."""
    url, twiml = str(form.get("Url", "")), str(form.get("Twiml", ""))
    if url:
        if not is_absolute(url):
            raise TwilioProblem(400, 21205, "Url is not a valid URL")
        return Fetch(url, http_method(str(form.get("Method", "POST"))))
    if len(twiml) > TWIML_LIMIT_CHARACTERS:
        raise TwilioProblem(400, 21218, "Twiml is longer than 4000 characters")
    return Inline(twiml) if twiml else None


async def _fail(request: web.Request, failure: Failure) -> web.Response:
    """The ordered error, when its time has come; for UNANSWERED that is never."""
    await asyncio.sleep(failure.late_ms / 1000)
    if failure.status == UNANSWERED:
        await asyncio.get_running_loop().create_future()
    if failure.status < _HTTP_ERROR:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
    return TwilioProblem(failure.status, failure.code).response()


def _message(account_sid: str, form: dict[str, str]) -> dict[str, Any]:
    sid = new_sid("SM")
    now = format_datetime(datetime.now(UTC))
    return {
        "sid": sid,
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "body": form.get("Body", ""),
        "date_created": now,
        "date_sent": None,
        "date_updated": now,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": form.get("From"),
        "messaging_service_sid": form.get("MessagingServiceSid"),
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "status": "queued",
        "to": form["To"],
        "uri": f"/2010-04-01/Accounts/{account_sid}/Messages/{sid}.json",
    }
