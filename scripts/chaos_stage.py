"""What an experiment plays on: real processes of ours, HAProxy, PostgreSQL, and the bench's calls.

One rule: nothing outlives it. Every process is ended, and the database it made is dropped, also
where the experiment fails.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from uuid import uuid4

import bench_edge as edge
import psycopg
from bench_load import GRACE_S, PARTING_S, START_S, environment, free_port
from bench_process import ServerProcess
from bench_tally import Faults, Tally
from bench_voice import Floor, Plan
from bench_wheel import Wheel
from chaos_calls import Caller, Model
from chaos_carrier import Carrier
from picows import WSUpgradeRequest, ws_create_server

ROOT = Path(__file__).resolve().parent.parent
DATABASE_SERVER = os.environ.get(
    "TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"
)
"""Where an experiment may make a database of its own."""
SERVER = [sys.executable, str(ROOT / "scripts" / "chaos_server.py")]
"""A server without the process of the jobs; ``on`` or ``off`` behind it: the event log."""
DIALS_PER_S = 10


class MissingError(Exception):
    """The experiment cannot be tried here: a sentence that says what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of an experiment."""

    figure: str
    measured: str
    must: str = ""
    """Empty: nothing is demanded."""
    met: bool | None = None
    """None where nothing is demanded."""


def zero(figure: str, count: int) -> Row:
    """A figure that must be 0."""
    return Row(figure, str(count), "0", count == 0)


def shown(spread: Mapping[str, float | int | None]) -> str:
    """A distribution in milliseconds: p50 / p95 / max."""
    return " / ".join("-" if (value := spread[at]) is None else f"{value:.0f}" for at in _SPREAD)


_SPREAD = ("p50_ms", "p95_ms", "max_ms")


@dataclass(slots=True)
class Stage:
    """The servers, and the calls that go through ``port``."""

    floor: Floor
    servers: list[ServerProcess]
    ports: list[int]
    carrier: Carrier
    """Calls a server's own port, or HAProxy's."""
    models: list[Model] = field(default_factory=list)
    """Every session that was opened, also those that are over."""
    opening_ms: int = 0
    """How long sessions take to open from now on."""
    database: str = ""
    """The address of the shared one; empty: a file in the server's folder."""
    folders: list[Path] = field(default_factory=list)

    @property
    def refused(self) -> list[str]:
        """Why calls did not become conversations, or did not go on."""
        return self.carrier.refused

    async def calls(self, count: int) -> list[Caller]:
        """So many calls, begun one after the other; those that were answered."""
        callers: list[Caller] = []
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self.carrier.call(callers), name=f"call {number}")
                await asyncio.sleep(1 / DIALS_PER_S)
        return callers

    async def part(self, callers: list[Caller]) -> None:
        """Everybody hangs up, after what was under way has arrived."""
        for caller in callers:
            caller.fall_silent()
        await asyncio.sleep(GRACE_S)
        for caller in callers:
            caller.voice.settle(self.floor.tally)
            if caller.model is not None:
                caller.model.settle(self.floor.tally)
            caller.hang_up()
        lines = [caller.model for caller in callers if caller.model is not None]
        try:
            async with asyncio.timeout(PARTING_S):
                for line in lines:
                    await line.gone.wait()
        except TimeoutError:
            self.floor.tally.faults.sessions_left += sum(not one.gone.is_set() for one in lines)

    def faults(self) -> str:
        """What went wrong with audio and messages, in words; ``none``."""
        found = {one.name: getattr(self.floor.tally.faults, one.name) for one in fields(Faults)}
        return ", ".join(f"{name} {count}" for name, count in found.items() if count) or "none"

    def errors(self) -> int:
        """Lines of the servers' logs that report an error."""
        return sum(server.log_errors() for server in self.servers)


