"""The workflows, as the engine runs them: which step follows which, and what follows a run.

Whatever happens outside a step is run again when another process takes over, so here is
nothing but order. Rule: no run waits for hours. Another day, another attempt, another try at a
receiver is another run, put off in the queue: it holds no slot, no memory and no turn.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbos import DBOS, EnqueueOptions

from app.call import analysis
from app.jobs.aftermath import Aftermath
from app.jobs.answering import Answering
from app.jobs.dial import FINAL, Dialler, Result
from app.jobs.ids import GONE, gone_id, next_run, parked_id, taken_apart
from app.jobs.port import Answer, Deliver, Dial, FollowUp, Retry

DIAL = "dial"
DELIVER = "deliver"
FOLLOW_UP = "follow_up"
"""Workflows and queues have the same names."""
REMIND = "remind"
"""A workflow of the queue ``FOLLOW_UP``."""
ANSWER = "answer"
"""Another one."""
PARKED = "parked"
"""The workflow that does nothing but lie there, so that what was given up can be listed."""
CALL_NEWS = "call"
"""The topic of what status callbacks say."""

PAUSES_S = (5, 300, 1_800, 7_200, 18_000, 36_000)
"""Between the tries of a delivery (Standard Webhooks); after the last it is parked."""
_LATER_S = (2, 5, 15, 30, 60, 60, 120, 120, 300, 300)
"""Between tries where Twilio certainly did nothing: too many requests, not reachable."""
_LONGEST_ASKING_S = 300.0
_MOST_NEWS = 1_000
_GONE_STATUS = 410

_PATIENT: dict[str, Any] = {"retries_allowed": True, "interval_seconds": 1.0, "max_attempts": 8}
"""For steps that only look: the database may be gone for a moment."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What the workflows are made of."""

    dialler: Dialler
    post: Callable[[str, Deliver], Awaitable[Result]]
    """One try at a receiver: ``status`` (None: no answer) and ``reason``."""
    aftermath: Aftermath


def register(steps: Steps) -> None:
    """Make the workflows known to the engine; before it is launched, once in a process."""

    async def dial(job_json: dict[str, Any], trail: dict[str, Any]) -> Result:
        return await _dial(steps.dialler, job_json, trail)

    async def deliver(job_json: dict[str, Any], trail: dict[str, Any]) -> Result:
        return await _deliver(steps.post, job_json, trail)

    async def follow_up(job_json: dict[str, Any], trail: dict[str, Any]) -> Result:
        del trail
        return await _follow_up(steps.aftermath, FollowUp.of(job_json).call_id)

    async def remind(job_json: dict[str, Any], trail: dict[str, Any]) -> Result:
        del trail
        told = await _step("remind", steps.aftermath.remind, job_json, **_PATIENT)
        return {"state": "told" if told else "forgotten"}

    async def answer(job_json: dict[str, Any], trail: dict[str, Any]) -> Result:
        del trail
        return await _answer(steps.aftermath.answering, Answer.of(job_json))

    async def gone(url: str) -> Result:
        return {"state": GONE, "url": url}

    async def parked(what: dict[str, Any]) -> Result:
        return what

    known: dict[str, Callable[..., Any]] = {
        DIAL: dial,
        DELIVER: deliver,
        FOLLOW_UP: follow_up,
        REMIND: remind,
        ANSWER: answer,
        GONE: gone,
        PARKED: parked,
    }
    for name, workflow in known.items():
        DBOS.workflow(name=name)(workflow)


async def _dial(dialler: Dialler, job_json: dict[str, Any], trail: dict[str, Any]) -> Result:
    job = _addressed(Dial.of(job_json), _run_id())
    verdict = await _step("admit", dialler.admit, job.to, **_PATIENT)
    if "refused" in verdict:
        return {"state": "refused", "reason": verdict["refused"]}
    if "wait_s" in verdict:
        following = await _again(DIAL, job_json, trail, verdict["wait_s"])
        return {"state": "deferred", "next": following}
    known = list(trail.get("known", ()))
    placed = await _placed(dialler, job, known)
    if "placed" not in placed:
        return placed
    call_sid = placed["placed"]
    ended = await _ended(dialler, job, call_sid)
    result = {**ended, "state": ended["status"], "call_sid": call_sid}
    if placed.get("adopted"):
        result["adopted"] = True
    return await _tried_again(job, job_json, trail, known, result)


