"""Text of an agent document to plain values, with the line of each, in three notations.

YAML is read by the core rules of YAML 1.2 and no others: in a phone document the conveniences
of 1.1 do harm, which made ``no`` false, ``18:30`` a number and ``on`` true. Keys are always
text, and nothing in a document can name code.
"""

import json
import re
import tomllib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Where = tuple[str | int, ...]
"""The way to a value: field names, and positions in lists."""

MOST_VALUES = 10_000
"""Aliases can make a small text endless."""

_KINDS = frozenset(("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge"))
_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]{1,30}"), int),
    (re.compile(r"0o[0-7]{1,30}"), lambda text: int(text, 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,30}"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (
        re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.replace(".", "")),
    ),
)
_HINTS = (
    ("'\\t'", "tabs cannot indent YAML: use spaces"),
    ("mapping values are not allowed", 'a text that contains ": " needs quotes'),
    ("another document", "only one document fits into a file: remove the second ---"),
)


class Unreadable(Exception):
    """The text is not what its notation allows."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


@dataclass(slots=True)
class Source:
    """What a document says, and where."""

    value: object = None
    lines: dict[Where, int] = field(default_factory=dict)
    faults: list[tuple[int, Where, str]] = field(default_factory=list)
    """What is wrong whatever the values mean, such as a field written twice."""
    visited: int = 0

    def line_of(self, path: Where) -> int:
        """The line of the value at ``path`` or, where it has none, of what it should be in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(path: Path, most_bytes: int) -> bytes:
    """What is in a file. Raises Unreadable, with a sentence about the file."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except FileNotFoundError:
        raise Unreadable(1, "there is no such file") from None
    except IsADirectoryError:
        raise Unreadable(1, "is a folder: name the file in it") from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise Unreadable(1, f"cannot be opened: {reason}") from None
    if len(content) > most_bytes:
        mebibytes = most_bytes >> 20
        raise Unreadable(1, f"is larger than {mebibytes} MiB: is it the right file?")
    return content


def parse(suffix: str, text: str) -> Source:
    """Read ``text`` in the notation of a file name's ``suffix``.

    Raises Unreadable; never anything else, whatever the text is.
    """
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise Unreadable(1, "end the file's name in .yaml, .json or .toml")
    if not text.strip():
        raise Unreadable(1, "the file is empty")
    try:
        return reader(text)
    except RecursionError:
        raise Unreadable(1, "lists or fields are nested too deeply") from None


def _yaml(text: str) -> Source:
    try:
        with warnings.catch_warnings():
            # An anchor may be given again by the standard; the reader only grumbles about it.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = YAML(typ="rt", pure=True).compose(text)
    except ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        raise Unreadable(line, "contains a control character: remove it") from None
    except MarkedYAMLError as fault:
        raise Unreadable(_line(fault), _yaml_sentence(fault)) from None
    except (YAMLError, ValueError) as fault:
        raise Unreadable(1, f"cannot be read as YAML: {fault}") from None
    if root is None:
        raise Unreadable(1, "the file is empty")
    source = Source()
    source.value = _value(root, (), source)
    return source


def _line(fault: MarkedYAMLError) -> int:
    mark = fault.problem_mark or fault.context_mark
    return 1 if mark is None else int(mark.line) + 1


def _yaml_sentence(fault: MarkedYAMLError) -> str:
    problem = " ".join(part for part in (fault.problem, fault.context) if part)
    for sign, sentence in _HINTS:
        if sign in problem:
            return sentence
    return f"cannot be read as YAML: {problem}"


def _value(node: Node, path: Where, source: Source) -> object:
    """The plain value of ``node``; notes lines and faults in ``source``."""
    source.visited += 1
    if source.visited > MOST_VALUES:
        raise Unreadable(1, f"has more than {MOST_VALUES} values, or an alias of itself")
    _, _, kind = str(node.tag or "str").rpartition("tag:yaml.org,2002:")
    if kind not in _KINDS:
        sentence = f'the tag "{kind}" is not part of the language: remove it'
        source.faults.append((node.start_mark.line + 1, path, sentence))
    if isinstance(node, MappingNode):
        return _table(node, path, source)
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            source.lines[(*path, index)] = item.start_mark.line + 1
        return [_value(item, (*path, index), source) for index, item in enumerate(node.value)]
    return _scalar(node)


def _table(node: MappingNode, path: Where, source: Source) -> dict[str, object]:
    table: dict[str, object] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            source.faults.append((line, path, "a field's name must be a text"))
            continue
        inner = (*path, str(key.value))
        if inner[-1] in table:
            first = source.lines[inner]
            source.faults.append((line, inner, f"is written twice, first in line {first}"))
            continue
        source.lines[inner] = line
        table[str(key.value)] = _value(item, inner, source)
    return table


def _scalar(node: Node) -> object:
    text = str(node.value)
    if isinstance(node, ScalarNode) and not node.style:
        for pattern, convert in _PLAIN:
            if pattern.fullmatch(text):
                return convert(text)
    return text


def _json(text: str) -> Source:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as fault:
        raise Unreadable(fault.lineno, f"cannot be read as JSON: {fault.msg}") from None
    except ValueError as fault:
        raise Unreadable(1, f"cannot be read as JSON: {fault}") from None
    # The values are JSON's; only the lines, and what is written twice, come from reading the
    # text as the YAML it also is, where a tab between values must be a space.
    try:
        source = _yaml(text.replace("\t", " "))
    except Unreadable:
        source = Source()
    source.value = value
    return source


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a value")


def _toml(text: str) -> Source:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        found = re.fullmatch(r"(.*) \(at (?:line ([0-9]+), .*|end of document)\)", str(fault))
        line = int(found[2]) if found and found[2] else text.count("\n") + 1
        raise Unreadable(line, f"cannot be read as TOML: {found[1] if found else fault}") from None
    return Source(value, _toml_lines(text))


def _toml_lines(text: str) -> dict[Where, int]:
    """The line of each table and key, as far as they can be told without a parser of our own."""
    lines: dict[Where, int] = {}
    table: Where = ()
    for number, line in enumerate(text.splitlines(), 1):
        heading = re.match(r"\s*\[([^\[\]=]+)\]", line)
        key = re.match(r"\s*([\w.\-\"' ]+?)\s*=", line)
        if heading:
            table = _dotted(heading[1])
            lines.setdefault(table, number)
        elif key:
            lines.setdefault((*table, *_dotted(key[1])), number)
    return lines


def _dotted(name: str) -> Where:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


_READERS: Mapping[str, Callable[[str], Source]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".toml": _toml,
}
