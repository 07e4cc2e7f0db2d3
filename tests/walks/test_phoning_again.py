"""A caller who was cut off phones again: the conversation goes on, where that is wanted."""

from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist, Reply, Scenario
from app.emulators.twilio_call import EmulatedCall
from tests.walks.stage import AGENT, VOICE, Stage, heard_tone, stage

CONTINUES = AGENT + "timeouts: {resume: 3h}\n"
NUMBER = "+14155550123"


async def conversation(s: Stage, number: str = NUMBER) -> EmulatedCall:
    """A turn of the caller's and an answer; then the caller is gone."""
    call = await s.twilio.call(from_=number)
    await call.heard_at_least(200)
    await call.speak(VOICE)
    await call.heard_at_least(call.heard_ms + 200)
    await call.hang_up()
    await call.ended()
    return call


async def phones_again(s: Stage, number: str = NUMBER) -> tuple[EmulatedCall, list[dict[str, Any]]]:
    """Another call, and what the model is told before it speaks."""
    call = await s.twilio.call(from_=number)
    await call.heard_at_least(200)
    told = s.session.client_events.of("conversation.item.create")
    await call.hang_up()
    await call.ended()
    return call, told


async def test_the_conversation_goes_on(tmp_path: Path) -> None:
    """C10: the history as it was heard, a recap instead of a greeting, and no way to hang up
    before the caller has said anything."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=CONTINUES) as s:
        first = await conversation(s)
        before = await s.record(first)

        second, told = await phones_again(s)

        asked = s.session.client_events.of("response.create")[0]["response"]
        assert told, "the earlier conversation"
        assert "phoned again" in asked["instructions"]
        assert asked["tool_choice"] == "none"
        after = await s.record(second)
        assert after["resumed_from"] == before["call_id"]
        assert after["conversation_id"] == before["conversation_id"]


@pytest.mark.parametrize(
    ("agent", "number"),
    [
        (AGENT, NUMBER),
        (AGENT + "timeouts: {resume: 0}\n", NUMBER),
        (CONTINUES, "anonymous"),
        (CONTINUES, "+266696687"),
        (CONTINUES, "client:alice"),
    ],
    ids=["by default", "switched off", "anonymous", "hidden", "a client"],
)
async def test_it_begins_afresh(tmp_path: Path, agent: str, number: str) -> None:
    """Nobody hears of another one's conversation."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=agent) as s:
        await conversation(s, number)

        _, told = await phones_again(s, number)
        assert not told


async def test_somebody_else_begins_afresh(tmp_path: Path) -> None:
    """Another number is another person."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, agent=CONTINUES) as s:
        await conversation(s)

        _, told = await phones_again(s, "+14155550199")
        assert not told


async def test_who_said_nothing_begins_afresh(tmp_path: Path) -> None:
    """There is no conversation to go on with."""
    greeting = Reply("Hello.", 200, 440)
    async with stage(
        RealtimeEmulator(lambda: Scenario([greeting])), tmp_path, agent=CONTINUES
    ) as s:
        await phones_again(s)

        call, told = await phones_again(s)

        assert not told
        assert heard_tone(call.stream, 440) > 0
