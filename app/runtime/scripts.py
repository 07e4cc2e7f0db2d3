"""The TwiML of one line: every document this server answers Twilio with.

Origins and paths meet here. URLs are built from the configured public origin, never from a
request, and destinations come from the operator's document, by name.

Where several processes answer, a call's URLs name the one that wrote them. That is a hint to the
proxy in front and to nobody else: any process answers any of them, and what a stream may open
its token says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.protocol import twiml
from app.protocol.twiml import Fallback
from app.runtime.live_call import Dial

MEDIA_PATH = "/media-stream"
INCOMING_PATH = "/incoming-call"
PROXY_LEARNS_S = 1
"""A health check a second is usual; ``deploy/haproxy.cfg`` has two."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A transfer target as the carrier needs it."""

    to: str
    ring_timeout_s: int = 20
    caller_id: str | None = None
    """None: the person sees the caller's number."""
    say_on_failure: str | None = None
    resume: bool = True
    """False: the call ends when nobody answers."""


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
        # In the path, because Twilio refuses a query.
        where = f"{MEDIA_PATH}/{process}" if process else MEDIA_PATH
        self.media_url = f"ws{origin.removeprefix('http')}{where}"

    def connect(self, token: str, drawn_ms: int) -> str:
        """Bring the caller to the media socket, with the failure treatment behind it.

        ``drawn_ms`` names the document when Twilio asks what comes after its stream.
        """
        return twiml.connect_stream(
            stream_url=self.media_url,
            token=token,
            action_url=f"{self._origin}/twilio/stream-ended?{self._at}drawn={drawn_ms}",
            status_url=f"{self._origin}/twilio/stream-status{self._query}",
            fallback=self._fallback,
        )

    def transfer(self, dial: Dial, say: str | None = None) -> str:
        """Put the caller through to a target of the document. Raises ``KeyError``."""
        destination = self.destinations[dial.target]
        return twiml.dial(
            to=destination.to,
            action_url=f"{self._origin}/twilio/dial-result/{dial.token}{self._query}",
            timeout_s=destination.ring_timeout_s,
            caller_id=destination.caller_id,
            say=say,
        )

    def failure(self) -> str:
        """A sentence, then a person or a goodbye."""
        return twiml.failure(self._fallback)

    def full(self) -> str:
        """Over capacity: the same treatment, before anything was opened."""
        then = "One moment, please." if self._fallback.dial else "Please call again later."
        return twiml.failure(replace(self._fallback, say=f"All lines are busy. {then}"))

    def elsewhere(self, attempt: int) -> str:
        """The call is for another process behind our address; which attempt it is, from 1.

        The first is made at once. A proxy may need a moment to learn that we drain: the others
        wait for it.
        """
        url = f"{self._origin}{INCOMING_PATH}?elsewhere={attempt}"
        return twiml.elsewhere(url, pause_s=0 if attempt == 1 else PROXY_LEARNS_S)

    def ask_again(self, attempt: int, drawn_ms: int = 0) -> str:
        """Twilio asks once more what comes after a stream, in a second, and maybe elsewhere."""
        which = f"&drawn={drawn_ms}" if drawn_ms else ""
        url = f"{self._origin}/twilio/stream-ended?again={attempt}{which}"
        return twiml.elsewhere(url, pause_s=PROXY_LEARNS_S)

    def hang_up(self, say: str | None = None) -> str:
        """End the call, with a sentence before it if there is one."""
        return twiml.say_and_hangup(say) if say else twiml.hangup()
