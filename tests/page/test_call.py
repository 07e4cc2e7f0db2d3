"""What a person sees and does on the page during a call."""

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.page.carrier import CALL, Phone
from tests.page.stage import Stage, axe

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENT = {"kind": "agent", "id": "a1", "text": "Hello. How can I help you today?"}
LONG = "One two three four five six seven eight nine ten."


async def call(page: Page, s: Stage) -> Phone:
    """A call whose stream is up."""
    await page.locator("#call").click()
    phone = await s.carrier.phone(len(s.carrier.phones))
    await phone.stream()
    await expect(page.locator("#status")).to_have_text("Talking")
    return phone


async def test_the_page_shows_its_ticket_and_its_line_to_the_carrier(page: Page, s: Stage) -> None:
    """The carrier lets nobody in by being on the same machine alone."""
    phone = await s.carrier.phone()

    assert (phone.line, phone.tickets) == ("caller", ["the-ticket"])
    assert phone.origin == s.url
    await expect(page.locator("#number")).to_have_text("Your number is +15005550006")


async def test_the_strip_says_what_hears_thinks_speaks_and_carries(page: Page) -> None:
    """Nobody should take a rule file for a large model, or the local carrier for Twilio."""
    for part, rung in {
        "hears": "PocketSphinx",
        "thinks": "Scenario",
        "speaks": "flite",
        "carrier": "Local carrier",
        "you": "this browser",
    }.items():
        await expect(page.locator(f'#rungs [data-part="{part}"] .rung')).to_have_text(rung)
    await expect(page.locator("#rungs")).to_contain_text("Set LOCAL_LLM_URL for more.")


async def test_keys_are_dtmf_events_by_finger_and_by_keyboard(page: Page, s: Stage) -> None:
    """Numbers come by keypad: spoken ones are not understood at 8 kHz."""
    phone = await call(page, s)

    await page.get_by_role("button", name="5").click()
    await page.get_by_role("button", name="pound").click()
    await page.keyboard.press("7")
    await page.keyboard.press("*")
    await phone.got("dtmf", 4)

    assert [one.message for one in phone.all("dtmf")] == [
        {"event": "dtmf", "dtmf": {"digit": digit}} for digit in "5#7*"
    ]


async def test_a_digit_in_a_sentence_is_no_key(page: Page, s: Stage) -> None:
    """Who types a number wants it typed."""
    phone = await call(page, s)

    await page.get_by_label("Instead of speaking").press_sequentially("At 9")
    await page.get_by_role("button", name="Say it for me").click()

    said = await phone.got("say")
    assert said.message == {"event": "say", "text": "At 9"}
    assert not phone.all("dtmf")
    await expect(page.get_by_label("Instead of speaking")).to_have_value("")


async def test_typed_words_go_to_the_agent_of_this_call(page: Page, s: Stage) -> None:
    """A call without a microphone is a call."""
    await call(page, s)

    await page.get_by_label("Instead of speaking").fill("Are you open on Monday?")
    await page.get_by_role("button", name="Send as text").click()

    await expect(page.get_by_label("Instead of speaking")).to_have_value("")
    assert s.texts == [{"callSid": CALL, "text": "Are you open on Monday?"}]


async def test_refused_words_stay_and_the_reason_is_shown(page: Page, s: Stage) -> None:
    """Nobody types a sentence twice because of us."""
    s.text_refusal = "the call is over"
    await call(page, s)

    await page.get_by_label("Instead of speaking").fill("Hello?")
    await page.get_by_role("button", name="Send as text").click()

    await expect(page.locator("#typed-problem")).to_have_text("the call is over")
    await expect(page.get_by_label("Instead of speaking")).to_have_value("Hello?")
    s.complaints = [one for one in s.complaints if "409" not in one]


