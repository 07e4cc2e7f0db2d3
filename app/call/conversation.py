"""What a new model line is seeded with, so that the same conversation goes on.

A Realtime session cannot be resumed; another one can be told what happened. Used when the
model line was lost and when a call comes back from a transfer. The assistant is quoted with
what the caller heard, not with what it had generated. Tool calls come in pairs with their
outputs, because an unanswered call confuses later turns. Only the last turns are replayed.
"""

from collections.abc import Iterable

import orjson

from app.call.plan import Memory
from app.call.transcript import Entry, Voice
from app.protocol.commands import AddMessage, AddToolCall, AddToolOutput, Command

REPLAYED = 20
"""Entries; many assistant texts make a speech model answer in text (openai_realtime 3.10)."""
PENDING = '{"status":"running","note":"The result follows as a message."}'

UNREADABLE = "(The arguments were not JSON and are left out.)"


def remember(memories: Iterable[Memory], entries: Iterable[Entry]) -> tuple[Memory, ...]:
    """Everything worth replaying of earlier streams and of this one, oldest first."""
    return (*memories, *filter(None, map(_memory, entries)))[-REPLAYED:]


def _memory(entry: Entry) -> Memory | None:
    if entry.voice is Voice.TOOL and not _readable(entry.arguments):
        text = f"{UNREADABLE} {entry.text or PENDING}"
        return Memory("tool", text, entry.key, name=entry.name, arguments="{}")
    if entry.voice is Voice.TOOL:
        return Memory(
            "tool", entry.text or PENDING, entry.key, name=entry.name, arguments=entry.arguments
        )
    if not entry.text:
        return None
    role = {Voice.CALLER: "user", Voice.AGENT: "assistant", Voice.NOTE: "system"}[entry.voice]
    return Memory(role, entry.text + (" …" if entry.heard_ms is not None else ""))


def _readable(arguments: str) -> bool:
    """The server takes no item whose arguments are no object, and then not its output either."""
    try:
        return isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        return False


def seed(memories: Iterable[Memory]) -> list[Command]:
    """The commands that tell a fresh model line what happened."""
    out: list[Command] = []
    for memory in memories:
        if memory.role == "tool":
            out.append(AddToolCall(memory.tool_call_id, memory.name, memory.arguments))
            out.append(AddToolOutput(memory.tool_call_id, memory.text))
        else:
            out.append(AddMessage(memory.role, memory.text))
    return out
