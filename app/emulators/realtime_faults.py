"""Every way in which the local OpenAI can fail its client, and what is to be odd about it.

A fault is a value chosen before the connection: nothing in here acts. ``fail_first`` limits
the faults to the first connections, so that a client that tries again can be seen to recover.
"""

import random
from dataclasses import dataclass, field
from typing import Literal

from app.emulators.realtime_errors import Json

ABRUPT = 1006
"""A close code for a line that is cut: no closing frame, in the middle of a message."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong; by default nothing."""

    fail_first: int | None = None
    """Only this many connections suffer; None for all of them."""
    refuse_status: int | None = None
    """HTTP status instead of the upgrade: 401, 403, 429, 503 ..."""
    reject_key: bool = False
    """Upgrade, then ``error`` invalid_api_key and close 3000, whatever the key."""
    drops: bool = False
    """The TCP connection is closed in the middle of the handshake, without an answer."""
    never: Literal["upgrade", "created", "updated", "response"] | None = None
    """What the client waits for in vain; the line stays open."""
    forgets_metadata: bool = False
    """Responses come without the ``metadata`` they were asked for with."""
    echoed_format: str | None = None
    """``session.updated`` pretends that both audio formats are this one."""
    close_code: int | None = None
    """The line ends with this code: 1000, 1001, 1011 ... or ``ABRUPT``."""
    close_reason: str = ""
    close_after: Literal["opened", "created", "updated"] | int = "updated"
    """When it ends; a number counts audio deltas."""
    stall_after: int | None = None
    """After this many audio deltas the line stays open and nothing more is said on it."""
    malformed_after: int | None = None
    """After this many audio deltas one message is half a JSON text."""

    def touch(self, attempt: int) -> bool:
        """Whether the connection number ``attempt``, from 0, suffers."""
        return self.fail_first is None or attempt < self.fail_first


NO_FAULTS = Faults()


@dataclass(slots=True)
class Noise:
    """What a future service may add: fields nobody knows, events nobody knows.

    Deterministic: the same conversation is disturbed in the same places.
    """

    dice: random.Random = field(default_factory=lambda: random.Random(20261121))

    def disturb(self, event: Json) -> list[Json]:
        """The events to send in place of ``event``, which comes last."""
        if str(event["type"]).endswith(".delta"):
            event = event | {"obfuscation": "x" * self.dice.randrange(1, 17)}
        if self.dice.random() < 0.25:
            event = event | {"x_future_field": {"depth": [1, None, "two"]}}
        if self.dice.random() < 0.1:
            number = self.dice.randrange(10**9)
            unknown: Json = {"type": "response.mood.updated", "event_id": f"event_n{number}"}
            return [unknown | {"mood": {"warmth": 0.5}}, event]
        return [event]
