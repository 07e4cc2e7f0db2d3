"""The message after a call: one, to the caller, in no doubt a second one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.emulators.openai_responses import ResponsesDesk
from app.services.store.database import open_engine
from app.services.store.opt_outs import OptOuts
from tests.call.test_analysis import answer
from tests.jobs.calls import CALLER, LINE, a_call
from tests.jobs.conftest import House
from tests.jobs.receiver import Receiver, receiving
from tests.jobs.test_analysing import KEY, settings
from tests.jobs.test_telling import agent_file

TEXT = "We call you tomorrow at nine."
WISH = {"sms_summary": {"to": "caller"}}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The operator's."""
    async with receiving() as made:
        yield made


async def test_the_caller_gets_one_message(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """From the line, with what the model wrote; told to who asked, without its text."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": "*"}, analysis=WISH)
    await a_call(house.address)
    async with ResponsesDesk(KEY, [answer(sms=TEXT)]) as desk:
        await house.start(**settings(desk, file))
        await house.done("postcall:call_1")
        await receiver.hears("sms.sent")
        await receiver.hears("call.analyzed")

    assert house.exchange.messages == [{"To": CALLER, "From": LINE, "Body": TEXT}]
    assert receiver.told("sms.sent")[0]["data"]["status"] == "sent"
    assert TEXT not in str(receiver.told("call.analyzed", "sms.sent"))


@pytest.mark.parametrize("mishap", ["reset after", "hold after"])
async def test_in_doubt_there_is_no_second_message(
    house: House, receiver: Receiver, tmp_path: Path, mishap: str
) -> None:
    """The answer is lost, or the process is killed while it waits for it."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": "sms.sent"}, analysis=WISH)
    house.exchange.mishaps[CALLER] = [mishap]
    await a_call(house.address)
    async with ResponsesDesk(KEY, [answer(sms=TEXT)]) as desk:
        process = await house.start(**settings(desk, file))
        if mishap == "hold after":
            async with asyncio.timeout(60):
                await house.exchange.arrived.wait()
            await house.kill(process)
            await house.start(**settings(desk, file))
        await house.done("postcall:call_1")
        await receiver.hears("sms.sent")

    assert len(house.exchange.messages) == 1
    assert receiver.told("sms.sent")[0]["data"]["status"] == "unclear"


@pytest.mark.parametrize("caller", ["", "anonymous", "+19005550123"])
async def test_who_cannot_or_must_not_be_written_to_is_not(
    house: House, receiver: Receiver, tmp_path: Path, caller: str
) -> None:
    """A caller with a premium number would be paid for it."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": "sms.sent"}, analysis=WISH)
    await a_call(house.address, caller=caller)
    async with ResponsesDesk(KEY, [answer(sms=TEXT)]) as desk:
        await house.start(**settings(desk, file))
        await house.done("postcall:call_1")
        await receiver.hears("sms.sent")

    assert house.exchange.messages == []
    assert receiver.told("sms.sent")[0]["data"]["status"] == "not_sent"


async def test_who_sent_stop_gets_none(house: House, receiver: Receiver, tmp_path: Path) -> None:
    """STOP during a call holds for the message after it, too."""
    file = agent_file(tmp_path, {"url": receiver.url, "events": "sms.sent"}, analysis=WISH)
    await a_call(house.address)
    engine = open_engine(house.address)
    await OptOuts(engine).add(CALLER)
    await engine.dispose()
    async with ResponsesDesk(KEY, [answer(sms=TEXT)]) as desk:
        await house.start(**settings(desk, file))
        await house.done("postcall:call_1")
        await receiver.hears("sms.sent")

    assert house.exchange.messages == []
    assert receiver.told("sms.sent")[0]["data"]["status"] == "not_sent"
