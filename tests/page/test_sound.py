"""The sound of the page, measured on its own audio clock: a frame comes every 20 ms of it."""

import asyncio
from statistics import median

import numpy as np
import pytest
from playwright.async_api import Page, expect

from app.protocol.units import FRAME_BYTES, FRAME_MS, MULAW_SILENCE, bytes_of_ms
from tests.page.carrier import Phone
from tests.page.conftest import BABBLE_S
from tests.page.hearing import babble, decode, likeness
from tests.page.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEASURED_S = 9
SETTLING_FRAMES = 50
"""The first second, in which devices open and buffers fill."""
SECOND = 1000 // FRAME_MS


async def call(page: Page, s: Stage) -> Phone:
    """A call whose stream is up."""
    await page.locator("#call").click()
    phone = await s.carrier.phone(len(s.carrier.phones))
    await phone.stream()
    return phone


async def frames(phone: Phone, count: int) -> None:
    """Wait for so many frames more."""
    wanted = len(phone.frames) + count
    await phone.until(lambda: len(phone.frames) >= wanted, count * FRAME_MS / 1000 * 3 + 10)


def interval_ms(times_s: list[float]) -> float:
    """The mean interval of frames, by the promptest one of the first and of the last second.

    A frame may come late because this machine is busy; none comes before it was spoken.
    """
    late_ms = [1000 * at_s - n * FRAME_MS for n, at_s in enumerate(times_s)]
    drift_ms = min(late_ms[-SECOND:]) - min(late_ms[:SECOND])
    return FRAME_MS + drift_ms / (len(times_s) - SECOND)


async def test_every_frame_is_20_ms_and_sounds_like_what_was_said(page: Page, s: Stage) -> None:
    """A stream that runs fast, slow or with holes is noise to a recogniser."""
    await page.get_by_label("Raw microphone").check()
    phone = await call(page, s)

    await frames(phone, SETTLING_FRAMES + MEASURED_S * SECOND)

    mean_ms = interval_ms(phone.frame_times_s[SETTLING_FRAMES:])
    spoken = babble(BABBLE_S)
    heard = phone.frames[SETTLING_FRAMES:]
    alike = [
        likeness(decode(b"".join(heard[n * SECOND : (n + 1) * SECOND])), spoken)
        for n in range(MEASURED_S)
    ]
    assert {len(frame) for frame in phone.frames} == {FRAME_BYTES}
    assert abs(mean_ms - FRAME_MS) <= 0.2
    # The fake device drops a packet when the machine is busy: that is one second of nine.
    assert median(alike) > 0.99


async def test_marks_come_back_when_what_was_before_them_was_heard(page: Page, s: Stage) -> None:
    """What the caller heard is counted by them; a burst is played in order, not at once."""
    phone = await call(page, s)
    await frames(phone, 10)

    await phone.mark("nothing before")
    for name in ("500", "1000", "2000"):
        await phone.play(bytes([0x80]) * bytes_of_ms({"500": 500, "1000": 500, "2000": 1000}[name]))
        await phone.mark(name)
    began = (await phone.marked("nothing before")).frames
    came = {name: (await phone.marked(name)).frames - began for name in ("500", "1000", "2000")}

    for name, count in came.items():
        assert abs(count * FRAME_MS - int(name)) <= 50


async def test_a_clear_brings_every_mark_back_at_once_and_stops_the_sound(
    page: Page, s: Stage
) -> None:
    """A caller who interrupts must not hear another word."""
    phone = await call(page, s)
    await frames(phone, 10)
    took_ms = []

    for n in range(5):
        await phone.play(bytes([0x90, 0x10]) * bytes_of_ms(1000))
        await phone.mark(f"{n} first")
        await phone.mark(f"{n} second")
        await frames(phone, 15)
        began_s = asyncio.get_running_loop().time()
        await phone.send("clear")
        second = await phone.marked(f"{n} second")
        took_ms.append(1000 * (second.at_s - began_s))
    await phone.play(bytes([0x90]) * bytes_of_ms(100))
    await phone.mark("after")
    before = len(phone.frames)
    after = (await phone.marked("after")).frames - before

    assert [one.message["mark"]["name"] for one in phone.all("mark")] == [
        *(f"{n} {which}" for n in range(5) for which in ("first", "second")),
        "after",
    ]
    assert min(took_ms) < 50
    assert after * FRAME_MS < 500, "what was cleared was played nevertheless"


async def test_what_is_played_moves_the_agents_meter(page: Page, s: Stage) -> None:
    """A person who hears nothing must see whether there was anything to hear."""
    phone = await call(page, s)
    await frames(phone, 5)
    meter = page.locator("#meter-they")
    await expect(meter).to_have_attribute("style", "--level: 0.000;")

    await phone.play(bytes([0x90] * 4 + [0x10] * 4) * (bytes_of_ms(1000) // 8))

    await expect(meter).not_to_have_attribute("style", "--level: 0.000;", timeout=60_000)


async def test_muted_the_line_carries_silence_and_never_pauses(page: Page, s: Stage) -> None:
    """A gap is a defect on a telephone line; silence is not."""
    phone = await call(page, s)
    await frames(phone, SETTLING_FRAMES)
    loud = np.abs(decode(b"".join(phone.frames[-25:]))).max()

    await page.get_by_role("button", name="Mute").click()
    await frames(phone, 50)

    assert loud > 0.01
    assert set(b"".join(phone.frames[-10:])) == {MULAW_SILENCE}
    await expect(page.get_by_role("button", name="Muted")).to_have_attribute("aria-pressed", "true")


async def test_no_frame_leaves_before_the_stream_is_up_or_after_it_ended(
    page: Page, s: Stage
) -> None:
    """The microphone is live only where somebody is listening, and the light goes out after."""
    await page.locator("#call").click()
    phone = await s.carrier.phone()
    await phone.got("dial")
    await asyncio.sleep(0.2)
    assert not phone.frames

    await phone.stream()
    await frames(phone, 10)
    await phone.send("stop")
    await phone.send("mark", mark={"name": "stopped"})
    stopped = await phone.marked("stopped")
    await phone.send("hungup", by="agent", reason="completed")
    await expect(page.locator("#status")).to_have_text("Ready")

    assert len(phone.frames) - stopped.frames <= 1
