"""Invitations: the one-time tokens that tie a media stream to its call.

A token is drawn for every document that brings a caller to the media socket. It is bound to
the CallSid, good for thirty seconds, and spent by the first who shows it, rightly or not. It
begins with the moment it was drawn, by which Twilio's question after the stream names it, too.
What expires leaves by itself, whether anybody calls or not.
"""

import asyncio
import hashlib
import secrets

import structlog

from app.runtime.live_call import LiveCall

TOKEN_S = 30
TOKEN_BYTES = 32
_DIGITS = 13
"""Of milliseconds; a call of 300 years has more."""

log = structlog.get_logger("invitations")


class Invitations:
    """The tokens that nobody has shown yet. Belongs to the loop."""

    def __init__(self) -> None:
        self._open: dict[str, LiveCall] = {}

    def __len__(self) -> int:
        return len(self._open)

    def draw(self, call: LiveCall) -> str:
        """A token for this call's next stream; the ones before it stay good."""
        call.drawn_ms = max(1, call.now_ms())
        token = f"{call.drawn_ms}.{secrets.token_urlsafe(TOKEN_BYTES)}"
        digest = call.token_digest = digest_of(token)
        loop = asyncio.get_running_loop()
        call.invited_at_s = loop.time()
        call.open_until_s = call.invited_at_s + TOKEN_S
        self._open[digest] = call
        loop.call_at(call.open_until_s, self._open.pop, digest, None)
        return token

    def take(self, token: str, call_sid: str) -> LiveCall | None:
        """The call this token opens, spending it; None where it opens nothing."""
        call = self._open.pop(digest_of(token), None)
        refusal = None
        if call is None:
            refusal = "unknown_token"
        elif call.facts.call_sid != call_sid:
            refusal = "wrong_call"
        elif call.report.ending is not None:
            refusal = "call_over"
        if refusal is None:
            return call
        log.warning("stream_refused", reason=refusal, call_sid=call_sid)
        return None


def drawn_ms_of(token: str) -> int:
    """When a token was drawn, in ms since its call was created; 0 where it does not say so."""
    said, dot, _ = token.partition(".")
    return int(said) if dot and said.isascii() and said.isdigit() and len(said) < _DIGITS else 0


def digest_of(token: str) -> str:
    """Tokens are compared by their digest, so that looking one up tells nothing about it."""
    return hashlib.sha256(token.encode()).hexdigest()
