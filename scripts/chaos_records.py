"""What is on record of the calls of an experiment, read past our own code: by plain SQL.

One rule: a number that is missing among the facts of a call counts, unless a gap tells of it.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from chaos_calls import Caller
from chaos_stage import Stage, until

CLOSED_S = 40.0
"""For the last record to be closed."""
_EVERYTHING = """
    SELECT c.call_sid, c.status, c.record IS NOT NULL, f.seq, f.type, f.data
    FROM calls c JOIN call_facts f ON f.call_id = c.call_id ORDER BY f.seq"""
_OPEN = "SELECT count(*) FROM calls WHERE status <> 'ended'"


@dataclass(slots=True)
class Kept:
    """One call."""

    closed: bool
    facts: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Facts of this kind."""
        return sum(one == kind for _, one, _ in self.facts)

    @property
    def missing(self) -> int:
        """Numbers that neither a fact nor a gap has."""
        told = {seq for seq, _, _ in self.facts}
        for _, kind, data in self.facts:
            if kind == "record.gap":
                told.update(range(data["from_seq"], data["to_seq"] + 1))
        return max(told) - len(told)

    @property
    def complete(self) -> bool:
        """Closed, once, with every fact."""
        return self.closed and self.count("call.ended") == 1 and self.missing == 0

    @property
    def turns(self) -> int:
        """What the caller said."""
        return len(
            {
                (data["stream"], data["entry"])
                for _, kind, data in self.facts
                if kind == "transcript.updated" and data["voice"] == "caller" and data["text"]
            }
        )

    def heard_ms(self) -> int:
        """What the caller had heard before they came back for the first time."""
        heard: dict[tuple[int, int], int] = {}
        for _, kind, data in self.facts:
            if kind == "call.returned":
                break
            if kind == "transcript.heard":
                heard[data["stream"], data["entry"]] = data["heard_ms"]
        return sum(heard.values())


def turns_told(s: Stage, caller: Caller) -> int:
    """How many turns of this caller the models have transcribed."""
    lines = (one for one in s.models if one.voice.heard_by == caller.voice.number)
    return sum(len(line.transcribed_ns) for line in lines)


async def kept(s: Stage) -> dict[str, Kept]:
    """By CallSid, as soon as all of them are closed, or that lasts too long."""
    await until(lambda: not _asked(s, _OPEN)[0][0], CLOSED_S, every_s=0.5)
    found: dict[str, Kept] = {}
    for sid, status, told, seq, kind, data in _asked(s, _EVERYTHING):
        one = found.setdefault(sid, Kept(status == "ended" and bool(told)))
        one.facts.append((seq, kind, orjson.loads(data) if isinstance(data, str) else data))
    return found


def _asked(s: Stage, question: str) -> list[tuple[Any, ...]]:
    if s.database:
        with psycopg.connect(s.database) as server:
            return server.execute(question.encode()).fetchall()
    with closing(sqlite3.connect(s.folders[0] / "data" / "patchline.db", timeout=30)) as file:
        return file.execute(question).fetchall()
