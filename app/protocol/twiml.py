"""The TwiML documents we answer with or push by REST.

Every document is a pure function of its arguments, built with twilio-python's builders so
that no text of a caller, a model or an operator can become markup. The builders write any
keyword as an attribute and pass on characters that XML forbids, so the one rule is that
documents are made here and nowhere else, and each is compared with its exact text in the
tests. URLs must be absolute: in a document sent by REST a relative one is error 15004.

https://www.twilio.com/docs/voice/twiml
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from twilio.twiml import voice_response

from app.protocol.sip_headers import MOST_HEADER_CHARS

REST_LIMIT_CHARS = 4000
"""Longest document that fits into the ``Twiml`` field of a REST request; a webhook's reply
may have 64 kB."""

FAREWELL = "Thank you for calling. Please call again later if you need us. Goodbye."
"""Behind the person a failing call is left to. Twilio says it when nobody answered, and also
when the person hung up first; without an ``action``, which we may not be there to answer, the
two look the same."""

_builders: Any = voice_response
"""The library is not typed; what it makes is checked letter by letter in the tests."""

Noun = Literal["number", "sip", "client"]

_SPOKEN_KEYS = {"*": "star", "#": "pound"}
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_VISUAL_SEPARATORS = str.maketrans("", "", "-.() ")
_SIP = re.compile(r"sips?:[^\s@]+@[^\s@]+")
_MAX_SIP_CHARS = 255
_MAX_QUEUE_CHARS = 64
_CLIENT = re.compile(r"client:(?P<name>[^\s]{1,121})")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Message:
    """Where Twilio tells of what a caller has said after the tone."""

    status_url: str
    """That it can be fetched; also of a caller who hung up while they spoke."""
    action_url: str
    """That they are silent, pressed the pound key, or spoke for long enough."""


LONGEST_MESSAGE_S = 120
MESSAGE_PAUSE_S = 5
"""Of silence, which ends it."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a caller gets when we cannot go on: a sentence, then a person or the end."""

    say: str
    """Spoken by Twilio's own voice; empty for nothing."""
    dial: str | None = None
    """+E.164, ``tel:``, ``sip:`` or ``client:``; None to hang up."""
    ring_timeout_s: int = 20
    """How long the person is rung, 5 to 600."""
    caller_id: str | None = None
    """None: the person sees the caller's own number."""
    message: Message | None = None
    """Nobody is rung, and the caller may leave a message instead."""


def destination_noun(destination: str) -> tuple[Noun, str]:
    """Which noun inside ``<Dial>`` reaches ``destination``, and with which text.

    Takes +E.164, ``tel:+E.164`` (with the visual separators RFC 3966 allows),
    ``sip:user@host`` with parameters and headers, and ``client:name``. Raises ValueError for
    everything else: a destination comes from the operator, and a guess would ring a stranger.
    """
    number = destination.removeprefix("tel:").translate(_VISUAL_SEPARATORS)
    if _E164.fullmatch(number) and destination.startswith(("+", "tel:")):
        return "number", number
    if is_sip(destination):
        return "sip", destination
    if client := _CLIENT.fullmatch(destination):
        return "client", client["name"]
    raise ValueError("a destination is +E.164, tel:+E.164, sip:user@host or client:name")


def is_sip(destination: str) -> bool:
    """Whether this is a SIP address that Twilio takes, with what is behind its ``?``."""
    address, _, headers = destination.partition("?")
    fits = len(address) <= _MAX_SIP_CHARS and len(headers) <= MOST_HEADER_CHARS
    return fits and _SIP.fullmatch(destination) is not None


def connect_stream(
    *,
    stream_url: str,
    token: str,
    action_url: str,
    status_url: str,
    fallback: Fallback,
    say: str | None = None,
    digits: str = "",
) -> str:
    """Bring the caller to our media socket, and tell Twilio what to do should that fail.

    ``token`` arrives in the stream's ``start``. Twilio refuses a query in ``stream_url``.
    When the stream ends Twilio asks ``action_url``; the verbs behind are for the day when
    nothing asks any more. ``say`` is spoken before the stream begins,
    and ``digits`` are pressed: 0-9 * # A-D, ``w`` for half a second and ``W`` for one.
    """
    if not stream_url.startswith(("wss://", "ws://")) or "?" in stream_url:
        raise ValueError("a stream URL is absolute, wss and without a query")
    response = _builders.VoiceResponse()
    _say(response, say)
    if digits:
        response.play(digits=digits)
    connect = _builders.Connect(action=_absolute(action_url), method="POST")
    stream = connect.stream(
        url=stream_url, status_callback=_absolute(status_url), status_callback_method="POST"
    )
    stream.parameter(name="token", value=_text(token))
    response.append(connect)
    _fall_back(response, fallback)
    return str(response)


