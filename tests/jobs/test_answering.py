"""What a caller writes when the call is over: answered once, by a process that may die."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.call.correspondence import MOST_ANSWERED, Correspondent
from app.emulators.openai_responses import ResponsesDesk
from app.jobs.answering import Answering
from app.jobs.destinations import DestinationPolicy
from app.jobs.ids import prefixes_of
from app.jobs.port import Answer
from app.jobs.texting import Texter
from app.services.analyst import Penman
from app.services.store.afterwards import Afterwards
from app.services.store.archive import Archive
from app.services.store.calls import CallRow, StoredFact
from app.services.store.database import open_engine
from app.services.store.migrate import migrate
from app.services.twilio_rest import TwilioRest
from tests.jobs.calls import CALLER, LINE, a_call
from tests.jobs.conftest import House
from tests.jobs.exchange import ACCOUNT, TOKEN, Exchange
from tests.jobs.receiver import receiving
from tests.jobs.test_analysing import KEY, record, settings
from tests.jobs.test_telling import agent_file

SMS = {"sms": "line", "timeouts": {"resume": "3h"}}
HELLO = "Is it still at nine?"
REPLY = {"reply": "Yes, tomorrow at nine."}


async def written(house: House) -> None:
    """The caller writes, and is to be answered."""
    archive = Archive(house.address)
    async with archive.opened():
        await writes(archive, HELLO, "SM1")
    job = Answer("call_1", "SM1")
    await house.jobs.enqueue(job, job_id=job.job_id)


async def state(house: House) -> Any:
    """What became of the answer."""
    return (await house.done("answer:call_1:SM1")).result.get("state")


def texts(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The conversation in writing."""
    return [(one["by"], one["text"]) for one in told["texts"]]


async def test_a_text_after_the_call_is_answered_by_text(house: House, tmp_path: Path) -> None:
    """W65, W75: with the call and the agent's instructions in mind; on record, told, watched."""
    async with receiving() as receiver, ResponsesDesk(KEY, [REPLY]) as desk:
        hook = {"url": receiver.url, "events": ["text.*", "sms.*"]}
        file = agent_file(tmp_path, hook, **SMS)
        await a_call(house.address)
        await house.start(**settings(desk, file), PUBLIC_URL="https://phone.contoso.test")
        await written(house)
        assert await state(house) == "answered"
        await receiver.hears("text.answered")
        await receiver.hears("sms.sent")
        told = await record(house)

    assert not desk.faults
    asked = desk.asked[0]
    assert asked["instructions"].startswith("You answer the phone.")
    assert "We will call you tomorrow at nine." in asked["input"]
    assert asked["input"].endswith(f"caller (in writing): {HELLO}")
    [sent] = house.exchange.messages
    assert (sent["To"], sent["From"], sent["Body"]) == (CALLER, LINE, REPLY["reply"])
    assert sent["StatusCallback"].endswith("/twilio/message-status?call=CAcall_1&to=caller")
    assert texts(told) == [("caller", HELLO), ("agent", REPLY["reply"])]
    assert [(one["direction"], one["status"]) for one in told["sms"]] == [("outbound", "sent")]
    assert HELLO not in str(receiver.told("text.received", "text.answered", "sms.sent"))


@pytest.mark.parametrize("mishap", ["reset after", "hold after"])
async def test_in_doubt_no_second_answer_is_sent(house: House, tmp_path: Path, mishap: str) -> None:
    """The answer of Twilio's is lost, or the process is killed while it waits for it."""
    house.exchange.mishaps[CALLER] = [mishap]
    await a_call(house.address)
    async with ResponsesDesk(KEY, [REPLY]) as desk:
        given = settings(desk, agent_file(tmp_path, **SMS))
        process = await house.start(**given)
        await written(house)
        if mishap == "hold after":
            async with asyncio.timeout(60):
                await house.exchange.arrived.wait()
            await house.kill(process)
            await house.start(**given)
        assert await state(house) == "answered"
        told = await record(house)

    assert len(house.exchange.messages) == len(desk.asked) == 1
    assert [one["status"] for one in told["sms"]] == ["unclear"]


async def test_a_process_killed_while_it_composes_leaves_one_answer(
    house: House, tmp_path: Path
) -> None:
    """The next one asks again."""
    await a_call(house.address)
    async with ResponsesDesk(KEY, ["HANG", REPLY]) as desk:
        given = settings(desk, agent_file(tmp_path, **SMS))
        process = await house.start(**given)
        await written(house)
        await desk.arrived.wait()
        await house.kill(process)
        await house.start(**given)
        assert await state(house) == "answered"
        told = await record(house)

    assert texts(told) == [("caller", HELLO), ("agent", REPLY["reply"])]
    assert len(house.exchange.messages) == 1


@asynccontextmanager
async def at_hand(
    folder: Path, penman: Penman | str
) -> AsyncIterator[tuple[Answering, Archive, Exchange]]:
    """The steps without the process that takes them, over a call that is in the store."""
    address = f"sqlite:///{folder}/calls.db"
    await asyncio.to_thread(migrate, address)
    await a_call(address)
    archive, engine = Archive(address), open_engine(address)
    async with archive.opened(), Exchange() as exchange:
        carrier = TwilioRest(
            account_sid=ACCOUNT, username=ACCOUNT, password=TOKEN, base_url=exchange.url
        )
        texter = Texter(
            carrier,
            DestinationPolicy(frozenset({"US"})),
            me="me",
            unwanted=archive.opt_outs.has,
            alive=lambda: True,
        )
        try:
            yield Answering(Afterwards(engine), penman, texter, untold), archive, exchange
        finally:
            carrier.close()
            await engine.dispose()


