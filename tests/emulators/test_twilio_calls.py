"""TwiML on the local Twilio: verbs, dial outcomes, the caller's moves, many calls at once."""

import asyncio

import pytest

from app.emulators.twilio import DialOutcome, Pace
from app.emulators.twilio_call import Inline, Redirected
from tests.emulators.tiny_server import CONNECT, telephone

TARGET = "+15005550011"
DIAL = f'<Response><Dial action="/after" timeout="1">{TARGET}</Dial></Response>'


async def test_the_caller_hears_what_stands_in_the_document_in_its_order() -> None:
    """Say, Play, Pause, Redirect: the small verbs, with relative URLs resolved."""
    voice = (
        '<Response><Say>one <break time="1s"/>two</Say><Play>https://h.test/a.wav</Play>'
        '<Play digits="12#"/><Redirect>next?x=1&amp;y=2</Redirect><Say>never</Say></Response>'
    )
    async with telephone(voice) as (twilio, server):
        server.answers["/next"] = '<Response><Pause length="0"/><Say>three</Say></Response>'
        call = await twilio.call()

        assert await call.ended() == "end_of_twiml"

        assert call.said == ["one two", "three"]
        assert call.played == ["https://h.test/a.wav"]
        assert call.played_digits == ["12#"]
        assert call.executed == ["Say", "Play", "Play", "Redirect", "Pause", "Say"]
        assert len(call.twiml) == 2
        assert server.forms("/next")[0]["CallStatus"] == "in-progress"
        call.assert_clean()


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
async def test_a_rejected_call_was_never_answered(reason: str, status: str) -> None:
    """<Reject> as the first verb costs nobody anything."""
    async with telephone(f'<Response><Reject reason="{reason}"/></Response>') as (twilio, server):
        call = await twilio.call()

        assert await call.ended() == "reject"
        assert call.status == status
        assert call.answered_at_ms is None
        assert server.forms("/twilio/call-status")[0]["CallStatus"] == status


@pytest.mark.parametrize(
    ("outcome", "status", "bridged"),
    [
        (DialOutcome(talk_ms=20), "completed", "true"),
        (DialOutcome("unbridged"), "completed", "false"),
        (DialOutcome("busy"), "busy", "false"),
        (DialOutcome("failed", sip_response_code=404), "failed", "false"),
        (DialOutcome("no-answer"), "no-answer", "false"),
        (DialOutcome(ring_ms=60_000), "no-answer", "false"),
    ],
)
async def test_dial_reports_what_became_of_the_other_leg(
    outcome: DialOutcome, status: str, bridged: str
) -> None:
    """``completed`` is no success: a leg that was never connected reports it as well."""
    pace = Pace(pause_factor=0.05)
    async with telephone(DIAL, answers={TARGET: outcome}, pace=pace) as (twilio, server):
        server.answers["/after"] = "<Response><Say>back</Say></Response>"
        call = await twilio.call()

        await call.ended()

        form = server.forms("/after")[0]
        assert (form["DialCallStatus"], form["DialBridged"]) == (status, bridged)
        assert form["DialCallSid"].startswith("CA")
        assert ("DialCallDuration" in form) == (status == "completed")
        assert call.dialled == [TARGET]
        assert call.said == ["back"]


async def test_without_an_action_the_document_goes_on_behind_dial() -> None:
    """Operators write <Dial> and then a sentence for when nobody answered."""
    voice = f"<Response><Dial><Number>{TARGET}</Number></Dial><Say>sorry</Say></Response>"
    async with telephone(voice, answers={TARGET: DialOutcome("busy")}) as (twilio, _server):
        call = await twilio.call()

        await call.ended()

        assert call.said == ["sorry"]


async def test_a_call_may_have_outcomes_of_its_own() -> None:
    """Two callers at once, one of whom finds the line busy."""
    async with telephone(DIAL, answers={TARGET: DialOutcome(talk_ms=10)}) as (twilio, server):
        server.answers["/after"] = "<Response/>"
        lucky = await twilio.call()
        unlucky = await twilio.call(answers={TARGET: DialOutcome("busy")})

        await asyncio.gather(lucky.ended(), unlucky.ended())

        assert lucky.dial_results[0].kind == "bridged"
        assert unlucky.dial_results[0].kind == "busy"


