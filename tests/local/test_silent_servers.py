"""Servers of the operator's that take connections and say nothing: no call may die of one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from app.emulators.realtime_turns import Ask, Speech
from app.local import stock
from app.local.ladder import Ladder, Offers
from app.local.llm import LanguageModel
from app.local.ports import Intent
from app.local.remote import Remote, RemoteFault
from app.local.speak import SENTENCE_S
from app.local.think import Rules
from tests.local.servers import compatible


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
        remote = Remote("TTS_BASE_URL", url, within_s=0.05)
        with pytest.raises(RemoteFault, match=r"did not answer within 0\.05 s"):
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
