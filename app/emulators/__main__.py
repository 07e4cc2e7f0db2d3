"""`python -m app.emulators …`: the two companies, without an account, and a caller.

Each command says which lines of `.env` bring a server to it. Rule: what is asked for here is
either an option or, for what is secret, an environment variable of the server's own name. It
ends with 0 when all was well, 1 when a call was not, 2 when it could not be begun.
"""

import asyncio
import contextlib
import math
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from app.emulators import demo_server as defaults
from app.emulators import preflight
from app.emulators.carrier_process import carrier
from app.emulators.demo import Options, demonstrate
from app.emulators.demo_server import AGENT_FILE, Server, ServerFault
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import VoiceFault
from app.emulators.manned import answer_calls
from app.emulators.one_call import CallOptions, place
from app.emulators.preflight import NotReady
from app.emulators.scenarios import given as scenarios
from app.emulators.simulation import simulation
from app.emulators.terminal_command import phone
from app.emulators.terminal_steps import InOrder

OPENAI_PORT = 5061
TWILIO_PORT = 5062
_NOT_BEGUN = 2
_INTERRUPTED = 130
_HIGHEST_PORT = 65535

T = TypeVar("T")

cli = typer.Typer(
    help="A local OpenAI and a local Twilio for a Patchline server, and a demonstration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _address(text: str) -> str:
    try:
        return preflight.origin(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from None


def _primary(tokens: str) -> str:
    """The first of several tokens signs, as with Twilio."""
    return tokens.split(",", maxsplit=1)[0].strip()


def _port(text: str | int) -> int:
    """A port; the default of an option comes as a number."""
    text = str(text)
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise typer.BadParameter(f"{text!r} is no port: 0 (any) to {_HIGHEST_PORT}")
    return int(text)


def _seconds(text: str | float) -> float:
    try:
        length = float(text)
    except ValueError:
        length = math.nan
    if not 0 <= length < math.inf:
        raise typer.BadParameter(f"{text!r} is no number of seconds")
    return length


ServerUrl = Annotated[
    str, typer.Option(help="Where the server listens.", parser=_address, metavar="<url>")
]
PublicUrl = Annotated[
    str,
    typer.Option(
        envvar="PUBLIC_URL",
        help="The server's; an https origin, any will do.",
        parser=_address,
        metavar="<url>",
    ),
]
AccountSid = Annotated[str, typer.Option(envvar="TWILIO_ACCOUNT_SID", help="The server's.")]
AuthToken = Annotated[
    str,
    typer.Option(
        envvar="TWILIO_AUTH_TOKEN",
        show_default=False,
        help="The server's.",
        parser=_primary,
        metavar="<str>",
    ),
]
OpenAiPort = Annotated[
    int, typer.Option(help="Port of the local OpenAI.", parser=_port, metavar="<port>")
]
TwilioPort = Annotated[
    int, typer.Option(help="Port of the local Twilio's REST API.", parser=_port, metavar="<port>")
]


@cli.command()
def openai(port: OpenAiPort = OPENAI_PORT) -> None:
    """A local OpenAI that answers any number of calls, until Ctrl-C.

    It says its greeting as it is told to, answers every turn without understanding a word,
    and uses the tools on offer, one at every second turn, the goodbye last. What a strict
    Realtime server would refuse is refused, and told at the end of the session.
    """

    async def run() -> None:
        preflight.claim_port(port, "--port")
        await answer_calls(port, Screen(sys.stdout), _openai_lines)

    _until_done(run())


@cli.command()
def call(
    *,
    server: ServerUrl = "http://127.0.0.1:5050",
    public_url: PublicUrl = defaults.PUBLIC_URL,
    account_sid: AccountSid = defaults.ACCOUNT,
    auth_token: AuthToken = defaults.AUTH_TOKEN,
    say: Annotated[
        str | None, typer.Option(help="What the caller says, by espeak-ng or in beeps.")
    ] = None,
    wav: Annotated[
        Path | None,
        typer.Option(
            help="What the caller says: mono, 16 bits, any rate.", exists=True, dir_okay=False
        ),
    ] = None,
    after_s: Annotated[
        float, typer.Option(help="When they begin to say it.", parser=_seconds, metavar="<s>")
    ] = 6,
    hang_up_s: Annotated[
        float, typer.Option(help="When they hang up.", parser=_seconds, metavar="<s>")
    ] = 20,
    from_: Annotated[str, typer.Option("--from", help="The caller's number.")] = "+14155550100",
    to: Annotated[str, typer.Option(help="The number called.")] = "+15005550006",
    twilio_port: TwilioPort = TWILIO_PORT,
    out: Annotated[
        Path,
        typer.Option(help="The recording: caller left, agent right.", dir_okay=False),
    ] = Path("call.wav"),
) -> None:
    """Place one inbound call, record both sides, and say what Twilio would complain about.

    The server's .env has to name this local Twilio: what it has to say is printed when it
    does not. Ends with 0 if the caller met the agent and Twilio would not complain, 1 if not,
    2 if no call could be placed.
    """
    known = Server(server, public_url, account_sid, auth_token, "", Path())
    options = CallOptions(
        known, from_, to, twilio_port, out, say=say, wav=wav, after_s=after_s, hang_up_s=hang_up_s
    )

    async def run() -> bool:
        preflight.claim_port(twilio_port, "--twilio-port")
        preflight.claim_folder(out.parent)
        try:
            await preflight.check_answers(known)
            await preflight.check_signatures(known)
        except NotReady as fault:
            lines = _twilio_lines(_local(twilio_port), public_url, account_sid, auth_token)
            raise NotReady(f"{fault}\n\nFor the server's .env:\n\n{lines}") from None
        return await place(options, Screen(sys.stdout))

    raise typer.Exit(0 if _until_done(run()) else 1)


@cli.command()
def demo(
    *,
    server: Annotated[
        str | None,
        typer.Option(
            help="A running server; without it one is started.", parser=_address, metavar="<url>"
        ),
    ] = None,
    public_url: PublicUrl = defaults.PUBLIC_URL,
    account_sid: AccountSid = defaults.ACCOUNT,
    auth_token: AuthToken = defaults.AUTH_TOKEN,
    api_key: Annotated[
        str, typer.Option(envvar="API_KEY", show_default=False, help="The server's.")
    ] = defaults.API_KEY,
    data: Annotated[Path, typer.Option(help="The running server's data directory.")] = Path("data"),
    openai_port: OpenAiPort = OPENAI_PORT,
    twilio_port: TwilioPort = TWILIO_PORT,
    out: Annotated[
        Path,
        typer.Option(help="Where recording, record and flight logs go.", file_okay=False),
    ] = Path("demo"),
    kill: Annotated[
        bool,
        typer.Option(
            "--kill",
            help="Kill the process that has the call in its middle (kill -9): one of two on the"
            " PostgreSQL of DATABASE_URL, else the only one, which is started again.",
        ),
    ] = False,
    database_url: Annotated[
        str, typer.Option(envvar="DATABASE_URL", hidden=True, help="For --kill.")
    ] = "",
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of the call: this scenario, or `all`; may be repeated. Servers of their"
            " own, and a table of what was heard.",
            metavar="<name>",
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Name the scenarios and give none.")
    ] = False,
) -> None:
    """One scripted call, shown as it happens; fails unless all of it goes as scripted.

    A running server (--server) has to be configured for it: what its .env has to say is
    printed when it is not. Ends with 0 if all went as scripted, 1 if not, 2 if no call could
    be placed.
    """
    if listing:
        scenarios.listed(Screen(sys.stdout))
        raise typer.Exit(0)
    if scenario:
        _give(scenario, out, alone=server is None and not kill)
    shared = database_url if database_url.startswith("postgres") else None
    options = Options(out, kill=kill, database_url=shared if kill else None)
    if server is not None and kill:
        raise typer.BadParameter("--kill has servers of its own; leave --server out")
    if server is not None:
        known = Server(server, public_url, account_sid, auth_token, api_key, data)
        options = Options(out, known, openai_port, twilio_port)

    async def run() -> bool:
        preflight.claim_folder(out)
        if options.server is not None:
            await _check_running(options.server, openai_port, twilio_port)
        return await demonstrate(options, Screen(sys.stdout))

    raise typer.Exit(0 if _until_done(run()) else 1)


def _give(names: list[str], out: Path, *, alone: bool) -> NoReturn:
    """The scenarios of these names, and the end."""
    if not alone:
        raise typer.BadParameter("--scenario has servers of its own; leave --server and --kill out")
    try:
        plays = scenarios.chosen(names)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    preflight.claim_folder(out)
    raise typer.Exit(0 if _until_done(scenarios.give(plays, out, Screen(sys.stdout))) else 1)


async def _check_running(server: Server, openai_port: int, twilio_port: int) -> None:
    """Raise ``NotReady``, with what the server's .env has to say, where it cannot go well."""
    preflight.claim_port(openai_port, "--openai-port")
    preflight.claim_port(twilio_port, "--twilio-port")
    try:
        await preflight.check_answers(server)
        await preflight.check_signatures(server)
        await preflight.check_operator_key(server)
        preflight.check_data(server)
    except NotReady as fault:
        lines = (
            _openai_lines(f"{_local(openai_port)}/v1"),
            _twilio_lines(
                _local(twilio_port), server.public_url, server.account_sid, server.auth_token
            ),
            f"API_KEY={_shown('API_KEY', server.api_key, defaults.API_KEY)}",
            f"AGENT_FILE={AGENT_FILE}",
        )
        wanted = "\n".join(lines)
        raise NotReady(f"{fault}\n\nThe server's .env has to say:\n\n{wanted}") from None


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _openai_lines(base_url: str) -> str:
    return f"OPENAI_API_KEY={defaults.MODEL_KEY}\nOPENAI_BASE_URL={base_url}"


def _twilio_lines(api_url: str, public_url: str, account_sid: str, auth_token: str) -> str:
    token = _shown("TWILIO_AUTH_TOKEN", auth_token, defaults.AUTH_TOKEN)
    return (
        f"TWILIO_ACCOUNT_SID={account_sid}\nTWILIO_AUTH_TOKEN={token}\n"
        f"TWILIO_API_URL={api_url}\nPUBLIC_URL={public_url}"
    )


def _shown(name: str, secret: str, known: str) -> str:
    """A secret that everybody knows; of another only where it stands."""
    return secret if secret == known else f"(what {name} is here)"


def _until_done(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; Ctrl-C and what can be explained end the process with a sentence."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    except NotReady as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(_NOT_BEGUN) from None
    except (ServerFault, VoiceFault, OSError) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None


cli.command()(carrier)
cli.command(cls=InOrder)(phone)
cli.command()(simulation)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        cli(prog_name="python -m app.emulators")
