"""`python -m app.local`: the local model as a process, started by the server beside itself.

It listens on loopback only, says in one JSON line where and with what, in another whenever
another rung of a ladder serves, and ends when its
standard input is closed: whoever started it may be gone without a word.
"""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import structlog
import typer

from app.emulators.realtime import RealtimeEmulator
from app.local.brain import LocalBrain
from app.local.ladder import Ladder, Offers
from app.local.scenario_file import ScenarioFault

PACE = 4.0
"""Speech is handed out so many times as fast as it sounds, as the hosted model does."""
REMEMBERED = 8

cli = typer.Typer(add_completion=False)


def _env(name: str) -> Any:
    return typer.Option(envvar=name, show_default=False)


@cli.command()
def serve(
    *,
    port: Annotated[int, typer.Option(help="0 lets the system choose.")] = 0,
    sessions: Annotated[int, typer.Option(help="Calls at a time; the decoder is one core's.")] = 4,
    key: Annotated[str, _env("LOCAL_MODEL_KEY")] = "sk-local",
    scenario: Annotated[
        str, typer.Option(envvar="LOCAL_SCENARIO", help="A scenario file, as YAML.")
    ] = "",
    stt_url: Annotated[str, _env("STT_BASE_URL")] = "",
    stt_key: Annotated[str, _env("STT_API_KEY")] = "",
    stt_model: Annotated[str, _env("STT_MODEL")] = "",
    tts_url: Annotated[str, _env("TTS_BASE_URL")] = "",
    tts_key: Annotated[str, _env("TTS_API_KEY")] = "",
    tts_model: Annotated[str, _env("TTS_MODEL")] = "",
    tts_voice: Annotated[str, _env("TTS_VOICE")] = "",
    llm_url: Annotated[str, _env("LLM_BASE_URL")] = "",
    llm_key: Annotated[str, _env("LLM_API_KEY")] = "",
    llm_model: Annotated[str, _env("LLM_MODEL")] = "",
) -> None:
    """Be the local model until the standard input is closed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    offers = Offers(
        hear=(stt_url, stt_key, stt_model),
        speak=(tts_url, tts_key, tts_model, tts_voice),
        think=(llm_url, llm_key, llm_model),
        scenario=scenario,
    )
    try:
        asyncio.run(_serve(Ladder(offers, _tell, sessions=sessions), port, sessions, key))
    except (ScenarioFault, OSError) as fault:
        typer.echo(f"The local model cannot start: {fault}", err=True)
        raise typer.Exit(1) from None


async def _serve(ladder: Ladder, port: int, sessions: int, key: str) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with (
        ladder,
        RealtimeEmulator(
            lambda: LocalBrain(ladder.hear(), ladder.think(), ladder.speak()),
            api_key=key,
            port=port,
            pace=PACE,
            keep_audio=False,
            most_sessions=sessions,
            remembered=REMEMBERED,
        ) as model,
    ):
        _tell({"ready": True, "port": model.port, **ladder.rungs()})
        watch = asyncio.create_task(_until_input_ends(over), name="standard input")
        await over.wait()
        watch.cancel()


def _tell(what: Mapping[str, Any]) -> None:
    """One line; whoever started us reads them all, and may be gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


async def _until_input_ends(over: asyncio.Event) -> None:
    """The server holds the other end of the pipe for as long as it lives."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: protocol, sys.stdin)
    while await reader.read(4096):
        pass
    over.set()


if __name__ == "__main__":
    cli(prog_name="python -m app.local")
