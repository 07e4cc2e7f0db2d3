"""What must not be said, as the operator writes it."""

from pathlib import Path

import pytest

from app.agents.load import check_file, load_agent, load_document
from app.assembly import plan
from app.call.plan import GuardPlan, RulePlan

TARGETS = 'transfer_to: "+33612345678"\n'
SAY = "I'm sorry, I can't talk about that."


def written(folder: Path, guardrails: str, more: str = "") -> Path:
    """A document with these guardrails."""
    file = folder / "agent.yaml"
    file.write_text(f"instructions: x\n{more}guardrails: {guardrails}\n", encoding="utf-8")
    return file


def wrong(folder: Path, guardrails: str, more: str = TARGETS) -> list[str]:
    """What is wrong with them: path and sentence."""
    found = check_file(written(folder, guardrails, more))
    return [f"{one.path}: {one.sentence}" for one in found]


def test_the_rules_of_a_document_reach_the_call(tmp_path: Path) -> None:
    """Short forms, names, defaults; a file is read beside the document."""
    (tmp_path / "rivals.csv").write_text("# others\nAcme,a rival\nGlobex\n", encoding="utf-8")
    agent = load_agent(
        written(
            tmp_path,
            "{input: [moderation, {type: jailbreak, timeout: 500ms, on_error: closed}],"
            " output: [{type: blocklist, words: initech, file: rivals.csv, say: No.},"
            " {type: classifier, name: advice, description: Gives advice., then: transfer_call},"
            " moderation], debounce_text_length: 50, limit: {trips: 2, then: human}}",
            TARGETS,
        )
    )

    assert plan(agent).guard == GuardPlan(
        (
            RulePlan("moderation", "moderation", "input", "refuse", SAY),
            RulePlan("jailbreak", "jailbreak", "input", "refuse", SAY, closed=True),
            RulePlan("blocklist", "blocklist", "output", "cancel", "No.",
                     words=("initech", "Acme", "Globex")),
            RulePlan("advice", "classifier", "output", "human", SAY),
            RulePlan("moderation-2", "moderation", "output", "cancel", SAY),
        ),
        debounce_chars=50,
        words_ms=2_000,
        most=2,
        then="human",
    )  # fmt: skip


def test_without_rules_nobody_looks(tmp_path: Path) -> None:
    """An empty heading costs a call nothing."""
    assert plan(load_agent(written(tmp_path, "{input: [], output: null}"))).guard is None


def test_tools_that_only_read_are_known(tmp_path: Path) -> None:
    """Whoever else is asked may do something, and waits for the verdict."""
    tools = (
        "tools: {read: {type: http, description: d, url: 'https://x.test'},"
        " write: {type: http, method: POST, description: d, url: 'https://x.test'}}\n"
    )
    agent = load_agent(written(tmp_path, "{}", tools))

    assert {n: one.only_reads for n, one in plan(agent).tools.items()} == {
        "read": True,
        "write": False,
    }


@pytest.mark.parametrize(
    ("guardrails", "more", "problem"),
    [
        ("{input: [{type: jailbreak, then: cancel}]}", TARGETS,
         'guardrails.input[0].then: unknown target "cancel"'),
        ("{output: [{type: moderation, then: humna}]}", TARGETS,
         'guardrails.output[0].then: unknown target "humna"'),
        ("{output: [{type: moderation, then: transfer_call}]}", "",
         "guardrails.output[0].then: needs exactly one target: name it instead"),
        ("{limit: {then: nobody}}", TARGETS, 'guardrails.limit.then: unknown target "nobody"'),
        ("{input: [moderation]}", "transcription: null\n",
         "guardrails: look at what the caller says in writing: transcription must not be null"),
        ("{output: [{type: blocklist}]}", "", "guardrails.output[0]: must have words or a file"),
        ("{output: [{type: blocklist, words: ['!']}]}", "",
         "guardrails.output[0].words: has a phrase without a word in it"),
        ("{output: [{type: blocklist, words: talk}]}", "",
         "guardrails.say: holds a word of a blocklist: it would be cut, too"),
        ("{output: [{type: moderation, name: a}, {type: moderation, name: a}]}", "",
         'guardrails.output[0].name: two rules are called "a"'),
        ("{output: [{type: blocklist, file: none.csv}]}", "",
         'guardrails.output[0].file: "none.csv": there is no such file'),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_at_is_refused(
    tmp_path: Path, guardrails: str, more: str, problem: str
) -> None:
    """At load, where it was written, and not when somebody relies on it."""
    assert problem in wrong(tmp_path, guardrails, more)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("# nothing\n\n", "is empty"),
        ("Acme\n!!!\n", 'has a phrase that is none: "!!!"'),
        ("a\n" * 2_001, "has more than 2000 phrases"),
        ("talk", "holds a word of a blocklist: it would be cut, too"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, content: str, sentence: str) -> None:
    """Its name stands before it, and where it is named."""
    (tmp_path / "words.txt").write_text(content, encoding="utf-8")

    [told] = wrong(tmp_path, "{output: [{type: blocklist, file: words.txt}]}")
    assert told.startswith("guardrails")
    assert told.endswith(sentence)


def test_a_changed_file_is_a_changed_document(tmp_path: Path) -> None:
    """It is watched, and told from the version before."""
    words = tmp_path / "words.txt"
    words.write_text("Acme", encoding="utf-8")
    file = written(tmp_path, "{output: [{type: blocklist, file: words.txt}]}")
    before = load_document(file)
    words.write_text("Globex", encoding="utf-8")

    assert words in before.files
    assert load_document(file).version != before.version