async def test_the_first_of_several_numbers_that_answers_is_connected() -> None:
    """Simultaneous ringing: the busy ones do not count."""
    voice = (
        '<Response><Dial action="/after"><Number>+15005550021</Number>'
        "<Sip>sip:a@b.test?X-Ref=1</Sip></Dial></Response>"
    )
    answers = {"+15005550021": DialOutcome("busy"), "sip:a@b.test": DialOutcome(talk_ms=10)}
    async with telephone(voice, answers=answers) as (twilio, server):
        server.answers["/after"] = "<Response/>"
        call = await twilio.call()

        await call.ended()

        assert call.dialled == ["+15005550021", "sip:a@b.test?X-Ref=1"]
        assert server.forms("/after")[0]["DialBridged"] == "true"


async def test_a_bridge_lasts_until_somebody_hangs_up() -> None:
    """The far end leaves: the caller is still there and the action decides."""
    async with telephone(DIAL, answers={TARGET: DialOutcome(talk_ms=None)}) as (twilio, server):
        server.answers["/after"] = "<Response><Say>back</Say></Response>"
        call = await twilio.call()
        await call.until(lambda: bool(call.dial_results))

        call.far_end_hangs_up()

        assert await call.ended() == "end_of_twiml"
        assert call.said == ["back"]


async def test_a_caller_who_leaves_a_bridge_still_causes_the_action() -> None:
    """Whoever keeps the record of a transfer learns its end from this request."""
    async with telephone(DIAL, answers={TARGET: DialOutcome(talk_ms=None)}) as (twilio, server):
        call = await twilio.call()
        await call.until(lambda: bool(call.dial_results))

        await call.hang_up()

        assert await call.ended() == "caller"
        form = server.forms("/after")[0]
        assert (form["DialBridged"], form["CallStatus"]) == ("true", "completed")
        assert call.twiml == [DIAL]


async def test_a_screened_number_hears_its_whisper_before_it_is_connected() -> None:
    """The human learns why the telephone rings, and may decline by not pressing a key."""
    voice = (
        f'<Response><Dial action="/after"><Number url="/whisper">{TARGET}</Number></Dial>'
        "</Response>"
    )
    whisper = (
        '<Response><Gather numDigits="1" action="/accept"><Say>A caller</Say></Gather>'
        "<Hangup/></Response>"
    )
    async with telephone(voice) as (twilio, server):
        server.answers |= {
            "/whisper": whisper,
            "/accept": "<Response/>",
            "/after": "<Response/>",
        }
        taken = await twilio.call(answers={TARGET: DialOutcome(talk_ms=10)})
        await taken.ended()
        declined = await twilio.call(answers={TARGET: DialOutcome("unbridged")})
        await declined.ended()

        assert taken.whispered == ["A caller"]
        assert server.forms("/whisper")[0]["ParentCallSid"] == taken.call_sid
        assert server.forms("/accept")[0]["Digits"] == "1"
        assert [form["DialBridged"] for form in server.forms("/after")] == ["true", "false"]


async def test_gather_collects_keys_over_its_prompt() -> None:
    """An impatient caller does not hear the end of the menu."""
    voice = (
        '<Response><Gather numDigits="2" action="/menu"><Say>Press two keys</Say></Gather>'
        "<Say>nothing</Say></Response>"
    )
    async with telephone(voice) as (twilio, server):
        server.answers["/menu"] = "<Response/>"
        call = await twilio.call()
        await call.until(lambda: bool(call.said))
        await call.press("4")
        await call.press("2")

        await call.ended()

        assert server.forms("/menu")[0]["Digits"] == "42"
        assert call.said == ["Press two keys"]


async def test_gather_without_an_answer_lets_the_document_go_on() -> None:
    """Silence is an answer too."""
    voice = '<Response><Gather timeout="1" action="/menu"/><Say>nothing</Say></Response>'
    async with telephone(voice, pace=Pace(pause_factor=0.02)) as (twilio, server):
        call = await twilio.call()

        await call.ended()

        assert call.said == ["nothing"]
        assert server.forms("/menu") == []


async def test_gather_can_be_given_words() -> None:
    """Speech recognition is Twilio's; what it recognised is the test's."""
    voice = '<Response><Gather input="speech" action="/menu"/></Response>'
    async with telephone(voice) as (twilio, server):
        server.answers["/menu"] = "<Response/>"
        call = await twilio.call()
        await call.say_words("yes please")

        await call.ended()

        assert server.forms("/menu")[0]["SpeechResult"] == "yes please"


