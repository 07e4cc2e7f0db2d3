"""The jobs' port, carried out in this process: it really orders calls, and forgets them with it.

What is durable about jobs has its own tests; a walk needs a dialler that keeps the port's word.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.errors import CallerFault, CarrierFault, OurFault
from app.jobs.port import Dial, Job, JobState, JobStatus
from app.services.twilio_rest import TwilioRest

FINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


@dataclass
class _Run:
    job: Dial
    told: asyncio.Queue[Mapping[str, str]] = field(default_factory=asyncio.Queue)
    state: JobState = JobState.WAITING
    result: dict[str, Any] = field(default_factory=dict)


class JobsHere:
    """``Jobs`` for as long as the loop lives."""

    def __init__(self, api_url: str, account: str, token: str) -> None:
        self._carrier = TwilioRest(
            account_sid=account, username=account, password=token, base_url=api_url
        )
        self.unwanted: set[str] = set()
        """The do-not-call list."""
        self.held = asyncio.Event()
        """Cleared: nothing is dialled yet."""
        self.held.set()
        self.hurried = asyncio.Event()
        """Set: nobody waits for the time of an order."""
        self.runs: dict[str, list[_Run]] = {}
        self.unreachable = False
        self.others: dict[str, tuple[Job, float]] = {}
        """What is not a call, and after how long; nobody does it."""
        self.forgotten: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def enqueue(self, job: Job, *, job_id: str, after_s: float = 0) -> None:
        """See ``Jobs``."""
        if not isinstance(job, Dial):
            self.others[job_id] = (job, after_s)
            return
        known = self.runs.get(job_id)
        if known is not None:
            if known[0].job != job:
                raise CallerFault("job_id_in_use")
            return
        self.runs[job_id] = []
        self._begin(job_id, job, after_s)

    def _begin(self, job_id: str, job: Dial, after_s: float) -> None:
        run = _Run(job)
        self.runs[job_id].append(run)
        task = asyncio.create_task(self._dial(job_id, run, after_s), name=f"dial {job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, job_id: str, run: _Run, after_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.hurried.wait(), after_s)
        await self.held.wait()
        if run.state is JobState.CANCELLED:
            return
        run.state = JobState.RUNNING
        number = len(self.runs[job_id])
        run.result = await self._placed(run, f"{job_id}.{number}")
        status = str(run.result["state"])
        rule = run.job.retries.get(status)
        ended_so = sum(1 for one in self.runs[job_id] if one.result.get("state") == status)
        if rule is not None and ended_so <= rule.times:
            run.result["next"] = f"{job_id}.{number + 1}"
            self._begin(job_id, run.job, rule.after_s / 1000)
        run.state = JobState.DONE

    async def _placed(self, run: _Run, run_id: str) -> dict[str, Any]:
        job = run.job
        if job.to in self.unwanted:
            return {"state": "refused", "reason": "do_not_call"}
        job = replace(
            job,
            url=job.url.replace("{run}", run_id),
            status_callback=job.status_callback.replace("{run}", run_id),
        )
        events = ["initiated", "ringing", "answered", "completed"]
        more = dict(job.parameters) | {
            "status_callback": job.status_callback,
            "status_callback_event": events,
        }
        try:
            call_sid = await self._carrier.place(job.to, job.from_, job.url, more)
        except CarrierFault as fault:
            return {"state": "refused", "reason": fault.reason}
        while (news := await run.told.get())["status"] not in FINAL:
            pass
        return {**news, "state": news["status"], "call_sid": call_sid}

    async def cancel(self, job_id: str) -> bool:
        """See ``Jobs``."""
        run = self.runs[job_id][-1]
        run.state = JobState.CANCELLED
        return True

    async def withdraw(self, job_id: str) -> bool:
        """See ``Jobs``."""
        runs = self.runs.get(job_id)
        if not runs or runs[-1].state is not JobState.WAITING:
            return False
        runs[-1].state = JobState.CANCELLED
        return True

    async def status(self, job_id: str) -> JobStatus | None:
        """See ``Jobs``."""
        runs = self.runs.get(job_id)
        if not runs:
            return None
        return JobStatus(job_id, runs[-1].state, runs[-1].result, len(runs))

    async def tell(self, job_id: str, news: Mapping[str, str]) -> None:
        """See ``Jobs``."""
        name, _, number = job_id.rpartition(".")
        runs = self.runs.get(name, [])
        if int(number) <= len(runs):
            runs[int(number) - 1].told.put_nowait(news)

    async def replay(self, job_id: str) -> bool:
        """See ``Jobs``: only what is parked can be begun anew, and nothing ever is."""
        return False

    async def parked(self, limit: int = 100) -> list[Any]:
        """See ``Jobs``: every job that fails has a result here."""
        return []

    async def forget(self, call_id: str) -> int:
        """See ``Jobs``; ``unreachable`` makes it fail as a lost database does."""
        if self.unreachable:
            raise OurFault("jobs_unreachable")
        self.forgotten.append(call_id)
        return 0

    async def close(self) -> None:
        """Dial nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._carrier.close()
