"""Every failure has its sentence and a way on; none of them ends what could go on."""

from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from app.protocol.units import FRAME_BYTES, FRAME_MS, MULAW_SILENCE, SAMPLE_RATE_HZ, bytes_of_ms
from tests.page.carrier import Phone
from tests.page.hearing import babble, write_wav
from tests.page.stage import FAKE_DEVICE, FAKE_GRANT, Stage, chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNANSWERED = """
navigator.mediaDevices.getUserMedia = () => new Promise(() => {});
"""
"""A person who does not see, or does not answer, the browser's question."""
NO_AUDIO = "delete globalThis.AudioContext"
"""A browser without sound, as far as a page can see."""
HELD_BACK = """
Object.defineProperty(AudioContext.prototype, "state", {
  get() { return globalThis.soundWanted ? "running" : "suspended"; }, configurable: true });
AudioContext.prototype.resume = () => new Promise(() => {});
"""
"""Firefox without an output device: it never answers. The variable ends that."""


async def call(page: Page, s: Stage) -> Phone:
    """A call whose stream is up."""
    await page.locator("#call").click()
    phone = await s.carrier.phone(len(s.carrier.phones))
    await phone.stream()
    return phone


async def goes_on_without_a_microphone(page: Page, phone: Phone) -> None:
    """Silence is said, marks come back, keys and typed words arrive."""
    await phone.until(lambda: len(phone.frames) >= 25)
    assert {len(frame) for frame in phone.frames} == {FRAME_BYTES}
    assert set(b"".join(phone.frames)) == {MULAW_SILENCE}
    await phone.mark("at once")
    began = (await phone.marked("at once")).frames
    await phone.play(bytes([0x90]) * bytes_of_ms(500))
    await phone.mark("heard")
    heard = (await phone.marked("heard")).frames - began
    # Neither at once nor much later; what the messages took on their way is in it.
    assert 450 <= heard * FRAME_MS <= 1_500
    await page.get_by_role("button", name="5").click()
    await phone.got("dtmf")
    await page.get_by_label("Instead of speaking").fill("Hello")
    await page.get_by_label("Instead of speaking").press("Enter")
    await phone.got("say")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def no_device():  # type: ignore[no-untyped-def]
    """A machine without a microphone, which also knows a name that is not localhost."""
    async with chromium("--host-resolver-rules=MAP patchline.test 127.0.0.1") as made:
        yield made


async def test_a_refused_microphone_is_explained_and_the_call_goes_on(s: Stage) -> None:
    """Who said no meant the microphone, not the call; and may change their mind."""
    async with chromium(FAKE_DEVICE) as made:
        context = await made.new_context()
        page = await s.open(context)
        phone = await call(page, s)

        notice = page.get_by_role("alert").filter(has_text="may not use the microphone")
        await expect(notice).to_be_visible()
        await expect(page.locator('[data-part="you"] .rung')).to_have_text("no microphone")
        await goes_on_without_a_microphone(page, phone)

        await context.grant_permissions(["microphone"])
        await page.get_by_role("button", name="Try the microphone again").click()
        await expect(notice).to_be_hidden()
        await phone.until(lambda: set(b"".join(phone.frames[-25:])) != {MULAW_SILENCE})
        await expect(page.locator('[data-part="you"] .rung')).to_have_text("microphone")


async def test_a_machine_without_a_microphone_can_call(no_device: Browser, s: Stage) -> None:
    """Servers and desktops have none."""
    context = await no_device.new_context()
    page = await s.open(context)
    phone = await call(page, s)

    await expect(page.get_by_role("alert")).to_contain_text("No microphone was found")
    await goes_on_without_a_microphone(page, phone)
    await context.close()


async def test_an_unanswered_question_for_the_microphone_holds_nothing_up(
    no_device: Browser, s: Stage
) -> None:
    """Some browsers show it as a small icon only."""
    context = await no_device.new_context()
    await context.add_init_script(UNANSWERED)
    page = await s.open(context)

    await page.locator("#call").click()
    await expect(page.get_by_role("alert")).to_contain_text("asks whether this page may use")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#status")).to_have_text("Ready")
    await page.locator("#call").click()
    await page.get_by_role("button", name="Go on without").click()

    phone = await s.carrier.phone()
    await phone.stream()
    assert [one.message["event"] for one in phone.heard] == ["dial"]
    await goes_on_without_a_microphone(page, phone)
    await context.close()


async def test_a_microphone_that_is_switched_off_is_noticed(s: Stage, tmp_path: Path) -> None:
    """The browser gives zeros and no error; the agent would wait for ever."""
    wav = tmp_path / "silence first.wav"
    write_wav(wav, np.concatenate([np.zeros(9 * SAMPLE_RATE_HZ), babble(6)]))
    said = f"--use-file-for-fake-audio-capture={wav}"
    async with chromium(FAKE_DEVICE, FAKE_GRANT, said) as made:
        page = await s.open(await made.new_context())
        await page.get_by_label("Raw microphone").check()
        await call(page, s)
        alert = page.get_by_role("alert").filter(has_text="nothing but silence")

        await expect(alert).to_be_visible(timeout=60_000)
        await expect(alert).to_be_hidden(timeout=60_000)
        await page.context.close()


