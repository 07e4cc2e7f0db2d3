"""TwiML, word for word: the builders would send out any slip of the pen."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import twiml
from app.protocol.twiml import FAREWELL, Fallback

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
HOSTILE = '"]]><Dial>+19005551212</Dial><!--&amp;'
PERSON = Fallback(say="One moment.", dial="+33612345678")


def connect(*, token: str = "t0k3n", fallback: Fallback = PERSON, say: str | None = None) -> str:
    return twiml.connect_stream(
        stream_url="wss://h.test/media-stream",
        token=token,
        action_url="https://h.test/twilio/stream-ended",
        status_url="https://h.test/twilio/stream-status",
        fallback=fallback,
        say=say,
    )


STREAM = (
    '<Connect action="https://h.test/twilio/stream-ended" method="POST">'
    '<Stream statusCallback="https://h.test/twilio/stream-status" statusCallbackMethod="POST"'
    ' url="wss://h.test/media-stream"><Parameter name="token" value="t0k3n" /></Stream></Connect>'
)


RING = (
    '<Dial answerOnBridge="true" timeout="20"><Number>+33612345678</Number></Dial>'
    f"<Say>{FAREWELL}</Say><Hangup />"
)


def test_a_stream_has_an_action_a_token_and_a_person_behind_it() -> None:
    """`D-DG-1`: without a verb behind Connect a dying stream drops or strands the caller."""
    assert connect() == (f"{HEAD}<Response>{STREAM}<Say>One moment.</Say>{RING}</Response>")


def test_without_a_person_the_fallback_says_goodbye_and_hangs_up() -> None:
    """An honest goodbye is better than silence."""
    assert connect(fallback=Fallback(say="Sorry.")) == (
        f"{HEAD}<Response>{STREAM}<Say>Sorry.</Say><Hangup /></Response>"
    )


def test_a_stream_may_be_announced() -> None:
    """A caller who waits for the model should hear why."""
    assert connect(say="Connecting.", fallback=Fallback(say="")) == (
        f"{HEAD}<Response><Say>Connecting.</Say>{STREAM}<Hangup /></Response>"
    )


def test_the_failure_treatment() -> None:
    """What is pushed by REST when the model is gone for good."""
    assert twiml.failure(PERSON) == (f"{HEAD}<Response><Say>One moment.</Say>{RING}</Response>")


def test_the_person_behind_a_failing_call_sees_the_number_that_was_chosen() -> None:
    """A trunk that takes no foreign caller ids would refuse the call nobody else can take."""
    person = Fallback(say="", dial="+33612345678", caller_id="+15005550006")

    assert '<Dial answerOnBridge="true" callerId="+15005550006" timeout="20">' in twiml.failure(
        person
    )


def test_a_transfer_reports_back() -> None:
    """`D-PT-8`: without an action nobody learns that the person did not answer."""
    document = twiml.dial(
        to="+33612345678",
        action_url="https://h.test/twilio/dial-result/T?a=1&b=2",
        timeout_s=20,
        caller_id="+15005550006",
    )

    assert document == (
        f'{HEAD}<Response><Dial action="https://h.test/twilio/dial-result/T?a=1&amp;b=2"'
        ' answerOnBridge="true" callerId="+15005550006" method="POST" timeout="20">'
        "<Number>+33612345678</Number></Dial></Response>"
    )


def test_a_transfer_without_a_caller_id_shows_the_callers_number() -> None:
    """Twilio's default is the caller's own number: the attribute must be absent, not empty."""
    document = twiml.dial(
        to="client:ann", action_url="https://h.test/r", timeout_s=5, say="Putting you through."
    )

    assert document == (
        f"{HEAD}<Response><Say>Putting you through.</Say>"
        '<Dial action="https://h.test/r" answerOnBridge="true" method="POST" timeout="5">'
        "<Client>ann</Client></Dial></Response>"
    )


def test_a_person_is_told_twice_and_takes_the_call_with_a_key() -> None:
    """W38: what a model wrote stays text; a mailbox presses nothing and is hung up on."""
    keys = (
        '<Gather action="https://h.test/key" finishOnKey="" input="dtmf" method="POST"'
        ' numDigits="1" timeout="8">'
        '<Say>"]]&gt;&lt;Dial&gt;+19005551212&lt;/Dial&gt;&lt;!--&amp;amp;</Say>'
        "<Say>Press star to take the call.</Say></Gather>"
    )

    told = twiml.whisper(say=HOSTILE, key="*", action_url="https://h.test/key")

    assert told == f"{HEAD}<Response>{keys}{keys}<Hangup /></Response>"


def test_two_meet_in_a_room_that_either_of_them_ends() -> None:
    """In silence: the caller has just heard music, and the other comes in a second."""
    room = (
        '<Conference beep="false" endConferenceOnExit="true" startConferenceOnEnter="true"'
        ' waitUrl="">room-1</Conference>'
    )

    assert twiml.join("room-1") == f"{HEAD}<Response><Dial>{room}</Dial></Response>"
    assert twiml.join("room-1", action_url="https://h.test/r") == (
        f'{HEAD}<Response><Dial action="https://h.test/r" method="POST">{room}</Dial></Response>'
    )


def test_the_short_documents() -> None:
    """Said to Twilio many times a day, so worth being exact about."""
    assert twiml.hangup() == f"{HEAD}<Response><Hangup /></Response>"
    assert twiml.say_and_hangup("All lines are busy.") == (
        f"{HEAD}<Response><Say>All lines are busy.</Say><Hangup /></Response>"
    )
    assert twiml.reject("busy") == f'{HEAD}<Response><Reject reason="busy" /></Response>'
    assert twiml.empty() == f"{HEAD}<Response />"


@pytest.mark.parametrize(
    ("destination", "noun", "text"),
    [
        ("+33612345678", "number", "+33612345678"),
        ("tel:+33612345678", "number", "+33612345678"),
        ("tel:+1-415-867-5309", "number", "+14158675309"),
        ("+1 (415) 867-5309", "number", "+14158675309"),
        ("sip:queue@pbx.example.com", "sip", "sip:queue@pbx.example.com"),
        (
            "sip:q@pbx.example.com:5061;transport=tls?X-A=1&X-B=2",
            "sip",
            "sip:q@pbx.example.com:5061;transport=tls?X-A=1&X-B=2",
        ),
        ("client:ann", "client", "ann"),
    ],
)
def test_every_kind_of_destination_gets_its_noun(destination: str, noun: str, text: str) -> None:
    """L27, the forms there are: a SIP address inside ``<Number>`` is a call to nobody."""
    assert twiml.destination_noun(destination) == (noun, text)


@pytest.mark.parametrize(
    "destination",
    [
        "",
        "+",
        "tel:",
        "33612345678",
        "tel:33612345678",
        "+0612345678",
        "+3361234567890123",
        "+33612345678,+19005551212",
        "+33612345678\n",
        "tel:+33612345678;ext=12",
        "+٣٣٦١٢٣٤٥٦٧٨",
        "tel:tel:+33612345678",
        "sip:",
        "sip:queue",
        "sip:a b@c",
        "sip:a@b@c",
        "sip:" + "a" * 300 + "@b",
        "client:",
        "client:an n",
        "queue:sales",
        "javascript:alert(1)",
        HOSTILE,
    ],
)
def test_what_is_no_destination_is_refused(destination: str) -> None:
    """A guess about a destination rings a stranger, at the operator's cost."""
    with pytest.raises(ValueError, match="destination"):
        twiml.destination_noun(destination)


