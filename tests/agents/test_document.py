"""What an operator may write, what it becomes, and what each mistake is called."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.agents.document import Agent, Greeting, SemanticVad, ServerVad, Voice, handlers
from app.agents.load import check_file, load_agent

FIVE_LINES = """\
instructions: |
  You answer the phone for Contoso Dental. Be warm and brief.
  Book, move or cancel appointments; hand over to a person when asked.
greeting: Hello, Contoso Dental. How can I help?
transfer_to: "+33612345678"
"""
DESK = 'instructions: x\ntransfer_targets:\n  desk: {description: y, to: "+33612345678"'


@pytest.fixture
def agent_file(tmp_path: Path) -> Path:
    return tmp_path / "agent.yaml"


def agent_of(file: Path, text: str) -> Agent:
    file.write_text(text, encoding="utf-8")
    return load_agent(file)


def test_five_lines_are_an_agent(agent_file: Path) -> None:
    """The promise of the first page: everything else is a default that works."""
    agent = agent_of(agent_file, FIVE_LINES)

    assert agent.instructions.startswith("You answer the phone for Contoso Dental.")
    assert agent.greeting == Greeting(text="Hello, Contoso Dental. How can I help?")
    assert (agent.greeting.interruptible, agent.greeting.mode) == (None, "verbatim")
    assert agent.model == "gpt-realtime-2.1"
    assert agent.voice == Voice(name="marin", speed=1.0)
    assert agent.turn_detection == ServerVad(
        threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500
    )
    assert agent.noise_reduction is not None
    assert agent.noise_reduction.type == "near_field"
    assert agent.transcription is not None
    assert agent.transcription.model == "gpt-transcribe"
    assert agent.reasoning is None
    assert agent.tools == {}
    assert list(agent.targets) == ["human"]
    human = agent.targets["human"]
    assert (human.to, human.mode, human.ring_timeout_ms) == ("+33612345678", "cold", 20_000)
    assert (human.caller_id, human.on_failure.then, human.on_failure.say) == (
        "caller",
        "resume",
        None,
    )
    assert agent.failure.say == "I'm sorry, we have a technical problem."
    assert agent.failure_target == "human"


def test_everything_written_is_read(agent_file: Path) -> None:
    """Each field of the language must reach its attribute."""
    agent = agent_of(
        agent_file,
        """
instructions: Be brief.
greeting: {text: Good day, interruptible: none, mode: generate}
model: my-deployment
voice: {id: voice_1, speed: 1.25}
turn_detection: {type: semantic_vad, eagerness: low}
noise_reduction: {type: far_field}
transcription: {model: gpt-x, languages: [no, pt-BR], prompt: Teeth, keywords: [Contoso, molar]}
reasoning: {effort: low}
tools:
  find:
    type: python
    handler: bookings.slots:find
    timeout: 500ms
    background: true
    say_while_running: [One moment., Let me see.]
    description: Find a free slot.
  note: {type: python, handler: bookings:note, say_while_running: I am writing it down.}
transfer_targets:
  desk:
    description: The front desk.
    to: tel:+33612345678
    mode: cold
    ring_timeout: 1m
    caller_id: "+15005550006"
    on_failure: {say: Nobody is there., then: end_call}
  pbx: {description: The switchboard., to: "sip:claims@pbx.contoso.test;transport=tls"}
  web: {description: The web phone., to: "client:reception"}
