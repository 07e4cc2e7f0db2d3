"""Whether a caller has the telephone whose number they show: a code is sent, and keyed in.

The code is drawn here, goes into one text message, and is compared here with what was keyed in
under its preset. Rule: nobody else learns it, neither model, record, log nor flight log; and what
was keyed in is used up by being checked. A code lives in the memory of the process that drew it:
where another has the call, a new one must be sent.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from app.call.built_in import COLLECT_DTMF, VERIFY_CODE
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.runtime.live_call import LiveCall
from app.tools.builtin import CODE_PRESET
from app.tools.texts import Text, why

MOST_SENT = 3
"""In one call."""
_KEPT = 10_000
_PLACE = "{{code}}"
_KEY_IN = (
    f"Ask the caller to key the code in, call {COLLECT_DTMF} with the preset {CODE_PRESET}, and"
    f" then {VERIFY_CODE} with step check."
)
_SENT = f"A code is on its way to the caller's telephone. {_KEY_IN}"
_NOTHING_SENT = f"There is no code that could be checked: call {VERIFY_CODE} with step send first."
_NOTHING_KEYED = f"Nothing has been keyed in since. {_KEY_IN}"
_EXPIRED = f"The code is too old. If the caller wants another, call {VERIFY_CODE} with step send."
_WRONG = f"That was not the code. {_KEY_IN}"
_USED_UP = (
    "That was not the code either, and it is not good any more. If the caller wants another, call"
    f" {VERIFY_CODE} with step send."
)
_NO_MORE = "No more codes are sent in this call. The caller cannot be verified by a code."

log = structlog.get_logger("verification")


@dataclass(frozen=True, slots=True)
class Codes:
    """What codes are like."""

    digits: int = 6
    text: str = f"Your code is {_PLACE}."
    expires_ms: int = 600_000
    attempts: int = 3


@dataclass(slots=True)
class _Open:
    """What is known of a call's code."""

    salt: bytes = b""
    digest: bytes = field(default=b"", repr=False)
    """Empty: there is none that could be checked."""
    good_until_ms: int = 0
    left: int = 0
    sent: int = 0

    def close(self) -> None:
        """It is good no more."""
        self.digest = b""


class Verification:
    """Carries out ``verify_code``. Belongs to the loop."""

    def __init__(self, codes: Codes, send: Callable[..., Awaitable[str | None]]) -> None:
        """``send``: ``Texting.send``."""
        self._codes = codes
        self._send = send
        self._open: OrderedDict[str, _Open] = OrderedDict()

    async def run(self, call: LiveCall, wish: RunTool) -> ToolDone:
        """Send a code or check one, and tell the model. Cancelling abandons the answer only."""
        step = _step(wish.arguments)
        if step == "send":
            told = await self._sent(call, wish.tool_call_id)
        elif step == "check":
            told = self._checked(call)
        else:
            told = {"ok": False, "reason": "step must be send or check."}
        ok = bool(told.get("ok") or told.get("verified"))
        return ToolDone(wish.tool_call_id, orjson.dumps(told).decode(), ok=ok)

    async def _sent(self, call: LiveCall, tool_call_id: str) -> dict[str, Any]:
        one = self._open.setdefault(call.call_id, _Open())
        while len(self._open) > _KEPT:
            self._open.popitem(last=False)
        if one.sent >= MOST_SENT:
            return {"ok": False, "reason": _NO_MORE}
        code = "".join(secrets.choice("0123456789") for _ in range(self._codes.digits))
        one.sent += 1
        one.salt = secrets.token_bytes(16)
        one.digest = _digest(one.salt, code)
        one.left = self._codes.attempts
        one.good_until_ms = call.now_ms() + self._codes.expires_ms
        # What was keyed in before belongs to another code.
        call.kept.pop(CODE_PRESET, None)
        text = Text(self._codes.text.replace(_PLACE, code))
        reason = await self._send(call, text, f"code {tool_call_id}", counts=False)
        log.info("code_sent", reason=reason, call_id=call.call_id)
        if reason is None:
            return {"ok": True, "note": _SENT}
        if reason != "unclear":
            one.close()
        return {"ok": False, "reason": why(reason)}

    def _checked(self, call: LiveCall) -> dict[str, Any]:
        one = self._open.get(call.call_id)
        keyed = call.kept.pop(CODE_PRESET, None)
        if one is None or not one.digest:
            return _not(_NOTHING_SENT)
        if call.now_ms() >= one.good_until_ms:
            one.close()
            return _not(_EXPIRED)
        if not keyed:
            return _not(_NOTHING_KEYED, one.left)
        one.left -= 1
        right = hmac.compare_digest(_digest(one.salt, keyed), one.digest)
        log.info("code_checked", right=right, left=one.left, call_id=call.call_id)
        if right:
            one.close()
            return {"verified": True}
        if one.left <= 0:
            one.close()
            return _not(_USED_UP, 0)
        return _not(_WRONG, one.left)


def _not(reason: str, left: int | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"verified": False, "reason": reason}
    return told if left is None else told | {"attempts_left": left}


def _digest(salt: bytes, code: str) -> bytes:
    return hashlib.sha256(salt + code.encode()).digest()


def _step(arguments: str) -> str:
    try:
        given = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return ""
    step = given.get("step") if isinstance(given, dict) else None
    return step if isinstance(step, str) else ""