def test_headers_of_a_sip_address_are_escaped() -> None:
    """Between two headers stands an ampersand, which breaks a document written by hand."""
    document = twiml.failure(Fallback(say="", dial="sip:q@h?X-A=1&X-B=<2>"))

    assert "<Sip>sip:q@h?X-A=1&amp;X-B=&lt;2&gt;</Sip>" in document


def test_callers_wait_in_a_queue_of_ours() -> None:
    """O23: asked for again and again, bounded, and with a way out."""
    made = twiml.lobby(
        "full-1", wait_url="https://h/q", action_url="https://h/l", most=20, say="All busy."
    )

    assert made == (
        f'{HEAD}<Response><Say>All busy.</Say><Enqueue action="https://h/l" maxQueueSize="20" '
        'method="POST" waitUrl="https://h/q" waitUrlMethod="POST">full-1</Enqueue></Response>'
    )
    heard = '<Say>You are next.</Say><Pause length="2" />'
    assert twiml.waiting("You are next.", 2) == f"{HEAD}<Response>{heard}</Response>"
    assert twiml.leave() == f"{HEAD}<Response><Leave /></Response>"
    with pytest.raises(ValueError, match="64"):
        twiml.lobby("x" * 65, wait_url="https://h/q", action_url="https://h/l", most=1)


def test_a_menu_is_offered_in_each_language() -> None:
    """C12: one key, # is a key like others, and none is told too."""
    made = twiml.menu(
        [("One.", "en-US"), ("Deux.", "fr-FR")], timeout_s=5, action_url="https://h/m"
    )

    assert made == (
        f'{HEAD}<Response><Gather action="https://h/m" actionOnEmptyResult="true" finishOnKey="" '
        'input="dtmf" method="POST" numDigits="1" timeout="5"><Say language="en-US">One.</Say>'
        '<Say language="fr-FR">Deux.</Say></Gather></Response>'
    )


def test_hostile_text_stays_text() -> None:
    """The sentence or the token must never become a verb: toll fraud starts there."""
    document = connect(token=HOSTILE, say=HOSTILE, fallback=Fallback(say=HOSTILE))

    root = ET.fromstring(document)
    assert [verb.tag for verb in root] == ["Say", "Connect", "Say", "Hangup"]
    assert [verb.text for verb in root.iter("Say")] == [HOSTILE, HOSTILE]
    parameter = root.find("Connect/Stream/Parameter")
    assert parameter is not None
    assert parameter.attrib == {"name": "token", "value": HOSTILE}


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_text_makes_a_readable_document(text: str) -> None:
    """One control character makes Twilio refuse the whole document (12100)."""
    documents = [
        twiml.say_and_hangup(text),
        connect(token=text, say=text, fallback=Fallback(say=text)),
    ]

    for document in documents:
        root = ET.fromstring(document.encode())
        assert {verb.tag for verb in root} <= {"Say", "Connect", "Hangup"}


