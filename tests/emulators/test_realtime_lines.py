"""Handshakes, endings and faults of the local OpenAI."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.audio import mulaw
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_faults import ABRUPT, Faults
from app.emulators.scenario import Receptionist, Reply, Scenario
from tests.emulators.realtime_peer import KEY, PHONE, Peer, dialled, ready


async def ended(peer: Peer) -> tuple[int, str]:
    """The close that the peer saw, after whatever was still on its way."""
    with pytest.raises(ConnectionClosed):
        await peer.until("(nothing has this type)")
    assert peer.socket.close_code is not None
    return peer.socket.close_code, peer.socket.close_reason or ""


async def test_a_session_is_created_first_with_the_services_defaults() -> None:
    """A client that relies on other defaults sends PCM to a telephone."""
    async with RealtimeEmulator(Receptionist()) as emulator, dialled(emulator) as peer:
        event = await peer.next()

    session = event["session"]
    assert event["type"] == "session.created"
    assert session["model"] == "gpt-realtime-2.1"
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
    assert session["instructions"].startswith("Your knowledge cutoff")


@pytest.mark.parametrize("headers", [KEY, {"api-key": "sk-local"}])
async def test_bearer_and_azure_keys_are_accepted(headers: dict[str, str]) -> None:
    """Both services are real."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        async with dialled(emulator, headers=headers) as peer:
            await peer.until("session.created")
        emulator.assert_clean()


async def test_a_browsers_subprotocols_are_accepted() -> None:
    """The official browser client has no headers: its key is a subprotocol."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        url = emulator.base_url.replace("http", "ws") + "/realtime?model=m"
        offers: Any = ["realtime", "openai-insecure-api-key.sk-local"]
        async with connect(url, subprotocols=offers) as socket:
            assert socket.subprotocol == "realtime"
            await Peer(socket).until("session.created")


async def test_a_handshake_without_a_key_is_refused() -> None:
    """401 before the upgrade, and no connection counted."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        with pytest.raises(InvalidStatus) as refused:
            async with dialled(emulator, headers={}):
                pass

        assert refused.value.response.status_code == 401
        assert (emulator.refusals, emulator.connections) == (1, [])


async def test_a_wrong_key_is_told_and_closed_3000() -> None:
    """The service upgrades first: a client that takes the upgrade for success is wrong."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        async with dialled(emulator, headers={"Authorization": "Bearer sk-wrong"}) as peer:
            error = await peer.next()
            assert error["error"]["code"] == "invalid_api_key"
            assert await ended(peer) == (3000, "invalid_request_error.invalid_api_key")
        with pytest.raises(AssertionError, match="invalid_api_key"):
            emulator.assert_clean()


async def test_the_beta_header_is_fatal() -> None:
    """The retired header ends a call with 4000; nobody may send it."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        async with dialled(emulator, headers=KEY | {"OpenAI-Beta": "realtime=v1"}) as peer:
            assert await ended(peer) == (4000, "invalid_request_error.beta_api_shape_disabled")
        with pytest.raises(AssertionError, match="beta_api_shape_disabled"):
            emulator.assert_clean()


