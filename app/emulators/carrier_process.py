"""`python -m app.emulators carrier`: the local carrier as a process of its own.

Whoever starts it reads one line of JSON from its output, which says where it listens. Rule:
it does not outlive whoever started it. It ends, cleanly, on SIGTERM or SIGINT, when its
standard input (if that is a pipe) is closed, and when its parent is gone.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import stat
import sys
from collections.abc import Callable
from typing import Annotated, TextIO

import typer

from app.emulators import demo_server as defaults
from app.emulators.carrier import Account, LocalCarrier, Numbers, pages_of
from app.emulators.preflight import origin as address


def carrier(
    *,
    server: Annotated[str, typer.Option(help="Where the server listens.", parser=address)] = (
        "http://127.0.0.1:5050"
    ),
    port: Annotated[int, typer.Option(help="Port for phones; 0: any.")] = 0,
    api_port: Annotated[int, typer.Option(help="Port of the REST API; 0: any.")] = 0,
    public_url: Annotated[
        str, typer.Option(envvar="PUBLIC_URL", help="The server's; an https origin, any will do.")
    ] = defaults.PUBLIC_URL,
    account_sid: Annotated[str, typer.Option(envvar="TWILIO_ACCOUNT_SID")] = defaults.ACCOUNT,
    auth_token: Annotated[
        str, typer.Option(envvar="TWILIO_AUTH_TOKEN", show_default=False, help="The server's.")
    ] = defaults.AUTH_TOKEN,
    ticket: Annotated[
        str, typer.Option(envvar="PHONE_TICKET", show_default=False, help="What lets phones in.")
    ] = "",
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a page that may use phones; the server's on this machine."),
    ] = None,
    agent_number: Annotated[str, typer.Option(help="What the caller dials.")] = Numbers().agent,
    caller_number: Annotated[str, typer.Option(help="What the agent sees.")] = Numbers().caller,
    person_number: Annotated[
        str, typer.Option(help="Of the phone that rings on a transfer.")
    ] = Numbers().person,
    only_person: Annotated[
        bool, typer.Option(help="Other destinations fail; without it every one rings there.")
    ] = False,
) -> None:
    """A local carrier: phones on a socket call the server, until whoever started it is gone."""
    given = ticket or secrets.token_urlsafe()
    made = LocalCarrier(
        # Of several tokens the first signs, as with Twilio.
        Account(server, public_url, account_sid, auth_token.split(",")[0].strip()),
        ticket=given,
        numbers=Numbers(
            agent_number,
            caller_number,
            person_number,
            frozenset({person_number}) if only_person else None,
        ),
        port=port,
        api_port=api_port,
        origins=origin or pages_of(server),
    )
    try:
        asyncio.run(serve(made, sys.stdout, ticket=None if ticket else given))
    except OSError as fault:
        typer.echo(f"The carrier cannot listen: {fault}. {_OTHER_PORT}", err=True)
        raise typer.Exit(1) from None


_OTHER_PORT = "End the program that has the port (another Patchline?), or set LOCAL_LINE_PORT."


async def serve(carrier: LocalCarrier, out: TextIO, *, ticket: str | None = None) -> None:
    """Be there until told to end; ``ticket`` is told with the rest where nobody knows it yet."""
    over = asyncio.Event()
    async with carrier, contextlib.AsyncExitStack() as ends:
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, over.set)
        watch_parent(over.set, ends)
        await watch_input(over.set, ends)
        print(json.dumps(ready(carrier, ticket)), file=out, flush=True)
        await over.wait()


def ready(carrier: LocalCarrier, ticket: str | None) -> dict[str, object]:
    """What is told once phones and the server can come."""
    told: dict[str, object] = {
        "ready": True,
        "phone": carrier.phone_url,
        "api": carrier.api_url,
        "port": _port(carrier.phone_url),
        "api_port": _port(carrier.api_url),
        "voice": carrier.voice_rung,
    }
    return told if ticket is None else {**told, "ticket": ticket}


async def watch_input(gone: Callable[[], object], ends: contextlib.AsyncExitStack) -> None:
    """Call ``gone`` when a standard input that is a pipe is closed; any other is let be."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: _Drain(gone), sys.stdin)
    ends.callback(transport.close)


def watch_parent(gone: Callable[[], object], ends: contextlib.AsyncExitStack) -> None:
    """Call ``gone`` when the parent ends, where the system tells (Linux).

    Not PR_SET_PDEATHSIG: that follows the thread that started us, and threads end early.
    """
    parent = os.getppid()
    if not hasattr(os, "pidfd_open"):
        return
    try:
        handle = os.pidfd_open(parent)
    except OSError:
        return
    loop = asyncio.get_running_loop()
    ends.callback(os.close, handle)
    loop.add_reader(handle, gone)
    ends.callback(loop.remove_reader, handle)
    if os.getppid() != parent:
        gone()


class _Drain(asyncio.Protocol):
    """Reads what nobody meant for us, until there is no more."""

    def __init__(self, gone: Callable[[], object]) -> None:
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end was closed."""
        self._gone()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])
