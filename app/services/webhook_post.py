"""One POST to an address somebody else chose, which must not become a way into this house.

Every address that is really connected to is judged, after names were resolved and for each
of them, so that a name which means something else a moment later gains nothing. Rule: https to
public addresses, no redirects, no proxies of the environment, and of the answer nothing is
read but its status and, where somebody asks for it, a body of bounded length.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from app.addresses import leads_outside

PATIENCE_S = 15.0
"""For resolving, connecting, sending and the head of the answer, all together."""
_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it."""

    status: int | None
    """Of HTTP; None where there was no answer."""
    reason: str = ""
    """refused_scheme, refused_address, unreachable, timed_out, tls, not_http, too_large; empty
    with a status."""
    body: bytes = b""
    """What was asked for of it."""


class _Denied(OSError):
    """An address we do not connect to."""


class WebhookPost:
    """POSTs JSON. Cancelling leaves nothing behind."""

    def __init__(self, *, loopback: bool = False, patience_s: float = PATIENCE_S) -> None:
        """With ``loopback``, this machine may be told too, and without TLS: for tests."""
        self._loopback = loopback
        self._timeout = aiohttp.ClientTimeout(total=patience_s, connect=_CONNECT_S)

    async def post(
        self, url: str, body: str, headers: Mapping[str, str], *, most_bytes: int = 0
    ) -> Posted:
        """Send ``body`` once; never raises for what the other side does or is.

        With ``most_bytes`` the answer's body is read, too: a longer one is too_large.
        """
        if not self._scheme_allowed(url):
            return Posted(None, "refused_scheme")
        denied: list[str] = []

        def guarded(address: Any) -> socket.socket:
            family, kind, protocol, _, where = address
            if not leads_outside(str(where[0]), loopback=self._loopback):
                denied.append("address")
                raise _Denied("this address is not connected to")
            return socket.socket(family, kind, protocol)

        try:
            return await self._send(guarded, url, body, headers, most_bytes)
        except TimeoutError:
            return Posted(None, "timed_out")
        except aiohttp.ClientSSLError:
            return Posted(None, "tls")
        except (aiohttp.ClientConnectionError, OSError):
            return Posted(None, "refused_address" if denied else "unreachable")
        except (aiohttp.ClientError, ValueError):
            return Posted(None, "not_http")

    async def _send(
        self, guarded: Any, url: str, body: str, headers: Mapping[str, str], most_bytes: int
    ) -> Posted:
        # A connection of its own each time: what was allowed once is judged again.
        connector = aiohttp.TCPConnector(socket_factory=guarded, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.post(
                url,
                data=body.encode(),
                headers={"content-type": "application/json", **headers},
                allow_redirects=False,
            ) as answer,
        ):
            if not most_bytes:
                return Posted(answer.status)
            return await _read(answer, most_bytes)

    def _scheme_allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        if parts.username or parts.password or not parts.hostname:
            return False
        return parts.scheme == "https" or (self._loopback and parts.scheme == "http")


async def _read(answer: aiohttp.ClientResponse, most_bytes: int) -> Posted:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most_bytes:
            return Posted(None, "too_large")
    return Posted(answer.status, body=bytes(body))
