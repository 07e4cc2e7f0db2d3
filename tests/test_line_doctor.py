"""The doctor of lines: what keeps calls from coming in, the fix, and nothing changed twice."""

from dataclasses import replace
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

from app.agents.document import Agent
from app.agents.load import load_agent
from app.agents.targets import Target
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from app.emulators.twilio_account import OwnedNumber
from app.line_doctor import Finding, consult, probes, referring, show, shutdown
from app.settings import Settings
from tests.walks.stage import ACCOUNT, AGENT, HERE, TOKEN, Stage, stage

TODAY = date(2026, 11, 21)
FIRST, SECOND = "+14155550123", "+14155550124"


def settings_of(s: Stage, **more: Any) -> Settings:
    """The server's, as the doctor reads them from the same file."""
    values: dict[str, Any] = {
        "openai_api_key": "sk-local",
        "openai_base_url": s.openai.base_url,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_tokens": (TOKEN,),
        "twilio_api_url": s.twilio.api_url,
        "public_url": s.url,
    }
    return Settings(_env_file=None, **(values | more))


async def visited(s: Stage, *, fix: bool = False, **more: Any) -> dict[str, Finding]:
    """What the doctor finds, by what it looked at."""
    agent = load_agent(s.folder / "agent.yaml")
    found = await consult(settings_of(s, **more), agent, fix=fix, today=TODAY)
    return {one.what: one for one in found}


def written(s: Stage) -> list[tuple[str, dict[str, str]]]:
    """What was changed at Twilio."""
    return [(path, form) for method, path, form in s.twilio.desk.requests if method == "POST"]


async def test_numbers_are_led_here_once_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """L5, L32: the mis-wired one is flagged, mended on demand, and left alone from then on."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, public_url=HERE, agent=AGENT) as s:
        origin = s.url
        well = OwnedNumber(
            FIRST,
            f"{origin}/incoming-call",
            f"{origin}/twilio/fallback",
            status_callback=f"{origin}/twilio/call-status",
        )
        s.twilio.desk.numbers[:] = [well, OwnedNumber(SECOND, "https://old.example/voice")]

        seen = await visited(s)
        before = written(s)
        mended = await visited(s, fix=True)
        after = written(s)
        again = await visited(s, fix=True)

        assert seen["+14 ••• 23"].state == "ok"
        assert seen["+14 ••• 24"].state == "failed"
        assert "old.example" in seen["+14 ••• 24"].outcome
        assert "doctor --fix" in seen["+14 ••• 24"].fix
        assert before == []
        ((path, form),) = after
        assert path.endswith(f"/IncomingPhoneNumbers/{s.twilio.desk.numbers[1].sid}.json")
        assert form == {
            "VoiceUrl": f"{origin}/incoming-call",
            "VoiceFallbackUrl": f"{origin}/twilio/fallback",
            "StatusCallback": f"{origin}/twilio/call-status",
        }
        assert mended["+14 ••• 24"].state == again["+14 ••• 24"].state == "ok"
        assert written(s) == after
        assert s.twilio.desk.numbers[1] == replace(
            well, number=SECOND, sid=s.twilio.desk.numbers[1].sid
        )


async def test_a_line_with_text_messages_has_them_led_here_too(tmp_path: Path) -> None:
    """L5: all three of our addresses, and none where the agent reads no messages."""
    async with stage(
        RealtimeEmulator(Receptionist), tmp_path, public_url=HERE, agent=f"{AGENT}sms: line\n"
    ) as s:
        s.twilio.desk.numbers[:] = [OwnedNumber(FIRST)]

        await visited(s, fix=True)
        again = await visited(s, fix=True)

        ((_, form),) = written(s)
        assert form["SmsUrl"] == f"{s.url}/incoming-message"
        assert again["+14 ••• 23"].state == "ok"


async def test_messages_that_an_application_has_are_said_to_be_elsewhere(tmp_path: Path) -> None:
    """L5: their URL would be written in vain; a line without messages has nothing to be told."""
    async with stage(
        RealtimeEmulator(Receptionist), tmp_path, public_url=HERE, agent=f"{AGENT}sms: line\n"
    ) as s:
        s.twilio.desk.numbers[:] = [OwnedNumber(FIRST, sms_application_sid="AP" + "0" * 32)]

        await visited(s, fix=True)
        found = await visited(s, fix=True)

        ((_, form),) = written(s)
        assert "SmsUrl" not in form
        assert found["+14 ••• 23"].state == "todo"
        assert "text messages" in found["+14 ••• 23"].outcome


async def test_what_belongs_to_somebody_else_is_not_touched(tmp_path: Path) -> None:
    """A trunk, an application: their calls would not come here whatever the URL says."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, public_url=HERE) as s:
        s.twilio.desk.numbers[:] = [OwnedNumber(FIRST, trunk_sid="TK" + "0" * 32)]

        found = await visited(s, fix=True)

        assert found["+14 ••• 23"].state == "todo"
        assert written(s) == []


