"""A scenario: what callers of one agent say and what they are answered, written by hand.

One YAML file is a grammar, a script and, in a test, an oracle. Where it is silent the rules of
the agent document go on. A tool it names must be on offer: one that is not is a warning in the
log when the session is configured, and an apology to the caller who asks for it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from app.emulators.realtime_turns import Ask, Output, Speech, ToolUse
from app.local import stock
from app.local.ports import Intent, Understood
from app.local.reading import readable
from app.local.slots import Kind, Slot
from app.local.think import Rules, pressed, written

PREFIX = "scenario:"
_DIGITS = "{digits}"

log = structlog.get_logger("scenario")


class ScenarioFault(Exception):
    """The file cannot be used; the message names file, place and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(_Strict):
    """A tool to call."""

    name: str
    args: dict[str, Any] = Field(default_factory=dict)
    """``{digits}`` in a text stands for what was keyed in."""


class Keypad(_Strict):
    """What is to be keyed in."""

    length: int = Field(default=0, ge=0, le=32)
    """0: any number of digits."""
    terminator: str = Field(default="#", pattern=r"^[0-9*#]?$")


class Wish(_Strict):
    """One intent and what follows it."""

    say_like: tuple[str, ...] = Field(min_length=1)
    reply: str | None = None
    tool: Use | None = None
    ask: str | None = None
    keypad: Keypad | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "Wish":
        if self.reply is None and self.tool is None:
            raise ValueError("needs a reply, a tool, or both")
        if (self.ask is None) != (self.keypad is None):
            raise ValueError("ask and keypad belong together")
        return self


class Results(_Strict):
    """What is said when a tool has answered."""

    ok: str | None = None
    error: str | None = None


class _Fallback(_Strict):
    tool: Use


class Scenario(_Strict):
    """The file."""

    name: str = "scenario"
    greeting: str | None = None
    """Said in place of the agent document's."""
    intents: dict[str, Wish] = Field(default_factory=dict)
    on_tool_result: dict[str, Results] = Field(default_factory=dict)
    fallback: tuple[str | _Fallback, ...] = ()

    @property
    def tools(self) -> set[str]:
        """Every tool it names."""
        uses = [wish.tool for wish in self.intents.values() if wish.tool is not None]
        uses += [step.tool for step in self.fallback if isinstance(step, _Fallback)]
        return {use.name for use in uses} | set(self.on_tool_result)


def load(path: str | Path) -> Scenario:
    """Read a file. Raises ``ScenarioFault``."""
    file = Path(path)
    try:
        content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
        return Scenario.model_validate(content)
    except (OSError, UnicodeDecodeError) as exc:
        raise ScenarioFault(f"{file} cannot be read: {exc}") from exc
    except MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else "?"
        raise ScenarioFault(f"{file}:{line}: not YAML: {exc.problem}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ScenarioFault(f"{file}: {place}: {first['msg']}") from exc


class Scripted:
    """One call's wits: the scenario first, the rules where it is silent."""

    def __init__(self, scenario: Scenario, rules: Rules) -> None:
        self._scenario = scenario
        wishes = scenario.intents.items()
        self._own = [Intent(f"{PREFIX}{name}", wish.say_like) for name, wish in wishes]
        self._rules = rules
        self._offered: set[str] | None = None
        self._keying: Wish | None = None
        self._missed = 0
        self.rung = f"scenario {scenario.name!r}"

    def configure(self, session: Mapping[str, Any]) -> None:
        """The session's tools; those the scenario names and nobody offers are told."""
        self._rules.configure(session)
        tools = session.get("tools")
        if isinstance(tools, list):
            self._offered = {tool.get("name") for tool in tools}
            for name in sorted(self._scenario.tools - self._offered):
                log.warning("tool_not_offered", scenario=self._scenario.name, tool=name)

    def expects(self) -> Sequence[Intent]:
        """The scenario's intents before those of the tools; none where any words may come."""
        return [] if self._rules.wants_words else [*self._own, *self._rules.expects()]

    async def reply(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        """What the scenario says, or the rules."""
        last = ask.items[-1] if ask.items else {}
        if self._scenario.greeting and ask.metadata.get("purpose") == "greeting":
            return [Speech(self._scenario.greeting)]
        if last.get("type") == "function_call_output":
            return await self._to_result(ask, last)
        keys = pressed(last)
        if self._keying is not None and keys is not None:
            return self._to_keys(self._keying, keys)
        understood = heard if heard is not None else self._typed(last, keys)
        intent = understood.intent if understood is not None else None
        if intent is not None and intent.startswith(PREFIX):
            return self._to_wish(intent.removeprefix(PREFIX))
        lost = understood is not None and intent is None and not self._rules.wants_words
        if lost and self._scenario.fallback:
            return self._to_nothing()
        if intent is not None:
            self._keying = None
        self._missed = 0
        return await self._rules.reply(ask, heard)

    def _typed(self, last: Mapping[str, Any], keys: str | None) -> Understood | None:
        """A turn of the caller's that came in writing; None for anything else."""
        text = written(last) if last.get("role") == "user" and keys is None else None
        return None if text is None else Understood(text, self._rules.read(text, self.expects()))

    def _to_wish(self, name: str) -> list[Output]:
        self._missed = 0
        self._rules.forget()
        wish = self._scenario.intents[name]
        self._keying = wish if wish.ask else None
        if wish.ask:
            return [Speech(wish.ask)]
        return self._done(wish, "")

    def _to_keys(self, wish: Wish, keys: str) -> list[Output]:
        keypad = wish.keypad or Keypad()
        digits = Slot("digits", Kind.KEYPAD).from_keys(keys.removesuffix(keypad.terminator)) or ""
        if keypad.length and len(digits) != keypad.length:
            return [Speech(f"{stock.NOT_CAUGHT} {wish.ask}")]
        self._keying = None
        return self._done(wish, digits)

    def _done(self, wish: Wish, digits: str) -> list[Output]:
        said: list[Output] = [Speech(wish.reply)] if wish.reply else []
        return said + (self._use(wish.tool, digits) if wish.tool else [])

    def _use(self, use: Use, digits: str = "") -> list[Output]:
        if self._offered is not None and use.name not in self._offered:
            return [Speech(stock.DID_NOT_WORK)]
        return [ToolUse(use.name, json.dumps(use.args).replace(_DIGITS, digits))]

    def _to_nothing(self) -> list[Output]:
        steps = self._scenario.fallback
        step = steps[min(self._missed, len(steps) - 1)]
        self._missed += 1
        return self._use(step.tool) if isinstance(step, _Fallback) else [Speech(step)]

    async def _to_result(self, ask: Ask, last: Mapping[str, Any]) -> Sequence[Output]:
        called = {i.get("call_id"): i.get("name") for i in ask.items if i.get("name")}
        results = self._scenario.on_tool_result.get(str(called.get(last.get("call_id"))))
        text = None
        if results is not None:
            failed = readable(str(last.get("output"))).startswith(stock.DID_NOT_WORK)
            text = results.error if failed else results.ok
        return [Speech(text)] if text else await self._rules.reply(ask, None)