@asynccontextmanager
async def stage(plan: Plan, *, processes: int, drain_s: int = 120) -> AsyncIterator[Stage]:
    """Servers between a model and a carrier of the bench's; several share a PostgreSQL and
    answer behind HAProxy.

    Raises ``MissingError``.
    """
    loop, tally = asyncio.get_running_loop(), Tally()
    floor = Floor(plan, Wheel(loop, tally), tally)

    def model_line(_request: WSUpgradeRequest) -> Model:
        made.models.append(Model(floor, floor.new_model(), made.opening_ms))
        return made.models[-1]

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        made = Stage(floor, [], [], Carrier(floor, group))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        stack.callback(_keep_logs, folder)
        models = await ws_create_server(model_line, "127.0.0.1", 0)
        stack.callback(models.close)
        rest = await made.carrier.serve()
        stack.callback(rest.close)
        more = {"DRAIN_SECONDS": str(drain_s), "JOBS": "none"}
        if processes > 1:
            made.database = more["DATABASE_URL"] = stack.enter_context(database())
        for number in range(processes):
            place = folder / f"voice{number + 1}"
            place.mkdir()
            made.folders.append(place)
            made.ports.append(free_port())
            settings = environment(
                plan,
                place,
                port=made.ports[-1],
                model_port=models.sockets[0].getsockname()[1],
                rest_port=rest.sockets[0].getsockname()[1],
            )
            command = [sys.executable, "-m", "app", "serve"]
            server = ServerProcess(command, environment=settings | more, folder=place, core=None)
            stack.callback(server.kill)
            made.servers.append(server)
        for server, port in zip(made.servers, made.ports, strict=True):
            await ready(server, port)
        made.carrier.port = made.ports[0]
        if processes > 1:
            made.carrier.port = await haproxy(stack, folder, made.ports)
        made.floor.wheel.start()
        stack.callback(made.floor.wheel.stop)
        yield made


async def haproxy(stack: AsyncExitStack, folder: Path, ports: list[int]) -> int:
    """HAProxy as it is shipped, before the first two servers; the port it answers on."""
    program = shutil.which("haproxy")
    if program is None:
        raise MissingError("There is no haproxy here: apt-get install haproxy.")
    port = free_port()
    addresses = {f"VOICE_{number + 1}": f"127.0.0.1:{ports[number]}" for number in range(2)}
    place = folder / "haproxy"
    place.mkdir()
    proxy = ServerProcess(
        [program, "-db", "-f", str(ROOT / "deploy" / "haproxy.cfg")],
        environment={"LISTEN": f"127.0.0.1:{port}", **addresses},
        folder=place,
        core=None,
    )
    stack.callback(proxy.kill)
    await ready(proxy, port)
    return port


async def ready(server: ServerProcess, port: int) -> None:
    """Wait until ``/ready`` says 200. Raises ``MissingError``."""
    deadline = time.monotonic() + START_S
    while await edge.get(port, "/ready") != 200:
        if server.ended() or time.monotonic() > deadline:
            raise MissingError(server.log_tail())
        await asyncio.sleep(0.1)


def terminate(server: ServerProcess) -> None:
    """SIGTERM, as a deploy sends it."""
    os.kill(server.pid, signal.SIGTERM)


async def until(fact: Callable[[], bool], within_s: float, every_s: float = 0.02) -> bool:
    """Whether it became true in time. Facts of other processes have no event to wait for."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every_s)
    return True


@contextmanager
def database() -> Iterator[str]:
    """The address of a database with our tables, made by the command an operator types."""
    name = f"patchline_chaos_{uuid4().hex}"
    try:
        admin = psycopg.connect(DATABASE_SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as exc:
        raise MissingError(f"No PostgreSQL answers; set TEST_POSTGRES_URL ({exc}).") from exc
    admin.execute(f'CREATE DATABASE "{name}"'.encode())
    address = f"{DATABASE_SERVER.rpartition('/')[0]}/{name}"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "app", "migrate"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": address},
            cwd=tempfile.gettempdir(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MissingError(done.stderr)
        yield address
    finally:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        admin.close()


def _keep_logs(folder: Path) -> None:
    """The servers' logs, where somebody wants to read them."""
    if "CHAOS_LOGS" in os.environ:
        for log in folder.glob("*/server.log"):
            shutil.copy(log, Path(os.environ["CHAOS_LOGS"]) / f"{log.parent.name}.log")
