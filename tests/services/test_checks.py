"""The live checks: what the others may answer, and that none of it costs more than it may."""

import asyncio
import gzip
import json
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_account import OwnedNumber
from app.services.checks import Checks, Limits, Numbers, Parties, Told

KEY = "sk-a-key-nobody-may-see"
TOKEN = "0123456789abcdef0123456789abcdef"
SID = "AC" + "0123456789abcdef" * 2
ORIGIN = "https://phone.contoso.test"
HERE = f"{ORIGIN}/incoming-call"
MODEL = "gpt-realtime-2.1"
GENEROUS = Limits()
QUICK = Limits(within_s=0.4, most_bytes=100_000)
LONGEST_S = 4
"""Ten times what a question may take: the tests' own patience."""

Answer = Callable[[web.BaseRequest], Any]


@dataclass
class Stranger:
    """A server that answers every request alike."""

    answer: Answer
    url: str = ""
    requests: list[web.BaseRequest] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        given = self.answer(request)
        reply: web.StreamResponse = await given if asyncio.iscoroutine(given) else given
        return reply


@asynccontextmanager
async def stranger(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stranger]:
    """One on a port of its own."""
    made = Stranger(answer)
    runner = web.ServerRunner(web.Server(made, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    made.url = site.name
    try:
        yield made
    finally:
        await runner.cleanup()


def says(status: int, body: object = "", **headers: str) -> Answer:
    """A fixed answer, as JSON unless it is text."""
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: web.Response(status=status, text=text, headers=named)


def models(*names: str) -> dict[str, object]:
    """OpenAI's list."""
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


def parties(url: str, **more: Any) -> Parties:
    """All of them at one address."""
    all_there = Parties(
        openai_url=url,
        model=MODEL,
        openai_key=KEY,
        twilio_url=url,
        account_sid=SID,
        auth_token=TOKEN,
        rest_user=SID,
        rest_secret=TOKEN,
        public_url=url,
        instance="this-one",
    )
    return replace(all_there, **more)


@asynccontextmanager
async def asking(given: Parties, limits: Limits = GENEROUS) -> AsyncIterator[Checks]:
    """The questions, and an end to every one of them."""
    checks = Checks(given, limits)
    try:
        async with asyncio.timeout(LONGEST_S):
            yield checks
    finally:
        checks.close()


async def told(question: str, answer: Answer, **more: Any) -> Told | Numbers:
    """What one question comes to when somebody answers so."""
    async with stranger(answer) as other, asking(parties(other.url, **more)) as checks:
        found: Told | Numbers = await getattr(checks, question)()
        return found


@pytest.mark.parametrize("question", ["openai", "account", "public_url", "numbers"])
async def test_what_is_not_set_is_not_asked(question: str) -> None:
    """Without an account there is nobody to ask, and nothing is wrong."""
    none = Parties(openai_url="http://127.0.0.1:9", model=MODEL)

    async with asking(none) as checks:
        assert (await getattr(checks, question)()).reason == "unset"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, models("gpt-4.1", MODEL), "ok"),
        (200, models("gpt-4.1"), "without_model"),
        (200, models(), "without_model"),
        (200, {"data": [None, 7, {"id": None}, {"name": MODEL}]}, "without_model"),
        (200, {"data": {MODEL: {}}}, "not_the_api"),
        (200, [MODEL], "not_the_api"),
        (200, "null", "not_the_api"),
        (200, "[" * 90_000, "not_the_api"),
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, "refused"),
        (403, {"error": {"message": "missing scopes: api.model.read"}}, "not_allowed"),
        (404, "", "no_list"),
        (429, "", "busy"),
        (503, "", "server_error"),
        (204, "", "not_the_api"),
    ],
)
async def test_openais_answers_become_words(status: int, body: object, reason: str) -> None:
    """A key that is refused and a model that is missing need different steps."""
    assert (await told("openai", says(status, body))).reason == reason


