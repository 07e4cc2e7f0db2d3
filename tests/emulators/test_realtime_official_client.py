"""The official client converses with the local OpenAI, and its types judge every event.

A double that only its author's client understands proves nothing about the real service.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from pydantic import ValidationError

from app.audio import mulaw, tones
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_session import EmulatedSession
from app.emulators.scenario import (
    Cut,
    Expect,
    Fail,
    Heard,
    Items,
    Parallel,
    Reply,
    Scenario,
    Speech,
    TextOnly,
    ToolUse,
)
from tests.emulators.conformance import check_client_event, check_server_event

SESSION: Any = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"],
    "instructions": "You answer the telephone.",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "gpt-transcribe", "languages": ["en"]},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": True,
                "idle_timeout_ms": None,
            },
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
    },
    "tools": [
        {
            "type": "function",
            "name": "lookup",
            "description": "Looks an order up.",
            "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}},
        }
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low"},
    "max_output_tokens": 1024,
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
    "tracing": None,
}


class Talk:
    """One conversation of the official client."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def until(self, event_type: str) -> Any:
        """The next event of the type, as the client's object."""
        async for event in self.connection:
            self.events.append(event)
            if event.type == event_type:
                return event
        raise AssertionError(f"the line ended before {event_type}")

    async def say(self, audio: bytes) -> None:
        """Append mu-law in telephone frames."""
        for start in range(0, len(audio), 160):
            piece = base64.b64encode(audio[start : start + 160]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)

    async def turn(self) -> None:
        """The caller speaks, and stops."""
        await self.say(tones.tone(300, 400) + mulaw.silence(600))

    async def output(self, call_id: str, text: str) -> None:
        """A tool's output."""
        await self.connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call_id, "output": text}
        )


@asynccontextmanager
async def talking(emulator: RealtimeEmulator) -> AsyncIterator[Talk]:
    """A configured conversation; afterwards all of it is judged by the client's types."""
    client = AsyncOpenAI(api_key="sk-local", base_url=emulator.base_url, max_retries=0)
    async with client, client.realtime.connect(model="gpt-realtime-2.1") as connection:
        talk = Talk(connection)
        await talk.until("session.created")
        await connection.session.update(session=SESSION)
        await talk.until("session.updated")
        yield talk
    await judge(emulator.connections[0])


async def judge(session: EmulatedSession) -> None:
    """Both directions, event by event."""
    await session.until_closed()
    assert session.headers["user-agent"].startswith("AsyncOpenAI/Python")
    for event in session.server_events:
        check_server_event(event)
    for event in session.client_events:
        check_client_event(event)


async def test_a_greeting_a_question_and_tools_one_by_one_and_side_by_side() -> None:
    """The whole of a plain call."""
    script = Scenario(
        [
            Expect(origin="client", instructions_contain="Greet"),
            Reply("Good morning, how can I help?", 1000, 440),
            Expect(origin="turn", tools=["lookup"]),
            Reply("Let me look.", 300, 523, tools=[ToolUse("lookup", {"id": 7}, call_id="c1")]),
            Expect(tool_outputs=1, tool_output_contains="sent"),
            Parallel(
                ToolUse("lookup", {"id": 8}, call_id="c2"),
                ToolUse("lookup", {"id": 9}, call_id="c3", announced=2),
            ),
            Expect(tool_outputs=2),
            Reply("All three are on their way.", 500, 880),
        ],
        heard=["where are my orders", "unused"],
    )
    async with RealtimeEmulator(script, pace=20) as emulator:
        async with talking(emulator) as talk:
            await talk.connection.response.create(
                response={"instructions": "Greet.", "metadata": {"purpose": "greeting"}}
            )
            greeting = await talk.until("response.done")
            await talk.turn()
            heard = await talk.until("conversation.item.input_audio_transcription.completed")
            await talk.until("response.done")
            await talk.output("c1", "sent")
            await talk.connection.response.create()
            calls = await talk.until("response.done")
            await talk.output("c2", "sent")
            await talk.output("c3", "sent")
            await talk.connection.response.create()
            await talk.until("response.done")
        emulator.assert_clean()

    assert greeting.response.metadata == {"purpose": "greeting"}
    assert greeting.response.usage.output_token_details.audio_tokens == 20
    assert heard.transcript == "where are my orders"
    assert [item.call_id for item in calls.response.output] == ["c2", "c3"]
    deltas = [e.delta for e in talk.events if e.type == "response.output_audio.delta"]
    sound = b"".join(base64.b64decode(delta) for delta in deltas)
    assert [tones.loudest(sound[:8000], [440, 523, 880])] == [440]


async def test_an_interruption_is_truncated_where_it_was_heard() -> None:
    """Closers, cancellation, truncation, and the next turn."""
    script = Scenario(
        [
            Reply("It is a long story.", 8000),
            Expect(sent=["conversation.item.truncate"], truncated_ms=(200, 200)),
            Reply("Yes?", 300),
        ],
        heard=[Heard("wait", "late")],
    )
    async with RealtimeEmulator(script) as emulator:
        async with talking(emulator) as talk:
            await talk.connection.response.create()
            for _ in range(4):
                delta = await talk.until("response.output_audio.delta")
            await talk.say(tones.tone(300, 400))
            await talk.until("input_audio_buffer.speech_started")
            await talk.connection.conversation.item.truncate(
                item_id=delta.item_id, content_index=0, audio_end_ms=200
            )
            cancelled = await talk.until("response.done")
            await talk.until("conversation.item.truncated")
            await talk.say(mulaw.silence(600))
            await talk.until("conversation.item.input_audio_transcription.completed")
        emulator.assert_clean()

    assert cancelled.response.status_details.reason == "turn_detected"
    assert cancelled.response.output[0].status == "incomplete"


