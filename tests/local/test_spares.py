"""Decoders for any words are made before a call lives, and never during one."""

from typing import Any

import pytest

from app.audio import mulaw
from app.local import decoding
from app.local.hear import PocketSphinx
from app.local.ladder import Ladder, Offers
from tests.local.servers import compatible
from tests.local.utterances import utterances
from tests.needs import needs

pytestmark = needs("pocketsphinx", there=decoding.available())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every decoder for any words, as it is made."""
    decoders: list[Any] = []
    make = decoding.open_decoder

    def counted() -> Any:
        decoders.append(make())
        return decoders[-1]

    monkeypatch.setattr(decoding, "open_decoder", counted)
    return decoders


async def _turn(ears: Any) -> str:
    ears.begin(())
    ears.feed(mulaw.decode(utterances()[0].audio))
    return str((await ears.end()).text)


async def test_a_call_whose_server_fails_finds_its_decoder_made(made: list[Any]) -> None:
    """Making one stops the process for longer than the bridge waits for a pong."""
    async with (
        compatible("<html>", kind="text/html") as server,
        Ladder(Offers(hear=(server.base_url, "", ""))) as ladder,
    ):
        before = len(made)
        first = await _turn(ladder.hear())
        second = await _turn(ladder.hear())

    assert first
    assert second == first, "the caller before left traces"
    assert len(made) == before


async def test_a_decoder_that_failed_is_replaced_when_the_call_is_over(made: list[Any]) -> None:
    """Not in the call, and nobody is lent it again."""
    async with Ladder(Offers()):
        ears = PocketSphinx()
        ears.begin(())
        ears.feed(bytes(320))
        assert ears._open is not None
        assert ears._open._loan is not None
        broken = ears._open._loan.decoder
        broken.start_utt()
        ears.feed(mulaw.decode(utterances()[0].audio))
        during = len(made)
        del ears
        after = len(made)
        again = PocketSphinx()
        assert await _turn(again)
        assert again._open is not None

    assert after == during + 1
    assert made[-1] is not broken
