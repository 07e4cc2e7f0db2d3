"""`python -m app.emulators phone`, which `python -m app call --local` runs.

It ends with 0 when the call was as expected, 1 when it was not, with one line for each thing
that was not, and 2 when nobody could be called, with the reason. Rule: what is typed is
checked before a server is asked or started.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from app.emulators import preflight
from app.emulators.demo_server import ServerFault
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import VoiceFault
from app.emulators.preflight import NotReady
from app.emulators.terminal_call import Options, Outcome, call, voice_warning
from app.emulators.terminal_server import USUAL, Place, Wish, found
from app.emulators.terminal_steps import StepFault, order_of, script
from app.emulators.terminal_verdict import Expected

_NOT_CALLED = 2
_INTERRUPTED = 130


def phone(
    ctx: typer.Context,
    *,
    say: Annotated[
        list[str] | None, typer.Option(help="Words, said by flite or espeak-ng.", metavar="TEXT")
    ] = None,
    wav: Annotated[
        list[Path] | None, typer.Option(help="A sound file to play.", metavar="FILE")
    ] = None,
    dtmf: Annotated[
        list[str] | None, typer.Option(help="Keys to press: 0-9 * # A-D.", metavar="KEYS")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="A text message to the agent.", metavar="TEXT")
    ] = None,
    pause: Annotated[
        list[float] | None, typer.Option(help="Do nothing for a while.", metavar="SECONDS")
    ] = None,
    interrupt_after_ms: Annotated[
        list[int] | None,
        typer.Option(help="The next line cuts in, so long into the agent's.", metavar="MS"),
    ] = None,
    expect_tool: Annotated[
        list[str] | None, typer.Option(help="A tool the agent has to use.", metavar="NAME")
    ] = None,
    expect_text: Annotated[
        list[str] | None, typer.Option(help="What the caller has to hear.", metavar="TEXT")
    ] = None,
    expect_heard: Annotated[
        list[str] | None,
        typer.Option(help="What the agent has to understand.", metavar="TEXT"),
    ] = None,
    expect_end: Annotated[
        str | None, typer.Option(help="The end reason; else any but a failure.", metavar="REASON")
    ] = None,
    max_latency_ms: Annotated[
        int | None, typer.Option(help="Every answer is heard within this.", min=1, metavar="MS")
    ] = None,
    patience: Annotated[
        float,
        typer.Option(help="How long to wait for words of the agent.", min=0.1, metavar="SECONDS"),
    ] = 15,
    server: Annotated[
        str | None,
        typer.Option(help=f"Where the server listens; {USUAL}, or one of its own.", metavar="URL"),
    ] = None,
    agent: Annotated[
        Path | None,
        typer.Option(
            help="An agent document: a server is started for it.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ] = None,
    api_key: Annotated[
        str,
        typer.Option(envvar="API_KEY", show_default=False, help="The server's, for the record."),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Where the files go; else calls/CALLSID.", file_okay=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of the story.")
    ] = False,
) -> None:
    """Call the agent from this terminal: a scripted caller on the local line.

    Lines are said, files played, keys pressed and text messages sent in the order they are given,
    each when the agent is silent. Leaves call.wav (caller left, agent as heard right), call.json
    and, where the server's API key is known, record.json. Ends with 0 if all was as expected, 1 if
    not, 2 if nobody could be called.
    """
    given: dict[str, Sequence[Any]] = {
        "say": say or [],
        "wav": wav or [],
        "dtmf": dtmf or [],
        "text": text or [],
        "pause": pause or [],
        "interrupt_after_ms": interrupt_after_ms or [],
    }
    expected = Expected(
        tuple(expect_tool or ()),
        tuple(expect_text or ()),
        tuple(expect_heard or ()),
        max_latency_ms,
        expect_end,
    )
    try:
        planned = script(order_of(ctx), given)
        wish = _wish(server, agent, api_key)
        spoken = voice_warning(planned.steps)
        warnings = (*planned.warnings, *([spoken] if spoken else []))
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        options = Options(
            planned.steps, expected, out, warnings, patience_ms=round(patience * 1000)
        )
        outcome = asyncio.run(_call(wish, options, None if as_json else Screen(sys.stdout)))
    except (StepFault, NotReady, ServerFault, VoiceFault, OSError) as fault:
        typer.echo(fault, err=True)
        raise typer.Exit(_NOT_CALLED) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo("\ninterrupted", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    _conclude(outcome, as_json=as_json)


def _wish(server: str | None, agent: Path | None, api_key: str) -> Wish:
    """Which server is meant. Raises ``NotReady``."""
    if server is None:
        return Wish(None, agent.resolve() if agent else None, api_key)
    if agent is not None:
        raise NotReady("--agent is for a server of the call's own: leave --server out.")
    try:
        return Wish(preflight.origin(server), None, api_key)
    except ValueError as exc:
        raise NotReady(f"{exc}.") from None


async def _call(wish: Wish, options: Options, screen: Screen | None) -> Outcome:
    """The call; being told to end, in whatever way, ends a server that was started for it."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        for sign in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(sign, task.cancel)
    async with found(wish) as place:
        if screen is not None:
            _introduce(screen, place)
        return await call(place, options, screen)


def _introduce(screen: Screen, place: Place) -> None:
    screen.write(f"The agent is at {place.url}")
    for rung in place.rungs:
        screen.write(f"  {rung}")
    screen.write()


def _conclude(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        files = {"folder": str(outcome.folder)}
        typer.echo(json.dumps({**outcome.report, **files}, ensure_ascii=False))
    else:
        _summarise(Screen(sys.stdout), outcome)
    if not outcome.reached:
        why = outcome.trouble or f"ended by {outcome.report['ended_by']} before it began"
        typer.echo(f"The call did not reach the agent: {why}", err=True)
        raise typer.Exit(_NOT_CALLED)
    for check in outcome.checks:
        if check.fault is not None:
            typer.echo(f"not met: {check.what}; {check.fault}", err=True)
    raise typer.Exit(0 if outcome.met else 1)


def _summarise(screen: Screen, outcome: Outcome) -> None:
    report = outcome.report
    latencies, pauses = (
        ", ".join(f"{ms:,}" for ms in report[name]) for name in ("latencies_ms", "pauses_ms")
    )
    rows: dict[str, Any] = {
        "CallSid": report["call_sid"],
        "ended": f"{report['end_reason'] or report['ended_by']} after "
        f"{report['length_ms'] / 1000:.1f} s",
        "answers": f"heard after {latencies} ms" if latencies else "none was measured",
        "pauses": f"{pauses} ms from the caller's last sound" if pauses else "none was measured",
        "files": f"{outcome.folder}/ (call.wav: caller left, agent right)",
    }
    screen.write()
    for name, text in rows.items():
        screen.write(f"{name:<10} {text}")
    met = [check for check in outcome.checks if check.fault is None]
    if outcome.reached:
        for check in met:
            screen.write(f"{screen.painted('good', 'met'):<10} {check.what}")
