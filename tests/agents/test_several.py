"""Several agents in one document: what holds for each, and where a mistake is told."""

from pathlib import Path

import pytest

from app.agents.load import AgentDocument, check_file, load_document
from app.assembly import lines, plan
from app.built_ins import offered

DOCUMENT = """\
variables: {company: Contoso}
defaults:
  voice: {name: cedar, speed: 1.2}
  greeting: "Hello, {{company}}."
  noise_reduction: null
agents:
  intake:
    handoff_description: Opens claims.
    instructions: You take claims for {{company}}.
    greeting: null
    voice: {speed: 0.9}
    tools:
      - find
      - end_call
      - transfer_call: {targets: [desk]}
      - collect_dtmf: {presets: [pin]}
    handoffs: [billing]
  billing:
    handoff_description: Answers questions about bills.
    instructions: You answer questions about bills.
    tools: [end_call, {find: {timeout: 2s}}]
  open:
    instructions: You may do anything.
tools:
  find: {type: python, handler: "tools:find", description: Finds.}
  refund: {type: python, handler: "tools:refund", description: Pays back.}
dtmf: {presets: {pin: {num_digits: 4}, menu: {num_digits: 1}}}
transfer_targets:
  desk: {description: People, to: "+33612345678"}
  roadside: {description: A tow truck, to: "+33698765432"}
numbers:
  "+15005550006": {agent: intake, label: Claims}
  "+15005550007": {agent: billing, voice: {name: verse, speed: 1.0}, model: gpt-realtime-mini}
  "*": {agent: open}
"""


def _load(folder: Path, text: str = DOCUMENT, name: str = "a.yaml") -> AgentDocument:
    (folder / name).write_text(text, encoding="utf-8")
    return load_document(folder / name)


def _problems(folder: Path, text: str) -> list[str]:
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    return [str(one).removeprefix(f"{folder}/a.yaml:") for one in check_file(folder / "a.yaml")]


def test_what_an_agent_says_comes_over_the_defaults(tmp_path: Path) -> None:
    """Tables merge, null takes away, and null says none where that means something."""
    document = _load(tmp_path)
    intake, billing = document.agents["intake"], document.agents["billing"]

    assert list(document.agents) == ["intake", "billing", "open"]
    assert (intake.voice.name, intake.voice.speed) == ("cedar", 0.9)
    assert (billing.voice.name, billing.voice.speed) == ("cedar", 1.2)
    assert intake.greeting is None
    assert billing.greeting is not None
    assert billing.noise_reduction is None
    assert intake.targets.keys() == billing.targets.keys() == {"desk", "roadside"}


def test_an_agent_has_the_tools_that_it_names_and_no_others(tmp_path: Path) -> None:
    """What is not listed is not offered, and not done where a model asks for it all the same."""
    agents = _load(tmp_path).agents
    names = {name: [one["name"] for one in offered(agent)] for name, agent in agents.items()}
    transfer = next(one for one in offered(agents["intake"]) if one["name"] == "transfer_call")
    keyed = next(one for one in offered(agents["intake"]) if one["name"] == "collect_dtmf")

    assert list(agents["intake"].tools) == ["find"]
    assert agents["billing"].tools["find"].timeout_ms == 2_000
    assert names["intake"] == ["end_call", "transfer_call", "collect_dtmf", "handoff"]
    assert names["billing"] == ["end_call"]
    assert transfer["parameters"]["properties"]["target"]["enum"] == ["desk"]
    assert keyed["parameters"]["properties"]["preset"]["enum"] == ["pin"]
    assert plan(agents["intake"]).offered == ("desk",)
    assert list(agents["open"].tools) == ["find", "refund"]
    assert names["open"] == ["end_call", "transfer_call", "collect_dtmf"]


def test_a_number_has_its_agent_and_may_change_it(tmp_path: Path) -> None:
    """built in < defaults < numbers < agents."""
    document = _load(tmp_path)
    found = lines(document)
    [changed] = [role for role in document.roles if role.number]

    assert found.plans["+15005550006"].agent == "intake"
    assert found.plans["+15005550007"].agent == "billing +15005550007"
    assert found.others is not None
    assert found.others.agent == "open"
    assert (changed.name, changed.agent.model) == ("billing", "gpt-realtime-mini")
    assert (changed.agent.voice.name, changed.agent.voice.speed) == ("verse", 1.0)
    assert document.agents["billing"].model == "gpt-realtime-2.1"


def test_a_document_without_agents_is_its_agent(tmp_path: Path) -> None:
    """Five lines stay five lines; a number may still change what it says."""
    text = 'instructions: x\ngreeting: Hello\nnumbers: {"+15005550006": {greeting: Bonjour}}\n'
    document = _load(tmp_path, text)
    [changed] = [role for role in document.roles if role.number]

    assert list(document.agents) == ["agent"]
    assert document.agent.built_ins is None
    assert changed.agent.greeting is not None
    assert changed.agent.greeting.text == "Bonjour"


