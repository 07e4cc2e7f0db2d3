"""What is looked at while it is said: by which rules, how far, and what is not known yet.

A list of words is looked through as the words come. Any other rule is a question to somebody
else: about an answer each time it has grown by so many characters and when it is over, about a
turn of the caller's once. Each rule asks one question at a time; what has come meanwhile is in
the next. Rule: nothing that was said counts twice, whatever it breaks.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from app.call.alarms import Alarm, Alarms
from app.call.blocklist import Watch, blocklist
from app.call.plan import GuardPlan, RulePlan, ToolPlan
from app.call.responses import Finished
from app.protocol.commands import AskJudge, Command, GuardrailFailed
from app.protocol.events import Judged, SpeechText, ToolCalled

OUTPUT, INPUT = "output", "input"
PURPOSE = "guardrail"
"""Of the sentence that the caller is told."""
NOT_DONE = '{"ok":false,"reason":"it is against a rule of this line, and was not done"}'
"""What the model is told of a tool that it wanted to call then."""
MOST_CHARS = 4_000
"""Of the end of what is asked about."""
_KEPT = 16
_NONE = GuardPlan(())


@dataclass(slots=True)
class _Said:
    """An answer, or a turn of the caller's."""

    side: str
    watches: dict[str, Watch]
    part: tuple[str, int] = ("", 0)
    text: str = ""
    length: int = 0
    asked_to: int = 0
    """So many characters of it were asked about, or are about to be."""
    tripped: bool = False


@dataclass(slots=True)
class _Docket:
    """What one rule asks."""

    rule: RulePlan
    question: int = 0
    key: str = ""
    """What the question under way is about; empty: there is none."""
    waiting: dict[str, None] = field(default_factory=dict)