async def test_a_page_that_was_held_up_says_so_and_loses_nothing(page: Page, s: Stage) -> None:
    """The sound has a thread of its own; what the page could not send at once is sent then."""
    phone = await call(page, s)
    await phone.until(lambda: len(phone.frames) >= 25)

    await page.evaluate("() => { for (const end = Date.now() + 1000; Date.now() < end; ); }")

    await expect(page.get_by_role("status").filter(has_text="held up")).to_be_visible()
    began, count = phone.frame_times_s[0], len(phone.frames) + 25
    await phone.until(lambda: len(phone.frames) >= count)
    elapsed_ms = 1000 * (phone.frame_times_s[-1] - began)
    assert elapsed_ms / FRAME_MS - len(phone.frames) < 25


async def test_a_browser_without_sound_can_call(no_device: Browser, s: Stage) -> None:
    """The clock stands in for the ear, so that the agent keeps its pace."""
    context = await no_device.new_context()
    await context.add_init_script(NO_AUDIO)
    page = await s.open(context)
    phone = await call(page, s)

    await expect(page.get_by_text("found nothing to play sound on")).to_be_visible()
    await expect(page.locator('[data-part="you"] .rung')).to_have_text("captions only")
    await goes_on_without_a_microphone(page, phone)
    await context.close()


async def test_sound_that_is_held_back_can_be_asked_for_during_the_call(
    browser: Browser, s: Stage
) -> None:
    """Two seconds are waited, not for ever; and what waits to be heard is not lost."""
    context = await browser.new_context()
    await context.add_init_script(HELD_BACK)
    page = await s.open(context)
    phone = await call(page, s)
    button = page.get_by_role("button", name="Turn the sound on")
    await expect(button).to_be_visible()
    await goes_on_without_a_microphone(page, phone)

    await phone.play(bytes([0x90]) * bytes_of_ms(1500))
    await phone.mark("across")
    await page.evaluate("() => { globalThis.soundWanted = true; }")
    await button.click()
    await expect(button).to_be_hidden()

    await phone.marked("across")
    await phone.until(lambda: set(b"".join(phone.frames[-25:])) != {MULAW_SILENCE})
    await expect(page.locator('[data-part="you"] .rung')).to_have_text("microphone")
    await context.close()


async def test_a_page_on_another_name_says_where_to_open_it(no_device: Browser, s: Stage) -> None:
    """Browsers give no microphone there, and the server gives no ticket."""
    context = await no_device.new_context()
    port = s.url.rpartition(":")[2]
    s.url = f"http://patchline.test:{port}"

    page = await s.open(context)

    alert = page.get_by_role("alert").filter(has_text=f"http://localhost:{port}/phone")
    await expect(alert).to_be_visible()
    await expect(page.get_by_role("button", name="Call")).to_be_disabled()
    assert not s.carrier.phones
    s.complaints = [one for one in s.complaints if "403" not in one and "untrustworthy" not in one]
    await context.close()


async def test_the_second_tab_takes_the_line_and_the_first_may_take_it_back(
    page: Page, s: Stage
) -> None:
    """Two tabs that fight for a line would both be deaf."""
    first = await s.carrier.phone()

    await first.send("problem", code="replaced", sentence="Another tab has the line.")
    await first.close(4000)

    await expect(page.get_by_role("alert")).to_contain_text("another tab or window")
    await page.wait_for_timeout(1500)
    assert len(s.carrier.phones) == 1
    await page.get_by_role("button", name="Take the line back").click()
    await expect(page.locator("#status")).to_have_text("Ready")
    assert len(s.carrier.phones) == 2


async def test_a_lost_line_is_told_and_comes_back_by_itself(page: Page, s: Stage) -> None:
    """A carrier that was started again must not need a reload of the page."""
    phone = await call(page, s)

    await phone.close(1011)

    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    await expect(page.locator("#captions")).to_contain_text("the call with it")
    await s.carrier.phone(2)
    await expect(page.locator("#status")).to_have_text("Ready")
    await expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_hidden()


@pytest.mark.parametrize("code", ["webhook_failed", "refused", "engine_gone"])
async def test_what_the_carrier_says_went_wrong_is_shown_as_it_says_it(
    page: Page, s: Stage, code: str
) -> None:
    """It knows what happened; the page must not paraphrase."""
    await page.locator("#call").click()
    phone = await s.carrier.phone()
    await phone.got("dial")

    await phone.send("problem", code=code, sentence="Here is what happened.")

    await expect(page.get_by_role("alert")).to_contain_text("Here is what happened.")
    await expect(page.locator("#status")).to_have_text("Ready")


async def test_a_busy_line_offers_to_hang_the_other_call_up(page: Page, s: Stage) -> None:
    """A tab that died may have left a call behind."""
    await page.locator("#call").click()
    phone = await s.carrier.phone()
    await phone.got("dial")

    await phone.send("problem", code="busy", sentence="Another call is on this phone.")
    await page.get_by_role("button", name="Hang up the other call").click()

    await phone.got("hangup")


async def test_without_a_voice_the_page_says_what_to_install(browser: Browser, s: Stage) -> None:
    """A button that does nothing is worse than none."""
    s.carrier.voice = "none"
    context = await browser.new_context()
    page = await s.open(context)
    await call(page, s)

    await expect(page.get_by_role("button", name="Say it for me")).to_be_disabled()
    await expect(page.get_by_text("apt-get install flite")).to_be_visible()
    await context.close()


async def test_an_unknown_word_of_the_carrier_is_passed_over(page: Page, s: Stage) -> None:
    """A newer carrier may say more."""
    phone = await call(page, s)

    await phone.send("weather", degrees=20)
    await phone.mark("still there")

    await phone.marked("still there")
