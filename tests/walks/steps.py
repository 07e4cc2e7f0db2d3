"""Steps that several walks take: a caller who asks, a call that ends, a failure that is treated."""

import asyncio
from typing import Any

from app.emulators.twilio_call import EmulatedCall
from tests.walks.stage import NUMBER, VOICE, Stage, measured

SORRY = "We have a technical problem."
PERSON = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_to: "{NUMBER}"
failure: {{say: "{SORRY}", then: human}}
"""
"""An agent that leaves failing calls to a person."""
GENEROUS_MS = 8_000
"""No test asserts performance; the figure wanted is 5,000, and the log says what it was."""


def now_s() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


async def treated(s: Stage, call: EmulatedCall, since_s: float, what: str) -> dict[str, Any]:
    """The caller hears the sentence and reaches the person; nothing is left of the call."""
    await call.until(lambda: call.said == [SORRY], timeout=60)
    assert measured(f"{what}: failure to voice", since_s) < GENEROUS_MS
    await call.until(lambda: call.dialled == [NUMBER])
    record = await s.record(call)
    await s.all_closed()
    await call.ended()
    assert record["end_reason"] == "model_failed"
    return record


async def ask(s: Stage, **calling: Any) -> EmulatedCall:
    """A caller who listens to the greeting and then says something."""
    call = await s.twilio.call(**calling)
    await call.heard_at_least(200)
    await call.speak(VOICE)
    return call


def orders(s: Stage) -> list[dict[str, str]]:
    """Forms of the REST requests that were to change a call."""
    return [form for method, _, form in s.twilio.desk.requests if method == "POST"]


async def finish(s: Stage, call: EmulatedCall, *, allow: tuple[int, ...] = ()) -> dict[str, Any]:
    """The record of a call that has ended; nothing is left and nobody broke a rule."""
    record = await s.record(call)
    await call.ended()
    await s.all_closed()
    call.assert_clean(allow=allow)
    s.openai.assert_clean()
    s.assert_conforms()
    return record
