"""Warm transfers: the person is asked while the caller hears music, and nothing is lost."""

from pathlib import Path
from typing import Any

import pytest

from app.audio.tones import tone
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import PickUp
from app.runtime import side_calls
from tests.audio.sound_files import sine_file
from tests.http.test_records import ask as request
from tests.waiting import until
from tests.walks.stage import GREETING, VOICE, Stage, heard_tone, stage
from tests.walks.steps import ask
from tests.walks.telephone import TICKET, telephone

MUSIC_HZ, THROUGH_HZ, BACK_HZ = 1_000, 660, 880
PERSON = "+14155550123"
SUMMARY = "Ada asks about claim 7 & <more>."
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
reminders: true
transfer_targets:
  desk:
    description: A person who can decide.
    to: "{PERSON}"
    mode: warm
    hold_audio: hold.wav
    whisper: "A call for you. {{{{ summary.short }}}}"
    on_failure: {{THEN}}
failure: {{say: "We have a problem.", then: end_call}}
"""
WISH = ToolUse("transfer_call", {"target": "desk", "summary": SUMMARY})
THROUGH = Reply("I ask them.", 400, THROUGH_HZ, tools=[WISH])
BACK = Reply("They cannot come.", 400, BACK_HZ)


def agent(then: str = "then: resume") -> str:
    """The document, with what follows where nobody takes the call."""
    return AGENT.replace("{THEN}", f"{{{then}}}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hold.wav").write_bytes(sine_file(MUSIC_HZ, 0.3, amplitude=0.4))
    return tmp_path


def answers(kind: Any = "bridged", ring_ms: int = 100, **who: Any) -> dict[str, Any]:
    """How the person's telephone behaves; whoever meets in a room talks for a moment."""
    person = DialOutcome(kind, ring_ms, pick_up=PickUp(**who))
    room = DialOutcome(talk_ms=300)
    return {"answers": lambda to: person if to == PERSON else room}


async def waiting(s: Stage) -> tuple[EmulatedCall, EmulatedCall]:
    """The caller, who hears music, and the call to the person."""
    caller = await ask(s)
    await caller.heard_at_least(560)
    await until(lambda: any(one.to == PERSON for one in s.twilio.calls.values()))
    person = next(one for one in s.twilio.calls.values() if one.to == PERSON)
    return caller, person


async def told(person: EmulatedCall) -> None:
    """The person has picked up and hears what it is about."""
    await person.until(lambda: f"A call for you. {SUMMARY}" in person.said)


def script(*replies: Reply) -> RealtimeEmulator:
    return RealtimeEmulator(Scenario([GREETING, THROUGH, *replies]), pace=0)


async def test_a_person_who_accepts_is_joined_with_the_caller(folder: Path) -> None:
    """S17, W38, recipe 8.4: called, told, asked; only then does the caller leave the stream."""
    async with stage(script(), folder, agent=agent(), twilio=answers()) as s:
        caller, person = await waiting(s)
        await told(person)
        await caller.until(lambda: heard_tone(caller.stream, MUSIC_HZ) >= 200)
        assert caller.conferences == []

        await person.press("1")
        await caller.ended()
        record = await s.record(caller)
        await person.ended()

        assert person.conferences == caller.conferences
        assert len(caller.conferences) == 1
        assert caller.dialled == []
        assert (person.from_, record["end_reason"]) == (caller.to, "transferred")
        (transfer,) = record["transfers"]
        assert (transfer["mode"], transfer["outcome"]) == ("warm", "connected")
        assert transfer["leg_sid"] == person.call_sid
        caller.assert_clean()
        person.assert_clean()


