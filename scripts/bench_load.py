"""One run of the bench: N calls at once against one server, in a process and on a core of its own.

One rule: the generator plays Twilio and OpenAI on one event loop, so that every latency is the
difference of two readings of one clock. Started by ``bench_report``; prints one JSON object.
"""

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import bench_edge as edge
import orjson
import uvloop
from bench_caller import CallerLine
from bench_model import ModelLine
from bench_process import ServerProcess, Usage, usage
from bench_tally import Tally
from bench_voice import Floor, Plan
from bench_wheel import Wheel
from picows import WSHandshakeError, WSUpgradeRequest, ws_create_server

ROOT = Path(__file__).resolve().parent.parent
GRACE_S = 0.5
"""From the last word of a call to the count of what arrived."""
PARTING_S = 3.0
"""From the hang-up of a call to the moment its model session must be gone."""
START_S = 90.0
SAMPLE_S = 10.0
AGENT = """\
instructions: |
  You answer the phone for the bench. Talk until you are interrupted.
greeting: Hello, this is the bench. How can I help?
hold_audio: typing
"""


class NotStartedError(Exception):
    """The server under test did not come up."""


def _command(plan: Plan, port: int, model_port: int) -> list[str]:
    if plan.kind == "relay":
        relay = str(ROOT / "scripts" / "bench_relay.py")
        return [sys.executable, relay, str(port), f"ws://127.0.0.1:{model_port}/v1/realtime"]
    return plan.command or [sys.executable, "-m", "app", "serve"]


def environment(
    plan: Plan, folder: Path, *, port: int, model_port: int, rest_port: int
) -> dict[str, str]:
    """What a user would set; nothing of the caller's own settings leaks in."""
    agent = folder / "agent.yaml"
    agent.write_text(AGENT)
    shared = {"DATABASE_URL": plan.database} if plan.database else {}
    return shared | {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "OPENAI_API_KEY": edge.MODEL_KEY,
        "TWILIO_ACCOUNT_SID": edge.ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": edge.AUTH_TOKEN,
        "TWILIO_API_URL": f"http://127.0.0.1:{rest_port}",
        "PUBLIC_URL": edge.PUBLIC_URL,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "API_KEY": edge.API_KEY,
        "AGENT_FILE": str(agent),
        "MAX_CONCURRENT_CALLS": str(max(100, plan.calls * 2)),
        "DRAIN_SECONDS": "2",
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
    }


