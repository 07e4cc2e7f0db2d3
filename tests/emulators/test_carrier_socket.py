"""The phone socket: who gets in, and what becomes of those who break its rules."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.audio.tones import tone
from app.emulators.carrier import Account, LocalCarrier, pages_of
from app.emulators.carrier_voice import StudioVoice
from app.emulators.demo_voice import AGENT, Studio
from app.emulators.phone import TOLERANCE_FRAMES, FrameClock
from app.emulators.phone_outbox import Outbox
from app.emulators.phone_tab import TabPhone
from app.emulators.twilio import Pace
from tests.waiting import until
from tests.walks.telephone import TICKET, telephone

NOBODY = "http://127.0.0.1:9"
ACCOUNT = Account(NOBODY, "https://phone.contoso.test", "AC" + "0" * 32, "12345")


@pytest.fixture
async def carrier() -> AsyncIterator[LocalCarrier]:
    """A carrier of a server that is not there."""
    silent = StudioVoice(Studio(None), AGENT)
    async with LocalCarrier(ACCOUNT, ticket=TICKET, voice=silent, pace=Pace()) as made:
        yield made


async def test_a_phone_learns_its_line_number_and_voice_first(carrier: LocalCarrier) -> None:
    """The page shows them."""
    async with telephone(carrier, "person") as phone:
        ready = phone.messages[0]

        assert ready["event"] == "ready"
        assert (ready["line"], ready["number"]) == ("person", "+14155550123")
        assert ready["voice"] in {"flite", "espeak-ng", "none"}


@pytest.mark.parametrize(
    ("query", "origin", "status"),
    [
        (f"ticket={TICKET}&line=caller", "http://evil.test", 403),
        (f"ticket={TICKET}&line=caller", "http://127.0.0.1", 403),
        (f"ticket={TICKET}&line=caller", "null", 403),
        ("ticket=wrong&line=caller", "http://127.0.0.1:9", 403),
        ("ticket=%C3%A9&line=caller", None, 403),
        ("line=caller", None, 403),
        (f"ticket={TICKET}&line=operator", None, 400),
        (f"ticket={TICKET}", None, 400),
    ],
)
async def test_strangers_stay_outside(
    carrier: LocalCarrier, query: str, origin: Any, status: int
) -> None:
    """Any page a person has open could otherwise telephone in their name."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{carrier.phone_url}?{query}", origin=origin, proxy=None)

    assert refused.value.response.status_code == status


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9", "http://localhost:9", None])
async def test_pages_of_the_server_and_programs_get_in(carrier: LocalCarrier, origin: Any) -> None:
    """A browser says which page asks; a program says nothing."""
    async with telephone(carrier, origin=origin) as phone:
        assert phone.events == ["ready"]


@pytest.mark.parametrize("port", ["", ":80"])
def test_a_page_on_the_webs_own_port_may_use_the_phone(port: str) -> None:
    """A browser writes no :80; the ticket was given, and the socket refused."""
    origins = pages_of(f"http://127.0.0.1{port}")

    assert origins == {"http://localhost", "http://127.0.0.1", "http://[::1]"}


def test_a_page_under_the_long_loopback_address_may_use_the_phone() -> None:
    """It is given the ticket under that name too."""
    assert "http://[::1]:5050" in pages_of("http://[::1]:5050")


async def test_the_newest_phone_of_a_line_wins(carrier: LocalCarrier) -> None:
    """A second tab takes over; the first is told so and does not come back by itself."""
    async with telephone(carrier) as first, telephone(carrier) as second:
        problem = await first.got("problem")
        await first.socket.wait_closed()

        assert problem["code"] == "replaced"
        assert first.socket.close_code == 4000
        assert carrier.book.caller.phone is not None
        await second.send("answer")
        assert second.socket.close_code is None


async def test_a_message_of_more_than_64_kib_ends_the_socket(carrier: LocalCarrier) -> None:
    """Nothing a phone has to say is that long."""
    async with telephone(carrier) as phone:
        await phone.send("say", text="x" * 65536)
        await phone.socket.wait_closed()

        assert phone.socket.close_code == 1009
        await until(lambda: carrier.book.caller.phone is None)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "null",
        '{"event":7}',
        '{"event":"wave"}',
        '{"event":"answer"}',
        '{"event":"decline"}',
        '{"event":"hangup"}',
        '{"event":"media"}',
        '{"event":"media","media":{"payload":"AAAA"}}',
        '{"event":"media","media":{"payload":"é"}}',
        '{"event":"dtmf","dtmf":{"digit":"5"}}',
        '{"event":"dtmf","dtmf":7}',
        '{"event":"mark","mark":{"name":"never asked for"}}',
        '{"event":"say","text":7}',
        "[" * 20000,
        b"\x00\x01",
    ],
    ids=lambda message: repr(message[:24]),
)
async def test_what_means_nothing_is_counted_and_changes_nothing(
    carrier: LocalCarrier, message: Any
) -> None:
    """A page of tomorrow may say more than this carrier knows."""
    async with telephone(carrier) as phone:
        ours = _registered(carrier)
        await phone.socket.send(message)
        await until(lambda: ours.ignored == 1)

        assert phone.events == ["ready"]


async def test_an_unanswered_call_is_told_in_words(carrier: LocalCarrier) -> None:
    """The person at the phone is the only one who can do something about it."""
    async with telephone(carrier) as phone:
        await phone.send("dial")
        problem = await phone.got("problem")
        over = await phone.got("hungup")

        assert problem["code"] == "webhook_failed"
        assert "11205" in problem["sentence"]
        assert (over["by"], over["reason"]) == ("carrier", "failed")
        assert phone.last("said")["text"].startswith("We are sorry")


