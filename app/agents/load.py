"""From a file to its agents, or to everything that is wrong with the file, before a port opens.

No code of the operator's is imported here: that a tool's handler exists is found out by
whoever imports it (``app.agents.document.handlers`` lists them).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from app.agents import templating
from app.agents.document import Agent
from app.agents.guardrails import (
    AnyRule,
    BlocklistRule,
    Guardrails,
    phrases_of,
    refuse_own_words,
)
from app.agents.layers import Misplaced, Written, agents_of, near
from app.agents.numbers import Number
from app.agents.problems import AgentFault, Problem, problems_of, written
from app.agents.sounds import Loader, SoundFault
from app.agents.source import Source, Unreadable, Where, parse, read
from app.audio.mixing import Sound

MOST_BYTES = 1 << 20
"""A larger document is a mistake, such as the name of another file."""
NUMBER_FIELDS = frozenset(one.alias or name for name, one in Number.model_fields.items())
"""What is said of a number itself, and not of its agent there."""


@dataclass(frozen=True, slots=True)
class Role:
    """An agent of a document, everywhere or on one number."""

    name: str
    agent: Agent
    number: str = ""
    """The one number that it is so on; empty: everywhere."""
    sounds: Mapping[str, Sound] = field(default_factory=dict)
    """What can be heard besides the agent, by the name of its occasion."""


@dataclass(frozen=True, slots=True)
class AgentDocument:
    """The agents of a document, and where it came from."""

    roles: tuple[Role, ...]
    path: Path
    """Absolute; tools are importable from the folder it is in."""
    version: str
    """``sha256:…`` of the document's bytes, and of those of the files it names."""
    files: tuple[Path, ...] = ()
    """Everything that was read for it, itself included."""

    @property
    def agents(self) -> Mapping[str, Agent]:
        """By name, as they are everywhere; the first of them answers where nothing else is said."""
        return {role.name: role.agent for role in self.roles if not role.number}

    @property
    def agent(self) -> Agent:
        """The first."""
        return self.roles[0].agent

    @property
    def sounds(self) -> Mapping[str, Sound]:
        """Those of the first."""
        return self.roles[0].sounds


def load_agent(path: str | Path) -> Agent:
    """The first agent of the document at ``path``. Raises AgentFault with all its problems."""
    return load_document(path).agent


def load_document(path: str | Path, *, sounds: bool = True) -> AgentDocument:
    """The document at ``path``, validated. Raises AgentFault with all its problems.

    Without ``sounds`` there are none: reading them takes up to a second for each file.
    """
    return _Reading(Path(path)).document(sounds=sounds)


def check_file(path: str | Path) -> list[Problem]:
    """All that is wrong with the document at ``path``, in the order of its lines."""
    try:
        load_document(path)
    except AgentFault as fault:
        return list(fault.problems)
    return []


def _no_colleague(role: Role, other: str, agents: Mapping[str, Agent]) -> tuple[str, str]:
    """Why an agent cannot hand over to ``other``, and who may be meant; empty where it can."""
    if other not in agents:
        return f'unknown agent "{other}"', near(other, agents)
    if other == role.name:
        return "is the agent itself", ""
    if agents[other].handoff_description is None:
        return f'"{other}" has no handoff_description: say what it is for', ""
    if agents[other].guardrails != role.agent.guardrails:
        return f'"{other}" has other guardrails: write them beside agents', ""
    return "", ""


def _acquainted(roles: list[Role]) -> list[Role]:
    """The same agents, who know what those are for whom they may hand the conversation to."""
    known = {role.name: role.agent.handoff_description or "" for role in roles}
    return [
        replace(role, agent=role.agent.model_copy(update={"colleagues": colleagues}))
        if (colleagues := {name: known[name] for name in role.agent.handoffs})
        else role
        for role in roles
    ]


