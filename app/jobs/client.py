"""Jobs from a process that carries none out: a row is written, a row is read.

The engine is never launched here: beside live audio its threads cost stalls of 50 to 120 ms.
Importing it takes over a second, so it is imported at first use, in a thread (``warm``). What
was written takes 1 to 3 ms (2026-11). Rule: nobody here waits for a job.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from app.errors import CallerFault, OurFault
from app.jobs.database import jobs_file, open_jobs
from app.jobs.ids import first_run, gone_id, next_run, parked_id, prefixes_of, taken_apart
from app.jobs.port import (
    Answer,
    Deliver,
    Dial,
    FollowUp,
    Job,
    JobState,
    JobStatus,
    Parked,
    Remind,
)

_ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
_WAITING = ("DELAYED", "ENQUEUED")
_RUN_COLUMNS = ("workflow_uuid", "status", "queue_name", "updated_at", "completed_at")
_CONNECTIONS = 3
_MOST_ROUNDS = 5
_T = TypeVar("_T")


class DurableJobs:
    """``Jobs`` over the jobs' database. Constructing it connects to nothing."""

    def __init__(self, address: str) -> None:
        """``address``: DATABASE_URL."""
        self._address = address
        self._engine: sa.Engine | None = None
        self._dbos: Any = None
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def warm(self) -> None:
        """Import and connect now, in a thread. Raises ``OurFault``, ``jobs_unreachable``."""
        async with self._opening:
            if self._client is None:
                try:
                    await asyncio.to_thread(self._open)
                except SQLAlchemyError as exc:
                    raise OurFault("jobs_unreachable") from exc

    def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            self._client.destroy()
        if self._engine is not None:
            self._engine.dispose()

    async def enqueue(self, job: Job, *, job_id: str, after_s: float = 0) -> None:
        """See ``Jobs``."""
        name = _NAMES[type(job)]
        given = job.to_json()
        if await self._begin(name, first_run(job_id), given, after_s):
            return
        [there] = await self._ask(lambda one: one.list_workflows(workflow_ids=[first_run(job_id)]))
        if there.name != name or there.input["args"][0] != given:
            raise CallerFault("job_id_in_use", "another job has this id")

    async def cancel(self, job_id: str) -> bool:
        """See ``Jobs``."""
        # A run that was just ending may have begun the next one meanwhile: look again.
        cancelled = False
        for _ in range(_MOST_ROUNDS):
            runs = await self._runs(job_id, whole=False)
            open_ = [run.workflow_id for run in runs if run.status not in _ENDED]
            if not open_:
                break
            cancelled = True
            await self._ask(partial(_cancel, open_))
        return cancelled

    async def withdraw(self, job_id: str) -> bool:
        """See ``Jobs``."""
        runs = await self._runs(job_id, whole=False)
        if not runs or runs[-1].status not in _WAITING:
            return False
        return await self._ask(partial(self._withdraw, runs[-1].workflow_id))

    async def status(self, job_id: str) -> JobStatus | None:
        """See ``Jobs``."""
        runs = await self._runs(job_id)
        if not runs:
            return None
        last = runs[-1]
        results = [run.output for run in runs if isinstance(run.output, dict)]
        return JobStatus(
            job_id,
            _STATES.get(last.status, JobState.FAILED),
            results[-1] if results else {},
            len(runs),
            last.delay_until_epoch_ms if last.status == "DELAYED" else None,
        )

    async def tell(self, job_id: str, news: Mapping[str, str]) -> None:
        """See ``Jobs``."""
        await self.warm()
        try:
            await self._ask(lambda one: one.send(job_id, dict(news), "call"))
        except self._dbos.error.DBOSNonExistentWorkflowError:
            return

    async def replay(self, job_id: str) -> bool:
        """See ``Jobs``."""
        runs = await self._runs(job_id)
        if not runs or runs[-1].status not in _ENDED or runs[-1].name != "deliver":
            return False
        given = runs[0].input["args"][0]
        marks = [gone_id(given["url"]), parked_id(job_id)]
        await self._ask(lambda one: one.delete_workflows(marks))
        return await self._begin("deliver", next_run(runs[-1].workflow_id), given, 0)

    async def parked(self, limit: int = 100) -> list[Parked]:
        """See ``Jobs``."""
        marks = await self._ask(
            lambda one: one.list_workflows(
                name="parked", limit=limit, sort_desc=True, load_output=False
            )
        )
        return [Parked(**mark.input["args"][0], given_up_at_ms=mark.created_at) for mark in marks]

    async def forget(self, call_id: str) -> int:
        """See ``Jobs``."""
        prefixes = prefixes_of(call_id)
        marks = [parked_id(one) for one in prefixes]
        found = await self._ask(
            lambda one: one.list_workflows(
                workflow_id_prefix=[*prefixes, *marks], load_input=False, load_output=False
            )
        )
        ids = [run.workflow_id for run in found]
        await self._ask(partial(_cancel, [x.workflow_id for x in found if x.status not in _ENDED]))
        await self._ask(lambda one: one.delete_workflows(ids))
        return len(ids)

    async def _begin(
        self, name: str, run_id: str, given: Mapping[str, Any], after_s: float
    ) -> bool:
        """Enqueue a run; False where its id is taken."""
        options: dict[str, Any] = {
            "workflow_name": name,
            "queue_name": _QUEUES.get(name, name),
            "workflow_id": run_id,
            "workflow_id_reuse_policy": "reject",
        }
        if name == "deliver":
            options["queue_partition_key"] = gone_id(given["url"])
        if after_s > 0:
            options["delay_seconds"] = after_s
        await self.warm()
        try:
            await self._ask(lambda one: one.enqueue(options, dict(given), {}))
        except self._dbos.error.DBOSWorkflowIDInUseError:
            return False
        return True

    async def _runs(self, job_id: str, *, whole: bool = True) -> list[Any]:
        """The runs of a job, oldest first."""
        found = await self._ask(
            lambda one: one.list_workflows(
                workflow_id_prefix=f"{job_id}.", load_input=whole, load_output=whole
            )
        )
        ours = [run for run in found if _is_run_of(run.workflow_id, job_id)]
        return sorted(ours, key=lambda run: taken_apart(run.workflow_id)[1])

    async def _ask(self, question: Callable[[Any], _T]) -> _T:
        await self.warm()
        try:
            return await asyncio.to_thread(question, self._client)
        except SQLAlchemyError as exc:
            raise OurFault("jobs_unreachable") from exc

    def _withdraw(self, run_id: str, _client: Any) -> bool:
        """One statement decides between this and whoever is about to take the run up; DBOS's own
        cancelling would also stop a run that is just ordering the call."""
        schema = None if jobs_file(self._address) else "dbos"
        runs = sa.table("workflow_status", *map(sa.column, _RUN_COLUMNS), schema=schema)
        now_ms = round(time.time() * 1000)
        change = (
            sa.update(runs)
            .where(runs.c.workflow_uuid == run_id, runs.c.status.in_(_WAITING))
            .values(status="CANCELLED", queue_name=None, updated_at=now_ms, completed_at=now_ms)
        )
        assert self._engine is not None
        with self._engine.begin() as connection:
            return connection.execute(change).rowcount == 1

    def _open(self) -> None:
        import dbos  # noqa: PLC0415 - a second of importing

        self._dbos = dbos
        self._engine = self._engine or open_jobs(self._address, connections=_CONNECTIONS)
        self._client = self._dbos.DBOSClient(
            system_database_engine=self._engine,
            serializer=self._dbos.DBOSPortableJSONSerializer(),
            application_name="patchline",
            retry_connection_errors=False,
        )


_NAMES: dict[type, str] = {
    Dial: "dial",
    Deliver: "deliver",
    FollowUp: "follow_up",
    Remind: "remind",
    Answer: "answer",
}
_QUEUES = {"remind": "follow_up", "answer": "follow_up"}
"""Where it is not a queue of the same name: each is asked twice a second, work or not."""
_STATES = {
    "DELAYED": JobState.WAITING,
    "ENQUEUED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "SUCCESS": JobState.DONE,
    "CANCELLED": JobState.CANCELLED,
}


def _cancel(runs: list[str], client: Any) -> None:
    if runs:
        client.cancel_workflows(runs)


def _is_run_of(run_id: str, job_id: str) -> bool:
    try:
        return taken_apart(run_id)[0] == job_id
    except ValueError:
        return False
