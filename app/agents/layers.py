"""One document, several agents: what is written where, and what of it holds for each of them.

    built in < beside ``agents`` < ``defaults`` < ``numbers.*`` < ``agents.*``

Tables merge into tables (RFC 7396): lists replace lists, and null takes away what a layer below
says. A document without ``agents`` is its one agent. Rule: a mistake is told where it was
written, in whatever layer that is.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from app.agents.source import Source, Where
from app.call import built_in

SOLE = "agent"
"""The name of an agent that has none of its own."""
OWN = frozenset({"agents", "defaults", "version"})
"""What is said of the document and of no agent."""
_TOGETHER = frozenset({"numbers", "webhooks", "analysis"})
"""What holds for all agents of a document alike."""
LATER = frozenset(
    {"send_dtmf", "switch_language", "set_speech_rate"}
    | {"take_message", "leave_voicemail", "new_case"}
)
"""Built-in tools of a coming release."""
_SAID_BY_NULL = frozenset({"noise_reduction", "transcription"})
"""Where null itself says something: none."""

Table = dict[str, Any]


class Misplaced(Exception):
    """Something stands where it cannot."""

    def __init__(self, where: Where, sentence: str, meant: str = "") -> None:
        super().__init__(sentence)
        self.where = where
        self.sentence = sentence
        self.meant = meant


@dataclass(frozen=True, slots=True)
class Written:
    """One agent, as all layers together have it."""

    name: str
    table: Table
    layers: tuple[Where, ...]
    """Where its fields are written, the strongest first."""
    moved: Mapping[Where, Where] = field(default_factory=dict)
    """What stands somewhere else in the document than in the table."""
    number: str = ""
    """The one number that it is so on; empty: everywhere."""

    def place(self, path: Where, source: Source) -> Where:
        """Where in the document the field at ``path`` of the table was written, or would be."""
        for length in range(len(path), 0, -1):
            if (there := self.moved.get(path[:length])) is not None:
                return (*there, *path[length:])
            for layer in self.layers:
                if _is_there(source.value, (*layer, *path[:length])):
                    return (*layer, *path)
        return (*self.layers[0], *path)


def agents_of(document: Table, number_fields: Collection[str]) -> Iterator[Written]:
    """The agents of a document, each everywhere and then on the numbers where it differs.

    ``number_fields``: what is said of a number itself, and not of its agent there. Raises
    ``Misplaced``.
    """
    shared = {name: value for name, value in document.items() if name not in OWN}
    numbers = _table(shared.pop("numbers", None), ("numbers",))
    named = _table(document.get("agents"), ("agents",))
    defaults = _table(document.get("defaults"), ("defaults",)) or {}
    if named is not None and not named:
        raise Misplaced(("agents",), "must name at least one agent")
    if named is None and "defaults" in document:
        raise Misplaced(("defaults",), "have nothing to be merged under: add agents")
    whose = _whose(numbers or {}, list(named or {SOLE: {}}))
    for name, given in (named or {SOLE: {}}).items():
        own = _table(given, ("agents", name)) or {}
        for misplaced in sorted({*OWN, *_TOGETHER} & own.keys()):
            raise Misplaced(("agents", name, misplaced), "belongs beside agents")
        here = {n: one for n, one in (numbers or {}).items() if whose[n] == name}
        for number, changes in (("", {}), *_changes(here, number_fields)):
            yield _written(
                name,
                (shared, defaults, changes, own),
                number=number,
                several=named is not None,
                numbers=None if numbers is None else _without(here, number_fields),
            )


def _written(
    name: str, layers: tuple[Table, ...], *, number: str, several: bool, numbers: Table | None
) -> Written:
    shared, *above = layers
    table = dict(shared)
    for layer in above:
        table = _merged(table, layer)
    places: list[Where] = [()]
    if several:
        places = [("agents", name), ("defaults",), ()]
    if number:
        places.insert(1 if several else 0, ("numbers", number))
    moved: dict[Where, Where] = {}
    if numbers is not None:
        table["numbers"] = numbers
        moved[("numbers",)] = ("numbers",)
    if "colleagues" in table:
        raise Misplaced(places[0], "unknown field: colleagues")
    if isinstance(table.get("tools"), list):
        listed = _place_of_list(layers, places, name=name, number=number, several=several)
        defined = shared.get("tools")
        defined = defined if isinstance(defined, dict) else {}
        table["tools"], table["built_ins"] = _chosen(table["tools"], defined, listed, moved)
    elif "built_ins" in table:
        raise Misplaced(places[0], "unknown field: built_ins")
    return Written(name, table, tuple(places), moved, number)


def _place_of_list(
    layers: tuple[Table, ...], places: list[Where], *, name: str, number: str, several: bool
) -> Where:
    """Where the list of tools was written."""
    written: dict[Where, Table] = {
        (): layers[0],
        ("defaults",): layers[1],
        ("agents", name): layers[3],
    }
    if number:
        written[("numbers", number)] = layers[2]
    found = next(p for p in places if isinstance(written.get(p, {}).get("tools"), list))
    return (*found, "tools")


def _chosen(
    listed: list[Any], defined: Table, where: Where, moved: dict[Where, Where]
) -> tuple[Table, Table]:
    """The operator's tools of a list, and the built-in ones with their options."""
    tools: Table = {}
    built_ins: Table = {}
    for index, entry in enumerate(listed):
        at = (*where, index)
        name, options = _entry(entry, at)
        if name in built_in.NAMES:
            built_ins[name] = options
            moved[("built_ins", name)] = (*at, name) if isinstance(entry, dict) else at
        elif name in defined:
            tools[name] = _merged(_table(defined[name], ("tools", name)) or {}, options)
            for option in options:
                moved[("tools", name, option)] = (*at, name, option)
            moved[("tools", name)] = ("tools", name)
        elif "type" in options:
            tools[name], moved[("tools", name)] = options, (*at, name)
        elif name in LATER:
            raise Misplaced(at, f'"{name}" is not available yet')
        else:
            known = [*defined, *sorted(built_in.NAMES)]
            raise Misplaced(at, f'unknown tool "{name}"', near(name, known))
    return tools, built_ins


