"""What each answer means to the person who has to mend it: state, sentence, lines to copy."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.http import steps
from app.http.checklist import Checklist
from app.http.pages import PhoneSetup, Rung
from app.http.steps import Calls, Line, Place, Step
from app.services.checks import Numbers, Told

REAL = Place(
    port=5050,
    model="gpt-realtime-2.1",
    model_host="api.openai.com",
    agent_file="agent.yaml",
    public_url="https://phone.contoso.test",
    local_model=False,
    local_line=False,
)
LOCAL = replace(REAL, public_url=None, local_model=True, local_line=True)
PHONE = PhoneSetup(
    "ws://localhost:5051/phone", "ticket", (Rung("hears", "grammar", "Knows its words."),)
)
NONE = Calls(live=0, since_start=0)

ANYBODY = {
    *("timed_out", "no_such_host", "unreachable", "certificate", "garbled", "too_large"),
    *("redirected", "html", "busy", "server_error", "not_asked", "unset"),
}
OPENAI = {"ok", "refused", "not_allowed", "no_list", "deployments", "without_model", "not_the_api"}
TWILIO = {"refused", "no_account", "test_credentials", "suspended", "closed", "not_the_api"}
PUBLIC = {
    *("ok", "house", "other_instance", "other_server", "locked"),
    *("tunnel_offline", "tunnel_elsewhere", "interstitial"),
}


@pytest.mark.parametrize(
    "step",
    [
        *[steps.openai(REAL, Told(reason)) for reason in sorted(ANYBODY | OPENAI)],
        *[steps.twilio(Told(reason)) for reason in sorted(ANYBODY | TWILIO | {"ok", "trial"})],
        *[steps.public_url(REAL, Told(reason)) for reason in sorted(ANYBODY | PUBLIC)],
        *[steps.webhook(REAL, Numbers(reason)) for reason in sorted(ANYBODY | TWILIO | {"ok"})],
    ],
    ids=lambda step: f"{step.id}: {step.sentence[:40]}",
)
def test_every_reason_has_a_sentence_and_a_way_on(step: Step) -> None:
    """A code in the place of a sentence sends people to a search engine."""
    assert "It came to" not in step.sentence
    assert "{" not in step.sentence + step.next_step
    assert step.sentence.endswith(".")
    done = step.state == "ok" or step.sentence.startswith("It is set")
    assert done or step.next_step


def test_a_reason_nobody_has_words_for_is_no_verdict() -> None:
    """Unknown rather than wrong."""
    step = steps.openai(REAL, Told("quite_new"))

    assert (step.state, step.sentence) == ("unknown", "It came to: quite_new.")


def test_the_local_line_is_where_one_can_talk_now() -> None:
    """The first thing a newcomer can do needs no account."""
    up = steps.talk(LOCAL, PHONE, up=True)

    assert (up.state, up.link) == ("ok", "/phone")
    assert steps.talk(LOCAL, PHONE, up=False).state == "failed"
    assert steps.talk(LOCAL, None, up=True).lines == (Line("./scripts/start", "terminal"),)
    assert steps.talk(REAL, None, up=True).link is None


def test_a_public_address_is_three_lines_away() -> None:
    """With this server's port in them, not with the default one."""
    step = steps.public_url(replace(LOCAL, port=5099), Told("unset"))

    assert step.state == "todo"
    assert [line.text for line in step.lines] == [
        "ngrok config add-authtoken <your ngrok token>",
        "ngrok http 5099",
        "PUBLIC_URL=https://<the address ngrok shows>",
    ]


def test_a_number_that_leads_elsewhere_gets_the_lines_to_paste() -> None:
    """What is typed by hand is typed wrong; and it is the operator who changes it."""
    step = steps.webhook(REAL, Numbers("ok", elsewhere=("+33 ••• 78",)))

    assert step.state == "todo"
    assert step.sentence == "No number leads here. Elsewhere: +33 ••• 78."
    assert step.lines[0].text == "https://phone.contoso.test/incoming-call"
    assert [line.text.rpartition("/")[2] for line in step.lines[1:]] == ["fallback", "call-status"]