class Guardrails:
    """The rules of one call, on one of its streams."""

    def __init__(self, alarms: Alarms, plan: GuardPlan | None) -> None:
        self._alarms = alarms
        self._plan = plan or _NONE
        self._rules = {rule.name: rule for rule in self._plan.rules}
        self._dockets = [_Docket(rule) for rule in self._rules.values() if rule.kind != "blocklist"]
        self._inward = any(rule.side == INPUT for rule in self._rules.values())
        self._said: OrderedDict[str, _Said] = OrderedDict()
        self._questions = self._turns = 0
        self._trips = self._plan.tripped
        self._unheard: set[str] = set()
        """Turns of the caller's whose words have not come."""
        self._held: list[ToolCalled] = []
        self._finished: dict[str, Finished] = {}
        """Responses that are over, of which a tool is held."""
        self._struck: OrderedDict[str, None] = OrderedDict()
        self.refusing = False
        """What comes next is an answer to what was refused."""

    @property
    def on(self) -> bool:
        """There are rules."""
        return bool(self._rules)

    def spoken(self, event: SpeechText) -> tuple[RulePlan | None, list[Command]]:
        """More words of the model's: the rule that they break, if it is known; what is asked."""
        said = self._of(event.response_id, OUTPUT)
        part = (event.item_id, event.content_index)
        broken = self._parted(said) if part != said.part else None
        said.part = part
        broken = broken or self._looked(said, event.text)
        grown = said.length - said.asked_to >= self._plan.debounce_chars
        return broken, self._ask_about(event.response_id, said) if grown else []

    def over(self, response_id: str) -> tuple[RulePlan | None, list[Command]]:
        """An answer has ended: the same of its last words."""
        said = self._said.get(response_id)
        if said is None:
            return None, []
        return self._parted(said), self._ask_about(response_id, said)

    def caller_said(self, text: str, item_id: str = "") -> tuple[RulePlan | None, list[Command]]:
        """All words of a turn of the caller's; one that was written has no item."""
        self._unheard.discard(item_id)
        if not text.strip() or not self._inward:
            return None, []
        self._turns += 1
        key = f"turn {self._turns}"
        said = self._of(key, INPUT)
        broken = self._looked(said, text) or self._parted(said)
        return broken, self._ask_about(key, said)

    def _of(self, key: str, side: str) -> _Said:
        if key not in self._said:
            lists = (r for r in self._rules.values() if r.side == side and r.kind == "blocklist")
            self._said[key] = _Said(side, {r.name: Watch(blocklist(r.words)) for r in lists})
            while len(self._said) > _KEPT:
                self._said.popitem(last=False)
        return self._said[key]

    def _looked(self, said: _Said, text: str) -> RulePlan | None:
        said.text = (said.text + text)[-MOST_CHARS:]
        said.length += len(text)
        found = [name for name, watch in said.watches.items() if watch.heard(text)]
        return self._broken(said, found)

    def _parted(self, said: _Said) -> RulePlan | None:
        return self._broken(said, [name for name, watch in said.watches.items() if watch.ended()])

    def _broken(self, said: _Said, found: list[str]) -> RulePlan | None:
        if said.tripped or not found:
            return None
        said.tripped = True
        return self._rules[found[0]]

    def _ask_about(self, key: str, said: _Said) -> list[Command]:
        if said.tripped or said.length == said.asked_to:
            return []
        said.asked_to = said.length
        out: list[Command] = []
        for docket in self._dockets:
            if docket.rule.side == said.side:
                docket.waiting[key] = None
                out += self._ask(docket)
        return out

    def _ask(self, docket: _Docket) -> list[Command]:
        """The next question of a rule, where it has none under way."""
        while docket.waiting and not docket.key:
            key = next(iter(docket.waiting))
            del docket.waiting[key]
            said = self._said.get(key)
            if said is not None and not said.tripped:
                self._questions += 1
                docket.key, docket.question = key, self._questions
                return [AskJudge(self._questions, docket.rule.name, said.text)]
        return []

    def judged(self, event: Judged) -> tuple[RulePlan | None, str, list[Command]]:
        """An answer: the rule that is broken, in which response (empty: by the caller), and what
        else is asked or told."""
        docket = next((d for d in self._dockets if d.key and d.question == event.question), None)
        if docket is None:
            return None, "", []
        key, docket.key = docket.key, ""
        out = self._ask(docket)
        rule = docket.rule
        if event.failed:
            out.insert(0, GuardrailFailed(rule.name, rule.kind, event.failed))
        said = self._said.get(key)
        tripped = event.tripped or (bool(event.failed) and rule.closed)
        if not tripped or said is None:
            return None, key, out
        return self._broken(said, [rule.name]), key, out

    def counted(self) -> str:
        """A rule was broken; what follows now that it was so often, empty: nothing more."""
        self._trips += 1
        return self._plan.then if self._trips >= self._plan.most else ""

    def turn(self, item_id: str, now_ms: int) -> None:
        """The caller has said something; its words follow, or not."""
        self.refusing = False
        if self._inward:
            self._unheard.add(item_id)
            self._alarms.set(Alarm.WORDS, now_ms + self._plan.words_ms)

    def words_due(self) -> RulePlan | None:
        """No words have come: the rule that counts as broken by that, if one does."""
        unheard, self._unheard = self._unheard, set()
        closed = (r for r in self._rules.values() if r.side == INPUT and r.closed)
        return next(closed, None) if unheard else None

    @property
    def doubtful(self) -> bool:
        """It is not known yet whether what the caller said may be done."""
        asks = (d for d in self._dockets if d.rule.side == INPUT)
        return bool(self._unheard) or any(d.key or d.waiting for d in asks)

    def holds(self, call: ToolCalled, plan: ToolPlan | None) -> bool:
        """Whether a tool call has to wait until that is known; it is kept then."""
        if not self.doubtful or (plan is not None and plan.only_reads):
            return False
        self._held.append(call)
        return True

    def finished(self, response: Finished) -> None:
        """A response ended, perhaps one whose tool is held."""
        if any(call.response_id == response.response_id for call in self._held):
            self._finished[response.response_id] = response

    def released(self) -> tuple[list[ToolCalled], list[Finished]]:
        """What was held, and those of its responses that are over."""
        held, self._held = self._held, []
        finished, self._finished = self._finished, {}
        return held, list(finished.values())

    @property
    def holding(self) -> bool:
        """A tool call waits."""
        return bool(self._held)

    def strike(self, response_id: str) -> None:
        """Nothing that this response wants is done any more."""
        self._struck[response_id] = None
        while len(self._struck) > _KEPT:
            self._struck.popitem(last=False)

    def struck(self, response_id: str) -> bool:
        """Whether it is so."""
        return response_id in self._struck

    def line_lost(self) -> None:
        """Nothing of what was under way on the model line comes any more."""
        self.refusing = False