async def test_captions_change_in_place_and_carry_the_turns_latency(page: Page, s: Stage) -> None:
    """Words come piece by piece; the list must not grow by every piece."""
    s.story = [
        AGENT | {"text": "Hello."},
        AGENT,
        {"kind": "turn", "id": "a1", "latency_ms": 540},
        {"kind": "caller", "id": "c1", "text": ""},
        {"kind": "caller", "id": "c1", "text": "Are you open?"},
        {"kind": "tool", "id": "t1", "name": "opening_hours"},
        {"kind": "tool", "id": "t1", "name": "opening_hours", "text": "closed", "ok": True},
    ]
    await call(page, s)

    captions = page.locator("#captions .caption")
    await expect(captions).to_have_count(3)
    await expect(captions.nth(0)).to_contain_text("Hello. How can I help you today?")
    await expect(captions.nth(0).locator(".latency")).to_have_text("after 0.54 s")
    await expect(captions.nth(1).locator(".words")).to_have_text("Are you open?")
    await expect(captions.nth(2)).to_contain_text("opening_hours")
    await expect(captions.nth(2).locator(".words")).to_have_text("done: closed")


async def test_what_was_cut_off_is_shown_as_not_heard(page: Page, s: Stage) -> None:
    """The agent believes it said only what was heard; the person must see where that ends."""
    s.story = [
        {"kind": "agent", "id": "a1", "text": LONG},
        {"kind": "cut", "id": "a1", "heard_ms": 1000, "sent_ms": 2000},
        {"kind": "agent", "id": "a1", "text": LONG + " Late."},
    ]
    await call(page, s)

    words = page.locator("#captions .words")
    await expect(words.locator(".cut-here")).to_have_text("cut here")
    await expect(words.locator("s")).to_have_text("six seven eight nine ten.")
    await expect(words).to_have_text("One two three four five cut here six seven eight nine ten.")


async def test_words_of_a_stranger_are_words(page: Page, s: Stage) -> None:
    """Captions show what anybody may have said or texted."""
    s.story = [{"kind": "caller", "id": "c1", "text": "<img src=x onerror=alert(1)>"}]
    phone = await call(page, s)
    await phone.send("sms", **{"from": "+15005550006", "to": "+15005550001", "body": "<b>Bye</b>"})

    await expect(page.locator(".caption.caller .words")).to_have_text(s.story[0]["text"])
    await expect(page.locator(".caption.sms")).to_contain_text("Text message to +15005550001")
    await expect(page.locator(".caption.sms .words")).to_have_text("<b>Bye</b>")
    await expect(page.locator("#captions img, #captions b")).to_have_count(0)


async def test_a_screen_reader_is_told_each_sentence_once_when_it_is_whole(
    page: Page, s: Stage
) -> None:
    """Read out piece by piece, captions would talk over the call."""
    s.story = [AGENT | {"text": "Hello."}, AGENT]
    await call(page, s)

    announcer = page.locator("#announcer")
    await expect(announcer).to_have_text(f"Agent {AGENT['text']}")
    await expect(announcer).to_have_attribute("aria-live", "polite")


async def test_hanging_up_ends_the_call_and_the_phone_may_dial_again(page: Page, s: Stage) -> None:
    """One button, found without looking for it."""
    phone = await call(page, s)

    await page.get_by_role("button", name="Hang up").click()
    await phone.got("hangup")
    await phone.send("hungup", by="caller", reason="completed")

    await expect(page.locator("#status")).to_have_text("Ready")
    await expect(page.locator("#captions")).to_contain_text("You hung up.")
    await page.get_by_role("button", name="Call").click()
    await phone.got("dial", 2)


async def test_a_double_click_is_one_call(page: Page, s: Stage) -> None:
    """Many people double-click everything; the second click must not hang up."""
    await page.locator("#call").dblclick()

    phone = await s.carrier.phone()
    await phone.stream()
    await expect(page.locator("#status")).to_have_text("Talking")
    assert [one.message["event"] for one in phone.heard] == ["dial"]


async def test_a_call_can_be_made_with_the_keyboard_alone(page: Page, s: Stage) -> None:
    """Tab and Enter reach everything, and the focus stays where the hand is."""
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Call")).to_be_focused()

    await page.keyboard.press("Enter")
    phone = await s.carrier.phone()
    await phone.stream()
    await expect(page.locator("#status")).to_have_text("Talking")
    await page.keyboard.press("3")

    await phone.got("dtmf")
    await expect(page.get_by_role("button", name="Hang up")).to_be_focused()


