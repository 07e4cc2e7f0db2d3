"""The TwiML of one line: every document this server answers Twilio with.

Origins and paths meet here. URLs are built from the configured public origin, never from a
request, and destinations come from the operator's document, by name.

Where several processes answer, a call's URLs name the one that wrote them. That is a hint to the
proxy in front and to nobody else: any process answers any of them, and what a stream may open
its token says.
"""

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from hashlib import sha256

from app.call.filling import filled, varies
from app.call.line_menu import LineMenu
from app.call.reception import LEAVE, NOBODY, Lobby, Opening, Refusal
from app.call.templates import Template, Values
from app.call.ways import QUEUE, WEBHOOK, WORKFLOW, Attribute, Route, Way
from app.protocol import twiml
from app.protocol.twiml import Fallback, Message

MESSAGE_PATH = "/twilio/message-recorded"
MESSAGE_LEFT_PATH = "/twilio/message-left"
MEDIA_PATH = "/media-stream"
INCOMING_PATH = "/incoming-call"
TURNED_AWAY_PATH = "/twilio/turned-away"
MENU_PATH = "/twilio/menu"
QUEUE_PATH = "/twilio/queue"
QUEUE_LEFT_PATH = "/twilio/queue-left"
SOMEBODY_WAITS = "A caller is waiting for you."
NOT_WANTED = "The caller has left. Goodbye."
"""To a person who takes a call that is no longer there."""
PROXY_LEARNS_S = 1
"""A health check a second is usual; ``deploy/haproxy.cfg`` has two."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A transfer that Twilio was asked for."""

    target: str
    token: str
    """Names the URL of its result; unguessable, drawn per transfer. Empty where another process
    drew it."""
    digest: str
    """What the token is known by."""
    room: str = ""
    """Where a person waits who was asked first; empty: the target is rung."""
    way: Way | None = None
    """Where the target is for this call; None: where the document says."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A transfer target as the carrier needs it."""

    to: str
    ring_timeout_s: int = 20
    caller_id: str | None = None
    """None: the person sees the caller's number."""
    say_on_failure: str | None = None
    then: str = "resume"
    """When nobody answers: resume, take_message, end_call, or another target."""
    whisper: Template | None = None
    """What a person who is asked first is told; None: they are not asked, but rung."""
    accept_key: str = "1"
    """With which they take the call."""
    reject_machines: bool = True
    mode: str = "cold"
    """cold, warm, queue, refer or hangup."""
    headers: Mapping[str, Template] = field(default_factory=dict)
    """What is told besides, of a SIP address or with hangup."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    """Of a task."""
    wait_url: str | None = None
    """Where Twilio asks what is heard in a queue; None: its own music."""
    told: tuple[str, ...] = ()
    """With hangup, the programs of the operator's that are told where the caller is to go."""
    target_header: str = "Transfer-Target"
    """Under which name whoever takes the call back is told where it is to go."""
    opening: Opening | None = None
    """When somebody is there; None: always."""

    @property
    def route(self) -> Route:
        """As far as it is filled in for each call."""
        return Route(self.to, self.headers, self.attributes, self.mode)

    @property
    def dialled(self) -> bool:
        """Whether a document alone brings callers there."""
        return self.mode in {"cold", "warm"} and not self.to.startswith(WEBHOOK)


def rest_address(to: str) -> str:
    """A number, a SIP address or a client as the REST API takes it. Raises ``ValueError``."""
    noun, text = twiml.destination_noun(to)
    return f"client:{text}" if noun == "client" else text


def message(origin: str) -> Message:
    """Who is told of what callers leave after the tone."""
    return Message(f"{origin}{MESSAGE_PATH}", f"{origin}{MESSAGE_LEFT_PATH}")


