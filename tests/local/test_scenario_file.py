"""Scenarios written by hand: what they answer, and what is told of their mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime_turns import Ask, Output, Speech, ToolUse
from app.local import stock
from app.local.ports import Intent, Understood
from app.local.scenario_file import ScenarioFault, Scripted, load
from app.local.think import Rules
from app.local.wording import intent_of

CLINIC = """
name: clinic
intents:
  hours: {say_like: ["when are you open"], reply: "Nine to five."}
  pin:
    say_like: ["check my membership"]
    ask: "Please key in your four digit PIN."
    keypad: {length: 4}
    tool: {name: verify_pin, args: {pin: "{digits}"}}
  rocket: {say_like: ["start the rocket"], tool: {name: launch_rocket}}
on_tool_result:
  verify_pin: {ok: "You are a member.", error: "I could not check that."}
fallback: ["Pardon?", {tool: {name: verify_pin, args: {pin: "0"}}}]
"""
CALLER = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}


def _nothing(_text: str, _intents: Sequence[Intent]) -> str | None:
    return None


def _scripted(tmp_path: Path, text: str = CLINIC) -> Scripted:
    file = tmp_path / "clinic.yaml"
    file.write_text(text)
    scripted = Scripted(load(file), Rules(_nothing))
    scripted.configure({"tools": [{"type": "function", "name": "verify_pin"}]})
    return scripted


async def _says(scripted: Scripted, intent: str | None, *items: dict[str, Any]) -> list[Output]:
    ask = Ask("turn", False, "", (), {}, items or (CALLER,))
    heard = None if items else Understood("words", intent)
    return list(await scripted.reply(ask, heard))


def _keys(keys: str) -> dict[str, Any]:
    text = f"[keypad] The caller pressed: {' '.join(keys)}"
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_what_is_written_is_listened_for_and_answered(tmp_path: Path) -> None:
    """Its own intents come first, those of the agent document after them."""
    scripted = _scripted(tmp_path)

    names = [intent.name for intent in scripted.expects()]

    assert names[:3] == ["scenario:hours", "scenario:pin", "scenario:rocket"]
    assert "yes" in names
    assert await _says(scripted, "scenario:hours") == [Speech("Nine to five.")]


async def test_digits_are_asked_for_and_given_to_the_tool(tmp_path: Path) -> None:
    """Too few of them are asked for again."""
    scripted = _scripted(tmp_path)

    asked = await _says(scripted, "scenario:pin")
    short = await _says(scripted, None, _keys("12#"))
    whole = await _says(scripted, None, _keys("1234"))

    assert asked == [Speech("Please key in your four digit PIN.")]
    assert short == [Speech(f"{stock.NOT_CAUGHT} Please key in your four digit PIN.")]
    assert whole == [ToolUse("verify_pin", '{"pin": "1234"}')]


async def test_a_result_has_the_words_the_scenario_gives_it(tmp_path: Path) -> None:
    """What a tool returned is not always fit to be read out."""
    scripted = _scripted(tmp_path)
    call = {"type": "function_call", "call_id": "c1", "name": "verify_pin", "arguments": "{}"}

    def output(text: str) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": "c1", "output": text}

    assert await _says(scripted, None, call, output("1")) == [Speech("You are a member.")]
    failed = await _says(scripted, None, call, output('{"error":"timeout"}'))
    assert failed == [Speech("I could not check that.")]


async def test_a_tool_that_nobody_offers_is_an_apology(tmp_path: Path) -> None:
    """The caller hears that it did not work; the log says which name was wrong."""
    said = await _says(_scripted(tmp_path), "scenario:rocket")

    assert said == [Speech(stock.DID_NOT_WORK)]


async def test_what_is_not_understood_goes_down_the_fallback(tmp_path: Path) -> None:
    """The last step stays."""
    scripted = _scripted(tmp_path)

    said = [await _says(scripted, None) for _ in range(3)]

    assert said[0] == [Speech("Pardon?")]
    assert said[1] == said[2] == [ToolUse("verify_pin", '{"pin": "0"}')]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("intents: {a: {say_like: [x]}}", r"intents\.a: .*needs a reply, a tool, or both"),
        ("intents: {a: {say_like: [], reply: x}}", r"intents\.a\.say_like: "),
        ("intentions: {}", r"intentions: "),
        ("intents: [", r"clinic\.yaml:1: not YAML"),
        ("[]", r"the document: "),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """Before the first call, not in it."""
    with pytest.raises(ScenarioFault, match=told):
        _scripted(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path that was mistyped is the first mistake anybody makes."""
    with pytest.raises(ScenarioFault, match=r"nowhere\.yaml cannot be read"):
        load(tmp_path / "nowhere.yaml")


MEMBERS = """
intents:
  hours: {say_like: ["when are you open"], reply: "Nine to five."}
  pin:
    say_like: ["check my membership"]
    ask: "Please key in your PIN."
    keypad: {}
    tool: {name: verify_pin, args: {pin: "{digits}"}}
fallback: ["Pardon?"]
"""
NAME = {
    "type": "function",
    "name": "leave_message",
    "parameters": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
}
ORDER = {
    "type": "function",
    "name": "cancel_order",
    "parameters": {
        "type": "object",
        "properties": {"order_number": {"type": "string"}},
        "required": ["order_number"],
    },
}


def _reading(tmp_path: Path) -> Scripted:
    """Wits that understand what is typed."""
    file = tmp_path / "members.yaml"
    file.write_text(MEMBERS)
    scripted = Scripted(load(file), Rules(intent_of))
    verify = {"type": "function", "name": "verify_pin", "parameters": {}}
    scripted.configure({"tools": [verify, NAME, ORDER]})
    return scripted


def _typed(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_what_is_typed_means_what_is_said(tmp_path: Path) -> None:
    """Where nothing can hear, typing is all there is, and the scenario was not read."""
    scripted = _reading(tmp_path)

    assert await _says(scripted, None, _typed("When are you open?")) == [Speech("Nine to five.")]
    assert await _says(scripted, None, _typed("cucumber")) == [Speech("Pardon?")]


async def test_an_answer_in_any_words_is_no_misunderstanding(tmp_path: Path) -> None:
    """With a fallback in the scenario no question of the rules could be answered in words."""
    scripted = _reading(tmp_path)
    asked = await _says(scripted, "tool:leave_message")

    expected = list(scripted.expects())
    answered = await _says(scripted, None)

    assert asked == [Speech("What is the text?")]
    assert expected == []
    assert answered == [ToolUse("leave_message", {"text": "words"})]


async def test_keys_go_to_the_question_that_was_asked_last(tmp_path: Path) -> None:
    """A caller who changes their mind must not have an order's number taken for a PIN."""
    scripted = _reading(tmp_path)

    await _says(scripted, "scenario:pin")
    await _says(scripted, "tool:cancel_order")
    order = await _says(scripted, None, _keys("77#"))
    await _says(scripted, "tool:cancel_order")
    await _says(scripted, "scenario:hours")
    nothing = await _says(scripted, None, _keys("77#"))

    assert order == [ToolUse("cancel_order", {"order_number": "77"})]
    assert nothing == [Speech(stock.NOT_CAUGHT)]


async def test_a_greeting_of_the_scenario_is_said(tmp_path: Path) -> None:
    """It was read, checked and then never heard."""
    scripted = _scripted(tmp_path, 'greeting: "Clinic here."')
    words = 'Say exactly this, word for word, and nothing else: "Hello."'
    ask = Ask("client", False, words, (), {"purpose": "greeting"}, ())

    assert list(await scripted.reply(ask, None)) == [Speech("Clinic here.")]
