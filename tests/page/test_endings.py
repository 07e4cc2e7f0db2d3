"""How a call ended is told in a sentence, once, and the sentence is true."""

import pytest
from playwright.async_api import Page, expect

from app.call.report import END_REASONS
from tests.page.carrier import Phone
from tests.page.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARRIERS = ("busy", "no-answer", "canceled", "failed", "error", "stream", "refer", "carrier_closed")
"""Why the local carrier ends a call by itself: ``twilio_exchange`` and ``twiml_interpreter``."""


def told(reason: str) -> dict[str, str]:
    """The end as the server tells it."""
    return {"kind": "end", "id": "end", "text": f"The call ended: {reason}"}


async def call(page: Page, s: Stage, reason: str | None) -> Phone:
    """A call whose stream is up, and whose end the server tells as soon as it is asked."""
    s.story = [] if reason is None else [told(reason)]
    await page.locator("#call").click()
    phone = await s.carrier.phone(len(s.carrier.phones))
    await phone.stream()
    return phone


async def sentences(page: Page, table: str) -> dict[str, str]:
    """A table of the page's own sentences, by reason."""
    read = "(table) => import('/phone/assets/sentences.js').then((all) => all[table])"
    found: dict[str, str] = await page.evaluate(read, table)
    return found


async def test_every_end_reason_has_a_sentence_of_its_own(page: Page) -> None:
    """`model_failed` is a word for reports; who sits before the page is told what it means."""
    found = await sentences(page, "ENDINGS")

    assert set(found) == set(END_REASONS)
    assert len(set(found.values())) == len(END_REASONS)
    for reason, sentence in found.items():
        assert reason not in sentence
        assert sentence.endswith(".")


async def test_every_reason_of_the_carrier_has_a_sentence(page: Page) -> None:
    """It ends calls for reasons of its own, and names them as briefly."""
    assert set(await sentences(page, "CARRIER_ENDINGS")) == set(CARRIERS)


@pytest.mark.parametrize("reason", sorted(END_REASONS))
async def test_no_raw_reason_is_shown(page: Page, s: Stage, reason: str) -> None:
    """The last line of the conversation is the sentence, and nothing beside it."""
    await call(page, s, reason)

    sentence = (await sentences(page, "ENDINGS"))[reason]
    await expect(page.locator(".caption .words")).to_have_text([sentence])


@pytest.mark.parametrize("reason", ["model_failed", "carrier_failed", "server_shutdown"])
async def test_after_a_failure_nobody_says_that_the_agent_hung_up(
    page: Page, s: Stage, reason: str
) -> None:
    """The server hangs up then as well, by the same order; it was no goodbye."""
    phone = await call(page, s, reason)
    await expect(page.locator(".caption")).to_have_count(1)

    await phone.send("hungup", by="agent", reason="rest")

    await expect(page.locator("#status")).to_have_text("Ready")
    await expect(page.locator(".caption")).to_have_count(1)
    await expect(page.locator("#captions")).not_to_contain_text("The agent hung up")


async def test_who_hung_up_after_a_transfer_is_what_the_carrier_says(page: Page, s: Stage) -> None:
    """It alone knows; the server was out of the call by then."""
    phone = await call(page, s, "transferred")
    await expect(page.locator(".caption")).to_have_count(1)

    await phone.send("hungup", by="person", reason="hangup")

    await expect(page.locator(".caption .words")).to_have_text(["The person hung up."])


async def test_what_the_server_does_not_tell_is_not_made_up(page: Page, s: Stage) -> None:
    """That a machine hung up is known; whether it was a goodbye or a failure is not."""
    phone = await call(page, s, None)

    await phone.send("hungup", by="agent", reason="rest")

    await expect(page.locator(".caption .words")).to_have_text(["The call is over."])


async def test_a_reason_that_is_new_to_the_page_is_not_shown_raw(page: Page, s: Stage) -> None:
    """A newer server may have more of them."""
    phone = await call(page, s, "struck_by_lightning")
    await phone.send("hungup", by="carrier", reason="flooded")

    await expect(page.locator("#status")).to_have_text("Ready")
    await expect(page.locator(".caption .words")).to_have_text(["The call is over."])


async def test_who_lost_the_line_to_another_tab_did_not_hang_up(page: Page, s: Stage) -> None:
    """To the server it is a caller who hung up: it says so, before the line is lost or after."""
    phone = await call(page, s, "caller_hangup")
    await expect(page.locator(".caption")).to_have_count(1)

    await phone.send("problem", code="replaced", sentence="Another tab has the line.")
    await phone.close(4000)

    await expect(page.locator("#status")).to_have_text("In another tab")
    await expect(page.locator(".caption .words")).to_have_text(
        ["Another tab or window took the line, which ended this call."]
    )