class Scripts:
    """Documents for a line at ``origin``, an https origin without a slash at its end."""

    def __init__(
        self,
        origin: str,
        fallback: Fallback,
        destinations: Mapping[str, Destination],
        *,
        process: str = "",
    ) -> None:
        """``process`` is the name of this one, where there are others; letters and digits."""
        self._origin = origin
        self._query = f"?at={process}" if process else ""
        self._at = f"at={process}&" if process else ""
        self._fallback = fallback
        self.destinations = destinations
        self._varies = varies((fallback, destinations))
        self._values: Values = {}
        # In the path, because Twilio refuses a query.
        where = f"{MEDIA_PATH}/{process}" if process else MEDIA_PATH
        self.media_url = f"ws{origin.removeprefix('http')}{where}"

    @property
    def dialled(self) -> Collection[str]:
        """The targets to which a document alone brings callers."""
        return [name for name, one in self.destinations.items() if one.dialled]

    @property
    def values(self) -> Values:
        """What is known of the call that these are for; nothing where they are for any."""
        return self._values

    def filled(self, values: Values) -> "Scripts":
        """The same for a call that knows this."""
        made = copy(self)
        made._values = values
        if self._varies:
            made._fallback = filled(self._fallback, values)
            made.destinations = {
                name: replace(one, say_on_failure=filled(one.say_on_failure, values))
                for name, one in self.destinations.items()
            }
        return made

    def connect(self, token: str, drawn_ms: int, digits: str = "") -> str:
        """Bring the caller to the media socket, with the failure treatment behind it.
        ``digits`` are pressed on their line before.

        ``drawn_ms`` names the document when Twilio asks what comes after its stream.
        """
        return twiml.connect_stream(
            stream_url=self.media_url,
            token=token,
            action_url=f"{self._origin}/twilio/stream-ended?{self._at}drawn={drawn_ms}",
            status_url=f"{self._origin}/twilio/stream-status{self._query}",
            fallback=self._fallback,
            digits=digits,
        )

    def transfer(self, dial: Dial, say: str | None = None) -> str:
        """Put the caller through to a target of the document. Raises ``KeyError``."""
        action_url = f"{self._origin}/twilio/dial-result/{dial.token}{self._query}"
        if dial.room:
            return twiml.join(dial.room, action_url=action_url)
        destination = self.destinations[dial.target]
        way = dial.way or Way(destination.to)
        if destination.mode == "queue":
            return _queued(way, destination, action_url, say)
        if destination.mode == "refer":
            return twiml.refer(to=way.to, action_url=action_url, say=say)
        return twiml.dial(
            to=way.to,
            action_url=action_url,
            timeout_s=destination.ring_timeout_s,
            caller_id=destination.caller_id,
            say=say,
        )

    def side_call_url(self, token: str, call_sid: str, what: str = "") -> str:
        """Where Twilio tells of the call to a person, who is asked for the caller ``call_sid``.

        ``what`` is told: ``key``, ``status`` or ``machine``; empty: that they picked up.
        """
        path = f"/twilio/side-call/{token}{what and '/'}{what}"
        return f"{self._origin}{path}?{self._at}for={call_sid}"

    def whisper(self, target: str, words: str, action_url: str) -> str:
        """What the person hears before they take the call."""
        key = self.destinations[target].accept_key
        return twiml.whisper(say=words or SOMEBODY_WAITS, key=key, action_url=action_url)

    def room(self, name: str) -> str:
        """Where the person waits for the caller."""
        return twiml.join(name)

    def failure(self) -> str:
        """A sentence, then a person or a goodbye."""
        return twiml.failure(self._fallback)

    def full(self) -> str:
        """Over capacity: the same treatment, before anything was opened."""
        then = "One moment, please." if self._fallback.dial else "Please call again later."
        return twiml.failure(replace(self._fallback, say=f"All lines are busy. {then}"))

    def instead(self, refused: Refusal, dial: Dial | None = None) -> str:
        """What the operator wrote for callers whom the agent does not answer. ``dial``: with whom
        they are put through to a target, where they are."""
        if refused.instead is None:
            return twiml.reject("busy" if refused.busy else "rejected")
        if refused.instead.takes_message:
            return twiml.failure(
                Fallback(
                    filled(refused.instead.say or LEAVE, self._values),
                    message=message(self._origin),
                )
            )
        say = filled(refused.instead.say or "", self._values)
        if dial is None:
            return twiml.failure(Fallback(say))
        person = self.destinations[dial.target]
        return twiml.dial(
            to=person.to,
            action_url=f"{self._origin}{TURNED_AWAY_PATH}/{dial.token}",
            timeout_s=person.ring_timeout_s,
            caller_id=person.caller_id,
            say=say,
        )

    def unreached(self, target: str) -> str:
        """To a caller whom the agent did not answer, and nobody else either."""
        person = self.destinations.get(target)
        return self.hang_up((person and person.say_on_failure) or NOBODY)

    def menu(self, menu: LineMenu) -> str:
        """Ask a caller which language they speak. Any process may be told."""
        return twiml.menu(
            [(filled(one.say, self._values), one.language) for one in menu.choices.values()],
            timeout_s=menu.timeout_s,
            action_url=f"{self._origin}{MENU_PATH}",
        )

    def lobby(self, number: str, lobby: Lobby, say: str | None, pressed: str | None = None) -> str:
        """Let a caller of ``number`` wait for a place. ``pressed``: as in ``CallFacts``.

        Any process may be asked about them: the one that has a place is not known yet.
        """
        return twiml.lobby(
            f"full-{sha256(number.encode()).hexdigest()[:32]}",
            wait_url=f"{self._origin}{QUEUE_PATH}",
            action_url=f"{self._origin}{QUEUE_LEFT_PATH}{_asked('?', pressed)}",
            most=lobby.most,
            say=say,
        )

    def waiting(self, say: str | None, pause_s: int) -> str:
        """What a waiting caller hears next."""
        return twiml.waiting(say, pause_s)

    def leave_queue(self) -> str:
        """A waiting caller goes where Twilio is told next."""
        return twiml.leave()

    def elsewhere(self, attempt: int, pressed: str | None = None) -> str:
        """The call is for another process behind our address; which attempt it is, from 1.
        ``pressed``: as in ``CallFacts``.

        The first is made at once. A proxy may need a moment to learn that we drain: the others
        wait for it.
        """
        url = f"{self._origin}{INCOMING_PATH}?elsewhere={attempt}{_asked('&', pressed)}"
        return twiml.elsewhere(url, pause_s=0 if attempt == 1 else PROXY_LEARNS_S)

    def ask_again(self, attempt: int, drawn_ms: int = 0) -> str:
        """Twilio asks once more what comes after a stream, in a second, and maybe elsewhere."""
        which = f"&drawn={drawn_ms}" if drawn_ms else ""
        url = f"{self._origin}/twilio/stream-ended?again={attempt}{which}"
        return twiml.elsewhere(url, pause_s=PROXY_LEARNS_S)

    def hang_up(self, say: str | None = None) -> str:
        """End the call, with a sentence before it if there is one."""
        return twiml.say_and_hangup(say) if say else twiml.hangup()


def _asked(mark: str, pressed: str | None) -> str:
    """What the caller pressed in the menu, for whoever is asked next."""
    return "" if pressed is None else f"{mark}pressed={pressed}"


def _queued(way: Way, destination: Destination, action_url: str, say: str | None) -> str:
    return twiml.enqueue(
        queue=way.to.removeprefix(QUEUE) if way.to.startswith(QUEUE) else "",
        workflow=way.to.removeprefix(WORKFLOW) if way.to.startswith(WORKFLOW) else "",
        task=way.task,
        action_url=action_url,
        wait_url=destination.wait_url,
        say=say,
    )
