"""DBOS, with the guards that it needs and does not bring.

Found by trial (2026-11, 3.4.0): two processes with one executor id run the same steps twice, so
every life of a process has its own; pending work of a dead one is left lying by the open-source
engine, so we take it over; its default serialiser is pickle, with which whoever can write the
database runs code here, so ours is JSON; a version computed from source strands work at every
deploy, so ours is a number. Rule: it never shares a process with live audio.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbos import DBOS, DBOSPortableJSONSerializer

from app.jobs.database import jobs_file, jobs_url, migrate_jobs, open_jobs, plain
from app.jobs.lease import Lease
from app.jobs.workflows import ANSWER, DELIVER, DIAL, FOLLOW_UP, PARKED, REMIND, Steps, register

VERSION = "1"
"""Of the workflows: raised when a run of the old order cannot go on in the new one."""
KEEP_DAYS = 30
"""For how long what became of a job can be asked for, unless calls are kept for less."""
_AT_ONCE = 500
"""Runs forgotten in one go."""
_DELIVERIES = 40
"""Messages under way at the same time."""
_TO_ONE = 4
"""… to one receiver: one that hangs holds no more, and the others are told meanwhile."""
_FOLLOW_UPS = 8
"""Calls that are followed up at the same time: each may wait for a model."""
_LATE = 0.05
"""Of the time between two calls: what is asked for later than it might be is never caught up."""
_CONNECTIONS = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How many calls."""

    per_second: float
    at_once: int


class Engine:
    """The engine of this process. DBOS allows one."""

    def __init__(
        self, address: str, pace: Pace, lease: Lease, *, me: str, keep_days: int | None = None
    ) -> None:
        """``address``: DATABASE_URL. ``keep_days``: how long calls are kept; None: for ever.
        Jobs, whose bodies are about calls, are never kept for longer."""
        self._address = address
        self._pace = pace
        self._lease = lease
        self._me = me
        self._keep = timedelta(days=min(KEEP_DAYS, keep_days or KEEP_DAYS))

    def launch(self, steps: Steps) -> None:
        """Begin to work; blocks for a second or two. Raises what the database raises."""
        migrate_jobs(self._address)
        self._configure()
        register(steps)
        # Before the queues are asked: what was begun goes before what was not.
        DBOS.launch()
        self.take_over()
        self._declare_queues()

    def take_over(self) -> int:
        """Let what dead processes left be done; how many runs that were."""
        with self._lease.taking_over() as living:
            left = [
                run
                for run in DBOS.list_workflows(
                    status="PENDING", load_input=False, load_output=False
                )
                if run.executor_id not in living
            ]
            for run in left:
                DBOS.resume_workflow(run.workflow_id, queue_name=run.queue_name)
        return len(left)

    def forget(self) -> int:
        """Delete a portion of what has been over for long enough; how many runs that were."""
        before = (datetime.now(UTC) - self._keep).isoformat()
        old = DBOS.list_workflows(
            name=[
                DIAL,
                DELIVER,
                FOLLOW_UP,
                REMIND,
                ANSWER,
                PARKED,
            ],  # the marks of receivers that are gone stay
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=before,
            limit=_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        if old:
            DBOS.delete_workflows([run.workflow_id for run in old])
        return len(old)

    def end(self) -> None:
        """Take up nothing more; what is under way is left for a successor."""
        DBOS.destroy()

    def _configure(self) -> None:
        DBOS(
            config={
                "name": "patchline",
                "system_database_url": plain(jobs_url(self._address)),
                "system_database_engine": open_jobs(self._address, connections=_CONNECTIONS),
                "run_migrations": False,
                "executor_id": self._me,
                "application_version": VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "enable_otlp": False,
                "log_level": "WARNING",
                "scheduler_polling_interval_sec": 3600.0,
            }
        )

    def _declare_queues(self) -> None:
        shared = jobs_file(self._address) is None
        limit, period_s = limiter(self._pace.per_second)
        DBOS.register_queue(
            DIAL,
            global_concurrency=self._pace.at_once,
            # One process on SQLite, whose turnstile is enough; the limiter's clock has whole
            # seconds there, and would let all calls of a second go at its beginning.
            limiter={"limit": limit, "period": period_s} if shared else None,
            polling_interval_sec=min(0.25, max(0.02, _LATE * period_s)) if shared else 0.25,
            on_conflict="always_update",
        )
        DBOS.register_queue(
            FOLLOW_UP,
            worker_concurrency=_FOLLOW_UPS,
            polling_interval_sec=0.5,
            on_conflict="always_update",
        )
        DBOS.register_queue(
            DELIVER,
            worker_concurrency=_DELIVERIES,
            partition_worker_concurrency=_TO_ONE,
            polling_interval_sec=0.5,
            on_conflict="always_update",
        )


def limiter(per_second: float) -> tuple[int, float]:
    """How many in how many seconds: as few at once as can be asked for without haste."""
    period_s = max(1 / per_second, 0.1)
    return max(1, int(per_second * period_s + 1e-9)), period_s
