"""What takes the place of a missing account, and what the server is told of it."""

from typing import Any

import pytest
from pydantic import SecretStr

from app.companions import CompanionFault
from app.settings import Settings
from app.standins import PUBLIC_URL, stand_in

ACCOUNT = {
    "twilio_account_sid": "AC" + "0" * 32,
    "twilio_auth_tokens": ("t0ken-of-the-tests",),
    "public_url": "https://phone.contoso.test",
}
KEY = {"openai_api_key": "sk-of-the-tests"}


def _settings(**given: Any) -> Settings:
    return Settings(_env_file=None, local_line_port=0, **given)  # type: ignore[call-arg]


def test_with_both_accounts_nothing_is_started() -> None:
    """Production starts no process beside itself and shows no telephone."""
    settings = _settings(**ACCOUNT, **KEY)

    with stand_in(settings) as house:
        assert house.settings is settings
        assert house.phone() is None


def test_without_accounts_both_companies_stand_beside_the_server() -> None:
    """The settings are complete, so that no check of the server is switched off."""
    with stand_in(_settings()) as house:
        given, phone = house.settings, house.phone()

    assert given.openai_base_url.startswith("http://127.0.0.1:")
    assert given.twilio_api_url.startswith("http://127.0.0.1:")
    assert given.public_url == PUBLIC_URL
    assert given.openai_api_key != SecretStr("sk-local")
    assert len(given.twilio_auth_tokens[0].get_secret_value()) == 32
    assert phone is not None
    assert phone.line.startswith("ws://localhost:")
    assert [rung.part for rung in phone.rungs] == ["hears", "thinks", "speaks", "carrier"]


def test_a_hosted_model_can_be_rung_from_the_page() -> None:
    """An OpenAI key alone is enough to talk to the real model at home."""
    with stand_in(_settings(**KEY)) as house:
        given, phone = house.settings, house.phone()

    assert given.openai_base_url == "https://api.openai.com/v1"
    assert phone is not None
    assert [rung.part for rung in phone.rungs] == ["thinks", "carrier"]


def test_a_line_that_does_not_know_the_port_is_refused() -> None:
    """The carrier would ring nobody."""
    with pytest.raises(CompanionFault, match="PORT is 0"), stand_in(_settings(port=0)):
        pytest.fail("it was started")
