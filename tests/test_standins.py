"""What takes the place of a missing account, and what the server is told of it."""

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import SecretStr

from app.companions import CompanionFault
from app.http.pages import Rung
from app.settings import Settings
from app.standins import PUBLIC_URL, StandIns, _rungs, stand_in
from tests.local.servers import compatible
from tests.local.test_process import events
from tests.waiting import until

ACCOUNT = {
    "twilio_account_sid": "AC" + "0" * 32,
    "twilio_auth_tokens": ("t0ken-of-the-tests",),
    "public_url": "https://phone.contoso.test",
}
KEY = {"openai_api_key": "sk-of-the-tests"}
SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "database_password",
    "HTTPS_PROXY",
    "PYTHON_KEYRING_PASSWORD",
)
"""What may be around a server: of its tools, its machine, its operator; a proxy's has passwords."""


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


@pytest.mark.parametrize(
    ("setting", "part"),
    [("stt_base_url", "hears"), ("llm_base_url", "thinks"), ("tts_base_url", "speaks")],
)
def test_nobody_is_told_to_set_what_is_set(setting: str, part: str) -> None:
    """It reads as if the setting had been overlooked."""
    told = {"hear": "grammar", "think": "rules", "speak": "flite"}

    for given in ({}, {setting: "http://127.0.0.1:9/v1"}):
        rungs = {one.part: one for one in _rungs(told, _settings(**given))}
        better = rungs[part].better or ""
        assert (setting.upper() in better) is not bool(given)
        assert "OPENAI_API_KEY" in better


async def test_a_step_down_is_on_the_page_and_so_is_the_return() -> None:
    """A server that answers an error page is found where one looks for what runs."""
    said = {"choices": [{"message": {"content": "It is four."}}]}
    async with compatible("<html>", kind="text/html") as server:
        with stand_in(_settings(llm_base_url=server.base_url)) as house:
            assert "LLM_BASE_URL" in _thinking(house).rung
            async with _line(house) as line:
                await _answered(line)
                fallen = await _once(house, lambda one: "LLM_BASE_URL" not in one.rung)
                server.answer, server.kind = said, "application/json"
                await _answered(line)
                back = await _once(house, lambda one: "LLM_BASE_URL" in one.rung)

    assert fallen.rung == "rules of the agent document"
    assert "LLM_BASE_URL answered text/html where JSON was expected" in fallen.sentence
    assert "text/html" not in back.sentence


def _thinking(house: StandIns) -> Rung:
    phone = house.phone()
    assert phone is not None
    return next(one for one in phone.rungs if one.part == "thinks")


async def _once(house: StandIns, fact: Callable[[Rung], bool]) -> Rung:
    await until(lambda: fact(_thinking(house)))
    return _thinking(house)


@asynccontextmanager
async def _line(house: StandIns) -> AsyncIterator[Any]:
    key = house.settings.openai_api_key
    assert key is not None
    async with (
        AsyncOpenAI(
            base_url=house.settings.openai_base_url, api_key=key.get_secret_value()
        ) as client,
        client.realtime.connect(model="any") as line,
    ):
        yield line


async def _answered(line: Any) -> None:
    await line.response.create(response={"instructions": "Say what time it is."})
    await events(line, "response.done")


def test_a_hosted_model_can_be_rung_from_the_page() -> None:
    """An OpenAI key alone is enough to talk to the real model at home."""
    with stand_in(_settings(**KEY)) as house:
        given, phone = house.settings, house.phone()

    assert given.openai_base_url == "https://api.openai.com/v1"
    assert phone is not None
    assert [rung.part for rung in phone.rungs] == ["thinks", "carrier"]


def beside() -> list[dict[str, str]]:
    """The environments of the companions that run now, as the system tells them."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    found = []
    for line in listed.stdout.splitlines():
        pid, parent, arguments = line.split(None, 2)
        if int(parent) == os.getpid() and " -m app." in arguments:
            told = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
            found.append(dict(one.split("=", 1) for one in told if one))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="asks Linux")
def test_a_companion_is_given_what_it_needs_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that plays the caller's words through old C programs needs no key to a database."""
    for name in SECRETS:
        monkeypatch.setenv(name, "s3cret-of-the-operator")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/ssl/of-the-operator")

    with stand_in(_settings()):
        environments = beside()

    assert len(environments) == 2
    for one in environments:
        assert "s3cret-of-the-operator" not in one.values()
        assert one["PATH"] == os.environ["PATH"]
        assert (one["LC_TIME"], one["SSL_CERT_DIR"]) == ("C", "/etc/ssl/of-the-operator")


def test_a_line_that_does_not_know_the_port_is_refused() -> None:
    """The carrier would ring nobody."""
    with pytest.raises(CompanionFault, match="PORT is 0"), stand_in(_settings(port=0)):
        pytest.fail("it was started")
