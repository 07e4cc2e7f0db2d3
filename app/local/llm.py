"""A language model of the operator's as the local model's wits.

``POST {LLM_BASE_URL}/chat/completions`` with the session's instructions and tools, unstreamed:
several local servers refuse streaming together with tools. What it is told of the caller comes
from a small recogniser, so it is told not to trust the spelling.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from app.emulators.realtime_turns import Ask, Output, Speech, ToolUse
from app.local.foreign import UNFORESEEN, Attempt
from app.local.ports import Intent, Think, Took, Understood, untold
from app.local.reading import shortened
from app.local.remote import Remote, RemoteFault
from app.local.think import verbatim

_NOTE = (
    "You are heard over a telephone. Answer in one or two short spoken sentences, without"
    " markup. What the caller said was recognised badly: guess what they meant, and ask when"
    " you cannot."
)
_LONGEST_CHARS = 600
_REMEMBERED = 30

log = structlog.get_logger("think")


class LanguageModel:
    """One call's wits; ``instead`` answers when the server does not."""

    def __init__(self, remote: Remote, model: str, instead: Think, took: Took = untold) -> None:
        self._remote = remote
        self._model = model
        self._instead = instead
        self._took = took
        self._tools: list[dict[str, Any]] = []
        self._told = False
        self.rung = f"LLM_BASE_URL ({model})"

    def configure(self, session: Mapping[str, Any]) -> None:
        """The session's tools, in the shape of chat completions."""
        self._instead.configure(session)
        tools = session.get("tools")
        if isinstance(tools, list):
            self._tools = [_function(tool) for tool in tools if tool.get("type") == "function"]

    def expects(self) -> Sequence[Intent]:
        """Any words."""
        return ()

    async def reply(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        """The server's answer, or that of the rules when it fails."""
        if verbatim(ask) is not None:
            return await self._instead.reply(ask, heard)
        why = UNFORESEEN
        with Attempt(self.rung):
            try:
                if outputs := await self._asked(ask, heard):
                    self._took(self.rung, "")
                    return outputs
                why = "LLM_BASE_URL answered neither words nor the call of a tool on offer"
            except RemoteFault as fault:
                why = str(fault)
                self._tell(why)
        self._took(self._instead.rung, why)
        return await self._instead.reply(ask, heard)

    async def _asked(self, ask: Ask, heard: Understood | None) -> list[Output]:
        """The server's answer; empty when it has none. Raises ``RemoteFault``."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages(ask, heard),
            "stream": False,
        }
        offered = [tool for tool in self._tools if tool["function"]["name"] in ask.tools]
        if offered:
            body["tools"] = offered
        return _outputs(await self._remote.json("chat/completions", body), ask.tools)

    def _tell(self, sentence: str) -> None:
        if not self._told:
            self._told = True
            log.warning("thought_fell_back", to=self._instead.rung, reason=sentence)


def messages(ask: Ask, heard: Understood | None) -> list[dict[str, Any]]:
    """The conversation as chat messages; ``heard`` stands for the last turn's audio."""
    out: list[dict[str, Any]] = [
        {"role": "system", "content": f"{ask.instructions}\n\n{_NOTE}".strip()}
    ]
    for message in filter(None, map(_message, ask.items[-_REMEMBERED:])):
        _add(out, message)
    if heard is not None:
        out.append({"role": "user", "content": heard.text or "(nothing that was understood)"})
    elif len(out) == 1:
        out.append({"role": "user", "content": "(the caller is on the line)"})
    return out


def _add(out: list[dict[str, Any]], message: dict[str, Any]) -> None:
    """Put it behind the others as strict servers want it.

    Calls that were made together are one message, and no output is without its call: that may
    be older than what is remembered.
    """
    calls = message.get("tool_calls")
    if calls and out[-1].get("tool_calls"):
        out[-1]["tool_calls"] += calls
    elif message["role"] != "tool" or _called(out, message["tool_call_id"]):
        out.append(message)


def _called(out: Sequence[Mapping[str, Any]], call_id: str) -> bool:
    return any(call["id"] == call_id for one in out for call in one.get("tool_calls") or ())


def _message(item: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = item.get("type")
    if kind == "function_call":
        called = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": called}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
    parts = item.get("content") or ()
    text = " ".join(filter(None, (part.get("text") or part.get("transcript") for part in parts)))
    return {"role": item["role"], "content": text} if text else None


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: tool[name] for name in ("name", "description", "parameters") if name in tool}
    return {"type": "function", "function": known}


def _outputs(answer: Mapping[str, Any], offered: Sequence[str]) -> list[Output]:
    """Speech, then the calls of tools that are on offer. Raises ``RemoteFault``."""
    try:
        message = answer["choices"][0]["message"]
        text = shortened(" ".join((message.get("content") or "").split()), _LONGEST_CHARS)
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        uses = [
            ToolUse(str(call["name"]), _arguments(call.get("arguments")))
            for call in calls
            if call["name"] in offered
        ]
    except (AttributeError, IndexError, KeyError, TypeError) as exc:
        raise RemoteFault("LLM_BASE_URL answered JSON that is no chat completion") from exc
    return [*([Speech(text)] if text else []), *uses]


def _arguments(given: Any) -> str:
    """As text; the client validates them, as it does those of the hosted model."""
    return given if isinstance(given, str) else json.dumps(given or {})
