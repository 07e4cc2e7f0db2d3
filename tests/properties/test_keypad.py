"""Whatever is pressed, and whenever: a collection ends, and a secret stays one."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from app.call.keypad import DISCREET_MS
from app.call.plan import CallPlan, DigitsPreset
from app.protocol import commands as c
from app.protocol import events as e
from app.runtime.flight_log import FlightLog
from tests.call.words import done, frame, on_the_phone, started, tool_call

QUICK = settings(max_examples=200, deadline=None)
COLLECT = tool_call("collect_dtmf", arguments='{"preset":"pin"}')
KEYS = st.text("0123456789*#", max_size=14)
PRESETS = st.one_of(
    st.builds(DigitsPreset, num_digits=st.integers(1, 9), finish_on_key=st.sampled_from(["", "#"])),
    st.builds(
        DigitsPreset,
        min_digits=st.integers(1, 4),
        max_digits=st.integers(5, 9),
        finish_on_key=st.sampled_from(["", "#", "*"]),
        retries=st.integers(0, 2),
        stop_after=st.booleans(),
        ignore_speech=st.booleans(),
    ),
)


@QUICK
@given(PRESETS, st.lists(st.tuples(st.sampled_from("0123456789*#"), st.integers(0, 12_000))))
def test_a_collection_has_one_end_and_no_command_after_it(
    preset: DigitsPreset, pressed: list[tuple[str, int]]
) -> None:
    """The model is answered exactly once, also where nobody presses anything any more."""
    machine = on_the_phone(CallPlan(presets={"pin": preset}))
    machine.handle(started(), 0)
    out = machine.handle(COLLECT, 0) + machine.handle(done(), 0)
    now_ms = 0
    for key, pause_ms in [*pressed, ("", 0)]:
        until_ms = now_ms + (pause_ms if key else 600_000)
        while (at_ms := machine.deadline_ms()) is not None and at_ms <= until_ms:
            now_ms = max(now_ms, at_ms)
            out += machine.wake(now_ms)
        now_ms = until_ms
        out += machine.handle(e.CallerDigit(key), now_ms) if key else []
        if any(isinstance(one, c.FailOver) for one in out):
            break

    answers = [one for one in out if isinstance(one, c.AddToolOutput)]
    assert len(answers) <= 1
    assert answers or any(isinstance(one, c.FailOver) for one in out)


@QUICK
@given(PRESETS, KEYS, st.lists(st.tuples(KEYS, st.integers(0, 9_000)), max_size=6))
def test_no_digit_of_a_secret_is_told_or_written(
    preset: DigitsPreset, ahead: str, typed: list[tuple[str, int]]
) -> None:
    """Neither model nor record nor flight log, while it is asked for and for a minute after."""
    secret = DigitsPreset(
        **{name: getattr(preset, name) for name in preset.__slots__} | {"sensitive": True}
    )
    plan = CallPlan(presets={"pin": secret})
    machine, written = on_the_phone(plan), list[bytes]()
    flight = FlightLog("a-1", CallPlan(), lambda _, data: written.append(data))
    flight.private_key = lambda: machine.private_key
    flight.private_turn = lambda: machine.private_turn
    ahead = ahead.replace("#", "")[:4]

    def feed(event: e.Event, now_ms: int) -> list[c.Command]:
        commands = machine.handle(event, now_ms)
        flight.event(now_ms, event, commands)
        flight.flush()
        return commands

    for key in ahead:
        feed(e.CallerDigit(key), 0)
    feed(started(), 0)
    out, now_ms = feed(COLLECT, 0), 0
    for keys, pause_ms in typed:
        now_ms += pause_ms
        out += machine.wake(now_ms)
        for key in keys if now_ms < DISCREET_MS else "":
            out += feed(e.CallerDigit(key), now_ms)
        feed(frame(now_ms), now_ms)
    flight.close()

    texts = [one.text for one in out if isinstance(one, c.AddMessage)]
    texts += [one.output for one in out if isinstance(one, c.AddToolOutput)]
    texts += [one.shown for one in out if isinstance(one, c.DigitsCollected)]
    assert not re.search(r"pressed: [0-9]|\"digits\":\"[0-9]|^[0-9]", "\n".join(texts), re.M)
    assert not re.search(rb'"CallerDigit","[0-9]', b"".join(written))
