"""An OpenAI-compatible server of the operator's, reached over HTTP.

Rule: whatever it answers that is not what was asked for becomes one sentence that names the
setting and the fix; the port that asked goes on without it. One that did not answer in time is
left alone for a while: a caller waits for it once, and not at every turn.
"""

import json
from time import monotonic
from typing import Any

import aiohttp

from app.local.budget import LEAST_S, left_s

ANSWER_S = 5
REST_S = 30
_MOST_BYTES = 16 * 1024 * 1024
_SHOWN_CHARS = 120


class RemoteFault(Exception):
    """The server could not be used; the message says which setting, what came, and the fix."""


class Remote:
    """One base URL. Enter it before use; ``setting`` is its name in ``.env``."""

    def __init__(
        self,
        setting: str,
        base_url: str,
        key: str = "",
        *,
        within_s: float = ANSWER_S,
        share: float = 1,
    ) -> None:
        """``share`` of what is left of a turn's time may be waited, and ``within_s`` at most."""
        self._setting = setting
        self._within_s = within_s
        self._share = share
        self._rests_until_s = 0.0
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def json(self, path: str, body: Any, *, within_s: float | None = None) -> dict[str, Any]:
        """POST ``body`` (JSON, or a form); the JSON object of the answer. Raises RemoteFault."""
        content, kind = await self._post(path, body, within_s or self._within_s)
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self._fault(f"answered {kind or 'something'} where JSON was expected")
        return value

    async def sound(self, path: str, body: Any) -> bytes:
        """POST ``body``; the WAV of the answer. Raises RemoteFault."""
        content, kind = await self._post(path, body, self._within_s)
        if content[:4] != b"RIFF":
            raise self._fault(f"answered {kind or 'something'} where a WAV was expected")
        return content

    async def _post(self, path: str, body: Any, within_s: float) -> tuple[bytes, str]:
        if monotonic() < self._rests_until_s:
            raise self._fault(f"is left alone for {REST_S} s, because it did not answer")
        granted_s = self._share * left_s()
        if granted_s < LEAST_S:
            raise self._fault("was not asked, because the turn had no time left")
        within_s = min(within_s, granted_s)
        if self._client is None:
            self._client = aiohttp.ClientSession(headers=self._headers)
        sent = {"data": body} if isinstance(body, aiohttp.FormData) else {"json": body}
        url = f"{self._base_url}/{path}"
        try:
            limit = aiohttp.ClientTimeout(total=within_s)
            async with self._client.post(
                url, allow_redirects=False, timeout=limit, **sent
            ) as answer:
                content = await _whole(answer.content)
                if content is None:
                    raise self._fault(f"answered more than {_MOST_BYTES >> 20} MiB")
                if answer.status != 200:
                    shown = content[:_SHOWN_CHARS].decode(errors="replace")
                    raise self._fault(f"answered {answer.status}: {' '.join(shown.split())}")
                return content, answer.content_type
        except TimeoutError:
            self._rests_until_s = monotonic() + REST_S
            raise self._fault(f"did not answer within {within_s:.2g} s") from None
        except aiohttp.ClientError as exc:
            raise self._fault(f"cannot be reached ({type(exc).__name__})") from exc

    def _fault(self, what: str) -> RemoteFault:
        return RemoteFault(
            f"{self._setting} {what}: it should be the base of an OpenAI-compatible API, such as"
            " http://127.0.0.1:8000/v1"
        )


async def _whole(stream: aiohttp.StreamReader) -> bytes | None:
    """The body to its end, however many pieces it comes in; None when there is too much."""
    body = bytearray()
    async for piece in stream.iter_any():
        body += piece
        if len(body) > _MOST_BYTES:
            return None
    return bytes(body)
