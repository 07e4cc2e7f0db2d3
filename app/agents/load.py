"""From a file to an agent, or to everything that is wrong with the file, before a port opens.

No code of the operator's is imported here: that a tool's handler exists is found out by
whoever imports it (``app.agents.document.handlers`` lists them).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from app.agents.document import Agent
from app.agents.problems import AgentFault, Problem, problems_of, written
from app.agents.sounds import Loader, SoundFault
from app.agents.source import Source, Unreadable, parse, read
from app.audio.mixing import Sound

MOST_BYTES = 1 << 20
"""A larger document is a mistake, such as the name of another file."""


@dataclass(frozen=True, slots=True)
class AgentDocument:
    """An agent and where it came from."""

    agent: Agent
    path: Path
    """Absolute; tools are importable from the folder it is in."""
    version: str
    """``sha256:…`` of the document's bytes, and of those of the files it names."""
    sounds: Mapping[str, Sound] = field(default_factory=dict)
    """What can be heard besides the agent, by the name of its occasion."""


def load_agent(path: str | Path) -> Agent:
    """The agent of the document at ``path``. Raises AgentFault with all its problems."""
    return load_document(path).agent


def load_document(path: str | Path, *, sounds: bool = True) -> AgentDocument:
    """The document at ``path``, validated. Raises AgentFault with all its problems.

    Without ``sounds`` there are none: reading them takes up to a second for each file.
    """
    path = Path(path)
    file = str(path)
    try:
        content = read(path, MOST_BYTES)
        source = parse(path.suffix, _text(content))
    except Unreadable as fault:
        raise AgentFault([Problem(file, fault.line, "", fault.sentence)]) from None
    agent = _validated(file, source)
    digest = sha256(content)
    if agent.instructions_file is not None:
        instructions = _instructions(path, agent.instructions_file, source)
        digest.update(instructions.encode())
        agent = agent.model_copy(update={"instructions": instructions.strip()})
    loader = Loader(path.parent, digest.update)
    try:
        heard = loader.load(agent.sounds) if sounds else {}
    except SoundFault as fault:
        line = source.line_of(fault.where)
        problem = Problem(file, line, written(fault.where), fault.sentence)
        raise AgentFault([problem]) from None
    return AgentDocument(agent, path.absolute(), f"sha256:{digest.hexdigest()}", heard)


def check_file(path: str | Path) -> list[Problem]:
    """All that is wrong with the document at ``path``, in the order of its lines."""
    try:
        load_document(path)
    except AgentFault as fault:
        return list(fault.problems)
    return []


def _validated(file: str, source: Source) -> Agent:
    problems = [
        Problem(file, line, written(where), sentence) for line, where, sentence in source.faults
    ]
    if not isinstance(source.value, dict):
        problems.append(Problem(file, 1, "", "must be a table of fields, such as instructions: …"))
        raise AgentFault(problems)
    agent = None
    try:
        agent = Agent.model_validate(source.value)
    except ValidationError as fault:
        problems += problems_of(fault, file, source)
    if agent is None or problems:
        raise AgentFault(sorted(problems, key=lambda problem: problem.line))
    return agent


def _instructions(document: Path, name: str, source: Source) -> str:
    """The text of the instructions file, whose name is relative to the document's folder."""
    try:
        text = _text(read(document.parent / name, MOST_BYTES))
        if text.strip():
            return text
        fault = "is empty"
    except Unreadable as unreadable:
        fault = unreadable.sentence
    where = ("instructions_file",)
    line = source.line_of(where)
    raise AgentFault([Problem(str(document), line, written(where), f'"{name}": {fault}')])


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise Unreadable(line, "is not UTF-8 text: save it as UTF-8") from None
