"""From an agent document to an edition of the roster: each agent with all it takes to answer.

Everything a call shares with others is made here, once. Raises what the document's mistakes
raise, and changes nothing: who holds an edition already keeps it.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import WeakSet
from zoneinfo import ZoneInfo

from app import assembly
from app.agents.document import Agent
from app.agents.load import AgentDocument, Role
from app.agents.texting import CALLER
from app.built_ins import Run, form_of, with_form, without_targets
from app.call.built_in import UPDATE_FORM
from app.call.filling import filled
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.protocol.realtime_client_events import SessionConfig
from app.runtime.effects import nobody_judges
from app.runtime.forms import Forms, briefed
from app.runtime.line import Line
from app.runtime.live_call import LiveCall
from app.runtime.orders import form_of as ordered_form
from app.runtime.ports import Feed, Judge, ModelLine
from app.runtime.reception import country_of
from app.runtime.roster import Edition
from app.runtime.values import Lore
from app.runtime.ways import unavailable
from app.tools.registry import CallFacts, Registry
from app.tools.texts import Allowed

Stand = Callable[[Callable[[], Coroutine[Any, Any, None]], str], None]
"""Has work stand under a name: ``Standing.begin``."""
Connect = Callable[[SessionConfig, Feed, int], Coroutine[Any, Any, ModelLine]]
"""Open a model line: ``(session, feed, timeout_ms)``."""


@dataclass(frozen=True)
class Editor:
    """Makes editions, with what does not depend on the document."""

    origin: str
    connect: Connect
    tools: Callable[..., Registry]
    """The operator's tools: ``(document, agent=…)``; raises ``ToolFault``."""
    carried_out: Callable[[Agent], Mapping[str, Run]]
    """Who carries out the built-in tools of an agent."""
    process: str = ""
    """As in ``Scripts``."""
    dials: bool = False
    """Calls can be placed."""
    local_line: bool = False
    zones: Callable[[str], Sequence[ZoneInfo]] = lambda _number: ()
    """Where a number may be."""
    judge: Callable[[Agent], Judge] = lambda _agent: nobody_judges
    """Who says whether something is against a rule of an agent."""
    stand: Stand = lambda _work, _name: None
    """Has a coroutine run until the application ends, or it does."""
    _new: list[Registry] = field(default_factory=list, init=False, repr=False)
    """The tools of an edition that is being made."""
    _made: WeakSet[Registry] = field(default_factory=WeakSet, init=False, repr=False)
    """The tools of every edition that somebody still holds."""

    def edition(self, document: AgentDocument) -> Edition:
        """Raises ``ToolFault``."""
        self._new.clear()  # What an edition that was refused has left.
        lines: dict[str, Line] = {}
        numbers = assembly.lines(document, all_others=self.local_line)
        edition = Edition(document.version, lines, numbers)
        for role in document.roles:
            lines[assembly.called(role)] = self._line(document, role, edition.line)
        for tools in self._new:
            for label, one in tools.servers.items():
                self.stand(one.run, f"mcp-{label}")
        self._new.clear()
        return edition

    def _line(
        self, document: AgentDocument, role: Role, colleague: Callable[[str, str], Line]
    ) -> Line:
        agent = role.agent
        tools = self.tools(document, agent=agent)
        self._made.add(tools)
        self._new.append(tools)
        session = assembly.session(agent, tools, dials=self.dials)
        return Line(
            assembly.plan(agent, dials=self.dials, sounds=role.sounds),
            assembly.scripts(agent, self.origin, process=self.process),
            document.version,
            role.name,
            open_model=partial(self._open_model, agent, partial(_now, session, tools)),
            listed=partial(assembly.listed, agent, tools),
            servers=tools.listed,
            run_tool=partial(_run_tool, tools, self.carried_out(agent)),
            approval=tools.approval_ms,
            judge=self.judge(agent),
            sounds=role.sounds,
            texts=_texts(agent),
            lore=self._lore(agent, role.number),
            colleague=colleague,
            resume_s=agent.timeouts.resume / 1000,
        )

    def _lore(self, agent: Agent, number: str) -> Lore:
        numbers = agent.numbers or {}
        labels = {name: one.label for name, one in numbers.items() if one.label}
        hours = (one.hours for name, one in numbers.items() if number in {"", name} and one.hours)
        clock = next((agent.hours[name].timezone for name in hours), "UTC")
        return Lore(agent.variables, labels, ZoneInfo(clock), self.zones, country_of)

    def close(self) -> None:
        """Nobody's tools begin anything more."""
        for tools in self._made:
            tools.close()

    async def _open_model(
        self,
        agent: Agent,
        now: Callable[[], SessionConfig],
        call: LiveCall,
        feed: Feed,
        timeout_ms: int,
    ) -> ModelLine:
        session = now()
        hidden = unavailable(call)
        if hidden:
            session = replace(session, tools=without_targets(agent, session.tools, hidden))
        session = replace(session, instructions=filled(session.instructions, call.values))
        ordered = ordered_form(call.report.order)
        if ordered is not None:
            session = replace(session, tools=with_form(session.tools, ordered))
        session = briefed(session, ordered or form_of(agent), call)
        return await self.connect(session, feed, timeout_ms)


def _now(session: SessionConfig, tools: Registry) -> SessionConfig:
    """The session with what servers of tools offer at the moment."""
    theirs = [one.schema for offered in tools.listed().values() for one in offered.values()]
    return replace(session, tools=(*session.tools, *theirs)) if theirs else session


async def _run_tool(
    tools: Registry, built_in: Mapping[str, Run], call: LiveCall, wish: RunTool
) -> ToolDone:
    ordered = ordered_form(call.report.order) if wish.name == UPDATE_FORM else None
    if ordered is not None:
        return await Forms(ordered).run(call, wish)
    if wish.name in built_in:
        return await built_in[wish.name](call, wish)
    facts = CallFacts(
        call_id=call.call_id,
        call_sid=call.facts.call_sid,
        caller=call.facts.from_number,
        line=call.facts.to_number,
        values=lambda: call.values,
    )
    outcome = await tools.run(wish.name, wish.arguments, facts)
    if outcome.variables:
        call.tell(call.now_ms(), "variables.saved", {"variables": dict(outcome.variables)})
    return ToolDone(
        wish.tool_call_id,
        outcome.output,
        ok=outcome.ok,
        background=outcome.background,
        elapsed_ms=outcome.elapsed_ms,
        source=outcome.source,
        error=outcome.error,
    )


def _texts(agent: Agent) -> Allowed | None:
    """What the document says of text messages."""
    sms = agent.sms
    if sms is None:
        return None
    return Allowed(
        from_=sms.from_,
        to={name: "" if name == CALLER else agent.targets[name].to for name in sms.to},
        media={name: one.url for name, one in sms.media.items()},
        segments=sms.segments,
        per_call=sms.per_call,
        as_caller_text=sms.as_caller_text,
        answer=sms.answer,
    )