def _start(
    command: list[str], environment: dict[str, str], folder: Path, core: int | None
) -> ServerProcess:
    try:
        return ServerProcess(command, environment=environment, folder=folder, core=core)
    except OSError as exc:
        raise NotStartedError(str(exc)) from exc


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Run:
    """The calls of one run and what they are measured with."""

    def __init__(self, plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
        self.plan = plan
        self.tally = Tally()
        self.floor = Floor(plan, Wheel(loop, self.tally), self.tally)
        self.over = asyncio.Event()
        self.samples: list[Usage] = []
        self.lines: list[CallerLine] = []
        loop.set_exception_handler(self._fault)

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.tally.faults.generator_faults += 1
        self.tally.note(f"generator: {context.get('message')}: {context.get('exception')!r}")
        loop.default_exception_handler(context)

    def model_line(self, _request: WSUpgradeRequest) -> ModelLine:
        """A listener for a session the server opens."""
        return ModelLine(self.floor, self.floor.new_model())

    def rest_request(self, line: str) -> None:
        """The server asked Twilio for something no call of the bench needs."""
        self.tally.faults.rest_requests += 1
        self.tally.note(f"REST: {line}")

    async def whole(self) -> dict[str, Any]:
        """Start everything, run, stop everything; the figures of the run."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            models = await ws_create_server(self.model_line, "127.0.0.1", 0)
            stack.callback(models.close)
            rest = await edge.serve_rest(self.rest_request)
            stack.callback(rest.close)
            port = free_port()
            model_port = models.sockets[0].getsockname()[1]
            rest_port = rest.sockets[0].getsockname()[1]
            settings = environment(
                self.plan, folder, port=port, model_port=model_port, rest_port=rest_port
            )
            command = _command(self.plan, port, model_port)
            server = _start(command, settings, folder, self.plan.server_core)
            stack.callback(server.kill)
            await self._ready(server, port)
            self.floor.wheel.start()
            stack.callback(self.floor.wheel.stop)
            figures = await self._measure(server, port)
            figures["server_ended_by_itself"] = await server.end()
            figures["server_log_errors"] = server.log_errors()
            if figures["server_log_errors"] or any(figures["faults"].values()):
                figures["server_log_tail"] = server.log_tail()
        return figures

    async def _ready(self, server: ServerProcess, port: int) -> None:
        path = "/health" if self.plan.judged else "/"
        deadline = time.monotonic() + START_S
        while await edge.get(port, path) == 0:
            if server.ended() or time.monotonic() > deadline:
                raise NotStartedError(server.log_tail())
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)

    async def _measure(self, server: ServerProcess, port: int) -> dict[str, Any]:
        idle = usage(server.pid)
        gc.collect()
        gc.freeze()
        async with asyncio.TaskGroup() as calls:
            for place in range(self.plan.calls):
                calls.create_task(self._keep_calling(port), name=f"call place {place}")
                await asyncio.sleep(self.plan.ramp_s / self.plan.calls)
            await asyncio.sleep(self.plan.settle_s)
            await self._hold(port)
            before, own_before = usage(server.pid), usage()
            self.tally.measuring = True
            await self._watch(server)
            self.tally.measuring = False
            after, own_after = usage(server.pid), usage()
            self.over.set()
        self.tally.faults.sessions_left = sum(
            not voice.gone.is_set() for voice in self.floor.models.values()
        )
        await asyncio.sleep(GRACE_S)
        last = usage(server.pid)
        own = {
            "generator_share": _share(own_before, own_after),
            "generator_waited": _waited(own_before, own_after),
        }
        return {**self.tally.summary(), **self._figures(idle, before, after, last), **own}

    async def _hold(self, port: int) -> None:
        """Put some of the calls on hold, and wait until what was being said to them is over."""
        if not self.plan.held:
            return
        for line in self.lines[: self.plan.held]:
            await line.hold(port)
        await asyncio.sleep(self.plan.longest_ms / 1000 + self.plan.settle_s)

    async def _watch(self, server: ServerProcess) -> None:
        """Let the calls talk; look at the server now and then."""
        end = time.monotonic() + self.plan.seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, SAMPLE_S))
            self.samples.append(usage(server.pid))

    def _figures(self, idle: Usage, before: Usage, after: Usage, last: Usage) -> dict[str, Any]:
        minutes = (after.at_s - before.at_s) / 60
        settled = next((one for one in self.samples if one.at_s - before.at_s >= 55), None)
        return {
            "kind": self.plan.kind,
            "calls": self.plan.calls,
            "seconds": self.plan.seconds,
            "cpu_s_per_call_minute": (after.cpu_s - before.cpu_s) / minutes / self.plan.calls,
            "core_share": _share(before, after),
            "core_waited": _waited(before, after),
            "idle_rss_mib": idle.rss_kib / 1024,
            "kib_per_call": (after.rss_kib - idle.rss_kib) / self.plan.calls,
            "rss_growth_kib": after.rss_kib - settled.rss_kib if settled else None,
            "open_files_growth": after.open_files - settled.open_files if settled else None,
            "threads_growth": after.threads - settled.threads if settled else None,
            "threads": after.threads,
            "open_files": after.open_files,
            "open_files_left": last.open_files - idle.open_files,
            "threads_left": last.threads - idle.threads,
            "rss_mib": [round(one.rss_kib / 1024, 1) for one in self.samples],
        }

    async def _keep_calling(self, port: int) -> None:
        """Call, talk, hang up; again and again where the plan says so."""
        while not self.over.is_set():
            line = CallerLine(self.floor, self.floor.new_caller())
            self.lines.append(line)
            self.tally.calls += 1
            try:
                await line.dial(port)
                await self._talk()
            except (OSError, TimeoutError, WSHandshakeError, edge.NotAnsweredError) as exc:
                self.tally.faults.calls_failed += 1
                self.tally.note(f"call {line.voice.number} failed: {exc!r}")
                self.over.set()
            await self._part(line)

    async def _talk(self) -> None:
        try:
            async with asyncio.timeout(self.plan.call_seconds or None):
                await self.over.wait()
        except TimeoutError:
            return

    async def _part(self, line: CallerLine) -> None:
        line.fall_silent()
        await asyncio.sleep(GRACE_S)
        self.tally.measuring = self.tally.measuring and not self.over.is_set()
        line.voice.settle(self.tally)
        if line.model is not None:
            line.model.settle(self.tally)
        line.hang_up()
        if line.model is None:
            return
        try:
            async with asyncio.timeout(PARTING_S):
                await line.model.gone.wait()
        except TimeoutError:
            self.tally.note(f"model line {line.model.number} outlived its call")
            return
        del self.floor.models[line.model.number]
        del self.floor.callers[line.voice.number]


def _share(before: Usage, after: Usage) -> float:
    return (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)


def _waited(before: Usage, after: Usage) -> float:
    return (after.waited_s - before.waited_s) / (after.at_s - before.at_s)


def _plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(description="One run of the bench, as JSON.")
    parser.add_argument("plan", help="fields of the plan, as JSON")
    given = orjson.loads(parser.parse_args(arguments).plan)
    known = {one.name for one in fields(Plan)}
    return Plan(**{name: value for name, value in given.items() if name in known})


async def _run(plan: Plan) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    return await Run(plan, loop).whole()


def main() -> int:
    """Run the plan given on the command line; exit status 1 if the server did not start."""
    plan = _plan(sys.argv[1:])
    if plan.generator_core is not None:
        os.sched_setaffinity(0, {plan.generator_core})
    gc.disable()
    try:
        figures = uvloop.run(_run(plan))
    except NotStartedError as exc:
        print(f"the {plan.kind} did not start:\n{exc}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 130
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
