"""Lines that cannot be answered as usual: closed, full, or a machine at the other end."""

from datetime import UTC, datetime, timedelta

from app.audio import mulaw
from app.audio.tones import tone
from app.emulators.scenario import Reply
from app.emulators.scenarios import ear
from app.emulators.scenarios.stage import (
    CALLER,
    CALLER_HZ,
    CARRIER_HZ,
    HEAD,
    PERSON,
    PERSON_HZ,
    Play,
    Stage,
    script,
    wav,
)
from app.emulators.twilio_words import DialOutcome, Pace, PickUp

_FIRST_HZ, _SECOND_HZ, _MESSAGE_HZ, _BEEP_HZ = 440, 700, 1500, 1000
_MESSAGE = "This is Contoso. Please call us back."
_GREETING = tone(CALLER_HZ, 800) + mulaw.silence(100) + tone(_BEEP_HZ, 200)
"""Of an answering machine."""


def _closed(then: str) -> str:
    """An agent whose hours begin in two days, whenever that is looked at."""
    day = (datetime.now(UTC) + timedelta(days=2)).strftime("%a")[:2]
    return (
        f'{HEAD}\ntransfer_targets: {{desk: {{description: A person., to: "{PERSON}"}}}}\n'
        f'hours: {{office: {{timezone: UTC, open: "{day} 00:00-24:00"}}}}\n'
        f'numbers: {{"*": {{hours: office, when_closed: {{say: We are closed., then: {then}}}}}}}\n'
    )


async def _closed_hours(s: Stage) -> None:
    call = await s.dial()
    await s.person.rings()
    s.person.answer()
    await s.person.until(lambda: call.other_party is not None, "both to talk")
    await s.person.say(tone(PERSON_HZ, 500))
    await s.caller.hears(PERSON_HZ, 400)
    await s.person.hang_up()
    record = await s.ended(call)

    s.hears("that it is closed", s.caller.heard, CARRIER_HZ, 140)
    s.hears("the person", s.caller.heard, PERSON_HZ, 400)
    s.equal("model sessions", len(s.openai.connections), 0)
    s.equal("end", record["end_reason"], "closed_hours")


async def _take_message(s: Stage) -> None:
    call = await s.dial()
    await s.caller.until(lambda: call.dictation is not None, "the tone")
    await s.caller.say(tone(CALLER_HZ, 1_000))
    await s.caller.press("#")
    record = await s.ended(call)
    await s.caller.until(lambda: bool(call.tapes) and call.tapes[0].over, "the message")

    s.tracks["message"] = call.tapes[0].wav()
    message = bytes(s.caller.spoken)
    s.hears("that it is closed", s.caller.heard, CARRIER_HZ, 140)
    s.hears("the message, kept", _mono(s.tracks["message"]), CALLER_HZ, 900)
    s.equal("the caller said it", ear.lasts_ms(message, CALLER_HZ) > 0, True)
    s.equal("model sessions", len(s.openai.connections), 0)
    s.equal("end", record["end_reason"], "closed_hours")
    s.equal("kinds", [one["kind"] for one in record["recording"]], ["message"])


def _mono(sound: bytes) -> bytes:
    return mulaw.encode(sound[44:])


async def _full_house(s: Stage) -> None:
    first = await s.dial()
    await s.caller.hears(_FIRST_HZ, 400)
    waiting, refused = await s.telephone("waiting"), await s.telephone("refused")
    second = await s.dial(waiting, "+12125551235")
    await waiting.until(lambda: any("next" in one for one in second.said), "word of the place")
    third = await s.dial(refused, "+12125551236")
    await third.ended()
    lines = len(s.openai.connections)
    before = len(waiting.heard)
    await s.caller.hang_up()
    await waiting.hears(_SECOND_HZ, 400)
    await waiting.hang_up()
    records = [await s.ended(one) for one in (first, second, third)]

    s.hears("the first, the agent", s.caller.heard, _FIRST_HZ, 400)
    s.hears("the second, where they stand", waiting.heard[:before], CARRIER_HZ, 300)
    s.hears("and then the agent", waiting.heard, _SECOND_HZ, 400)
    s.hears("the third, to try later", refused.heard, CARRIER_HZ, 150)
    s.hears_no("the agent, by the third", refused.heard, _FIRST_HZ)
    s.hears_no("the agent, by who waits", waiting.heard[:before], _SECOND_HZ)
    s.equal("model sessions while it was full", lines, 1)
    ends = [one["end_reason"] for one in records]
    s.equal("ends", ends, ["caller_hangup", "caller_hangup", "capacity"])


async def _voicemail(s: Stage) -> None:
    call_id = await s.order(machine={"message": _MESSAGE})
    call = await s.call_to(CALLER)
    record = await s.ended(call, call_id)

    theirs, ours = call.recording()
    s.tracks["machine-heard"] = wav(ours)
    s.tracks["machine-spoken"] = wav(theirs)
    beep = ear.begins(theirs, _BEEP_HZ)
    after = ours[beep or 0 :]
    s.equal("there was a beep", beep is not None, True)
    s.hears("the message after the beep", after, _MESSAGE_HZ, 1_000)
    s.hears("in one piece", after[-8 * 1_200 - 8 * 1_000 :], _MESSAGE_HZ, 1_000)
    s.equal("end", record["end_reason"], "voicemail_left")
    s.equal("answered by", record["answered_by"], "machine")


_LEAVES = Reply(_MESSAGE, 1_000, _MESSAGE_HZ)
PLAYS = (
    Play(
        "closed",
        "outside the hours: the caller is told so and put through to a person",
        _closed("desk"),
        script(),
        _closed_hours,
    ),
    Play(
        "message",
        "outside the hours: the caller leaves a message after a tone (<Record>)",
        _closed("take_message"),
        script(),
        _take_message,
    ),
    Play(
        "full",
        "one place: the second caller waits for it and gets it, the third is to try later",
        f"{HEAD}\n"
        'numbers: {"*": {max_concurrent: 1, when_full: {say: All busy., then: queue,'
        " most_waiting: 1, otherwise: {say: Try later., then: end_call}}}}\n",
        script(Reply("Hello.", 400, _FIRST_HZ), Reply("Hello.", 400, _SECOND_HZ)),
        _full_house,
        pace=Pace(pause_factor=0.1),
    ),
    Play(
        "voicemail",
        "a call is placed, a machine answers: the whole message behind its beep",
        HEAD,
        script(_LEAVES),
        _voicemail,
        settings={
            "DIAL_COUNTRIES": "US",
            "DIAL_FROM": "+12125550000",
            "JOBS": "child",
            "CALLING_HOURS": "Mo-Su 00:00-24:00",
        },
        answers={CALLER: DialOutcome(pick_up=PickUp("machine", _GREETING))},
        phones=False,
    ),
)
