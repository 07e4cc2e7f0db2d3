"""REST for a live call: what Twilio may answer, and that its silence costs the loop nothing."""

import asyncio
import base64
import logging
import socket
import urllib.parse
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web

from app.errors import CarrierFault, OurFault
from app.services.twilio_rest import Patience, TwilioRest

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
CALL_SID = "CA" + "0123456789abcdef" * 2
OTHER_SID = "CA" + "fedcba9876543210" * 2
TWIML = "<Response><Dial><Number>+33612345678</Number></Dial></Response>"
QUICK = Patience(connect_s=0.5, read_s=0.3, retry_window_s=1.0, total_s=2.0, first_pause_s=0.01)

CALL_OVER = (400, {"code": 21220, "message": "Call is not in-progress.", "status": 400})
NO_SUCH_CALL = (404, {"code": 20404, "message": "Not found: +33612345678", "status": 404})


@dataclass
class Carrier:
    """A REST API that answers what it is told to, one reply a request, the last for ever."""

    replies: list[tuple[int, dict[str, object] | str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    requests: list[web.BaseRequest] = field(default_factory=list)
    silent: bool = False
    resets: bool = False
    """Drop the connection once the request was read."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    base_url: str = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.forms.append(dict(urllib.parse.parse_qsl(await request.text())))
        self.asked.set()
        if self.silent:
            await self.released.wait()
        if self.resets and request.transport is not None:
            request.transport.abort()
        sid = request.path.rpartition("/")[2].removesuffix(".json")
        status, reply = self.replies[0] if self.replies else (200, {"sid": sid, "status": sid})
        if len(self.replies) > 1:
            self.replies.pop(0)
        if isinstance(reply, str):
            return web.Response(status=status, text=reply, content_type="text/html")
        return web.json_response(reply, status=status)


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    carrier = Carrier()
    runner = web.ServerRunner(web.Server(carrier.answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    carrier.base_url = site.name
    yield carrier
    carrier.released.set()
    await runner.cleanup()


def connect(base_url: str, patience: Patience = QUICK, threads: int = 8) -> TwilioRest:
    return TwilioRest(
        account_sid=ACCOUNT_SID,
        username="SK123",
        password="secret",
        base_url=base_url,
        patience=patience,
        threads=threads,
    )


@pytest.fixture
async def twilio(carrier: Carrier) -> AsyncIterator[TwilioRest]:
    twilio = connect(carrier.base_url)
    yield twilio
    twilio.close()


def nobodys_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def fault_of(waiting: Coroutine[object, object, object]) -> CarrierFault:
    with pytest.raises(CarrierFault) as caught:
        await waiting
    return caught.value


async def reason_of(waiting: Coroutine[object, object, object]) -> str:
    return (await fault_of(waiting)).reason


async def test_a_redirect_sends_the_document(carrier: Carrier, twilio: TwilioRest) -> None:
    """S13: the only way to move a caller is to update the live call."""
    await twilio.redirect(CALL_SID, TWIML)

    request = carrier.requests[0]
    assert request.method == "POST"
    assert request.path == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{CALL_SID}.json"
    assert carrier.forms == [{"Twiml": TWIML}]
    credentials = base64.b64encode(b"SK123:secret").decode()
    assert request.headers["Authorization"] == f"Basic {credentials}"


async def test_a_hang_up_ends_the_call_for_everybody(carrier: Carrier, twilio: TwilioRest) -> None:
    """L23: closing only our end would leave the caller in silence."""
    await twilio.hang_up(CALL_SID)

    assert carrier.forms == [{"Status": "completed"}]


async def test_the_status_of_a_call(carrier: Carrier, twilio: TwilioRest) -> None:
    """The watchdog asks before it gives a silent call up."""
    carrier.replies = [(200, {"sid": CALL_SID, "status": "in-progress"})]

    assert await twilio.call_status(CALL_SID) == "in-progress"
    assert carrier.requests[0].method == "GET"


@pytest.mark.parametrize("reply", [CALL_OVER, NO_SUCH_CALL])
async def test_hanging_up_a_call_that_is_over_is_success(
    carrier: Carrier, twilio: TwilioRest, reply: tuple[int, dict[str, object] | str]
) -> None:
    """L25: the caller hung up first; nobody needs an error for that."""
    carrier.replies = [reply]

    await twilio.hang_up(CALL_SID)

    assert len(carrier.requests) == 1


@pytest.mark.parametrize("reply", [CALL_OVER, NO_SUCH_CALL])
async def test_redirecting_a_call_that_is_over_says_so(
    carrier: Carrier, twilio: TwilioRest, reply: tuple[int, dict[str, object] | str]
) -> None:
    """L28: the model must learn that the transfer did not happen."""
    carrier.replies = [reply]

    assert await reason_of(twilio.redirect(CALL_SID, TWIML)) == "call_over"
    assert await reason_of(twilio.call_status(CALL_SID)) == "call_over"


@pytest.mark.parametrize(
    ("status", "reply", "reason"),
    [
        (401, {"code": 20003, "message": "Authenticate", "status": 401}, "credentials"),
        (403, {"code": 20005, "message": "Account not active", "status": 403}, "credentials"),
        (403, "<html>proxy says no</html>", "credentials"),
        (400, {"code": 21211, "message": "Invalid 'To' +33612345678"}, "refused_21211"),
        (400, {"code": "<b>", "message": "x"}, "refused_400"),
        (404, "<html>nginx</html>", "refused_404"),
        (302, "", "refused_302"),
        (
            400,
            {"type": "t", "title": "Bad", "status": 400, "code": 21215, "detail": "x"},
            "refused_21215",
        ),
    ],
)
async def test_a_refusal_has_a_stable_reason_and_is_not_repeated(
    carrier: Carrier,
    twilio: TwilioRest,
    status: int,
    reply: dict[str, object] | str,
    reason: str,
) -> None:
    """`D-TRA-3`: bad credentials once killed a whole server; here they are a reason."""
    carrier.replies = [(status, reply)]

    assert await reason_of(twilio.redirect(CALL_SID, TWIML)) == reason
    assert len(carrier.requests) == 1


async def test_a_fault_never_quotes_twilio(carrier: Carrier, twilio: TwilioRest) -> None:
    """Twilio's messages have phone numbers in them, and ours end in logs."""
    carrier.replies = [(400, {"code": 21211, "message": "Invalid 'To' +33612345678"})]

    with pytest.raises(CarrierFault) as caught:
        await twilio.redirect(CALL_SID, TWIML)

    assert str(caught.value) == "refused_21211"


async def test_a_rate_limit_is_waited_out(carrier: Carrier, twilio: TwilioRest) -> None:
    """429 means the request was not processed, so another attempt is always safe."""
    limited = (429, {"code": 20429, "message": "Too many requests", "status": 429})
    carrier.replies = [limited, limited, limited, (200, {"sid": CALL_SID})]

    await twilio.redirect(CALL_SID, TWIML)

    assert len(carrier.requests) == 4


async def test_a_rate_limit_that_stays_is_given_up(carrier: Carrier, twilio: TwilioRest) -> None:
    """A caller waits meanwhile: patience is bounded."""
    carrier.replies = [(429, {"code": 20429, "message": "Too many requests", "status": 429})]

    assert await reason_of(twilio.redirect(CALL_SID, TWIML)) == "rate_limited"


async def test_one_server_error_is_forgiven(carrier: Carrier, twilio: TwilioRest) -> None:
    """A hang-up says what the call shall be: saying it twice does no harm."""
    carrier.replies = [(500, {"code": 20500, "message": "x"}), (200, {"sid": CALL_SID})]

    await twilio.hang_up(CALL_SID)

    assert len(carrier.requests) == 2


@pytest.mark.parametrize(
    "reply", [(500, {"code": 20500, "message": "x"}), (502, "<html>bad gateway</html>")]
)
async def test_two_server_errors_are_a_fault(
    carrier: Carrier, twilio: TwilioRest, reply: tuple[int, dict[str, object] | str]
) -> None:
    """The next step, telling the caller, must not wait for Twilio's recovery."""
    carrier.replies = [reply]

    assert await reason_of(twilio.hang_up(CALL_SID)) == "server_error"
    assert len(carrier.requests) == 2


@pytest.mark.parametrize(
    "reply", [(500, {"code": 20500, "message": "x"}), (503, "<html>unavailable</html>"), (200, "")]
)
async def test_a_document_is_not_sent_again_after_a_server_error(
    carrier: Carrier, twilio: TwilioRest, reply: tuple[int, dict[str, object] | str]
) -> None:
    """It may have taken effect, and running it again would ring the person twice."""
    carrier.replies = [reply]

    fault = await fault_of(twilio.redirect(CALL_SID, TWIML))

    assert (fault.reason, fault.unclear) == ("server_error", True)
    assert len(carrier.requests) == 1


async def test_a_document_is_not_sent_again_after_a_lost_connection(
    carrier: Carrier, twilio: TwilioRest
) -> None:
    """The request was read; whether it was obeyed nobody knows."""
    carrier.resets = True

    fault = await fault_of(twilio.redirect(CALL_SID, TWIML))

    assert (fault.reason, fault.unclear) == ("connection_lost", True)
    assert len(carrier.requests) == 1


async def test_a_hang_up_is_sent_again_after_a_lost_connection(
    carrier: Carrier, twilio: TwilioRest
) -> None:
    """Ending a call that has ended is nothing."""
    carrier.resets = True

    assert await reason_of(twilio.hang_up(CALL_SID)) == "connection_lost"
    assert len(carrier.requests) > 1


@pytest.mark.parametrize("reply", ["<html>captive portal</html>", "", "[]", "null", "7"])
async def test_a_success_that_is_no_call_is_a_fault(
    carrier: Carrier, twilio: TwilioRest, reply: str
) -> None:
    """A wrong base URL can answer 200 with anything."""
    carrier.replies = [(200, reply)]

    assert await reason_of(twilio.call_status(CALL_SID)) == "server_error"


async def test_the_loop_goes_on_while_twilio_says_nothing(carrier: Carrier) -> None:
    """`D-TAC-6` in REST: twilio-python waits for ever; frames must not wait with it."""
    carrier.silent = True
    twilio = connect(carrier.base_url)

    waiting = asyncio.create_task(reason_of(twilio.redirect(CALL_SID, TWIML)))
    await asyncio.wait_for(carrier.asked.wait(), 20)
    # The server shares this loop: that it was reached shows that the loop is free.

    assert await asyncio.wait_for(waiting, 20) == "timed_out"
    assert len(carrier.requests) == 1
    twilio.close()


async def test_waiting_for_a_thread_counts_as_waiting(carrier: Carrier) -> None:
    """When Twilio hangs for everybody, nobody waits longer than the total."""
    carrier.silent = True
    patience = Patience(connect_s=0.5, read_s=1.0, total_s=0.2)
    twilio = connect(carrier.base_url, patience, threads=1)

    reasons = await asyncio.gather(*(reason_of(twilio.redirect(CALL_SID, TWIML)) for _ in range(5)))

    assert reasons == ["timed_out"] * 5
    assert len(carrier.requests) == 1
    twilio.close()


async def test_nobody_listening_is_unreachable() -> None:
    """A refused connection is repeated for a moment: load balancers restart."""
    patience = Patience(retry_window_s=0.1, first_pause_s=0.01)
    twilio = connect(f"http://127.0.0.1:{nobodys_port()}", patience)

    for asking in (twilio.hang_up, lambda sid: twilio.redirect(sid, TWIML)):
        began_s = asyncio.get_running_loop().time()
        fault = await fault_of(asking(CALL_SID))
        assert (fault.reason, fault.unclear) == ("unreachable", False)
        assert asyncio.get_running_loop().time() - began_s > 0.02, "it was tried again"
    twilio.close()


async def test_two_calls_never_get_each_others_reply(carrier: Carrier) -> None:
    """twilio-python's own HTTP client passes replies through an attribute all threads share."""
    twilio = connect(carrier.base_url, Patience(read_s=20, total_s=30))
    sids = [CALL_SID, OTHER_SID] * 40

    assert await asyncio.gather(*(twilio.call_status(sid) for sid in sids)) == sids
    twilio.close()


async def test_region_and_edge_of_the_environment_do_not_move_our_requests(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library reads both silently and rewrites the host, even 127.0.0.1."""
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    twilio = connect(carrier.base_url)

    await twilio.hang_up(CALL_SID)

    assert len(carrier.requests) == 1
    twilio.close()


async def test_nothing_of_a_request_is_logged(
    carrier: Carrier, twilio: TwilioRest, caplog: pytest.LogCaptureFixture
) -> None:
    """The library logs URLs and headers at INFO."""
    caplog.set_level(logging.INFO)

    await twilio.redirect(CALL_SID, TWIML)

    assert CALL_SID not in caplog.text
    assert "+33612345678" not in caplog.text


@pytest.mark.parametrize("sid", ["", "CA1", CALL_SID + "/../../Accounts", None])
async def test_what_is_no_sid_reaches_no_path(
    carrier: Carrier, twilio: TwilioRest, sid: str | None
) -> None:
    """The library puts the SID into the path as it is, even None."""
    with pytest.raises(OurFault) as caught:
        await twilio.hang_up(str(sid))

    assert caught.value.reason == "malformed_call_sid"
    assert carrier.requests == []


async def test_a_cancelled_request_is_given_up_at_once(carrier: Carrier) -> None:
    """The end of a call must not wait for a REST reply."""
    carrier.silent = True
    twilio = connect(carrier.base_url)
    waiting = asyncio.create_task(twilio.redirect(CALL_SID, TWIML))
    await asyncio.wait_for(carrier.asked.wait(), 20)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    twilio.close()


async def test_a_closed_client_refuses(twilio: TwilioRest) -> None:
    """After the drain nothing may go out any more, and the reason should say so."""
    twilio.close()

    with pytest.raises(OurFault) as caught:
        await twilio.hang_up(CALL_SID)

    assert caught.value.reason == "closed"


@pytest.mark.parametrize("missing", ["account_sid", "username", "password"])
def test_credentials_must_be_there(missing: str) -> None:
    """The library would send unauthenticated requests to /Accounts/None."""
    credentials = {"account_sid": ACCOUNT_SID, "username": "SK1", "password": "p", missing: ""}

    with pytest.raises(OurFault):
        TwilioRest(**credentials)


async def test_a_call_is_placed_with_what_was_asked_for(
    carrier: Carrier, twilio: TwilioRest
) -> None:
    """And its CallSid is known before it rings."""
    carrier.replies = [(201, {"sid": CALL_SID, "status": "queued"})]

    sid = await twilio.place("+12125551234", "+12125550000", "https://x/y", {"timeout": 20})

    assert sid == CALL_SID
    assert carrier.forms == [
        {"To": "+12125551234", "From": "+12125550000", "Url": "https://x/y", "Timeout": "20"}
    ]


@pytest.mark.parametrize(
    ("reply", "unclear"),
    [
        ((500, {"code": 20500}), True),
        ((502, "<html>bad gateway</html>"), True),
        ((201, "<html>portal</html>"), True),
        ((201, {"sid": "what?"}), True),
        ((400, {"code": 21211}), False),
        ((401, {"code": 20003}), False),
    ],
)
async def test_an_order_is_never_sent_twice(
    carrier: Carrier,
    twilio: TwilioRest,
    reply: tuple[int, dict[str, object] | str],
    unclear: bool,
) -> None:
    """Somebody's telephone rings for it."""
    carrier.replies = [reply]

    fault = await fault_of(twilio.place("+12125551234", "+12125550000", "https://x/y", {}))

    assert fault.unclear is unclear
    assert len(carrier.requests) == 1


async def test_an_order_that_was_not_taken_is_sent_again(
    carrier: Carrier, twilio: TwilioRest
) -> None:
    """429 means that nothing was done."""
    carrier.replies = [(429, {"code": 20429}), (201, {"sid": CALL_SID})]

    assert await twilio.place("+12125551234", "+12125550000", "https://x/y", {}) == CALL_SID


async def test_the_calls_between_two_numbers_since_a_moment_are_found(
    carrier: Carrier, twilio: TwilioRest
) -> None:
    """Oldest first; what does not belong there is left out, whatever the server filters."""

    def listed(sid: str, minute: int, **other: str) -> dict[str, str]:
        made = f"Sat, 21 Nov 2026 12:{minute:02}:00 +0000"
        plain = {"to": "+12125551234", "from": "+12125550000", "direction": "outbound-api"}
        return {**plain, "sid": sid, "status": "queued", "date_created": made, **other}

    calls = [
        listed("CA3", 7),
        listed("CA2", 5),
        listed("CA1", 4),
        listed("CA4", 8, direction="inbound"),
        listed("CA5", 8, to="+12125559999"),
    ]
    carrier.replies = [(200, {"calls": calls, "page": 0, "page_size": 50, "next_page_uri": None})]

    found = await twilio.placed_since(
        "+12125551234", "+12125550000", datetime(2026, 11, 21, 12, 5, 0, 900_000, tzinfo=UTC)
    )

    assert [one.call_sid for one in found] == ["CA2", "CA3"]
    assert dict(carrier.requests[0].query)["To"] == "+12125551234"
