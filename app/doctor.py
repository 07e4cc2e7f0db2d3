"""What a Realtime server can do, found out by trying, and the dialect that fits it.

A server's word is not enough: one confirms mu-law and sends samples. So it is visited in one
dialect after the other, as a call would, until nothing goes wrong; on a paid service all of
that together costs some seconds of speech.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import SplitResult, quote, urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

from app import addresses
from app.doctor_visit import Finding, Patience, Visit, Wire
from app.protocol.dialect import AZURE, DIALECTS, OPENAI, Dialect

_MOST_MESSAGE_BYTES = 4 << 20
PATIENCE = Patience()
_SILENT_S = 2
_BASE = "give the base of a Realtime API, such as http://localhost:8080/v1"
_NO_ADDRESS = "this is no address: write it as http://localhost:8080/v1"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Examination:
    """A server, tried in one dialect."""

    dialect: Dialect
    findings: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        """Calls can be held with it: nothing that was tried went wrong."""
        return all(finding.good is not False for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, what it is shown, and which of its models is meant."""

    url: str
    key: str | None
    model: str


async def examine(
    url: str, key: str | None, model: str, patience: Patience = PATIENCE
) -> list[Examination]:
    """Try one dialect after the other until one fits; the last one fits, or none does.

    ``url`` is the server's base or its Realtime address, with http or ws. Raises nothing that
    a server could cause.
    """
    if not _is_address(url):
        return [Examination(OPENAI, (Finding("connects", _NO_ADDRESS, False),))]
    tried: list[Examination] = []
    async with aiohttp.ClientSession() as client:
        for dialect in _candidates(urlsplit(url)):
            place = Place(dialect.address(address(url, model)), key, model)
            findings = await _visited(client, dialect, place, patience)
            tried.append(Examination(dialect, tuple(findings)))
            if tried[-1].fits or findings[-1].what in _HOPELESS:
                break
    return tried


_HOPELESS = frozenset({"connects", "speaks first"})
"""Where no other dialect would help."""


async def attended(work: Awaitable[T], console: Console, *, after_s: float = _SILENT_S) -> T:
    """Await ``work``; a person who waits for longer is told that it goes on."""
    status = console.status("Talking to the server; one that is slow takes a minute …")
    timer = asyncio.get_running_loop().call_later(after_s, status.start)
    try:
        return await work
    finally:
        timer.cancel()
        status.stop()


def address(url: str, model: str) -> str:
    """The Realtime socket of the server at ``url``, with the model in its query."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/").removesuffix("/realtime")
    query = parts.query or f"model={quote(model, safe='')}"
    return f"{scheme}://{parts.netloc}{path}/realtime?{query}"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        return False
    return parts.scheme in {"http", "https", "ws", "wss"} and bool(parts.hostname)


def _candidates(url: SplitResult) -> Sequence[Dialect]:
    if addresses.on_azure(url):
        return (AZURE,)
    return tuple(one for one in DIALECTS.values() if one is not AZURE)


async def _visited(
    client: aiohttp.ClientSession, dialect: Dialect, place: Place, patience: Patience
) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with (
            asyncio.timeout(patience.all_s),
            await _connected(client, dialect, place, patience) as socket,
        ):
            visit = Visit(Wire(socket), dialect, place.model, patience)
            findings = visit.findings
            await visit.run()
    except aiohttp.WSServerHandshakeError as exc:
        findings.append(Finding("connects", _refusal(exc.status), False))
    except TimeoutError:  # an OSError too
        if findings:
            findings.append(Finding("in time", f"not within {patience.all_s:g} s", False))
        else:
            findings.append(Finding("connects", _hangs(patience), False))
    except (aiohttp.ClientError, OSError) as exc:
        findings.append(Finding("connects", _unreached(exc), False))
    return findings


async def _connected(
    client: aiohttp.ClientSession, dialect: Dialect, place: Place, patience: Patience
) -> aiohttp.ClientWebSocketResponse:
    async with asyncio.timeout(patience.opening_s):
        return await client.ws_connect(
            place.url,
            headers=dict(dialect.headers(place.key)) if place.key else None,
            max_msg_size=_MOST_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=1),
        )


def _hangs(patience: Patience) -> str:
    return (
        f"no answer within {patience.opening_s:g} s: it hangs, or something else listens on that"
        " port"
    )


def _refusal(status: int) -> str:
    if status in (401, 403):
        return f"HTTP {status}: it refuses OPENAI_API_KEY; set the key of this server"
    if status in (404, 405):
        return f"HTTP {status}: there is no Realtime socket at this path; {_BASE}"
    if status == 429 or status >= 500:
        return f"HTTP {status}: it is there and cannot serve now; look into its log"
    return f"HTTP {status} where a WebSocket should open: {_BASE}"


def _unreached(exc: Exception) -> str:
    if isinstance(exc, aiohttp.InvalidURL):
        return _NO_ADDRESS
    if isinstance(exc, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "TLS fails: check its certificate, or write http:// where it has none"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "nobody knows this host: check its name"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "nobody listens there: check host and port, and that the server runs"
    return "the connection broke off: look into the server's log"


def show(tried: Sequence[Examination], console: Console) -> bool:
    """What was found, as a table and a sentence; whether a dialect fits."""
    table = Table("dialect", "tried", "found", "")
    for one in tried:
        for finding in one.findings:
            mark = {True: "ok", False: "NO", None: "-"}[finding.good]
            table.add_row(one.dialect.name, finding.what, finding.outcome, mark)
        table.add_section()
    console.print(table)
    best = tried[-1]
    if not best.fits:
        console.print("No dialect fits: calls would fail, or be forgotten, as shown.")
        return False
    name = best.dialect.name
    setting = (
        "nothing to set" if best.dialect in (OPENAI, AZURE) else f"set REALTIME_DIALECT={name}"
    )
    console.print(f"The dialect {name} fits: {setting}.")
    return True