def test_a_number_that_leads_here_is_enough_and_can_be_better() -> None:
    """The fallback is advice; the call comes through without it."""
    here = ("+33 ••• 01", "+33 ••• 02", "+33 ••• 03", "+33 ••• 04")

    good = steps.webhook(REAL, Numbers("ok", here=here, elsewhere=("+33 ••• 05",)))
    bare = steps.webhook(REAL, Numbers("ok", here=here[:1], without_fallback=here[:1]))

    assert (good.state, good.lines) == ("ok", ())
    assert good.sentence == (
        "Leading here: +33 ••• 01, +33 ••• 02, +33 ••• 03 and 1 more. Elsewhere: +33 ••• 05."
    )
    assert bare.state == "ok"
    assert [line.text for line in bare.lines] == ["https://phone.contoso.test/twilio/fallback"]


def test_messages_that_go_elsewhere_are_a_step_to_do() -> None:
    """A caller's text would be lost without a word; where none are read nothing is said of them."""
    here, reads = ("+33 ••• 01",), replace(REAL, texts=True)

    lost = steps.webhook(reads, Numbers("ok", here=here, without_messages=here))
    new = steps.webhook(reads, Numbers("ok", elsewhere=here))

    assert lost.state == "failed"
    assert "Text messages to +33 ••• 01 go elsewhere" in lost.sentence
    assert [line.text for line in lost.lines] == [
        "https://phone.contoso.test/incoming-message",
        "python -m app doctor --fix",
    ]
    assert new.lines[-1].text == "https://phone.contoso.test/incoming-message"


def test_fifty_that_lead_elsewhere_are_not_all() -> None:
    """Only a page of them was looked at."""
    many = tuple(f"+33 ••• {n}" for n in range(10, 60))

    assert steps.webhook(REAL, Numbers("ok", elsewhere=many, more=True)).state == "unknown"


def test_the_test_call_says_whom_to_ring_once_all_is_well() -> None:
    """Before that, it names what comes first."""
    well = [Step(str(n), f"Step {n}", "ok", "Well.") for n in range(5)]
    ill = [*well[:4], Step("x", "Public address", "failed", "Not well.")]

    ready = steps.real_call(REAL, well, ("+33 ••• 78",), NONE)
    not_yet = steps.real_call(REAL, ill, (), NONE)

    assert (ready.state, ready.next_step) == ("todo", "Ring +33 ••• 78, and talk.")
    assert (not_yet.state, not_yet.next_step) == ("todo", "First: Public address.")


def test_a_call_that_came_in_proves_more_than_any_check() -> None:
    """From this machine the public address may look closed and be open."""
    ill = [Step("x", "Public address", "failed", "Not well.")]

    assert steps.real_call(REAL, ill, (), Calls(0, 1)).state == "ok"
    assert steps.real_call(LOCAL, [], (), Calls(0, 1)).state == "todo"


@dataclass
class Scripted:
    """Answers as told, and counts who asks."""

    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def openai(self) -> Told:
        self.asked += 1
        await self.open.wait()
        return Told("ok")

    async def account(self) -> Told:
        return Told("ok")

    async def public_url(self) -> Told:
        # Nobody lets the first one go but this one: they are asked at once or for ever.
        self.open.set()
        return Told("ok")

    async def numbers(self) -> Numbers:
        return Numbers("ok", here=("+33 ••• 78",))

    async def listens(self, url: str) -> bool:
        return url == PHONE.line

    def close(self) -> None:
        """Nothing to close."""


async def gathered(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All at once."""
    return list(await asyncio.gather(*work))


async def test_all_are_asked_at_once_and_once_for_all_who_wait() -> None:
    """Five seconds each would be half a minute, and ten tabs would be ten times the questions."""
    questions = Scripted()
    checklist = Checklist(
        REAL, questions, phone=lambda: PHONE, calls=lambda: NONE, at_once=gathered
    )

    async with asyncio.timeout(60):
        found = await asyncio.gather(*(checklist.asked() for _ in range(10)))

    assert questions.asked == 2  # for the first, and for all who came after it had begun
    assert [step.state for step in found[0]] == ["ok", "ok", "ok", "ok", "ok", "todo"]
    assert all(one == found[0] for one in found)


def test_unasked_says_what_is_set_and_judges_nothing() -> None:
    """What is there without JavaScript, before anybody pressed anything."""

    def states(place: Place) -> list[str]:
        checklist = Checklist(
            place, Scripted(), phone=lambda: None, calls=lambda: NONE, at_once=gathered
        )
        return [step.state for step in checklist.unasked()]

    assert states(REAL) == ["ok", "unknown", "unknown", "unknown", "unknown", "todo"]
    assert states(LOCAL) == ["todo"] * 6
