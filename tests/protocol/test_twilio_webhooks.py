"""The door: what counts as Twilio's signature, and what its forms are allowed to lack."""

import base64
import hashlib
import hmac
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from app.protocol.twilio_webhooks import (
    CallStatus,
    DialResult,
    MalformedForm,
    Secrets,
    StreamEnded,
    StreamStatus,
    Verdict,
    is_call_sid,
    parse_call_status,
    parse_detection,
    parse_dial_result,
    parse_incoming_call,
    parse_stream_ended,
    parse_stream_status,
    verify_request,
    verify_upgrade,
)

TOKEN = "12345"
SECRETS = Secrets(auth_tokens=(TOKEN,))
FORM_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("From", "+14158675309"),
    ("Digits", "1234"),
    ("To", "+18005551212"),
]
FORM_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
JSON_BODY = b'{"property": "value", "boolean": true}'
JSON_URL = FORM_URL + "&bodySHA256=" + hashlib.sha256(JSON_BODY).hexdigest()
JSON_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="
MEDIA_URL = "wss://bridge.example.test/media"
MEDIA_SIGNATURE = "HmnS4cW2uJWaePn5nuLB4QP4+9Q="
MEDIA_SLASH_SIGNATURE = "BmwW4ariRs0DpJP0XPEK2HFytXc="

CALL_SID = "CA" + "0123456789abcdef" * 2
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
STREAM_SID = "MZ" + "0123456789abcdef" * 2


def sign(url: str, form: Sequence[tuple[str, str]] = (), secret: str = TOKEN) -> str:
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def verify(
    url: str = FORM_URL,
    *,
    secrets: Secrets = SECRETS,
    form: Sequence[tuple[str, str]] | None = None,
    body: bytes = b"",
    signature: str | None,
    settings: str | None = None,
) -> Verdict:
    return verify_request(
        secrets, url=url, form=form, body=body, signature=signature, settings_header=settings
    )


