"""What a Realtime server can do, found out by trying, and the dialect that fits it.

A server's word is not enough: one confirms mu-law and sends samples. So it is visited in one
dialect after the other, as a call would, until nothing goes wrong; on a paid service all of
that together costs some seconds of speech.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

from app import addresses
from app.doctor_visit import Finding, Patience, Visit, Wire
from app.protocol.dialect import AZURE, DIALECTS, OPENAI, Dialect

_MOST_MESSAGE_BYTES = 4 << 20
PATIENCE = Patience()


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
    tried: list[Examination] = []
    async with aiohttp.ClientSession() as client:
        for dialect in _candidates(urlsplit(url)):
            place = Place(dialect.address(address(url, model)), key, model)
            findings = await _visited(client, dialect, place, patience)
            tried.append(Examination(dialect, tuple(findings)))
            if tried[-1].fits or findings[-1].what == "connects":
                break
    return tried


def address(url: str, model: str) -> str:
    """The Realtime socket of the server at ``url``, with the model in its query."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/").removesuffix("/realtime")
    query = parts.query or f"model={quote(model, safe='')}"
    return f"{scheme}://{parts.netloc}{path}/realtime?{query}"


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
            client.ws_connect(
                place.url,
                headers=dict(dialect.headers(place.key)) if place.key else None,
                max_msg_size=_MOST_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=1),
            ) as socket,
        ):
            visit = Visit(Wire(socket), dialect, place.model, patience)
            findings = visit.findings
            await visit.run()
    except aiohttp.WSServerHandshakeError as exc:
        findings.append(Finding("connects", f"HTTP {exc.status}", False))
    except (aiohttp.ClientError, OSError) as exc:
        findings.append(Finding("connects", type(exc).__name__, False))
    except TimeoutError:
        findings.append(Finding("in time", f"not within {patience.all_s:g} s", False))
    return findings


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
