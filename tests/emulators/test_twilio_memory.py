"""What the local Twilio remembers: as much as a test asks for, and no more after a month."""

import asyncio

from app.emulators.twilio_rest import KEPT_MESSAGES, KEPT_REQUESTS
from app.emulators.twilio_tasks import KEPT_FAILURES, OwnedTasks
from app.emulators.twilio_words import KEPT_OF_A_CALL
from tests.emulators.tiny_server import CONNECT, telephone


async def _fail(number: int) -> None:
    raise ValueError(number)


async def test_the_first_failures_of_tasks_are_kept_and_not_all() -> None:
    """The first is the cause; what follows is often the same again."""
    tasks = OwnedTasks()
    running = [tasks.start(_fail(n), name="fails") for n in range(KEPT_FAILURES + 5)]
    await asyncio.wait(running)
    await asyncio.sleep(0)  # the callbacks of the last ones

    assert [str(one) for one in tasks.failures] == [str(n) for n in range(KEPT_FAILURES)]


async def test_the_newest_requests_and_messages_are_kept() -> None:
    """The local carrier runs for as long as its server does."""
    async with telephone() as (twilio, _):
        assert twilio.desk.requests.maxlen == KEPT_REQUESTS
        assert twilio.messages.maxlen == KEPT_MESSAGES


async def test_old_calls_are_forgotten_one_by_one_and_live_ones_never() -> None:
    """Somebody may still ask about the last ones."""
    async with telephone("<Response><Hangup/></Response>", kept_calls=3) as (twilio, server):
        server.answers["/live"] = "<Response><Pause length='60'/></Response>"
        live = await twilio.call(voice_path="/live")
        sids = []
        for _ in range(4):
            call = await twilio.call()
            await call.ended()
            sids.append(call.call_sid)

        assert list(twilio.calls) == [live.call_sid, *sids[-2:]]


async def test_the_newest_of_a_long_call_is_kept() -> None:
    """Somebody may leave the telephone off the hook for a weekend, with an agent that goes on."""
    pauses = "<Pause length='0'/>" * (KEPT_OF_A_CALL + 5)
    async with telephone(CONNECT.format(behind=pauses)) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        for number in range(KEPT_OF_A_CALL + 5):
            await peer.mark(f"m{number}")
            await peer.clear()
        await server.until(lambda: len(peer.marks()) == KEPT_OF_A_CALL + 5)
        stream = call.stream
        await peer.socket.close()
        await call.ended()

        returned = [name for name, _ in stream.marks_returned]
        assert returned == [f"m{number}" for number in range(5, KEPT_OF_A_CALL + 5)]
        assert len(stream.cleared_at_ms) == KEPT_OF_A_CALL
        assert call.executed == ["Pause"] * KEPT_OF_A_CALL