def test_json_and_toml_are_the_same_language(tmp_path: Path) -> None:
    """Whoever generates documents writes JSON."""
    toml = (
        'variables = {company = "Contoso"}\n'
        '[agents.a]\ninstructions = "For {{company}}."\ntools = ["end_call"]\n'
    )
    json = '{"variables":{"company":"Contoso"},"agents":{"a":{"instructions":"For {{company}}.",'
    json += '"tools":["end_call"]}}}'

    assert _load(tmp_path, toml, "a.toml").agents == _load(tmp_path, json, "a.json").agents


_HEAD = "agents:\n  intake:\n    instructions: x\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            _HEAD + "    tools: [end_call, {hold: {}}, send_sm]\n",
            '4 agents.intake.tools[2]: unknown tool "send_sm" (did you mean "send_sms"?)',
        ),
        (
            _HEAD + "    tools: [{transfer_call: {targets: [dsk]}}]\n"
            'transfer_targets: {desk: {description: y, to: "+33612345678"}}\n',
            "4 agents.intake.tools[0].transfer_call.targets: unknown target"
            ' "dsk" (did you mean "desk"?)',
        ),
        (
            _HEAD + "    tools: [{end_call: {targets: [a]}}]\n",
            "4 agents.intake.tools[0].end_call.targets: does not belong to this tool",
        ),
        (
            _HEAD + "    tools: [find]\ntools:\n  find: {type: python, handler: x}\n",
            '6 tools.find.handler: must be "module:function", such as "bookings:find_slot"',
        ),
        (
            _HEAD + "    handoffs: [biling]\n  billing: {instructions: y}\n",
            '4 agents.intake.handoffs[0]: unknown agent "biling" (did you mean "billing"?)',
        ),
        (
            _HEAD + "    handoffs: [billing]\n  billing: {instructions: y}\n",
            '4 agents.intake.handoffs[0]: "billing" has no handoff_description: say what it is for',
        ),
        (
            _HEAD + "    handoffs: [b]\n  b: {instructions: y, handoff_description: z,"
            " guardrails: {input: [{name: n, type: blocklist, words: [w]}]}}\n",
            '4 agents.intake.handoffs[0]: "b" has other guardrails: write them beside agents',
        ),
        (
            _HEAD + "    colleagues: {billing: Knows all bills.}\n",
            "2 agents.intake: unknown field: colleagues",
        ),
        (_HEAD + "    greting: Hi\n", '4 agents.intake.greting: unknown field (did you mean "gre'),
        (
            _HEAD + "defaults:\n  voise: marin\n",
            '5 defaults.voise: unknown field (did you mean "voice"?)',
        ),
        (
            _HEAD + 'numbers: {"*": {agent: intak}}\n',
            '4 numbers["*"].agent: unknown agent "intak" (did you mean "intake"?)',
        ),
        (
            _HEAD + '  b: {instructions: y}\nnumbers: {"*": {}}\n',
            '5 numbers["*"]: needs agent: who answers it',
        ),
        (
            _HEAD + 'numbers: {"*": {max_concurent: 4}}\n',
            '4 numbers["*"].max_concurent: unknown field (did you mean "max_concurrent"?)',
        ),
        (_HEAD + "    numbers: {}\n", "4 agents.intake.numbers: belongs beside agents"),
        (_HEAD + "  b: {greeting: y}\n", "4 agents.b.instructions: are missing: say who the agent"),
        ("agents: {}\n", "1 agents: must name at least one agent"),
        ("instructions: x\ndefaults: {}\n", "2 defaults: have nothing to be merged under"),
        ("instructions: x\nversion: 2\n", "2 version: must be 1"),
        (
            "variables: {company: y}\ninstructions: For {{compani}}.\n",
            '2 instructions: unknown name "compani" (did you mean "company"?)',
        ),
        (
            _HEAD + "failure: {say: 'Sorry, {{caller.nam}}'}\n",
            '4 failure.say: unknown name "caller.nam" (did you mean "caller.name"?)',
        ),
        (
            "instructions: x\nvariables: {now: 3}\n",
            "2 variables.now: is a word of the language: choose another name",
        ),
    ],
)
def test_a_mistake_is_told_where_it_was_written(tmp_path: Path, text: str, problem: str) -> None:
    """In whatever layer that is, and once, though every agent has it."""
    (found,) = _problems(tmp_path, text)

    assert found.startswith(problem)


def test_the_full_example_loads() -> None:
    """Whoever copies it begins with a document that works."""
    example = Path(__file__).parents[2] / "examples" / "insurance.yaml"

    assert check_file(example) == []
    document = load_document(example)
    assert list(document.agents) == ["intake", "billing"]
    assert [role.number for role in document.roles] == ["", "", "+15005550007"]


@pytest.mark.parametrize("name", ["dental", "secret"])
def test_the_small_examples_load(name: str) -> None:
    """They are what newcomers copy."""
    example = Path(__file__).parents[2] / "examples" / f"{name}.yaml"

    assert check_file(example) == []


def test_an_agent_knows_what_its_colleagues_are_for(tmp_path: Path) -> None:
    """It is what the model chooses by; nobody writes it twice."""
    document = _load(
        tmp_path,
        "agents:\n"
        "  intake: {instructions: x, handoffs: [billing]}\n"
        "  billing: {instructions: y, handoff_description: Knows all bills.}\n",
    )

    assert document.agents["intake"].colleagues == {"billing": "Knows all bills."}
    assert document.agents["billing"].colleagues == {}
