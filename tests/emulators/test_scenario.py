"""Scripts must be used up, expectations judged, and the receptionist never at a loss."""

import re

import pytest

from app.emulators.scenario import (
    Ask,
    Expect,
    Fail,
    Hang,
    Heard,
    Items,
    Parallel,
    Receptionist,
    Reply,
    Scenario,
    Slow,
    Speech,
    ToolUse,
)

ASK = Ask("client", False, "Be kind.", ("lookup",), {}, ())
OUTPUT = {
    "type": "conversation.item.create",
    "item": {"type": "function_call_output", "call_id": "c", "output": '{"ok": true}'},
}


def test_a_script_gives_its_turns_in_order_and_is_consumed() -> None:
    """The plain case: as many turns asked for as written."""
    script = Scenario([Reply("one"), Reply("two")])

    plans = [script.answer(ASK), script.answer(ASK)]

    assert [plan.outputs[0].text for plan in plans if isinstance(plan.outputs[0], Speech)] == [
        "one",
        "two",
    ]
    assert script.consumed
    script.assert_consumed()


def test_a_turn_nobody_asked_for_is_reported() -> None:
    """A client that falls silent must not pass."""
    script = Scenario([Reply("one"), Fail()])
    script.answer(ASK)

    with pytest.raises(AssertionError, match="nobody asked for Fail"):
        script.assert_consumed()


def test_a_response_nobody_expected_fails_and_is_reported() -> None:
    """A client that asks twice must not pass, and must not hang either."""
    script = Scenario([])

    plan = script.answer(ASK)

    assert (plan.status, plan.code) == ("failed", "scenario_exhausted")
    with pytest.raises(AssertionError, match="nobody expected"):
        script.assert_consumed()


def test_responses_out_of_band_have_a_script_of_their_own() -> None:
    """They run beside the conversation: their order against it is not fixed."""
    script = Scenario([Reply("said")], aside=[Reply("noted")])

    aside = script.answer(Ask("client", True, "", (), {}, ()))

    assert isinstance(aside.outputs[0], Speech)
    assert aside.outputs[0].text == "noted"
    assert not script.consumed


@pytest.mark.parametrize(
    ("expectation", "complaint"),
    [
        (Expect(sent=["response.cancel"]), "no response.cancel"),
        (Expect(absent=["conversation.item.create"]), "conversation.item.create was sent"),
        (Expect(tool_outputs=2), "1 tool outputs instead of 2"),
        (Expect(tool_output_contains="no"), "'no' in none of"),
        (Expect(message_contains="hello"), "'hello' in none of"),
        (Expect(truncated_ms=(0, 100)), "truncated at"),
        (Expect(origin="turn"), "asked for by client"),
        (Expect(instructions_contain="rude"), "'rude' not in"),
        (Expect(tools=["refund"]), "tools ['refund'] not on offer"),
        (Expect(metadata={"purpose": "greeting"}), "metadata {}"),
    ],
)
def test_an_expectation_that_is_not_met_is_reported(expectation: Expect, complaint: str) -> None:
    """Each kind of expectation must be able to fail, or it proves nothing."""
    script = Scenario([expectation, Reply("one")])
    script.notice(OUTPUT)

    script.answer(ASK)

    with pytest.raises(AssertionError, match=re.escape(complaint)):
        script.assert_consumed()


def test_an_expectation_that_is_met_is_silent() -> None:
    """And each must be able to hold."""
    script = Scenario(
        [
            Expect(
                sent=["conversation.item.create", "conversation.item.truncate"],
                absent=["response.cancel"],
                tool_outputs=1,
                tool_output_contains="ok",
                truncated_ms=(400, 500),
                origin="client",
                instructions_contain="kind",
                tools=["lookup"],
                metadata={},
            ),
            Reply("one"),
        ]
    )
    script.notice(OUTPUT)
    script.notice({"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": 450})

    script.answer(ASK)

    script.assert_consumed()


def test_an_expectation_looks_only_at_what_came_since_the_response_before() -> None:
    """An output sent for the first question must not satisfy the second."""
    script = Scenario([Reply("one"), Expect(tool_outputs=1), Reply("two")])
    script.notice(OUTPUT)
    script.answer(ASK)

    script.answer(ASK)

    with pytest.raises(AssertionError, match="0 tool outputs"):
        script.assert_consumed()


def test_an_expectation_at_the_end_is_judged_at_the_end() -> None:
    """The last thing a client does is often the point of the test."""
    script = Scenario([Reply("one"), Expect(sent=["response.cancel"])])
    script.answer(ASK)

    with pytest.raises(AssertionError, match=r"no response\.cancel"):
        script.assert_consumed()
    script.notice({"type": "response.cancel"})
    script.assert_consumed()


def test_a_tool_that_is_not_on_offer_is_the_clients_mistake() -> None:
    """A model calls what the session names; a client that forgot a tool must be told."""
    forgotten = Scenario([Parallel(ToolUse("refund"))])
    invented = Scenario([Parallel(ToolUse("refund", unoffered=True))])

    forgotten.answer(ASK)
    invented.answer(ASK)

    with pytest.raises(AssertionError, match="'refund'"):
        forgotten.assert_consumed()
    invented.assert_consumed()


def test_turns_of_the_caller_are_heard_as_written_and_then_counted() -> None:
    """A script need not transcribe what no test reads."""
    script = Scenario([], heard=["hello", Heard("bye", "late")])

    heard = [script.hear(b"", "audio/pcmu") for _ in range(3)]

    assert heard == [Heard("hello"), Heard("bye", "late"), Heard("caller turn 3")]


def test_slowness_keeps_everything_else_of_a_turn() -> None:
    """Slow hanging must still hang."""
    plan = Slow(Hang(Speech("eh")), 700).plan()

    assert (plan.first_ms, plan.hangs, plan.outputs) == (700, True, (Speech("eh"),))


def test_given_audio_is_said_instead_of_a_tone() -> None:
    """Synthesised speech replaces tones without another kind of turn."""
    assert Reply("hi", audio=b"\x01\x02").plan().outputs == (Speech("hi", audio=b"\x01\x02"),)
    assert Items([Speech("hi", audio=b"\x01\x02")]).plan().outputs[0].sound() == b"\x01\x02"  # type: ignore[union-attr]


def test_the_receptionist_greets_answers_and_acknowledges() -> None:
    """Demonstrations and loads need a model that always has an answer."""
    user = {"type": "message", "role": "user"}
    said = {"type": "message", "role": "assistant"}
    output = {"type": "function_call_output"}
    receptionist = Receptionist()

    def reply(*items: dict[str, str], origin: str = "turn") -> str:
        plan = receptionist.answer(Ask(origin, False, "", (), {}, items))  # type: ignore[arg-type]
        assert isinstance(plan.outputs[0], Speech)
        return plan.outputs[0].text

    assert reply(origin="client").startswith("Riverside")
    assert reply(said, user) != reply(said, user, said, user)
    assert reply(said, user, output, origin="client").startswith("That is done")
    receptionist.assert_consumed()