async def test_the_person_rings_answers_and_talks(browser: Browser, s: Stage) -> None:
    """A transfer can be tried to its end on one machine."""
    context = await browser.new_context()
    page = await s.open(context, "/phone?line=person")
    await expect(page.locator("#status")).to_have_text("Waiting for a call")
    phone = await s.carrier.phone()
    await expect(page.get_by_role("button", name="Call")).to_be_hidden()

    numbers = {"from": "+15005550001", "to": "+15005550009"}
    await phone.send("ring", callSid=CALL, sentence="The agent is putting Ann through", **numbers)
    await expect(page.get_by_role("button", name="Answer")).to_be_focused()
    await expect(page.locator("#status")).to_have_text("The agent is putting Ann through")
    await expect(page).to_have_title(re.compile("Ringing"))
    assert not await axe(page)
    await page.keyboard.press("Enter")
    await phone.got("answer")
    await phone.send("bridged")

    await phone.until(lambda: len(phone.frames) > 5)
    await expect(page.locator("#status")).to_have_text("Talking")
    await phone.send("hungup", by="caller", reason="completed")
    await expect(page.locator("#captions")).to_contain_text("The caller hung up.")
    await context.close()


async def test_the_person_may_decline_and_a_caller_may_give_up(browser: Browser, s: Stage) -> None:
    """Both are ends of a transfer that the agent must come back from."""
    context = await browser.new_context()
    page = await s.open(context, "/phone?line=person")
    phone = await s.carrier.phone()
    numbers = {"from": "+15005550001", "to": "+15005550009"}

    await phone.send("ring", callSid=CALL, **numbers)
    await page.get_by_role("button", name="Decline").click()
    await phone.got("decline")
    await expect(page.locator("#status")).to_have_text("Waiting for a call")

    await phone.send("ring", callSid=CALL, **numbers)
    await expect(page.get_by_role("button", name="Answer")).to_be_visible()
    await phone.send("ringing-over")
    await expect(page.locator("#captions")).to_contain_text("The caller is gone.")
    await expect(page.get_by_role("button", name="Answer")).to_be_hidden()
    await context.close()


async def test_the_agent_may_call_the_caller(page: Page, s: Stage) -> None:
    """Calls go out as well: the same phone rings, and the same captions follow."""
    s.story = [AGENT]
    phone = await s.carrier.phone()
    numbers = {"from": "+15005550006", "to": "+15005550001"}

    await phone.send("ring", callSid=CALL, **numbers)
    await page.get_by_role("button", name="Answer").click()
    await phone.got("answer")
    await phone.send("start", callSid=CALL, streamSid="MZ" + "3" * 32)

    await expect(page.locator("#status")).to_have_text("Talking")
    await expect(page.locator("#captions")).to_contain_text("Hello. How can I help you today?")
    await phone.until(lambda: len(phone.frames) > 5)


async def test_what_was_said_in_another_call_is_gone_when_the_agent_calls(
    page: Page, s: Stage
) -> None:
    """The entries of two calls have the same ids: they would be written into each other."""
    s.story = [AGENT, {"kind": "cut", "id": "a1", "heard_ms": 1000, "sent_ms": 2000}]
    phone = await call(page, s)
    await expect(page.locator("#captions .cut-here")).to_be_visible()
    await phone.send("hungup", by="caller", reason="completed")
    await expect(page.locator("#status")).to_have_text("Ready")

    s.story = [AGENT | {"text": "Good morning."}]
    other = "CA" + "4" * 32
    await phone.send("ring", callSid=other, **{"from": "+15005550006", "to": "+15005550001"})
    await page.get_by_role("button", name="Answer").click()
    await phone.got("answer")
    await phone.send("start", callSid=other, streamSid="MZ" + "3" * 32)

    await expect(page.locator("#captions .words")).to_have_text(["Good morning."])


