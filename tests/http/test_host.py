"""A server that listens on one address of the network alone: nothing there may lead nowhere."""

from pathlib import Path

import aiohttp
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from app.agents.load import load_document
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.http.pages import PhoneSetup, answers_at_home
from app.main import banner, switchboard
from app.settings import Settings
from tests.walks.stage import stage

LAN = "192.168.1.5"
FIX = "HOST=127.0.0.1"
SETUP = PhoneSetup("ws://localhost:6060/phone", "the-ticket", ())
BROWSER = {"Accept": "text/html", "Host": f"{LAN}:5050"}


def settings(host: str) -> Settings:
    """Without accounts, on this address."""
    return Settings(_env_file=None, host=host)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("host", "at_home"),
    [
        *((host, True) for host in ("", "0.0.0.0", "::", "127.0.0.1", "localhost", "::1")),
        *((host, False) for host in (LAN, "fe80::1", "patchline.lan", "127.0.0.2")),
    ],
)
def test_what_can_be_reached_as_localhost(host: str, at_home: bool) -> None:
    """The telephone and the setup are shown under that name alone."""
    assert answers_at_home(host) is at_home


def test_the_start_says_that_the_telephone_cannot_ring_there(tmp_path: Path) -> None:
    """The address that it would tell otherwise is one at which nobody listens."""
    with capture_logs() as lines:
        switchboard(settings(LAN), data=tmp_path)
    told = banner(settings(LAN))

    assert [one["event"] for one in lines] == ["phone_out_of_reach"]
    assert FIX in lines[0]["fix"]
    assert f"http://{LAN}:5050" in told
    assert "http://localhost" not in told
    assert FIX in told


def test_an_address_of_this_machine_needs_no_warning(tmp_path: Path) -> None:
    """All addresses is what is set where nothing is."""
    with capture_logs() as lines:
        switchboard(settings("0.0.0.0"), data=tmp_path)

    assert lines == []
    assert "Talk to it now: http://localhost:5050/phone" in banner(settings("0.0.0.0"))
    assert "http://[fe80::1]:5050" in banner(settings("fe80::1"))


async def test_the_page_and_the_first_page_say_what_to_set(tmp_path: Path) -> None:
    """A page that cannot ring says so, and the ticket stays here as ever."""
    model = RealtimeEmulator(Scenario([]))
    async with (
        stage(model, tmp_path, local={"ticket": "t"}, host=LAN) as s,
        aiohttp.ClientSession(headers=BROWSER) as client,
    ):
        async with client.get(s.url + "/phone/setup.json") as refused:
            assert refused.status == 403
            said = (await refused.json())["detail"]
        async with client.get(s.url + "/") as answer:
            first = await answer.text()
        async with client.get(s.url + "/setup/checks") as closed:
            assert closed.status == 403
            checks = (await closed.json())["detail"]

    for text in (said, first, checks):
        assert FIX in text
        assert "ssh -L" not in text
        assert '"t"' not in text


def test_the_step_to_talk_is_not_working_and_says_why(tmp_path: Path) -> None:
    """The operator who asks with the key is not told that all is ready."""
    document = tmp_path / "agent.yaml"
    document.write_text("instructions: You answer.\n")
    board = switchboard(settings(LAN), load_document(document), data=tmp_path, phone=lambda: SETUP)
    headers = {"Authorization": f"Bearer {board.api_key}", "Accept": "text/html"}
    page = TestClient(board.app, base_url=f"http://{LAN}:5050").get("/", headers=headers)

    assert FIX in page.text
    assert 'href="/phone"' not in page.text
