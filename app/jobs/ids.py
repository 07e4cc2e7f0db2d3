"""The ids of jobs and of their runs.

A job is carried out in runs: every attempt, every deferral to another day is one of its own, so
that nothing waits in memory for hours. Rule: a run's id tells its job and its place in the row,
and its making is deterministic: a run begun twice is one run.
"""

import hashlib
import re

GONE = "gone"
"""What the mark is called that a receiver wants nothing any more."""
_RUN = re.compile(r"(?P<job>.+)\.(?P<number>[1-9]\d{0,3})")


def job_id_of(kind: str, key: str) -> str:
    """The id of the job that a client's key names; no client can make another's with it."""
    return f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def first_run(job_id: str) -> str:
    """The id of a job's first run."""
    return f"{job_id}.1"


def next_run(run_id: str) -> str:
    """The id of the run that follows. Raises ``ValueError`` for what is no run's id."""
    job_id, number = taken_apart(run_id)
    return f"{job_id}.{number + 1}"


def taken_apart(run_id: str) -> tuple[str, int]:
    """Job and number of a run. Raises ``ValueError`` for what is no run's id."""
    match = _RUN.fullmatch(run_id)
    if match is None:
        raise ValueError("not the id of a run")
    return match["job"], int(match["number"])


def gone_id(url: str) -> str:
    """The id of the mark that a receiver wants nothing any more; a finished run that stays."""
    return f"{GONE}-{hashlib.sha256(url.encode()).hexdigest()[:32]}"


def follow_up_id(call_id: str) -> str:
    """The id of the job that follows a call."""
    return f"postcall:{call_id}"


def webhook_id(call_id: str, what: str, url: str) -> str:
    """The id of the delivery of one notice of a call to one receiver.

    No full stop is in it: Standard Webhooks signs ``id.timestamp.body``.
    """
    where = hashlib.sha256(url.encode()).hexdigest()[:12]
    return f"webhook:{call_id}:{what.replace('.', '_')}:{where}"


def prefixes_of(call_id: str) -> list[str]:
    """What the ids of all that belongs to a call begin with: its placing, and what follows it."""
    return [
        f"{call_id}.",
        f"{follow_up_id(call_id)}.",
        f"webhook:{call_id}:",
        f"reminder:{call_id}:",
        f"answer:{call_id}:",
    ]


def parked_id(job_id: str) -> str:
    """The id of the mark that a delivery was given up; a finished run that is listed."""
    return f"parked:{job_id}"