def failure(fallback: Fallback) -> str:
    """Say what there is to say, then put the caller through to a person or hang up.

    A person who does not answer is not the end in silence: ``FAREWELL`` is.
    """
    response = _builders.VoiceResponse()
    _fall_back(response, fallback)
    return str(response)


def dial(
    *,
    to: str,
    action_url: str,
    timeout_s: int,
    caller_id: str | None = None,
    say: str | None = None,
) -> str:
    """Put the caller through to ``to``; Twilio reports how it went to ``action_url``.

    The caller hears ringing until somebody answers (``answerOnBridge``), for ``timeout_s``
    (5 to 600) at most. Without ``caller_id`` the person sees the caller's own number.
    """
    response = _builders.VoiceResponse()
    _say(response, say)
    verb = _builders.Dial(
        action=_absolute(action_url),
        method="POST",
        answer_on_bridge=True,
        timeout=timeout_s,
        caller_id=caller_id,
    )
    _add_noun(verb, to)
    response.append(verb)
    return str(response)


def enqueue(
    *,
    queue: str = "",
    workflow: str = "",
    task: str = "",
    action_url: str,
    wait_url: str | None = None,
    say: str | None = None,
) -> str:
    """Let the caller wait for whoever takes the next one; Twilio reports how it went.

    Either ``queue``, a name, or ``workflow``, the SID of TaskRouter's, with ``task``, the JSON of
    its attributes. ``wait_url`` is asked for what the caller hears meanwhile; None: Twilio's music.
    Not ``<Dial><Queue>``, which would fetch somebody who waits there already.
    """
    response = _builders.VoiceResponse()
    _say(response, say)
    where = {"workflow_sid": workflow} if workflow else {}
    music = {"wait_url": _absolute(wait_url)} if wait_url else {}
    verb = _builders.Enqueue(
        queue or None, action=_absolute(action_url), method="POST", **where, **music
    )
    if workflow:
        verb.task(_text(task))
    response.append(verb)
    return str(response)


def refer(*, to: str, action_url: str, say: str | None = None) -> str:
    """Hand a caller who came by SIP back to where they came from, to be sent on to ``to``.

    On any other leg Twilio fails with 13801.
    """
    response = _builders.VoiceResponse()
    _say(response, say)
    verb = _builders.Refer(action=_absolute(action_url), method="POST")
    verb.sip(_sip_address(to))
    response.append(verb)
    return str(response)


def whisper(*, say: str, key: str, action_url: str) -> str:
    """Tell a person what a call is about, twice; ``key`` takes it (``join``).

    Any key is told to ``action_url`` as ``Digits``. A mailbox presses none and is hung up on.
    """
    response = _builders.VoiceResponse()
    for _ in range(2):
        keys = _builders.Gather(
            input="dtmf",
            num_digits=1,
            finish_on_key="",  # Twilio's own, #, may be the key.
            timeout=8,
            action=_absolute(action_url),
            method="POST",
        )
        keys.say(_text(say))
        keys.say(f"Press {_SPOKEN_KEYS.get(key, key)} to take the call.")
        response.append(keys)
    response.hangup()
    return str(response)


def menu(offers: Iterable[tuple[str, str]], *, timeout_s: int, action_url: str) -> str:
    """Offer choices, each a sentence and its BCP 47 language; one key is told to ``action_url``
    as ``Digits``, and an empty one where none was pressed in time."""
    response = _builders.VoiceResponse()
    keys = _builders.Gather(
        input="dtmf",
        num_digits=1,
        finish_on_key="",  # Else # would be no key but the end of none.
        timeout=timeout_s,
        action=_absolute(action_url),
        method="POST",
        action_on_empty_result=True,
    )
    for sentence, language in offers:
        keys.say(_text(sentence), language=language)
    response.append(keys)
    return str(response)