async def test_only_a_sip_caller_can_be_referred() -> None:
    """13801 on the telephone network; on SIP the call leaves us."""
    voice = '<Response><Refer action="/after"><Sip>sip:a@b.test</Sip></Refer></Response>'
    async with telephone(voice) as (twilio, server):
        server.answers["/after"] = "<Response/>"
        telephone_call = await twilio.call()
        await telephone_call.ended()
        sip_call = await twilio.call(from_="sip:alice@b.test")

        assert await sip_call.ended() == "refer"

        assert [one.code for one in telephone_call.violations] == [13801]
        assert server.forms("/after")[0]["ReferCallStatus"] == "in-progress"


async def test_an_enqueued_caller_waits_until_somebody_comes() -> None:
    """On hold means: nothing happens by itself."""
    voice = (
        '<Response><Enqueue workflowSid="WW1" action="/after"><Task>{"a":1}</Task></Enqueue>'
        "</Response>"
    )
    async with telephone(voice) as (twilio, server):
        server.answers["/after"] = "<Response/>"
        waiting = await twilio.call()
        served = await twilio.call(answers={"queue:WW1": DialOutcome(talk_ms=10)})
        await served.ended()

        assert waiting.enqueued == ['{"a":1}']
        assert waiting.status == "in-progress"
        assert server.forms("/after")[0]["QueueResult"] == "bridged"


QUEUE = (
    '<Response><Enqueue waitUrl="/wait" action="/after">full</Enqueue><Say>behind</Say></Response>'
)


async def test_who_waits_hears_where_they_stand_again_and_again() -> None:
    """The document is asked for anew each time, until REST has something else for the caller."""
    async with telephone(QUEUE) as (twilio, server):
        server.answers["/wait"] = "<Response><Say>wait</Say></Response>"
        first, second = await twilio.call(), await twilio.call()
        await second.until(lambda: len(second.said) > 1)
        places = [form["QueuePosition"] for form in server.forms("/wait")]
        first.order(Redirected(Inline("<Response><Say>now</Say><Hangup/></Response>"), 0))
        await first.ended()
        heard = len(second.said)
        await second.until(lambda: len(second.said) > heard + 1)
        await second.hang_up()
        await second.ended()

        assert first.said[-1] == "now"
        assert "2" in places
        assert server.forms("/wait")[-1]["QueuePosition"] == "1"
        assert [form["QueueResult"] for form in server.forms("/after")] == ["hangup"]
        assert second.ended_by == "caller"


async def test_what_is_heard_while_waiting_may_end_the_wait() -> None:
    """<Leave> goes on behind the queue, <Hangup> ends the call; a queue may be full."""
    async with telephone(QUEUE) as (twilio, server):
        server.answers["/wait"] = "<Response><Leave/></Response>"
        server.answers["/after"] = "<Response><Say>after</Say></Response>"
        left = await twilio.call()
        await left.ended()
        server.answers["/wait"] = "<Response><Hangup/></Response>"
        ended = await twilio.call()
        by = await ended.ended()
        server.answers["/incoming-call"] = QUEUE.replace("<Enqueue", '<Enqueue maxQueueSize="0"')
        too_many = await twilio.call()
        await too_many.ended()

        assert left.said == too_many.said == ["after"]
        assert by == "hangup"
        told = [form["QueueResult"] for form in server.forms("/after")]
        assert told == ["leave", "queue-full"]


@pytest.mark.parametrize(
    ("voice", "code"),
    [
        ("<Response><Dance/></Response>", 12200),
        ('<Response><Say colour="red">a</Say></Response>', 12200),
        ("<Response><Connect><Say>a</Say></Connect></Response>", 12200),
        ('<Response><Start><Recording trim="x" size="1"/></Start></Response>', 12200),
        (CONNECT.replace("wss:", "https:").format(behind=""), 31922),
        (CONNECT.replace("/media", "/media?x=1").format(behind=""), 31920),
        (CONNECT.replace('/media"', '/media" statusCallback="/s"').format(behind=""), 11100),
        (CONNECT.replace('/media"', '/media" track="both_tracks"').format(behind=""), 31941),
        (CONNECT.replace("t&amp;1", "x" * 500).format(behind=""), 12200),
    ],
)
async def test_twiml_that_is_wrong_is_reported(voice: str, code: int) -> None:
    """The builders of the SDKs write out any typing error without a word."""
    async with telephone(voice) as (twilio, _server):
        call = await twilio.call()

        await call.until(lambda: bool(call.violations))

        assert code in [one.code for one in call.violations]