failure: {say: Sorry., then: pbx}
""",
    )

    assert agent.greeting == Greeting(text="Good day", interruptible="none", mode="generate")
    assert agent.model == "my-deployment"
    assert agent.voice == Voice(id="voice_1", speed=1.25)
    assert agent.turn_detection == SemanticVad(type="semantic_vad", eagerness="low")
    assert agent.noise_reduction is not None
    assert agent.noise_reduction.type == "far_field"
    assert agent.transcription is not None
    assert agent.transcription.languages == ("no", "pt-BR")
    assert agent.transcription.keywords == ("Contoso", "molar")
    assert agent.reasoning is not None
    assert agent.reasoning.effort == "low"
    find = agent.tools["find"]
    assert (find.timeout_ms, find.background) == (500, True)
    assert find.description == "Find a free slot."
    assert find.say_while_running == ("One moment.", "Let me see.")
    assert agent.tools["note"].say_while_running == ("I am writing it down.",)
    assert handlers(agent) == [("find", "bookings.slots:find"), ("note", "bookings:note")]
    desk = agent.targets["desk"]
    assert (desk.to, desk.ring_timeout_ms) == ("+33612345678", 60_000)
    assert (desk.caller_id, desk.on_failure.then) == ("+15005550006", "end_call")
    assert agent.failure_target == "pbx"


def test_null_turns_a_filter_off_and_a_bare_voice_keeps_its_name(agent_file: Path) -> None:
    """null is how the field's own vocabulary says none; a speed alone must not lose the voice."""
    agent = agent_of(
        agent_file,
        "instructions: x\nnoise_reduction: null\ntranscription: null\nvoice: {speed: 0.9}\n"
        "tools:\n#  find:\ntransfer_targets:\n",
    )

    assert agent.noise_reduction is None
    assert agent.transcription is None
    assert agent.voice == Voice(name="marin", speed=0.9)
    assert agent.tools == {}
    assert agent.failure_target is None


def test_yaml_takes_no_word_for_something_else(agent_file: Path) -> None:
    """YAML 1.1 reads no as false, 18:30 as 1110, 010 as 8 and a date as an object."""
    agent = agent_of(
        agent_file,
        "instructions: no\ngreeting: 18:30\ntranscription: {language: no}\nvoice: on\n"
        "model: 2026-12-25\n",
    )

    assert agent.instructions == "no"
    assert agent.greeting is not None
    assert agent.greeting.text == "18:30"
    assert agent.transcription is not None
    assert agent.transcription.language == "no"
    assert agent.voice.name == "on"
    assert agent.model == "2026-12-25"


@pytest.mark.parametrize(
    ("then", "target"),
    [
        ("", None),
        ("failure: {then: a}\n", "a"),
        ("failure: {then: human}\n", "human"),
        ("failure: {then: end_call}\n", None),
    ],
)
def test_a_failing_call_goes_where_the_document_says(
    agent_file: Path, then: str, target: str | None
) -> None:
    """With several targets nobody can guess which one wants the failing calls."""
    agent = agent_of(
        agent_file,
        'instructions: x\ntransfer_to: "+33612345678"\n'
        'transfer_targets: {a: {description: y, to: "+33698765432"}}\n' + then,
    )

    assert sorted(agent.targets) == ["a", "human"]
    assert agent.failure_target == target


def test_a_single_target_takes_the_failing_calls_unless_told_otherwise(agent_file: Path) -> None:
    """A caller with one person to go to is not sent away."""
    assert agent_of(agent_file, DESK + "}\n").failure_target == "desk"
    assert agent_of(agent_file, DESK + "}\nfailure: {then: end_call}\n").failure_target is None


def test_an_agent_cannot_be_changed(agent_file: Path) -> None:
    """Calls share it."""
    agent = agent_of(agent_file, FIVE_LINES)

    with pytest.raises(ValidationError):
        agent.model = "other"  # type: ignore[misc]


