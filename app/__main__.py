"""The commands of ``python -m app``, each with ``--help``."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from app import log
from app.agents.load import load_document
from app.agents.problems import AgentFault
from app.errors import ToolFault
from app.settings import SettingsFault, load_settings, named_secret
from app.tool_kinds import House, registry, unreadable

cli = typer.Typer(
    help="Patchline answers phone calls with an AI and puts callers through to people.",
    no_args_is_help=True,
    add_completion=False,
)


@cli.command()
def serve() -> None:
    """Answer calls. Settings come from the environment and .env."""
    from app.companions import CompanionFault  # noqa: PLC0415 - keeps the other commands quick
    from app.jobs_child import jobs_beside  # noqa: PLC0415
    from app.main import banner, switchboard  # noqa: PLC0415
    from app.server import serve as run  # noqa: PLC0415
    from app.standins import stand_in  # noqa: PLC0415

    try:
        settings = load_settings()
        log.configure(settings.log_level, settings.log_format)
        document = load_document(settings.agent_file)
        agent = document.agent
        # A model that stands in is not asked what a call came to, nor for letters: it does not
        # think.
        writes = agent.analysis is not None or agent.answers_texts
        analyses = writes and not settings.local_model
        work = {"asked": agent.asks_afterwards, "analyses": analyses}
        with stand_in(settings) as house, jobs_beside(house.settings, **work):
            board = switchboard(house.settings, document, phone=house.phone, operators=settings)
            for warning in settings.warnings:
                print(f"warning: {warning}", file=sys.stderr)

            def announce() -> None:
                print(banner(settings), end="", flush=True)
                if board.api_key_is_new:
                    print(f"The key of the operator API, shown once: {board.api_key}", flush=True)

            served = run(house.settings, board, announce)
    except (SettingsFault, AgentFault, CompanionFault) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None
    except ToolFault as fault:
        print(_of_a_tool(fault), file=sys.stderr)
        raise typer.Exit(1) from None
    if not served:
        raise typer.Exit(1)


def _house() -> House:
    """What tools may use, as far as the settings say; without good ones, their secrets alone."""
    try:
        return House(named_secret, frozenset(load_settings().private_hosts))
    except SettingsFault:
        return House(named_secret)


def _of_a_tool(fault: ToolFault) -> str:
    """What is wrong with a tool. It may quote what a stranger's module read: no secrets."""
    return log.redacted(str(fault))


@cli.command()
def jobs() -> None:
    """Call and deliver what was asked for, in a process of its own; serve starts one."""
    from app.jobs.process import JobsFault, run  # noqa: PLC0415 - keeps the other commands quick

    try:
        settings = load_settings()
        log.configure(settings.log_level, settings.log_format)
        run(settings)
    except (SettingsFault, JobsFault) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None


@cli.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    options_metavar="--local [OPTIONS]",
)
def call(
    ctx: typer.Context,
    *,
    local: Annotated[bool, typer.Option("--local", help="From this terminal.")] = False,
) -> None:
    """Call the agent from this terminal: --local --say TEXT …; --help tells the rest."""
    from app.standins import local_environment  # noqa: PLC0415 - keeps the other commands quick

    if not local and "--help" not in ctx.args:
        print(_NO_NUMBERS, file=sys.stderr)
        raise typer.Exit(2)
    try:
        settings = load_settings()
    except SettingsFault as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(2) from None
    # In our place, not beside us: signals and the exit status are then the caller's own.
    typed = [sys.executable, "-m", "app.emulators", "phone", *ctx.args]
    os.execve(sys.executable, typed, local_environment(settings))


_NO_NUMBERS = (
    "Patchline cannot call telephone numbers yet. python -m app call --local calls your agent"
    " from this terminal."
)


@cli.command()
def check(file: Annotated[Path, typer.Argument(help="An agent document.")]) -> None:
    """Say what is wrong with an agent document; its tools are imported too."""
    problems: list[str] = []
    try:
        document = load_document(file)
        for agent in document.agents.values():
            registry(document, _house(), agent=agent).close()
            problems += [f"{file}: {one}" for one in unreadable(agent)]
    except AgentFault as fault:
        problems = [str(problem) for problem in fault.problems]
    except ToolFault as fault:
        problems = [_of_a_tool(fault)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)
    print(f"{file}: good")


