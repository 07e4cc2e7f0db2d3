"""What of TwiML the local carrier does not do, in words for whoever holds the phone.

Rule: nothing is left out in silence. A recording that is missing, or a queue nobody answers,
would otherwise be looked for in the server.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

_VERBS = {
    "Enqueue": "nobody waits at a queue",
    "Refer": "the call stays here",
}
_NOUNS = {
    ("Start", "Recording"): "nothing is recorded",
    ("Start", "Stream"): "it streams for <Connect> only",
    ("Stop", "Recording"): "nothing is recorded",
    ("Stop", "Stream"): "it streams for <Connect> only",
    ("Dial", "Queue"): "nobody waits in a queue",
}
_ATTRIBUTES = {
    ("Dial", "record"): "nothing is recorded",
    ("Dial", "referUrl"): "nobody is referred",
    ("Conference", "coach"): "everybody hears everybody",
    ("Conference", "muted"): "everybody hears everybody",
    ("Conference", "record"): "nothing is recorded",
    ("Conference", "statusCallback"): "it is not called",
    ("Conference", "waitUrl"): "who waits hears nothing",
    ("Number", "sendDigits"): "no keys are sent",
    ("Number", "statusCallback"): "it is not called",
    ("Number", "machineDetection"): "people are people",
}


_DONE_WITH = {"Enqueue": "waitUrl"}
"""Attributes with which there is something to do all the same: whoever waits hears it."""


def not_simulated(verb: Element, known: frozenset[str]) -> Iterator[str]:
    """A sentence for each part of ``verb`` that is not done; ``known`` are verbs that are run."""
    done = bool(verb.get(_DONE_WITH.get(verb.tag, "")))
    if verb.tag not in known or (verb.tag in _VERBS and not done):
        yield _sentence(f"<{verb.tag}>", _VERBS.get(verb.tag, "it is passed over"))
    for element in verb.iter():
        if element is not verb and (why := _NOUNS.get((verb.tag, element.tag))) is not None:
            yield _sentence(f"<{verb.tag}><{element.tag}>", why)
        for name, value in element.attrib.items():
            why = _ATTRIBUTES.get((element.tag, name))
            if why is not None and value and not value.startswith("do-not"):
                yield _sentence(f"<{element.tag} {name}>", why)


def _sentence(what: str, why: str) -> str:
    return f"The local carrier does not simulate {what}: {why}."
