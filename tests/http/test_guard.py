"""What is verified and what is written down of a request that may not be Twilio's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from structlog.testing import capture_logs

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.emulators.twilio_signing import signature
from app.emulators.twilio_words import new_sid
from tests.waiting import until
from tests.walks.raw_stream import incoming
from tests.walks.stage import PUBLIC_URL, TOKEN, Stage, stage


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that no call reaches."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as made:
        yield made


async def exchange(s: Stage, request: bytes) -> bytes:
    """The first line of the answer to a request written by hand."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
        writer.write(request)
        line = await reader.readline()
        writer.close()
    return line


def signed_get(target: bytes, host: bytes = b"x") -> bytes:
    """A GET as Twilio would sign it, with a ``Host`` of the test's choice."""
    seal = signature(TOKEN, PUBLIC_URL + target.decode(), ())
    head = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nX-Twilio-Signature: "
    return head + seal.encode() + b"\r\n\r\n"


@pytest.mark.parametrize("host", [b"x?y", b"x/a?b=c", b"x#y", b"[", b"", b"evil.test:1"])
async def test_the_query_is_taken_from_the_request_line_whatever_host_says(
    s: Stage, host: bytes
) -> None:
    """Rebuilding the URL with ``Host`` lets a header decide what was signed."""
    target = b"/twilio/fallback?" + urlencode(incoming(new_sid("CA"))).encode()

    assert b" 200 " in await exchange(s, signed_get(target, host))


@pytest.mark.parametrize("query", ["a=b%20c&d=e+f", "x=%C3%A9", "a", "=&&="])
async def test_the_query_is_verified_as_it_was_written(s: Stage, query: str) -> None:
    """Whoever decodes and encodes again signs another string than Twilio did."""
    target = f"/twilio/fallback?{query}".encode()

    assert b" 200 " in await exchange(s, signed_get(target))


@pytest.mark.parametrize("target", [b"/\xff", b"/twilio/fallback?a=\xff", b"x:1", b"*", b"?a"])
async def test_a_target_that_is_no_path_is_a_bad_request(s: Stage, target: bytes) -> None:
    """Nothing that comes before the signature may end in a traceback."""
    answer = await exchange(s, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b" 400 " in answer or b" 404 " in answer


async def test_a_refusal_names_the_url_without_the_dial_token(s: Stage) -> None:
    """The token ties a dial result to its call; with the wrong PUBLIC_URL every one is logged."""
    async with aiohttp.ClientSession() as client:
        with capture_logs() as lines:
            url = f"{s.url}/twilio/dial-result/a-token_of-a-call?x=secret"
            async with client.post(url, data={"a": "b"}) as answer:
                assert answer.status == 403

    (line,) = lines
    assert line["signed_url"] == f"{PUBLIC_URL}/twilio/dial-result/[token]?x=…"
    assert "a-token_of-a-call" not in repr(lines)


async def test_a_refusal_writes_no_more_than_a_line(s: Stage) -> None:
    """A stranger must not choose how much is written to the operator's disk."""
    with capture_logs() as lines:
        request = b"GET /twilio/fallback?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        assert b" 403 " in await exchange(s, request)

    assert len(repr(lines)) < 1000
    assert lines[0]["signed_url"].startswith(f"{PUBLIC_URL}/twilio/fallback?aaa")


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_error(
    s: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody may hang up; a traceback for each would bury the real ones."""
    server = s.server
    requests = server.server_state.total_requests
    _, writer = await asyncio.open_connection("127.0.0.1", s.port)
    writer.write(b"POST /twilio/fallback HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
    await until(lambda: bool(server.server_state.tasks))
    writer.close()
    await until(lambda: not server.server_state.tasks)

    assert server.server_state.total_requests == requests
    assert "Traceback" not in caplog.text + capfd.readouterr().err
