"""The attendant of the local OpenAI: what it says and does when nobody wrote a script."""

from typing import Any

import pytest

from app.emulators import attendant, made_up
from app.emulators.attendant import Attendant, decided
from app.emulators.demo_voice import Studio
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_turns import Ask, ToolUse
from app.protocol.units import ms_of_bytes
from tests.emulators.realtime_peer import answered, ready

HOURS = {
    "type": "function",
    "name": "opening_hours",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "string", "enum": ["Monday", "Sunday"]}},
        "required": ["day"],
    },
}
TOOLS = ("end_call", "transfer_call", "opening_hours")
SAID: dict[str, Any] = {"type": "message", "role": "assistant"}
TURN: dict[str, Any] = {"type": "message", "role": "user"}


def ask(*items: dict[str, Any], origin: Any = "turn", instructions: str = "Be brief.") -> Ask:
    return Ask(origin, False, instructions, TOOLS, {}, items)


def used(name: str) -> dict[str, Any]:
    return {"type": "function_call", "name": name}


@pytest.mark.parametrize(
    "instructions",
    [
        'Say exactly this, word for word, and nothing else: "Hello, "Contoso" here."',
        "Greet the caller verbatim with: “Hello, “Contoso” here.”",
    ],
)
def test_a_greeting_is_said_word_for_word(instructions: str) -> None:
    """Whoever tries their own agent document wants to hear their own greeting."""
    said, tool = decided(ask(origin="client", instructions=instructions))

    assert said.replace("“", '"').replace("”", '"') == 'Hello, "Contoso" here.'
    assert tool is None


def test_instructions_that_only_quote_something_are_not_read_out() -> None:
    """An agent that is told about words is not told to say them."""
    about = 'The clinic\'s motto is: "Teeth first."'

    assert decided(ask(origin="client", instructions=about))[0] == attendant.GREETING
    assert decided(ask(TURN, instructions=f"Never say exactly {about}"))[0] in attendant.REPLIES


def test_tools_are_tried_one_by_one_and_the_goodbye_last() -> None:
    """One long call shows every tool of an agent, and ends by itself."""
    history = [SAID]
    story = []
    for _ in range(6):
        history.append(TURN)
        said, tool = decided(ask(*history))
        story.append(tool.name if tool else "")
        history += [used(tool.name), SAID] if tool else [SAID]

    assert story == ["", "opening_hours", "", "transfer_call", "", "end_call"]
    assert said == attendant.GOODBYE


def test_what_a_tool_returned_is_told() -> None:
    """The caller's ear, and the transcript, show that the tool was really asked."""
    output = {"type": "function_call_output", "output": '{"open": "nine to noon"}'}

    said, tool = decided(ask(TURN, used("opening_hours"), output, origin="client"))

    assert said.startswith("It says: open nine to noon.")
    assert tool is None


def test_who_may_only_use_a_tool_uses_one() -> None:
    """`tool_choice: required` leaves no other answer."""
    forced = Ask("turn", False, "", ("opening_hours",), {}, (TURN,), {}, tool_required=True)

    assert decided(forced) == ("", ToolUse("opening_hours", {}))


def test_arguments_are_the_plainest_the_schema_allows() -> None:
    """A tool refuses what its schema does not allow; a made-up call must reach the tool."""
    schema = {
        "type": "object",
        "properties": {
            "day": {"$ref": "#/$defs/Day"},
            "at": {"type": "string", "format": "time"},
            "note": {"type": ["string", "null"], "maxLength": 4},
            "seats": {"type": "integer", "minimum": 2},
            "sure": {"type": "boolean"},
            "names": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "who": {"anyOf": [{"const": "me"}, {"type": "null"}]},
            "optional": {"type": "string"},
        },
        "required": ["day", "at", "note", "seats", "sure", "names", "who", "unheard_of"],
        "$defs": {"Day": {"enum": ["Monday"]}},
    }

    assert made_up.arguments(schema) == {
        "day": "Monday",
        "at": "10:00:00",
        "note": "some",
        "seats": 2,
        "sure": False,
        "names": ["something"],
        "who": "me",
        "unheard_of": "something",
    }


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    """An operator's recursive type must not hang the model."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}},
        "required": ["next"],
    }

    assert isinstance(made_up.arguments(schema)["next"], dict)


async def test_the_attendant_speaks_on_a_real_socket_and_breaks_no_rule() -> None:
    """As `python -m app.emulators openai` runs it, judged by the strict server around it."""
    told: list[tuple[str, str]] = []

    def make() -> Attendant:
        return Attendant(Studio(None), lambda who, text: told.append((who, text)))

    async with RealtimeEmulator(make, pace=0) as emulator, ready(emulator) as peer:
        heard = {"input": {"transcription": {"model": "gpt-transcribe"}}}
        await peer.configure({"type": "realtime", "tools": [HOURS], "audio": heard})
        greeting = await answered(peer, instructions='Say exactly this: "Good morning."')
        length_ms = ms_of_bytes(len(peer.sound()))
        for _ in range(2):
            await peer.speak()
            await peer.pause()
            done = (await peer.until("response.done"))["response"]
        emulator.assert_clean()

    assert greeting["output"][0]["content"][0]["transcript"] == "Good morning."
    assert length_ms > 200
    assert done["output"][-1]["name"] == "opening_hours"
    assert done["output"][-1]["arguments"] == '{"day": "Monday"}'
    assert ("agent", "Good morning.") in told
    assert [who for who, _ in told].count("caller") == 2
