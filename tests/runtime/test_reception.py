"""Asking the operator's program in time: late, broken and missing answers, by the document."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.call.line_menu import Choice, LineMenu
from app.call.lookup import Guest
from app.call.reception import LinePlan, Lines, Lobby, Lookup, Refusal
from app.protocol.twiml import Fallback
from app.runtime.live_call import CallFacts
from app.runtime.reception import Ask, Reception, Unanswered, Welcome, country_of
from app.runtime.scripts import Scripts

MENU = LineMenu({"2": Choice("Tapez 2.", "fr-FR")})
CALL = CallFacts("CA" + "1" * 32, "AC" + "1" * 32, "+33612345678", "+15005550006")


def desk(ask: Ask, *, opens: bool, has_room: Callable[[], bool] = lambda: True) -> Reception:
    plan = LinePlan(before_call=Lookup("https://crm.example/x", timeout_ms=50, fails_open=opens))
    return Reception(lambda: Lines({}, plan), ask=ask, has_room=has_room)


async def never(_url: str, _id: str, _body: str, _within_s: float) -> bytes:
    await asyncio.get_running_loop().create_future()
    return b""


async def broken(_url: str, _id: str, _body: str, _within_s: float) -> bytes:
    raise Unanswered("tls")


@pytest.mark.parametrize(("ask", "why"), [(never, "timed_out"), (broken, "tls")])
async def test_a_program_that_does_not_answer_leaves_it_to_the_document(ask: Ask, why: str) -> None:
    """The caller hears it ring meanwhile, for as long as was written and no longer."""
    opened = await desk(ask, opens=True).receive(CALL)
    closed = await desk(ask, opens=False).receive(CALL)

    assert isinstance(opened, Welcome)
    assert opened.guest == Guest(fault=why)
    assert closed == Refusal("unanswered")


async def test_nobody_is_asked_about_a_call_that_there_is_no_room_for() -> None:
    """It is sent on, or turned away: the answer would be for nothing."""
    found = await desk(never, opens=False, has_room=lambda: False).receive(CALL)

    assert isinstance(found, Welcome)


@pytest.mark.parametrize(("pressed", "asked"), [(None, False), ("", True), ("2", True)])
async def test_nobody_is_asked_before_the_menu_was(pressed: str | None, asked: bool) -> None:
    """C12: once is enough, and who hangs up in the menu is nobody's guest."""
    plan = LinePlan(before_call=Lookup("https://crm.example/x"), menu=MENU)
    reception = Reception(lambda: Lines({}, plan), ask=broken)

    found = await reception.receive(replace(CALL, pressed=pressed))

    assert found == Welcome(plan, Guest(fault="tls") if asked else Guest())


def test_what_was_pressed_is_not_asked_again_elsewhere() -> None:
    """C12: at another process, or behind the queue; a key that is none was asked for, too."""
    scripts = Scripts("https://x.test", Fallback("Sorry."), {})

    for pressed, told in (("2", "pressed=2"), ("", "pressed=")):
        assert f"?elsewhere=1&amp;{told}<" in scripts.elsewhere(1, pressed)
        assert f'queue-left?{told}"' in scripts.lobby("+1", Lobby(), None, pressed)
    assert "pressed" not in scripts.elsewhere(1) + scripts.lobby("+1", Lobby(), None)


async def test_calls_we_placed_are_not_turned_away() -> None:
    """Their number is the callee's, which is in no document."""
    placed = CallFacts(CALL.call_sid, CALL.account_sid, "+1", "+33612345678", "outbound-api")

    assert isinstance(await Reception(lambda: Lines({}, None)).receive(placed), Welcome)


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+33612345678", "FR"),
        ("+12125551234", "US"),
        ("+18765551234", "JM"),
        ("+16135551234", "CA"),
        ("+266696687", ""),
        ("anonymous", ""),
        ("", ""),
        ("sip:x@y", ""),
        ("+999123456789", ""),
    ],
)
def test_a_number_tells_its_country_and_a_withheld_one_does_not(number: str, country: str) -> None:
    """+1 is not one country, and letters on a keypad are none."""
    assert country_of(number) == country