def join(room: str, *, action_url: str | None = None) -> str:
    """Wait in a room, in silence, for whoever else is sent there; who leaves ends it for both.

    Twilio reports how it went to ``action_url``, if there is one.
    """
    response = _builders.VoiceResponse()
    action = {} if action_url is None else {"action": _absolute(action_url), "method": "POST"}
    verb = _builders.Dial(**action)
    verb.conference(
        room, beep="false", start_conference_on_enter=True, end_conference_on_exit=True, wait_url=""
    )
    response.append(verb)
    return str(response)


def hangup() -> str:
    """End the call."""
    response = _builders.VoiceResponse()
    response.hangup()
    return str(response)


def say_and_hangup(text: str) -> str:
    """Say a sentence, then end the call."""
    return failure(Fallback(say=text))


def elsewhere(url: str, *, pause_s: int) -> str:
    """Ask ``url`` instead, after a pause in which an unanswered call goes on ringing."""
    response = _builders.VoiceResponse()
    if pause_s:
        response.pause(length=pause_s)
    response.redirect(_absolute(url), method="POST")
    return str(response)


def lobby(queue: str, *, wait_url: str, action_url: str, most: int, say: str | None = None) -> str:
    """Let the caller wait in a queue (1 to 64 characters) with at most so many others.

    Twilio asks ``wait_url`` what they hear, again and again, and ``action_url`` what comes
    afterwards, which also hears that there were too many, or that they hung up.
    """
    if not 1 <= len(queue) <= _MAX_QUEUE_CHARS:
        raise ValueError("the name of a queue has 1 to 64 characters")
    response = _builders.VoiceResponse()
    _say(response, say)
    response.enqueue(
        queue,
        wait_url=_absolute(wait_url),
        wait_url_method="POST",
        action=_absolute(action_url),
        method="POST",
        max_queue_size=most,
    )
    return str(response)


def waiting(say: str | None, pause_s: int) -> str:
    """What a caller in a queue hears, until they are asked for again."""
    response = _builders.VoiceResponse()
    _say(response, say)
    response.pause(length=pause_s)
    return str(response)


def leave() -> str:
    """Out of the queue: Twilio goes on with its ``action``."""
    response = _builders.VoiceResponse()
    response.leave()
    return str(response)


def reject(reason: Literal["rejected", "busy"]) -> str:
    """Decline a call that has not been answered; it costs nothing and connects nothing."""
    response = _builders.VoiceResponse()
    response.reject(reason=reason)
    return str(response)


def empty() -> str:
    """Answer a callback that asks for nothing."""
    return str(_builders.VoiceResponse())


def fits_rest(twiml: str) -> bool:
    """Whether a document is short enough for the ``Twiml`` field of a REST request."""
    return len(twiml) <= REST_LIMIT_CHARS


def _fall_back(response: Any, fallback: Fallback) -> None:
    _say(response, fallback.say)
    if fallback.dial is not None:
        verb = _builders.Dial(
            answer_on_bridge=True, timeout=fallback.ring_timeout_s, caller_id=fallback.caller_id
        )
        _add_noun(verb, fallback.dial)
        response.append(verb)
        _say(response, FAREWELL)
    elif fallback.message is not None:
        _take_message(response, fallback.message)
    response.hangup()


def _take_message(response: Any, message: Message) -> None:
    # Without an action Twilio asks for the whole document again, and the tone never ends.
    response.record(
        action=_absolute(message.action_url),
        method="POST",
        max_length=LONGEST_MESSAGE_S,
        timeout=MESSAGE_PAUSE_S,
        finish_on_key="#",
        play_beep=True,
        transcribe=False,
        recording_status_callback=_absolute(message.status_url),
        recording_status_callback_method="POST",
    )


def _say(response: Any, text: str | None) -> None:
    if text:
        response.say(_text(text))


def _add_noun(verb: Any, destination: str) -> None:
    noun, text = destination_noun(destination)
    match noun:
        case "number":
            verb.number(text)
        case "sip":
            verb.sip(text)
        case "client":
            verb.client(text)


def _sip_address(destination: str) -> str:
    if not is_sip(destination):
        raise ValueError("only a SIP address can be referred to")
    return destination


def _absolute(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("a callback URL is absolute")
    return url


def _text(text: str) -> str:
    """``text`` without the characters that make a whole XML document unreadable."""
    return _NOT_XML.sub("", text)