async def test_the_key_goes_where_the_model_is_and_azure_gets_its_header_too() -> None:
    """The same headers as the calls send: else the check would say nothing about them."""
    async with (
        stranger(says(200, models(MODEL))) as other,
        asking(parties(f"{other.url}/v1", azure=True)) as checks,
    ):
        found = await checks.openai()

    assert other.requests[0].path == "/v1/models"
    assert other.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert other.requests[0].headers["api-key"] == KEY
    assert found == Told("deployments")


async def test_models_that_would_do_are_named_and_nothing_else_is_repeated() -> None:
    """What a stranger's server calls a model is shown on a page."""
    listed = models("gpt-realtime-mini", "<script>realtime</script>", "tts-1", "my realtime")

    assert await told("openai", says(200, listed)) == Told("without_model", ("gpt-realtime-mini",))


async def never(_request: web.BaseRequest) -> web.Response:
    """Takes the request and says nothing."""
    await asyncio.get_running_loop().create_future()
    return web.Response()


async def dripping(request: web.BaseRequest) -> web.StreamResponse:
    """Something every few milliseconds, for ever."""
    reply = web.StreamResponse()
    await reply.prepare(request)
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.02)


async def ten_megabytes(request: web.BaseRequest) -> web.StreamResponse:
    """More than anybody asked for."""
    reply = web.StreamResponse()
    await reply.prepare(request)
    for _ in range(160):
        await reply.write(b" " * 65_536)
    return reply


def hanging_up(request: web.BaseRequest) -> web.Response:
    """The connection is gone when the request was read."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def bomb(_request: web.BaseRequest) -> web.Response:
    """A little that unfolds to 50 MB of JSON."""
    body = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


def round_and_round(request: web.BaseRequest) -> web.Response:
    """Sends one on to where one is, for ever."""
    return web.Response(status=302, headers={"Location": str(request.url)})


@pytest.mark.parametrize("question", ["openai", "account", "public_url", "numbers"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (never, "timed_out"),
        (dripping, "timed_out"),
        (ten_megabytes, "too_large"),
        (hanging_up, "garbled"),
        (round_and_round, "redirected"),
        (says(301, Location="http://[broken"), "redirected"),
        (says(200, "<!doctype html><h1>Welcome"), "html"),
        (says(200, "\n <html>"), "html"),
        (says(500, "<h1>oops"), "server_error"),
    ],
)
async def test_no_answer_costs_more_than_it_may(question: str, answer: Answer, reason: str) -> None:
    """The operator waits; and calls share the loop with whatever comes back."""
    async with (
        stranger(answer) as other,
        asking(parties(other.url), QUICK) as checks,
    ):
        found = await getattr(checks, question)()

    assert found.reason == reason
    # aiohttp asks once more where a connection was lost; a redirect is followed by nobody.
    assert len(other.requests) == (2 if answer is hanging_up else 1)


async def test_what_is_packed_is_not_unpacked() -> None:
    """Fifty megabytes of memory for as many kilobytes of a stranger's."""
    assert (await told("openai", bomb)).reason == "not_the_api"


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, b"\x15\x03"]
)
async def test_what_is_no_http_is_told_as_such(said: bytes) -> None:
    """A port that somebody else has, or https where http was meant."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with asking(parties(f"http://127.0.0.1:{port}"), QUICK) as checks:
            assert await checks.openai() == Told("garbled")


async def test_nobody_there_and_no_such_name_are_told_apart() -> None:
    """A server that is down, and an address with a slip in it."""
    async with stranger(says(200)) as gone:
        pass

    async with asking(parties(gone.url)) as checks:
        assert await checks.openai() == Told("unreachable")
        assert not await checks.listens(gone.url)
    async with asking(parties("http://nobody.invalid"), QUICK) as checks:
        assert (await checks.openai()).reason in {"no_such_host", "timed_out"}


async def test_a_certificate_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    """The key would be told to whoever reads along."""
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command = [*made, "-subj", "/CN=localhost", *files]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async with stranger(says(200), tls) as other, asking(parties(other.url)) as checks:
        found = await checks.openai()

    assert found == Told("certificate")
    assert not other.requests


@asynccontextmanager
async def account(**desk: Any) -> AsyncIterator[tuple[TwilioEmulator, Parties]]:
    """The local Twilio, and how it is asked."""
    async with TwilioEmulator(
        account_sid=SID, auth_token=TOKEN, public_url=ORIGIN, server_url="http://127.0.0.1:9"
    ) as twilio:
        for name, value in desk.items():
            setattr(twilio.desk, name, value)
        yield twilio, parties(twilio.api_url, public_url=ORIGIN)


@pytest.mark.parametrize(
    ("desk", "reason"),
    [
        ({}, "ok"),
        ({"account_type": "Trial"}, "trial"),
        ({"account_status": "suspended", "account_type": "Trial"}, "suspended"),
        ({"account_status": "closed"}, "closed"),
    ],
)
async def test_the_state_of_the_account_is_seen(desk: dict[str, str], reason: str) -> None:
    """A trial answers every request and takes no call to the end."""
    async with account(**desk) as (_, given), asking(given) as checks:
        assert await checks.account() == Told(reason)


async def test_a_wrong_token_and_a_wrong_account_are_told_apart() -> None:
    """One is copied again, the other is somebody else's."""
    async with account() as (_, given):
        async with asking(replace(given, auth_token="f" * 32)) as checks:
            assert await checks.account() == Told("refused")
        async with asking(replace(given, rest_user="SK", rest_secret="no")) as checks:
            assert await checks.account() == Told("ok")
            assert await checks.numbers() == Numbers("refused")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, {"code": 20003, "message": "Authenticate", "status": 401}, "refused"),
        (403, {"code": 20008, "message": "test credentials", "status": 403}, "test_credentials"),
        (401, {"code": 20005, "message": "not active", "status": 401}, "suspended"),
        (404, {"code": 20404, "message": "not found", "status": 404}, "no_account"),
        (401, "<html>", "refused"),
        (429, {"code": 20429, "message": "Too Many Requests", "status": 429}, "busy"),
        (200, {"sid": "AC" + "f" * 32, "status": "active"}, "not_the_api"),
        (200, {"hello": "world"}, "not_the_api"),
    ],
)
async def test_twilios_refusals_become_words(status: int, body: object, reason: str) -> None:
    """Its codes say more than the status does."""
    assert (await told("account", says(status, body))).reason == reason