@cli.command()
def simulate(
    files: Annotated[list[Path], typer.Argument(help="Files of simulated calls.")],
    *,
    keyword: Annotated[
        str, typer.Option("-k", help="Only cases with this in their name or file.")
    ] = "",
    listed: Annotated[
        bool, typer.Option("--list", help="Name the cases, and call nobody.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results there, as JUnit XML.", dir_okay=False)
    ] = None,
    together: Annotated[
        int, typer.Option("--together", "-n", help="How many calls at once.", min=1, max=32)
    ] = 4,
) -> None:
    """Play simulated calls to your agents, and judge what came of them.

    Ends with 0 when all went as expected, 1 when one did not, 2 when they could not begin.
    """
    from time import monotonic  # noqa: PLC0415 - keeps the other commands quick

    from app.simulation import report, run  # noqa: PLC0415

    try:
        settings = load_settings()
        log.configure("error", settings.log_format)
        chosen = run.planned(files, keyword, settings)
        if listed:
            for one in chosen:
                print(f"{one.file}  {one.case.name}")
            return
        began_s = monotonic()
        results = asyncio.run(run.play(chosen, settings, together=together))
        for line in report.lines(results, monotonic() - began_s):
            print(line)
        if junit is not None:
            junit.write_text(report.junit(results), encoding="utf-8")
    except (SettingsFault, run.NothingToPlay, OSError) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    if not all(one.good for one in results):
        raise typer.Exit(1)


_INTERRUPTED = 130


@cli.command()
def replay(
    flight: Annotated[Path, typer.Argument(help="A flight log.")],
    verbose: Annotated[bool, typer.Option(help="Show every moment.")] = False,
) -> None:
    """Run the machine again from a flight log; fails if it decides otherwise today."""
    from app.runtime import replay as flights  # noqa: PLC0415

    moments = 0
    try:
        for moment in flights.replay(flight):
            moments += 1
            if verbose or not moment.same:
                what = orjson.dumps(moment.what).decode()
                print(f"{moment.now_ms:>8} {what}")
                print(f"         recorded {orjson.dumps(moment.recorded).decode()}")
            if not moment.same:
                print(f"         replayed {orjson.dumps(moment.replayed).decode()}")
                raise typer.Exit(1)
    except (flights.FlightFault, OSError) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{moments} moments, the same commands")


@cli.command()
def show(
    call: Annotated[str, typer.Argument(help="A call's id or CallSid, or a file with its record.")],
    server: Annotated[str, typer.Option(help="Where the server listens.")] = "",
) -> None:
    """Draw a call: who spoke when, what was heard, where it was cut, how fast."""
    from rich.console import Console  # noqa: PLC0415 - keeps the other commands quick

    from app.records import RecordFault, find  # noqa: PLC0415
    from app.show import show as draw  # noqa: PLC0415

    try:
        settings = load_settings()
        draw(find(call, server or f"http://127.0.0.1:{settings.port}", settings), Console())
    except (SettingsFault, RecordFault) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None


@cli.command()
def migrate() -> None:
    """Make the tables of DATABASE_URL, or bring them up to date. Safe to repeat."""
    # Keeps the other commands quick.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from app.jobs.database import migrate_jobs  # noqa: PLC0415
    from app.services.store.database import AddressFault  # noqa: PLC0415
    from app.services.store.migrate import migrate as bring_up_to_date  # noqa: PLC0415

    try:
        address = load_settings().database_url.get_secret_value()
        bring_up_to_date(address)
        migrate_jobs(address)
    except (SettingsFault, AddressFault) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None
    except (SQLAlchemyError, OSError) as fault:
        # The kind only: what a driver says may quote the address with its password.
        kind = type(getattr(fault, "orig", None) or fault).__name__
        print(
            f"DATABASE_URL cannot be used ({kind}): check that the server runs, that the"
            " database exists, and that its user may make tables there.",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None
    print("the tables are up to date")


@cli.command()
def doctor(
    realtime_url: Annotated[
        str, typer.Option(help="Try out this Realtime server instead; it is shown OPENAI_API_KEY.")
    ] = "",
    model: Annotated[
        str, typer.Option(help="Try out this model there; empty: the agent document's.")
    ] = "",
    fix: Annotated[bool, typer.Option("--fix", help="Lead the account's numbers here.")] = False,
) -> None:
    """Find out what keeps calls from coming in, or what a Realtime server can do."""
    from rich.console import Console  # noqa: PLC0415 - keeps the other commands quick

    try:
        settings = load_settings()
        agent = load_document(settings.agent_file, sounds=False).agent
    except (SettingsFault, AgentFault) as fault:
        print(fault, file=sys.stderr)
        raise typer.Exit(1) from None
    if not (realtime_url or model):
        from datetime import UTC, datetime  # noqa: PLC0415

        from app import line_doctor  # noqa: PLC0415

        today = datetime.now(UTC).date()
        found = asyncio.run(line_doctor.consult(settings, agent, fix=fix, today=today))
        if not line_doctor.show(found, Console()):
            raise typer.Exit(1)
        return
    from app import doctor as doctors  # noqa: PLC0415

    key = settings.openai_api_key
    work = doctors.examine(
        realtime_url or settings.openai_base_url,
        key.get_secret_value() if key else None,
        model or agent.model,
    )
    tried = asyncio.run(doctors.attended(work, Console(stderr=True)))
    if not doctors.show(tried, Console()):
        raise typer.Exit(1)


if __name__ == "__main__":
    cli()
