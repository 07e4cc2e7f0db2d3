"""Warm transfers: a person is asked while the caller hears music, and nobody is lost."""

from collections.abc import Awaitable, Callable

from app.audio.tones import tone
from app.emulators.scenario import Reply, ToolUse
from app.emulators.scenarios import ear
from app.emulators.scenarios.stage import (
    CALLER_HZ,
    CARRIER_HZ,
    HEAD,
    MUSIC_HZ,
    PERSON,
    PERSON_HZ,
    SAYS,
    Play,
    Stage,
    script,
    since,
)
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import DialOutcome, PickUp

_HELLO_HZ, _ASKS_HZ, _BACK_HZ = 440, 660, 1500
_HELLO = Reply("Hello.", 400, _HELLO_HZ)
_ASKS = Reply(
    "I ask them.",
    400,
    _ASKS_HZ,
    tools=[ToolUse("transfer_call", {"target": "desk", "summary": "Ada asks about claim 7."})],
)
_BACK = Reply("They cannot come.", 800, _BACK_HZ)
_AGENT = (
    HEAD
    + f"""
transfer_targets:
  desk:
    description: A person who can decide.
    to: "{PERSON}"
    mode: warm
    hold_audio: hold.wav
    whisper: "A call for you. {{{{ summary.short }}}}"
    on_failure: {{then: resume}}
"""
)
_MUSIC_MS = 600
"""So much is listened to before anything happens."""
_KNOWN_MS = 400
"""From answering to the verdict that it is a machine."""


async def _asked(s: Stage) -> EmulatedCall:
    """The caller wants a person, whose telephone rings; the caller hears music."""
    call = await s.dial()
    await s.caller.hears(_HELLO_HZ, 400)
    await s.caller.say(SAYS)
    await s.person.rings()
    await s.caller.hears(MUSIC_HZ, _MUSIC_MS)
    return call


async def _accepted(s: Stage) -> None:
    call = await _asked(s)
    s.person.answer()
    await s.person.hears(CARRIER_HZ, 300)
    await s.person.press("1")
    await call.until(lambda: bool(call.conferences))
    together = len(s.caller.heard)
    await s.person.until(lambda: call.other_party is not None, "both to be in the room")
    await s.person.say(tone(PERSON_HZ, 600))
    await s.caller.hears(PERSON_HZ, 500)
    await s.caller.say(tone(CALLER_HZ, 600))
    await s.person.hears(CALLER_HZ, 500)
    await s.person.hang_up()
    record = await s.ended(call)

    caller, person = s.caller.heard, s.person.heard
    s.hears("music while it rings", caller, MUSIC_HZ, _MUSIC_MS)
    s.hears("the person, by the caller", caller, PERSON_HZ, 500)
    s.hears("the caller, by the person", person, CALLER_HZ, 500)
    for what, pitch in (("music", MUSIC_HZ), ("the agent", _ASKS_HZ)):
        s.hears_no(f"{what} in the room, by the caller", caller[together:], pitch)
        s.hears_no(f"{what}, by the person", person, pitch)
    s.equal("transfer", _outcomes(record), [("warm", "connected")])


def _outcomes(record: dict[str, object]) -> list[tuple[str, str]]:
    transfers = record["transfers"]
    assert isinstance(transfers, list)
    return [(one["mode"], one["outcome"]) for one in transfers]


def _failed(
    outcome: str, answer: Callable[[Stage], Awaitable[float]]
) -> Callable[[Stage], Awaitable[None]]:
    """The person does something that is no yes: the caller is back with the agent."""

    async def act(s: Stage) -> None:
        call = await _asked(s)
        known_ms = await answer(s)
        await s.caller.hears(_BACK_HZ, 800)
        await s.caller.hang_up()
        record = await s.ended(call)

        caller = s.caller.heard
        s.hears("music", caller, MUSIC_HZ, _MUSIC_MS)
        s.hears("the agent again", caller, _BACK_HZ, 800)
        s.took("after the verdict", known_ms, s.caller.heard_at_ms(_BACK_HZ))
        s.hears_no("music under the agent", since(caller, _BACK_HZ), MUSIC_HZ)
        s.hears_no("the person, by the caller", caller, PERSON_HZ)
        s.hears_no("the agent, by the person", s.person.heard, _ASKS_HZ)
        s.equal("transfer", _outcomes(record), [("warm", outcome)])

    return act


async def _declines(s: Stage) -> float:
    s.person.answer()
    await s.person.hears(CARRIER_HZ, 300)
    await s.person.press("2")
    return s.person.pressed_at_ms


async def _is_a_machine(s: Stage) -> float:
    machine = await s.call_to(PERSON)
    s.person.answer()
    await s.person.until(lambda: machine.answered_by is not None, "the verdict")
    return (machine.answered_at_ms or 0.0) + _KNOWN_MS


async def _caller_leaves(s: Stage) -> None:
    call = await _asked(s)
    await s.caller.hang_up()
    record = await s.ended(call)
    await s.person.until(lambda: s.person.free, "the person's telephone to fall silent")

    s.hears("music", s.caller.heard, MUSIC_HZ, _MUSIC_MS)
    s.equal("the telephone rang, and is silent", (s.person.rang, s.person.free), (1, True))
    s.equal("nothing was heard on it", ear.lasts_ms(s.person.heard, CARRIER_HZ), 0)
    s.equal("transfer", _outcomes(record), [("warm", "caller_hangup")])


PLAYS = (
    Play(
        "warm-accepted",
        "a person is asked, presses 1 and is joined with the caller",
        _AGENT,
        script(_HELLO, _ASKS),
        _accepted,
    ),
    Play(
        "warm-declined",
        "the person presses 2; the agent speaks again",
        _AGENT,
        script(_HELLO, _ASKS, _BACK),
        _failed("declined", _declines),
    ),
    Play(
        "warm-machine",
        "an answering machine takes the call; the agent speaks again",
        _AGENT,
        script(_HELLO, _ASKS, _BACK),
        _failed("machine", _is_a_machine),
        answers={PERSON: DialOutcome(pick_up=PickUp("machine", known_after_ms=_KNOWN_MS))},
    ),
    Play(
        "warm-caller-gone",
        "the caller hangs up while it rings; the telephone falls silent",
        _AGENT,
        script(_HELLO, _ASKS),
        _caller_leaves,
    ),
)
