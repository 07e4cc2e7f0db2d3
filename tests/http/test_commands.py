"""Commands to a live call: taken in order, refused with their reason, told in its events."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Ask, Brain, Plan, Reply
from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from tests.http.test_records import another_process, ask, following, over, refused
from tests.waiting import until
from tests.walks.stage import DESK, NUMBER, VOICE, Stage, stage


class Agreeable(Brain):
    """Says a fifth of a second to everything."""

    def answer(self, ask: Ask) -> Plan:
        return Reply("Certainly.", 200, 440).plan()


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server whose agent can put callers through to one person."""
    async with stage(RealtimeEmulator(Agreeable, pace=0), tmp_path, agent=DESK) as made:
        yield made


async def greeted(s: Stage, **how: Any) -> EmulatedCall:
    """A call whose caller has heard the greeting."""
    call = await s.twilio.call(**how)
    await call.heard_at_least(200)
    return call


def path(call: EmulatedCall) -> str:
    return f"/v1/calls/{call.call_sid}/commands"


async def ended(s: Stage, call: EmulatedCall, command_id: str) -> dict[str, Any]:
    """What the call's events tell of the end of a command."""
    async with asyncio.timeout(60), following(s, call.call_sid) as told:
        while True:
            await told.read("command.ended")
            data = told.events[-1]["body"]["data"]
            if data["command_id"] == command_id:
                return dict(data)


async def test_the_caller_is_put_through_by_an_order(s: Stage) -> None:
    """Announced by the agent and heard, then dialled: to the operator's number."""
    call = await greeted(s, answers={NUMBER: DialOutcome("bridged", talk_ms=40)})

    order = {"type": "transfer", "target": "Billing", "announcement": "To Anna."}
    status, body = await ask(s, "POST", path(call), json=order)

    assert status == 202
    (taken,) = body["commands"]
    assert (taken["type"], taken["state"], taken["reason"]) == ("transfer", "accepted", None)
    await call.until(lambda: call.dialled == [NUMBER])
    said = s.session.client_events.of("response.create")[-1]
    assert "To Anna." in json.dumps(said)
    assert (await ended(s, call, taken["command_id"]))["state"] == "completed"
    record = await s.record(call)
    assert record["end_reason"] == "transferred"
    assert [one["target"] for one in record["transfers"]] == ["billing"]


async def test_a_list_is_carried_out_in_its_order_and_what_is_said_is_heard(s: Stage) -> None:
    """`W1`: the completion request comes only after the mark of the last words."""
    call = await greeted(s)
    heard_ms = call.heard_ms
    orders = [
        {"type": "add_message", "text": "The line closes now."},
        {"type": "say", "text": "Good bye."},
        {"type": "end_call"},
    ]

    status, body = await ask(s, "POST", path(call), json=orders)

    assert status == 202
    assert [one["state"] for one in body["commands"]] == ["completed", "accepted", "accepted"]
    assert body["call_id"] == await s.call_id(call)
    await call.ended()
    assert call.heard_ms >= heard_ms + 200
    record = await s.record(call)
    assert record["end_reason"] == "operator_ended"
    assert (await ended(s, call, body["commands"][1]["command_id"]))["state"] == "completed"
    told = s.session.client_events.of("conversation.item.create")
    assert "The line closes now." in json.dumps(told[-1])


async def test_what_is_done_at_once_is_answered_with_200(s: Stage) -> None:
    """202 says that something is still to come."""
    call = await greeted(s)

    order = {"type": "add_message", "role": "user", "text": "My name is Anna."}
    status, body = await ask(s, "POST", path(call), json=order)

    assert (status, body["commands"][0]["state"]) == (200, "completed")
    await over(s, call)
    record = await s.record(call)
    assert "My name is Anna." in [turn["text"] for turn in record["turns"]]


