"""The handshake of a media socket, header for header as Twilio was seen to send it.

No extension is offered, no origin, no subprotocol; the signature covers the ``wss`` URL and
nothing else. Rule: anything but 101 is a refusal with a code of its own, never a retry and
never a redirect.
"""

from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from app.emulators.twilio_signing import signature_header, signed_url
from app.emulators.twilio_webhooks import PublicOrigin
from app.emulators.twilio_words import SignatureMode, Violation

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
OPEN_LIMIT_S = 10.0
USER_AGENT = "Twilio.TmeWs/1.0"


class _Dial(connect):
    """A client that follows no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_socket(
    url: str,
    *,
    origin: PublicOrigin,
    auth_token: str,
    signature_mode: SignatureMode,
    unread_limit_bytes: int,
) -> ClientConnection | Violation:
    """Dial the public ``wss`` URL where it really leads; a Violation when nobody answers well."""
    route = origin.route(url)
    real = urlsplit(route.url)
    secure = real.scheme == "wss"
    headers = signature_header(signature_mode, auth_token, signed_url(url))
    try:
        return await _Dial(
            f"{real.scheme}://{route.host}{real.path or '/'}",
            host=real.hostname,
            port=real.port or (443 if secure else 80),
            compression=None,
            proxy=None,
            user_agent_header=USER_AGENT,
            additional_headers={**headers, "Accept-Encoding": "gzip"},
            open_timeout=OPEN_LIMIT_S,
            ping_interval=None,
            max_size=MESSAGE_LIMIT_BYTES,
            write_limit=unread_limit_bytes,
        )
    except InvalidStatus as error:
        return Violation(31920, f"upgrade answered with {error.response.status_code}")
    except InvalidHandshake as error:
        return Violation(31920, f"no upgrade: {error}")
    except TimeoutError:
        return Violation(31901, "no answer to the upgrade")
    except ConnectionRefusedError:
        return Violation(31902, "connection refused")
    except (OSError, EOFError) as error:
        return Violation(31904, f"no connection: {error}")


def unacceptable_url(url: str) -> Violation | None:
    """What Twilio refuses about a <Stream url> before it dials; None when nothing."""
    parts = urlsplit(url)
    if parts.scheme != "wss":
        return Violation(31922, f"the scheme of a stream is wss, not {parts.scheme!r}")
    if not parts.hostname:
        return Violation(31923, f"malformed stream URL {url!r}")
    if parts.query:
        return Violation(31920, "a stream URL has no query string")
    return None
