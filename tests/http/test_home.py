"""The first page from a real server: who is told what, and that secrets stay where they are."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from app.emulators.twilio_account import OwnedNumber
from tests.walks.stage import ACCOUNT, API_KEY, PUBLIC_URL, TOKEN, Stage, stage

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
KEY = {"Authorization": f"Bearer {API_KEY}"}
OUTSIDE = {"Host": "phone.contoso.test"}
NUMBER = "+33612345678"
ORDER = ["talk", "openai", "twilio", "public_url", "webhook", "real_call"]
SECRETS = (API_KEY, TOKEN, ACCOUNT, NUMBER, "sk-local", "f" * 32)
"""What nobody is shown: the last is the token in the account that the local Twilio sends."""


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server with a number that leads to it."""
    script = Scenario([Reply("Hello.", 200, 440)])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path) as made:
        made.twilio.desk.numbers.append(OwnedNumber(NUMBER, f"{PUBLIC_URL}/incoming-call"))
        yield made


async def get(s: Stage, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, str]:
    """A request to the server, and its answer read."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as client,
        client.get(s.url + path, headers=named, allow_redirects=False) as answer,
    ):
        return answer, await answer.text()


async def checks(s: Stage) -> dict[str, dict[str, Any]]:
    """The steps by their names, in order."""
    answer, text = await get(s, "/setup/checks")
    assert answer.status == 200
    found = json.loads(text)
    assert [step["id"] for step in found] == ORDER
    return {step["id"]: step for step in found}


async def test_programs_and_browsers_get_what_they_ask_for(s: Stage) -> None:
    """curl is told in a few lines, as ever."""
    for accept in ("*/*", "text/plain", "application/json"):
        plain, text = await get(s, "/", Accept=accept)
        assert plain.headers["Content-Type"].startswith("text/plain")
        assert "/incoming-call" in text
    page, html = await get(s, "/", **BROWSER)

    assert page.headers["Content-Type"].startswith("text/html")
    assert "Accept" in page.headers["Vary"]
    assert page.headers["Cache-Control"] == "no-store"
    assert "The way to a real call" in html


async def test_the_page_may_talk_to_this_server_alone_and_sit_in_nobodys_frame(s: Stage) -> None:
    """It shows how a telephone is set up, and has a button."""
    for path, headers in (("/", BROWSER), ("/", BROWSER | OUTSIDE), ("/setup/checks", BROWSER)):
        answer, _ = await get(s, path, **headers)
        policy = dict(
            rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; ")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert set(policy.values()) == {"'self'", "'none'"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_the_steps_are_asked_of_the_others(s: Stage) -> None:
    """The local Twilio is asked for its account and numbers; the local OpenAI has no list."""
    found = await checks(s)

    assert found["talk"]["state"] == "ok"
    assert found["openai"]["state"] == "unknown"
    assert found["twilio"]["state"] == "ok"
    assert found["public_url"]["state"] == "failed"
    assert found["webhook"]["state"] == "ok"
    assert found["webhook"]["sentence"] == "Leading here: +33 ••• 78."
    assert found["real_call"]["state"] == "todo"
    assert {method for method, *_ in s.twilio.desk.requests} == {"GET"}


async def test_a_call_that_comes_in_is_counted_and_ends_the_list(s: Stage) -> None:
    """The proof, once for each call, however often Twilio repeats its webhook."""
    assert json.loads((await get(s, "/setup/calls"))[1]) == {"live": 0, "since_start": 0}

    call = await s.twilio.call()
    await call.heard_at_least(100)

    assert json.loads((await get(s, "/setup/calls"))[1]) == {"live": 1, "since_start": 1}
    await call.hang_up()
    await s.record(call)
    assert json.loads((await get(s, "/setup/calls"))[1]) == {"live": 0, "since_start": 1}
    assert (await checks(s))["real_call"]["state"] == "ok"


@pytest.mark.parametrize(
    "headers",
    [
        OUTSIDE,
        {"Host": "localhost.evil.test"},
        {"X-Forwarded-For": "198.51.100.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=198.51.100.7"},
        {"Via": "1.1 proxy"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"} | OUTSIDE,
    ],
    ids=str,
)
async def test_strangers_learn_that_it_runs_and_how_to_see_more(
    s: Stage, headers: dict[str, str]
) -> None:
    """A tunnel brings the world to localhost, and says so in a header."""
    refused = [(await get(s, path, **headers))[0].status for path in CLOSED]
    page, html = await get(s, "/?check=1", **BROWSER, **headers)

    assert set(refused) <= {401, 403}
    assert page.status == 200
    assert "Patchline is running" in html
    assert f"http://localhost:{s.port}" in html
    assert "Twilio" not in html
    assert "contoso" not in html
    assert not s.twilio.desk.requests


CLOSED = ("/setup/checks", "/setup/calls")


async def test_a_page_of_another_origin_gets_nothing_and_makes_us_ask_nobody(s: Stage) -> None:
    """Any page in the operator's browser can point it at localhost."""
    foreign = {"Sec-Fetch-Site": "cross-site"}

    assert [(await get(s, path, **foreign))[0].status for path in CLOSED] == [403, 403]
    page, _ = await get(s, "/?check=1", **BROWSER, **foreign)
    assert page.status == 200
    assert not s.twilio.desk.requests


