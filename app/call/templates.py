"""Texts with places in them, ``{{root.path|filter}}``, for what only a call knows. Pure.

Read and checked once, when the document loads: a name that nobody knows does not load. Filled
once for a call; what is inserted is text, and is never read as a template again. Rule: escaping
is the destination's. TwiML is escaped by whoever writes it, ``url`` escapes for addresses.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import quote

ROOTS = ("variables", "call", "caller", "line", "now", "today", "form", "summary", "args", "sip")
"""What a place may begin with; anything else is short for ``variables``."""
ALWAYS = frozenset({"variables", "call", "caller", "line", "now", "today", "sip"})
"""What is known from a call's first moment."""
FIELDS: Mapping[str, tuple[str, ...]] = {
    "call": ("id", "direction"),
    "caller": ("number", "name", "country"),
    "line": ("number", "label"),
    "summary": ("short",),
}
_MOMENTS = ("now", "today")
_HEADERS = "headers"
_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}", re.ASCII)

Values = Mapping[str, object]
"""By root: a table of values by name or, for the moments, the text itself. ``sip`` holds the
headers by their names in small letters."""


class BadTemplate(ValueError):
    """The template cannot be used; the message is a sentence for whoever wrote it."""

    def __init__(self, sentence: str, meant: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.meant = meant


@dataclass(frozen=True, slots=True)
class Known:
    """The names that may be used in some place of the document."""

    roots: Collection[str] = ALWAYS
    variables: Collection[str] | None = None
    """Those the document declares; None: any."""
    form: Collection[str] | None = None
    """The fields of the forms; None: any."""
    args: Collection[str] | None = None
    """The arguments of the tool; None: any."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is inserted."""

    root: str
    name: str = ""
    """Empty for a moment."""
    filters: tuple[str, ...] = ()

    def value(self, values: Values) -> str | None:
        """What belongs there, filtered; None where a variable is missing. Anything else that is
        not known is empty."""
        found = values.get(self.root)
        if self.name:
            found = found.get(self.name) if isinstance(found, Mapping) else None
        if found is None and self.root == "variables":
            return None
        text = _text(found)
        for one in self.filters:
            text = FILTERS[one](text)
        return text


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was read."""

    parts: tuple[str | Place, ...] = field(default=())

    @property
    def plain(self) -> bool:
        """Nothing is inserted."""
        return all(isinstance(part, str) for part in self.parts)

    def uses(self, root: str) -> bool:
        """Whether something of this root is inserted."""
        return any(isinstance(part, Place) and part.root == root for part in self.parts)

    def missing(self, values: Values) -> tuple[str, ...]:
        """The variables without which it cannot be filled."""
        places = [part for part in self.parts if isinstance(part, Place)]
        return tuple(dict.fromkeys(one.name for one in places if one.value(values) is None))

    def text(self, values: Values) -> str:
        """Filled, as plain text. Raises ``KeyError`` where a variable is missing."""
        return "".join(
            part if isinstance(part, str) else _there(part, values) for part in self.parts
        )

    def url(self, values: Values) -> str:
        """Filled, as an address: what is inserted is percent-encoded, once. Raises ``KeyError``."""
        return "".join(
            part if isinstance(part, str) else _encoded(part, values) for part in self.parts
        )


def parse(text: str, known: Known | None = None) -> Template:
    """Read a text. Raises ``BadTemplate`` for what nobody could fill in."""
    known = known or Known()
    parts: list[str | Place] = []
    end = 0
    for found in _PLACE.finditer(text):
        parts += [text[end : found.start()], _place(found[1], known)]
        end = found.end()
    rest = text[end:]
    if "{{" in rest:
        raise BadTemplate('has "{{" and no "}}" behind it')
    return Template(tuple(part for part in (*parts, rest) if part != ""))


def _place(inside: str, known: Known) -> Place:
    path, *filters = (part.strip() for part in inside.split("|"))
    for one in filters:
        if one not in FILTERS:
            raise BadTemplate(f'unknown filter "{one}"', _closest(one, FILTERS))
    steps = path.split(".")
    if not all(_NAME.fullmatch(step) for step in steps):
        raise BadTemplate(f'"{{{{{inside}}}}}" is no name: write one such as {{{{company}}}}')
    if steps[0] not in ROOTS:
        if len(steps) > 1:
            root = _closest(steps[0], known.roots)
            raise BadTemplate(f'unknown name "{path}"', root and ".".join((root, *steps[1:])))
        steps.insert(0, "variables")
    root, *names = steps
    if root not in known.roots:
        raise BadTemplate(f'"{path}" is not known here')
    return Place(root, _name(root, names, path, known), tuple(filters))


def _name(root: str, names: list[str], path: str, known: Known) -> str:
    """The one name behind the root, where it may be used."""
    if root == "sip" and names[:1] == [_HEADERS]:
        names = [name.lower() for name in names[1:]]
    elif root == "sip":
        raise BadTemplate(f'unknown name "{path}"', "sip.headers.…")
    if root in _MOMENTS:
        if names:
            raise BadTemplate(f'unknown name "{path}"', root)
        return ""
    if len(names) != 1:
        raise BadTemplate(f'"{path}" must be one name behind "{root}"')
    [name] = names
    choices = {"variables": known.variables, "form": known.form, "args": known.args, **FIELDS}
    allowed = choices.get(root)
    if allowed is not None and name not in allowed:
        raise BadTemplate(f'unknown name "{path}"', _closest_path(root, name, allowed, path))
    return name


def _closest_path(root: str, name: str, names: Collection[str], path: str) -> str:
    meant = _closest(name, names)
    return f"{root}.{meant}" if meant and path.startswith(f"{root}.") else meant


def _closest(word: str, words: Collection[str]) -> str:
    return next(iter(get_close_matches(word, list(words), n=1)), "")


def _there(place: Place, values: Values) -> str:
    value = place.value(values)
    if value is None:
        raise KeyError(place.name)
    return value


def _encoded(place: Place, values: Values) -> str:
    once = _there(place, values)
    return once if place.filters[-1:] == ("url",) else quote(once, safe="")


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _last4(text: str) -> str:
    return re.sub(r"\W|_", "", text)[-4:]


def _spoken(text: str) -> str:
    """Sign by sign: a voice reads a number as digits then, and an id as letters."""
    return " ".join(re.sub(r"\W|_", "", text))


FILTERS: Mapping[str, Callable[[str], str]] = {
    "hex": lambda text: text.encode().hex(),
    "digits": _digits,
    "last4": _last4,
    "spoken": _spoken,
    "url": lambda text: quote(text, safe=""),
}
