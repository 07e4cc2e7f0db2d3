"""`python -m app.emulators openai | call | demo`: the two companies, without an account.

Each command says which lines of `.env` bring a server to it. Rule: what is asked for here is
either an option or, for what is secret, an environment variable of the server's own name.
"""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.emulators import demo_server as defaults
from app.emulators.demo import Options, demonstrate
from app.emulators.demo_server import AGENT_FILE, Server, ServerFault
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import VoiceFault, read_caller, stereo_wav
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from app.emulators.twilio import TwilioEmulator

OPENAI_PORT = 5061
TWILIO_PORT = 5062
_INTERRUPTED = 130

T = TypeVar("T")

cli = typer.Typer(
    help="A local OpenAI and a local Twilio for a Patchline server, and a demonstration.",
    no_args_is_help=True,
    add_completion=False,
)
ServerUrl = Annotated[str, typer.Option(help="Where the server listens.")]
PublicUrl = Annotated[
    str, typer.Option(envvar="PUBLIC_URL", help="The server's; an https origin, any will do.")
]
AccountSid = Annotated[str, typer.Option(envvar="TWILIO_ACCOUNT_SID")]
AuthToken = Annotated[
    str, typer.Option(envvar="TWILIO_AUTH_TOKEN", show_default=False, help="The server's.")
]
OpenAiPort = Annotated[int, typer.Option(help="Port of the local OpenAI.")]
TwilioPort = Annotated[int, typer.Option(help="Port of the local Twilio's REST API.")]


@cli.command()
def openai(port: OpenAiPort = OPENAI_PORT) -> None:
    """A local OpenAI whose receptionist answers any number of calls, in tones, until Ctrl-C."""

    async def run() -> None:
        async with RealtimeEmulator(Receptionist, port=port, keep_audio=False) as model:
            print(f"For the server's .env:\n\n{_openai_lines(model.base_url)}\n", flush=True)
            await asyncio.Event().wait()

    _until_done(run())


@cli.command()
def call(
    *,
    server: ServerUrl = "http://127.0.0.1:5050",
    public_url: PublicUrl = defaults.PUBLIC_URL,
    account_sid: AccountSid = defaults.ACCOUNT,
    auth_token: AuthToken = defaults.AUTH_TOKEN,
    wav: Annotated[
        Path | None, typer.Option(help="What the caller says: mono, 16 bits, any rate.")
    ] = None,
    after_s: Annotated[float, typer.Option(help="When they begin to say it.")] = 6,
    hang_up_s: Annotated[float, typer.Option(help="When they hang up.")] = 20,
    from_: Annotated[str, typer.Option("--from", help="The caller's number.")] = "+14155550100",
    to: Annotated[str, typer.Option(help="The number called.")] = "+15005550006",
    twilio_port: TwilioPort = TWILIO_PORT,
    out: Annotated[Path, typer.Option(help="The recording: caller left, agent right.")] = Path(
        "call.wav"
    ),
) -> None:
    """Place one inbound call, record both sides, and say what Twilio would complain about."""

    async def run() -> bool:
        said = await asyncio.to_thread(read_caller, wav) if wav else b""
        twilio = TwilioEmulator(
            account_sid=account_sid,
            auth_token=auth_token,
            public_url=public_url,
            server_url=server,
            api_port=twilio_port,
        )
        async with twilio:
            lines = _twilio_lines(twilio.api_url, public_url, account_sid, auth_token)
            print(f"For the server's .env:\n\n{lines}", flush=True)
            phone = await twilio.call(from_=from_, to=to)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(hang_up_s):
                    await asyncio.sleep(after_s)
                    await phone.speak(said)
                    await phone.ended(hang_up_s)
            await phone.hang_up()
            await phone.ended()
            await asyncio.to_thread(_write, out, stereo_wav(*phone.recording()))
            print(f"\n{phone.story()}\nrecording: {out}")
            return not phone.violations

    raise typer.Exit(0 if _until_done(run()) else 1)


@cli.command()
def demo(
    *,
    server: Annotated[
        str | None, typer.Option(help="A running server; without it one is started.")
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
    out: Annotated[Path, typer.Option(help="Where recording, record and flight logs go.")] = Path(
        "demo"
    ),
) -> None:
    """One scripted call, shown as it happens; fails unless all of it goes as scripted.

    A running server (--server) has to be configured for it; what its .env has to say is
    printed first.
    """
    options = Options(out)
    if server is not None:
        known = Server(server, public_url, account_sid, auth_token, api_key, data)
        options = Options(out, known, openai_port, twilio_port)
        twilio_url = f"http://127.0.0.1:{twilio_port}"
        print("The server's .env has to say:\n")
        print(_openai_lines(f"http://127.0.0.1:{openai_port}/v1"))
        print(_twilio_lines(twilio_url, public_url, account_sid, auth_token))
        print(f"API_KEY={api_key}\nAGENT_FILE={AGENT_FILE}\n", flush=True)
    passed = _until_done(demonstrate(options, Screen(sys.stdout)))
    raise typer.Exit(0 if passed else 1)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _openai_lines(base_url: str) -> str:
    return f"OPENAI_API_KEY={defaults.MODEL_KEY}\nOPENAI_BASE_URL={base_url}"


def _twilio_lines(api_url: str, public_url: str, account_sid: str, auth_token: str) -> str:
    known = auth_token == defaults.AUTH_TOKEN
    return (
        f"TWILIO_ACCOUNT_SID={account_sid}\n"
        f"TWILIO_AUTH_TOKEN={auth_token if known else '(what TWILIO_AUTH_TOKEN is here)'}\n"
        f"TWILIO_API_URL={api_url}\nPUBLIC_URL={public_url}"
    )


def _until_done(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; Ctrl-C and what can be explained end the process with a sentence."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    except (ServerFault, VoiceFault, OSError) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    cli(prog_name="python -m app.emulators")
