"""Changing the session in mid-call: from when on, until when, and what a new line is told.

A change lasts until the next one, or, with a strategy that ends in ``_once``, for the caller's
next turn: it is taken back when that has been answered, tools and all. How fast the agent speaks
can only be changed between its responses, and so waits for the end of one. Rule: what is changed
belongs to the call and to the agent who has it, so every new line of theirs gets it, and another
agent does not.

    AS IT WAS ──an order──▶ CHANGED ──once: the next turn comes──▶ ITS TURN ──answered──▶ AS IT WAS
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.call.built_in import NAMES
from app.protocol.commands import ChangeSession, Command
from app.protocol.session_changes import Changes

RESTORED = "restored"
"""In the place of a strategy: what was changed once is as it was before."""


def session_of(kept: Mapping[str, Any]) -> Changes:
    """What was changed on an earlier stream, of the record."""
    return Changes(**kept) if kept else Changes()


class SessionChanging:
    """What of the session is changed by now."""

    def __init__(self, lasting: Changes) -> None:
        self._lasting = lasting
        self._once: Changes | None = None
        self._its_turn = False
        """The turn has come that the change is made for."""

    @property
    def _now(self) -> Changes:
        return self._lasting if self._once is None else self._once

    def change(self, strategy: str, fields: Mapping[str, Any]) -> list[Command]:
        """Somebody entitled to changes ``fields``."""
        once = strategy.endswith("_once")
        base = self._now if once else self._lasting
        new = base.merged(fields) if strategy.startswith("merge") else base.replaced(fields)
        self._its_turn = False
        self._once = new if once else None
        if not once:
            self._lasting = new
        return [self._told(strategy)]

    def _told(self, strategy: str = "") -> ChangeSession:
        now = self._now
        return ChangeSession(now.replace, now.merge, strategy, asdict(self._lasting))

    def caller_turn(self) -> None:
        """The caller said or wrote something that is to be answered."""
        self._its_turn = self._once is not None

    def answered(self) -> list[Command]:
        """Nothing is owed to the caller: what was for this turn alone is over."""
        if not self._its_turn:
            return []
        self._its_turn, self._once = False, None
        return [self._told(RESTORED)]

    def line_begins(self) -> list[Command]:
        """A new line was set up as the document has it."""
        return [] if self._now == Changes() else [self._told()]

    def agent_is(self) -> None:
        """Another agent has the conversation, as their document has it."""
        self._lasting, self._once, self._its_turn = Changes(), None, False

    def allows(self, tool: str) -> bool:
        """Whether the model may call this tool now."""
        return self._now.tools is None or tool in self._now.tools


def unknown_tools(fields: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether tools are asked for that the agent cannot have."""
    return not NAMES.issuperset(set(fields.get("tools", ())) - set(known))
