"""Whether the other computers a call needs would play their part, asked while somebody waits.

The one rule: a question changes nothing and is bounded, whatever answers: so many seconds, so
many bytes, no redirect, no decompression, names looked up by threads of its own, so that a
name server that hangs cannot keep a call's connection waiting. What comes back is never
repeated: an answer becomes one of a few words (its *reason*), and numbers lose their middle.
"""

import asyncio
import re
import socket
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import orjson

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

MOST_NUMBERS = 50
"""One page of Twilio's; who has more is told that these were looked at."""
_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.:/-]{0,79}")
_MOST_MODELS = 5
_MODEL_REFUSALS = {401: "refused", 403: "not_allowed", 404: "no_list", 405: "no_list"}
_MESSAGES = "/incoming-message"
_NGROK_CODE = "ngrok-error-code"
_NGROK = {
    "ERR_NGROK_3200": "tunnel_offline",
    "ERR_NGROK_8012": "tunnel_elsewhere",
    "ERR_NGROK_6024": "interstitial",
}
"""https://ngrok.com/docs/errors: no tunnel; nobody on its port; its page for browsers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may cost."""

    within_s: float = 5.0
    """From the look-up of the name to the last byte."""
    most_bytes: int = 1024 * 1024
    """Of a body; the longest list of models seen had half of it."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Where the other computers are, and what they know us by; None for what is not set."""

    openai_url: str
    model: str
    """Of the agent document."""
    openai_key: str | None = field(default=None, repr=False)
    azure: bool = False
    twilio_url: str = "https://api.twilio.com"
    account_sid: str | None = field(default=None, repr=False)
    auth_token: str = field(default="", repr=False)
    rest_user: str = field(default="", repr=False)
    """What REST requests of a call are sent with: the account, or an API key."""
    rest_secret: str = field(default="", repr=False)
    public_url: str | None = None
    instance: str = ""
    """What ``/health`` of this process says of itself."""
    texts: bool = False
    """The agent reads text messages."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a question came to."""

    reason: str
    """``ok``, ``unset``, or why it is not well: a stable word."""
    names: tuple[str, ...] = ()
    """Of models that would do, or of the host that answered instead."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where the account's numbers bring their callers; each number without its middle."""

    reason: str
    here: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """To another address, an application or a trunk, or nowhere."""
    without_fallback: tuple[str, ...] = ()
    """Those of ``here`` whose callers hear Twilio's error when this server does not answer."""
    without_messages: tuple[str, ...] = ()
    """Those of ``here`` whose text messages go elsewhere, though the agent reads them."""
    more: bool = False
    """There are others that were not looked at."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def table(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is something else."""
        try:
            found = orjson.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class _Unanswered(Exception):
    """What came back is not what was asked for; ``reason`` and ``names`` as in ``Told``."""

    def __init__(self, reason: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.names = names


class Checks:
    """The questions. Constructing it neither connects nor starts a thread.

    Every question answers within ``Limits.within_s`` and raises nothing.
    """

    def __init__(self, parties: Parties, limits: Limits = Limits()) -> None:
        self._parties = parties
        self._limits = limits
        self._names = ThreadPoolExecutor(4, thread_name_prefix="check-names")

    def close(self) -> None:
        """Ask nothing more; look-ups under way end by themselves."""
        self._names.shutdown(wait=False, cancel_futures=True)

    async def openai(self) -> Told:
        """Whether the key is taken and the agent's model is among those it may use."""
        parties = self._parties
        if parties.openai_key is None:
            return Told("unset")
        headers = {"Authorization": f"Bearer {parties.openai_key}"}
        if parties.azure:
            headers["api-key"] = parties.openai_key
        try:
            answer = await self._ask(f"{parties.openai_url}/models", headers)
            if answer.status not in _MODEL_REFUSALS:
                return self._model_among(_judged(answer))
        except _Unanswered as fault:
            return Told(fault.reason, fault.names)
        return Told(_MODEL_REFUSALS[answer.status])

    def _model_among(self, answer: _Answer) -> Told:
        listed = answer.table().get("data")
        if not isinstance(listed, list):
            return Told("not_the_api")
        if self._parties.azure:
            # Azure lists models, and calls name deployments.
            return Told("deployments")
        names = {str(one.get("id", "")) for one in listed if isinstance(one, dict)}
        if self._parties.model in names:
            return Told("ok")
        near = sorted(n for n in names if "realtime" in n and _MODEL_NAME.fullmatch(n))
        return Told("without_model", tuple(near[:_MOST_MODELS]))

    async def account(self) -> Told:
        """Whether Twilio takes the auth token, which signs every webhook, and for which account."""
        parties = self._parties
        if parties.account_sid is None:
            return Told("unset")
        try:
            answer = await self._ask_twilio(".json", parties.account_sid, parties.auth_token)
        except _Unanswered as fault:
            return Told(fault.reason, fault.names)
        account = answer.table()
        if account.get("sid") != parties.account_sid:
            return Told("not_the_api")
        if account.get("status") in ("suspended", "closed"):
            return Told(str(account["status"]))
        return Told("trial" if account.get("type") == "Trial" else "ok")

    async def numbers(self) -> Numbers:
        """Which numbers of the account bring their callers here. Changes none of them."""
        parties = self._parties
        if parties.account_sid is None or parties.public_url is None:
            return Numbers("unset")
        page = f"/IncomingPhoneNumbers.json?PageSize={MOST_NUMBERS}&Page=0"
        try:
            answer = await self._ask_twilio(page, parties.rest_user, parties.rest_secret)
        except _Unanswered as fault:
            return Numbers(fault.reason)
        table = answer.table()
        listed = table.get("incoming_phone_numbers")
        if not isinstance(listed, list):
            return Numbers("not_the_api")
        numbers = [one for one in listed if isinstance(one, dict)][:MOST_NUMBERS]
        more = bool(table.get("next_page_uri"))
        return _sorted(numbers, parties.public_url, texts=parties.texts, more=more)

    async def public_url(self) -> Told:
        """Whether ``PUBLIC_URL`` leads to this very process."""
        url = self._parties.public_url
        if url is None:
            return Told("unset")
        try:
            answer = await self._ask(f"{url}/health", {})
            if code := answer.headers.get(_NGROK_CODE):
                return Told(_NGROK.get(code, "server_error"))
            if answer.status in (401, 403):
                return Told("locked")
            return Told(self._whose(_judged(answer, other="other_server")))
        except _Unanswered as fault:
            return Told(fault.reason, fault.names)

    def _whose(self, answer: _Answer) -> str:
        mark = answer.table().get("instance")
        if mark == self._parties.instance:
            return "ok" if urlsplit(self._parties.public_url or "").scheme == "https" else "house"
        return "other_server" if mark is None else "other_instance"

    async def listens(self, url: str) -> bool:
        """Whether somebody takes connections where ``url`` points."""
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(self._limits.within_s):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except (TimeoutError, OSError):
            return False
        writer.close()
        return True

    async def _ask_twilio(self, path: str, user: str, secret: str) -> _Answer:
        root = f"{self._parties.twilio_url}/2010-04-01/Accounts/{self._parties.account_sid}"
        word = b64encode(f"{user}:{secret}".encode()).decode()
        answer = await self._ask(root + path, {"Authorization": f"Basic {word}"})
        if answer.status in (401, 403, 404):
            raise _Unanswered(_refusal(answer))
        return _judged(answer)

    async def _ask(self, url: str, headers: dict[str, str]) -> _Answer:
        """The answer to a GET; redirects are answers. Raises ``_Unanswered``."""
        # Eight megabytes, for who looks at the first page; in a thread, because calls go on.
        await asyncio.get_running_loop().run_in_executor(self._names, import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415

        resolver = cast("AbstractResolver", _Resolver(self._names))
        plain = {"User-Agent": "Patchline", "Accept-Encoding": "identity", **headers}
        try:
            async with (
                asyncio.timeout(self._limits.within_s),
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(resolver=resolver),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                ) as client,
                client.get(url, headers=plain, allow_redirects=False) as reply,
            ):
                return _Answer(reply.status, reply.headers.copy(), await self._body(reply))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:
            raise _Unanswered(_why(exc)) from exc

    async def _body(self, reply: "aiohttp.ClientResponse") -> bytes:
        body = bytearray()
        async for piece in reply.content.iter_any():
            body += piece
            if len(body) > self._limits.most_bytes:
                raise _Unanswered("too_large")
        return bytes(body)


class _Resolver:
    """Looks names up in threads that nobody else waits for: aiohttp's ``AbstractResolver``."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> "list[ResolveResult]":
        """Raises OSError, as a look-up does."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            {
                "hostname": host,
                "host": str(address[0]),
                "port": port,
                "family": kind,
                "proto": protocol,
                "flags": socket.AI_NUMERICHOST,
            }
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """The threads are somebody else's."""


