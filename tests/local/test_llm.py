"""A language model of the operator's, and what happens when it is none."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from app.emulators.realtime_turns import Ask, Speech, ToolUse
from app.local import stock
from app.local.llm import LanguageModel, messages
from app.local.ports import Intent, Understood
from app.local.remote import Remote
from app.local.think import Rules
from tests.local.servers import Compatible, compatible

TOOL = {
    "type": "function",
    "name": "opening_hours",
    "description": "When it is open.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}},
}
CALLER = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}


def _nothing(_text: str, _intents: Sequence[Intent]) -> str | None:
    return None


def _ask(*items: dict[str, Any], tools: tuple[str, ...] = ("opening_hours",)) -> Ask:
    return Ask("turn", False, "You are Contoso.", tools, {}, items or (CALLER,))


@contextlib.asynccontextmanager
async def thinking(server: Compatible) -> AsyncIterator[LanguageModel]:
    """Wits that ask this server, with the rules behind them."""
    remote = Remote("LLM_BASE_URL", server.base_url, "sk-mine")
    model = LanguageModel(remote, "small", Rules(_nothing))
    model.configure({"tools": [TOOL]})
    yield model
    await remote.close()


def _answer(**message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", **message}}]}


async def test_it_is_asked_with_instructions_tools_and_what_was_heard() -> None:
    """The agent document goes on to hold, whoever thinks."""
    said = {"type": "message", "role": "assistant", "content": [{"transcript": "Hello."}]}
    async with compatible(_answer(content="We open at nine.")) as server, thinking(server) as model:
        outputs = await model.reply(_ask(said, CALLER), Understood("when open", None))

    path, body = server.asked[0]
    assert outputs == [Speech("We open at nine.")]
    assert path == "/v1/chat/completions"
    assert server.keys == ["Bearer sk-mine"]
    assert body["messages"][0]["content"].startswith("You are Contoso.")
    assert body["messages"][1:] == [
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "when open"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["opening_hours"]
    assert body["stream"] is False


async def test_a_tool_call_is_passed_on_and_an_invented_one_is_not() -> None:
    """A call of something that is not on offer would be an error of ours on the wire."""
    calls = [
        {"function": {"name": "opening_hours", "arguments": '{"day":"sunday"}'}},
        {"function": {"name": "launch_rocket", "arguments": "{}"}},
    ]
    async with (
        compatible(_answer(content=None, tool_calls=calls)) as server,
        thinking(server) as model,
    ):
        outputs = await model.reply(_ask(), Understood("sunday", None))

    assert outputs == [ToolUse("opening_hours", '{"day":"sunday"}')]


async def test_calls_and_results_keep_their_pairing() -> None:
    """Chat completions refuse an output without its call."""
    call = {"type": "function_call", "call_id": "c1", "name": "opening_hours", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "closed"}
    async with compatible(_answer(content="Closed.")) as server, thinking(server) as model:
        await model.reply(_ask(call, output), None)

    sent = server.asked[0][1]["messages"][1:]
    assert sent[0]["tool_calls"][0]["id"] == sent[1]["tool_call_id"] == "c1"


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ("<html>Welcome to nginx!</html>", {"kind": "text/html"}),
        ({"error": "no such model"}, {"status": 404}),
        ({"choices": []}, {}),
        ([1, 2], {}),
    ],
    ids=["html", "error", "no choice", "no object"],
)
async def test_whatever_else_comes_the_rules_answer(answer: Any, how: dict[str, Any]) -> None:
    """An address that is a web page must not become silence on the telephone."""
    async with compatible(answer, **how) as server, thinking(server) as model:
        outputs = await model.reply(_ask(), Understood("", None))

    assert outputs == [Speech(stock.NOT_CAUGHT)]


async def test_a_server_that_is_not_there_is_no_silence_either() -> None:
    """The commonest mistake: the model server was not started."""
    async with compatible({}) as server:
        pass
    async with thinking(server) as model:
        outputs = await model.reply(_ask(), Understood("", None))

    assert outputs == [Speech(stock.NOT_CAUGHT)]


def test_calls_made_together_are_one_message_and_none_is_half_remembered() -> None:
    """Strict servers refuse a call whose result does not follow, and a result without a call."""

    def call(number: int) -> dict[str, Any]:
        name = f"c{number}"
        return {"type": "function_call", "call_id": name, "name": "look_up", "arguments": "{}"}

    def output(number: int) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": f"c{number}", "output": "x"}

    said = {"type": "message", "role": "assistant", "content": [{"transcript": "Hello."}]}
    together = messages(_ask(call(1), call(2), output(1), output(2)), None)
    cut = messages(_ask(call(1), output(1), *[said] * 29), None)

    assert [one["role"] for one in together] == ["system", "assistant", "tool", "tool"]
    assert [one["id"] for one in together[1]["tool_calls"]] == ["c1", "c2"]
    assert {one["role"] for one in cut[1:]} == {"assistant"}