async def test_keys_reach_the_carrier_wherever_the_call_is(page: Page, s: Stage) -> None:
    """A menu may ask before the agent and after it; the star key takes back who was put through."""
    await page.locator("#call").click()
    phone = await s.carrier.phone()
    await phone.got("dial")
    await phone.send("calling", callSid=CALL)
    await expect(page.locator("#status")).to_have_text("Calling …")
    await page.keyboard.press("1")
    await phone.send("start", callSid=CALL, streamSid="MZ" + "3" * 32)
    await expect(page.locator("#status")).to_have_text("Talking")
    await page.keyboard.press("2")
    await phone.send("stop")
    await expect(page.locator("#status")).to_have_text("One moment …")
    await page.get_by_role("button", name="3").click()
    await phone.send("dialling", to="the front desk")
    await expect(page.locator("#status")).to_have_text("Putting you through …")
    await page.keyboard.press("4")
    await phone.send("bridged")
    await expect(page.locator("#status")).to_have_text("Talking to a person")
    await page.get_by_role("button", name="star").click()
    await phone.got("dtmf", 5)

    assert [one.message["dtmf"]["digit"] for one in phone.all("dtmf")] == list("1234*")


async def test_a_person_answers_what_is_asked_before_the_caller_comes(
    browser: Browser, s: Stage
) -> None:
    """A whisper asks for a key, and who does not want the call puts the receiver down."""
    context = await browser.new_context()
    page = await s.open(context, "/phone?line=person")
    phone = await s.carrier.phone()
    for times, gesture in enumerate(("keyboard", "keypad"), 1):
        await phone.send("ring", callSid=CALL, **{"from": "+15005550006", "to": "+15005550001"})
        await page.get_by_role("button", name="Answer").click()
        await phone.got("answer", times)
        await expect(page.locator("#status")).to_have_text("One moment …")
        await phone.send("said", text="A call from the agent. Press 1 to take it.")

        if gesture == "keyboard":
            await page.keyboard.press("1")
        else:
            await page.get_by_role("button", name="1").click()
        await phone.got("dtmf", times)
        await page.get_by_role("button", name="Hang up").click()
        await phone.got("hangup", times)
        await phone.send("hungup", by="person", reason="hangup")
        await expect(page.locator("#status")).to_have_text("Waiting for a call")

    assert not phone.all("decline")
    await context.close()


async def test_being_put_through_is_shown_and_heard(page: Page, s: Stage) -> None:
    """Between agent and person nothing is said; the caller must not think the line is dead."""
    phone = await call(page, s)

    await phone.send("stop")
    await expect(page.locator("#status")).to_have_text("One moment …")
    await phone.send("dialling", to="the front desk")
    await expect(page.locator("#status")).to_have_text("Putting you through …")
    count = len(phone.frames)
    await phone.send("bridged")

    await expect(page.locator("#status")).to_have_text("Talking to a person")
    await phone.until(lambda: len(phone.frames) > count + 5)


STORY = [
    AGENT,
    {"kind": "turn", "id": "a1", "latency_ms": 540},
    {"kind": "caller", "id": "c1", "text": "Are you open?"},
    {"kind": "tool", "id": "t1", "name": "opening_hours", "text": "closed", "ok": False},
    {"kind": "agent", "id": "a2", "text": LONG},
    {"kind": "cut", "id": "a2", "heard_ms": 1000, "sent_ms": 2000},
    {"kind": "note", "id": "n1", "text": "The agent texts you."},
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing_and_nothing_sticks_out(
    browser: Browser, s: Stage, scheme: str, width: int
) -> None:
    """By eye, by ear, by keyboard, on a telephone's screen and on a large one."""
    s.story = STORY
    context: BrowserContext = await browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 800},
        reduced_motion="reduce",
    )
    page = await s.open(context)
    await page.locator('body[data-state="idle"]').wait_for()
    idle = await axe(page)

    phone = await call(page, s)
    await phone.send("sms", **{"from": "+15005550006", "to": "+15005550001", "body": "Bye."})
    await phone.send("problem", code="engine_gone", sentence="The local model has stopped.")
    await expect(page.locator(".caption")).to_have_count(6)
    live = await axe(page)

    assert [(one["id"], one["nodes"]) for one in idle + live] == []
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= width
    await context.close()