@pytest.mark.parametrize(
    ("url", "form", "signature"),
    [
        (
            "https://example.com/myapp.php?foo=1&bar=2",
            [(name, value.replace("5309", "5310")) for name, value in FORM],
            "L/OH5YylLD5NRKLltdqwSvS0BnU=",
        ),
        (FORM_URL, FORM, FORM_SIGNATURE),
        (
            FORM_URL,
            [
                ("Sid", "CA123"),
                ("SidAccount", "AC123"),
                ("Digits", "5678"),
                ("Digits", "1234"),
                ("Digits", "1234"),
            ],
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
    ],
    ids=["twilio's documentation", "twilio's library", "repeated names"],
)
def test_published_form_vectors_are_accepted(
    url: str, form: list[tuple[str, str]], signature: str
) -> None:
    """These signatures were made by others: agreeing with ourselves would prove nothing."""
    verdict = verify(url, form=form, signature=signature)

    assert verdict == Verdict(accepted=True, signed_url=url, secret_id="auth_token[0]", reason="ok")


def test_the_order_of_a_forms_pairs_does_not_matter() -> None:
    """Proxies and parsers reorder; Twilio signs the sorted form."""
    assert verify(form=FORM[::-1], signature=FORM_SIGNATURE).accepted


def test_the_published_json_vector_is_accepted() -> None:
    """JSON webhooks are signed over the URL and tied to the body by a hash in it."""
    assert verify(JSON_URL, body=JSON_BODY, signature=JSON_SIGNATURE).accepted


def test_the_published_shared_key_vector_is_accepted() -> None:
    """SharedKeys replace the auth token and SHA-1 since September 2026."""
    form = [("CallSid", "CA1234567890ABCDE"), ("From", "+14158675310")]

    verdict = verify(
        "https://bridge.example.test/voice",
        secrets=Secrets(auth_tokens=("other",), shared_keys={"k1": TOKEN}),
        form=form,
        signature="dZX3Wdw02kL0kA16XnCYkYBIjAwYZbS+9F3HrCjCdYY=",
        settings="key=k1,algorithm=HMAC_SHA256",
    )

    assert verdict.accepted
    assert verdict.secret_id == "shared_key:k1"


def test_a_get_request_is_signed_over_its_url_alone() -> None:
    """A number may be configured to fetch its TwiML with GET."""
    assert verify(FORM_URL, signature=sign(FORM_URL)).accepted


@pytest.mark.parametrize(
    "form",
    [
        [*FORM, ("Extra", "1")],
        FORM[1:],
        [*FORM[:-1], ("To", "+19005551212")],
        [*FORM[:-1], ("To", "+18005551212 ")],
        [*FORM, ("Empty", "")],
        [],
        None,
    ],
    ids=["added", "removed", "changed", "trailing space", "empty added", "no pairs", "no form"],
)
def test_a_changed_form_is_refused(form: list[tuple[str, str]] | None) -> None:
    """Whoever can alter one parameter can choose who gets called."""
    verdict = verify(form=form, signature=FORM_SIGNATURE)

    assert not verdict.accepted
    assert verdict.reason == "signature_mismatch"
    assert verdict.secret_id == "auth_token[0]"


@pytest.mark.parametrize(
    ("url", "body", "reason"),
    [
        (JSON_URL, JSON_BODY + b" ", "body_hash_mismatch"),
        (JSON_URL, b"", "body_hash_mismatch"),
        (FORM_URL, JSON_BODY, "body_hash_missing"),
        (FORM_URL + "&bodySHA256=", JSON_BODY, "body_hash_mismatch"),
        (FORM_URL + "&bodySHA256=é\ud800", JSON_BODY, "body_hash_mismatch"),
    ],
)
def test_a_body_that_its_url_does_not_vouch_for_is_refused(
    url: str, body: bytes, reason: str
) -> None:
    """twilio-python raises TypeError without bodySHA256: an attacker-reachable 500."""
    signature = sign(url) if url.isascii() else JSON_SIGNATURE

    verdict = verify(url, body=body, signature=signature)

    assert (verdict.accepted, verdict.reason, verdict.secret_id) == (False, reason, "-")


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (None, "signature_missing"),
        ("", "signature_missing"),
        ("x" * 100_000, "signature_overlong"),
        ("é" * 28, "signature_malformed"),
        ("\ud800", "signature_malformed"),
        ("not base64!", "signature_malformed"),
        (FORM_SIGNATURE + "\n", "signature_malformed"),
        (" " + FORM_SIGNATURE, "signature_malformed"),
        (FORM_SIGNATURE.lower(), "signature_mismatch"),
        ("AAAA", "signature_malformed"),
    ],
)
def test_a_useless_signature_is_refused_and_not_raised(signature: str | None, reason: str) -> None:
    """The header is a stranger's text; twilio-python raises TypeError for None."""
    verdict = verify(form=FORM, signature=signature)

    assert (verdict.accepted, verdict.reason) == (False, reason)


def test_every_truncation_of_a_signature_is_refused() -> None:
    """A comparison of prefixes would let a signature be guessed byte by byte."""
    for length in range(len(FORM_SIGNATURE)):
        assert not verify(form=FORM, signature=FORM_SIGNATURE[:length]).accepted


def test_every_configured_token_counts_while_tokens_are_rotated() -> None:
    """Between promotion at Twilio and our restart both tokens sign."""
    secrets = Secrets(auth_tokens=("new", TOKEN))

    verdict = verify(secrets=secrets, form=FORM, signature=FORM_SIGNATURE)
    refused = verify(secrets=secrets, form=FORM, signature=MEDIA_SIGNATURE)

    assert (verdict.accepted, verdict.secret_id) == (True, "auth_token[1]")
    assert (refused.accepted, refused.secret_id) == (False, "auth_token[0],auth_token[1]")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("key=k2,algorithm=HMAC_SHA1", "shared_key_unknown"),
        ("key=,algorithm=HMAC_SHA1", "shared_key_unknown"),
        ("key=k1,algorithm=HMAC_MD5", "algorithm_unknown"),
        ("key=k1,algorithm=", "algorithm_unknown"),
        ("key=k1,algorithm=hmac_sha256", "algorithm_unknown"),
        ("algorithm=HMAC_SHA1", "settings_malformed"),
        ("key=k1", "settings_malformed"),
        ("key=k1,key=k2,algorithm=HMAC_SHA1", "settings_malformed"),
        ("key=k1,algorithm=HMAC_SHA1,extra=1", "settings_malformed"),
        (",", "settings_malformed"),
        ("\ud800", "settings_malformed"),
        ("key=" + "k" * 100_000 + ",algorithm=HMAC_SHA1", "settings_overlong"),
    ],
)
def test_the_settings_header_chooses_only_among_configured_keys(settings: str, reason: str) -> None:
    """The header is not signed: trusting it would let a stranger pick secret and algorithm."""
    secrets = Secrets(auth_tokens=(TOKEN,), shared_keys={"k1": "secret"})

    verdict = verify(secrets=secrets, form=FORM, signature=FORM_SIGNATURE, settings=settings)

    assert (verdict.accepted, verdict.reason, verdict.secret_id) == (False, reason, "-")


