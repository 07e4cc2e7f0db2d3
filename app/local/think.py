"""Wits without a language model: the agent document followed by rule.

The greeting is said as it was written; what the caller asks for is matched with the tools on
offer, whose required values are asked for one by one; results are read out; a person is
offered when three turns in a row were not understood. Rule: it does only what the session
offers, so that a rehearsal goes through the same tools, transfer and end of call as a real
conversation.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.emulators.realtime_turns import Ask, Output, Speech, ToolUse
from app.local import intents, stock
from app.local.keyed import COLLECT_DTMF, Wanted, keyed, presets
from app.local.ports import NOTHING, Intent, Understood
from app.local.reading import readable
from app.local.slots import Kind, Slot, missing

Read = Callable[[str, Sequence[Intent]], str | None]
"""The intent of a written sentence, None where none fits."""

TRANSFER_CALL, END_CALL = "transfer_call", "end_call"
_VERBATIM = re.compile(r"exactly this[^\"':]*:?\s*[\"'](?P<words>.+)[\"']\s*\Z", re.S | re.I)
_KEYPAD = re.compile(r"\[keypad\][^:]*:\s*(?P<keys>[0-9*#A-D ]+)")
_PURPOSES = {
    "goodbye": stock.GOODBYE,
    "announce": stock.PUTTING_THROUGH,
    "filler": stock.ONE_MOMENT,
    "resume": stock.HERE_AGAIN,
    "returned": stock.NOBODY_FREE,
    "keypad": stock.KEY_AGAIN,
}
_NOT_LEAVING = frozenset({"repeat", "hello", "thanks", "yes"})
"""Said to an open question: it is asked again, and the next turn may answer it."""
_PATIENCE = 3
"""Turns not understood in a row, after which a person is called."""
_MOST_WISHES = 4
_ANYTHING_ELSE = (stock.WHAT_ELSE, stock.NOBODY_FREE)
"""How a question ends to which "no" is a goodbye."""


@dataclass(slots=True)
class _Task:
    """A tool whose values are being collected."""

    tool: str
    slots: list[Slot]
    given: dict[str, Any] = field(default_factory=dict)


class Rules:
    """One call's wits. ``read`` finds the intent of typed text."""

    rung = "rules of the agent document"

    def __init__(self, read: Read) -> None:
        self._read = read
        self._offered: dict[str, Mapping[str, Any]] = {}
        self._intents: list[Intent] = intents.of_session(())
        self._task: _Task | None = None
        self._presets: dict[str, Wanted] = {}
        self._keying = False
        """The caller has been asked to key something in, by the tool that is there for it."""
        self._missed = 0
        self._last_said = ""

    def configure(self, session: Mapping[str, Any]) -> None:
        """A ``session.update``: the tools may have changed."""
        tools = session.get("tools")
        if isinstance(tools, list):
            functions = [tool for tool in tools if tool.get("type") == "function"]
            self._offered = {tool["name"]: tool.get("parameters") or {} for tool in functions}
            self._intents = intents.of_session(functions)
            self._presets = presets(self._offered.get(COLLECT_DTMF, {}))

    @property
    def wants_words(self) -> bool:
        """The open question is one that any words may answer."""
        return self._task is not None and self._task.slots[0].kind is Kind.WORDS

    def forget(self) -> None:
        """Nothing is asked any more: something else was answered."""
        self._task = None

    def read(self, text: str, intents: Sequence[Intent]) -> str | None:
        """The intent of a written sentence, None where none fits."""
        return self._read(text, intents)

    def expects(self) -> Sequence[Intent]:
        """The answers to the open question, or everything the caller may want."""
        if self._task is None:
            return self._intents
        slot = self._task.slots[0]
        if slot.kind is Kind.WORDS:
            return ()
        leaving = [one for one in self._intents if not one.name.startswith(intents.TOOL)]
        return [*slot.expects(), *leaving]

    async def reply(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        """What is said and done next."""
        outputs = self._reply(ask, heard)
        said = " ".join(one.text for one in outputs if isinstance(one, Speech))
        self._last_said = said or self._last_said
        return outputs

    def _reply(self, ask: Ask, heard: Understood | None) -> list[Output]:
        last = ask.items[-1] if ask.items else {}
        purpose = ask.metadata.get("purpose", "")
        if (given := verbatim(ask)) is not None:
            return [Speech(given)]
        if purpose in _PURPOSES:
            return [Speech(_PURPOSES[purpose])]
        if last.get("type") == "function_call_output":
            return self._to_result(str(last.get("output", "")))
        if ask.origin == "idle":
            return [Speech(stock.STILL_THERE)]
        if (text := written(last)) is not None:
            return self._to_text(text)
        if heard is None and ask.origin == "client":
            return [Speech(stock.HELLO)]
        return self._to_turn(heard or NOTHING)

    def _to_text(self, text: str) -> list[Output]:
        if keys := _KEYPAD.search(text):
            return self._to_keys(_keys(keys))
        return self._to_turn(Understood(text, self._read(text, self.expects())))

    def _to_result(self, output: str) -> list[Output]:
        """A tool has answered; one that has something keyed in, for the open question if any."""
        if not self._keying:
            return [Speech(readable(output))]
        self._keying = False
        told, task = keyed(output), self._task
        if task is not None and told.digits:
            # A secret has a name in place of digits.
            secret = not any(key.isdigit() for key in told.digits)
            value = told.digits if secret else task.slots[0].from_keys(told.digits)
            return self._filled(task, value) if value is not None else self._not_understood()
        self._task = None
        if told.choice and (intent := self._read(told.choice, self._intents)):
            return self._to_intent(intent, told.choice)
        return [Speech(told.said)]

    def _to_keys(self, keys: str) -> list[Output]:
        if self._task is not None:
            value = self._task.slots[0].from_keys(keys)
            if value is not None:
                return self._filled(self._task, value)
        return self._not_understood()

    def _to_turn(self, heard: Understood) -> list[Output]:
        task = self._task
        if task is not None:
            value = task.slots[0].from_intent(heard.intent)
            if value is None:
                value = task.slots[0].from_words(heard.text)
            if value is None and task.slots[0].kind is Kind.WORDS:
                if (leaving := self._leaves(heard.text)) is not None:
                    return self._to_intent(leaving, heard.text)
                value = heard.text or None
            if value is not None:
                return self._filled(task, value)
        if heard.intent is None:
            return self._not_understood()
        self._missed = 0
        return self._to_intent(heard.intent, heard.text)

    def _leaves(self, text: str) -> str | None:
        """Whether words that may be an answer ask for a person, or for the end."""
        ways = (intents.TRANSFER, intents.END)
        return self._read(
            text, [one for one in self._intents if one.name.partition(":")[0] in ways]
        )

    def _to_intent(self, intent: str, text: str) -> list[Output]:
        if self._task is not None and intent in _NOT_LEAVING:
            return [Speech(self._task.slots[0].question)]
        self._task = None
        prefix, _, name = intent.partition(":")
        if prefix == intents.TOOL:
            return self._begin(name, text)
        if prefix == intents.KEYPAD:
            return self._keyed_in(self._presets[name])
        if prefix == intents.TRANSFER:
            return self._transfer(name, "asked for")
        if prefix == intents.END or (intent == "no" and self._last_said.endswith(_ANYTHING_ELSE)):
            return self._end()
        if intent == "help":
            return [Speech(f"{stock.REHEARSAL} {self._wishes()}")]
        answers = {
            "repeat": self._last_said or stock.NOTHING_TO_REPEAT,
            "hello": stock.HELLO,
            intents.SOMEBODY: stock.NOBODY_HERE,
            "thanks": stock.YOU_ARE_WELCOME,
            "yes": stock.HOW_CAN_I_HELP,
        }
        return [Speech(answers.get(intent, stock.NOTED))]

    def _begin(self, tool: str, text: str) -> list[Output]:
        slots = missing(self._offered.get(tool, {}), {})
        task = _Task(tool, slots)
        while task.slots and (value := task.slots[0].from_words(text)) is not None:
            task.given[task.slots.pop(0).name] = value
        return self._go_on(task)

    def _filled(self, task: _Task, value: Any) -> list[Output]:
        self._missed = 0
        task.given[task.slots.pop(0).name] = value
        return self._go_on(task)

    def _go_on(self, task: _Task) -> list[Output]:
        if task.slots:
            self._task = task
            wanted = self._presets.get(task.slots[0].name)
            if wanted is not None and task.slots[0].kind is Kind.KEYPAD:
                return self._keyed_in(wanted)
            return [Speech(task.slots[0].question)]
        self._task = None
        return [ToolUse(task.tool, task.given)]

    def _keyed_in(self, wanted: Wanted) -> list[Output]:
        self._keying = True
        return wanted.asked

    def _transfer(self, target: str, reason: str) -> list[Output]:
        arguments = {"target": target, "reason": reason}
        return [Speech(stock.PUTTING_THROUGH), ToolUse(TRANSFER_CALL, arguments)]

    def _end(self) -> list[Output]:
        if END_CALL not in self._offered:
            return [Speech(stock.GOODBYE)]
        return [Speech(stock.GOODBYE), ToolUse(END_CALL, {"reason": "the caller is done"})]

    def _not_understood(self) -> list[Output]:
        self._missed += 1
        if self._missed < _PATIENCE - 1:
            again = f" {self._task.slots[0].question}" if self._task else ""
            return [Speech(stock.NOT_CAUGHT + again)]
        if self._missed >= _PATIENCE and (targets := self._targets()):
            self._missed, self._task = 0, None
            return self._transfer(targets[0], "not understood")
        if self._task is None or self._missed > _PATIENCE:
            self._task = None
            return [Speech(f"{stock.STILL_NOT_CAUGHT} {self._wishes()}")]
        slot = self._task.slots[0]
        if slot.kind is Kind.KEYPAD:
            return [Speech(stock.TRY_KEYPAD)]
        return [Speech(f"{stock.STILL_NOT_CAUGHT} {slot.question}")]

    def _targets(self) -> list[str]:
        schema = self._offered.get(TRANSFER_CALL, {}).get("properties") or {}
        return list((schema.get("target") or {}).get("enum") or ())

    def _wishes(self) -> str:
        """What the caller may ask for, in words."""
        built_in = (TRANSFER_CALL, END_CALL, COLLECT_DTMF)
        tools = [name for name in self._offered if name not in built_in]
        tools += [name for name in self._presets if name not in tools]
        about = [" ".join(intents.spoken(name)) for name in tools[:_MOST_WISHES]]
        if self._targets():
            about.append("a person")
        return f"Ask me for {', or '.join(about)}." if about else stock.HOW_CAN_I_HELP


def verbatim(ask: Ask) -> str | None:
    """What is to be said word for word, None where nothing is."""
    given = _VERBATIM.search(ask.instructions)
    return given["words"].strip() if given else None


def pressed(item: Mapping[str, Any]) -> str | None:
    """The keys of a turn that came by keypad, None for any other."""
    keys = _KEYPAD.search(written(item) or "")
    return _keys(keys) if keys else None


def _keys(found: re.Match[str]) -> str:
    return found["keys"].replace(" ", "")


def written(item: Mapping[str, Any]) -> str | None:
    """The text of a typed turn, None for anything else."""
    if item.get("role") not in ("user", "system"):
        return None
    texts = [part.get("text") for part in item.get("content") or () if "text" in part]
    return " ".join(filter(None, texts)) if texts else None