async def test_every_ending_every_refusal_and_every_other_event_is_well_formed() -> None:
    """What goes wrong must be as readable as what goes right."""
    script = Scenario(
        [
            Fail(after=Speech("I am", 200)),
            Cut(Speech("and then", 200), "content_filter"),
            TextOnly("in writing"),
            Items([Speech("one", 100), Speech("two", 100)]),
            Reply("a story", 8000),
        ],
        aside=[Reply("summary", 100)],
        heard=[Heard("", "failed")],
    )
    async with RealtimeEmulator(script, pace=20) as emulator:
        async with talking(emulator) as talk:
            items = talk.connection.conversation.item
            for _ in range(4):
                await talk.connection.response.create()
                done = await talk.until("response.done")
            await talk.connection.response.create()
            await talk.until("response.created")
            await talk.connection.response.create(event_id="again")
            refusal = await talk.until("error")
            await talk.connection.response.create(
                response={
                    "conversation": "none",
                    "output_modalities": ["text"],
                    "metadata": {"purpose": "summary"},
                    "tool_choice": "none",
                    "input": [
                        {
                            "type": "message",
                            "role": "user",
                            "content": [{"type": "input_text", "text": "sum up"}],
                        }
                    ],
                }
            )
            aside = await talk.until("response.done")
            await talk.connection.response.cancel()
            await talk.until("response.done")
            await items.retrieve(item_id=done.response.output[0].id)
            await talk.until("conversation.item.retrieved")
            await items.delete(item_id=done.response.output[0].id)
            await talk.until("conversation.item.deleted")
            await items.truncate(item_id="gone", content_index=0, audio_end_ms=5)
            await talk.until("error")
            await talk.say(tones.tone(300, 300))
            await talk.connection.input_audio_buffer.commit()
            await talk.until("conversation.item.input_audio_transcription.failed")
            await talk.connection.input_audio_buffer.clear()
            await talk.until("input_audio_buffer.cleared")
        script.assert_consumed()

    assert refusal.error.event_id == "again"
    assert aside.response.conversation_id is None
    assert len(emulator.connections[0].violations) == 2


async def test_an_expired_session_ends_the_clients_iteration_quietly() -> None:
    """`D-PC-4`: 1001 raises nothing; a client that waits for an exception waits for ever."""
    async with RealtimeEmulator(Scenario([])) as emulator:
        client = AsyncOpenAI(api_key="sk-local", base_url=emulator.base_url, max_retries=0)
        async with client, client.realtime.connect(model="gpt-realtime-2.1") as connection:
            (await emulator.connected()).expire()
            types = [event.type async for event in connection]
        session = emulator.connections[0]
        await session.until_closed()

    assert types[-1] == "error"
    assert session.close_code == 1001
    check_server_event(session.server_events[-1])


async def test_the_official_client_refuses_without_a_key_it_knows() -> None:
    """A refused key reaches the typed client as an event, not as an exception."""
    async with RealtimeEmulator(Scenario([])) as emulator:
        client = AsyncOpenAI(api_key="sk-wrong", base_url=emulator.base_url, max_retries=0)
        async with client, client.realtime.connect(model="gpt-realtime-2.1") as connection:
            event = await connection.recv()

    assert event.type == "error"
    assert event.error.code == "invalid_api_key"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"type": "realtime", "voice": "marin"}},
        {"type": "session.update", "session": {"type": "realtime", "temperature": 0.8}},
        {"type": "response.create", "response": {"modalities": ["audio"]}},
        {"type": "response.create", "response": {"input": [{"type": "item_reference"}]}},
        {"type": "input_audio_buffer.append", "audio": "%%%"},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0},
        {"type": "future.event"},
    ],
)
def test_the_checker_finds_what_the_types_let_through(event: dict[str, Any]) -> None:
    """The walker is the point of the checker: it must see beta fields at any depth."""
    with pytest.raises((AssertionError, ValidationError, ValueError)):
        check_client_event(event)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": SESSION},
        {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "i"}]}},
        {"type": "input_audio_buffer.append", "audio": "//8="},
    ],
)
def test_the_checker_accepts_what_is_right(event: dict[str, Any]) -> None:
    """References are legal on the wire although the type does not know them."""
    check_client_event(event)


def test_the_checker_knows_the_servers_lawful_extras_and_no_others() -> None:
    """Obfuscation is real; a beta part type is not."""
    delta = {
        "type": "response.output_audio.delta",
        "event_id": "e",
        "response_id": "r",
        "item_id": "i",
        "output_index": 0,
        "content_index": 0,
        "delta": "//8=",
    }
    check_server_event(delta | {"obfuscation": "xx"})
    with pytest.raises(AssertionError, match="mood"):
        check_server_event(delta | {"mood": "good"})
    part = {name: value for name, value in delta.items() if name != "delta"}
    with pytest.raises(ValidationError):
        check_server_event(
            part | {"type": "response.content_part.added", "part": {"type": "output_audio"}}
        )