def test_a_shared_key_does_not_open_the_door_without_its_header() -> None:
    """Each secret counts only for the scheme it was configured for."""
    secrets = Secrets(auth_tokens=("token",), shared_keys={"k1": TOKEN})

    assert not verify(secrets=secrets, form=FORM, signature=FORM_SIGNATURE).accepted
    assert verify(
        secrets=secrets,
        form=FORM,
        signature=FORM_SIGNATURE,
        settings=" key = k1 , algorithm = HMAC_SHA1 ",
    ).accepted


def test_an_empty_secret_cannot_be_configured() -> None:
    """Anybody can sign with the empty key."""
    with pytest.raises(ValueError, match="empty"):
        Secrets(auth_tokens=("",))
    with pytest.raises(ValueError, match="empty"):
        Secrets(auth_tokens=(TOKEN,), shared_keys={"k1": ""})


def test_without_any_secret_everything_is_refused() -> None:
    """Fail closed: an unset token must not mean an open door."""
    verdict = verify(secrets=Secrets(auth_tokens=()), form=FORM, signature=FORM_SIGNATURE)

    assert (verdict.accepted, verdict.reason, verdict.secret_id) == (False, "no_secret", "-")


def test_secrets_and_verdicts_never_show_a_secret() -> None:
    """Both end in log lines and tracebacks."""
    secrets = Secrets(auth_tokens=("hush-token",), shared_keys={"k1": "hush-key"})
    settings = "key=k1,algorithm=HMAC_SHA1"

    shown = [
        repr(secrets),
        repr(verify(secrets=secrets, form=FORM, signature=FORM_SIGNATURE)),
        repr(verify(secrets=secrets, signature=FORM_SIGNATURE, settings=settings)),
    ]

    assert not any("hush" in text for text in shown)


def test_the_loggable_url_has_no_number_in_it() -> None:
    """A GET webhook carries the caller's number in its query (design: never in a log)."""
    url = "https://h/voice?From=%2B14158675309&To=+1800&flag"

    verdict = verify(url, signature=FORM_SIGNATURE)

    assert verdict.loggable_url == "https://h/voice?From=…&To=…&flag"


def test_the_loggable_url_has_no_token_in_it_and_an_end() -> None:
    """A dial token opens a call; a stranger's URL is as long as the stranger likes."""
    dial = verify("https://h/twilio/dial-result/tok/en?a=b", signature=FORM_SIGNATURE)
    endless = verify("https://h/voice/" + "x" * 9000, signature=FORM_SIGNATURE)

    assert dial.loggable_url == "https://h/twilio/dial-result/[token]?a=…"
    assert endless.loggable_url == "https://h/voice/" + "x" * 496 + "… and 8504 more"


@pytest.mark.parametrize(
    ("seen", "signed"),
    [
        ("https://h.test/p?a=1", "https://h.test/p?a=1"),
        ("https://h.test/p?a=1", "https://h.test:443/p?a=1"),
        ("https://h.test:8443/p?a=1", "https://h.test/p?a=1"),
        ("https://h.test:8443/p?a=1", "https://h.test:8443/p?a=1"),
        ("http://h.test/p", "http://h.test:80/p"),
        ("http://h.test:5050/p", "http://h.test:5050/p"),
        ("https://user:pass@h.test/p", "https://h.test/p"),
        ("https://user:p@ss@h.test:8443/p", "https://h.test:8443/p"),
        ("https://[2001:db8::1]:8443/p", "https://[2001:db8::1]/p"),
        ("https://[2001:db8::1]/p", "https://[2001:db8::1]:443/p"),
        ("https://h.test/p%20q?x=%2B1&y=a%20b", "https://h.test/p%20q?x=%2B1&y=a%20b"),
        ("https://h.test/a:1@b/p", "https://h.test/a:1@b/p"),
    ],
)
def test_twilios_own_variants_of_a_url_are_accepted(seen: str, signed: str) -> None:
    """Twilio drops the port for voice over HTTPS, keeps it elsewhere, and drops userinfo."""
    verdict = verify(seen, form=FORM, signature=sign(signed, FORM))

    assert verdict.accepted
    assert verdict.signed_url == signed