def _why(exc: Exception) -> str:
    """Why nothing came back; the narrower classes first, they are kinds of the wider ones."""
    import aiohttp  # noqa: PLC0415

    if isinstance(exc, TimeoutError):
        return "timed_out"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "no_such_host"
    if isinstance(exc, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "certificate"
    return "unreachable" if isinstance(exc, aiohttp.ClientConnectorError) else "garbled"


def _judged(answer: _Answer, *, other: str = "not_the_api") -> _Answer:
    """The answer, if it can be the one that was asked for. Raises ``_Unanswered``."""
    if answer.status == 200 and answer.body.lstrip()[:1] != b"<":
        return answer
    if 300 <= answer.status < 400:
        raise _Unanswered("redirected", _host(answer.headers.get("Location", "")))
    if answer.status >= 500:
        raise _Unanswered("server_error")
    reasons = {200: "html", 429: "busy"}
    raise _Unanswered(reasons.get(answer.status, other))


def _host(location: str) -> tuple[str, ...]:
    """Only the host: what comes behind it may be a secret."""
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        return ()
    return (host,) if re.fullmatch(r"[a-z0-9.-]{1,100}", host) else ()


def _refusal(answer: _Answer) -> str:
    """Twilio's own code decides; the HTTP status where somebody else answered."""
    code = answer.table().get("code")
    if code in (20006, 20008):
        return "test_credentials"
    if code == 20005:
        return "suspended"
    return "no_account" if answer.status == 404 else "refused"


def _sorted(numbers: list[dict[str, Any]], origin: str, *, texts: bool, more: bool) -> Numbers:
    here = [one for one in numbers if _calls_lead_to(one, f"{origin}/incoming-call")]
    elsewhere = [one for one in numbers if one not in here]
    bare = [one for one in here if not one.get("voice_fallback_url")]
    mute = [one for one in here if texts and not _messages_lead_to(one, f"{origin}{_MESSAGES}")]
    return Numbers("ok", _masked(here), _masked(elsewhere), _masked(bare), _masked(mute), more)


def _calls_lead_to(number: dict[str, Any], url: str) -> bool:
    # An application or a trunk takes the call whatever the URL says.
    if number.get("voice_application_sid") or number.get("trunk_sid"):
        return False
    return _same(number.get("voice_url"), url)


def _messages_lead_to(number: dict[str, Any], url: str) -> bool:
    """Also of a number that takes none: nothing is amiss with it."""
    able = number.get("capabilities")
    if isinstance(able, dict) and not able.get("sms", True):
        return True
    return not number.get("sms_application_sid") and _same(number.get("sms_url"), url)


def _same(found: object, url: str) -> bool:
    scheme, separator, rest = str(found or "").partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}".lower() + slash + path == url


def _masked(numbers: list[dict[str, Any]]) -> tuple[str, ...]:
    """Enough of each to know one's own by."""
    digits = [re.sub(r"[^+\d]", "", str(one.get("phone_number") or "")) for one in numbers]
    return tuple(f"{n[:3]} ••• {n[-2:]}" if len(n) > 7 else "a short number" for n in digits)
