"""Twilio's HTTP side of a call: the signed voice webhook, the TwiML answer, a deaf REST API.

One rule: requests look as Twilio's do. They are written on a plain socket because a bench
needs a handful a second and no client library.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "b" * 32
API_KEY = "bench-operator-key"
MODEL_KEY = "sk-bench"
PUBLIC_URL = "https://bench.test"
PUBLIC_HOST = "bench.test"
WEBHOOK = "/incoming-call"
STREAM_ENDED = "/twilio/stream-ended"
_TIMEOUT_S = 10.0
_MOST_REDIRECTS = 10


class NotAnsweredError(Exception):
    """The server did not answer a webhook with TwiML that connects a stream."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where the TwiML sends the media stream."""

    path: str
    signature: str
    """``X-Twilio-Signature`` of the upgrade."""
    parameters: dict[str, str]
    redirects: int = 0
    """How often the answer was to ask again."""


def sign(url: str, form: dict[str, str]) -> str:
    """``X-Twilio-Signature`` over ``url`` and the fields of a form, by HMAC-SHA1."""
    text = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(AUTH_TOKEN.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


async def incoming_call(port: int, call_sid: str) -> Invitation:
    """Ask the server what to do with a call, as Twilio does.

    Raises NotAnsweredError, OSError or TimeoutError. Safe to cancel.
    """
    form = {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "CallStatus": "ringing",
        "Called": "+15550100",
        "Caller": "+15550199",
        "Direction": "inbound",
        "From": "+15550199",
        "To": "+15550100",
    }
    async with asyncio.timeout(_TIMEOUT_S):
        document, redirects = await _document(port, WEBHOOK, form)
    return _invitation(WEBHOOK, document, redirects)


async def stream_ended(port: int, call_sid: str, stream_sid: str) -> Invitation:
    """Ask the server what to do with a caller who is on the telephone and has no stream.

    Raises NotAnsweredError, OSError or TimeoutError. Safe to cancel.
    """
    form = {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "CallStatus": "in-progress",
        "Direction": "inbound",
        "From": "+15550199",
        "StreamEvent": "stream-stopped",
        "StreamSid": stream_sid,
        "To": "+15550100",
    }
    async with asyncio.timeout(_TIMEOUT_S):
        document, redirects = await _document(port, STREAM_ENDED, form)
    return _invitation(STREAM_ENDED, document, redirects)


def invitation(twiml: str) -> Invitation:
    """Where a document sends the media stream. Raises NotAnsweredError."""
    return _invitation("REST", ElementTree.fromstring(twiml), 0)


def _invitation(asked: str, document: ElementTree.Element, redirects: int) -> Invitation:
    stream = document.find("./Connect/Stream")
    if stream is None:
        said = ElementTree.tostring(document)[:200]
        raise NotAnsweredError(f"{asked} answered without <Connect><Stream>: {said!r}")
    url = stream.attrib["url"]
    parameters = {one.attrib["name"]: one.attrib["value"] for one in stream.iter("Parameter")}
    return Invitation(urlsplit(url).path, sign(url, {}), parameters, redirects)


async def _document(port: int, path: str, form: dict[str, str]) -> tuple[ElementTree.Element, int]:
    """The answer of a webhook, redirects and the pauses before them followed; and how many."""
    for redirects in range(_MOST_REDIRECTS):
        status, body = await _post(port, path, form)
        if status != 200:
            raise NotAnsweredError(f"{path} answered {status}: {body[:200]!r}")
        document = ElementTree.fromstring(body)
        redirect = document.find("./Redirect")
        if redirect is None or document.find("./Connect") is not None:
            return document, redirects
        await asyncio.sleep(sum(float(one.get("length", 1)) for one in document.iter("Pause")))
        url = urlsplit(redirect.text or "")
        path = f"{url.path}?{url.query}" if url.query else url.path
    raise NotAnsweredError(f"{WEBHOOK} sent the call in a circle")


async def _post(port: int, path: str, form: dict[str, str]) -> tuple[int, bytes]:
    body = urlencode(form)
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nConnection: close\r\n"
        f"User-Agent: TwilioProxy/1.1\r\nX-Twilio-Signature: {sign(PUBLIC_URL + path, form)}\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    return await _exchange(port, request)


async def _exchange(port: int, request: str) -> tuple[int, bytes]:
    """Status and body of one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode())
        answer = await reader.read()
    finally:
        writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 else 0), content


async def hold_call(port: int, call_sid: str) -> None:
    """The operator puts a call on hold. Raises NotAnsweredError, OSError or TimeoutError."""
    body = '{"type":"hold"}'
    request = (
        f"POST /v1/calls/{call_sid}/commands HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\n"
        f"Connection: close\r\nAuthorization: Bearer {API_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    async with asyncio.timeout(_TIMEOUT_S):
        status, content = await _exchange(port, request)
    if status != 200:
        raise NotAnsweredError(f"hold was answered with {status}: {content[:200]!r}")


async def get(port: int, path: str) -> int:
    """The status of a GET; 0 while nobody answers."""
    request = f"GET {path} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nConnection: close\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    try:
        writer.write(request.encode())
        words = (await reader.readline()).split(b" ", 2)
    except OSError:
        return 0
    finally:
        writer.close()
    return int(words[1]) if len(words) > 1 else 0


async def serve_rest(count: Callable[[str], None]) -> asyncio.Server:
    """A Twilio REST API that says yes to everything and counts what it was asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _TIMEOUT_S)
            count(head.split(b"\r\n", 1)[0].decode("latin-1"))
            body = b'{"sid":"CA0","status":"in-progress"}'
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)