@pytest.mark.parametrize(
    ("seen", "signed"),
    [
        ("https://h.test/p", "http://h.test/p"),
        ("https://h.test/p", "https://h.test/p/"),
        ("https://h.test/p", "https://h.test:8443/p"),
        ("https://h.test/p?x=%20", "https://h.test/p?x= "),
        ("https://h.test/p", "https://evil.test/p"),
        ("https://h.test/p", "wss://h.test/p"),
    ],
)
def test_another_url_is_refused(seen: str, signed: str) -> None:
    """A signature obtained for one address must not open another."""
    assert not verify(seen, form=FORM, signature=sign(signed, FORM)).accepted


@pytest.mark.parametrize("seen", [MEDIA_URL, MEDIA_URL + "/"])
@pytest.mark.parametrize("signature", [MEDIA_SIGNATURE, MEDIA_SLASH_SIGNATURE])
def test_an_upgrade_is_accepted_with_the_slash_either_way(seen: str, signature: str) -> None:
    """Twilio's security page says to try a trailing slash where the upgrade does not verify."""
    assert verify_upgrade(SECRETS, url=seen, signature=signature).accepted


@pytest.mark.parametrize(
    "signed",
    [
        "https://bridge.example.test/media",
        "ws://bridge.example.test/media",
        "wss://bridge.example.test:443/media",
        "wss://bridge.example.test/media//",
        "wss://bridge.example.test/",
        "wss://bridge.example.test",
    ],
)
def test_an_upgrade_signed_for_anything_else_is_refused(signed: str) -> None:
    """`D-PT-11`: the media socket costs money; only Twilio dialling this very URL gets in."""
    assert not verify_upgrade(SECRETS, url=MEDIA_URL, signature=sign(signed)).accepted


def test_an_upgrade_over_https_by_our_own_mistake_is_refused() -> None:
    """An https signature is what any webhook carries; it must not open the media socket."""
    url = "https://bridge.example.test/media"

    verdict = verify_upgrade(SECRETS, url=url, signature=sign(url))

    assert (verdict.accepted, verdict.reason) == (False, "url_not_wss")


def test_an_unsigned_upgrade_is_refused() -> None:
    """`D-TS-7`: an open media socket lets anybody burn model credit."""
    assert not verify_upgrade(SECRETS, url=MEDIA_URL, signature=None).accepted


_HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5}){1,2}", fullmatch=True)
_PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))
_PATHS = st.lists(st.text(max_size=6).map(urllib.parse.quote), max_size=3)
_PAIRS = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6)
_TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


class _MultiDict(dict[str, list[str]]):
    """A form as web frameworks hand it over: the shape twilio-python asks for."""

    def getall(self, name: str) -> list[str]:
        return self[name]


@st.composite
def _urls(draw: st.DrawFn) -> str:
    scheme = draw(st.sampled_from(["https", "http"]))
    url = f"{scheme}://{draw(_HOSTS)}{draw(_PORTS)}/{'/'.join(draw(_PATHS))}"
    query = urllib.parse.urlencode(draw(_PAIRS))
    return f"{url}?{query}" if query else url


@given(url=_urls(), form=_PAIRS, token=st.text(min_size=1, max_size=8), right=st.booleans())
def test_we_agree_with_twilios_validator(
    url: str, form: list[tuple[str, str]], token: str, right: bool
) -> None:
    """The library's validator is the outside judge of ours."""
    grouped = _MultiDict()
    for name, value in form:
        grouped.setdefault(name, []).append(value)
    judge = RequestValidator(token)
    signature = judge.compute_signature(url, grouped)
    offered = signature if right else sign(url, form, secret="another")

    ours = verify(url, secrets=Secrets(auth_tokens=(token,)), form=form, signature=offered)

    assert ours.accepted == judge.validate(url, grouped, offered)
    assert ours.accepted == (right or token == "another")