async def test_a_second_transfer_is_refused_with_its_reason(s: Stage) -> None:
    """And a caller who is with a person is not dialled away from them, but can be hung up on."""
    call = await greeted(s, answers={NUMBER: DialOutcome("bridged", talk_ms=None)})
    order = {"type": "transfer", "target": "billing"}
    await ask(s, "POST", path(call), json=order)

    first = await refused(s, "POST", path(call), json=order)
    await call.until(lambda: call.dialled == [NUMBER])
    await until(
        lambda: (found := s.board.book.call(call.call_sid)) is not None and found.at_carrier
    )
    second = await refused(s, "POST", path(call), json=order)
    status, body = await ask(s, "POST", path(call), json={"type": "end_call"})

    assert first[0] == second[0] == 409
    assert first[1] == "a transfer is under way already"
    assert second[1] == "the caller has been put through to a person"
    assert (status, body["commands"][0]["state"]) == (200, "completed")
    await call.ended()
    assert (await s.record(call))["end_reason"] == "operator_ended"


async def test_a_refusal_by_twilio_is_told_to_the_caller_and_to_the_operator(s: Stage) -> None:
    """The call goes on, and the agent says why."""
    call = await greeted(s)
    s.twilio.fail_next("/Calls/", 400, times=1)

    _, body = await ask(s, "POST", path(call), json={"type": "transfer", "target": "billing"})

    told = await ended(s, call, body["commands"][0]["command_id"])
    assert told["state"] == "failed"
    assert told["reason"].startswith("refused_")
    asked = s.session.client_events
    await until(lambda: "not_through" in json.dumps(asked.of("response.create")))
    await over(s, call)


WRONG: list[tuple[Any, str]] = [
    ({"type": "fly"}, "0"),
    ({}, "0"),
    ([], ""),
    (7, ""),
    ("end_call", ""),
    ([{"type": "end_call"}] * 17, ""),
    ({"type": "end_call", "reason": "x"}, "end_call.reason"),
    ({"type": "transfer"}, "transfer.target"),
    ({"type": "transfer", "target": 7}, "transfer.target"),
    ({"type": "say", "text": ""}, "say.text"),
    ({"type": "say", "text": "x" * 2_001}, "say.text"),
    ({"type": "add_message", "role": "assistant", "text": "x"}, "add_message.role"),
    ({"type": "transfer", "target": "+19005551212"}, "the targets are: billing"),
    ([{"type": "end_call"}, {"type": "transfer", "target": "x"}], "the targets are: billing"),
]


async def test_a_command_that_cannot_be_is_refused_before_any_is_carried_out(s: Stage) -> None:
    """By its place and field, without a word of what was written there."""
    call = await greeted(s)

    for body, named in WRONG:
        status, detail = await refused(s, "POST", path(call), json=body)
        assert (status, named in detail) == (422, True), (body, detail)
        assert "5551212" not in detail

    assert s.board.book.lives(call.call_sid)
    await over(s, call)


async def test_texts_have_a_limit_together(s: Stage) -> None:
    """They cross a bus and wait in memory."""
    call = await greeted(s)

    many = [{"type": "add_message", "text": "x" * 8_000}] * 3
    status, detail = await refused(s, "POST", path(call), json=many)

    assert (status, detail) == (413, "the texts have more than 16000 characters")
    await over(s, call)


async def test_a_call_that_does_not_go_on_is_named_as_such(s: Stage) -> None:
    """Unknown, over, not begun: three different mistakes."""
    order = {"type": "end_call"}
    call = await greeted(s)
    call_id = await over(s, call)

    assert (await refused(s, "POST", "/v1/calls/nobody/commands", json=order))[0] == 404
    assert await refused(s, "POST", f"/v1/calls/{call_id}/commands", json=order) == (
        409,
        "the call is over (caller_hangup)",
    )
    async with another_process(s) as other:
        other.opens("queued", status="queued", owner=None, call_sid=None)
        await other.written()
        told = await refused(s, "POST", "/v1/calls/queued/commands", json=order)
        assert told == (409, "nobody has picked up yet")
        wrong = {"Authorization": "Bearer x"}
        assert (await ask(s, "POST", path(call), json=order, headers=wrong))[0] == 401
        other.ends("queued")
        await other.written()


