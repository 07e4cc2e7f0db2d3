"""What no client of ours asks for and every scanner does."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.http.guard import operator
from app.http.problems import Problem
from app.main import switchboard
from app.settings import Settings
from tests.walks.stage import API_KEY, Stage, stage


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that no call reaches."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as made:
        yield made


@pytest.mark.parametrize("kept", ["", "\n", "  \n"])
def test_an_empty_key_file_gets_a_key(tmp_path: Path, kept: str) -> None:
    """A full disk left the file empty; then no key at all was the right one."""
    (tmp_path / "api_key").write_text(kept)

    board = switchboard(Settings(_env_file=None), data=tmp_path)

    assert len(board.api_key) > 40
    assert board.api_key_is_new
    assert (tmp_path / "api_key").read_text().strip() == board.api_key


def test_an_empty_key_opens_nothing() -> None:
    """Whoever forgets the key must find the door shut."""
    with pytest.raises(ValueError, match="empty"):
        operator("")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {API_KEY}",
        API_KEY,
        f"Bearer {API_KEY}x",
        f"Bearer {API_KEY[:-1]}",
        "Bearer \xe9",
    ],
)
async def test_nothing_but_the_key_is_the_key(s: Stage, authorization: str | None) -> None:
    """Fail closed, whatever the header looks like."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(s.url + "/v1/calls/x") as answer,
    ):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/incoming-call/", "/health/", "/v1/calls/x/"])
async def test_a_slash_too_many_is_not_found(s: Stage, path: str) -> None:
    """A redirect would be built from Host, which is the asker's to choose."""
    async with (
        aiohttp.ClientSession(headers={"Host": "evil.test"}) as client,
        client.get(s.url + path, allow_redirects=False) as answer,
    ):
        assert answer.status == 404
        assert "Location" not in answer.headers


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/health", "/twilio/call-status", "/v1/calls/x"])
async def test_other_methods_do_nothing_and_allow_no_origin(
    s: Stage, method: str, path: str
) -> None:
    """No page of another origin may talk to this server."""
    headers = {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.request(method, s.url + path) as answer,
    ):
        probed = method == "HEAD" and path in ("/", "/health")  # read, as with GET
        assert answer.status in ((200,) if probed else (400, 405))
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_a_fault_of_ours_is_a_problem_document_too(s: Stage) -> None:
    """A client parses one shape, and learns nothing about our insides."""

    async def broken() -> None:
        raise RuntimeError("a secret of ours")

    s.board.app.add_api_route("/broken", broken)
    async with aiohttp.ClientSession() as client, client.get(s.url + "/broken") as answer:
        assert answer.content_type == "application/problem+json"
        problem = Problem.model_validate(await answer.json())

    assert (answer.status, problem.status) == (500, 500)
    assert "secret" not in problem.detail