@given(
    url=_TEXTS,
    form=st.none() | st.lists(st.tuples(_TEXTS, _TEXTS), max_size=3),
    body=st.binary(max_size=20),
    signature=st.none() | _TEXTS | st.just(FORM_SIGNATURE),
    settings=st.none() | _TEXTS | st.just("key=k1,algorithm=HMAC_SHA256"),
)
@example(url="://", form=None, body=b"", signature=FORM_SIGNATURE, settings=None)
@example(url="a://[:@:x", form=None, body=b"", signature=FORM_SIGNATURE, settings=None)
@example(url="a://h:\u0662/?bodySHA256=\udcff", form=None, body=b"x", signature="", settings="=,=")
def test_no_text_whatsoever_makes_the_check_raise_or_accept(
    url: str,
    form: list[tuple[str, str]] | None,
    body: bytes,
    signature: str | None,
    settings: str | None,
) -> None:
    """An exception here would be a 500 anybody can cause, and a silent accept far worse."""
    secrets = Secrets(auth_tokens=("t\ud800",), shared_keys={"k1": "s"})

    http = verify(
        url, secrets=secrets, form=form, body=body, signature=signature, settings=settings
    )
    upgrade = verify_upgrade(secrets, url=url, signature=signature, settings_header=settings)

    assert not http.accepted
    assert not upgrade.accepted


INCOMING = [
    ("CallSid", CALL_SID),
    ("AccountSid", ACCOUNT_SID),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Direction", "inbound"),
    ("CallStatus", "ringing"),
    ("ApiVersion", "2010-04-01"),
]
STATUS = [
    ("CallSid", CALL_SID),
    ("CallStatus", "completed"),
    ("SequenceNumber", "3"),
    ("CallDuration", "42"),
    ("SipResponseCode", "200"),
]
STREAM_STATUS = [
    ("CallSid", CALL_SID),
    ("StreamSid", STREAM_SID),
    ("StreamEvent", "stream-error"),
    ("StreamError", "31920"),
]
DIAL = [("CallSid", CALL_SID), ("DialCallStatus", "completed"), ("DialCallDuration", "7")]


def test_an_incoming_call_is_read_with_its_sip_headers_and_strange_fields() -> None:
    """New parameters appear without notice: they are signed over and otherwise ignored."""
    form = [
        *INCOMING,
        ("CallerName", "ACME"),
        ("FromCountry", "US"),
        ("StirVerstat", "TN-Validation-Passed-A"),
        ("SipHeader_X-Claim", "77"),
        ("SipHeader_User-to-User", "abc"),
        ("NewIn2027", "?"),
    ]

    call = parse_incoming_call(form)

    assert (call.call_sid, call.account_sid) == (CALL_SID, ACCOUNT_SID)
    assert (call.from_, call.to, call.direction) == ("+14158675309", "+18005551212", "inbound")
    assert (call.status, call.caller_name, call.caller_country) == ("ringing", "ACME", "US")
    assert call.stir_verstat == "TN-Validation-Passed-A"
    assert sorted(call.sip_headers) == [("User-to-User", "abc"), ("X-Claim", "77")]
    assert (call.parent_call_sid, call.error_code, call.error_url) == (None, None, None)


def test_a_withheld_number_is_not_an_error() -> None:
    """Callers without a number call too; Twilio sends a word or nothing for them."""
    assert parse_incoming_call([*INCOMING[:2], ("From", "anonymous")]).from_ == "anonymous"
    assert parse_incoming_call(INCOMING[:2]).from_ == ""


def test_a_call_status_is_read() -> None:
    """Status callbacks are one of the independent signs that a call is over."""
    status = parse_call_status(STATUS)

    assert status == CallStatus(
        call_sid=CALL_SID,
        status="completed",
        sequence_number=3,
        duration_s=42,
        sip_response_code=200,
    )
    assert status.final
    assert not parse_call_status([("CallSid", CALL_SID), ("CallStatus", "in-progress")]).final