async def test_w1_a_key_stands_for_its_commands_and_they_are_carried_out_once(s: Stage) -> None:
    """The same key twice: the same answer, nothing twice; also when the call is over."""
    call = await greeted(s)
    orders = [{"type": "respond"}, {"type": "add_message", "text": "Ada."}]
    key = {"Idempotency-Key": "once"}

    _, first = await ask(s, "POST", path(call), json=orders, headers=key)
    ids = [one["command_id"] for one in first["commands"]]
    assert (await ended(s, call, ids[1]))["state"] == "completed"
    status, again = await ask(s, "POST", path(call), json=orders, headers=key)

    assert status == 200
    assert [one["command_id"] for one in again["commands"]] == ids
    assert [one["state"] for one in again["commands"]] == ["completed", "completed"]
    status, _ = await ask(s, "POST", path(call), json=orders[1], headers=key)
    assert status == 409
    refusal = {"Idempotency-Key": "refused"}
    unhold = {"type": "unhold"}
    assert (await ask(s, "POST", path(call), json=unhold, headers=refusal))[0] == 409
    await ask(s, "POST", path(call), json={"type": "hold"})
    assert (await ask(s, "POST", path(call), json=unhold, headers=refusal))[0] == 200
    await call.hang_up()
    await s.record(call)
    _, later = await ask(s, "POST", path(call), json=orders, headers=key)
    assert [one["state"] for one in later["commands"]] == ["completed", "completed"]
    said = s.session.client_events.of("conversation.item.create")
    assert json.dumps(said).count("Ada.") == 1


async def test_w1_who_takes_over_gets_the_caller_at_once(s: Stage) -> None:
    """To the operator's number, by its name; nobody announces anything."""
    call = await greeted(s, answers={NUMBER: DialOutcome("bridged", talk_ms=40)})
    asked = len(s.session.client_events.of("response.create"))

    number = {"type": "takeover", "target": "+19005551212"}
    assert (await ask(s, "POST", path(call), json=number))[0] == 422
    status, _ = await ask(s, "POST", path(call), json={"type": "takeover", "target": "billing"})

    assert status == 202
    await call.until(lambda: call.dialled == [NUMBER])
    record = await s.record(call)
    assert record["end_reason"] == "transferred"
    assert len(s.session.client_events.of("response.create")) == asked


async def test_w3_the_session_is_changed_and_restored(s: Stage) -> None:
    """W8: two updates with only those fields; the second equals the original, after the answer."""
    call = await greeted(s)
    session = path(call).replace("commands", "session")
    before = s.session.client_events.of("session.update")[0]["session"]["audio"]["input"]

    keywords = {"input": {"transcription": {"keywords": ["stent"]}}}
    body = {"strategy": "merge_once", "audio": keywords}
    status, given = await ask(s, "PATCH", session, json=body)

    assert (status, given["commands"][0]["state"]) == (200, "completed")
    await until(lambda: len(_changes(s)) == 1)
    merged = before["transcription"] | {"keywords": ["stent"]}
    assert _changes(s) == [{"type": "realtime", "audio": {"input": {"transcription": merged}}}]
    await call.speak(VOICE)
    await until(lambda: len(_changes(s)) == 2)
    restored = {"transcription": before["transcription"]}
    assert _changes(s)[1] == {"type": "realtime", "audio": {"input": restored}}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"model": "gpt-5"}, "locked_field: model"),
        ({"tracing": None}, "locked_field: tracing"),
        ({"voice": "cedar"}, "locked_field: voice"),
        ({"audio": {"output": {"voice": "cedar"}}}, "locked_field: audio.output.voice"),
        ({"audio": {"output": {"format": {}}}}, "locked_field: audio.output.format"),
        ({"audio": {"input": {"format": {}}}}, "locked_field: audio.input.format"),
        ({"band_preference": "broadband"}, "not available on this carrier"),
        ({}, "nothing is to be changed"),
        ({"strategy": "merge"}, "nothing is to be changed"),
        ({"audio": {"output": {"speed": 9}}}, "audio.output.speed"),
        ({"audio": {"input": {"transcription": {"prompt": "x"}}}}, "transcription.model"),
        ({"tools": ["fly"]}, "no such tool"),
    ],
)
async def test_w13_what_cannot_be_changed_is_refused_by_its_name(
    s: Stage, body: dict[str, Any], named: str
) -> None:
    """W5, W6, W12, W20: and the model is told nothing."""
    call = await greeted(s)

    status, told = await ask(s, "PATCH", path(call).replace("commands", "session"), json=body)

    assert status == 422
    assert named in told["detail"]
    assert _changes(s) == []


def _changes(s: Stage) -> list[dict[str, Any]]:
    updates = s.session.client_events.of("session.update")
    return [one["session"] for one in updates if one.get("event_id") == "changed"]