@pytest.mark.parametrize(
    ("outcome", "key", "reason"),
    [
        (answers(), "2", "declined"),
        (answers(who="machine", known_after_ms=200), "", "machine"),
        (answers("no-answer"), "", "no_answer"),
        (answers("busy"), "", "busy"),
        (answers("failed"), "", "failed"),
    ],
)
async def test_who_is_not_reached_leaves_the_caller_with_the_agent(
    folder: Path, outcome: dict[str, Any], key: str, reason: str
) -> None:
    """L28, S20, D-PT-9, D-TRA-4: the music stops, and the agent, who knows why, says so."""
    openai = script(BACK)
    async with stage(openai, folder, agent=agent(), twilio=outcome) as s:
        caller, person = await waiting(s)
        if key:
            await told(person)
            await person.press(key)
        await caller.until(lambda: heard_tone(caller.stream, BACK_HZ) >= 340)
        music_ms = heard_tone(caller.stream, MUSIC_HZ)
        await person.ended()
        output = s.session.client_events.of("conversation.item.create")[-1]["item"]["output"]
        await caller.hang_up()
        record = await s.record(caller)

        assert music_ms > 0
        assert len(caller.streams) == 1
        assert caller.conferences == person.conferences == []
        assert f'"reason":"{reason}"' in output
        (transfer,) = record["transfers"]
        assert (transfer["mode"], transfer["outcome"]) == ("warm", reason)
        assert record["end_reason"] == "caller_hangup"
        caller.assert_clean()
        openai.assert_clean()
        s.assert_conforms()


@pytest.mark.parametrize("picked_up", [False, True])
async def test_a_caller_who_leaves_ends_the_call_to_the_person(
    folder: Path, picked_up: bool
) -> None:
    """Recipe 8.4, 5: it stops ringing, and who has picked up is told why."""
    twilio = answers(ring_ms=100 if picked_up else 60_000)
    async with stage(script(), folder, agent=agent(), twilio=twilio) as s:
        caller, person = await waiting(s)
        if picked_up:
            await told(person)
        else:
            await person.until(lambda: person.status == "ringing")
        await caller.hang_up()

        await person.ended()
        record = await s.record(caller)

        assert ("The caller has left. Goodbye." in person.said) is picked_up
        assert person.conferences == []
        (transfer,) = record["transfers"]
        assert transfer["outcome"] == "caller_hangup"
        assert record["end_reason"] == "caller_hangup"


async def test_a_call_that_cannot_be_placed_is_told_to_the_agent(folder: Path) -> None:
    """L28: REST refuses, the caller is still there."""
    openai = script(BACK)
    async with stage(openai, folder, agent=agent(), twilio=answers()) as s:
        s.twilio.fail_next("/Calls.json", 400, 21215)
        caller = await ask(s)
        await caller.until(lambda: heard_tone(caller.stream, BACK_HZ) >= 340)
        await caller.hang_up()
        record = await s.record(caller)

        assert [one.to for one in s.twilio.calls.values()].count(PERSON) == 0
        assert record["transfers"][0]["outcome"] == "refused_21215"


async def test_a_placing_whose_answer_is_lost_rings_nobody_for_long(folder: Path) -> None:
    """The telephone may ring all the same; nobody wants that call any more."""
    twilio = answers(ring_ms=60_000)
    async with stage(script(BACK), folder, agent=agent(), twilio=twilio) as s:
        s.twilio.fail_next("/Calls.json", 500, 20500, after=True)
        caller, person = await waiting(s)

        await person.ended()
        await caller.until(lambda: heard_tone(caller.stream, BACK_HZ) >= 340)
        await caller.hang_up()
        await s.record(caller)

        assert person.status in {"completed", "canceled"}


async def test_a_late_or_repeated_word_about_the_person_changes_nothing(folder: Path) -> None:
    """Twilio repeats: who has taken the call is sent to the same room again, who has not is not."""
    async with stage(script(BACK), folder, agent=agent(), twilio=answers()) as s:
        caller, person = await waiting(s)
        await told(person)
        await person.press("2")
        await caller.until(lambda: heard_tone(caller.stream, BACK_HZ) >= 340)
        await person.ended()
        key = next(one for one in person.requests if "/key" in one.path)
        query = f"?for={caller.call_sid}"

        form = {**key.form, "Digits": "1"}
        status, body = await s.post(key.path.partition("?")[0] + query, form)
        stranger = await s.post(f"/twilio/side-call/nobody/key{query}", form)

        assert status in (200, 202)
        assert "<Conference" not in body + stranger[1]
        await caller.hang_up()
        record = await s.record(caller)
        assert record["transfers"][0]["outcome"] == "declined"


