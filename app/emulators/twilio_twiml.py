"""TwiML as Twilio accepts it: which verbs, nouns and attributes exist, and what is wrong.

The builders of the SDKs check nothing, so a typing error in an attribute reaches a real
call in silence. Rule: what is not in the tables of this file is reported (12200) and the
document still runs, as Twilio does; only what cannot be parsed at all does not run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree import ElementTree

from app.emulators.twilio_words import Violation

_CALLBACK = "statusCallback statusCallbackMethod statusCallbackEvent"
_RECORDING = (
    "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent "
    "track channels trim"
)
_AMD = (
    "machineDetection amdStatusCallback amdStatusCallbackMethod machineDetectionTimeout "
    "machineDetectionSpeechThreshold machineDetectionSpeechEndThreshold "
    "machineDetectionSilenceTimeout"
)

_ATTRIBUTES = {
    "Response": "",
    "Connect": "action method",
    "Stream": f"url name track {_CALLBACK} connectorName audioFormat sampleRate",
    "Parameter": "name value",
    "Say": "voice language loop",
    "Play": "digits loop",
    "Pause": "length",
    "Redirect": "method",
    "Hangup": "",
    "Leave": "",
    "Reject": "reason",
    "Dial": "action method timeout timeLimit callerId answerOnBridge record hangupOnStar ringTone "
    "sequential referUrl referMethod passports trim recordingStatusCallback "
    "recordingStatusCallbackMethod recordingStatusCallbackEvent recordingTrack",
    "Number": f"url method sendDigits byoc {_CALLBACK} {_AMD}",
    "Sip": f"url method username password codecs {_CALLBACK} {_AMD}",
    "Client": f"url method {_CALLBACK}",
    "Identity": "",
    "Queue": "url method reservationSid postWorkActivitySid",
    "Conference": "muted beep startConferenceOnEnter endConferenceOnExit participantLabel coach "
    "waitUrl waitMethod maxParticipants record trim region jitterBufferSize eventCallbackUrl "
    f"recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent "
    f"{_CALLBACK}",
    "Gather": "action method input numDigits finishOnKey timeout speechTimeout maxSpeechTime "
    "actionOnEmptyResult hints language profanityFilter partialResultCallback "
    "partialResultCallbackMethod speechModel enhanced bargeIn debug",
    "Enqueue": "action method maxQueueSize waitUrl waitUrlMethod workflowSid",
    "Task": "priority timeout",
    "Refer": "action method",
    "ReferSip": "",
    "Record": "action method timeout finishOnKey maxLength playBeep trim recordingStatusCallback "
    "recordingStatusCallbackMethod recordingStatusCallbackEvent transcribe transcribeCallback",
    "Start": "action method",
    "Stop": "",
    "Recording": _RECORDING,
}

_CHILDREN = {
    "Response": "Connect Say Play Pause Redirect Hangup Leave Reject Dial Gather Enqueue Refer "
    "Record Start Stop",
    "Connect": "Stream",
    "Start": "Stream Recording",
    "Stop": "Stream",
    "Stream": "Parameter",
    "Dial": "Number Sip Client Queue Conference",
    "Client": "Identity Parameter",
    "Gather": "Say Play Pause",
    "Enqueue": "Task",
    "Refer": "Sip ReferSip",
}

_URL_ATTRIBUTES = frozenset(
    {
        "action",
        "url",
        "waitUrl",
        "referUrl",
        "statusCallback",
        "recordingStatusCallback",
        "amdStatusCallback",
    }
)
_ABSOLUTE_ONLY = frozenset({"statusCallback", "recordingStatusCallback"})
_ANY_MARKUP = frozenset({"Say"})
"""Speech markup below <Say> is not judged."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document, ready to run."""

    verbs: list[ElementTree.Element]
    base_url: str | None
    """What relative URLs are relative to; None for TwiML passed by REST."""
    violations: list[Violation] = field(default_factory=list)


def parse(text: str, base_url: str | None) -> Document | Violation:
    """The document of ``text``, or the Violation that keeps it from running."""
    if not text.strip():
        return Violation(11770, "empty reply instead of TwiML")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return Violation(12100, "a document type has no place in TwiML")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        return Violation(12100, f"TwiML does not parse: {error}")
    if root.tag != "Response":
        return Violation(12100, f"the root of TwiML is Response, not {root.tag}")
    found = list(_against_the_tables(root))
    if base_url is None:
        found += _relative_urls(root)
    return Document(list(root), base_url, found)


def words_of(element: ElementTree.Element) -> str:
    """All text below an element, white space folded."""
    return " ".join("".join(element.itertext()).split())


def is_absolute(url: str) -> bool:
    """True when ``url`` names its scheme and host."""
    parts = urlsplit(url)
    return bool(parts.scheme and parts.netloc)


def _against_the_tables(element: ElementTree.Element) -> Iterator[Violation]:
    tag = element.tag
    known = set(_ATTRIBUTES[tag].split())
    for name, value in element.attrib.items():
        if name not in known:
            yield Violation(12200, f"<{tag}> has no attribute {name!r}")
        elif name in _ABSOLUTE_ONLY and not is_absolute(value):
            yield Violation(11100, f"<{tag} {name}> must be absolute: {value!r}")
    if tag in _ANY_MARKUP:
        return
    allowed = set(_CHILDREN.get(tag, "").split())
    for child in element:
        if child.tag not in allowed:
            yield Violation(12200, f"<{tag}> has no child <{child.tag}>")
        else:
            yield from _against_the_tables(child)


def _relative_urls(root: ElementTree.Element) -> Iterator[Violation]:
    for element in root.iter():
        urls = [
            element.attrib[name]
            for name in _URL_ATTRIBUTES & element.attrib.keys()
            if element.attrib[name] or name != "waitUrl"  # Empty, it stands for silence.
        ]
        if element.tag == "Redirect":
            urls.append(words_of(element))
        for url in urls:
            if not is_absolute(url):
                yield Violation(15004, f"<{element.tag}> by REST with a relative URL: {url!r}")
