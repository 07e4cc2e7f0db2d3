"""Whether a call can be placed at all, asked before it is: who answers, and to which keys.

A call that fails because nobody listens or a key differs tells a newcomer nothing. Rule: every
refusal is one sentence that names what to set or to start, and nothing was changed by asking.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from app.emulators.demo_server import Server
from app.emulators.twilio_webhooks import PublicOrigin, Reply, Webhooks
from app.emulators.twilio_words import Faults

_LIMIT_S = 5.0
_NOBODY = "CA" + "0" * 32
"""The CallSid of no call: what is said of it changes nothing."""


class NotReady(Exception):
    """The command cannot be carried out; the message says what to do about it."""


def origin(text: str) -> str:
    """``text`` if it is an http(s) address without a query. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError(f"{text!r} is not an address like http://127.0.0.1:5050")
    return text.rstrip("/")


def claim_port(port: int, option: str) -> None:
    """Raise ``NotReady`` when somebody listens on ``port`` of this machine already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise NotReady(
                f"Port {port} cannot be used ({exc.strerror}): end what listens there, "
                f"or choose another with {option} (0: any)."
            ) from exc


def claim_folder(folder: Path) -> None:
    """Make a folder that files are to be left in. Raises ``NotReady`` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise NotReady(f"{folder} cannot be made ({exc.strerror}): choose another --out.") from exc
    if not os.access(folder, os.W_OK):
        raise NotReady(f"Nothing can be written to {folder}: choose another --out.")


async def check_answers(server: Server) -> None:
    """Raise ``NotReady`` unless a server that takes calls answers there."""
    timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.get(f"{server.url}/ready") as answer,
        ):
            status = answer.status
    except TimeoutError:
        raise NotReady(f"{server.url} does not answer within {_LIMIT_S:g} s.") from None
    except (aiohttp.ClientError, OSError):
        raise NotReady(
            f"No server answers at {server.url}: start one with ./scripts/start, "
            "or say with --server where it listens."
        ) from None
    if status == 503:
        raise NotReady(f"The server at {server.url} is shutting down and takes no calls.")
    if status != 200:
        raise NotReady(f"What answers at {server.url} is no Patchline server (/ready: {status}).")


async def check_signatures(server: Server) -> None:
    """Raise ``NotReady`` unless the server takes what is signed as this carrier signs.

    Asked with news of a call that does not exist, which the server forgets.
    """
    said = _SIGNED.get((await _signed_news(server)).status_code)
    if said is not None:
        raise NotReady(said(server))


async def check_operator_key(server: Server) -> None:
    """Raise ``NotReady`` unless the operator API takes the key."""
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"{server.url}/v1/calls/{_NOBODY}") as answer,
    ):
        if answer.status in (401, 403):
            raise NotReady(
                f"The server at {server.url} does not take this API key: set API_KEY to its own "
                "(in its .env, or in the file api_key of its data directory)."
            )


def check_data(server: Server) -> None:
    """Raise ``NotReady`` unless the data directory is there: the flight logs are read from it."""
    if not server.data.is_dir():
        raise NotReady(
            f"There is no directory {server.data}: name the server's data directory with --data."
        )


async def _signed_news(server: Server) -> Reply:
    public = PublicOrigin(server.public_url, server.url)
    form = {
        "AccountSid": server.account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": _NOBODY,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": "+14155550100",
        "To": "+15005550006",
    }
    webhooks = Webhooks(
        origin=public, auth_token=server.auth_token, faults=Faults(), limit_s=_LIMIT_S
    )
    async with webhooks:
        return await webhooks.send(public.absolute("/twilio/call-status"), form, [])


def _not_configured(server: Server) -> str:
    return (
        f"The server at {server.url} has no Twilio account: set TWILIO_ACCOUNT_SID, "
        "TWILIO_AUTH_TOKEN and PUBLIC_URL in its .env."
    )


def _not_ours(server: Server) -> str:
    return (
        f"The server at {server.url} refuses this signature: TWILIO_AUTH_TOKEN and PUBLIC_URL "
        f"(here {server.public_url}) have to be what its .env says."
    )


_SIGNED: Final[dict[int, Callable[[Server], str]]] = {403: _not_ours, 503: _not_configured}
