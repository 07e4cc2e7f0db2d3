"""Responses: ladders, the gate, interruptions, cancellations, tools, and those out of band."""

import time
from typing import Any

import pytest

from app.audio import tones
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_turns import Ask, Brain
from app.emulators.scenario import (
    Cut,
    Empty,
    Fail,
    Hang,
    Heard,
    Items,
    Plan,
    Reply,
    Scenario,
    Slow,
    Speech,
    TextOnly,
)
from tests.emulators.realtime_peer import answered, offering, ready

LADDER_DOWN = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


@pytest.mark.parametrize("sizes", [100, (20, 1000, 37), 5000])
async def test_all_of_the_speech_arrives_whatever_the_size_of_its_pieces(sizes: Any) -> None:
    """Delta sizes are not documented: 20 ms to seconds, mixed and odd."""
    script = Scenario([Reply("good morning to you", 1500, 523)])
    async with (
        RealtimeEmulator(script, pace=0, delta_ms=sizes) as emulator,
        ready(emulator) as peer,
    ):
        done = await answered(peer)

    assert peer.sound() == tones.tone(523, 1500)
    words = [event["delta"] for event in peer.of("response.output_audio_transcript.delta")]
    assert "".join(words) == "good morning to you"
    assert done["output"][0]["content"] == [
        {"type": "output_audio", "transcript": "good morning to you"}
    ]
    assert emulator.connections[0].items[0].audio_ms == 1500


async def test_parts_and_items_name_their_content_differently() -> None:
    """``audio`` in a part is ``output_audio`` in an item; clients have mixed them up."""
    async with (
        RealtimeEmulator(Scenario([Reply("hello", 100)])) as emulator,
        ready(emulator) as peer,
    ):
        await answered(peer)

    assert peer.of("response.content_part.added")[0]["part"] == {"type": "audio", "transcript": ""}
    assert peer.of("response.content_part.done")[0]["part"]["type"] == "audio"
    item = peer.of("response.output_item.done")[0]["item"]
    assert item["content"][0]["type"] == "output_audio"
    assert peer.of("response.output_item.added")[0]["item"]["content"] == []


async def test_speech_is_made_at_the_pace_asked_for() -> None:
    """At four times real time a reply of two seconds takes half a second, not an instant."""
    async with (
        RealtimeEmulator(Scenario([Reply("hello", 800)]), pace=4) as emulator,
        ready(emulator) as peer,
    ):
        before = time.monotonic()
        await answered(peer)
        took_s = time.monotonic() - before

    assert took_s >= 0.17


async def test_several_items_of_speech_fit_in_one_response() -> None:
    """`D-TS-1`: the second item is a ledger entry of its own."""
    turn = Items([Speech("first", 300, 440), Speech("second", 200, 880)])
    async with RealtimeEmulator(Scenario([turn]), pace=0) as emulator, ready(emulator) as peer:
        done = await answered(peer)

    first, second = [item["id"] for item in done["output"]]
    assert peer.sound(first) == tones.tone(440, 300)
    assert peer.sound(second) == tones.tone(880, 200)
    assert [e["output_index"] for e in peer.of("response.output_item.added")] == [0, 1]
    assert peer.of("conversation.item.added")[1]["previous_item_id"] == first


async def test_a_second_response_is_refused_with_the_id_of_the_first() -> None:
    """`D-TAC-5`: one response at a time; the id in the message is what a client waits for."""
    async with RealtimeEmulator(Scenario([Hang()])) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        created = await peer.until("response.created")
        error = await peer.refused("response.create", event_id="rc_2")
        with pytest.raises(AssertionError, match="already_has_active_response"):
            emulator.assert_clean()

    assert error["code"] == "conversation_already_has_active_response"
    assert created["response"]["id"] in error["message"]
    assert error["event_id"] == "rc_2"


async def test_a_response_asked_for_while_the_ear_makes_one_is_a_race() -> None:
    """A tool's answer and the end of the caller's turn can cross on the wire."""
    async with RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator:
        async with ready(emulator) as peer:
            await peer.speak()
            await peer.pause()
            await peer.refused("response.create")
            await peer.until("response.done")
        emulator.assert_clean()

    assert len(emulator.connections[0].races) == 1


