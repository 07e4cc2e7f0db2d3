"""Servers of the operator's that take connections and say nothing: no call may die of one."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.call.patience import ANSWER_MS, PATIENCE_MS
from app.emulators.realtime_turns import Ask, Speech
from app.local import stock
from app.local.brain import LocalBrain
from app.local.budget import FIRST_S, TURN_S, until
from app.local.ladder import Ladder, Offers
from app.local.llm import LanguageModel
from app.local.ports import Intent
from app.local.remote import Remote, RemoteFault
from app.local.speak import SENTENCE_S
from app.local.think import Rules
from tests.local.servers import compatible
from tests.local.utterances import utterances


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, list[object]]]:
    """The base URL of one, and what connected to it."""
    came: list[object] = []
    over = asyncio.Event()

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        await over.wait()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", came
    finally:
        over.set()
        server.close()


def _nothing(_text: str, _intents: Sequence[Intent]) -> str | None:
    return None


def _ask(instructions: str, purpose: str) -> Ask:
    return Ask("client", False, instructions, (), {"purpose": purpose}, ())


async def test_one_that_says_nothing_is_waited_for_once() -> None:
    """At every sentence and turn anew it would be given up with the whole call."""
    async with silent() as (url, came):
        remote = Remote("TTS_BASE_URL", url, within_s=0.5)
        with pytest.raises(RemoteFault, match=r"did not answer within 0\.5 s"):
            await remote.sound("audio/speech", {})
        with pytest.raises(RemoteFault, match="left alone for 30 s"):
            await remote.sound("audio/speech", {})
        await remote.close()

    assert len(came) == 1


async def test_a_voice_that_says_nothing_leaves_time_for_the_next() -> None:
    """Of a greeting's sentences one waits; the call gives its model up after four seconds."""
    assert SENTENCE_S < 4
    async with silent() as (url, came), Ladder(Offers(speak=(url, "", "", ""))) as ladder:
        sound = await ladder.speak().say(f"{stock.HELLO} {stock.GOODBYE}")

    assert sound
    assert len(came) == 1


async def test_words_that_are_given_need_no_language_model() -> None:
    """The greeting is the operator's, and does not wait for a model that is being loaded."""
    wanted = 'Say exactly this, word for word, and nothing else: "Hello from Contoso."'
    answer: dict[str, Any] = {"choices": [{"message": {"content": "Bonjour!"}}]}
    async with compatible(answer) as server:
        remote = Remote("LLM_BASE_URL", server.base_url)
        model = LanguageModel(remote, "small", Rules(_nothing))
        said = await model.reply(_ask(wanted, "greeting"), None)
        await remote.close()

    assert said == [Speech("Hello from Contoso.")]
    assert server.asked == []


CALLER = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
GREETING = Ask("client", False, "Greet the caller.", (), {"purpose": "greeting"}, ())
ANSWER = Ask("turn", False, "Be kind.", (), {}, (CALLER,))


async def _waits_s(brain: LocalBrain, ask: Ask) -> list[float]:
    """How long each server was waited for before the answer sounded."""
    with capture_logs() as told:
        if ask is ANSWER:
            sound = utterances()[0].audio
            brain.attend()
            brain.listen(sound, "audio/pcmu")
            brain.turn_over(sound, "audio/pcmu")
        plan = await brain.answer(ask)
    said = plan.outputs[0]
    assert isinstance(said, Speech)
    assert said.audio
    waits = [re.search(r"not answer within ([\d.]+) s", str(one)) for one in told]
    return [float(one[1]) for one in waits if one is not None]


@pytest.mark.parametrize(
    ("ask", "spoke", "budget_s"),
    [(GREETING, False, FIRST_S), (ANSWER, False, FIRST_S), (ANSWER, True, TURN_S)],
    ids=["greeting", "first words", "answer"],
)
async def test_servers_that_hang_together_cost_one_wait_and_no_call(
    ask: Ask, spoke: bool, budget_s: float
) -> None:
    """Each within its own time, all of them together were more than the call waits for."""
    async with silent() as (url, _):
        offers = Offers((url, "", ""), (url, "", ""), (url, "", "", ""))
        async with Ladder(offers) as ladder:
            brain = LocalBrain(ladder.hear(), ladder.think(), ladder.speak())
            brain._spoke = spoke

            waits_s = await _waits_s(brain, ask)

    assert waits_s
    assert sum(waits_s) < budget_s + 0.1


def test_the_wait_for_servers_leaves_the_local_rungs_time() -> None:
    """The call does not know what its model waits for."""
    assert PATIENCE_MS - 1000 * FIRST_S >= 1000
    assert ANSWER_MS - 1000 * TURN_S >= 1500


async def test_a_server_there_is_no_time_for_is_not_blamed() -> None:
    """What it would not have had the time for it must not be left alone for."""
    answer: dict[str, Any] = {"text": "yes"}
    async with compatible(answer) as server:
        remote = Remote("LLM_BASE_URL", server.base_url)
        with until(monotonic() + 0.1), pytest.raises(RemoteFault, match="no time left"):
            await remote.json("chat/completions", {})
        assert await remote.json("chat/completions", {}) == answer
        await remote.close()

    assert len(server.asked) == 1