class _Reading:
    """One reading of a document."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = str(path)
        self._digest = sha256()
        self._files = [path]
        self._source = Source()
        self._texts: dict[str, str] = {}

    def document(self, *, sounds: bool) -> AgentDocument:
        """Raises AgentFault."""
        try:
            content = read(self._path, MOST_BYTES)
            self._source = parse(self._path.suffix, _text(content))
        except Unreadable as fault:
            raise AgentFault([Problem(self._file, fault.line, "", fault.sentence)]) from None
        self._digest.update(content)
        found = self._validated()
        roles = [self._with_files(one, agent) for one, agent in found]
        roles = [
            self._with_knowledge(one, role, must_exist=sounds)
            for (one, _), role in zip(found, roles, strict=True)
        ]
        self._check(zip((one for one, _ in found), roles, strict=True))
        roles = _acquainted(roles)
        if sounds:
            roles = self._sounding([one for one, _ in found], roles)
        return AgentDocument(
            tuple(sorted(roles, key=lambda role: bool(role.number))),
            self._path.absolute(),
            f"sha256:{self._digest.hexdigest()}",
            tuple(dict.fromkeys(self._files)),
        )

    def _problem(self, where: Where, sentence: str, meant: str = "") -> Problem:
        line = self._source.line_of(where)
        return Problem(self._file, line, written(where), sentence, meant)

    def _validated(self) -> list[tuple[Written, Agent]]:
        problems = [
            Problem(self._file, line, written(where), sentence)
            for line, where, sentence in self._source.faults
        ]
        value = self._source.value
        if not isinstance(value, dict):
            problems.append(
                Problem(self._file, 1, "", "must be a table of fields, such as instructions: …")
            )
            raise AgentFault(problems)
        found = []
        try:
            for one in agents_of(value, NUMBER_FIELDS):
                try:
                    found.append((one, Agent.model_validate(one.table)))
                except ValidationError as fault:
                    problems += problems_of(fault, self._file, self._source, one)
            if value.get("version", 1) != 1:
                problems.append(self._problem(("version",), "must be 1"))
        except Misplaced as fault:
            problems.append(self._problem(fault.where, fault.sentence, fault.meant))
        if problems:
            raise AgentFault(_in_order(problems))
        return found

    def _check(self, roles: Iterable[tuple[Written, Role]]) -> None:
        """What can only be said of all of them together."""
        roles = list(roles)
        names = {role.name: role.agent for _, role in roles}
        problems = []
        for one, role in roles:
            for index, other in enumerate(role.agent.handoffs):
                sentence, meant = _no_colleague(role, other, names)
                if sentence:
                    where = one.place(("handoffs", index), self._source)
                    problems.append(self._problem(where, sentence, meant))
            for path, other in _offered(role):
                if other not in names:
                    where, meant = one.place(path, self._source), near(other, names)
                    problems.append(self._problem(where, f'unknown agent "{other}"', meant))
            for path, sentence, meant in templating.check(role.agent):
                problems.append(self._problem(one.place(path, self._source), sentence, meant))
        if problems:
            raise AgentFault(_in_order(problems))

    def _with_files(self, one: Written, agent: Agent) -> Role:
        if agent.guardrails is not None:
            agent = agent.model_copy(update={"guardrails": self._with_words(one, agent.guardrails)})
        if agent.instructions_file is not None:
            text = self._instructions(one, agent.instructions_file)
            agent = agent.model_copy(update={"instructions": text.strip()})
        return Role(one.name, agent, one.number)

    def _with_words(self, one: Written, guardrails: Guardrails) -> Guardrails:
        """With the phrases of the files that its blocklists name."""
        sides: dict[str, tuple[AnyRule, ...]] = {
            "input": guardrails.input,
            "output": guardrails.output,
        }
        for side, rules in sides.items():
            listed = enumerate(rules)
            sides[side] = tuple(self._listed(one, (side, n), rule) for n, rule in listed)
        guardrails = guardrails.model_copy(update=sides)
        try:
            refuse_own_words(guardrails)
        except PydanticCustomError as fault:
            where = one.place(("guardrails",), self._source)
            raise AgentFault([self._problem(where, fault.message())]) from None
        return guardrails

    def _listed(self, one: Written, place: Where, rule: AnyRule) -> AnyRule:
        if not isinstance(rule, BlocklistRule) or rule.file is None:
            return rule
        where: Where = ("guardrails", *place, "file")
        try:
            phrases = phrases_of(self._beside(one, where, rule.file))
        except ValueError as fault:
            problem = self._problem(one.place(where, self._source), f'"{rule.file}": {fault}')
            raise AgentFault([problem]) from None
        return rule.model_copy(update={"words": (*rule.words, *phrases)})

    def _with_knowledge(self, one: Written, role: Role, *, must_exist: bool) -> Role:
        """With the paths of its documents absolute. A process that answers nobody has none."""
        knowledge = role.agent.knowledge
        if knowledge is None:
            return role
        folder = self._path.parent.absolute()
        for index, name in enumerate(knowledge.paths):
            if must_exist and not (folder / name).exists():
                where = one.place(("knowledge", "paths", index), self._source)
                raise AgentFault([self._problem(where, f'"{name}": there is no such file')])
        paths = tuple(str(folder / name) for name in knowledge.paths)
        absolute = knowledge.model_copy(update={"paths": paths})
        return replace(role, agent=role.agent.model_copy(update={"knowledge": absolute}))

    def _instructions(self, one: Written, name: str) -> str:
        return self._beside(one, ("instructions_file",), name)

    def _beside(self, one: Written, where: Where, name: str) -> str:
        """The text of a file, whose name is relative to the document's folder."""
        if name in self._texts:
            return self._texts[name]
        file = self._path.parent / name
        try:
            text = _text(read(file, MOST_BYTES))
            fault = "" if text.strip() else "is empty"
        except Unreadable as unreadable:
            fault = unreadable.sentence
        if fault:
            there = one.place(where, self._source)
            raise AgentFault([self._problem(there, f'"{name}": {fault}')])
        self._digest.update(text.encode())
        self._files.append(file)
        self._texts[name] = text
        return text

    def _sounding(self, written: list[Written], roles: list[Role]) -> list[Role]:
        loader = Loader(self._path.parent, self._digest.update)
        sounding = []
        for one, role in zip(written, roles, strict=True):
            try:
                heard = loader.load(role.agent.sounds)
            except SoundFault as fault:
                where = one.place(fault.where, self._source)
                raise AgentFault([self._problem(where, fault.sentence, fault.meant)]) from None
            sounding.append(Role(role.name, role.agent, role.number, heard))
        self._files += [self._path.parent / name for name in loader.files]
        return sounding


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By line, and each once: what all agents have in common is wrong with each of them."""
    by_line: Callable[[Problem], int] = lambda problem: problem.line  # noqa: E731
    return sorted(dict.fromkeys(problems), key=by_line)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise Unreadable(line, "is not UTF-8 text: save it as UTF-8") from None


def _offered(role: Role) -> Iterator[tuple[Where, str]]:
    """The agents that the menus of its numbers offer, and where that is written."""
    numbers = {} if role.number else role.agent.numbers or {}
    for number, one in numbers.items():
        for key, choice in one.menu.choices.items() if one.menu is not None else ():
            if choice.agent is not None:
                yield ("numbers", number, "menu", "choices", key, "agent"), choice.agent