async def test_the_bearer_of_the_key_sees_all_from_anywhere(s: Stage) -> None:
    """A server in a rack has no browser."""
    answer, text = await get(s, "/setup/checks", **KEY, **OUTSIDE)
    page, html = await get(s, "/", **KEY, **OUTSIDE, **BROWSER)

    assert (answer.status, page.status) == (200, 200)
    assert [step["id"] for step in json.loads(text)] == ORDER
    assert "The way to a real call" in html


async def test_no_secret_and_no_whole_number_is_in_any_answer(s: Stage) -> None:
    """Screens are shared, and pages are printed for a ticket."""
    told = [
        (await get(s, path, **headers))[1]
        for path in ("/", "/?check=1", "/setup/checks", "/setup/calls", "/health")
        for headers in (BROWSER, {})
    ]

    assert "+33 ••• 78" in told[2]
    for text in told:
        assert not [secret for secret in SECRETS if secret in text]


async def test_each_process_has_a_mark_of_its_own(s: Stage, tmp_path: Path) -> None:
    """An old server that still runs answers 200 as well."""
    first = json.loads((await get(s, "/health"))[1])
    folder = tmp_path / "other"
    folder.mkdir()
    async with stage(RealtimeEmulator(Scenario([])), folder) as other:
        second = json.loads((await get(other, "/health"))[1])

    assert first["status"] == second["status"] == "ok"
    assert first["instance"] != second["instance"]
    assert len(first["instance"]) >= 16


@pytest.mark.parametrize("name", ["home.html", "phone.js", "..%2Fhome.py", "x"])
async def test_nothing_but_the_pages_files_is_served(s: Stage, name: str) -> None:
    """The folder is a list, not a door; and the telephone's script is not this page's."""
    assert (await get(s, f"/setup/assets/{name}"))[0].status == 404


@pytest.mark.parametrize(
    ("name", "kind"), [("home.js", "text/javascript"), ("home.css", "text/css")]
)
async def test_the_pages_files_are_asked_for_anew_and_answered_shortly(
    s: Stage, name: str, kind: str
) -> None:
    """A new version must not wait for a cache."""
    answer, body = await get(s, f"/setup/assets/{name}")
    again, nothing = await get(s, f"/setup/assets/{name}", If_None_Match=answer.headers["ETag"])

    assert answer.headers["Content-Type"].startswith(kind)
    assert body
    assert (again.status, nothing) == (304, "")