async def test_the_caller_interrupts_and_every_closer_comes() -> None:
    """The ladder is climbed down at once; nothing of the response follows ``response.done``."""
    script = Scenario([Reply("a long story", 5000), Reply("yes?", 100)])
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        await peer.until("response.output_audio.delta")
        await peer.speak()
        started = await peer.until("input_audio_buffer.speech_started")
        done = await peer.until("response.done")
        rest = peer.events[peer.events.index(started) + 1 :]
        await peer.pause()
        await peer.until("response.done")
        emulator.assert_clean()

    assert [event["type"] for event in rest] == LADDER_DOWN
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert rest[3]["item"]["status"] == "incomplete"
    after = peer.events[peer.events.index(done) :]
    assert all(e.get("response_id") != done["response"]["id"] for e in after)


async def test_a_response_that_may_not_be_interrupted_goes_on_and_gets_no_successor() -> None:
    """With ``interrupt_response`` off a turn may end without an answer: the client must ask."""
    update = {
        "type": "realtime",
        "audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}},
    }
    async with RealtimeEmulator(Scenario([Reply("a story", 1200)])) as emulator:
        async with ready(emulator) as peer:
            await peer.configure(update)
            await peer.send("response.create")
            await peer.until("response.output_audio.delta")
            await peer.speak()
            await peer.pause()
            done = await peer.until("response.done")
        emulator.assert_clean()

    assert done["response"]["status"] == "completed"
    assert peer.of("input_audio_buffer.committed")
    assert len(peer.of("response.created")) == 1


@pytest.mark.parametrize("named", [True, False])
async def test_the_client_cancels(named: bool) -> None:
    """With or without the id; the reason tells the two kinds of cancellation apart."""
    async with RealtimeEmulator(Scenario([Reply("a story", 5000)])) as emulator:
        async with ready(emulator) as peer:
            await peer.send("response.create")
            created = await peer.until("response.created")
            await peer.until("response.output_audio.delta")
            which = {"response_id": created["response"]["id"]} if named else {}
            await peer.send("response.cancel", **which)
            done = await peer.until("response.done")
        emulator.assert_clean()

    assert done["response"]["status_details"]["reason"] == "client_cancelled"


async def test_cancelling_nothing_is_refused_and_only_a_race_shortly_after_an_end() -> None:
    """A cancel may cross the last ``response.done``; out of the blue it is a mistake."""
    async with RealtimeEmulator(Scenario([Reply("hi", 100)])) as emulator, ready(emulator) as peer:
        error = await peer.refused("response.cancel")
        await answered(peer)
        await peer.refused("response.cancel")
        session = emulator.connections[0]

    assert error["message"] == "Cancellation failed: no active response found"
    assert error["code"] == "response_cancel_not_active"
    assert (len(session.violations), len(session.races)) == (1, 1)


async def test_a_response_that_hangs_ends_only_by_cancellation() -> None:
    """Dead air on an open line, before or in the middle of speech."""
    async with (
        RealtimeEmulator(Scenario([Hang(Speech("eh", 200))]), pace=0) as emulator,
        ready(emulator) as peer,
    ):
        await peer.send("response.create")
        for _ in range(2):
            await peer.until("response.output_audio.delta")
        await peer.send("response.cancel")
        done = await peer.until("response.done")

    assert done["response"]["output"][0]["status"] == "incomplete"
    assert peer.types()[-6:] == LADDER_DOWN


async def test_slowness_comes_before_the_first_output() -> None:
    """The response exists, its speech does not yet: that too can be interrupted."""
    script = Scenario([Slow(Reply("hm", 100), 60000), Reply("yes", 100)])
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        await peer.until("response.created")
        await peer.speak()
        done = await peer.until("response.done")
        await peer.pause()
        await peer.until("response.done")
        emulator.assert_clean()

    assert done["response"]["output"] == []


@pytest.mark.parametrize(
    ("turn", "status", "details"),
    [
        (Empty(), "completed", None),
        (
            Fail("rate_limit_exceeded", "Slow down."),
            "failed",
            {
                "type": "failed",
                "error": {
                    "type": "server_error",
                    "code": "rate_limit_exceeded",
                    "message": "Slow down.",
                },
            },
        ),
        (
            Cut(Speech("and then", 200)),
            "incomplete",
            {"type": "incomplete", "reason": "max_output_tokens"},
        ),
    ],
)
async def test_a_response_ends_in_every_documented_way(
    turn: Any, status: str, details: Any
) -> None:
    """Silence, failure and running out of tokens all end with ``response.done``."""
    async with RealtimeEmulator(Scenario([turn]), pace=0) as emulator, ready(emulator) as peer:
        done = await answered(peer)

    assert (done["status"], done["status_details"]) == (status, details)


