"""What a call came to: asked by a process that may die, kept and told once."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.emulators.openai_responses import ResponsesDesk
from app.services.store.archive import Archive
from app.services.store.database import open_engine
from tests.call.test_analysis import answer
from tests.jobs.calls import CONVERSATION, a_call
from tests.jobs.conftest import House
from tests.jobs.receiver import Receiver, receiving
from tests.jobs.test_telling import agent_file
from tests.services.stored import facts_of

KEY = "sk-0123456789abcdef"
GOOD = answer(
    citations=[
        {"line": 1, "quote": "I hit a post yesterday"},
        {"line": 2, "quote": "I am sorry to hear about your accident"},
    ]
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The operator's."""
    async with receiving() as made:
        yield made


async def analyses(house: House) -> list[dict[str, Any]]:
    """The data of every ``call.analyzed`` of the call."""
    engine = open_engine(house.address)
    facts = await facts_of(engine)
    await engine.dispose()
    return [data for _, kind, data in facts if kind == "call.analyzed"]


async def record(house: House) -> dict[str, Any]:
    """The call's, as the server tells it."""
    archive = Archive(house.address)
    async with archive.opened():
        found = await archive.get("call_1")
    assert found is not None
    return found


def settings(desk: ResponsesDesk, file: str) -> dict[str, str]:
    """Of a jobs process with a model account."""
    return {"AGENT_FILE": file, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": desk.url}


async def test_a_call_is_analysed_and_told(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """In the record, as a fact and to who asked; words that were not heard are no evidence."""
    file = agent_file(tmp_path, {"url": receiver.url}, analysis={"success": "A date is known."})
    await a_call(house.address)
    async with ResponsesDesk(KEY, [GOOD]) as desk:
        await house.start(**settings(desk, file))
        await receiver.hears("call.analyzed")
        status = await house.done("postcall:call_1")

    [told] = receiver.told("call.analyzed")
    analysis = told["data"]["analysis"]
    assert status.result == {"state": "completed"}
    assert told["data"]["status"] == "completed"
    assert analysis["citations"] == [{"turn": 1, "quote": "I hit a post yesterday"}]
    assert (analysis["citations_dropped"], analysis["success"]) == (1, True)
    assert (await record(house))["analysis"] == analysis
    assert len(await analyses(house)) == 1
    assert "[2] agent (interrupted, heard so far): I am sorry to hear" in desk.asked[0]["input"]


async def test_the_form_of_the_document_is_checked(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """What the caller said is in the record, what nobody said is missing."""
    fields = [
        {"name": "policy", "type": "text", "pattern": "[A-Z]{2}[0-9]{6}", "required": True},
        {"name": "email", "type": "email", "required": True},
    ]
    form = {"forms": {"claim": {"fields": fields}}, "form": "claim", "analysis": {}}
    file = agent_file(tmp_path, {"url": receiver.url}, **form)
    nothing = {"value": None, "line": None, "quote": None}
    policy = {"value": "AB123456", "line": 1, "quote": "My policy is AB123456"}
    await a_call(house.address)
    async with ResponsesDesk(KEY, [answer(form={"policy": policy, "email": nothing})]) as desk:
        await house.start(**settings(desk, file))
        await receiver.hears("call.analyzed")
        await house.done("postcall:call_1")

    expected = {
        "name": "claim",
        "complete": False,
        "values": {"policy": "AB123456"},
        "missing": ["email"],
        "invalid": [],
        "unconfirmed": {},
    }
    [told] = receiver.told("call.analyzed")
    assert not desk.faults
    assert told["data"]["analysis"]["form"] == expected
    assert (await record(house))["form"] == expected
    assert desk.asked[0]["input"].startswith("The call began at 20")


async def test_a_process_killed_while_it_asks_leaves_one_analysis(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """The next one asks again; what the first one would have said is nobody's."""
    file = agent_file(tmp_path, {"url": receiver.url}, analysis={})
    await a_call(house.address)
    async with ResponsesDesk(KEY, ["HANG", "HANG", GOOD]) as desk:
        for _ in range(2):
            desk.arrived.clear()
            process = await house.start(**settings(desk, file))
            await desk.arrived.wait()
            await house.kill(process)
        await house.start(**settings(desk, file))
        await house.done("postcall:call_1")
        await receiver.hears("call.analyzed")

    assert [one["status"] for one in await analyses(house)] == ["completed"]
    assert len({told["data"]["seq"] for told in receiver.told("call.analyzed")}) == 1
    ids = [headers["webhook-id"] for headers, _ in receiver.heard]
    assert sorted(one.split(":")[2] for one in set(ids)) == ["call_analyzed", "call_ended"]


async def test_bad_answers_are_asked_for_again_and_given_up(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """A cut one with more room; in the end it has failed, which is told as well."""
    file = agent_file(tmp_path, {"url": receiver.url}, analysis="gpt-5.6-luna")
    await a_call(house.address)
    async with ResponsesDesk(KEY, ["TRUNCATED", 500, "no JSON", "REFUSAL"]) as desk:
        await house.start(**settings(desk, file))
        status = await house.done("postcall:call_1")
        await receiver.hears("call.analyzed")
        asked = list(desk.asked)

    assert status.result == {"state": "failed"}
    assert [body["max_output_tokens"] for body in asked] == [4_000] + [16_000] * 4
    assert (await record(house))["analysis"] == {"status": "failed", "reason": "refused"}
    assert receiver.told("call.analyzed")[0]["data"]["status"] == "failed"


@pytest.mark.parametrize(
    ("more", "words", "reason"),
    [
        ({}, CONVERSATION, "not_wanted"),
        ({"analysis": {}}, CONVERSATION, "no_key"),
    ],
)
async def test_where_nobody_is_asked_it_is_skipped(
    house: House, tmp_path: Path, more: dict[str, Any], words: Any, reason: str
) -> None:
    """Who waits for ``call.analyzed`` waits in vain for nothing."""
    async with receiving() as receiver:
        file = agent_file(tmp_path, {"url": receiver.url}, **more)
        await a_call(house.address, words=words)
        await house.start(AGENT_FILE=file)
        await receiver.hears("call.analyzed")

    told = receiver.told("call.analyzed")[0]["data"]
    assert told["analysis"] == {"status": "skipped", "reason": reason}


async def test_what_was_said_is_in_no_log(house: House, tmp_path: Path) -> None:
    """Neither in what is said about good answers nor about bad ones."""
    file = agent_file(tmp_path, analysis={})
    await a_call(house.address)
    async with ResponsesDesk(KEY, ['{"short": "I hit a post"', GOOD]) as desk:
        process = await house.start(told="yes", LOG_LEVEL="debug", **settings(desk, file))
        await house.done("postcall:call_1")
        process.terminate()
        log = b"".join(await process.communicate())

    assert b"jobs_running" in log
    for word in ("hit a post", "AB123456", "+14155550123", KEY, json.dumps(GOOD)[:30]):
        assert word.encode() not in log