async def test_the_connect_action_is_asked_when_the_server_closes() -> None:
    """With an action the verbs behind </Connect> are not reached."""
    voice = CONNECT.replace("<Connect>", '<Connect action="/stream-ended">')
    async with telephone(voice.format(behind="<Say>behind</Say>")) as (twilio, server):
        server.answers["/stream-ended"] = "<Response><Say>again</Say></Response>"
        call = await twilio.call()
        peer = await server.peer()

        await peer.socket.close()
        await call.ended()

        assert call.said == ["again"]
        assert server.forms("/stream-ended")[0]["CallStatus"] == "in-progress"


async def test_the_connect_action_is_asked_when_the_caller_hangs_up() -> None:
    """The answer is of no use to anybody then, and must not be run."""
    voice = CONNECT.replace("<Connect>", '<Connect action="/stream-ended">')
    async with telephone(voice.format(behind="")) as (twilio, server):
        server.answers["/stream-ended"] = "<Response><Say>again</Say></Response>"
        call = await twilio.call()
        peer = await server.peer()

        await call.hang_up()
        await call.ended()

        assert peer.messages[-1]["event"] == "stop"
        assert server.forms("/stream-ended")[0]["CallStatus"] == "completed"
        assert call.said == []


async def test_a_second_stream_on_the_same_call_has_its_own_sid_and_line() -> None:
    """A transfer that failed comes back this way; what was heard before stays in the story."""
    again = '<Redirect method="POST">/incoming-call</Redirect>'
    async with telephone(CONNECT.format(behind=again)) as (twilio, server):
        call = await twilio.call()
        first = await server.peer()
        await first.play(b"\x01" * 800)
        await call.heard_at_least(100)
        await first.socket.close()
        second = await server.peer(2)
        await second.play(b"\x02" * 800)
        await call.heard_at_least(200)

        assert first.stream_sid != second.stream_sid
        _caller, heard = call.recording()
        assert heard.count(1) == heard.count(2) == 800
        assert heard.index(b"\x01") < heard.index(b"\x02")


async def test_twenty_callers_at_once_hear_only_their_own_audio() -> None:
    """No frame of one call may reach another."""
    async with telephone() as (twilio, server):
        calls = [await twilio.call() for _ in range(20)]
        await server.until(lambda: len([p for p in server.peers if p.of("start")]) == 20)
        by_sid = {peer.of("start")[0]["start"]["callSid"]: peer for peer in server.peers}
        for index, call in enumerate(calls):
            await by_sid[call.call_sid].play(bytes([index + 1]) * 1600)
        for call in calls:
            await call.heard_at_least(200)
            await call.hang_up()
        await asyncio.gather(*(call.ended() for call in calls))

        for index, call in enumerate(calls):
            assert set(call.stream.line.heard) <= {index + 1, 0xFF}
            assert call.heard_ms == 200
        twilio.assert_clean()


async def test_leaving_the_emulator_leaves_no_task_behind() -> None:
    """Calls in every state, dropped without a word."""
    before = asyncio.all_tasks()
    async with telephone() as (twilio, server):
        for voice in ("", '<Response><Pause length="60"/></Response>', DIAL):
            if voice:
                server.answers["/other"] = voice
            await twilio.call(voice_path="/other" if voice else "/incoming-call")
        await server.peer()
        await server.until(lambda: len(server.forms("/other")) == 2)

    assert asyncio.all_tasks() == before


async def test_keys_that_nobody_collects_do_no_harm() -> None:
    """A caller who was put through may press whatever the other end's menu asks for."""
    async with telephone(f"<Response><Dial>{TARGET}</Dial></Response>") as (twilio, _server):
        call = await twilio.call(answers={TARGET: DialOutcome(talk_ms=None)})
        await call.until(lambda: bool(call.dial_results))

        for _ in range(100):
            await call.press("1")
        call.far_end_hangs_up()

        assert await call.ended() == "end_of_twiml"