@pytest.mark.parametrize(
    "url", ["/media", "https://h.test/media", "wss://h.test/media?token=1", ""]
)
def test_a_stream_url_twilio_would_refuse_is_refused_here(url: str) -> None:
    """A query or another scheme shows up only as 31920 or 31922, once a call is on the line."""
    with pytest.raises(ValueError, match="stream URL"):
        twiml.connect_stream(
            stream_url=url,
            token="t",
            action_url="https://h.test/a",
            status_url="https://h.test/s",
            fallback=PERSON,
        )


def test_a_call_for_another_process_asks_again_by_post() -> None:
    """With GET its parameters would be in the address, and the signature over another one."""
    url = "https://x.test/incoming-call?elsewhere=1"
    redirect = f'<Redirect method="POST">{url}</Redirect>'

    assert twiml.elsewhere(url, pause_s=0) == f"{HEAD}<Response>{redirect}</Response>"
    assert (
        twiml.elsewhere(url, pause_s=1)
        == f'{HEAD}<Response><Pause length="1" />{redirect}</Response>'
    )


def test_a_relative_callback_is_refused() -> None:
    """In a document sent by REST it is error 15004, after the caller was already moved."""
    with pytest.raises(ValueError, match="absolute"):
        twiml.dial(to="+33612345678", action_url="/twilio/dial-result", timeout_s=20)


def test_what_fits_into_a_rest_request() -> None:
    """Twilio refuses more than 4,000 characters of inline TwiML."""
    overhead = len(twiml.say_and_hangup("x")) - 1

    assert twiml.fits_rest(twiml.say_and_hangup("x" * (4000 - overhead)))
    assert not twiml.fits_rest(twiml.say_and_hangup("x" * (4001 - overhead)))


def test_l27_a_caller_waits_in_a_queue_by_name() -> None:
    """`queue:`. `<Dial><Queue>` would put them through to another caller who waits there."""
    assert twiml.enqueue(
        queue="billing", action_url="https://h/result", wait_url="https://h/wait.xml"
    ) == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Enqueue action="https://h/result" '
        'method="POST" waitUrl="https://h/wait.xml">billing</Enqueue></Response>'
    )


def test_l27_a_task_of_taskrouter_carries_json_that_cannot_become_markup() -> None:
    """Recipe 8.5; Flex takes its callers the same way."""
    assert twiml.enqueue(
        workflow="WW" + "0" * 32,
        task='{"name":"</Task><Dial>&\x00"}',
        action_url="https://h/result",
        say="One moment.",
    ) == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Say>One moment.</Say>'
        f'<Enqueue action="https://h/result" method="POST" workflowSid="WW{"0" * 32}">'
        '<Task>{"name":"&lt;/Task&gt;&lt;Dial&gt;&amp;"}</Task></Enqueue></Response>'
    )


def test_w35_a_refer_puts_its_headers_into_the_address() -> None:
    """The exact text of recipe 8.3."""
    to = "sip:agent@pbx.example.com?User-to-User=637573746f6d%3Bencoding%3Dhex"

    assert twiml.refer(to=to, action_url="https://h/voice/refer-result") == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Refer '
        'action="https://h/voice/refer-result" method="POST">'
        "<Sip>sip:agent@pbx.example.com?User-to-User=637573746f6d%3Bencoding%3Dhex</Sip>"
        "</Refer></Response>"
    )


@pytest.mark.parametrize("to", ["+33612345678", "client:a", "sip:a", "sip:a@b c"])
def test_nobody_is_referred_to_what_is_no_sip_address(to: str) -> None:
    """Twilio would drop the caller."""
    with pytest.raises(ValueError, match="SIP"):
        twiml.refer(to=to, action_url="https://h/r")


def test_an_address_may_have_headers_of_1023_characters_and_no_more() -> None:
    """255 are for the address; with more headers Twilio dials nobody (21227)."""
    room = 1023 - len("X-A=")

    assert twiml.is_sip("sip:a@b?X-A=" + "a" * room)
    assert not twiml.is_sip("sip:a@b?X-A=" + "a" * (room + 1))
    assert not twiml.is_sip("sip:" + "a" * 250 + "@b")


def test_a_caller_may_leave_a_message_after_a_tone() -> None:
    """With an action, or Twilio asks for the same document again and the tone never ends."""
    message = twiml.Message("https://x.test/recorded", "https://x.test/left")

    document = twiml.failure(Fallback("We are closed.", message=message))

    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Say>We are closed.</Say>'
        '<Record action="https://x.test/left" finishOnKey="#" maxLength="120" method="POST"'
        ' playBeep="true" recordingStatusCallback="https://x.test/recorded"'
        ' recordingStatusCallbackMethod="POST" timeout="5" transcribe="false" /><Hangup />'
        "</Response>"
    )
