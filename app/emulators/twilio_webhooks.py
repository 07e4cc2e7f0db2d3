"""Twilio's requests to a server: signed over the public URL, delivered to the real one.

Rule: what is signed and what the server sees as Host is the public origin; only the TCP
connection goes elsewhere. So a server that computes signatures over what it really listens
on fails here as it would behind a tunnel.
"""

import asyncio
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

import aiohttp

from app.emulators.twilio_signing import signature_header, signed_url
from app.emulators.twilio_words import Faults, Violation, WebhookRequest, names, remember

BODY_LIMIT_BYTES = 64 * 1024
MEDIA_LIMIT_BYTES = 10 * 1024 * 1024
"""Ten minutes of a common WAV file."""
MEDIA_LIMIT_S = 10.0
TWIML_TYPES = ("text/xml", "application/xml", "text/html")
_USER_AGENT = "TwilioProxy/1.1"
_KEEP_ALIVE_S = 2.0
"""Shorter than any server's own, so that no request meets a connection just closed."""


class Route(NamedTuple):
    """Where a URL really leads."""

    url: str
    """To connect to; its scheme is http(s) or ws(s) after the server's."""
    host: str
    """The Host header: what Twilio believes it dialled."""


class PublicOrigin:
    """The one public origin, and the place that stands for it."""

    def __init__(self, public_url: str, server_url: str) -> None:
        self.public_url = public_url.rstrip("/")
        self._public = urlsplit(self.public_url)
        self._server = urlsplit(server_url.rstrip("/"))

    def absolute(self, path: str) -> str:
        """The public URL of a path; an absolute URL stays as it is."""
        return urljoin(self.public_url + "/", path)

    def route(self, url: str) -> Route:
        """Where to connect for ``url``: the server for the public origin, itself for others."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if host != self._public.netloc.rpartition("@")[2]:
            return Route(urlunsplit(parts._replace(fragment="")), host)
        secure = self._server.scheme in ("https", "wss")
        scheme = {True: "wss", False: "ws"} if parts.scheme in ("ws", "wss") else _HTTP
        moved = parts._replace(
            scheme=scheme[secure],
            netloc=self._server.netloc,
            path=self._server.path + parts.path,
            fragment="",
        )
        return Route(urlunsplit(moved), host)


_HTTP = {True: "https", False: "http"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered; ``error`` is Twilio's code where it cannot be used."""

    status_code: int
    body: str = ""
    content_type: str = ""
    error: int | None = None


