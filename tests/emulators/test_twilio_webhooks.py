"""Webhooks of the local Twilio: signatures, repeats, fallbacks, callbacks."""

import asyncio
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from app.emulators.twilio import Faults, Pace, SharedKey
from app.emulators.twilio_signing import signature, signed_url
from app.emulators.twilio_words import APPLICATION_ERROR
from tests.emulators.tiny_server import telephone

BYE = "<Response><Hangup/></Response>"
VOICE_URL = "https://patchline.test/incoming-call"


@pytest.mark.parametrize(
    ("url", "form", "algorithm", "expected"),
    [
        (
            "https://example.com/myapp.php?foo=1&bar=2",
            [
                ("CallSid", "CA1234567890ABCDE"),
                ("Caller", "+14158675310"),
                ("Digits", "1234"),
                ("From", "+14158675310"),
                ("To", "+18005551212"),
            ],
            "HMAC_SHA1",
            "L/OH5YylLD5NRKLltdqwSvS0BnU=",
        ),
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            [
                ("Sid", "CA123"),
                ("SidAccount", "AC123"),
                ("Digits", "5678"),
                ("Digits", "1234"),
                ("Digits", "1234"),
            ],
            "HMAC_SHA1",
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        (
            "https://bridge.example.test/voice",
            [("CallSid", "CA1234567890ABCDE"), ("From", "+14158675310")],
            "HMAC_SHA256",
            "dZX3Wdw02kL0kA16XnCYkYBIjAwYZbS+9F3HrCjCdYY=",
        ),
        ("wss://bridge.example.test/media", [], "HMAC_SHA1", "HmnS4cW2uJWaePn5nuLB4QP4+9Q="),
        ("wss://bridge.example.test/media/", [], "HMAC_SHA1", "BmwW4ariRs0DpJP0XPEK2HFytXc="),
    ],
)
def test_signatures_match_twilios_published_examples(
    url: str, form: list[tuple[str, str]], algorithm: str, expected: str
) -> None:
    """A judge that signs wrongly would pass a server that checks wrongly."""
    assert signature("12345", url, form, algorithm=algorithm) == expected


def test_the_signed_url_has_no_credentials_fragment_or_https_port() -> None:
    """Twilio drops all three; a fragment configures the connection and is never sent."""
    assert signed_url("https://u:p@h.test:8443/a?b=c#rc=3") == "https://h.test/a?b=c"
    assert signed_url("http://h.test:5050/a") == "http://h.test:5050/a"


async def test_the_voice_webhook_is_signed_over_the_public_url_and_all_parameters() -> None:
    """Unknown and empty parameters are signed like the rest and must not be dropped."""
    async with telephone(BYE) as (twilio, server):
        call = await twilio.call(extra_params={"SipHeader_X-Ref": "a b&c"})
        await call.ended()

        _, form, headers, _ = server.posted[0]
        validator = RequestValidator("12345")
        assert validator.validate(VOICE_URL, form, headers["X-Twilio-Signature"])
        assert headers["Host"] == "patchline.test"
        assert form["CallSid"] == call.call_sid
        assert form["CallStatus"] == "ringing"
        assert form["Direction"] == "inbound"
        assert (form["From"], form["To"]) == ("+14155550100", "+15005550006")
        assert form["SipHeader_X-Ref"] == "a b&c"
        assert form["EmptyParameter"] == ""
        assert "CallFeatureOfTomorrow" in form


async def test_a_get_webhook_is_signed_with_its_query() -> None:
    """With GET the parameters are in the URL and the body has none."""
    async with telephone(BYE) as (twilio, server):
        call = await twilio.call(method="GET", voice_path="/incoming-call?line=1")
        await call.ended()

        _, form, headers, path = server.posted[0]
        assert form == {}
        assert dict(parse_qsl(urlsplit(path).query))["CallSid"] == call.call_sid
        validator = RequestValidator("12345")
        url = "https://patchline.test" + path
        assert validator.validate(url, {}, headers["X-Twilio-Signature"])
        assert path.startswith("/incoming-call?line=1&")


@pytest.mark.parametrize("mode", ["wrong", "none"])
async def test_webhooks_can_be_forged(mode: str) -> None:
    """The refusal is the server's; the emulator only has to be refusable."""
    async with telephone(BYE, faults=Faults(webhook_signature=mode)) as (twilio, server):
        await (await twilio.call()).ended()

        _, form, headers, _ = server.posted[0]
        given = headers.get("X-Twilio-Signature", "")
        assert not RequestValidator("12345").validate(VOICE_URL, form, given)
        assert bool(given) == (mode == "wrong")


