"""Which names the texts of an agent may hold in double braces, found out before the port opens.

Every text of the document may, but for those that others fill in by rules of their own.
"""

from collections.abc import Iterator, Mapping

from app.agents.document import Agent
from app.agents.part import Part
from app.agents.source import Where
from app.call.templates import ALWAYS, BadTemplate, Known, parse

_OWN_RULES = frozenset(
    {"tools", "verification", "sms", "send_link", "headers", "pattern", "variables"}
)
_TO_PEOPLE = frozenset({"whisper", "attributes"})
_LATER = frozenset({"form", "summary"})
"""What is known when somebody is asked to take a call, and not when it begins."""


def check(agent: Agent) -> Iterator[tuple[Where, str, str]]:
    """What is wrong with the agent's texts: where, the sentence, and what was probably meant."""
    fields = {one.name for form in agent.forms.values() for one in form.fields}
    first = Known(variables=agent.variables)
    people = Known(roots=ALWAYS | _LATER, variables=agent.variables, form=fields)
    for where, text in _texts(agent, ()):
        try:
            parse(text, first if _TO_PEOPLE.isdisjoint(where) else people)
        except BadTemplate as fault:
            place = ("instructions_file",) if _from_file(agent, where) else where
            yield place, fault.sentence, fault.meant


def _from_file(agent: Agent, where: Where) -> bool:
    return where == ("instructions",) and agent.instructions_file is not None


def _texts(value: object, where: Where) -> Iterator[tuple[Where, str]]:
    """Every text with double braces, and where it stands."""
    if isinstance(value, str):
        if "{{" in value:
            yield where, value
    elif isinstance(value, Part):
        for name, info in type(value).model_fields.items():
            written = info.alias or name
            if written not in _OWN_RULES:
                yield from _texts(getattr(value, name), (*where, written))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, (*where, name))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*where, index))