@pytest.mark.parametrize("path", ["/realtime", "/nothing?model=m"])
async def test_a_wrong_address_is_refused(path: str) -> None:
    """No model, no session."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        url = emulator.base_url.replace("http", "ws") + path
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, additional_headers=KEY):
                pass

        assert refused.value.response.status_code in (400, 404)


@pytest.mark.parametrize("status", [401, 403, 429, 503])
async def test_handshakes_fail_as_often_as_asked(status: int) -> None:
    """A retry must be able to succeed."""
    faults = Faults(fail_first=2, refuse_status=status)
    async with RealtimeEmulator(Receptionist(), faults=faults) as emulator:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                async with dialled(emulator):
                    pass
            assert refused.value.response.status_code == status
        async with dialled(emulator) as peer:
            await peer.until("session.created")

        assert (emulator.refusals, emulator.attempts) == (2, 3)


async def test_an_upgrade_may_never_come() -> None:
    """A client needs a limit of its own; leaving must not wait for the client."""
    async with RealtimeEmulator(Receptionist(), faults=Faults(never="upgrade")) as emulator:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), dialled(emulator):
                pass
        await emulator.attempted()

        assert emulator.connections == []


async def test_a_session_may_never_be_created() -> None:
    """Connected is not created."""
    async with (
        RealtimeEmulator(Receptionist(), faults=Faults(never="created")) as emulator,
        dialled(emulator) as peer,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await peer.next()


async def test_an_update_may_never_be_confirmed() -> None:
    """Created is not ready."""
    async with RealtimeEmulator(Receptionist(), faults=Faults(never="updated")) as emulator:
        async with dialled(emulator) as peer:
            await peer.until("session.created")
            await peer.send("session.update", session=PHONE)
            await peer.send("input_audio_buffer.clear")
            await peer.until("input_audio_buffer.cleared")

        assert peer.of("session.updated") == []


async def test_an_update_may_be_confirmed_with_another_format() -> None:
    """`D-PT-12`: a config that did not take sends PCM to the telephone, as static."""
    faults = Faults(echoed_format="audio/pcm")
    async with (
        RealtimeEmulator(Receptionist(), faults=faults) as emulator,
        dialled(emulator) as peer,
    ):
        session = await peer.configure()

    assert session["audio"]["output"]["format"] == {"type": "audio/pcm"}


@pytest.mark.parametrize("after", ["opened", "created", "updated"])
@pytest.mark.parametrize("code", [1000, 1001, 1011, ABRUPT])
async def test_a_line_ends_at_the_moment_and_with_the_code_asked_for(after: Any, code: int) -> None:
    """Quiet, polite, broken and cut: each looks different to a client."""
    faults = Faults(close_code=code, close_reason="", close_after=after)
    async with RealtimeEmulator(Receptionist(), faults=faults) as emulator:
        async with dialled(emulator) as peer:
            if after == "updated":
                await peer.send("session.update", session=PHONE)
            assert (await ended(peer))[0] == code
        session = await emulator.connected()
        await session.until_closed()

    last = {"opened": [], "created": ["session.created"], "updated": ["session.updated"]}
    assert peer.types()[-1:] == last[after]
    assert not session.open


async def test_a_line_is_cut_in_the_middle_of_speech() -> None:
    """After so many deltas: the rest never comes, and neither does any closer."""
    faults = Faults(close_code=ABRUPT, close_after=3)
    async with (
        RealtimeEmulator(Scenario([Reply("hello")]), faults=faults) as emulator,
        ready(emulator) as peer,
    ):
        await peer.send("response.create")
        assert (await ended(peer))[0] == ABRUPT

    assert len(peer.of("response.output_audio.delta")) == 3
    assert peer.of("response.done") == []


async def test_speech_may_stall_on_an_open_line() -> None:
    """Dead air without a close: only a watchdog notices."""
    faults = Faults(stall_after=2)
    script = Scenario([Reply("hello", 500)])
    async with RealtimeEmulator(script, pace=0, faults=faults) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await peer.until("response.done")
        assert emulator.open_connections

    assert len(peer.of("response.output_audio.delta")) == 2


async def test_one_message_may_be_half_a_json_text() -> None:
    """A client survives it and hears the rest."""
    faults = Faults(malformed_after=2)
    script = Scenario([Reply("hello", 500)])
    async with RealtimeEmulator(script, faults=faults) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        broken = 0
        while not peer.of("response.done"):
            try:
                await peer.next()
            except json.JSONDecodeError:
                broken += 1

    assert broken == 1
    assert len(peer.of("response.output_audio.delta")) == 5


async def test_a_session_expires_at_the_age_it_announced() -> None:
    """The limit of 60 minutes, shrunk: an error and a close 1001 with the service's words."""
    async with (
        RealtimeEmulator(Receptionist(), session_s=0.05) as emulator,
        dialled(emulator) as peer,
    ):
        code, reason = await ended(peer)

    assert peer.events[-1]["error"]["code"] == "session_expired"
    assert (code, reason) == (1001, "Your session hit the maximum duration of 60 minutes.")