def test_a_stream_status_and_the_end_of_a_stream_are_read() -> None:
    """A refused upgrade shows up nowhere else."""
    assert parse_stream_status(STREAM_STATUS) == StreamStatus(
        call_sid=CALL_SID, stream_sid=STREAM_SID, event="stream-error", error="31920"
    )
    assert parse_stream_ended([("CallSid", CALL_SID), ("CallStatus", "in-progress")]) == (
        StreamEnded(call_sid=CALL_SID, status="in-progress")
    )


@pytest.mark.parametrize(
    ("extra", "connected"),
    [
        ([("DialCallStatus", "completed"), ("DialBridged", "true")], True),
        ([("DialCallStatus", "completed"), ("DialBridged", "false")], False),
        (
            [
                ("DialCallStatus", "completed"),
                ("DialCallDuration", "9"),
                ("DialBridged", "false"),
            ],
            False,
        ),
        ([("DialCallStatus", "completed"), ("DialCallDuration", "9")], True),
        ([("DialCallStatus", "answered"), ("DialCallDuration", "9")], True),
        ([("DialCallStatus", "completed"), ("DialCallDuration", "0")], False),
        ([("DialCallStatus", "completed")], False),
        ([("DialCallStatus", "busy")], False),
        ([("DialCallStatus", "no-answer"), ("DialCallDuration", "30")], False),
        ([("DialCallStatus", "completed"), ("DialBridged", "perhaps")], False),
    ],
)
def test_a_dial_counts_as_connected_only_if_they_spoke(
    extra: list[tuple[str, str]], connected: bool
) -> None:
    """`D-PT-8`: a leg that answered and was never bridged reports ``completed`` too."""
    assert parse_dial_result([("CallSid", CALL_SID), *extra]).connected is connected


def test_a_dial_result_without_a_usable_child_is_still_a_result() -> None:
    """Losing the outcome of a transfer over an optional field would strand the caller."""
    assert parse_dial_result([*DIAL, ("DialCallSid", "CA")]) == DialResult(
        call_sid=CALL_SID, status="completed", duration_s=7
    )


@pytest.mark.parametrize("number", ["", "-1", "1.5", "٣", "9" * 5000, "3\n", "0x1"])
def test_a_number_that_is_none_is_left_out(number: str) -> None:
    """int() accepts foreign digits and raises for thousands of them."""
    form = [("CallSid", CALL_SID), ("CallStatus", "completed"), ("CallDuration", number)]

    assert parse_call_status(form).duration_s is None


DETECTED = [
    ("AccountSid", "AC" + "0" * 32),
    ("CallSid", CALL_SID),
    ("AnsweredBy", "machine_end_beep"),
    ("MachineDetectionDuration", "4100"),
]


@pytest.mark.parametrize(
    ("answered_by", "who", "records"),
    [
        ("human", "human", False),
        ("machine_start", "machine", False),
        ("machine_end_beep", "machine", True),
        ("machine_end_silence", "machine", True),
        ("machine_end_other", "machine", True),
        ("fax", "fax", False),
        ("unknown", "unknown", False),
        ("android", "unknown", False),
    ],
)
def test_a_detection_is_read(answered_by: str, who: str, records: bool) -> None:
    """What Twilio may say tomorrow is nothing that somebody is hung up on for."""
    found = parse_detection([*DETECTED[:2], ("AnsweredBy", answered_by), DETECTED[3]])

    assert (found.call_sid, found.took_ms) == (CALL_SID, 4100)
    assert (found.who, found.records) == (who, records)


def fault_of(parse: Callable[[Any], object], pairs: list[tuple[str, str]]) -> str | None:
    """The field a parser complains about; None when it does not."""
    try:
        parse(pairs)
    except MalformedForm as fault:
        return fault.field_name
    return None


PARSERS: list[tuple[Callable[[Any], object], list[tuple[str, str]], list[str]]] = [
    (parse_incoming_call, INCOMING, ["CallSid", "AccountSid"]),
    (parse_call_status, STATUS, ["CallSid", "CallStatus"]),
    (parse_detection, DETECTED, ["CallSid", "AnsweredBy"]),
    (parse_stream_status, STREAM_STATUS, ["CallSid", "StreamSid", "StreamEvent"]),
    (parse_stream_ended, INCOMING, ["CallSid"]),
    (parse_dial_result, DIAL, ["CallSid", "DialCallStatus"]),
]


