"""Odd ways in which the local OpenAI can fail: before the upgrade, without a word, forgetful."""

import asyncio

import pytest
from websockets.exceptions import InvalidHandshake, InvalidMessage

from app.emulators.realtime import Faults, RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from tests.emulators.realtime_peer import answered, dialled, ready


async def test_the_line_may_be_closed_before_the_upgrade() -> None:
    """A proxy without a backend says nothing at all; the next attempt must be able to succeed."""
    faults = Faults(fail_first=1, drops=True)
    async with RealtimeEmulator(Scenario([]), faults=faults) as emulator:
        with pytest.raises(InvalidHandshake) as dropped:
            async with dialled(emulator):
                pass
        async with dialled(emulator) as peer:
            await peer.until("session.created")

        assert isinstance(dropped.value, InvalidMessage), "no HTTP answer came"
        assert len(emulator.connections) == 1


async def test_a_session_may_be_accepted_and_nothing_ever_said() -> None:
    """Created, updated, heard: and no answer to a request, nor to a turn of the caller."""
    faults = Faults(never="response")
    async with RealtimeEmulator(Scenario([]), faults=faults) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        await peer.speak()
        await peer.pause()
        await peer.until("input_audio_buffer.committed")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await peer.until("response.created")

        emulator.assert_clean()


async def test_a_response_may_come_without_its_metadata() -> None:
    """A server of the same API need not echo it: who tells responses apart by it must not stop."""
    script = Scenario([Reply("hello", 100), Reply("hello", 100)])
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        echoed = await answered(peer, metadata={"purpose": "greeting"})
        emulator.faults = Faults(forgets_metadata=True)
        async with ready(emulator) as other:
            forgotten = await answered(other, metadata={"purpose": "greeting"})

    assert echoed["metadata"] == {"purpose": "greeting"}
    assert forgotten["metadata"] is None
    assert other.of("response.created")[0]["response"]["metadata"] is None
    assert script.asked[1].metadata == {"purpose": "greeting"}
