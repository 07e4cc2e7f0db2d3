"""The local Twilio's account and numbers, read by Twilio's own Python client."""

import asyncio
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_account import OwnedNumber
from tests.emulators.tiny_server import telephone


def client_of(twilio: TwilioEmulator, token: str = "12345") -> Any:
    client = Client(twilio.account_sid, token)
    client.api.base_url = twilio.api_url
    return client


async def test_the_account_says_what_it_is() -> None:
    """A trial looks like any other account until a call is made."""
    async with telephone() as (twilio, _):
        twilio.desk.account_type = "Trial"
        account = client_of(twilio).api.accounts(twilio.account_sid)

        found = await asyncio.to_thread(account.fetch)

    assert (found.sid, found.status, found.type) == (twilio.account_sid, "active", "Trial")


async def test_another_token_is_told_nothing() -> None:
    """20003, as everywhere."""
    async with telephone() as (twilio, _):
        account = client_of(twilio, "another").api.accounts(twilio.account_sid)

        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(account.fetch)

    assert (caught.value.status, caught.value.code) == (401, 20003)


async def test_numbers_come_in_pages() -> None:
    """The client asks for the next page until there is none."""
    async with telephone() as (twilio, _):
        twilio.desk.numbers += [
            OwnedNumber(f"+3361234567{n}", f"https://contoso.test/{n}") for n in range(5)
        ]
        numbers = client_of(twilio).incoming_phone_numbers

        found = await asyncio.to_thread(lambda: numbers.list(page_size=2))

    assert [one.phone_number for one in found] == [f"+3361234567{n}" for n in range(5)]
    assert found[4].voice_url == "https://contoso.test/4"
    assert found[4].trunk_sid is None
    assert len(twilio.desk.requests) == 3


async def test_an_account_without_numbers_has_an_empty_page() -> None:
    """As a new one has."""
    async with telephone() as (twilio, _):
        numbers = client_of(twilio).incoming_phone_numbers

        assert await asyncio.to_thread(numbers.list) == []
