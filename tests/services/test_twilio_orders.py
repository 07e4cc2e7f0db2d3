"""Ordering calls from the local Twilio: two programs that never saw each other agree."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.emulators.twilio import DROPPED, UNANSWERED, TwilioEmulator
from app.errors import CarrierFault
from app.services.twilio_rest import Patience, TwilioRest
from tests.emulators.tiny_server import telephone

TO, FROM = "+12125551234", "+12125550000"
DOCUMENT = "https://patchline.test/answer"


@pytest.fixture
async def ordered() -> AsyncIterator[tuple[TwilioEmulator, TwilioRest]]:
    """A local Twilio and its REST API's client."""
    async with telephone() as (twilio, _):
        rest = TwilioRest(
            account_sid=twilio.account_sid,
            username=twilio.account_sid,
            password="12345",
            base_url=twilio.api_url,
            patience=Patience(read_s=0.5, total_s=2.0, retry_window_s=0.5),
        )
        yield twilio, rest
        rest.close()


async def test_an_ordered_call_is_listed_at_once(
    ordered: tuple[TwilioEmulator, TwilioRest],
) -> None:
    """That is what an order whose answer was lost is looked for by."""
    _, rest = ordered
    since = datetime.now(UTC) - timedelta(seconds=2)

    sid = await rest.place(TO, FROM, DOCUMENT, {"timeout": 20})
    listed = await rest.placed_since(TO, FROM, since)

    assert [one.call_sid for one in listed] == [sid]
    assert await rest.placed_since(FROM, TO, since) == []
    assert await rest.placed_since(TO, FROM, since + timedelta(hours=1)) == []


async def test_a_refused_number_has_a_reason(ordered: tuple[TwilioEmulator, TwilioRest]) -> None:
    """And no call."""
    _, rest = ordered

    with pytest.raises(CarrierFault) as caught:
        await rest.place("12125551234", FROM, DOCUMENT, {})

    assert (caught.value.reason, caught.value.unclear) == ("refused_21211", False)


@pytest.mark.parametrize("status", [500, DROPPED, UNANSWERED])
async def test_a_lost_answer_is_unclear_and_its_call_is_found(
    ordered: tuple[TwilioEmulator, TwilioRest], status: int
) -> None:
    """One call, although nobody said so."""
    twilio, rest = ordered
    since = datetime.now(UTC) - timedelta(seconds=2)
    twilio.fail_next("Calls.json", status, after=True)

    with pytest.raises(CarrierFault) as caught:
        await rest.place(TO, FROM, DOCUMENT, {})

    assert caught.value.unclear
    assert [one.call_sid for one in await rest.placed_since(TO, FROM, since)] == list(twilio.calls)
    assert len(twilio.calls) == 1