@pytest.mark.parametrize(("parse", "form", "needed"), PARSERS)
def test_a_form_without_a_needed_field_is_malformed(
    parse: Callable[[Any], object], form: list[tuple[str, str]], needed: list[str]
) -> None:
    """The refusal names the field, so that the log line says what was wrong."""
    for name in needed:
        with pytest.raises(MalformedForm) as caught:
            parse([pair for pair in form if pair[0] != name])
        assert caught.value.field_name == name


@pytest.mark.parametrize(("parse", "form", "needed"), PARSERS)
def test_every_truncation_of_a_form_is_read_or_malformed(
    parse: Callable[[Any], object], form: list[tuple[str, str]], needed: list[str]
) -> None:
    """A cut body must not turn into another exception."""
    encoded = urllib.parse.urlencode(form)
    for length in range(len(encoded)):
        pairs = urllib.parse.parse_qsl(encoded[:length], keep_blank_values=True)
        assert fault_of(parse, pairs) in {None, *needed}


@pytest.mark.parametrize(("parse", "form", "needed"), PARSERS)
@given(pairs=st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4))
def test_hostile_pairs_are_ignored(
    parse: Callable[[Any], object],
    form: list[tuple[str, str]],
    needed: list[str],
    pairs: list[tuple[str, str]],
) -> None:
    """Nothing behind the door may depend on a field nobody asked for."""
    assert fault_of(parse, pairs) in {None, *needed}
    parse([*form, *pairs])


@pytest.mark.parametrize(
    "sid",
    [
        "",
        "CA",
        CALL_SID[:-1],
        CALL_SID + "0",
        CALL_SID + "\n",
        "ca" + CALL_SID[2:],
        "CA" + "g" * 32,
        "../../Accounts",
        "CA" + "٣" * 32,
    ],
)
def test_what_is_no_call_sid_never_becomes_one(sid: str) -> None:
    """A SID ends in the path of a REST request."""
    assert not is_call_sid(sid)
    with pytest.raises(MalformedForm):
        parse_stream_ended([("CallSid", sid)])


def test_a_call_sid_may_be_written_in_either_case() -> None:
    """Twilio writes lower case; its documentation shows both."""
    assert is_call_sid(CALL_SID)
    assert is_call_sid("CA" + "ABCDEF01" * 4)


@pytest.mark.parametrize(
    ("result", "connected"),
    [
        ("bridged", True),
        ("redirected", True),
        ("redirected-from-bridged", True),
        ("leave", False),
        ("queue-full", False),
        ("error", False),
        ("system-error", False),
        ("hangup", False),
    ],
)
def test_what_became_of_a_caller_in_a_queue(result: str, connected: bool) -> None:
    """TaskRouter's instruction ``conference`` takes the caller out by redirecting them."""
    form = [("CallSid", CALL_SID), ("QueueResult", result), ("QueueTime", "12")]

    read = parse_dial_result(form)

    assert (read.status, read.connected) == (result, connected)


@pytest.mark.parametrize(
    ("status", "connected"),
    [("in-progress", True), ("busy", False), ("failed", False), ("canceled", False)],
)
def test_w29_what_became_of_a_refer(status: str, connected: bool) -> None:
    """Success is called in-progress; why it failed the last NOTIFY says."""
    form = [("CallSid", CALL_SID), ("ReferCallStatus", status), ("ReferSipResponseCode", "202")]

    read = parse_dial_result([*form, ("NotifySipResponseCode", "486")])

    assert (read.connected, read.sip_response_code) == (connected, 486)
    assert parse_dial_result(form).sip_response_code == 202


def test_headers_of_a_sip_caller_are_bounded() -> None:
    """Whoever calls may write what they like; it is kept with every call."""
    many = [(f"SipHeader_X-{n}", "v" * 5_000) for n in range(50)]
    odd = [("SipHeader_", "v"), ("SipHeader_X-A<b>", "v"), ("SipHeader_" + "a" * 65, "v")]
    form = [("CallSid", CALL_SID), ("AccountSid", "AC" + "0" * 32), *odd, *many]

    headers = dict(parse_incoming_call(form).sip_headers)

    assert len(headers) == 20
    assert {len(value) for value in headers.values()} == {256}
    assert "X-0" in headers