async def test_leaving_ends_everything_that_was_started() -> None:
    """Open sockets, speech in the middle, a silent handshake: no task survives."""
    before = asyncio.all_tasks()
    async with RealtimeEmulator(Receptionist()) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        await peer.until("response.output_audio.delta")
        async with RealtimeEmulator(Receptionist()) as other, ready(other):
            pass
        session = await emulator.connected()
        session.end(1001)
        await session.until_closed()

    assert asyncio.all_tasks() == before
    assert emulator.open_connections == []


async def test_leaving_does_not_wait_for_a_client_that_stays() -> None:
    """A client that leaks its session must not hang the test that finds it out."""
    async with RealtimeEmulator(Receptionist()) as emulator:
        url = emulator.base_url.replace("http", "ws") + "/realtime?model=m"
        socket = await connect(url, additional_headers=KEY)
        peer = Peer(socket)
        await peer.until("session.created")
        leaked = emulator.open_connections
    async with asyncio.timeout(60):
        await socket.wait_closed()

    assert len(leaked) == 1
    assert socket.close_code == 1001


async def test_leaving_does_not_wait_for_a_client_that_does_not_read() -> None:
    """A full socket blocks the writer; the outbox is bounded, and so is the end."""
    script = Scenario([Reply("a long story", audio=mulaw.silence(1_200_000))])
    async with RealtimeEmulator(script, pace=0, delta_ms=1000) as emulator:
        url = emulator.base_url.replace("http", "ws") + "/realtime?model=m"
        socket = await connect(url, additional_headers=KEY, max_queue=1)
        session = await emulator.connected()
        socket.transport.pause_reading()
        await Peer(socket).send("response.create")
        await session.server_events.until("response.output_audio.delta", 100)
    socket.transport.abort()
    await socket.wait_closed()

    assert session.server_events.of("response.done") == []
    assert session.failures == []


async def test_a_load_may_keep_no_audio() -> None:
    """Two hundred calls of ten minutes must fit in memory; everything else is kept."""
    async with RealtimeEmulator(Receptionist(), pace=0, keep_audio=False) as emulator:
        async with ready(emulator) as peer:
            await peer.speak()
            await peer.pause()
            await peer.until("response.done")
        session = emulator.connections[0]

    assert session.heard_ms == 1000
    assert (bytes(session.caller_audio), session.items[0].audio) == (b"", b"")
    assert session.server_events.of("response.output_audio.delta") == []
    assert session.client_events.of("input_audio_buffer.append") == []
    assert session.server_events.of("response.done")


async def test_noise_from_the_future_is_added_on_request() -> None:
    """Unknown fields, unknown events and obfuscation must not disturb a client."""
    script = Scenario([Reply("hello there and welcome to the clinic", 3000)])
    async with RealtimeEmulator(script, pace=0, noise=True) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        await peer.until("response.done")

    assert peer.of("response.mood.updated")
    assert all("obfuscation" in event for event in peer.of("response.output_audio.delta"))
    assert any("x_future_field" in event for event in peer.events)
    assert len(peer.sound()) == 24000


async def test_a_brain_may_be_made_for_each_connection() -> None:
    """Twenty calls need twenty scripts, and all of them are judged."""

    def brain() -> Scenario:
        return Scenario([Reply("hello")])

    async with RealtimeEmulator(brain) as emulator:
        async with ready(emulator) as peer:
            await peer.send("response.create")
            await peer.until("response.done")
        async with ready(emulator):
            pass
        with pytest.raises(AssertionError, match="nobody asked for Reply"):
            emulator.assert_clean()


@pytest.mark.parametrize(
    "message", [b"\x00\x01", "not json", "[1]", "[" * 100_000, '{"event_id":"e"}']
)
async def test_what_is_not_an_event_is_refused_and_survived(message: str | bytes) -> None:
    """Bad input is answered, noted, and harmless."""
    async with RealtimeEmulator(Receptionist()) as emulator, ready(emulator) as peer:
        await peer.socket.send(message)
        error = await peer.until("error")
        await peer.configure()

    assert error["error"]["code"] == "invalid_event"
    assert len(emulator.connections[0].violations) == 1
