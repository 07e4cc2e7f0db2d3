"""The REST API of the local Twilio, driven by Twilio's own Python client."""

import asyncio
import base64
from collections.abc import Callable
from typing import TypeVar

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.emulators.twilio import (
    DROPPED,
    UNANSWERED,
    DialOutcome,
    Faults,
    Pace,
    TwilioEmulator,
)
from tests.emulators.tiny_server import CONNECT, telephone

T = TypeVar("T")
SAY = "<Response><Say>hello</Say><Hangup/></Response>"
STATUS_URL = "https://patchline.test/status"


def client_of(twilio: TwilioEmulator, token: str = "12345") -> Client:
    client = Client(twilio.account_sid, token)
    client.api.base_url = twilio.api_url
    return client


async def ask(question: Callable[[], T]) -> T:
    """The client blocks; the emulator lives on this loop."""
    return await asyncio.to_thread(question)


async def refusal(question: Callable[[], object]) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        await ask(question)
    return caught.value


async def test_a_call_can_be_fetched_redirected_and_completed() -> None:
    """The three requests a phone server makes about a running call."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        await server.peer()
        resource = client_of(twilio).calls(call.call_sid)

        fetched = await ask(resource.fetch)
        assert (fetched.status, fetched.direction, fetched.to) == (
            "in-progress",
            "inbound",
            "+15005550006",
        )
        updated = await ask(lambda: resource.update(twiml=CONNECT.format(behind="")))
        assert updated.sid == call.call_sid
        await server.peer(2)
        await ask(lambda: resource.update(status="completed"))

        assert await call.ended() == "rest"
        assert (await ask(resource.fetch)).status == "completed"
        assert call.said == []
        await server.until(lambda: server.peers[1].gone)
        assert [len(peer.of("stop")) for peer in server.peers] == [1, 1]
        assert call.streams[0].stream_sid != call.streams[1].stream_sid
        call.assert_clean()


async def test_hanging_up_by_rest_sends_stop_closes_and_reports() -> None:
    """The verb behind </Connect> is not run: that is what tells a hang-up from a close."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await ask(lambda: client_of(twilio).calls(call.call_sid).update(status="completed"))
        await call.ended()
        await server.until(lambda: peer.gone)

        assert peer.messages[-1]["event"] == "stop"
        assert peer.socket.close_code == 1000
        assert call.said == []
        assert server.forms("/twilio/call-status")[-1]["CallStatus"] == "completed"


@pytest.mark.parametrize("update", [{"twiml": SAY}, {"url": "https://patchline.test/x"}])
async def test_a_call_that_is_over_cannot_be_redirected(update: dict[str, str]) -> None:
    """21220 is the benign race of every hang-up."""
    async with telephone(SAY) as (twilio, _server):
        call = await twilio.call()
        await call.ended()

        error = await refusal(lambda: client_of(twilio).calls(call.call_sid).update(**update))

        assert (error.status, error.code) == (400, 21220)


async def test_unknown_calls_and_wrong_credentials_are_refused_in_twilios_shape() -> None:
    """20404 and 20003 must be told apart by code, not by text."""
    async with telephone() as (twilio, _server):
        missing = await refusal(client_of(twilio).calls("CA" + "9" * 32).fetch)
        wrong = await refusal(client_of(twilio, "wrong").calls("CA1").fetch)
        stranger = Client("AC" + "1" * 32, "12345", "AC" + "1" * 32)
        stranger.api.base_url = twilio.api_url
        foreign = await refusal(stranger.calls("CA1").fetch)

        assert (missing.status, missing.code) == (404, 20404)
        assert (wrong.status, wrong.code) == (401, 20003)
        assert (foreign.status, foreign.code) == (401, 20003)


