"""A report that learns what its witness tells: the chain of every call, without the call."""

from collections.abc import Mapping
from typing import Any

from app.call.chronicle import Chronicle
from app.call.facts import FACTS, Fact
from app.call.report import Report
from app.call.transcript import Transcript


class Witnessed(Report):
    """A report, and the witness of its one stream, whose facts it learns at once."""

    def __init__(self) -> None:
        super().__init__()
        self.transcript = Transcript()
        self.under_way: dict[str, int] = {}
        self.chronicle = Chronicle(self, self.told, 1)
        self.saw = self.chronicle.saw
        self.facts: list[Fact] = []

    def hearing(self, _now_ms: int) -> dict[str, int]:
        return self.under_way

    def told(self, at_ms: int, kind: str, data: Mapping[str, Any]) -> None:
        assert kind in FACTS
        self.facts.append(Fact(kind, at_ms, data))
        self.learn(self.facts[-1])

    def transfer_ended(self, outcome: str, talk_s: int | None = None) -> None:
        self.told(0, "transfer.ended", {"outcome": outcome, "talk_s": talk_s})

    def ended(self, reason: str, at_ms: int) -> None:
        self.told(at_ms, "call.ended", {"reason": reason})