async def untold(row: CallRow, fact: StoredFact, what: str, more: Mapping[str, Any]) -> None:
    """Nobody wants to know."""


def penman_of(desk: ResponsesDesk) -> Penman:
    """Somebody who asks there."""
    return Penman(Correspondent("m", "Be kind."), api_key=KEY, base_url=desk.url)


async def writes(archive: Archive, text: str, text_id: str, via: str = "sms") -> None:
    """The caller does."""
    fact = {"id": text_id, "via": via, "text": text, "at": "2026-11-21T18:00:00.000Z"}
    assert await archive.add("call_1", "text.received", fact)


async def test_who_writes_on_the_page_is_answered_there(tmp_path: Path) -> None:
    """W65: no message is sent, and two texts in a row have one answer."""
    async with (
        ResponsesDesk(KEY, [REPLY]) as desk,
        at_hand(tmp_path, penman_of(desk)) as (answering, archive, exchange),
    ):
        await writes(archive, "Hello?", "w1", "page")
        await writes(archive, HELLO, "w2", "page")
        states = [await answering.compose("call_1", one, 1) for one in ("w1", "w2", "w2")]
        intents = await answering.intend("call_1", "w2")
        told = await archive.get("call_1") or {}

    assert [one["state"] for one in states] == ["superseded", "answered", "answered"]
    assert intents == {}
    assert texts(told) == [("caller", "Hello?"), ("caller", HELLO), ("agent", REPLY["reply"])]
    assert (exchange.messages, len(desk.asked)) == ([], 1)


@pytest.mark.parametrize(
    ("agents", "by"),
    [
        ([{"name": "billing"}, {"name": "claims"}], "Bill."),
        ([{"name": "gone"}], "Be kind."),
        (None, "Be kind."),
    ],
)
async def test_the_agent_who_answered_the_call_answers_the_text(agents: Any, by: str) -> None:
    """Another one's instructions are for another business."""
    whos = {name: Correspondent("m", f"{name[:4].capitalize()}.") for name in ("claims", "billing")}
    letter = {"by": "caller", "id": "SM1", "via": "sms", "text": HELLO, "at": ""}
    record = {"agents": agents, "texts": [letter], "turns": []}
    async with ResponsesDesk(KEY, [REPLY]) as desk:
        penman = Penman(Correspondent("m", "Be kind."), agents=whos, api_key=KEY, base_url=desk.url)
        await penman.reply(record)

    assert desk.asked[0]["instructions"].splitlines()[0] == by


async def test_who_sent_stop_is_not_answered(tmp_path: Path) -> None:
    """Nobody is asked for words that may not be sent; STOP between the two holds as well."""
    async with (
        ResponsesDesk(KEY, [REPLY]) as desk,
        at_hand(tmp_path, penman_of(desk)) as (answering, archive, _),
    ):
        await writes(archive, HELLO, "SM1")
        composed = await answering.compose("call_1", "SM1", 1)
        await archive.opt_outs.add(CALLER)
        intent = await answering.intend("call_1", "SM1")
        await writes(archive, HELLO, "SM2")
        refused = await answering.compose("call_1", "SM2", 1)

    assert composed == {"state": "answered"}
    assert intent == {"refused": "do_not_call"}
    assert refused == {"state": "refused", "reason": "do_not_call"}
    assert len(desk.asked) == 1


async def test_a_machine_that_answers_is_not_written_to_for_ever(tmp_path: Path) -> None:
    """Two that thank each other would do so until somebody sees the bill."""
    async with (
        ResponsesDesk(KEY, [REPLY]) as desk,
        at_hand(tmp_path, penman_of(desk)) as (answering, archive, _),
    ):
        states = []
        for number in range(MOST_ANSWERED + 1):
            await writes(archive, "Thanks!", f"SM{number}", "page")
            states.append((await answering.compose("call_1", f"SM{number}", 1))["state"])

    assert states == ["answered"] * MOST_ANSWERED + ["too_many"]


@pytest.mark.parametrize(
    ("answer", "state"), [({"reply": None}, "no_reply"), (429, ""), ({"words": "x"}, "")]
)
async def test_no_answer_is_none(tmp_path: Path, answer: Any, state: str) -> None:
    """Thanks need none; a model that fails is asked again, by the workflow."""
    async with (
        ResponsesDesk(KEY, [answer]) as desk,
        at_hand(tmp_path, penman_of(desk)) as (answering, archive, _),
    ):
        await writes(archive, "Thanks!", "SM1")
        found = await answering.compose("call_1", "SM1", 1)
        told = await archive.get("call_1") or {}

    assert found.get("state", "") == state
    assert ("again" in found) == (state == "")
    assert len(told["texts"]) == 1


async def test_without_a_model_nothing_is_answered(tmp_path: Path) -> None:
    """The text is on record, for people to read."""
    async with at_hand(tmp_path, "no_key") as (answering, archive, _):
        await writes(archive, HELLO, "SM1")
        found = await answering.compose("call_1", "SM1", 1)
        told = await archive.get("call_1") or {}

    assert found == {"state": "skipped", "reason": "no_key"}
    assert texts(told) == [("caller", HELLO)]


async def test_an_erased_call_answers_nobody(tmp_path: Path) -> None:
    """What was written is gone with it."""
    async with (
        ResponsesDesk(KEY, [REPLY]) as desk,
        at_hand(tmp_path, penman_of(desk)) as (answering, archive, _),
    ):
        await writes(archive, HELLO, "SM1")
        assert await archive.erase("call_1")
        found = await answering.compose("call_1", "SM1", 1)

    assert (found, desk.asked) == ({"state": "forgotten"}, [])
    assert "answer:call_1:" in prefixes_of("call_1")