async def test_more_keys_and_farewells_than_anybody_waits_for_are_dropped(
    carrier: LocalCarrier,
) -> None:
    """A child at the keypad does not end the phone."""
    async with telephone(carrier) as phone:
        await phone.send("dial")
        await phone.got("said")
        for _ in range(70):
            await phone.press("5")
        for _ in range(70):
            await phone.send("hangup")
        over = await phone.got("hungup")
        await phone.send("dial")
        await phone.got("calling", 2)

        assert over["by"] == "caller"
        assert phone.socket.close_code is None


async def test_one_phone_has_one_call(carrier: LocalCarrier) -> None:
    """A second click on the button is not a second call."""
    async with telephone(carrier) as phone:
        await phone.send("dial")
        await phone.send("dial")
        problem = await phone.got("problem")

        assert problem["code"] == "busy"
        assert phone.events.count("calling") == 1


async def test_the_phone_that_is_called_does_not_dial(carrier: LocalCarrier) -> None:
    """The person's tab has another button."""
    async with telephone(carrier, "person") as phone:
        await phone.send("dial")

        assert (await phone.got("problem"))["code"] == "refused"


async def test_a_phone_without_a_call_has_nobody_to_say_it_to(carrier: LocalCarrier) -> None:
    """The box on the page says why nothing is heard."""
    async with telephone(carrier) as phone:
        await phone.send("say", text="Hello?")

        assert (await phone.got("problem"))["code"] in {"no_call", "no_voice"}


async def test_a_carrier_that_ends_says_goodbye_to_its_phones() -> None:
    """1001, so that a page knows whom to wait for."""
    async with LocalCarrier(ACCOUNT, ticket=TICKET) as carrier:
        url = f"{carrier.phone_url}?ticket={TICKET}&line=caller"
        socket = await connect(url, proxy=None)
    await socket.wait_closed()

    assert socket.close_code == 1001


async def test_a_phone_that_does_not_read_loses_audio_first_and_no_word() -> None:
    """The oldest sound is worth least; a call that ended unheard is a call that hangs."""
    outbox = Outbox(audio_limit_chars=30)
    outbox.put("first word")
    for number in range(5):
        outbox.put_audio(f"audio {number:03}")
    outbox.put("last word")
    outbox.close(1000)

    got = [text async for text in _all(outbox)]

    assert got == ["first word", "audio 002", "audio 003", "audio 004", "last word"]
    assert outbox.dropped == 2


async def test_what_is_cleared_is_not_sent() -> None:
    """A tab that reads slowly must not play what was interrupted."""
    outbox = Outbox()
    outbox.put_audio("stale")
    outbox.put("mark")
    outbox.clear()
    outbox.put("clear")
    outbox.put_audio("fresh")
    outbox.close(1000)

    assert [text async for text in _all(outbox)] == ["mark", "clear", "fresh"]


async def test_a_phone_that_leaves_even_words_unread_is_given_up() -> None:
    """Nothing that is left may be dropped."""
    outbox = Outbox(words_limit=3)
    for _ in range(4):
        outbox.put("word")

    assert outbox.overfull


async def test_a_socket_that_stalls_is_cut(
    carrier: LocalCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds in earnest; a phone nobody reads has hung up."""
    monkeypatch.setattr("app.emulators.phone_socket.STALLED_S", 0.2)
    url = f"{carrier.phone_url}?ticket={TICKET}&line=caller"
    async with connect(url, proxy=None, compression=None, max_queue=1) as socket:
        assert json.loads(await socket.recv())["event"] == "ready"
        socket.transport.pause_reading()
        ours = _registered(carrier)
        while carrier.book.caller.phone is ours:
            ours.play(tone(440, 20_000))
            await asyncio.sleep(0.01)
        socket.transport.abort()

    assert not ours.free


def test_frames_are_numbered_in_order_whatever_their_pace() -> None:
    """A tab's 20 ms are 15 to 37: order is theirs, time is the stream's."""
    clock = FrameClock(1000)

    assert [clock.number(at) for at in (1020, 1035, 1071, 1080)] == [0, 1, 2, 3]


def test_a_burst_after_a_pause_closes_up() -> None:
    """What was only late leaves no gap."""
    clock = FrameClock(0)
    clock.number(20)

    assert [clock.number(300) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_a_phone_that_was_away_leaves_a_gap() -> None:
    """What was lost was lost: the model's time and the caller's stay one."""
    clock = FrameClock(0)
    clock.number(20)

    assert clock.number(3000) == 150


def test_a_phone_that_is_too_fast_is_not_followed() -> None:
    """Half a second ahead of time is as far as it gets."""
    clock = FrameClock(0)

    numbers = [clock.number(0) for _ in range(TOLERANCE_FRAMES + 10)]

    assert numbers == [*range(TOLERANCE_FRAMES + 1), *[None] * 9]
    assert clock.number(20) == TOLERANCE_FRAMES + 1


def _registered(carrier: LocalCarrier) -> TabPhone:
    phone = carrier.book.caller.phone
    assert isinstance(phone, TabPhone)
    return phone


async def _all(outbox: Outbox) -> AsyncIterator[str]:
    while (text := await outbox.next()) is not None:
        yield text
