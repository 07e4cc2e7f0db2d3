"""Wits without a language model: the agent document, followed by rule."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from app.emulators.realtime_turns import Ask, Origin, Output, Speech, ToolUse
from app.local import stock
from app.local.ports import NOTHING, Understood
from app.local.reading import readable
from app.local.think import Rules
from app.local.wording import intent_of
from app.tools.builtin import collect_dtmf, end_call, transfer_call

HOURS = {
    "type": "function",
    "name": "opening_hours",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "string"}},
        "required": ["day"],
    },
}
PIN = {
    "type": "function",
    "name": "verify_pin",
    "parameters": {
        "type": "object",
        "properties": {"pin": {"type": "string"}, "member": {"type": "boolean"}},
        "required": ["pin", "member"],
    },
}


def _rules(*tools: Mapping[str, Any]) -> Rules:
    rules = Rules(intent_of)
    people = transfer_call({"human": "A person", "billing": ""})
    rules.configure({"tools": [*tools, end_call(), people]})
    return rules


def _ask(origin: Origin = "turn", instructions: str = "", purpose: str = "", **last: Any) -> Ask:
    item = last or {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
    metadata = {"purpose": purpose} if purpose else {}
    return Ask(origin, False, instructions, (), metadata, (item,))


async def _hears(rules: Rules, text: str, intent: str | None) -> list[Output]:
    return list(await rules.reply(_ask(), Understood(text, intent)))


async def test_the_greeting_is_said_word_for_word() -> None:
    """The first thing a newcomer hears is what they wrote."""
    wanted = 'Say exactly this, word for word, and nothing else: "It\'s Contoso. Hello!"'

    said = await _rules().reply(_ask("client", wanted, "greeting"), None)

    assert said == [Speech("It's Contoso. Hello!")]


async def test_a_tool_that_needs_nothing_more_is_called_at_once() -> None:
    """The day was named with the question."""
    said = await _hears(_rules(HOURS), "are you open on sunday", "tool:opening_hours")

    assert said == [ToolUse("opening_hours", {"day": "sunday"})]


async def test_what_is_missing_is_asked_for_and_listened_for() -> None:
    """A required value that nobody gave would be made up by a worse model."""
    rules = _rules(HOURS)

    asked = await _hears(rules, "what are your opening hours", "tool:opening_hours")
    expected = {intent.name for intent in rules.expects()}
    answered = await _hears(rules, "monday", "value:monday")

    assert asked == [Speech(stock.WHICH_DAY)]
    assert {"value:monday", "transfer:human", "end"} <= expected
    assert "tool:opening_hours" not in expected
    assert answered == [ToolUse("opening_hours", {"day": "monday"})]


async def test_numbers_come_by_keypad_and_questions_by_yes_or_no() -> None:
    """Spoken digits are not understood on a telephone line."""
    rules = _rules(PIN)
    keys = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "[keypad] The caller pressed: 1 2 3 4 #"}],
    }

    asked = await _hears(rules, "verify pin", "tool:verify_pin")
    keyed = list(await rules.reply(_ask("client", purpose="digits", **keys), None))
    agreed = await _hears(rules, "yes", "yes")

    assert asked == [Speech("Please key in the pin, and then press the hash key.")]
    assert keyed == [Speech("Member? Yes or no?")]
    assert agreed == [ToolUse("verify_pin", {"pin": "1234", "member": True})]


async def test_a_person_is_put_through_by_name() -> None:
    """The model names a target of the document, never a number."""
    said = await _hears(_rules(), "speak to a human", "transfer:human")

    assert said == [
        Speech(stock.PUTTING_THROUGH),
        ToolUse("transfer_call", {"target": "human", "reason": "asked for"}),
    ]


async def test_three_turns_that_were_not_understood_bring_a_person() -> None:
    """Pardon, then what can be asked for, then somebody: nobody is asked for ever."""
    rules = _rules()

    said = [await _hears(rules, "", None) for _ in range(3)]

    lost = Speech(f"{stock.STILL_NOT_CAUGHT} Ask me for a person.")
    assert said[:2] == [[Speech(stock.NOT_CAUGHT)], [lost]]
    assert said[2][-1] == ToolUse("transfer_call", {"target": "human", "reason": "not understood"})


async def test_a_result_is_read_out_and_a_failure_is_owned_up_to() -> None:
    """JSON is not something to be read aloud."""
    rules = _rules(HOURS)

    plain = await rules.reply(_ask("client", type="function_call_output", output="Closed"), None)
    failed = await rules.reply(
        _ask("client", type="function_call_output", output='{"error":"timeout"}'), None
    )

    assert plain == [Speech("Closed. Is there anything else?")]
    assert failed == [Speech("I am sorry, that did not work. Is there anything else?")]


async def test_no_to_anything_else_ends_the_call() -> None:
    """That is what a caller means by it."""
    rules = _rules()
    await rules.reply(_ask("client", type="function_call_output", output="Done"), None)

    said = await _hears(rules, "no thank you", "no")

    assert said[0] == Speech(stock.GOODBYE)
    assert said[1] == ToolUse("end_call", {"reason": "the caller is done"})


async def test_what_nobody_understood_of_typed_text_is_said_so() -> None:
    """A typed line goes the way of a spoken one."""
    typed: dict[str, Any] = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "no"}],
    }
    rules = _rules()

    known = await rules.reply(_ask("client", **typed), None)
    typed["content"] = [{"type": "input_text", "text": "what is the meaning of life"}]
    unknown = await rules.reply(_ask("client", **typed), NOTHING)

    assert known == [Speech(stock.NOTED)]
    assert unknown == [Speech(stock.NOT_CAUGHT)]


async def test_an_open_question_survives_that_it_is_asked_for_again() -> None:
    """Whoever says "pardon?" and then answers was not understood: nothing was open any more."""
    rules = _rules(HOURS)
    asked = await _hears(rules, "what are your opening hours", "tool:opening_hours")

    again = await _hears(rules, "pardon", "repeat")
    answered = await _hears(rules, "monday", "value:monday")

    assert again == asked
    assert answered == [ToolUse("opening_hours", {"day": "monday"})]


async def test_no_leaves_an_open_question() -> None:
    """It is the way out of one that nobody can answer."""
    rules = _rules(HOURS)
    await _hears(rules, "what are your opening hours", "tool:opening_hours")

    assert await _hears(rules, "no", "no") == [Speech(stock.NOTED)]
    assert "tool:opening_hours" in {intent.name for intent in rules.expects()}


async def _keys(rules: Rules, keys: str) -> list[Output]:
    content = [{"type": "input_text", "text": f"[keypad] The caller pressed: {keys}"}]
    item: dict[str, Any] = {"type": "message", "role": "user", "content": content}
    return list(await rules.reply(_ask("client", purpose="digits", **item), None))


def _choosing(schema: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"table": schema}, "required": ["table"]}
    return {"type": "function", "name": "reserve_table", "parameters": parameters}


async def test_a_choice_of_numbers_is_keyed_in_and_never_made_up() -> None:
    """No words name a number, and no words are in every sentence: the first was taken."""
    rules = _rules(_choosing({"type": "integer", "enum": [2, 4]}))

    asked = await _hears(rules, "reserve a table", "tool:reserve_table")
    wrong = await _keys(rules, "3 #")
    right = await _keys(rules, "4 #")

    question = "Please key in the table, and then press the hash key."
    assert asked == [Speech(question)]
    assert wrong == [Speech(f"{stock.NOT_CAUGHT} {question}")]
    assert right == [ToolUse("reserve_table", {"table": 4})]


async def test_of_two_choices_the_one_that_says_more_is_meant() -> None:
    """ "After sales" has all the words of "sales"."""
    rules = _rules(_choosing({"type": "string", "enum": ["sales", "after sales"]}))

    said = await _hears(rules, "a table for after sales please", "tool:reserve_table")

    assert said == [ToolUse("reserve_table", {"table": "after sales"})]


async def test_a_result_without_an_error_is_no_failure() -> None:
    """Many services name the field where there is none."""
    rules = _rules(HOURS)
    output = '{"error": null, "ok": true, "hours": "nine to five"}'

    said = await rules.reply(_ask("client", type="function_call_output", output=output), None)

    assert said == [Speech("nine to five. Is there anything else?")]


async def test_a_question_that_any_words_answer_can_be_left() -> None:
    """Whoever asked for a person was taken for one of that name."""
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"text": text}, "required": ["text"]}
    tool = {"type": "function", "name": "leave_message", "parameters": schema}
    rules = _rules(tool)

    await _hears(rules, "leave a message", "tool:leave_message")
    person = await _hears(rules, "I want to speak to a human please", None)
    await _hears(rules, "leave a message", "tool:leave_message")
    message = await _hears(rules, "tell them goodbye from uncle bob", None)

    assert person[-1] == ToolUse("transfer_call", {"target": "human", "reason": "asked for"})
    assert message == [ToolUse("leave_message", {"text": "tell them goodbye from uncle bob"})]


async def test_where_nobody_can_be_reached_that_is_said() -> None:
    """The example agent has no target: the first thing a newcomer tries must be understood."""
    rules = Rules(intent_of)
    rules.configure({"tools": [end_call()]})
    wish = "i want to speak to a human please"

    said = await _hears(rules, wish, intent_of(wish, rules.expects()))

    assert said == [Speech(stock.NOBODY_HERE)]


async def test_yes_to_anything_else_is_asked_what() -> None:
    """ "All right. Is there anything else?" was the answer to it."""
    rules = _rules(HOURS)
    await rules.reply(_ask("client", type="function_call_output", output="Done"), None)

    assert await _hears(rules, "yes please", "yes") == [Speech(stock.HOW_CAN_I_HELP)]


async def test_the_keypad_is_offered_where_it_helps_and_not_for_ever() -> None:
    """Without anybody to be put through to, it was all a caller ever heard again."""
    rules = Rules(intent_of)
    rules.configure({"tools": [PIN, HOURS, end_call()]})
    await _hears(rules, "verify pin", "tool:verify_pin")

    said = [await _hears(rules, "", None) for _ in range(5)]

    lost = Speech(f"{stock.STILL_NOT_CAUGHT} Ask me for verify pin, or opening hours.")
    assert said[1:3] == [[Speech(stock.TRY_KEYPAD)]] * 2
    assert said[3:] == [[lost]] * 2
    assert "tool:opening_hours" in {intent.name for intent in rules.expects()}


async def test_where_no_key_does_anything_none_is_offered() -> None:
    """A caller who presses keys that nobody takes is not understood once more."""
    rules = Rules(intent_of)
    rules.configure({"tools": [end_call()]})

    said = [await _hears(rules, "", None) for _ in range(3)]

    assert said[0] == [Speech(stock.NOT_CAUGHT)]
    assert said[1:] == [[Speech(f"{stock.STILL_NOT_CAUGHT} {stock.HOW_CAN_I_HELP}")]] * 2


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ('{"slots": [{"day": "monday", "time": "9"}, {"day": "friday"}]}', "monday, 9; friday."),
        (
            '{"open": true, "note": null, "days": ["monday", "friday"]}',
            "open: yes, monday, friday.",
        ),
        ('["a", ["b", {"c": false}]]', "a; b; c: no."),
        ("false", "no."),
    ],
)
def test_nested_results_are_read_as_words(output: str, said: str) -> None:
    """Nobody understands a bracket on the telephone."""
    assert readable(output) == f"{said} {stock.WHAT_ELSE}"


def test_a_long_result_ends_with_a_sentence_or_a_word() -> None:
    """It was cut in the middle of a word."""
    sentences = "This is one sentence of it. " * 30
    words = "appointment " * 60

    assert readable(sentences).removesuffix(f" {stock.WHAT_ELSE}").endswith("sentence of it.")
    assert readable(words).removesuffix(f" {stock.WHAT_ELSE}").endswith(" appointment.")
    assert len(readable("x" * 2000)) < 500
    assert readable("[" * 500 + "]" * 500) == stock.NOTED


def _keypad(*tools: Mapping[str, Any], **presets: str) -> Rules:
    rules = Rules(intent_of)
    rules.configure({"tools": [*tools, end_call(), *([collect_dtmf(presets)] if presets else [])]})
    return rules


async def _answered(rules: Rules, **output: Any) -> list[Output]:
    item = {"type": "function_call_output", "output": json.dumps(output)}
    return list(await rules.reply(_ask("client", **item), None))


async def test_what_can_be_keyed_in_is_asked_for_by_the_tool_for_it() -> None:
    """The question and the tool are one response; what was keyed in is said back."""
    rules = _keypad(booking_number="4 to 9 digits, to be finished with the key #")

    said = await _hears(rules, "booking number", "keypad:booking_number")
    keyed_in = await _answered(rules, ok=True, digits="4711")

    assert "keypad:booking_number" in {intent.name for intent in rules.expects()}
    assert said == [
        Speech("Please key in the booking number, and then press the hash key."),
        ToolUse("collect_dtmf", {"preset": "booking_number"}),
    ]
    assert keyed_in == [Speech("Thank you. I have 4, 7, 1, 1. Is there anything else?")]


async def test_a_tools_number_comes_from_the_preset_of_its_name() -> None:
    """A secret goes to the tool by the name that stands for it."""
    rules = _keypad(PIN, pin="4 digits, secret")

    asked = await _hears(rules, "verify pin", "tool:verify_pin")
    keyed_in = await _answered(rules, ok=True, length=4, digits="{{dtmf.pin}}")
    agreed = await _hears(rules, "yes", "yes")

    assert asked == [Speech("Please key in the pin."), ToolUse("collect_dtmf", {"preset": "pin"})]
    assert keyed_in == [Speech("Member? Yes or no?")]
    assert agreed == [ToolUse("verify_pin", {"pin": "{{dtmf.pin}}", "member": True})]


async def test_a_menu_is_read_out_and_leads_where_it_says() -> None:
    """Keys for what one could have said."""
    rules = _keypad(HOURS, menu="1 for opening hours; 0 for a refund")
    menu = [
        Speech("Press 1 for opening hours. Press 0 for a refund."),
        ToolUse("collect_dtmf", {"preset": "menu"}),
    ]

    assert await _hears(rules, "menu", "keypad:menu") == menu
    assert await _answered(rules, ok=True, digits="1", choice="opening hours") == [
        Speech(stock.WHICH_DAY)
    ]
    assert await _hears(rules, "menu", "keypad:menu") == menu
    assert await _answered(rules, ok=True, digits="0", choice="a refund") == [
        Speech("You chose a refund. Is there anything else?")
    ]


async def test_what_was_not_keyed_in_is_let_go_of() -> None:
    """The telephone has asked again as often as it may."""
    rules = _keypad(PIN, pin="4 digits, secret")
    await _hears(rules, "verify pin", "tool:verify_pin")

    again = await rules.reply(_ask("client", purpose="keypad"), None)
    said = await _answered(rules, ok=False, reason="no_digits", digits="")

    assert list(again) == [Speech(stock.KEY_AGAIN)]
    assert said == [Speech(stock.NOT_KEYED)]
    assert "tool:verify_pin" in {intent.name for intent in rules.expects()}