async def test_a_server_that_is_well_is_found_well(tmp_path: Path) -> None:
    """A webhook and an upgrade, signed, through what is in front; the account; permissions."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, public_url=HERE) as s:
        found = await visited(s, dial_countries=("US", "FR"))

        assert found["signed webhook"].state == "ok"
        assert found["media socket"].state == "ok"
        assert found["Twilio credentials"].state == "ok"
        assert found["model"].state == "ok"
        assert found["calls to US"].state == "ok"
        assert found["calls to FR"].state == "failed"
        assert "Geo permissions" in found["calls to FR"].fix


async def test_another_token_is_told_by_the_signature(tmp_path: Path) -> None:
    """Every call would be refused, and nobody would know why."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, public_url=HERE) as s:
        webhook, socket = await probes(s.url, "f" * 32)

    assert (webhook.state, socket.state) == ("failed", "failed")
    assert "403" in webhook.outcome
    assert "TWILIO_AUTH_TOKEN" in socket.fix


async def test_a_proxy_that_swallows_the_upgrade_is_told() -> None:
    """The commonest of all: webhooks come through, and callers hear the fallback."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=204 if request.method == "POST" else 426)

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        webhook, socket = await probes(site.name, TOKEN)
    finally:
        await runner.cleanup()

    assert webhook.state == "ok"
    assert socket.state == "failed"
    assert "Upgrade" in socket.fix


async def test_a_trial_account_is_told(tmp_path: Path) -> None:
    """Its calls have no stream."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, public_url=HERE) as s:
        s.twilio.desk.account_type = "Trial"

        found = await visited(s)

        assert found["Twilio credentials"].state == "failed"
        assert "trial" in found["Twilio credentials"].outcome


@pytest.mark.parametrize(
    ("model", "today", "state"),
    [
        ("gpt-realtime-2.1", TODAY, "ok"),
        ("gpt-realtime", TODAY, "todo"),
        ("gpt-realtime", date(2027, 1, 20), "failed"),
        ("my-deployment", TODAY, "ok"),
    ],
)
def test_a_model_that_ends_is_told_with_its_day(model: str, today: date, state: str) -> None:
    """A line that was silent one morning is found out too late."""
    found = shutdown(model, today)

    assert found.state == state
    assert ("2027-01-20" in found.outcome) is (state != "ok")


def test_only_what_is_wrong_fails() -> None:
    """What is still to be done, or cannot be known, is no failure of the command."""
    text = StringIO()
    console = Console(file=text, width=200)

    assert show([Finding("a", "ok", "x"), Finding("b", "todo", "y", "do z")], console)
    assert not show([Finding("c", "failed", "w", "mend v")], console)
    assert "mend v" in text.getvalue()


async def test_the_operator_is_told_of_the_accounts_numbers(tmp_path: Path) -> None:
    """L32: two of them, what they can do, and the mis-wired one flagged."""
    agent = f'{AGENT}numbers: {{"{FIRST}": {{label: Claims}}}}\n'
    async with stage(RealtimeEmulator(Receptionist), tmp_path, public_url=HERE, agent=agent) as s:
        well = OwnedNumber(
            FIRST,
            f"{s.url}/incoming-call",
            f"{s.url}/twilio/fallback",
            status_callback=f"{s.url}/twilio/call-status",
        )
        s.twilio.desk.numbers[:] = [well, OwnedNumber(SECOND)]

        first, second = (await s.get("/v1/numbers"))["numbers"]

        assert first == {
            "number": FIRST,
            "label": "Claims",
            "voice": True,
            "sms": True,
            "mms": False,
            "leads_here": True,
            "amiss": [],
        }
        assert (second["number"], second["leads_here"]) == (SECOND, False)
        assert second["amiss"] == ["status_callback", "voice_fallback_url", "voice_url"]


def test_l29_a_refer_target_names_the_setting_of_the_trunk() -> None:
    """Without it the caller's own network refuses, and Twilio cannot say why."""
    pbx = Target(description="y", to="sip:a@b.example", mode="refer")
    agent = Agent(instructions="x", transfer_targets={"pbx": pbx})

    [found] = referring(agent)

    assert (found.what, found.state) == ("target pbx", "todo")
    assert "Enable PSTN Transfer" in found.fix
    assert referring(Agent(instructions="x")) == []
