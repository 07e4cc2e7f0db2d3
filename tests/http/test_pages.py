"""What the softphone's page is served with: who gets it, under which rules, and how fresh."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.http import problems
from app.http.pages import STATIC, PhoneSetup, Rung, routes

SETUP = PhoneSetup(
    "ws://localhost:6060/phone", "the-ticket", (Rung("hears", "PocketSphinx", "A sentence."),)
)


def client(
    setup: PhoneSetup | None = SETUP,
    origin: str = "http://localhost:5050",
    address: str = "127.0.0.1",
) -> TestClient:
    """A browser at ``address`` that opened the server under ``origin``."""
    app = FastAPI()
    problems.install(app)
    app.include_router(routes(lambda: setup))
    return TestClient(app, base_url=origin, client=(address, 50_000))


@pytest.fixture
def local() -> Iterator[TestClient]:
    """On the machine itself."""
    with client() as made:
        yield made


def test_the_page_may_talk_to_this_server_and_the_line_and_to_nobody_else(
    local: TestClient,
) -> None:
    """A page with a microphone is the last that may load a script from elsewhere."""
    answer = local.get("/phone")

    policy = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    assert answer.status_code == 200
    assert policy.pop("connect-src") == "'self' ws://localhost:6060"
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert {"base-uri", "form-action", "frame-ancestors"} < set(policy)
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_every_file_of_the_page_is_served_with_its_type_and_can_be_asked_for_anew(
    local: TestClient,
) -> None:
    """A browser takes no module of another type; and a new version must not wait for a cache."""
    names = sorted(file.name for file in STATIC.iterdir() if file.suffix != ".html")
    assert len(names) > 5
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

    for name in names:
        answer = local.get(f"/phone/assets/{name}")
        again = local.get(
            f"/phone/assets/{name}", headers={"If-None-Match": answer.headers["etag"]}
        )

        assert answer.content == (STATIC / name).read_bytes()
        assert answer.headers["content-type"].startswith(types["." + name.rpartition(".")[2]])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["phone.html", "..%2Fpages.py", "%2e%2e/pages.py", "nothing.js"])
def test_nothing_but_the_pages_files_is_served(local: TestClient, name: str) -> None:
    """The folder is a list, not a door."""
    assert local.get(f"/phone/assets/{name}").status_code == 404


def test_the_page_is_told_where_its_line_is_and_what_runs(local: TestClient) -> None:
    """The status strip says who hears, thinks, speaks and carries the call."""
    answer = local.get("/phone/setup.json", headers={"Sec-Fetch-Site": "same-origin"})

    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "line": "ws://localhost:6060/phone",
        "ticket": "the-ticket",
        "rungs": [
            {"part": "hears", "rung": "PocketSphinx", "sentence": "A sentence.", "better": None}
        ],
    }


@pytest.mark.parametrize("origin", ["http://127.0.0.1:5050", "http://[::1]:5050"])
def test_this_machine_has_several_names(origin: str) -> None:
    """Whoever types the number instead of the name is the same person."""
    assert client(origin=origin).get("/phone/setup.json").status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.test:5050", "http://192.168.1.5:5050", "http://localhost.evil.test:5050"],
)
def test_a_name_somebody_pointed_here_gets_no_ticket(origin: str) -> None:
    """A page whose name was rebound to 127.0.0.1 would else be a telephone of a stranger."""
    answer = client(origin=origin).get("/phone/setup.json")

    assert answer.status_code == 403
    assert "the-ticket" not in answer.text
    assert "http://localhost:5050/phone" in answer.json()["detail"]
    assert "6060" in answer.json()["detail"]


@pytest.mark.parametrize("address", ["192.168.1.7", "::ffff:10.0.0.3", "not an address"])
def test_a_stranger_of_the_network_who_says_localhost_gets_no_ticket(address: str) -> None:
    """Anybody can write any Host, and the server listens to the whole network."""
    answer = client(address=address).get("/phone/setup.json")

    assert answer.status_code == 403
    assert "the-ticket" not in answer.text


def test_what_a_proxy_passes_on_gets_no_ticket(local: TestClient) -> None:
    """A tunnel's requests come from this machine, and its visitors do not."""
    answer = local.get("/phone/setup.json", headers={"X-Forwarded-For": "203.0.113.9"})

    assert answer.status_code == 403
    assert "the-ticket" not in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_origin_gets_no_ticket(local: TestClient, site: str) -> None:
    """Another port of this machine is another origin, and may be anybody's page."""
    answer = local.get("/phone/setup.json", headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 403
    assert "the-ticket" not in answer.text


@pytest.mark.parametrize("path", ["/phone", "/phone/setup.json", "/phone/assets/phone.js"])
def test_without_a_local_line_there_is_a_sentence_in_its_place(path: str) -> None:
    """With a real Twilio account the page has nobody to talk to."""
    answer = client(None).get(path)

    assert answer.status_code == 404
    assert "takes its calls from Twilio" in answer.json()["detail"]


def test_a_line_that_comes_later_is_found_then() -> None:
    """The carrier may start after the routes were made."""
    found: list[PhoneSetup] = []
    app = FastAPI()
    app.include_router(routes(lambda: found[0] if found else None))
    browser = TestClient(app, base_url="http://localhost:5050")

    assert browser.get("/phone").status_code == 404
    found.append(SETUP)
    assert browser.get("/phone").status_code == 200
