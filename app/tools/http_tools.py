"""A tool that is somebody's HTTP API, as the operator describes it in the document.

The model chooses arguments and nothing else: scheme, host and port are written plainly, what is
filled in is percent-encoded, and a place in the path cannot climb out of it. Every address that is
connected to is judged after names were resolved, and is the one that is connected to. A host that
is plainly within the house (``localhost``, an address, a name without a dot) or that the operator
lists may be there; any other must lead outside, and so must everything a redirect names.

The one rule: what comes back is read up to a bound and believed for what it is, not for what it
says it is; whatever is wrong with it is a sentence for the model.
"""

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.addresses import leads_outside
from app.call.templates import Place, Template, Values
from app.tools.foreign import ThreadsBusy, ToolThreads
from app.tools.parameters import CallFacts
from app.tools.paths import MISSING, Path, found
from app.tools.registry import Saved, ToolProblem

MOST_BODY_BYTES = 1 << 20
"""A larger answer is not read: it is for a telephone call."""
MOST_REDIRECTS = 3
_CONNECT_S = 5.0
_FIRST_PAUSE_S = 0.2
_MOST_SAVED_CHARS = 1_000
_MOST_ERROR_CHARS = 1_000
SAFE_TO_REPEAT = frozenset({"GET", "PUT", "DELETE"})
"""Asked twice they do what they do once (RFC 9110 9.2.2)."""
_LATER = frozenset({429, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_TEXTS = re.compile(r"text/(?!html\b)[\w.+-]+|application/(xml|yaml|x-yaml|x-ndjson)|.*\+xml")
_JSON = re.compile(r"application/json|.*\+json|text/json")
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE)
_CLIMBS = re.compile(r"(^|/)\.{1,2}(/|$)")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, with places for arguments."""

    method: str
    url: Template
    headers: Mapping[str, Template] = field(default_factory=dict)
    query: Mapping[str, Template] = field(default_factory=dict)
    body: Any = None
    """JSON with Templates for texts, one Template, or None: the arguments as they are, where the
    method has a body."""
    save: Mapping[str, Path] = field(default_factory=dict)
    retries: int = 0
    within_house: bool = False
    """Its host may be of this house."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    kind: str
    """Its media type, in small letters; empty where it names none."""
    charset: str
    body: bytes
    later_s: float | None = None
    """When it wants to be asked again."""


class _TryAgain(Exception):
    """Nobody answered, or somebody who could not; ``problem`` says so where it stays that way."""

    def __init__(self, problem: ToolProblem, later_s: float | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.later_s = later_s


class _Threads(AbstractResolver):
    """Looks names up where tools may block, so that a silent name server keeps nobody else's
    threads."""

    def __init__(self, threads: ToolThreads) -> None:
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        asked = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        try:
            done = await self._threads.run(asked)
        except ThreadsBusy:
            raise OSError("no thread is free") from None
        if isinstance(done.fault, OSError):
            raise done.fault
        addresses: Any = done.value or ()
        return [
            ResolveResult(
                hostname=host,
                host=where[0],
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, where in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


class HttpCall:
    """Whose ``ask`` is the function of such a tool. Cancelling leaves nothing behind."""

    def __init__(self, request: Request, threads: ToolThreads) -> None:
        self._request = request
        self._threads = threads

    async def ask(self, arguments: Mapping[str, Any], facts: CallFacts) -> object:
        """What the API answers. Raises ToolProblem."""
        try:
            url, headers, body = self._asked(_values(arguments, facts), arguments)
        except KeyError as missing:
            raise ToolProblem("not_known", f"The call has no {missing.args[0]} yet.") from None
        pause_s = _FIRST_PAUSE_S
        for left in range(self._request.retries, -1, -1):
            try:
                return self._told(await self._once(url, headers, body))
            except _TryAgain as fault:
                if not left:
                    raise fault.problem from None
                later_s = fault.later_s
            # Whole runs of callers meet the same server: each waits for another while.
            await asyncio.sleep(max(later_s or 0, random.uniform(pause_s / 2, pause_s)))
            pause_s *= 2
        raise AssertionError("unreachable")

    def _asked(
        self, values: Values, given: Mapping[str, Any]
    ) -> tuple[str, dict[str, str], bytes | None]:
        """Address, headers and body. Raises KeyError where a variable is missing."""
        request = self._request
        head, _, rest = request.url.url(values).partition("?")
        if _CLIMBS.search(urlsplit(head).path):
            raise ToolProblem("climbs", "An argument cannot be . or .. here. Use another value.")
        wanted = [
            f"{quote(name, safe='')}={quote(one.text(values), safe='')}"
            for name, one in request.query.items()
            if not _missing(one, given)
        ]
        query = "&".join(filter(None, [rest, *wanted]))
        headers = {name: one.text(values) for name, one in request.headers.items()}
        if not all(line.isprintable() for line in headers.values()):
            raise ToolProblem("header", "An argument has a line break where there can be none.")
        body, kind = _body(request, values, given)
        if kind and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = kind
        return f"{head}?{query}" if query else head, headers, body

    async def _once(self, url: str, headers: Mapping[str, str], body: bytes | None) -> _Answer:
        request, here = self._request, urlsplit(url)
        for _ in range(MOST_REDIRECTS + 1):
            parts = urlsplit(url)
            ours = (parts.scheme, parts.netloc) == (here.scheme, here.netloc)
            _judge(parts, within_house=request.within_house and ours)
            # Whoever it is sent on to is told nothing that was meant for this one.
            sent = headers if ours else {}
            reply = await self._exchanged(url, sent, body, house=request.within_house and ours)
            if isinstance(reply, _Answer):
                return reply
            if request.method != "GET":
                raise ToolProblem(
                    "redirected", "The tool's server sends us elsewhere. We do not go."
                )
            url = _led_to(url, reply)
        raise ToolProblem("redirected", "The tool's address leads from one to the next for ever.")

    async def _exchanged(
        self, url: str, headers: Mapping[str, str], body: bytes | None, *, house: bool
    ) -> "_Answer | str":
        """The answer, or where it is to be had instead."""
        denied: list[str] = []
        try:
            async with (
                self._client(denied, house=house) as client,
                client.request(
                    self._request.method,
                    URL(url, encoded=True),
                    data=body,
                    headers={"Accept": "application/json, text/*;q=0.5", **headers},
                    allow_redirects=False,
                ) as reply,
            ):
                to: str = reply.headers.get("Location", "")
                if reply.status in _MOVED and to:
                    return to
                answer = await _read(reply)
        except aiohttp.ClientSSLError:
            raise ToolProblem("tls", "The tool's server cannot prove who it is.") from None
        except (aiohttp.ClientConnectionError, OSError):
            if denied:
                raise _forbidden() from None
            problem = ToolProblem("unreachable", "The tool's server cannot be reached.")
            raise _TryAgain(problem) from None
        except (aiohttp.ClientError, ValueError):
            raise ToolProblem("not_http", "The tool's server answered nonsense.") from None
        if answer.status in _LATER:
            raise _TryAgain(_refused(answer), answer.later_s)
        return answer

    @asynccontextmanager
    async def _client(self, denied: list[str], *, house: bool) -> AsyncIterator[Any]:
        def guarded(address: Any) -> socket.socket:
            family, kind, protocol, _, where = address
            if not (house or leads_outside(str(where[0]))):
                denied.append("address")
                raise OSError("this address is not connected to")
            return socket.socket(family, kind, protocol)

        # A connection of its own each time: what was allowed once is judged again.
        connector = aiohttp.TCPConnector(
            resolver=_Threads(self._threads), socket_factory=guarded, force_close=True
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S),
            headers={"User-Agent": "Patchline", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        ) as client:
            yield client

    def _told(self, answer: _Answer) -> object:
        """What the model is told, and what the call is to know."""
        if not 200 <= answer.status < 300:
            raise _refused(answer)
        if not answer.body.strip():
            return f"The tool did it, and had nothing to say (HTTP {answer.status})."
        value = _value(answer)
        known = {name: found(value, steps) for name, steps in self._request.save.items()}
        kept = {
            name: _written(one)[:_MOST_SAVED_CHARS]
            for name, one in known.items()
            if one is not MISSING and one is not None
        }
        return Saved(value, kept) if kept else value


def _judge(parts: SplitResult, *, within_house: bool) -> None:
    """Raises ToolProblem for an address no tool may lead to, as far as its text says."""
    fits = parts.scheme == "https" or (within_house and parts.scheme == "http")
    if not fits or not parts.hostname or parts.username or parts.password:
        raise _forbidden()


def _led_to(url: str, location: str) -> str:
    try:
        to = urljoin(url, location)
        urlsplit(to)
    except ValueError:
        raise _forbidden() from None
    return to


def _forbidden() -> ToolProblem:
    return ToolProblem("refused_address", "The tool leads to an address that is not allowed.")


def _values(arguments: Mapping[str, Any], facts: CallFacts) -> Values:
    """What places may name. What is no text in JSON is written as JSON."""
    return {
        "call": {"id": facts.call_id},
        "caller": {"number": facts.caller},
        "line": {"number": facts.line},
        **facts.values(),
        "args": {name: _written(one) for name, one in arguments.items()},
    }


def _written(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _alone(part: object) -> str | None:
    """The argument that is all of a text; None where there is anything else."""
    if not isinstance(part, Template) or len(part.parts) != 1:
        return None
    place = part.parts[0]
    only = isinstance(place, Place) and place.root == "args" and not place.filters
    return place.name if isinstance(place, Place) and only else None


def _missing(part: object, given: Mapping[str, Any]) -> bool:
    """Whether it is an argument that the model left out."""
    name = _alone(part)
    return name is not None and given.get(name) is None


def _body(request: Request, values: Values, given: Mapping[str, Any]) -> tuple[bytes | None, str]:
    """The body and its media type."""
    if request.body is None:
        if request.method in {"GET", "DELETE"}:
            return None, ""
        return orjson.dumps(given), "application/json"
    if isinstance(request.body, Template):
        return request.body.text(values).encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return orjson.dumps(_filled(request.body, values, given)), "application/json"


def _filled(part: Any, values: Values, given: Mapping[str, Any]) -> Any:
    """A piece of the body with its places filled; an argument that is missing is left out."""
    if isinstance(part, Template):
        name = _alone(part)
        return part.text(values) if name is None else given.get(name)
    if isinstance(part, Mapping):
        kept = {name: one for name, one in part.items() if not _missing(one, given)}
        return {name: _filled(one, values, given) for name, one in kept.items()}
    return [_filled(one, values, given) for one in part] if isinstance(part, list) else part


async def _read(reply: aiohttp.ClientResponse) -> _Answer:
    """The answer, up to its bound. Raises ToolProblem for what nobody could read out."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ToolProblem("packed", "The tool's answer is packed and was not read.")
    if reply.status < 400 and kind and not _readable(kind):
        raise _not_data(kind)
    if (reply.content_length or 0) > MOST_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for piece in reply.content.iter_any():
        body += piece
        if len(body) > MOST_BODY_BYTES:
            raise _too_large()
    later = reply.headers.get("Retry-After", "")
    later_s = float(later) if re.fullmatch(r"[0-9]{1,4}", later) else None
    return _Answer(reply.status, kind, reply.charset or "utf-8", bytes(body), later_s)


def _readable(kind: str) -> bool:
    return kind not in _PAGES and bool(_JSON.fullmatch(kind) or _TEXTS.fullmatch(kind))


def _too_large() -> ToolProblem:
    return ToolProblem("too_large", "The tool's answer is larger than 1 MiB and was not read.")


def _not_data(kind: str) -> ToolProblem:
    if kind in _PAGES:
        return ToolProblem("page", "The tool answered with a web page instead of data.")
    return ToolProblem("not_text", "The tool answered with a file that is no text.")


def _value(answer: _Answer) -> Any:
    """JSON as its value, anything else as text. Raises ToolProblem for what is neither."""
    if _PAGE.match(answer.body):
        raise _not_data("text/html")
    if not answer.kind or _JSON.fullmatch(answer.kind):
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            if answer.kind:
                sentence = "The tool's answer says that it is JSON, and is not."
                raise ToolProblem("not_json", sentence) from None
    return _text(answer)


def _text(answer: _Answer) -> str:
    try:
        text = answer.body.decode(answer.charset)
    except (LookupError, UnicodeDecodeError):
        raise _not_data("") from None
    if "\x00" in text:
        raise _not_data("")
    return text


def _refused(answer: _Answer) -> ToolProblem:
    """A refusal in words; what an API says of it the model can often act upon."""
    said = ""
    if _readable(answer.kind or "text/plain") and not _PAGE.match(answer.body):
        said = answer.body.decode("utf-8", "replace").strip()[:_MOST_ERROR_CHARS]
    sentence = f"The tool refused (HTTP {answer.status})."
    return ToolProblem(f"http_{answer.status}", f"{sentence} It says: {said}" if said else sentence)
