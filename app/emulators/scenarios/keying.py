"""Keys, both ways: a PIN that nobody hears, and menus that the agent goes through by its own."""

from collections.abc import Awaitable, Callable

from app.audio.tones import tone
from app.emulators.scenario import Expect, Items, Reply, ToolUse
from app.emulators.scenarios import ear
from app.emulators.scenarios.stage import (
    CALLER,
    CALLER_HZ,
    HEAD,
    SAYS,
    Play,
    Stage,
    halves,
    script,
)
from app.emulators.twilio_words import Pace, monotonic_ms

_HELLO_HZ, _ASKS_HZ, _NOTICE_HZ, _DONE_HZ = 440, 660, 550, 1800
_SECRET_HZ, _LATER_HZ = 2600, 2300
"""What is said over the PIN, and after it."""
_PIN, _MENU = "4217", "1w2#"
_KEY_MS = 200
"""Of each, where Twilio presses them."""
_MENU_HZ = 3000
"""The voice of the menu."""
_RECORDED = (
    HEAD
    + """
dtmf: {presets: {pin: {num_digits: 4, sensitive: true, ignore_speech: true}}}
recording: {announcement: You are recorded.}
"""
)


async def _pin(s: Stage) -> None:
    call = await s.dial()
    await s.caller.hears(_HELLO_HZ, 400)
    await call.until(lambda: bool(call.tapes))
    tape = call.tapes[0]
    await s.caller.say(SAYS)
    await s.caller.hears(_ASKS_HZ, 300)
    await s.caller.until(lambda: tape.status == "paused", "the recording to rest")
    await s.caller.press(_PIN[:1])
    await s.caller.say(tone(_SECRET_HZ, 200))
    await s.caller.press(_PIN[1:])
    await s.caller.hears(_DONE_HZ, 400)
    await s.caller.until(lambda: tape.status == "in-progress", "the recording to go on")
    await s.caller.say(tone(_LATER_HZ, 200))
    await s.caller.hang_up()
    record = await s.ended(call)

    sound = tape.wav()
    s.tracks["recording"] = sound
    theirs, ours = halves(sound)
    s.keys("keys on the line", s.caller.spoken, _PIN)
    s.keys("on the recording", theirs, "")
    s.hears("the caller before it, recorded", theirs, CALLER_HZ, 300)
    s.hears("and after it", theirs, _LATER_HZ, 200)
    s.hears("the agent, recorded", ours, _HELLO_HZ, 400)
    s.hears_no("what was said over the PIN, recorded", theirs, _SECRET_HZ)
    s.hears_no("the announcement, recorded", ours, _NOTICE_HZ)
    keyed = [turn["digits"] for turn in record["turns"] if turn["type"] == "dtmf"]
    s.equal("the PIN on record", keyed, ["[redacted:4]"])
    sent = [one for session in s.openai.connections for one in session.client_events]
    s.equal("the model was told the PIN", any(_PIN in str(one) for one in sent), False)


def _through(streams: int) -> Callable[[Stage], Awaitable[None]]:
    """A call is placed, a menu answers, the agent presses its keys and then talks."""

    async def act(s: Stage) -> None:
        call_id = await s.order(task="Find out when they open.")
        call = await s.call_to(CALLER)
        await s.caller.rings()
        s.caller.answer()
        await s.caller.say(tone(_MENU_HZ, 500))
        await s.caller.until(lambda: ear.keys(s.caller.heard) != "", "the first key")
        first_ms = monotonic_ms()
        await s.caller.until(lambda: ear.keys(s.caller.heard) == "12#", "the menu to get its keys")
        stream = await call.stream_started(streams)
        await s.caller.until(lambda: call.stream.live, "the agent to be back")
        await s.caller.say(SAYS)
        await s.caller.hears(_DONE_HZ, 400)
        await s.caller.hang_up()
        record = await s.ended(call, call_id)

        s.keys("the menu heard the keys", s.caller.heard, "12#")
        if streams > 1:
            over_ms = first_ms + len(_MENU) * _KEY_MS
            s.took("back after the keys", over_ms, stream.started_at_ms or over_ms)
        s.hears("the agent behind it", s.caller.heard, _DONE_HZ, 400)
        s.equal("streams", len(record["carrier"]["stream_sids"]), streams)
        s.equal("end", record["end_reason"], "caller_hangup")

    return act


_PRESSES = Items([ToolUse("send_dtmf", {"digits": _MENU})])
_TALKS = Reply("When do you open?", 400, _DONE_HZ)
_OUT = {"DIAL_COUNTRIES": "US", "DIAL_FROM": "+12125550000", "JOBS": "child"} | {
    "CALLING_HOURS": "Mo-Su 00:00-24:00"
}

PLAYS = (
    Play(
        "pin",
        "a PIN is keyed in while the recording rests: no tone of it is recorded",
        _RECORDED,
        script(
            Reply("You are recorded.", 300, _NOTICE_HZ),
            Reply("Hello.", 400, _HELLO_HZ),
            Reply(
                "Your PIN, please.",
                300,
                _ASKS_HZ,
                tools=[ToolUse("collect_dtmf", {"preset": "pin"})],
            ),
            Expect(tool_outputs=1, tool_output_contains="{{dtmf.pin}}"),
            Reply("Thank you.", 400, _DONE_HZ),
        ),
        _pin,
    ),
    Play(
        "menu-inband",
        "a call is placed, and the agent presses keys as tones in its audio",
        f"{HEAD}\ndtmf: {{send: {{via: inband}}}}\n",
        script(_PRESSES, _TALKS),
        _through(1),
        settings=_OUT,
    ),
    Play(
        "menu-play",
        "a call is placed, Twilio presses the keys (<Play digits>), the agent comes back",
        f"{HEAD}\ndtmf: {{send: {{via: play}}}}\n",
        script(_PRESSES, _TALKS),
        _through(2),
        settings=_OUT,
        pace=Pace(key_ms=_KEY_MS),
    ),
)
