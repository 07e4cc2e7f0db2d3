"""Several agents behind one address: who answers which number, with which words and tools."""

from pathlib import Path
from typing import Any

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Receptionist, Reply, Scenario, ToolUse
from tests.walks.stage import VOICE, Stage, heard_tone, stage, until
from tests.walks.test_outbound import order, placing, take_back
from tests.walks.test_texting import CALLER, Kept

CLAIMS, BILLING = "+15005550006", "+15005550007"
AGENTS = f"""\
variables: {{company: Contoso}}
agents:
  claims:
    instructions: You take claims for {{{{company}}}}.
    greeting: Claims at {{{{company}}}}.
    tools: [end_call, {{transfer_call: {{targets: [desk]}}}}]
  billing:
    instructions: You answer questions about bills to {{{{caller.number}}}}.
    greeting: Billing.
    model: gpt-realtime-mini
    tools: [end_call]
transfer_targets: {{desk: {{description: People, to: "+14155550123"}}}}
numbers:
  "{CLAIMS}": {{agent: claims}}
  "{BILLING}": {{agent: billing}}
"""


def _session(s: Stage) -> dict[str, Any]:
    """What the last model line was set up with."""
    [update, *_] = s.openai.connections[-1].client_events.of("session.update")
    session: dict[str, Any] = update["session"]
    return session


async def test_each_number_has_its_agent_and_a_new_document_the_next_call(tmp_path: Path) -> None:
    """L6, L8: who answers, with what, and by which document; a call that is here keeps its own."""
    opened = RealtimeEmulator(Receptionist)
    async with stage(opened, tmp_path, agent=AGENTS, agent_reload_s=1) as s:
        claims = await s.twilio.call(to=CLAIMS)
        await claims.heard_at_least(100)
        first, version = _session(s), s.board.book.version
        _rewrite(tmp_path, AGENTS.replace("Contoso}", "Fabrikam}"))
        billing = await s.twilio.call(to=BILLING)
        await billing.heard_at_least(100)
        second, model = _session(s), s.openai.connections[-1].model
        await until(lambda: s.board.book.version != version)
        third = await s.twilio.call(to=CLAIMS)
        await third.heard_at_least(100)

        await claims.hang_up()
        record = await s.record(claims)
        assert record["config"]["version"] == version
        assert [one["name"] for one in record["agents"]] == ["claims"]
        assert first["instructions"] == "You take claims for Contoso."
        assert [one["name"] for one in first["tools"]] == ["end_call", "transfer_call"]
        assert second["instructions"].startswith("You answer questions about bills to +")
        assert [one["name"] for one in second["tools"]] == ["end_call"]
        assert model == "gpt-realtime-mini"
        assert _session(s)["instructions"] == "You take claims for Fabrikam."


def _rewrite(folder: Path, text: str) -> None:
    (folder / "agent.yaml").write_text(text)


async def test_an_order_names_its_agent_and_brings_what_it_needs(tmp_path: Path) -> None:
    """L12, L19: an unknown name, or a text with a hole, is refused before anybody rings."""
    needs = AGENTS.replace("{company: Contoso}", "{company: Contoso, order_no: null}")
    async with placing(tmp_path, agent=needs) as (s, jobs):
        jobs.held.clear()
        assert (await order(s, agent="claim", variables={"order_no": "7"}))[0] == 422
        assert (await order(s, agent="billing"))[0] == 422
        status, queued = await order(s, agent="billing", variables={"order_no": "7"})

        assert status == 202
        assert (await take_back(s, queued["call_id"]))[1] == "canceled"


HANDING = f"""\
agents:
  intake:
    instructions: You take claims.
    greeting: Claims.
    handoffs: [billing]
    handoff_description: Takes claims.
    tools: [end_call]
  billing:
    instructions: You answer questions about bills to {{{{caller.number}}}}.
    handoffs: [intake]
    handoff_description: Knows all bills.
    voice: cedar
    model: gpt-realtime-mini
    tools: [end_call, transfer_call]
transfer_targets: {{desk: {{description: People, to: "+14155550123"}}}}
numbers: {{"{CLAIMS}": {{agent: intake}}}}
"""


async def test_the_conversation_is_handed_to_another_agent(tmp_path: Path) -> None:
    """L8, W22: another model with another voice goes on, knows what was said and speaks first."""
    wish = ToolUse("handoff", {"agent": "billing", "reason": "a bill"})
    script = Scenario(
        [
            Reply("Claims.", 200, 440),
            Reply("My colleague knows that.", 200, 660, tools=[wish]),
            Expect(message_contains="My colleague", instructions_contain="handed to you"),
            Reply("Billing here.", 300, 880),
            Reply("It is paid.", 300, 523),
        ]
    )
    opened = RealtimeEmulator(script)
    async with stage(opened, tmp_path, agent=HANDING) as s:
        call = await s.twilio.call(to=CLAIMS)
        await call.heard_at_least(200)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 240)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 523) >= 240)

        session = _session(s)
        assert session["audio"]["output"]["voice"] == "cedar"
        assert session["instructions"].startswith("You answer questions about bills to +")
        assert [one["name"] for one in session["tools"]] == ["end_call", "transfer_call", "handoff"]
        assert s.openai.connections[-1].model == "gpt-realtime-mini"
        await call.hang_up()
        record = await s.record(call)
        first, second = record["agents"]
        assert (first["name"], second["name"]) == ("intake", "billing")
        assert first["left_at"] == second["entered_at"]
        assert len(record["model"]["sessions"]) == 2
        await s.all_closed()
        call.assert_clean()
        opened.assert_clean()
        s.assert_conforms()


async def test_what_was_said_to_one_agent_is_not_another_ones_to_know(tmp_path: Path) -> None:
    """C10, W73: who is cut off, rings another number and writes to it speaks with somebody else."""
    agent = AGENTS + "timeouts: {resume: 3h}\nsms: {answer: true}\n"
    kept = Kept()
    openai = RealtimeEmulator(Receptionist)
    async with stage(openai, tmp_path, agent=agent, jobs=lambda _api: kept) as s:
        claims = await s.twilio.call(to=CLAIMS, from_=CALLER)
        await claims.heard_at_least(200)
        await claims.speak(VOICE)
        await claims.heard_at_least(claims.heard_ms + 200)
        await claims.hang_up()
        first = await s.record(claims)
        await writes(s, "To billing, who do not know me.", 1, to=BILLING)
        billing = await s.twilio.call(to=BILLING, from_=CALLER)
        await billing.heard_at_least(200)
        told = s.session.client_events.of("conversation.item.create")
        await writes(s, "To claims, while I talk to billing.", 2, to=CLAIMS)
        said = s.session.client_events.of("conversation.item.create")
        await billing.hang_up()
        second = await s.record(billing)
        first = await s.get(f"/v1/calls/{first['call_id']}")

    assert (told, said) == ([], [])
    assert second["resumed_from"] is None
    assert [one["text"] for one in first["texts"]] == ["To claims, while I talk to billing."]
    assert not second["sms"]


async def writes(s: Stage, body: str, sid: int, *, to: str) -> None:
    """The caller sends a message to one of the numbers."""
    form = {"MessageSid": f"SM{sid:032x}", "From": CALLER, "To": to, "Body": body}
    assert (await s.post("/incoming-message", form | {"NumMedia": "0"}))[0] == 200