async def test_numbers_are_sorted_by_where_they_lead() -> None:
    """A number with an application or a trunk never asks its URL."""
    numbers = [
        OwnedNumber("+33612345601", HERE, f"{ORIGIN}/twilio/fallback"),
        OwnedNumber("+33612345602", f"{HERE}?line=2"),
        OwnedNumber("+33612345603", HERE.replace("phone.contoso", "PHONE.Contoso")),
        OwnedNumber("+33612345604", f"{HERE}/"),
        OwnedNumber("+33612345605", f"{ORIGIN}.evil.test/incoming-call"),
        OwnedNumber("+33612345606", HERE, voice_application_sid="AP" + "0" * 32),
        OwnedNumber("+33612345607", HERE, trunk_sid="TK" + "0" * 32),
        OwnedNumber("+33612345608"),
        OwnedNumber("12345", "http://user:secret@elsewhere.test/"),
    ]

    async with account(numbers=numbers) as (twilio, given), asking(given) as checks:
        found = await checks.numbers()

    assert found.here == ("+33 ••• 01", "+33 ••• 02", "+33 ••• 03")
    assert found.without_fallback == ("+33 ••• 02", "+33 ••• 03")
    assert found.elsewhere[:-1] == tuple(f"+33 ••• 0{n}" for n in range(4, 9))
    assert found.elsewhere[-1] == "a short number"
    assert not found.more
    assert [method for method, *_ in twilio.desk.requests] == ["GET"]


