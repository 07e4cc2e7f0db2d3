"""How the local Twilio can fail a server: callbacks late, twice or never, streams broken off."""

import pytest

from app.emulators.twilio import Faults
from app.emulators.twilio_words import TRIAL_NOTICE
from tests.emulators.tiny_server import SAY_BEHIND, telephone

BYE = "<Response><Hangup/></Response>"
REPORTING = SAY_BEHIND.replace(
    'media">', 'media" statusCallback="https://patchline.test/stream-status">'
)


def told(forms: list[dict[str, str]]) -> list[str]:
    return [form["StreamEvent"] for form in forms]


async def test_twilio_may_break_a_stream_off_without_a_word_on_it() -> None:
    """31924 in production: no stop, no close, the call is over and only callbacks tell."""
    async with telephone(REPORTING) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        call.stream.break_off()

        assert await call.ended() == "stream"
        assert not peer.gone
        assert not peer.of("stop")
        assert told(server.forms("/stream-status")) == ["stream-started", "stream-error"]
        assert server.forms("/stream-status")[1]["StreamError"].startswith("31924")
        assert server.forms("/twilio/call-status")[0]["CallStatus"] == "completed"
        call.assert_clean()


async def test_a_protocol_violation_ends_the_call_and_is_told() -> None:
    """31924 is the one error that ends the call: the verb behind </Connect> is not run."""
    async with telephone(REPORTING) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        assert peer.request.transport is not None
        peer.request.transport.write(b"\x81\x01\xff")

        assert await call.ended() == "stream"
        assert call.said == []
        assert [one.code for one in call.violations] == [31924]
        assert told(server.forms("/stream-status")) == ["stream-started", "stream-error"]


async def test_a_broken_pipe_is_told_and_the_twiml_goes_on() -> None:
    """31903: the server's process died; the fallback verb is what the caller has left."""
    async with telephone(REPORTING) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        assert peer.request.transport is not None
        peer.request.transport.abort()

        assert await call.ended() == "end_of_twiml"
        assert call.said == ["behind"]
        assert [one.code for one in call.violations] == [31903]
        assert server.forms("/stream-status")[-1]["StreamError"].startswith("31903")


async def test_the_news_of_a_stream_may_come_in_the_wrong_order() -> None:
    """Twilio promises none: "started" may arrive when the stream is over."""
    faults = Faults(status_delay_ms={"stream-started": 150})
    async with telephone(REPORTING, faults=faults) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        await peer.socket.close()
        await call.ended()

        assert told(server.forms("/stream-status")) == ["stream-stopped", "stream-started"]


async def test_a_callback_may_be_repeated_long_after_its_answer() -> None:
    """The same delivery, told by its token: what was done once must not be done again."""
    path = frozenset({"/twilio"})
    faults = Faults(duplicate_webhooks=path, repeat_after_ms=150)
    async with telephone(BYE, faults=faults) as (twilio, server):
        call = await twilio.call()
        await server.until(lambda: len(server.forms("/twilio/call-status")) == 1)
        assert not call.settled
        await call.ended()

        tokens = {
            headers["I-Twilio-Idempotency-Token"]
            for where, _, headers, _ in server.posted
            if where == "/twilio/call-status"
        }
        assert len(server.forms("/twilio/call-status")) == 2
        assert len(tokens) == 1


async def test_callbacks_may_get_lost() -> None:
    """Best effort: a server that waits for one waits for ever, and Twilio complains of nothing."""
    faults = Faults(lost_callbacks=frozenset({"/twilio/call-status", "/stream-status"}))
    async with telephone(REPORTING, faults=faults) as (twilio, server):
        call = await twilio.call()
        await server.peer()
        await call.hang_up()
        await call.ended()

        assert [where for where, *_ in server.posted] == ["/incoming-call"]
        call.assert_clean()


async def test_a_request_may_set_out_late() -> None:
    """A slow hop, a retry at Twilio: the result of a dial comes when its call is long over."""
    dial = '<Response><Dial action="/dialled/token">+15005550011</Dial></Response>'
    faults = Faults(slow_webhooks={"/dialled": 200})
    async with telephone(dial, faults=faults) as (twilio, server):
        call = await twilio.call()
        await call.until(lambda: bool(call.dial_results))
        await call.hang_up()
        await call.ended()

        assert [where for where, *_ in server.posted] == [
            "/incoming-call",
            "/dialled/token",
            "/twilio/call-status",
        ]
        assert server.posted[1][1]["CallStatus"] == "completed"


async def test_the_end_of_a_call_may_be_told_before_what_led_to_it() -> None:
    """A server that forgets a call at its end has to know what a late dial result is about."""
    dial = '<Response><Dial action="/dialled">+15005550011</Dial></Response>'
    async with telephone(dial, faults=Faults(end_is_told_first=True)) as (twilio, server):
        call = await twilio.call()
        await call.until(lambda: bool(call.dial_results))
        await call.hang_up()
        await call.ended()

        paths = [where for where, *_ in server.posted]
        assert paths == ["/incoming-call", "/twilio/call-status", "/dialled"]


@pytest.mark.parametrize("attribute", ['connectorName="Dialogflow.1"'])
async def test_an_unknown_connector_is_told(attribute: str) -> None:
    """31940: an attribute of another product, in our TwiML by mistake."""
    voice = SAY_BEHIND.replace("<Stream ", f"<Stream {attribute} ")
    async with telephone(voice) as (twilio, server):
        call = await twilio.call()
        await server.peer()

        assert [one.code for one in call.violations] == [31940]


async def test_a_trial_account_has_no_streams() -> None:
    """The caller hears Twilio's notice, then what stands behind </Connect>."""
    async with telephone(faults=Faults(trial_account=True)) as (twilio, server):
        call = await twilio.call()

        assert await call.ended() == "end_of_twiml"
        assert call.said == [TRIAL_NOTICE, "behind"]
        assert call.streams == []
        assert server.peers == []