class Webhooks:
    """Posts webhooks for one account. Open it with ``async with``."""

    def __init__(
        self, *, origin: PublicOrigin, auth_token: str, faults: Faults, limit_s: float
    ) -> None:
        self.origin = origin
        self._auth_token = auth_token
        self._faults = faults
        self._limit = aiohttp.ClientTimeout(total=limit_s)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Webhooks":
        self._http = aiohttp.ClientSession(
            timeout=self._limit,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=256, keepalive_timeout=_KEEP_ALIVE_S),
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def send(
        self,
        url: str,
        form: dict[str, str],
        log: list[WebhookRequest],
        *,
        method: Literal["GET", "POST"] = "POST",
    ) -> Reply:
        """Deliver one webhook and note it in ``log``; never raises for what the server does.

        A connection that fails is tried once more, as Twilio does by default.
        """
        form = {**form, **self._faults.extra_parameters}
        path = urlsplit(url).path
        again = names(self._faults.duplicate_webhooks, path) is not None
        if (slow := names(self._faults.slow_webhooks, path)) is not None:
            await asyncio.sleep(self._faults.slow_webhooks[slow] / 1000)
        token = {"I-Twilio-Idempotency-Token": secrets.token_hex(16)}
        reply = await self._once(url, form, log, method, token if again else {})
        if again:
            await asyncio.sleep(self._faults.repeat_after_ms / 1000)
        if again or reply.error == 11205:
            reply = await self._once(url, form, log, method, token)
        return reply

    async def media(self, url: str) -> tuple[str, bytes] | Violation:
        """The type and content of what <Play> names, or why there is none; never raises.

        The request carries no parameters, as with Twilio, and is signed like every other.
        """
        if self._http is None:
            raise RuntimeError("open the webhooks with async with before fetching")
        route = self.origin.route(url)
        headers = {**self._signature(url, []), "Host": route.host, "User-Agent": _USER_AGENT}
        try:
            async with (
                asyncio.timeout(MEDIA_LIMIT_S),
                self._http.get(route.url, headers=headers, allow_redirects=False) as response,
            ):
                if response.status != HTTPStatus.OK:
                    return Violation(11200, f"{url} answered {response.status}")
                content = bytearray()
                async for piece in response.content.iter_any():
                    content += piece
                    if len(content) > MEDIA_LIMIT_BYTES:
                        return Violation(11200, f"{url} is longer than {MEDIA_LIMIT_BYTES} bytes")
                return response.content_type, bytes(content)
        except TimeoutError:
            return Violation(11200, f"{url} did not come within {MEDIA_LIMIT_S:g} s")
        except (aiohttp.ClientError, ValueError) as exc:
            return Violation(11200, f"{url} cannot be fetched: {type(exc).__name__}")

    async def _once(
        self,
        url: str,
        form: dict[str, str],
        log: list[WebhookRequest],
        method: str,
        headers: dict[str, str],
    ) -> Reply:
        if method == "GET":
            parts = urlsplit(url)
            query = "&".join(part for part in (parts.query, urlencode(form)) if part)
            url = urlunsplit(parts._replace(query=query))
        fields = [] if method == "GET" else list(form.items())
        route = self.origin.route(url)
        headers = {
            **headers,
            **self._signature(url, fields),
            "Host": route.host,
            "User-Agent": _USER_AGENT,
        }
        body = urlencode(fields) if method == "POST" else None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        reply = await self._deliver(method, route.url, body, headers)
        path = urlsplit(url).path
        remember(log, WebhookRequest(path, dict(form), reply.status_code, reply.body))
        return reply

    def _signature(self, url: str, fields: list[tuple[str, str]]) -> dict[str, str]:
        key = self._faults.shared_key
        if key is None:
            return signature_header(
                self._faults.webhook_signature, self._auth_token, signed_url(url), fields
            )
        settings = f"key={key.key_id},algorithm={key.algorithm}"
        return signature_header(
            self._faults.webhook_signature,
            key.secret,
            signed_url(url),
            fields,
            algorithm=key.algorithm,
        ) | {"X-Twilio-Webhooks-Signature-Settings": settings}

    async def _deliver(
        self, method: str, url: str, body: str | None, headers: dict[str, str]
    ) -> Reply:
        if self._http is None:
            raise RuntimeError("open the webhooks with async with before sending")
        try:
            async with self._http.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                raw = await response.content.read(BODY_LIMIT_BYTES + 1)
                while len(raw) <= BODY_LIMIT_BYTES and not response.content.at_eof():
                    raw += await response.content.read(BODY_LIMIT_BYTES + 1)
                return _reply(response.status, raw, response.headers.get("Content-Type", ""))
        except TimeoutError:
            return Reply(0, error=11200)
        except aiohttp.ClientConnectorError:
            return Reply(0, error=11205)
        except aiohttp.ClientError:
            return Reply(0, error=11200)


def _reply(status: int, raw: bytes, content_type: str) -> Reply:
    text = raw[:BODY_LIMIT_BYTES].decode("utf-8", "replace")
    kind = content_type.partition(";")[0].strip().lower()
    if not 200 <= status < 300:
        return Reply(status, text, kind, error=11200)
    if len(raw) > BODY_LIMIT_BYTES:
        return Reply(status, text, kind, error=11750)
    return Reply(status, text, kind)