async def test_messages_are_looked_at_where_the_agent_reads_them() -> None:
    """A number that takes none has nothing amiss; one with an application has."""
    texts = f"{ORIGIN}/incoming-message"
    numbers = [
        OwnedNumber("+33612345601", HERE, sms_url=texts),
        OwnedNumber("+33612345602", HERE),
        OwnedNumber("+33612345603", HERE, sms_url=texts, sms_application_sid="AP" + "0" * 32),
        OwnedNumber("+33612345604"),
    ]

    async with account(numbers=numbers) as (_, given):
        async with asking(replace(given, texts=True)) as checks:
            reads = await checks.numbers()
        async with asking(given) as checks:
            does_not = await checks.numbers()

    assert reads.without_messages == ("+33 ••• 02", "+33 ••• 03")
    assert does_not.without_messages == ()


async def test_who_has_many_numbers_is_told_that_fifty_were_looked_at() -> None:
    """None of the first fifty is not none."""
    numbers = [OwnedNumber(f"+336123456{n:02}") for n in range(51)]

    async with account(numbers=numbers) as (twilio, given), asking(given) as checks:
        found = await checks.numbers()

    assert len(found.elsewhere) == 50
    assert found.more
    assert len(twilio.desk.requests) == 1


@pytest.mark.parametrize("listed", [None, 7, {}, "x"])
async def test_what_is_no_list_of_numbers_is_no_list_of_twilios(listed: object) -> None:
    """Whoever answers there is somebody else."""
    found = await told("numbers", says(200, {"incoming_phone_numbers": listed}))

    assert found.reason == "not_the_api"


async def test_strange_numbers_do_no_harm() -> None:
    """Fields of the wrong kind come from somebody who is not Twilio, or from next year's."""
    listed = [None, 7, {}, {"phone_number": 5, "voice_url": ["x"]}, {"voice_url": "http://[x"}]

    found = await told("numbers", says(200, {"incoming_phone_numbers": listed}))

    assert isinstance(found, Numbers)
    assert (found.reason, found.here) == ("ok", ())
    assert found.elsewhere == ("a short number",) * 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(200, {"status": "ok", "instance": "this-one"}), "house"),
        (says(200, {"status": "ok", "instance": "another"}), "other_instance"),
        (says(200, {"status": "ok"}), "other_server"),
        (says(200, "ok"), "other_server"),
        (says(404, "not found"), "other_server"),
        (says(401), "locked"),
        (says(403, "<html>"), "locked"),
        (says(502, "<html>"), "server_error"),
        (says(404, "<html>", ngrok_error_code="ERR_NGROK_3200"), "tunnel_offline"),
        (says(502, "<html>", ngrok_error_code="ERR_NGROK_8012"), "tunnel_elsewhere"),
        (says(200, "<html>", ngrok_error_code="ERR_NGROK_6024"), "interstitial"),
        (says(429, "<html>", ngrok_error_code="ERR_NGROK_999999"), "server_error"),
    ],
)
async def test_only_this_very_process_counts_as_reached(answer: Answer, reason: str) -> None:
    """An older server, a parked page and a tunnel to nowhere all answer with 200 sometimes."""
    assert (await told("public_url", answer)).reason == reason


async def test_a_redirect_is_told_by_its_host_alone() -> None:
    """Logins carry secrets in what comes behind."""
    answer = says(302, Location="https://login.contoso.test/?state=secret")

    assert await told("public_url", answer) == Told("redirected", ("login.contoso.test",))


async def test_nothing_of_a_secret_is_in_what_is_told_or_printed() -> None:
    """Reasons go to pages, parties might go to a log."""
    shown = repr(parties("http://127.0.0.1:9"))

    assert KEY not in shown
    assert TOKEN not in shown
    assert SID not in shown
    assert not re.search(r"\d{8}", shown)


async def test_the_local_line_is_asked_by_its_socket() -> None:
    """A carrier that died is started again; meanwhile the page says so."""
    async with stranger(says(200)) as line, asking(parties(line.url)) as checks:
        assert await checks.listens(line.url.replace("http", "ws") + "/phone")