async def _placed(dialler: Dialler, job: Dial, known: list[str]) -> Result:
    """Place the call, in as many tries as nothing was sent; the result of a run where none is."""
    pauses = iter(_LATER_S)
    number = 0
    while True:
        number += 1
        intent = await _step("intend", dialler.intend, _run_id(), number, preemptible=True)
        placed = await _step("place", dialler.place, job, intent, known)
        if "placed" in placed:
            return dict(placed)
        if "refused" in placed:
            return {"state": "refused", "reason": placed["refused"]}
        if "indeterminate" in placed:
            return await _heard_of(dialler, placed["indeterminate"])
        if "later" in placed:
            pause_s = next(pauses, None)
            if pause_s is None:
                return {"state": "failed", "reason": placed["later"]}
            await DBOS.sleep_async(pause_s)


async def _heard_of(dialler: Dialler, reason: str) -> Result:
    """The last chance of a call that Twilio did not list: its own status callback."""
    news = await DBOS.recv_async(CALL_NEWS, timeout_seconds=2 * dialler.settle_s)
    call_sid = (news or {}).get("call_sid")
    if call_sid:
        return {"placed": str(call_sid), "adopted": True}
    return {"state": "indeterminate", "reason": reason}


async def _ended(dialler: Dialler, job: Dial, call_sid: str) -> Result:
    """How the call ended: what Twilio told us, or what it says when it tells us nothing."""
    wait_s = job.ask_after_s
    for _ in range(_MOST_NEWS):
        news = await DBOS.recv_async(CALL_NEWS, timeout_seconds=wait_s)
        if news is None:
            news = {"status": await _step("ask", dialler.ask, call_sid)}
            wait_s = min(_LONGEST_ASKING_S, 2 * wait_s)
        if news.get("status") in FINAL:
            return dict(news)
    return {"status": "lost"}


async def _tried_again(
    job: Dial,
    job_json: dict[str, Any],
    trail: Mapping[str, Any],
    known: list[str],
    result: Result,
) -> Result:
    """``result``, with the run that follows where the request wants another attempt."""
    counts = dict(trail.get("counts", {}))
    reason = str(result["state"])
    rule: Retry | None = job.retries.get(reason)
    if rule is None or counts.get(reason, 0) >= rule.times:
        return result
    counts[reason] = counts.get(reason, 0) + 1
    onward = {"counts": counts, "known": [*known, result["call_sid"]]}
    return result | {"next": await _again(DIAL, job_json, onward, rule.after_s)}


async def _deliver(
    post: Callable[[str, Deliver], Awaitable[Result]],
    job_json: dict[str, Any],
    trail: dict[str, Any],
) -> Result:
    job = Deliver.of(job_json)
    message_id, _ = taken_apart(_run_id())
    if await _step("gone", _is_gone, job.url):
        await _park(message_id, job.url, "disabled", {"status": None, "reason": ""})
        return {"state": "disabled"}
    posted = await _step("post", post, message_id, job)
    status, tries = posted["status"], int(trail.get("tries", 0))
    if status is not None and 200 <= status < 300:
        return {"state": "delivered", **posted}
    if status == _GONE_STATUS:
        await DBOS.enqueue_workflow_with_options_async(_mark(GONE, gone_id(job.url)), job.url)
        await _park(message_id, job.url, GONE, posted)
        return {"state": GONE, **posted}
    if tries >= len(PAUSES_S):
        await _park(message_id, job.url, "parked", posted)
        return {"state": "parked", **posted}
    following = await _again(DELIVER, job_json, {"tries": tries + 1}, PAUSES_S[tries])
    return {"state": "failed", **posted, "next": following}


async def _park(job_id: str, url: str, state: str, posted: Mapping[str, Any]) -> None:
    """List the delivery among those that were given up."""
    mark = {"job_id": job_id, "url": url, "state": state, **posted}
    await DBOS.enqueue_workflow_with_options_async(_mark(PARKED, parked_id(job_id)), mark)