async def test_a_shared_key_signs_with_sha256_and_says_so() -> None:
    """Since September 2026 a secret other than the auth token may sign."""
    key = SharedKey("SK1", "s3cret")
    async with telephone(BYE, faults=Faults(shared_key=key)) as (twilio, server):
        await (await twilio.call()).ended()

        _, form, headers, _ = server.posted[0]
        settings = headers["X-Twilio-Webhooks-Signature-Settings"]
        assert settings == "key=SK1,algorithm=HMAC_SHA256"
        assert RequestValidator("s3cret").validate(
            VOICE_URL, form, headers["X-Twilio-Signature"], algorithm="HMAC_SHA256"
        )


async def test_a_webhook_may_be_delivered_twice_with_one_idempotency_token() -> None:
    """A repeat is the same event again, not a second call."""
    faults = Faults(duplicate_webhooks=frozenset({"/incoming-call"}))
    async with telephone(BYE, faults=faults) as (twilio, server):
        call = await twilio.call()
        await call.ended()

        first, second = [headers for path, _, headers, _ in server.posted if path in VOICE_URL][:2]
        assert first["I-Twilio-Idempotency-Token"] == second["I-Twilio-Idempotency-Token"]
        assert call.twiml == [BYE]


async def test_a_failing_webhook_goes_to_the_fallback_with_the_reason() -> None:
    """A number's fallback URL is the last chance to say a sentence."""
    async with telephone(
        lambda _form: web.Response(status=500), fallback_path="/twilio/fallback"
    ) as (twilio, server):
        server.answers["/twilio/fallback"] = "<Response><Say>sorry</Say></Response>"
        call = await twilio.call()
        await call.ended()

        form = server.forms("/twilio/fallback")[0]
        assert form["ErrorCode"] == "11200"
        assert form["ErrorUrl"] == VOICE_URL
        assert call.said == ["sorry"]
        assert [one.code for one in call.violations] == [11200]


async def test_a_server_that_takes_too_long_is_given_up() -> None:
    """Fifteen seconds at Twilio, less here; the caller then hears Twilio's own apology."""
    async with telephone(BYE, pace=Pace(webhook_limit_s=0.1)) as (twilio, server):
        release = asyncio.Event()

        async def slow(_form: dict[str, str]) -> str:
            await release.wait()
            return BYE

        server.answers["/incoming-call"] = slow
        call = await twilio.call()

        assert await call.ended() == "error"
        release.set()
        assert call.said == [APPLICATION_ERROR]
        assert call.status == "failed"
        assert call.requests[0].status_code == 0


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("", "text/xml", 11770),
        ("<Response>", "text/xml", 12100),
        ("<Answer/>", "text/xml", 12100),
        ('{"a":1}', "application/json", 12300),
        ("<Response>" + " " * 70_000 + "</Response>", "text/xml", 11750),
    ],
)
async def test_what_is_not_twiml_ends_the_call_with_its_code(
    body: str, content_type: str, code: int
) -> None:
    """Every way of answering wrongly has a number in Twilio's debugger."""
    async with telephone(lambda _form: web.Response(text=body, content_type=content_type)) as (
        twilio,
        _server,
    ):
        call = await twilio.call()

        assert await call.ended() == "error"
        assert [one.code for one in call.violations] == [code]


async def test_the_end_of_a_call_is_reported_to_the_number() -> None:
    """Best effort at Twilio, once here; it is the second signal that a call is over."""
    async with telephone(BYE) as (twilio, server):
        call = await twilio.call()
        await call.ended()

        form = server.forms("/twilio/call-status")[0]
        assert form["CallStatus"] == "completed"
        assert form["CallSid"] == call.call_sid
        assert form["CallbackSource"] == "call-progress-events"
        assert form["SequenceNumber"] == "0"
        assert {"CallDuration", "Duration", "Timestamp"} <= form.keys()
        call.assert_clean()


async def test_a_status_callback_answered_with_json_is_warned_about() -> None:
    """15003: Twilio wants 204, or TwiML."""
    async with telephone(BYE) as (twilio, server):
        server.answers["/twilio/call-status"] = lambda _form: web.json_response({})
        call = await twilio.call()
        await call.ended()

        assert [one.code for one in call.violations] == [15003]