def _entry(entry: object, at: Where) -> tuple[str, Table]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict) and len(entry) == 1:
        [(name, options)] = entry.items()
        return name, _table(options, (*at, name)) or {}
    raise Misplaced(at, "must be the name of a tool, or one with options")


def _whose(numbers: Table, names: list[str]) -> dict[str, str]:
    """The agent of each number."""
    whose = {}
    for number, one in numbers.items():
        given = one.get("agent") if isinstance(one, dict) else None
        if given is None and len(names) > 1 and isinstance(one, dict):
            raise Misplaced(("numbers", number), "needs agent: who answers it")
        if given is not None and given not in names:
            meant = near(str(given), names)
            raise Misplaced(("numbers", number, "agent"), f'unknown agent "{given}"', meant)
        whose[number] = names[0] if given is None else given
    return whose


def _changes(numbers: Table, number_fields: Collection[str]) -> Iterator[tuple[str, Table]]:
    """What is different about the agent on a number, for each number where something is."""
    for number, one in numbers.items():
        changes = {} if not isinstance(one, dict) else _besides(one, number_fields)
        if changes:
            yield number, changes


def _besides(number: Table, number_fields: Collection[str]) -> Table:
    return {name: value for name, value in number.items() if name not in number_fields}


def _without(numbers: Table, number_fields: Collection[str]) -> Table:
    """The numbers, as far as they speak of themselves."""
    return {
        number: {name: one[name] for name in one if name in number_fields}
        if isinstance(one, dict)
        else one
        for number, one in numbers.items()
    }


def _merged(below: Table, patch: Table) -> Table:
    """RFC 7396, but for the few fields in which null says something."""
    table = dict(below)
    for name, value in patch.items():
        if value is None and name not in _SAID_BY_NULL:
            table.pop(name, None)
        elif isinstance(value, dict):
            under = table.get(name)
            table[name] = _merged(under if isinstance(under, dict) else {}, value)
        else:
            table[name] = value
    return table


def _table(value: object, where: Where) -> Table | None:
    if value is None or isinstance(value, dict):
        return value
    raise Misplaced(where, "must be a table of fields")


def near(word: str, words: Collection[str]) -> str:
    """The one of some words that was probably meant; empty where none is close."""
    return next(iter(get_close_matches(word, list(words), n=1)), "")


def _is_there(value: object, path: Where) -> bool:
    for step in path:
        below = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(below, dict) or step not in below:
            return False
        value = below[step]
    return True