async def test_text_comes_where_speech_was_asked_for() -> None:
    """It happens to real models after long text histories; a caller would hear nothing."""
    async with (
        RealtimeEmulator(Scenario([TextOnly("hello there")])) as emulator,
        ready(emulator) as peer,
    ):
        done = await answered(peer)

    assert done["output"][0]["content"] == [{"type": "output_text", "text": "hello there"}]
    assert [e["delta"] for e in peer.of("response.output_text.delta")] == ["hello", " there"]
    assert peer.of("response.content_part.done")[0]["part"] == {
        "type": "text",
        "text": "hello there",
    }


async def test_a_response_out_of_band_runs_beside_the_conversation() -> None:
    """Identified by metadata alone, in no conversation, blocking nobody."""
    script = Scenario([Reply("a story", 1000)], aside=[Reply("summary", 100)])
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await peer.send("response.create")
        await peer.until("response.output_audio.delta")
        body = {
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"purpose": "summary"},
            "input": [],
        }
        done = await answered(peer, **body)
        other = await peer.until("response.done")
        emulator.assert_clean()

    assert done["conversation_id"] is None
    assert done["metadata"] == {"purpose": "summary"}
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "summary"}]
    assert other["response"]["status"] == "completed"
    assert [item.id for item in emulator.connections[0].items] == [
        other["response"]["output"][0]["id"]
    ]


async def test_overrides_replace_the_sessions_settings_for_one_response() -> None:
    """Instructions, tools and the context are those of the response."""
    script = Scenario([Reply("hello", 100)])
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await offering(peer)
        item = {"id": "note_1", "type": "message", "role": "system"}
        content = [{"type": "input_text", "text": "The caller is known."}]
        await peer.send("conversation.item.create", item=item | {"content": content})
        reference = {"type": "item_reference", "id": "note_1"}
        await answered(peer, instructions="Greet.", tools=[], input=[reference])
        missing = {"input": [{"type": "item_reference", "id": "note_2"}]}
        error = await peer.refused("response.create", response=missing)

    ask = script.asked[0]
    assert (ask.instructions, ask.tools) == ("Greet.", ())
    assert [one["id"] for one in ask.items] == ["note_1"]
    assert error["param"] == "response.input[0].id"


async def test_usage_adds_up_and_comes_from_the_cache_the_second_time() -> None:
    """A cost meter is checked against these figures: 50 ms of speech are one token."""
    script = Scenario([Reply("hello", 1000), Reply("again", 500)])
    async with RealtimeEmulator(script, pace=0) as emulator, ready(emulator) as peer:
        await peer.configure({"type": "realtime", "instructions": "Be kind. " * 60})
        first = (await answered(peer))["usage"]
        second = (await answered(peer))["usage"]

    assert first["output_token_details"]["audio_tokens"] == 20
    assert first["input_token_details"]["cached_tokens"] == 0
    details = second["input_token_details"]
    assert details["audio_tokens"] == 20, "what was said is context now"
    assert details["cached_tokens"] > 0
    assert sum(details["cached_tokens_details"].values()) == details["cached_tokens"]
    assert details["text_tokens"] + details["audio_tokens"] == second["input_tokens"]
    assert second["input_tokens"] + second["output_tokens"] == second["total_tokens"]


class Pondering(Brain):
    """A brain that takes its time, as one with a language model behind it does."""

    def answer(self, ask: Ask) -> Any:
        """A coroutine in place of a plan."""
        return self._think()

    async def _think(self) -> Plan:
        return Reply("well", 100).plan()

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """Nothing."""
        return Heard("")


async def test_a_brain_may_think_before_it_answers() -> None:
    """The same emulator is to be the mouth of a local model one day."""
    async with RealtimeEmulator(Pondering()) as emulator, ready(emulator) as peer:
        done = await answered(peer)
        emulator.assert_clean()

    assert done["status"] == "completed"
