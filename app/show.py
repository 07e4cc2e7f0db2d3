"""A call drawn for a terminal: who spoke when, what was heard, where it was cut, how fast.

Made from the record alone, so that it shows what the operator's API knows and nothing else.
Speech of the agent's is drawn as long as it was heard, and pale as long as it was only sent;
of the caller the record knows when a turn ended and not when it began.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

_LABEL_CHARS = 8
_FEWEST_COLUMNS = 20
_HEARD, _CUT, _TURN, _TOOL, _MOVED = "█", "░", "◆", "▲", "→"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing of the conversation."""

    at_ms: int
    who: str
    text: str
    heard_ms: int = 0
    audio_ms: int = 0
    cut: bool = False


def show(record: Mapping[str, Any], console: Console) -> None:
    """Draw a call detail record (``cdr/1``); raises ``ValueError`` when it is none."""
    if record.get("schema") != "cdr/1":
        raise ValueError("this is not a call record: its schema is not cdr/1")
    console.print(drawn(record, console.width))


def drawn(record: Mapping[str, Any], width: int) -> RenderableType:
    """The whole picture."""
    lines = list(_lines(record))
    return Group(
        _head(record), Text(), _lanes(record, lines, width), Text(), _talk(lines), Text(),
        _figures(record),
    )  # fmt: skip


def _head(record: Mapping[str, Any]) -> Text:
    seconds = (record["durations_ms"]["total"] or 0) / 1000
    ending = record["end_reason"] or "still going on"
    return Text.assemble(
        (record["call_id"], "bold"),
        f"  {record['from']['number']} → {record['to']['number']}",
        f"  {record['timestamps']['created_at']}  {seconds:.1f} s  ",
        (ending, "green" if (record["ending"] or {}).get("result") == "success" else "yellow"),
    )


def _lines(record: Mapping[str, Any]) -> Iterator[Line]:
    for turn in record["turns"]:
        if turn["type"] == "speech":
            yield Line(turn["at_ms"], "caller", turn["text"] or "(no words were recognised)")
        for one in turn["responses"]:
            if one["type"] == "speech":
                yield Line(
                    one["at_ms"],
                    "agent",
                    one["text"],
                    one["heard_ms"],
                    one["audio_ms"],
                    one["interrupted"],
                )
            else:
                yield Line(one["at_ms"], one["type"], one.get("name") or one.get("text") or "")


def _lanes(record: Mapping[str, Any], lines: Sequence[Line], width: int) -> Group:
    columns = max(_FEWEST_COLUMNS, width - _LABEL_CHARS - 2)
    last = max((line.at_ms + line.audio_ms for line in lines), default=1)
    total_ms = max(1, record["durations_ms"]["total"] or last)
    agent, caller, tools = (_Lane(columns, total_ms) for _ in range(3))
    sounding_until_ms = 0
    for line in lines:
        if line.who == "agent":
            # Words come before their sound, and sound waits for the sentence before it.
            begin_ms = max(line.at_ms, sounding_until_ms)
            sounding_until_ms = begin_ms + line.heard_ms
            agent.bar(begin_ms, line.audio_ms, _CUT if line.cut else _HEARD)
            agent.bar(begin_ms, line.heard_ms, _HEARD)
        elif line.who == "caller":
            caller.mark(line.at_ms, _TURN)
        elif line.who == "tool":
            tools.mark(line.at_ms, _TOOL)
        else:
            tools.mark(line.at_ms, _MOVED)
    return Group(
        agent.drawn("agent", "cyan"),
        caller.drawn("caller", "magenta"),
        tools.drawn("tools", "yellow"),
        _scale(columns, total_ms),
    )


class _Lane:
    """One row of the picture."""

    def __init__(self, columns: int, total_ms: int) -> None:
        self._cells = [" "] * columns
        self._total_ms = total_ms

    def _column(self, at_ms: int) -> int:
        return min(len(self._cells) - 1, at_ms * len(self._cells) // self._total_ms)

    def bar(self, begin_ms: int, length_ms: int, sign: str) -> None:
        """Fill from one moment on; nothing for no length."""
        if length_ms > 0:
            begin, end = self._column(begin_ms), self._column(begin_ms + length_ms)
            self._cells[begin : end + 1] = sign * (end + 1 - begin)

    def mark(self, at_ms: int, sign: str) -> None:
        """One moment."""
        self._cells[self._column(at_ms)] = sign

    def drawn(self, label: str, style: str) -> Text:
        """The row with its label."""
        return Text.assemble((f"{label:<{_LABEL_CHARS}}", "bold"), ("".join(self._cells), style))


def _scale(columns: int, total_ms: int) -> Text:
    """Seconds at the beginning, in the middle and at the end."""
    ends = ["0 s", f"{total_ms / 2000:.1f}", f"{total_ms / 1000:.1f} s"]
    room = columns - sum(map(len, ends))
    gap = " " * max(1, room // 2)
    return Text(" " * _LABEL_CHARS + gap.join(ends), style="dim")


def _talk(lines: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column()
    table.add_column(overflow="fold")
    styles = {"agent": "cyan", "caller": "magenta", "tool": "yellow", "note": "dim"}
    for line in lines:
        text = Text(line.text)
        if line.cut:
            text.append(f" ▏cut: {line.heard_ms:,} of {line.audio_ms:,} ms heard", style="red")
        table.add_row(f"{line.at_ms / 1000:.2f}", Text(line.who, styles.get(line.who, "")), text)
    return table


def _figures(record: Mapping[str, Any]) -> Table:
    latency = record["latency_ms"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    table.add_row("turn, as heard", _spread(latency["turn_played"], "ms"))
    table.add_row("turn, as sent", _spread(latency["turn_sent"], "ms"))
    table.add_row("interruption", _spread(latency["barge_in_us"], "µs"))
    for transfer in record["transfers"]:
        table.add_row("transfer", f"{transfer['target']}: {transfer['outcome']}")
    for warning in record["warnings"]:
        table.add_row("warning", f"{warning['id']} ({warning['count']})")
    return table


def _spread(figure: Mapping[str, Any], unit: str) -> str:
    if not figure["count"]:
        return "none"
    return f"median {figure['p50']:,}, 95 % {figure['p95']:,} {unit} ({figure['count']})"