TOOL = "instructions: x\ntools:\n  find: {type: python, handler: a:b"
NUMBER = 'must be an E.164 number with "+" and country code, such as "+33612345678"'
DURATION = 'must be a duration with its unit, such as "500ms", "20s" or "30m"'
HANDLER = 'must be "module:function", such as "bookings:find_slot"'
NAME = "must be a name of 1 to 64 letters, digits, _ and -"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # Instructions
        ("greeting: x\n", "1 instructions: are missing: say who the agent is and what it does"),
        (
            "instructions: ' '\n",
            "1 instructions: are missing: say who the agent is and what it does",
        ),
        ("greeting: x\ninstructions: 3\n", "2 instructions: must be text: write it in quotes"),
        ("instructions: [x]\n", "1 instructions: must be text"),
        (
            "instructions: x\ninstructions_file: y.md\n",
            "1 instructions: cannot stand beside instructions_file: write one or the other",
        ),
        ("instructions_file: no.md\n", '1 instructions_file: "no.md": there is no such file'),
        # Names
        (
            "instructions: x\ngreting: y\n",
            '2 greting: unknown field (did you mean "greeting"?)',
        ),
        ("instructions: x\nzzz: y\n", "2 zzz: unknown field"),
        ("instructions: x\n1: y\n", "2 1: unknown field"),
        ("instructions: x\n'a b': y\n", '2 ["a b"]: unknown field'),
        ("instructions: x\nagents: {}\n", "2 agents: must name at least one agent"),
        ("instructions: x\nprompt: y\n", "2 prompt: unknown field"),
        # Greeting
        ("instructions: x\ngreeting: ''\n", "2 greeting: must not be empty"),
        ("instructions: x\ngreeting:\n  mode: generate\n", "2 greeting.text: is missing"),
        (
            "instructions: x\ngreeting:\n  text: y\n  interruptible: nome\n",
            '4 greeting.interruptible: must be "none", "dtmf", "speech" or "any" '
            '(did you mean "none"?)',
        ),
        ("instructions: x\ngreeting: [y]\n", "2 greeting: must be a table of fields"),
        (
            "instructions: x\ngreeting: {text: y, mod: generate}\n",
            '2 greeting.mod: unknown field (did you mean "mode"?)',
        ),
        # Model and voice
        ("instructions: x\nmodel: ''\n", "2 model: must not be empty"),
        ("instructions: x\nvoice: {speed: 1.6}\n", "2 voice.speed: must be at most 1.5"),
        ("instructions: x\nvoice: {speed: .nan}\n", "2 voice.speed: must be at most 1.5"),
        ("instructions: x\nvoice: {speed: 0.2}\n", "2 voice.speed: must be at least 0.25"),
        ("instructions: x\nvoice: {speed: fast}\n", "2 voice.speed: must be a number"),
        (
            "instructions: x\nvoice: {name: a, id: b}\n",
            "2 voice.id: cannot stand beside name: a voice has one or the other",
        ),
        # Hearing
        (
            "instructions: x\nturn_detection: {type: server_vda}\n",
            '2 turn_detection.type: must be "server_vad" or "semantic_vad"'
            ' (did you mean "server_vad"?)',
        ),
        (
            "instructions: x\nturn_detection: {threshold: -1}\n",
            "2 turn_detection.threshold: must be at least 0",
        ),
        (
            "instructions: x\nturn_detection: {silence_duration_ms: 0.5}\n",
            "2 turn_detection.silence_duration_ms: must be a whole number",
        ),
        (
            "instructions: x\nturn_detection: {prefix_padding_ms: 5001}\n",
            "2 turn_detection.prefix_padding_ms: must be at most 5000",
        ),
        (
            "instructions: x\nturn_detection: {interrupt_response: false}\n",
            "2 turn_detection.interrupt_response: unknown field",
        ),
        (
            "instructions: x\nturn_detection: {type: semantic_vad, threshold: 0.5}\n",
            "2 turn_detection.threshold: does not belong to this type",
        ),
        ("instructions: x\nturn_detection: null\n", "2 turn_detection: must be a table of fields"),
        (
            "instructions: x\nnoise_reduction: {type: nearfield}\n",
            '2 noise_reduction.type: must be "near_field" or "far_field"'
            ' (did you mean "near_field"?)',
        ),
        (
            "instructions: x\ntranscription: {language: en, languages: [en]}\n",
            "2 transcription.languages: cannot stand beside language: write one or the other",
        ),
        (
            "instructions: x\ntranscription:\n  languages:\n    - en\n    - English!\n",
            '5 transcription.languages[1]: must be a language code such as "en" or "pt-BR"',
        ),
        (
            "instructions: x\ntranscription: {keywords: [1]}\n",
            "2 transcription.keywords[0]: must be text: write it in quotes",
        ),
        (
            "instructions: x\nreasoning: {effort: hgh}\n",
            '2 reasoning.effort: must be "minimal", "low", "medium", "high" or "xhigh"'
            ' (did you mean "high"?)',
        ),
        # Tools
        ("instructions: x\ntools: [find]\n", '2 tools[0]: unknown tool "find"'),
        ("instructions: x\ntools: {find: a:b}\n", "2 tools.find: must be a table of fields"),
        (
            "instructions: x\ntools:\n  find: {handler: a:b}\n",
            "3 tools.find.type: is missing",
        ),
        (
            "instructions: x\ntools:\n  find: {type: python, handler: a:b, url: b}\n",
            "3 tools.find.url: does not belong to this type",
        ),
        (
            "instructions: x\ntools:\n  find: {type: http, description: x}\n",
            "3 tools.find.url: is missing",
        ),
        (
            "instructions: x\ntools:\n  find: {type: http, description: x,"
            ' url: "https://{{args.host}}/x"}\n',
            "3 tools.find.url: must name its host plainly: nothing can be filled in there",
        ),
        (
            "instructions: x\ntools:\n  find: {type: http, description: x, url: https://a.test/x,\n"
            "    headers: {Authorization: Bearer abc}}\n",
            "4 tools.find.headers.Authorization: shows a secret: write it as Authorization:"
            " ${NAME}, and NAME into .env",
        ),
        (
            "instructions: x\ntools:\n  find: {type: http, description: x, url: https://a.test/x,"
            " method: POST, retries: 1}\n",
            "3 tools.find.idempotent: must be true, or retries 0: the server may have done what it"
            " did not confirm",
        ),
        (
            "instructions: x\ntools:\n  find: {type: pyton, handler: a:b}\n",
            '3 tools.find.type: must be "python", "http" or "mcp" (did you mean "python"?)',
        ),
        (
            "instructions: x\ntools:\n  find:\n    type: python\n    handler: a.b\n",
            f"5 tools.find.handler: {HANDLER}",
        ),
        (
            "instructions: x\ntools:\n  find: {type: python, handler: '../a:b'}\n",
            f"3 tools.find.handler: {HANDLER}",
        ),
        (
            "instructions: x\ntools:\n  find: {type: python, handler: 3}\n",
            f"3 tools.find.handler: {HANDLER}",
        ),
        (f"{TOOL}, timeout: 20}}\n", f"3 tools.find.timeout: {DURATION}"),
        (f"{TOOL}, timeout: 2 s}}\n", f"3 tools.find.timeout: {DURATION}"),
        (f"{TOOL}, timeout: 0s}}\n", "3 tools.find.timeout: must be from 100ms to 10m"),
        (f"{TOOL}, timeout: 90d}}\n", "3 tools.find.timeout: must be from 100ms to 10m"),
        (
            f"{TOOL}, timeout_ms: 20}}\n",
            '3 tools.find.timeout_ms: unknown field (did you mean "timeout"?)',
        ),
        (f"{TOOL}, background: yes}}\n", "3 tools.find.background: must be true or false"),
        (
            f"{TOOL}, say_while_running: 3}}\n",
            "3 tools.find.say_while_running: must be a text or a list of texts",
        ),
        (
            f"{TOOL}, say_while_running: [a, '']}}\n",
            "3 tools.find.say_while_running[1]: must not be empty",
        ),
        (f"{TOOL}, approval: often}}\n", '3 tools.find.approval: must be "never" or "always"'),
        (
            "instructions: x\ntools:\n  end_call: {type: python, handler: a:b}\n",
            "3 tools.end_call: is the name of a built-in tool: choose another",
        ),
        (
            "instructions: x\ntools:\n  transfer_call: {type: python, handler: a:b}\n",
            "3 tools.transfer_call: is the name of a built-in tool: choose another",
        ),
        (
            "instructions: x\ntools:\n  'find slot': {type: python, handler: a:b}\n",
            f'3 tools["find slot"]: {NAME}',
        ),
        (
            f"instructions: x\ntools:\n  {'f' * 65}: {{type: python, handler: a:b}}\n",
            f"3 tools.{'f' * 65}: {NAME}",
        ),
        # Transfers
        (
            "instructions: x\ntransfer_to: +33612345678\n",
            '2 transfer_to: must be text: write it in quotes, "+33612345678"',
        ),
        ("instructions: x\ntransfer_to: '0612345678'\n", f"2 transfer_to: {NUMBER}"),
        ("instructions: x\ntransfer_to: the desk\n", f"2 transfer_to: {NUMBER}"),
        (
            "instructions: x\ntransfer_to: '911'\n",
            "2 transfer_to: is an emergency number: have people call it themselves",
        ),
        (
            "instructions: x\ntransfer_to: true\n",
            '2 transfer_to: must be a phone number in quotes, such as "+33612345678"',
        ),
        (
            "instructions: x\ntransfer_to: '+33 6 12 34 56 78'\n",
            '2 transfer_to: must be in E.164: write "+33612345678"',
        ),
        (
            "instructions: x\ntransfer_to: '+15550000000'\n",
            "2 transfer_to: is not a number of any telephone network: check its digits",
        ),
        (
            "instructions: x\ntransfer_to: 'sip:pbx.contoso.test'\n",
            '2 transfer_to: must be a SIP address such as "sip:desk@pbx.contoso.com"',
        ),
        (
            "instructions: x\ntransfer_to: 'client:'\n",
            '2 transfer_to: must be a client address such as "client:reception"',
        ),
        (
            'instructions: x\ntransfer_to: "+33612345678"\n'
            'transfer_targets: {human: {description: y, to: "+33612345678"}}\n',
            '2 transfer_to: is short for a target named "human", and there is one: remove either',
        ),
        (
            'instructions: x\ntransfer_targets:\n  desk: {to: "+33612345678"}\n',
            "3 transfer_targets.desk.description: is missing",
        ),
        (
            "instructions: x\ntransfer_targets:\n  desk: {description: y, to: 33612345678}\n",
            '3 transfer_targets.desk.to: must be text: write it in quotes, "+33612345678"',
        ),
        (
            DESK + ", mode: cool}\n",
            '3 transfer_targets.desk.mode: must be "cold", "warm", "queue", "refer" or "hangup"'
            ' (did you mean "cold"?)',
        ),
        (DESK + ", ring_timeout: 20}\n", f"3 transfer_targets.desk.ring_timeout: {DURATION}"),
        (
            DESK + ", ring_timeout: 1h}\n",
            "3 transfer_targets.desk.ring_timeout: must be from 1s to 10m",
        ),
        (DESK + ", caller_id: Contoso}\n", f"3 transfer_targets.desk.caller_id: {NUMBER}"),
        (
            DESK + ", on_failure: {then: resum}}\n",
            '3 transfer_targets.desk.on_failure.then: unknown target "resum"'
            ' (did you mean "resume"?)',
        ),
        (
            DESK + ", whisper: y}\n",
            "3 transfer_targets.desk.whisper: has no effect: add mode: warm",
        ),
        (
            DESK + ", mode: warm, whisper: 'For {{caller.nam}}'}\n",
            '3 transfer_targets.desk.whisper: unknown name "caller.nam"'
            ' (did you mean "caller.name"?)',
        ),
        (
            DESK + ", mode: warm, accept_key: A}\n",
            "3 transfer_targets.desk.accept_key: is a key that most telephones lack: choose 0 to "
            "9, * or #",
        ),
        (
            DESK + ", on_failure: {then: desk}}\n",
            "3 transfer_targets.desk.on_failure.then: goes in a circle: desk to desk",
        ),
        (
            DESK + ", on_failure: {then: take_message}}\nreminders: false\n",
            "4 reminders: must be true: messages for desk are noted as reminders",
        ),
        (
            DESK
            + ", on_failure: {then: boss}}\n"
            + '  boss: {description: y, to: "+33612345678", mode: warm}\n',
            "3 transfer_targets.desk.on_failure.then: must not be a warm target: the caller has "
            "left the agent by then",
        ),
        (
            DESK
            + ", mode: warm, on_failure: {then: boss, say: Sorry.}}\n"
            + '  boss: {description: y, to: "+33612345678"}\n',
            "3 transfer_targets.desk.on_failure.say: is not said: the caller hears music until the "
            "next one",
        ),
        (
            "instructions: x\ntransfer_targets:\n"
            '  end_call: {description: y, to: "+33612345678"}\n',
            "3 transfer_targets.end_call: is a word of the language: choose another name",
        ),
        # Failure
        (
            DESK + "}\nfailure:\n  then: dsk\n",
            '5 failure.then: unknown target "dsk" (did you mean "desk"?)',
        ),
        ("instructions: x\nfailure: {then: human}\n", '2 failure.then: unknown target "human"'),
        ("instructions: x\nfailure: {say: ''}\n", "2 failure.say: must not be empty"),
    ],
)
def test_a_mistake_is_a_place_and_a_sentence(agent_file: Path, text: str, problem: str) -> None:
    """The document is written by people who have never seen a validator."""
    agent_file.write_text(text, encoding="utf-8")

    assert [str(one) for one in check_file(agent_file)] == [f"{agent_file}:{problem}"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(agent_file: Path) -> None:
    """Mending one line per start is how an evening goes by."""
    agent_file.write_text(
        """\
instructions: x
voice: {speed: 9}
voice: marin
transfer_targets:
  desk:
    to: "0612"
    mode: refr
tools:
  find: {type: python}
modle: y
""",
        encoding="utf-8",
    )

    told = [(problem.line, problem.path) for problem in check_file(agent_file)]

    assert told == [
        (2, "voice.speed"),
        (3, "voice"),
        (5, "transfer_targets.desk.description"),
        (6, "transfer_targets.desk.to"),
        (7, "transfer_targets.desk.mode"),
        (9, "tools.find.handler"),
        (10, "modle"),
    ]


def test_one_word_is_enough_where_one_word_says_it(agent_file: Path) -> None:
    """The table of the README names values; writing just the value must work."""
    words = "noise_reduction: far_field\nturn_detection: semantic_vad\ntranscription: whisper-x\n"
    agent = agent_of(agent_file, f"instructions: x\nreasoning: low\n{words}")

    assert agent.noise_reduction is not None
    assert agent.noise_reduction.type == "far_field"
    assert agent.turn_detection == SemanticVad(type="semantic_vad")
    assert agent.transcription is not None
    assert agent.transcription.model == "whisper-x"
    assert agent.reasoning is not None
    assert agent.reasoning.effort == "low"


CLAIM = """
instructions: x
analysis: {}
forms:
  claim:
    fields:
      - {name: policy, type: text, required: true, description: Policy number}
      - {name: injuries, type: enum, values: [none, minor]}
form: claim
"""


def test_a_form_is_what_a_call_is_to_find_out(agent_file: Path) -> None:
    """Checked when the call is over."""
    agent = agent_of(agent_file, CLAIM)

    policy, injuries = agent.forms["claim"].fields
    assert (agent.form, policy.required, policy.description) == ("claim", True, "Policy number")
    assert injuries.values == ("none", "minor")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("form: claim", "form: clam", 'unknown form "clam" (did you mean "claim"?)'),
        ("name: injuries", "name: policy", 'has two fields named "policy": rename one'),
        (", values: [none, minor]", "", "belong to type: enum, which needs them"),
        ("type: text, ", "type: text, values: [a], ", "belong to type: enum"),
        ("type: text, ", 'type: text, pattern: "[", ', "is not a regular expression"),
        ("type: text", "type: words", "type"),
        ("name: policy", 'name: "policy number"', "1 to 64 letters"),
    ],
)
def test_mistakes_in_a_form_are_named(agent_file: Path, old: str, new: str, problem: str) -> None:
    """Before the port opens, with the place."""
    assert CLAIM.count(old) == 1
    agent_file.write_text(CLAIM.replace(old, new), encoding="utf-8")

    assert any(problem in str(one) for one in check_file(agent_file)), check_file(agent_file)
