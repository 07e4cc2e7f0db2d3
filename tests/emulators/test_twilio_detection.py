"""Calls placed by REST on the local Twilio: who picks up, and how the server is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.audio.tones import tone
from app.emulators.twilio import DialOutcome, Faults, PickUp, TwilioEmulator
from app.emulators.twilio_call import EmulatedCall
from tests.emulators.tiny_server import CONNECT, TinyServer, telephone

TO, FROM = "+12125551234", "+15005550006"
AMD_URL = "https://patchline.test/amd"
STATUS_URL = "https://patchline.test/status"
ASYNC = {"async_amd": "true", "async_amd_status_callback": AMD_URL}
EVENTS = ["initiated", "ringing", "answered", "completed"]


async def placed(twilio: TwilioEmulator, **more: Any) -> EmulatedCall:
    """A call ordered as a program would order it."""
    client = Client(twilio.account_sid, "12345")
    client.api.base_url = twilio.api_url
    create: Callable[..., Any] = client.calls.create
    given = {"to": TO, "from_": FROM, "url": "https://patchline.test/answer", **more}
    call = await asyncio.to_thread(lambda: create(**given))
    return twilio.calls[call.sid]


def answering(server: TinyServer) -> None:
    """The server brings whoever picks up to its media socket."""
    server.answers["/answer"] = CONNECT.format(behind="")


@pytest.mark.parametrize(
    ("who", "kind", "answered_by"),
    [
        (PickUp(), "Enable", "human"),
        (PickUp(), "DetectMessageEnd", "human"),
        (PickUp("unknown"), "Enable", "unknown"),
        (PickUp("fax"), "DetectMessageEnd", "fax"),
        (PickUp("machine", tone(440, 300)), "Enable", "machine_start"),
        (PickUp("machine", tone(440, 100)), "DetectMessageEnd", "machine_end_beep"),
        (PickUp("machine", tone(440, 100), "other"), "DetectMessageEnd", "machine_end_other"),
    ],
)
async def test_the_verdict_comes_beside_the_call(who: PickUp, kind: str, answered_by: str) -> None:
    """And only with the parameters that Twilio documents for it."""
    async with telephone(answers={TO: DialOutcome(pick_up=who)}) as (twilio, server):
        answering(server)

        call = await placed(twilio, machine_detection=kind, **ASYNC)
        await server.until(lambda: bool(server.forms("/amd")))
        await call.hang_up()
        await call.ended()

        [form] = server.forms("/amd")
        assert form["AnsweredBy"] == answered_by
        assert form["CallSid"] == call.call_sid
        assert "CallStatus" not in form
        assert int(form["MachineDetectionDuration"]) < 5000
        assert call.resource()["answered_by"] == answered_by
        assert server.forms("/answer")[0].get("AnsweredBy") is None
        call.assert_clean()


async def test_the_end_of_a_greeting_is_told_when_it_was_heard() -> None:
    """Who speaks earlier speaks into the greeting, and is not recorded."""
    says = tone(440, 400)
    outcome = DialOutcome(pick_up=PickUp("machine", says))
    async with telephone(answers={TO: outcome}) as (twilio, server):
        answering(server)

        call = await placed(twilio, machine_detection="DetectMessageEnd", **ASYNC)
        await server.until(lambda: bool(server.forms("/amd")))

        assert len(bytes(call.stream.spoken)) >= len(says)
        assert int(server.forms("/amd")[0]["MachineDetectionDuration"]) >= 400
        await call.hang_up()
        await call.ended()


async def test_synchronous_detection_holds_the_document_back() -> None:
    """The seconds of silence that a person hears are why nobody should use it."""
    async with telephone(answers={TO: DialOutcome(pick_up=PickUp("fax"))}) as (twilio, server):
        answering(server)

        call = await placed(twilio, machine_detection="Enable")
        await server.peer()

        assert server.forms("/answer")[0]["AnsweredBy"] == "fax"
        await call.hang_up()
        await call.ended()


async def test_a_call_that_ends_first_has_no_verdict() -> None:
    """A callback that never comes must not be waited for."""
    outcome = DialOutcome(pick_up=PickUp("machine", tone(440, 5000)))
    async with telephone(answers={TO: outcome}) as (twilio, server):
        answering(server)

        call = await placed(twilio, machine_detection="DetectMessageEnd", **ASYNC)
        await server.peer()
        await call.hang_up()
        await call.ended()

        assert server.forms("/amd") == []
        assert call.answered_by is None


async def test_detection_that_tells_nobody_is_complained_about() -> None:
    """21262: paid for, and of no use."""
    async with telephone(answers={TO: DialOutcome()}) as (twilio, server):
        answering(server)

        call = await placed(twilio, machine_detection="Enable", async_amd="true")
        await server.peer()
        await call.hang_up()
        await call.ended()

        assert [one.code for one in call.violations] == [21262]


@pytest.mark.parametrize(
    "wrong",
    [
        {"machine_detection": "Maybe"},
        {"machine_detection": "Enable", "machine_detection_timeout": 60},
        {"timeout": 601},
        {"machine_detection": "Enable", **ASYNC, "async_amd_status_callback": "/amd"},
    ],
)
async def test_what_twilio_would_refuse_is_refused(wrong: dict[str, Any]) -> None:
    """A call that nobody could have placed must not be placed here."""
    async with telephone() as (twilio, _server):
        with pytest.raises(TwilioRestException) as caught:
            await placed(twilio, **wrong)

        assert (caught.value.status, len(twilio.calls)) == (400, 0)


async def test_a_telephone_rings_no_longer_than_it_was_asked_to() -> None:
    """487 is what the network says of it."""
    async with telephone(answers={TO: DialOutcome(ring_ms=60_000)}) as (twilio, server):
        call = await placed(
            twilio, timeout=1, status_callback=STATUS_URL, status_callback_event=EVENTS
        )

        await call.ended()

        assert [form["CallStatus"] for form in server.forms("/status")][-1] == "no-answer"
        assert server.forms("/status")[-1]["SipResponseCode"] == "487"


async def test_the_verdict_may_come_late() -> None:
    """Callbacks keep no order: the end of the call can be told before it."""
    faults = Faults(status_delay_ms={"amd": 300})
    async with telephone(answers={TO: DialOutcome()}, faults=faults) as (twilio, server):
        answering(server)

        call = await placed(
            twilio,
            **{"machine_detection": "Enable", **ASYNC},
            status_callback=STATUS_URL,
            status_callback_event=EVENTS,
        )
        await call.until(lambda: call.answered_by is not None)
        await call.hang_up()
        await call.ended()

        order = [path for path, _, _, _ in server.posted]
        assert order.index("/amd") > max(n for n, path in enumerate(order) if path == "/status")
