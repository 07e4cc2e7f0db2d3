"""Files in three notations, as they come from people's editors, and what can be wrong with them."""

from hashlib import sha256
from pathlib import Path

import pytest

from app.agents.document import Agent
from app.agents.example_tools import opening_hours
from app.agents.load import MOST_BYTES, check_file, load_agent, load_document
from app.agents.problems import AgentFault, Problem

EXAMPLE = Path(__file__).parents[2] / "app" / "agents" / "example.yaml"
JSON = """{
\t"instructions": "Caf\\u00e9 \\ud83d\\ude00",
\t"greeting": {"text": "Hi", "interruptible": "none"},
\t"transfer_to": "+33612345678",
\t"tools": {"find": {"type": "python", "handler": "a:b", "timeout": "3s"}}
}"""
TOML = """
instructions = "Café 😀"
greeting = {text = "Hi", interruptible = "none"}
transfer_to = "+33612345678"
[tools.find]
type = "python"
handler = "a:b"
timeout = "3s"
"""
YAML = """
instructions: Café 😀
greeting: &hello {text: Hi, interruptible: none}
transfer_to: "+33612345678"
tools: {find: {type: python, handler: 'a:b', timeout: 3s}}
"""


def told(folder: Path, name: str, content: str | bytes) -> list[str]:
    """The problems of a file with this content, without the folder's name."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [str(problem).removeprefix(f"{folder}/") for problem in check_file(file)]


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", JSON), ("a.toml", TOML), ("a.yaml", YAML), ("a.YML", YAML)]
)
def test_three_notations_are_one_language(tmp_path: Path, name: str, text: str) -> None:
    """Whoever generates documents writes JSON, whoever maintains them YAML."""
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")

    assert load_agent(file) == Agent.model_validate(
        {
            "instructions": "Café 😀",
            "greeting": {"text": "Hi", "interruptible": "none"},
            "transfer_to": "+33612345678",
            "tools": {"find": {"type": "python", "handler": "a:b", "timeout": "3s"}},
        }
    )


def test_the_packaged_example_is_an_agent() -> None:
    """It answers the newcomer's first call; and it must not send anybody to a stranger."""
    agent = load_agent(EXAMPLE)

    assert check_file(EXAMPLE) == []
    assert agent.targets == {}
    assert list(agent.tools) == ["opening_hours"]


@pytest.mark.parametrize(
    ("day", "answer"),
    [
        ("Sunday", "Sunday: closed"),
        (" monday ", "Monday: from 8 in the morning until 7 in the evening"),
    ],
)
def test_the_example_tool_answers(day: str, answer: str) -> None:
    """The model passes on whatever the caller said."""
    assert opening_hours(day) == answer


def test_the_document_knows_where_it_came_from(tmp_path: Path) -> None:
    """The record of a call names the version of the document that answered it."""
    file = tmp_path / "agent.yaml"
    file.write_text("instructions: x\n")

    document = load_document(file)

    assert document.path == file
    assert document.version == f"sha256:{sha256(file.read_bytes()).hexdigest()}"