async def test_an_api_key_opens_the_account() -> None:
    """Operators are told to use keys instead of the auth token."""
    async with telephone(api_keys={"SK1": "secret"}) as (twilio, server):
        call = await twilio.call()
        await server.peer()
        client = Client("SK1", "secret", twilio.account_sid)
        client.api.base_url = twilio.api_url

        assert (await ask(client.calls(call.call_sid).fetch)).sid == call.call_sid


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (500, 20500), (503, 20503)])
async def test_failures_can_be_ordered_and_end(status: int, code: int) -> None:
    """A retry policy is only tested by a server that fails a counted number of times."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        await server.peer()
        resource = client_of(twilio).calls(call.call_sid)
        twilio.fail_next(f"/Calls/{call.call_sid}", status, code, times=2)

        for _ in range(2):
            error = await refusal(lambda: resource.update(status="completed"))
            assert (error.status, error.code) == (status, code)
        assert call.status == "in-progress"
        await ask(lambda: resource.update(status="completed"))

        assert await call.ended() == "rest"


async def test_an_answer_can_be_lost_after_the_deed() -> None:
    """The ambiguous failure: a message that was sent and looks as if it was not."""
    async with telephone() as (twilio, _server):
        twilio.fail_next("Messages", 500, after=True)

        await refusal(
            lambda: client_of(twilio).messages.create(to="+15005550010", from_="+1500", body="hi")
        )

        assert [one["body"] for one in twilio.messages] == ["hi"]


@pytest.mark.parametrize("status", [503, DROPPED, UNANSWERED])
async def test_a_redirect_can_be_obeyed_though_it_looked_refused(status: int) -> None:
    """A server that tries again, or apologises, after such an answer does it to two calls."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        path = f"/2010-04-01/Accounts/{twilio.account_sid}/Calls/{call.call_sid}.json"
        twilio.fail_next("/Calls/", status, 20503, after=True, late_ms=200)

        basic = base64.b64encode(f"{twilio.account_sid}:{twilio.auth_token}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            request = asyncio.ensure_future(client.post(twilio.api_url + path, data={"Twiml": SAY}))
            await server.until(lambda: peer.gone)
            felt_first = not request.done()
            await call.ended()
            outcome = await _outcome(request)

        assert felt_first
        assert peer.messages[-1]["event"] == "stop"
        assert call.said == ["hello"]
        assert outcome == {503: "503", DROPPED: "reset", UNANSWERED: "silence"}[status]


async def _outcome(request: asyncio.Future[aiohttp.ClientResponse]) -> str:
    """What the client is left with, half a second later at most."""
    try:
        return str((await asyncio.wait_for(request, 0.5)).status)
    except TimeoutError:
        return "silence"
    except aiohttp.ClientError:
        return "reset"


async def test_twiml_by_rest_needs_absolute_urls() -> None:
    """15004: TwiML that came by REST has no address to be relative to."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        await server.peer()
        twiml = '<Response><Dial action="/after">+15005550011</Dial></Response>'

        await ask(lambda: client_of(twilio).calls(call.call_sid).update(twiml=twiml))
        await call.ended()

        assert [one.code for one in call.violations] == [15004]
        assert server.forms("/after") == []


async def test_overlong_twiml_and_missing_parameters_are_refused() -> None:
    """What Twilio refuses by length or absence must fail here, not on a real account."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        await server.peer()
        client = client_of(twilio)
        resource = client.calls(call.call_sid)

        long = await refusal(lambda: resource.update(twiml="<Response/>".ljust(4001)))
        empty = await refusal(lambda: client.calls.create(to="nobody", from_="+1500", twiml=SAY))
        both = await refusal(lambda: resource.update(status="canceled"))

        assert long.status == 400
        assert empty.code == 21211
        assert both.code == 21220


async def test_the_redirect_is_obeyed_when_the_server_waits_for_stop() -> None:
    """The right way to put a caller through: update, leave the socket alone, wait for stop."""
    pace = Pace(redirect_delay_ms=100)
    async with telephone(CONNECT.format(behind=""), pace=pace) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await ask(lambda: client_of(twilio).calls(call.call_sid).update(twiml=SAY))
        assert not peer.of("stop")
        await server.until(lambda: peer.gone)

        assert await call.ended() == "hangup"
        assert peer.messages[-1]["event"] == "stop"
        assert call.said == ["hello"]
        call.assert_clean()


async def test_the_redirect_is_lost_when_the_server_closes_first() -> None:
    """Closing right after the update hangs up on the caller, as seen in production."""
    pace = Pace(redirect_delay_ms=100)
    async with telephone(CONNECT.format(behind=""), pace=pace) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await ask(lambda: client_of(twilio).calls(call.call_sid).update(twiml=SAY))
        await peer.socket.close()

        assert await call.ended() == "end_of_twiml"
        assert call.said == []
        assert len(call.lost_redirects) == 1


async def test_a_verb_behind_connect_saves_the_redirect_after_an_early_close() -> None:
    """With something to do behind </Connect> the call lives until the redirect is obeyed."""
    pace = Pace(redirect_delay_ms=100)
    behind = '<Pause length="10"/>'
    async with telephone(CONNECT.format(behind=behind), pace=pace) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await ask(lambda: client_of(twilio).calls(call.call_sid).update(twiml=SAY))
        await peer.socket.close()

        assert await call.ended() == "hangup"
        assert call.said == ["hello"]


async def test_an_outbound_call_rings_is_answered_and_reports_its_progress() -> None:
    """Four events, asked for by name, answered being called in-progress."""
    async with telephone() as (twilio, server):
        created = await ask(
            lambda: client_of(twilio).calls.create(
                to="+15005550010",
                from_="+15005550006",
                url="https://patchline.test/incoming-call",
                status_callback=STATUS_URL,
                status_callback_event=["initiated", "ringing", "answered", "completed"],
            )
        )
        assert created.status == "queued"
        call = twilio.calls[created.sid or ""]
        await server.peer()
        await call.hang_up()
        await call.ended()

        assert server.forms("/incoming-call")[0]["Direction"] == "outbound-api"
        forms = sorted(server.forms("/status"), key=lambda form: int(form["SequenceNumber"]))
        statuses = [form["CallStatus"] for form in forms]
        assert statuses == ["initiated", "ringing", "in-progress", "completed"]


@pytest.mark.parametrize("kind", ["busy", "no-answer", "failed"])
async def test_an_outbound_call_that_is_not_answered_fetches_nothing(kind: str) -> None:
    """A number that is busy must not cost a conversation."""
    answers = {"+15005550010": DialOutcome(kind, sip_response_code=603)}
    async with telephone(answers=answers) as (twilio, server):
        created = await ask(
            lambda: client_of(twilio).calls.create(
                to="+15005550010",
                from_="+15005550006",
                url="https://patchline.test/incoming-call",
                status_callback=STATUS_URL,
            )
        )
        call = twilio.calls[created.sid or ""]

        assert await call.ended() == "not_answered"
        assert call.status == kind
        assert server.forms("/incoming-call") == []
        form = server.forms("/status")[0]
        assert (form["CallStatus"], form["SipResponseCode"]) == (kind, "603")


async def test_status_callbacks_can_arrive_out_of_order() -> None:
    """Twilio promises no order; only SequenceNumber has one."""
    faults = Faults(status_delay_ms={"initiated": 60})
    async with telephone(faults=faults) as (twilio, server):
        created = await ask(
            lambda: client_of(twilio).calls.create(
                to="+15005550010",
                from_="+15005550006",
                twiml=SAY,
                status_callback=STATUS_URL,
                status_callback_event=["initiated", "ringing"],
            )
        )
        await twilio.calls[created.sid or ""].ended()

        order = [form["SequenceNumber"] for form in server.forms("/status")]
        assert order == ["1", "0"]


async def test_messages_are_taken_down_and_checked() -> None:
    """An SMS is a promise to a caller: what Twilio would refuse is refused here."""
    async with telephone() as (twilio, _server):
        client = client_of(twilio)
        twilio.desk.opted_out.add("+15005550099")

        sent = await ask(
            lambda: client.messages.create(to="+15005550010", from_="+15005550006", body="Hello")
        )
        stopped = await refusal(
            lambda: client.messages.create(to="+15005550099", from_="+1500", body="Hello")
        )
        long = await refusal(
            lambda: client.messages.create(to="+15005550010", from_="+1500", body="x" * 1601)
        )

        assert sent.status == "queued"
        assert (await ask(client.messages(sent.sid or "").fetch)).body == "Hello"
        assert [one["body"] for one in twilio.messages] == ["Hello"]
        assert (stopped.code, long.code) == (21610, 21617)