def _mark(name: str, mark_id: str) -> EnqueueOptions:
    return {
        "workflow_name": name,
        "queue_name": DELIVER,
        "queue_partition_key": "marks",
        "workflow_id": mark_id,
    }


async def _follow_up(after: Aftermath, call_id: str) -> Result:
    if not await _step("tell_ended", after.tell_ended, call_id, **_PATIENT):
        return {"state": "forgotten"}
    status = await _analysed(after, call_id)
    await _step("tell_analyzed", after.tell_analyzed, call_id, **_PATIENT)
    await _texted(after, call_id)
    return {"state": status}


async def _texted(after: Aftermath, call_id: str) -> None:
    """The caller's message, where there is one."""
    intent = await _step("intend_sms", after.intend_sms, call_id, **_PATIENT)
    if not intent:
        return
    sent = {"status": "not_sent", "reason": intent.get("refused")}
    if "by" in intent:
        sent = await _step("send_sms", after.send_sms, call_id, intent["by"])
    await _step("tell_sms", after.tell_sms, call_id, sent, **_PATIENT)


async def _answer(answering: Answering, job: Answer) -> Result:
    """Answer what was written, where that is wanted and possible."""
    what = (job.call_id, job.text_id)
    asked = await _insisted("compose", answering.compose, *what)
    result = {"state": "failed", "reason": asked["again"]} if "again" in asked else asked
    if result["state"] == "answered":
        intent = await _step("intend_answer", answering.intend, *what, **_PATIENT)
        if intent:
            sent = {"status": "not_sent", "reason": intent.get("refused")}
            if "by" in intent:
                sent = await _step("send_answer", answering.send, *what, intent["by"])
            await _step("keep_answer", answering.keep, *what, sent, **_PATIENT)
    await _step("tell_answer", answering.tell, *what, **_PATIENT)
    return dict(result)


async def _analysed(after: Aftermath, call_id: str) -> str:
    """Ask what the call came to; how it ended."""
    asked = await _insisted("analyse", after.analyse, call_id)
    if "status" in asked:
        return str(asked["status"])
    settled = (call_id, "failed", asked["again"])
    given_up = await _step("settle", after.settle, *settled, **_PATIENT)
    return str(given_up["status"])


async def _insisted(name: str, step: Callable[..., Any], *given: str) -> Result:
    """Ask a model, with more room where it was cut off, as often as the reason for its not
    answering allows; the last answer, with ``again`` where it was none."""
    times = Counter[str]()
    while True:
        room = 4 ** min(times["truncated"], 2)
        asked: Result = await _step(name, step, *given, room, **_PATIENT)
        reason = asked.get("again")
        if reason is None or times[reason] >= len(analysis.PAUSES_S.get(reason, ())):
            return asked
        times[reason] += 1
        await DBOS.sleep_async(analysis.PAUSES_S[reason][times[reason] - 1])


async def _is_gone(url: str) -> bool:
    # In a step of ours: what DBOS tells of a run cannot be written down as JSON.
    return await DBOS.get_workflow_status_async(gone_id(url)) is not None


async def _again(
    name: str, job_json: dict[str, Any], trail: Mapping[str, Any], after_s: float
) -> str:
    """Enqueue the run that follows this one; its id. Done twice, it is the same one."""
    following = next_run(_run_id())
    options: EnqueueOptions = {
        "workflow_name": name,
        "queue_name": name,
        "workflow_id": following,
        "delay_seconds": after_s,
    }
    if name == DELIVER:
        options["queue_partition_key"] = gone_id(job_json["url"])
    await DBOS.enqueue_workflow_with_options_async(options, job_json, dict(trail))
    return following


async def _step(name: str, step: Callable[..., Any], *given: Any, **options: Any) -> Any:
    how: Any = {"name": name, **options}
    return await DBOS.run_step_async(how, step, *given)


def _run_id() -> str:
    return str(DBOS.workflow_id)


def _addressed(job: Dial, run_id: str) -> Dial:
    """``job`` with the run's id where its addresses say ``{run}``."""
    given = job.to_json()
    for name in ("url", "status_callback"):
        given[name] = given[name].replace("{run}", run_id)
    return Dial.of(given)