def test_instructions_may_be_a_file_beside_the_document(tmp_path: Path) -> None:
    """Long prompts are kept, and reviewed, as texts; a changed prompt is another version."""
    file, prompt = tmp_path / "agent.yaml", tmp_path / "prompts" / "desk.md"
    prompt.parent.mkdir()
    file.write_text("instructions_file: prompts/desk.md\n")
    prompt.write_text("Be brief.\n")

    before = load_document(file)
    prompt.write_text("Be warm.\n")
    after = load_document(file)

    assert (before.agent.instructions, after.agent.instructions) == ("Be brief.", "Be warm.")
    assert before.version != after.version


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text: save it as UTF-8"),
        (b"x" * (MOST_BYTES + 1), "is larger than 1 MiB: is it the right file?"),
    ],
)
def test_a_bad_instructions_file_is_told_at_the_line_that_names_it(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    """An agent without instructions would answer, and say anything."""
    (tmp_path / "desk.md").write_bytes(content)

    assert told(tmp_path, "a.yaml", "model: x\ninstructions_file: desk.md\n") == [
        f'a.yaml:2 instructions_file: "desk.md": {sentence}'
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.yaml", "", "a.yaml:1: the file is empty"),
        ("a.yaml", " \n\n", "a.yaml:1: the file is empty"),
        ("a.yaml", "# nothing\n", "a.yaml:1: the file is empty"),
        ("a.yaml", "---\n", "a.yaml:1: must be a table of fields, such as instructions: …"),
        ("a.yaml", "- x\n", "a.yaml:1: must be a table of fields, such as instructions: …"),
        ("a.yaml", "hello\n", "a.yaml:1: must be a table of fields, such as instructions: …"),
        ("a.json", "[]", "a.json:1: must be a table of fields, such as instructions: …"),
        ("a.txt", "instructions: x\n", "a.txt:1: end the file's name in .yaml, .json or .toml"),
        (
            "a.yaml",
            "instructions: x\ngreeting:\n\ttext: y\n",
            "a.yaml:3: tabs cannot indent YAML: use spaces",
        ),
        (
            "a.yaml",
            "instructions: x\ngreeting: Hello: there\n",
            'a.yaml:2: a text that contains ": " needs quotes',
        ),
        (
            "a.yaml",
            "instructions: 'x\n",
            "a.yaml:2: cannot be read as YAML: found unexpected end of stream"
            " while scanning a quoted scalar",
        ),
        (
            "a.yaml",
            "instructions: *x\n",
            "a.yaml:1: cannot be read as YAML: found undefined alias 'x'",
        ),
        (
            "a.yaml",
            "instructions: x\n---\ninstructions: y\n",
            "a.yaml:2: only one document fits into a file: remove the second ---",
        ),
        (
            "a.yaml",
            "instructions: x\ngreeting: a\x00b\n",
            "a.yaml:2: contains a control character: remove it",
        ),
        (
            "a.yaml",
            "instructions: x\nmodel: !!python/name:os.system y\n",
            'a.yaml:2 model: the tag "python/name:os.system" is not part of the language:'
            " remove it",
        ),
        (
            "a.yaml",
            "instructions: x\nmodel: !secret y\n",
            'a.yaml:2 model: the tag "!secret" is not part of the language: remove it',
        ),
        (
            "a.yaml",
            "instructions: x\n? [a]\n: y\n",
            "a.yaml:2: a field's name must be a text",
        ),
        (
            "a.yaml",
            "instructions: x\nmodel: a\nmodel: b\n",
            "a.yaml:3 model: is written twice, first in line 2",
        ),
        (
            "a.yaml",
            "instructions: x\ntools: &t\n  find: *t\n",
            "a.yaml:1: lists or fields are nested too deeply",
        ),
        (
            "a.yaml",
            "instructions: " + "[\n " * 3000,
            "a.yaml:1: lists or fields are nested too deeply",
        ),
        (
            "a.yaml",
            "instructions: x\nx: &a [1,1,1,1,1,1,1,1,1,1]\n"
            "y: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nz: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
            "w: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
            "a.yaml:1: has more than 10000 values, or an alias of itself",
        ),
        (
            "a.yaml",
            "instructions: é\nmodel: x\n".encode("latin-1"),
            "a.yaml:1: is not UTF-8 text: save it as UTF-8",
        ),
        (
            "a.yaml",
            b"instructions: x\nmodel: \xff\n",
            "a.yaml:2: is not UTF-8 text: save it as UTF-8",
        ),
        (
            "a.yaml",
            b"#" * (MOST_BYTES + 1),
            "a.yaml:1: is larger than 1 MiB: is it the right file?",
        ),
        (
            "a.json",
            '{"instructions": "x",\n "model": }',
            "a.json:2: cannot be read as JSON: Expecting value",
        ),
        ("a.json", '{"model": NaN}', "a.json:1: cannot be read as JSON: NaN is not a value"),
        ("a.json", "[" * 100_000, "a.json:1: lists or fields are nested too deeply"),
        (
            "a.json",
            '{\n\t"instructions": "x",\n\t"model": "a",\n\t"model": "b"\n}',
            "a.json:4 model: is written twice, first in line 3",
        ),
        (
            "a.json",
            '{\n"instructions": "x",\n"voice": {\n  "sped": 1}\n}',
            'a.json:4 voice.sped: unknown field (did you mean "speed"?)',
        ),
        (
            "a.json",
            '{\n"instructions": "x", "model": "\\ud800"}',
            "a.json:2 model: contains a character that is none",
        ),
        (
            "a.toml",
            'instructions = "x"\nmodel =\n',
            "a.toml:2: cannot be read as TOML: Invalid value",
        ),
        (
            "a.toml",
            'instructions = "x"\nmodel = "a"\nmodel = "b"\n',
            "a.toml:3: cannot be read as TOML: Cannot overwrite a value",
        ),
        (
            "a.toml",
            'instructions = "x"\n\n[voice]\nsped = 1.0\n',
            'a.toml:4 voice.sped: unknown field (did you mean "speed"?)',
        ),
        (
            "a.toml",
            'instructions = "x"\nmodel = 2026-12-25\n',
            "a.toml:2 model: must be text",
        ),
    ],
)
def test_a_file_that_cannot_be_understood_is_told_where(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    """Every one of these has been saved by somebody's editor."""
    assert told(tmp_path, name, content) == [problem]


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    """Notepad writes both."""
    assert told(tmp_path, "a.yaml", b"\xef\xbb\xbfinstructions: x\r\ngreeting: y\r\n") == []


def test_an_anchor_may_be_given_twice(tmp_path: Path) -> None:
    """YAML allows it; a warning on the terminal would be all that the operator sees."""
    assert told(tmp_path, "a.yaml", "instructions: &a x\nmodel: &a y\nvoice: *a\n") == []


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    """The commonest mistake on a command line."""
    missing = tmp_path / "no.yaml"

    assert check_file(missing) == [Problem(str(missing), 1, "", "there is no such file")]
    assert [problem.sentence for problem in check_file(tmp_path)] == [
        "is a folder: name the file in it"
    ]
    assert [problem.sentence for problem in check_file("a\0.yaml")] == [
        "cannot be opened: embedded null byte"
    ]


def test_the_fault_is_all_its_problems(tmp_path: Path) -> None:
    """A server that does not start prints it."""
    file = tmp_path / "a.yaml"
    file.write_text("modle: x\n")

    with pytest.raises(AgentFault) as caught:
        load_agent(file)

    assert str(caught.value).splitlines() == [
        f"{file}:1 instructions: are missing: say who the agent is and what it does",
        f'{file}:1 modle: unknown field (did you mean "model"?)',
    ]
    assert list(caught.value.problems) == check_file(file)


def test_documents_are_found_beside_the_agent_document(tmp_path: Path) -> None:
    """C16: wherever the process was started; a name that is wrong stops it."""
    (tmp_path / "docs").mkdir()
    file = tmp_path / "agent.yaml"
    file.write_text("instructions: x\nknowledge: docs\n")

    knowledge = load_document(file).agent.knowledge
    file.write_text("instructions: x\nknowledge: {paths: [docs, dosc]}\n")
    problems = [str(one) for one in check_file(file)]

    assert knowledge is not None
    assert (knowledge.paths, knowledge.top_k) == ((str(tmp_path / "docs"),), 4)
    assert problems == [f'{file}:2 knowledge.paths[1]: "dosc": there is no such file']
    assert load_document(file, sounds=False).agent.knowledge is not None
