"""Mistakes people make, one by one in the full example: each is told where it is, with a remedy."""

import time
from pathlib import Path

import pytest

from app.agents.load import check_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "insurance.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
DURATION = 'must be a duration with its unit, such as "500ms", "20s" or "30m"'
E164 = 'must be an E.164 number with "+" and country code, such as "+33612345678"'
INTERRUPTIBLE = 'must be "none", "dtmf", "speech" or "any"'
TYPES = 'must be "text", "datetime", "email", "phone_number", "number", "boolean" or "enum"'
CLAIMS = 'numbers["+15005550006"]'

MISTAKES = [
    # what is written there; instead of it; what is told, after the file and the line
    ("version: 1", "version: 2", "3 version: must be 1"),
    ("variables:", "varaibles:", '5 varaibles: unknown field (did you mean "variables"?)'),
    (
        "model: gpt-realtime-2.1",
        "modle: gpt-realtime-2.1",
        '10 defaults.modle: unknown field (did you mean "model"?)',
    ),
    ("speed: 1.0", "speed: 3", "11 defaults.voice.speed: must be at most 1.5"),
    (
        "type: server_vad",
        "type: server_vda",
        '12 defaults.turn_detection.type: must be "server_vad" or "semantic_vad" (did'
        ' you mean "server_vad"?)',
    ),
    (
        "silence_duration_ms: 500",
        "silence_duration_ms: 0.5",
        "12 defaults.turn_detection.silence_duration_ms: must be a whole number",
    ),
    (
        "silence_duration_ms: 500",
        "silence_ms: 500",
        "12 defaults.turn_detection.silence_ms: unknown field (did you mean"
        ' "silence_duration_ms"?)',
    ),
    (
        "noise_reduction: near_field",
        "noise_reduction: near",
        '13 defaults.noise_reduction: must be "near_field" or "far_field"',
    ),
    (
        "transcription: {model",
        "transcription: {modle",
        '14 defaults.transcription.modle: unknown field (did you mean "model"?)',
    ),
    ("  interruptible: any", "  interruptible: yes", f"15 defaults.interruptible: {INTERRUPTIBLE}"),
    (
        "source: typing",
        "source: typin",
        '16 defaults.ambience: "typin": there is no such file (did you mean "typing"?)',
    ),
    ("volume: 0.1", "volume: 10", "16 defaults.ambience.volume: must be at most 2"),
    ('  "+15005550006":', "  15005550006:", f"19 numbers.15005550006: {E164}"),
    ('  "+15005550006":', '  "5005550006":', f"19 numbers.5005550006: {E164}"),
    (
        "    agent: intake",
        "    agent: intaek",
        f'21 {CLAIMS}.agent: unknown agent "intaek" (did you mean "intake"?)',
    ),
    (
        "    hours: office",
        "    hours: offce",
        f'22 {CLAIMS}.hours: unknown hours "offce" (did you mean "office"?)',
    ),
    ("max_concurrent: 40", "max_concurrent: 0", f"23 {CLAIMS}.max_concurrent: must be at least 1"),
    (
        "max_concurrent: 40",
        "max_concurrent: forty",
        f"23 {CLAIMS}.max_concurrent: must be a whole number",
    ),
    (
        "[US, FR, ES]",
        "[US, France, ES]",
        f'24 {CLAIMS}.allow_countries[1]: must be the code of a country, such as "US" or "FR"',
    ),
    (
        "[US, FR, ES]",
        "[US, NO, 1]",
        f'24 {CLAIMS}.allow_countries[2]: must be the code of a country, such as "US" or "FR"',
    ),
    (
        "https://crm.example.com/caller",
        "http://crm.example.com/caller",
        f"25 {CLAIMS}.before_call.url: must begin with https://",
    ),
    ("timeout: 2s, then", "timeout: 2, then", f"25 {CLAIMS}.before_call.timeout: {DURATION}"),
    (
        "timeout: 2s, then",
        "timeout: 20s, then",
        f"25 {CLAIMS}.before_call.timeout: must be from 100ms to 7s",
    ),
    (
        "then: continue}",
        "then: go_on}",
        f'25 {CLAIMS}.before_call.then: must be "continue" or "reject"',
    ),
    (
        "when_closed: {say",
        "when_closd: {say",
        f'26 {CLAIMS}.when_closd: unknown field (did you mean "when_closed"?)',
    ),
    (
        'closed right now.", then: end_call',
        'closed right now.", then: hangup',
        f'26 {CLAIMS}.when_closed.then: unknown target "hangup"',
    ),
    (
        "    handoff_description: Opens and updates motor claims.\n",
        "",
        '54 agents.billing.handoffs[0]: "intake" has no handoff_description: say what it is for',
    ),
    (
        "{{assistant_name}}, who",
        "{{asistant_name}}, who",
        '32 agents.intake.instructions: unknown name "asistant_name" (did you mean'
        ' "assistant_name"?)',
    ),
    (
        "instructions: |",
        "instrucions: |",
        '32 agents.intake.instrucions: unknown field (did you mean "instructions"?)',
    ),
    (
        "interruptible: none",
        "interruptible: never",
        f"37 agents.intake.greeting.interruptible: {INTERRUPTIBLE}",
    ),
    (
        "    greeting:\n      text:",
        "    greeting:\n      txt:",
        '36 agents.intake.greeting.txt: unknown field (did you mean "text"?)',
    ),
    (
        "presets: [policy_pin, menu]",
        "presets: [policy_pim, menu]",
        '39 agents.intake.tools[0].collect_dtmf.presets: unknown preset "policy_pim"'
        ' (did you mean "policy_pin"?)',
    ),
    (
        "- send_sms",
        "- send_sm",
        '40 agents.intake.tools[1]: unknown tool "send_sm" (did you mean "send_sms"?)',
    ),
    ("- hold", "- hodl", '42 agents.intake.tools[3]: unknown tool "hodl" (did you mean "hold"?)'),
    (
        "[claims_desk, roadside]",
        "[claim_desk, roadside]",
        '43 agents.intake.tools[4].transfer_call.targets: unknown target "claim_desk"'
        ' (did you mean "claims_desk"?)',
    ),
    (
        "- transfer_call:",
        "- transfer_cal:",
        '43 agents.intake.tools[4]: unknown tool "transfer_cal" (did you mean "transfer_call"?)',
    ),
    (
        "handoffs: [billing]",
        "handoffs: [biling]",
        '46 agents.intake.handoffs[0]: unknown agent "biling" (did you mean "billing"?)',
    ),
    (
        "handoffs: [intake]",
        "handoffs: [billing]",
        "55 agents.billing.handoffs[0]: is the agent itself",
    ),
    (
        "|last4|spoken",
        "|last5|spoken",
        '49 agents.billing.instructions: unknown filter "last5" (did you mean "last4"?)',
    ),
    (
        "{{line.label}}",
        "{{line.lable}}",
        '53 agents.billing.greeting.text: unknown name "line.lable" (did you mean "line.label"?)',
    ),
    (
        "form: motor_claim",
        "form: motor_clam",
        '57 form: unknown form "motor_clam" (did you mean "motor_claim"?)',
    ),
    (
        "    fields:",
        "    feilds:",
        '60 forms.motor_claim.feilds: unknown field (did you mean "fields"?)',
    ),
    (
        "name: policy_number, type: text",
        "name: policy_number, type: string",
        f"61 forms.motor_claim.fields[0].type: {TYPES}",
    ),
    (
        "values: [none, minor, serious], required: true}",
        "required: true}",
        "64 forms.motor_claim.fields[3].values: belong to type: enum, which needs them",
    ),
    (
        "type: datetime, required: true",
        "type: datetime, requird: true",
        '62 forms.motor_claim.fields[1].requird: unknown field (did you mean "required"?)',
    ),
    (
        "name: incident_location",
        "name: incident_datetime",
        '60 forms.motor_claim.fields: has two fields named "incident_datetime": rename one',
    ),
    (
        "name: contact_email, type: email",
        "name: contact_email, type: e-mail",
        f'65 forms.motor_claim.fields[4].type: {TYPES} (did you mean "email"?)',
    ),
    (
        "type: boolean}",
        "type: boolean, values: [a]}",
        "66 forms.motor_claim.fields[5].values: belong to type: enum, which needs them",
    ),
    (
        "num_digits: 6,",
        "num_digits: 600,",
        "70 dtmf.presets.policy_pin.num_digits: must be at most 100",
    ),
    (
        "num_digits: 6, first",
        "first",
        "70 dtmf.presets.policy_pin: never ends: write num_digits, max_digits or finish_on_key",
    ),
    (
        "first_digit_timeout: 8s",
        "first_digit_timeout: 8 seconds",
        f"70 dtmf.presets.policy_pin.first_digit_timeout: {DURATION}",
    ),
    (
        "inter_digit_timeout",
        "interdigit_timeout",
        "70 dtmf.presets.policy_pin.interdigit_timeout: unknown field (did you mean"
        ' "inter_digit_timeout"?)',
    ),
    (
        '"0": a person',
        '"00": a person',
        '71 dtmf.presets.menu.choices: "00" has not as many digits as are asked for',
    ),
    (
        "sensitive: true",
        "sensitive: maybe",
        "70 dtmf.presets.policy_pin.sensitive: must be true or false",
    ),
    (
        'to: "+33612345678"',
        "to: +33612345678",
        '76 transfer_targets.claims_desk.to: must be text: write it in quotes, "+33612345678"',
    ),
    ('to: "+33612345678"', 'to: "0612345678"', f"76 transfer_targets.claims_desk.to: {E164}"),
    (
        "mode: warm",
        "mode: worm",
        '77 transfer_targets.claims_desk.mode: must be "cold", "warm", "queue",'
        ' "refer" or "hangup" (did you mean "warm"?)',
    ),
    (
        "ring_timeout: 20s",
        "ring_timeout: 20m",
        "78 transfer_targets.claims_desk.ring_timeout: must be from 1s to 10m",
    ),
    (
        "{{summary.short}}",
        "{{summary.shrt}}",
        '79 transfer_targets.claims_desk.whisper: unknown name "summary.shrt" (did you'
        ' mean "summary.short"?)',
    ),
    (
        'accept_key: "1"',
        'accept_key: "12"',
        "80 transfer_targets.claims_desk.accept_key: must be one key, 0 to 9, *, # or"
        ' A to D, in quotes: "#"',
    ),
    (
        "then: resume}\n  roadside",
        "then: roadsid}\n  roadside",
        '82 transfer_targets.claims_desk.on_failure.then: unknown target "roadsid"'
        ' (did you mean "roadside"?)',
    ),
    ("description: Tow truck,", "", "83 transfer_targets.roadside.description: is missing"),
    (
        "Europe/Paris",
        "Europe/Pariss",
        '86 hours.office.timezone: must be a time zone such as "Europe/Paris" (did you'
        ' mean "Europe/Paris"?)',
    ),
    (
        "Mo-Fr 08:00-19:00",
        "Mo-Fr 8-19",
        '86 hours.office.open[0]: "Mo-Fr 8-19" is not like "Mo-Fr 09:00-20:00"',
    ),
    (
        "Sa 09:00-12:00",
        "Samstag 09:00-12:00",
        '86 hours.office.open[1]: "Samstag 09:00-12:00" is not like "Mo-Fr 09:00-20:00"',
    ),
    ("2026-12-25", "25.12.2026", '86 hours.office.closed[0]: must be a day such as "2026-12-25"'),
    (
        "after: 20s, say",
        "afer: 20s, say",
        '89 timeouts.silence.afer: unknown field (did you mean "after"?)',
    ),
    ("times: 3, then", "times: 0, then", "89 timeouts.silence.times: must be at least 1"),
    ("tool: 10s", "tool: 10", f"90 timeouts.tool: {DURATION}"),
    (
        "max_call: 30m",
        "max_call: 30h",
        "91 timeouts.max_call: must be from 1m to 24h, or 0, which is off",
    ),
    ("resume: 3h", "resum: 3h", '92 timeouts.resum: unknown field (did you mean "resume"?)'),
    (
        "hold_audio: tones",
        "hold_audio: tonez",
        '94 hold_audio: "tonez": there is no such file (did you mean "tones"?)',
    ),
    ("reminders: true", "reminders: often", "95 reminders: must be true or false"),
    ("within: 7d", "within: 7w", f"96 callbacks.within: {DURATION}"),
    ("attempts: 2}", "attempts: many}", "96 callbacks.attempts: must be a whole number"),
    ("from: line, to", "from: lien, to", f"97 sms.from: {E164}"),
    (
        "to: [caller]",
        "to: [caler]",
        '97 sms.to: unknown target "caler": write caller, or the name of a target (did'
        ' you mean "caller"?)',
    ),
    ("digits: 6}", "digits: 60}", "98 verification.digits: must be at most 10"),
    ("sms: {from: line, to: [caller]}", "", "98 verification: sends a text message: add sms"),
    ("channels: dual", "channels: stereo", '99 recording.channels: must be "dual" or "mono"'),
    (
        "pause_during: [policy_pin]",
        "pause_during: [pin]",
        '99 recording.pause_during: unknown preset "pin"',
    ),
    (
        "consent: announce",
        "consent: anounce",
        '99 recording.consent: must be "announce" or "none" (did you mean "announce"?)',
    ),
    (
        "then: roadside}\n\nanalysis",
        "then: rodside}\n\nanalysis",
        '100 failure.then: unknown target "rodside" (did you mean "roadside"?)',
    ),
    (
        "summary: [short, long]",
        "summary: [brief]",
        '104 analysis.summary[0]: must be "short" or "long"',
    ),
    ("success: The", "succes: The", '105 analysis.succes: unknown field (did you mean "success"?)'),
    (
        'events: ["call.*"]',
        'events: ["cal.*"]',
        '108 webhooks[0].events: no event is called "cal.*"',
    ),
    (
        'url: "https://crm.example.com/hooks"',
        'url: "crm.example.com/hooks"',
        '108 webhooks[0].url: must be an address such as "https://crm.example.com/hooks"',
    ),
    (
        "variables:                             # what",
        "defaults:  {} # what",
        "6: cannot be read as YAML: expected <block end>, but found '<block mapping"
        " start>' while parsing a block mapping",
    ),
    ("form: motor_claim", "version: 1", "57 version: is written twice, first in line 3"),
]


@pytest.mark.parametrize(("written", "instead", "told"), MISTAKES)
def test_a_seeded_mistake_is_told_with_its_line_path_and_remedy(
    tmp_path: Path, written: str, instead: str, told: str
) -> None:
    """Whoever wrote it goes there and mends it, without knowing what a validator is."""
    assert TEXT.count(written) >= 1
    file = tmp_path / "agent.yaml"
    file.write_text(TEXT.replace(written, instead, 1), encoding="utf-8")

    problems = [str(problem) for problem in check_file(file)]

    assert f"{file}:{told}" in problems


def test_the_seeded_mistakes_are_at_least_sixty_and_each_is_another() -> None:
    """The number is promised."""
    assert len({(written, instead) for written, instead, _ in MISTAKES}) >= 60


def test_the_full_example_has_none_and_is_checked_at_once() -> None:
    """A check that takes long is not run; the bound is 300 ms, and four times that elsewhere."""
    began_s = time.perf_counter()

    problems = check_file(EXAMPLE)

    assert problems == []
    assert time.perf_counter() - began_s < 1.2
