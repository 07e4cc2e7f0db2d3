"""<Enqueue>: callers who wait for somebody, in order, hearing what the server has for them.

    waiting --somebody comes--> bridged          --<Leave>--> the next verb
       |--<Hangup>, the caller--> over           --REST------> another document

Rule: what waiting callers hear is asked for again each time it is over, with where they stand
by then.
"""

from xml.etree.ElementTree import Element

from app.emulators.twilio_queues import Queue
from app.emulators.twilio_run import Ended, Run, Step, http_method, number, talk
from app.emulators.twilio_twiml import words_of
from app.emulators.twilio_words import monotonic_ms

_MOST_WAITING = 1_000
"""Twilio's own limit, where the document has none."""
_SHORTEST_ROUND_MS = 10
"""A document in which nothing lasts is not asked for without a breath."""
_RESULTS = {"bridged": "bridged", "failed": "error", "canceled": "queue-full"}


async def enqueue(run: Run, verb: Element) -> Step:
    """Put the caller on hold; only an outcome for ``queue:name`` brings somebody."""
    name = verb.get("workflowSid") or words_of(verb)
    run.call.enqueued.append(words_of(verb))
    run.call.far_end_left.clear()
    run.call.pulse.beat()
    queues = run.carrier.queues
    most = int(number(verb, "maxQueueSize", _MOST_WAITING))
    if queues.length(name) >= most:
        return run.action(verb, {"QueueResult": "queue-full", "QueueTime": "0"})
    with queues.waiting(name, run.call) as queue:
        since_ms = monotonic_ms()
        ids = {"QueueSid": queue.sid, "QueueTime": "0"}
        run.owe_action(verb, {"QueueResult": "hangup", **ids})
        outcome = run.outcome(f"queue:{name}")
        if outcome is None:
            over = await _wait(run, verb, queue, most, since_ms)
            if over.by != "leave":
                return over
            ids["QueueTime"] = _seconds_since(since_ms)
            return run.action(verb, {"QueueResult": "leave", **ids})
        await run.take(outcome.ring_ms)
    if outcome.kind == "bridged":
        await talk(run, outcome)
    return run.action(verb, {"QueueResult": _RESULTS.get(outcome.kind, "leave"), **ids})


async def _wait(run: Run, verb: Element, queue: Queue, most: int, since_ms: float) -> Ended:
    """Let the caller hear ``waitUrl`` again and again, until that says otherwise."""
    if not verb.get("waitUrl"):
        await run.stay()
    while True:
        where = {
            "QueueSid": queue.sid,
            "QueuePosition": str(queue.callers.index(run.call) + 1),
            "QueueTime": _seconds_since(since_ms),
            "AvgQueueTime": "0",
            "CurrentQueueSize": str(len(queue.callers)),
            "MaxQueueSize": str(most),
        }
        run.owe_action(
            verb,
            {
                "QueueResult": "hangup",
                "QueueSid": queue.sid,
                "QueueTime": where["QueueTime"],
            },
        )
        source = run.fetch(verb.attrib["waitUrl"], http_method(verb.get("waitUrlMethod")), where)
        if source is None or isinstance(source, Ended):
            return Ended("error")
        over = await run.meanwhile(source)
        if over.by != "end_of_twiml":
            return over
        await run.take(_SHORTEST_ROUND_MS)


def _seconds_since(since_ms: float) -> str:
    return str(round((monotonic_ms() - since_ms) / 1000))
