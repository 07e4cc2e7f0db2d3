"""The sound of a recording, out of Twilio's store and through our hands in small pieces.

Rule: nobody but Twilio's REST API is ever asked, with our credentials; it leads nowhere else, and
no recording is ever held whole.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp

from app.errors import CarrierFault

PIECE_BYTES = 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=3_600, connect=5, sock_connect=5, sock_read=15)
"""Whoever listens may be slow, Twilio may not."""
_TOLD = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges")
_FINE = frozenset({200, 206, 416})


@dataclass(frozen=True, slots=True)
class MediaHead:
    """What there is to know before the sound."""

    status: int
    """200, 206 (a part of it), or 416 (there is no such part)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What it is and how much, by HTTP's names."""


class RecordingMedia:
    """Fetches recordings as WAV. Holds no connection between two."""

    def __init__(self, base_url: str, account_sid: str, username: str, password: str) -> None:
        self._where = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Recordings"
        self._auth = aiohttp.encode_basic_auth(username, password)

    async def fetch(self, sid: str, part: str | None) -> AsyncIterator[MediaHead | bytes]:
        """The head, then the sound of a well-formed SID. ``part``: a Range header's value.

        Raises CarrierFault: ``no_recording``, ``credentials``, ``unreachable``, ``timed_out``,
        ``server_error``. Closing it gives Twilio up.
        """
        headers = {"Authorization": self._auth} | ({"Range": part} if part else {})
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
                ) as session,
                session.get(
                    f"{self._where}/{sid}.wav", headers=headers, allow_redirects=False
                ) as answer,
            ):
                yield _head(answer)
                async for piece in answer.content.iter_chunked(PIECE_BYTES):
                    yield piece
        except TimeoutError:
            raise CarrierFault("timed_out") from None
        except (aiohttp.ClientError, OSError):
            raise CarrierFault("unreachable") from None


def _head(answer: aiohttp.ClientResponse) -> MediaHead:
    if answer.status == 404:
        raise CarrierFault("no_recording")
    if answer.status in {401, 403}:
        raise CarrierFault("credentials")
    sound = answer.status == 416 or answer.content_type.startswith("audio/")
    if answer.status not in _FINE or not sound:
        raise CarrierFault("server_error")
    told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
    return MediaHead(answer.status, told)
