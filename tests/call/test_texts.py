"""Text messages on a live call: told to the model at once, spoken of when nobody speaks."""

from app.call.plan import CallPlan, DigitsPreset
from app.call.sms import DELIVERED, FAILED, RECEIVED, SENT, is_final, told
from app.call.transcript import SMS, SMS_FAILED, Voice
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, speech, started, tool_call

WHY = "That number is a landline."


def test_a_message_of_the_callers_is_a_turn_of_theirs() -> None:
    """W73: the agent answers it, and the story says how it came."""
    machine = on_the_phone()

    out = machine.handle(e.TextReceived("12 Main St"), 100)

    assert out == [c.AddMessage("user", "[SMS] 12 Main St"), c.CreateResponse("sms")]
    last = machine.transcript.entries[-1]
    assert (last.voice, last.name, last.text) == (Voice.CALLER, SMS, "[SMS] 12 Main St")


def test_it_counts_as_their_own_words_where_the_operator_says_so() -> None:
    """W72."""
    out = on_the_phone().handle(e.TextReceived("12 Main St", as_caller=True), 100)

    assert out[0] == c.AddMessage("user", "12 Main St")


def test_a_message_interrupts_nobody() -> None:
    """W73: the agent finishes its sentence, and then speaks of it."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(1000), 0)

    assert machine.handle(e.TextReceived("12 Main St"), 100) == [
        c.AddMessage("user", "[SMS] 12 Main St")
    ]
    assert c.CreateResponse("sms") in machine.handle(done(), 200)


def test_a_message_waits_until_the_caller_has_spoken() -> None:
    """W73: the answer to what they say answers it as well."""
    machine = on_the_phone()
    machine.handle(e.SpeechStarted("I1"), 0)

    out = machine.handle(e.TextReceived("12 Main St"), 100)
    out += machine.handle(e.CallerTurnCommitted("I1"), 200)
    out += machine.handle(started("R1"), 300)
    out += machine.handle(speech(100, response_id="R1"), 300)
    out += machine.handle(done("R1"), 400)

    assert [x for x in out if isinstance(x, c.CreateResponse)] == []


def test_nothing_is_said_into_a_collection_of_keys() -> None:
    """Whoever keys in a PIN must not be talked to."""
    plan = CallPlan(presets={"pin": DigitsPreset(num_digits=4)})
    machine = on_the_phone(plan)
    machine.handle(started(), 0)
    machine.handle(tool_call("collect_dtmf", arguments='{"preset":"pin"}'), 0)
    machine.handle(done(), 10)

    out = machine.handle(e.TextReceived("12 Main St"), 100)

    assert out == [c.AddMessage("user", "[SMS] 12 Main St")]


def test_a_message_that_did_not_arrive_is_a_turn() -> None:
    """W74: the agent speaks of it by itself."""
    machine = on_the_phone()

    told_to_model, asked = machine.handle(e.TextFailed("caller", "landline", WHY), 100)

    assert isinstance(told_to_model, c.AddMessage)
    assert told_to_model.role == "system"
    assert WHY in told_to_model.text
    assert asked == c.CreateResponse("sms_failed")
    last = machine.transcript.entries[-1]
    assert (last.voice, last.name) == (Voice.NOTE, SMS_FAILED)


def test_nobody_is_spoken_to_while_the_call_ends() -> None:
    """What came too late is in the story, and nothing else."""
    machine = on_the_phone()
    machine.handle(e.StreamStopped(), 50)

    assert machine.handle(e.TextReceived("12 Main St"), 100) == []


def test_a_line_that_is_to_come_is_told_of_it() -> None:
    """A message that came while the model was away is not lost."""
    machine = on_the_phone()
    machine.handle(e.ModelLineLost(1006, "gone"), 50)

    assert machine.handle(e.TextReceived("12 Main St"), 100) == []
    assert machine.transcript.entries[-1].text == "[SMS] 12 Main St"


def sent(sid: str | None, **more: object) -> dict[str, object]:
    """A fact about a message."""
    return {"message_sid": sid, "to": "caller", **more}


def test_a_messages_end_may_come_before_its_beginning() -> None:
    """W74: Twilio's callback overtakes the answer of its own API, and comes twice."""
    known = told([], FAILED, sent("SM1", status="undelivered", error_code=30003))
    known = told(known, SENT, sent("SM1", status="sent", at="10:00"))
    known = told(known, DELIVERED, sent("SM1", status="delivered"))

    assert known == [
        {
            "direction": "outbound",
            "message_sid": "SM1",
            "to": "caller",
            "status": "undelivered",
            "error_code": 30003,
            "at": "10:00",
        }
    ]
    assert is_final(known, "SM1")
    assert not is_final(known, "SM2")


def test_messages_without_a_name_are_told_apart() -> None:
    """Two that were refused are two."""
    known = told([], FAILED, sent(None, status="not_sent"))
    known = told(known, FAILED, sent(None, status="not_sent"))
    known = told(known, RECEIVED, {"message_sid": "SM3", "status": "received"})

    assert [one["direction"] for one in known] == ["outbound", "outbound", "inbound"]
