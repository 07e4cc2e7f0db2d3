"""Reading a file of simulated calls: what is wrong in it is told by line, path and fix."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.agents.layers import Written, near
from app.agents.load import MOST_BYTES, AgentDocument, load_document
from app.agents.problems import AgentFault, Problem, problems_of, written
from app.agents.schema import fields_at
from app.agents.source import Source, Unreadable, Where, parse, read
from app.agents.tooling import McpTool
from app.call import built_in
from app.simulation.cases import Case, Simulations

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that can be played."""

    path: Path
    simulations: Simulations
    document: AgentDocument


def load(path: Path) -> Loaded:
    """The file, and the agent document it is about. Raises AgentFault with all problems."""
    return _Reading(path).loaded()


class _Reading:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._source = Source()
        self._problems: list[Problem] = []

    def loaded(self) -> Loaded:
        try:
            text = read(self._path, MOST_BYTES).decode("utf-8-sig")
            self._source = parse(self._path.suffix, text)
        except Unreadable as fault:
            raise AgentFault([Problem(str(self._path), fault.line, "", fault.sentence)]) from None
        except UnicodeDecodeError:
            sentence = "is not UTF-8 text: save it as UTF-8"
            raise AgentFault([Problem(str(self._path), 1, "", sentence)]) from None
        for line, where, sentence in self._source.faults:
            self._problems.append(Problem(str(self._path), line, written(where), sentence))
        table = self._filled()
        self._refuse()
        try:
            simulations = Simulations.model_validate(table)
        except ValidationError as fault:
            one = Written("", table, ((),))
            known = problems_of(fault, str(self._path), self._source, one, known=_fields)
            raise AgentFault(known) from None
        document = self._document(simulations)
        self._check(simulations, document)
        self._refuse()
        return Loaded(self._path, simulations, document)

    def _refuse(self) -> None:
        if self._problems:
            raise AgentFault(sorted(dict.fromkeys(self._problems), key=lambda one: one.line))

    def _wrong(self, where: Where, sentence: str, meant: str = "") -> None:
        line = self._source.line_of(where)
        self._problems.append(Problem(str(self._path), line, written(where), sentence, meant))

    def _filled(self) -> dict[str, Any]:
        """The file with its variables in their places."""
        table = self._source.value
        if not isinstance(table, dict):
            self._wrong((), "must be a table of fields: agent and cases")
            return {}
        cases = table.get("cases")
        if not isinstance(cases, list):
            return table
        own = _texts(table.get("variables"))
        filled = []
        for index, case in enumerate(cases):
            more = _texts(case.get("variables")) if isinstance(case, dict) else {}
            filled.append(self._put(case, {**own, **more}, ("cases", index)))
        return {**table, "cases": filled}

    def _put(self, value: Any, variables: Mapping[str, str], where: Where) -> Any:
        if isinstance(value, dict):
            return {k: self._put(one, variables, (*where, k)) for k, one in value.items()}
        if isinstance(value, list):
            return [self._put(one, variables, (*where, n)) for n, one in enumerate(value)]
        if not isinstance(value, str):
            return value
        for name in set(_PLACE.findall(value)) - variables.keys():
            self._wrong(where, f'unknown variable "{name}"', near(name, list(variables)))
        return _PLACE.sub(lambda place: variables.get(place[1], ""), value)

    def _document(self, simulations: Simulations) -> AgentDocument:
        file = self._path.parent / simulations.agent
        if not file.is_file():
            self._wrong(("agent",), f'"{simulations.agent}": there is no such file')
            self._refuse()
        return load_document(file)

    def _check(self, simulations: Simulations, document: AgentDocument) -> None:
        names: dict[str, int] = {}
        for index, case in enumerate(simulations.cases):
            where: Where = ("cases", index)
            if case.name in names:
                self._wrong((*where, "name"), f'"{case.name}" is the name of another case')
            names[case.name] = index
            if case.script and not simulations.scripted:
                self._wrong((*where, "script"), f"has no meaning with model: {simulations.model}")
            self._check_mocks(case, where, document)

    def _check_mocks(self, case: Case, where: Where, document: AgentDocument) -> None:
        agents = document.agents.values()
        offered = {name for agent in agents for name in agent.tools}
        # What servers of tools offer is known when they were asked.
        open_ended = any(isinstance(o, McpTool) for a in agents for o in a.tools.values())
        for name in case.tools:
            at = (*where, "tools", name)
            if name in built_in.NAMES:
                self._wrong(at, "is built in: it is carried out, on the simulated line")
            elif name not in offered and not open_ended:
                self._wrong(at, "no agent of the document has this tool", near(name, offered))


def _texts(table: object) -> dict[str, str]:
    """Variables; what else is wrong with them is told by the model."""
    if not isinstance(table, dict):
        return {}
    return {name: one for name, one in table.items() if isinstance(one, str)}


@cache
def _schema() -> dict[str, Any]:
    return Simulations.model_json_schema()


def _fields(where: Where) -> list[str]:
    return fields_at(where, _schema())
