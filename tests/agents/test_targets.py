"""Whom callers can be put through to: which ways there are, and what each of them takes."""

from pathlib import Path

import pytest

from app.agents.load import check_file, load_agent

WORKFLOW = "WW" + "0" * 32
PEOPLE = """\
instructions: x
hours: {{office: {{timezone: Europe/Paris, open: "Mo-Fr 09:00-17:00"}}}}
transfer_targets:
  person: {{description: y, to: "+33612345678"}}
  desk: {{description: y, {}}}
webhooks: [{{url: "https://x.example/", events: ["transfer.*"]}}]
"""


@pytest.fixture
def agent_file(tmp_path: Path) -> Path:
    """Where the document is."""
    return tmp_path / "agent.yaml"


def problems(file: Path, desk: str) -> list[str]:
    """What is wrong with a target that says this."""
    file.write_text(PEOPLE.format(desk), encoding="utf-8")
    return [str(one).partition("desk")[2].lstrip(".:") or str(one) for one in check_file(file)]


@pytest.mark.parametrize(
    ("desk", "mode"),
    [
        ('to: "sip:a@b"', "cold"),
        ('to: "queue:claims desk"', "queue"),
        ('to: "queue:claims", mode: queue, wait_url: "https://x.example/hold.xml"', "queue"),
        (f'to: "workflow:{WORKFLOW}", attributes: {{kind: claim, vip: true, n: 3}}', "queue"),
        ('to: "webhook:https://pbx.example/where", mode: warm', "warm"),
        ('to: "sip:a@b", mode: refer, headers: {X-A: "{{call.id}}"}', "refer"),
        ('to: "+33612345678", mode: hangup, headers: {X-A: b}', "hangup"),
        ('to: "sip:a@b", headers: {User-to-User: "{{form.policy|hex}};encoding=hex"}', "cold"),
        ('to: "+33612345678", mode: warm, whisper: "{{caller.name}}, {{call.id}}"', "warm"),
        ('to: "+33612345678", hours: office', "cold"),
    ],
)
def test_l27_w27_w39_each_way_loads_as_it_is_written(
    agent_file: Path, desk: str, mode: str
) -> None:
    """An @ needs no escape: an address is data, and only braces are a template."""
    agent_file.write_text(PEOPLE.format(desk), encoding="utf-8")

    assert load_agent(agent_file).targets["desk"].mode == mode


@pytest.mark.parametrize(
    ("desk", "problem"),
    [
        ('to: "+33612345678", mode: queue', "mode: must be queue where to is queue: or workflow:"),
        ('to: "queue:claims", mode: warm', "mode: must be queue where to is queue: or workflow:"),
        ('to: "queue:a<b>"', "to: must be the name of a queue"),
        ('to: "workflow:WW1"', 'to: must be "workflow:" and the SID of one'),
        ('to: "webhook:http://x.example/"', "to: must begin with https://"),
        ('to: "webhook:https://u:p@x.example/"', "to: must hold no password"),
        ('to: "webhook:https://x.example/", mode: refer', "mode: can only be refer where to is a"),
        ('to: "webhook:https://x.example/", mode: hangup', "mode: must be cold or warm where a"),
        ('to: "+33612345678", mode: refer', "mode: can only be refer where to is a SIP address"),
        ('to: "+33612345678", headers: {X-A: b}', "headers: have no effect: only a SIP address"),
        ('to: "sip:a@b", headers: {Via: b}', "headers.Via: is no header that Twilio passes on"),
        ('to: "sip:a@b", headers: {"X-A\\r\\nVia": b}', r'headers["X-A\r\nVia"]: is no header'),
        ('to: "sip:a@b", headers: {User-to-User: "{{form.a}}"}', "headers.User-to-User: has para"),
        ('to: "sip:a@b", headers: {X-A: "{{nothing.here}}"}', "headers.X-A: unknown name"),
        ('to: "sip:a@b?X-A=1\\r\\nX-B: 2"', "to: must be a SIP address"),
        ('to: "sip:a@b>;evil"', "to: must be a SIP address"),
        ('to: "queue:a", attributes: {b: c}', "attributes: have no effect: only a workflow:"),
        ('to: "+33612345678", wait_url: "https://x.example/"', "wait_url: has no effect: add mode"),
        ('to: "queue:a", caller_id: caller', "caller_id: has no effect: add mode: cold or warm"),
        ('to: "+33612345678", target_header: X', "target_header: has no effect: add mode: hangup"),
        ('to: "+33612345678", hours: offices', "hours: unknown hours"),
        ('to: "+33612345678", transfer_method: refer', "transfer_method: is called mode here"),
    ],
)
def test_what_changes_nothing_or_leads_nowhere_is_refused(
    agent_file: Path, desk: str, problem: str
) -> None:
    """Found when the document loads, and not when a caller waits."""
    [found] = problems(agent_file, desk)

    assert found.startswith(problem)


def test_w34_contact_header_is_refused_with_the_reason(agent_file: Path) -> None:
    """watsonx can write Contact; Twilio writes it itself."""
    [found] = problems(agent_file, 'to: "sip:a@b", transfer_headers_send_method: contact_header')

    assert "contact_header is not possible on Twilio" in found


@pytest.mark.parametrize(
    "then", ["queue:claims", "sip:a@b, mode: refer", "webhook:https://x.example/"]
)
def test_a_failing_call_is_left_only_to_who_can_be_rung(agent_file: Path, then: str) -> None:
    """The last document asks nobody and waits for nobody."""
    address, _, mode = then.partition(", ")
    desk = f'to: "{address}"' + (f", {mode}" if mode else "")
    agent_file.write_text(PEOPLE.format(desk) + "failure: {then: desk}\n", encoding="utf-8")

    [problem] = check_file(agent_file)

    assert problem.path == "failure.then"
    assert "is not rung where there is no agent" in str(problem)


@pytest.mark.parametrize(
    ("desk", "follows"),
    [
        ('to: "queue:claims"', True),
        ('to: "sip:a@b", mode: refer', False),
        ('to: "webhook:https://x.example/"', False),
    ],
)
def test_who_follows_where_nobody_came(agent_file: Path, desk: str, follows: bool) -> None:
    """The caller has left the agent by then, and their own telephone too, for a REFER."""
    text = PEOPLE.format(desk).replace(
        '"+33612345678"}', '"+33612345678", on_failure: {then: desk}}'
    )
    agent_file.write_text(text, encoding="utf-8")

    assert (check_file(agent_file) == []) is follows


def test_nobody_hangs_up_of_whom_no_program_is_told(agent_file: Path) -> None:
    """The caller would go nowhere."""
    text = PEOPLE.format('to: "+33612345678", mode: hangup').replace("transfer.*", "call.ended")
    agent_file.write_text(text, encoding="utf-8")

    [problem] = check_file(agent_file)

    assert "must name transfer.requested among its events" in str(problem)