async def test_the_operators_command_asks_the_person_too(folder: Path) -> None:
    """The API's transfer takes the same way, with a summary of the operator's."""
    openai = RealtimeEmulator(Scenario([GREETING, Reply("I ask.", 200, THROUGH_HZ)]), pace=0)
    async with stage(openai, folder, agent=agent(), twilio=answers()) as s:
        caller = await s.twilio.call()
        await caller.heard_at_least(200)
        command = {"type": "transfer", "target": "desk", "summary": SUMMARY}
        status, _ = await request(s, "POST", f"/v1/calls/{caller.call_sid}/commands", json=command)
        await until(lambda: any(one.to == PERSON for one in s.twilio.calls.values()))
        person = next(one for one in s.twilio.calls.values() if one.to == PERSON)
        await told(person)
        await person.press("1")
        await caller.ended()
        record = await s.record(caller)

        assert status in (200, 202)
        assert record["end_reason"] == "transferred"


async def test_a_caller_who_finds_nobody_in_the_room_comes_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever accepts may have hung up by the time the caller comes: no silence without an end."""
    monkeypatch.setattr(side_calls, "ALONE_S", 0.1)
    person_only = {"answers": lambda to: DialOutcome() if to == PERSON else None}
    openai = script(BACK)
    async with stage(openai, folder, agent=agent(), twilio=person_only) as s:
        caller, person = await waiting(s)
        await told(person)
        await person.press("1")
        await caller.until(lambda: bool(caller.conferences))
        await person.hang_up()

        back = await caller.stream_started(2)
        await caller.until(lambda: heard_tone(back, BACK_HZ) >= 340)
        await caller.hang_up()
        record = await s.record(caller)

        assert record["transfers"][0]["outcome"] == "left"
        assert record["end_reason"] == "caller_hangup"


async def test_nobody_who_is_asked_first_may_lead_to_another_number(folder: Path) -> None:
    """W41: the switchboard stands behind the desk; the caller hears music until it rings."""
    other = "+14155550199"
    document = agent("then: pbx").replace(
        "failure: {say", f'  pbx: {{description: All others., to: "{other}"}}\nfailure: {{say'
    )
    async with stage(script(), folder, agent=document, twilio=answers("busy")) as s:
        caller, _ = await waiting(s)
        await caller.ended()
        record = await s.record(caller)

        assert caller.dialled == [other]
        told = [(one["target"], one["mode"], one["outcome"]) for one in record["transfers"]]
        assert told == [("desk", "warm", "busy"), ("pbx", "cold", "connected")]


async def test_caller_and_person_hear_each_other_in_the_room_and_nobody_before(
    folder: Path,
) -> None:
    """Two telephones: music, then a voice; the person hears nothing of the agent, nor of music."""
    local = {"ticket": TICKET, "unattended_ms": 300}
    async with (
        stage(script(), folder, agent=agent(), local=local) as s,
        telephone(s.local) as phone,
        telephone(s.local, "person") as person,
    ):
        sid = await phone.dial()
        await phone.hears(440, 140)
        phone.speak(VOICE)
        await person.got("ring")
        await phone.hears(MUSIC_HZ, 200)
        await person.send("answer")
        await person.until(lambda: any(SUMMARY in str(one) for one in person.messages))
        await person.press("1")
        await phone.until(lambda: bool(s.twilio.calls[sid].conferences))
        person.speak(tone(1400, 600))
        await phone.hears(1400, 300)
        phone.speak(tone(1200, 600))
        await person.hears(1200, 300)
        await person.send("hangup")
        await phone.got("hungup")
        await s.twilio.calls[sid].ended()
        record = await s.record(s.twilio.calls[sid])

        assert person.heard(THROUGH_HZ) == person.heard(MUSIC_HZ) == 0
        (transfer,) = record["transfers"]
        assert (transfer["mode"], transfer["outcome"]) == ("warm", "connected")
        assert record["end_reason"] == "transferred"
