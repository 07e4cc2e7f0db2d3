"""The routes by themselves: late, early and lost webhooks, and who may ask for what."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.emulators.twilio_words import new_sid
from tests.walks.raw_stream import incoming
from tests.walks.stage import API_KEY, Stage, stage

OPEN = {"/", "/health", "/ready"}
"""What may be asked for without a key and without a signature."""
OF_PAGES = ("/phone", "/setup/assets", "/c/")
"""What there is only where calls do not come from Twilio, files that have other names, and pages
whose address is the key."""
FROM_OUTSIDE = {"Host": "phone.contoso.test"}
"""How the world asks; some of the routes trust whoever sits at this machine."""
SORRY = "<Say>I'm sorry, we have a technical problem.</Say><Hangup />"
HANG_UP = "<Response><Hangup /></Response>"


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that no call reaches."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as made:
        yield made
        assert made.openai.attempts == 0
        assert not made.board.book.unfinished


async def test_every_route_is_behind_a_lock_or_meant_to_be_open(s: Stage) -> None:
    """D-PC-5, D-DEMO-3: a route that nobody thought of is the one that is abused."""
    routes = [(route.path, method) for route in walk(s) for method in route.methods]
    assert len(routes) > 8
    async with aiohttp.ClientSession(headers=FROM_OUTSIDE) as client:
        for path, method in routes:
            url = s.url + path.replace("{token}", "x").replace("{call_id}", "x")
            async with client.request(method, url) as answer:
                closed = {404} if path.startswith(OF_PAGES) else {401, 403}
                expected = {200} if path in OPEN else closed
                assert answer.status in expected, f"{method} {path}: {answer.status}"


def walk(s: Stage) -> list[APIRoute]:
    """Every route of the application, of included routers too."""
    found: list[APIRoute] = []
    waiting = list(s.board.app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        waiting += getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", []
        )
    return found


async def test_the_end_of_an_unknown_stream_brings_the_failure_treatment(s: Stage) -> None:
    """After a restart nobody knows the call; the caller still deserves a sentence."""
    status, twiml = await s.post("/twilio/stream-ended", incoming(new_sid("CA")))

    assert status == 200
    assert SORRY in twiml


async def test_an_unknown_dial_result_ends_the_call(s: Stage) -> None:
    """The person has hung up; there is nothing to come back to."""
    form = incoming(new_sid("CA")) | {"DialCallStatus": "completed", "DialBridged": "true"}

    status, twiml = await s.post("/twilio/dial-result/of-somebody-else", form)

    assert status == 200
    assert HANG_UP in twiml


@pytest.mark.parametrize("final", ["completed", "busy", "failed", "no-answer", "canceled"])
async def test_the_status_of_an_unknown_call_is_taken_note_of(s: Stage, final: str) -> None:
    """Twilio repeats, and reports calls of before a restart: every time 204."""
    form = incoming(new_sid("CA")) | {"CallStatus": final, "SequenceNumber": "0"}

    for _ in range(2):
        assert await s.post("/twilio/call-status", form) == (204, "")
    assert await s.post("/twilio/call-status", form | {"CallStatus": "in-progress"}) == (204, "")


async def test_a_stream_that_could_not_begin_is_an_error_in_the_log(s: Stage) -> None:
    """Nothing else tells why callers hear the failure treatment."""
    form = incoming(new_sid("CA")) | {
        "StreamSid": new_sid("MZ"),
        "StreamEvent": "stream-error",
        "StreamError": "31920",
    }
    with capture_logs() as lines:
        assert await s.post("/twilio/stream-status", form) == (204, "")

    (line,) = [one for one in lines if one["event"] == "stream_error"]
    assert line["error"] == "31920"
    assert line["log_level"] == "error"


async def test_the_fallback_is_always_an_answer(s: Stage) -> None:
    """Twilio asks here when it could not use another answer of ours."""
    form = incoming(new_sid("CA")) | {"ErrorCode": "11200" + "9" * 50, "ErrorUrl": "https://x/y"}
    with capture_logs() as lines:
        status, twiml = await s.post("/twilio/fallback", form)

    assert status == 200
    assert SORRY in twiml
    (line,) = [one for one in lines if one["event"] == "twilio_fell_back"]
    assert line["code"] == "11200999"


async def test_every_document_is_xml(s: Stage) -> None:
    """Twilio plays an application error to the caller for any other type (12300)."""
    async with aiohttp.ClientSession() as client:
        for path in ("/twilio/stream-ended", "/twilio/fallback"):
            form = incoming(new_sid("CA"))
            async with client.post(s.url + path, data=form, headers=s.seal(path, form)) as answer:
                assert answer.content_type == "text/xml"
                assert answer.headers["content-length"] == str(len(await answer.read()))


@pytest.mark.parametrize("offered", ["", "Bearer x", f"Basic {API_KEY}"])
async def test_figures_are_for_the_bearer_of_the_key(s: Stage, offered: str) -> None:
    """How many calls there are, and how they end, is the operator's business."""
    headers = {"Authorization": offered} if offered else {}
    async with aiohttp.ClientSession() as client:
        async with client.get(s.url + "/metrics", headers=headers) as refused:
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert "voice_" not in await refused.text()
        key = {"Authorization": f"Bearer {API_KEY}"}
        async with client.get(s.url + "/metrics", headers=key) as figures:
            assert figures.status == 200
            told = await figures.text()
            assert "voice_calls_active" in told
            assert "voice_event_backlog" in told
            assert "voice_event_dropped 0.0" in told


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
async def test_a_probe_that_wants_no_body_gets_the_head_of_the_answer(s: Stage, path: str) -> None:
    """Load balancers and watchers ask with HEAD; 405 takes a healthy server out of service."""
    async with aiohttp.ClientSession() as client:
        async with client.get(s.url + path) as whole, client.head(s.url + path) as head:
            assert (head.status, await head.read()) == (200, b"")
            for name in ("content-type", "content-length"):
                assert head.headers[name] == whole.headers[name]
        s.board.book.drain()
        async with client.head(s.url + "/ready") as answer:
            assert answer.status == 503


async def test_what_nobody_serves_is_not_found(s: Stage) -> None:
    """Scanners ask for everything; they learn nothing but that."""
    async with aiohttp.ClientSession() as client:
        for path in ("/docs", "/openapi.json.bak", "/.env", "/v1/../health/x", "/twilio"):
            async with client.get(s.url + path) as answer:
                assert answer.status == 404
                assert "server" not in answer.headers
        async with client.get(s.url + "/twilio/call-status") as answer:
            assert answer.status == 405
