"""The tools that are built in: which agent has them, and who carries them out. One row each.

To add one: its name in ``app.call.built_in``, what the model sees of it in ``app.tools.builtin``,
and a row here. The machine of a call decides what its row does not carry out (``app.call``).
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from app.agents.document import Agent, Callbacks
from app.agents.dtmf import DtmfPreset
from app.agents.targets import Target
from app.agents.texting import SendLink, Sms, Verification
from app.call import built_in as names
from app.call.forms import Form, FormField
from app.call.plan import ToolPlan
from app.jobs.port import Jobs
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.runtime.callbacks import Callbacks as CallingBack
from app.runtime.callbacks import Callees
from app.runtime.forms import Forms
from app.runtime.knowledge import Libraries
from app.runtime.links import Links
from app.runtime.live_call import LiveCall
from app.runtime.outbound import Outbound
from app.runtime.promises import Spawn
from app.runtime.reminders import DUE, Reminders
from app.runtime.texting import Texting
from app.runtime.verification import Codes
from app.runtime.verification import Verification as Verifying
from app.services.store.archive import Archive
from app.tools import builtin as schemas

Run = Callable[[LiveCall, RunTool], Awaitable[ToolDone]]
"""Carry one out, beside the conversation."""


@dataclass(frozen=True, slots=True)
class Means:
    """What carrying them out takes."""

    dialling: Outbound
    archive: Archive
    jobs: Jobs
    texting: Texting
    links: Links
    callees: Callees
    zones: Callable[[str], Sequence[ZoneInfo]]
    """Where a number may be."""
    spawn: Spawn
    libraries: Libraries


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """One of them."""

    name: str
    offer: Callable[[Agent], dict[str, Any] | None]
    """What the model is told of it; None where it could not work with this agent."""
    run: Callable[[Agent, Means], Run] | None = None
    """Who carries it out for this agent; None: the machine decides."""
    dials: bool = False
    """Whether it takes calls to be placed."""


def offered(agent: Agent, *, dials: bool = False) -> list[dict[str, Any]]:
    """What the model is told of them, in Realtime's shape. ``dials``: calls can be placed."""
    able = (one for one in ALL if (dials or not one.dials) and agent.has(one.name))
    made = (one.offer(agent) for one in able)
    return [schema for schema in made if schema is not None]


def planned(agent: Agent, *, dials: bool = False) -> dict[str, ToolPlan]:
    """Those that are run like the operator's tools, for the machine."""
    return {
        name: ToolPlan(only_reads=name == names.SEARCH_KNOWLEDGE)
        for name in _run_for(agent, dials=dials)
    }


def carried_out(agent: Agent, means: Means, *, dials: bool = False) -> Mapping[str, Run]:
    """Those that this agent has and the machine does not decide, by name."""
    return {name: run(agent, means) for name, run in _run_for(agent, dials=dials).items()}


def _run_for(agent: Agent, *, dials: bool) -> dict[str, Callable[[Agent, Means], Run]]:
    has = {schema["name"] for schema in offered(agent, dials=dials)}
    return {one.name: one.run for one in ALL if one.run is not None and one.name in has}


def _transfer_call(agent: Agent) -> dict[str, Any] | None:
    people = agent.offered_targets
    if not people:
        return None
    return _transfer_to(people)


def _transfer_to(targets: Mapping[str, Target]) -> dict[str, Any]:
    told = any(one.told for one in targets.values())
    return schemas.transfer_call(_descriptions(targets), summarised=told)


def without_targets(
    agent: Agent, tools: Sequence[Mapping[str, Any]], hidden: Collection[str]
) -> tuple[Mapping[str, Any], ...]:
    """The tools of a session in which the model knows nothing of these targets."""
    left = {name: one for name, one in agent.offered_targets.items() if name not in hidden}
    shown = [_transfer_to(left)] if left else []
    others = (tool for tool in tools if tool["name"] != names.TRANSFER_CALL)
    return (*others, *shown)


def with_form(tools: Sequence[Mapping[str, Any]], form: Form) -> tuple[Mapping[str, Any], ...]:
    """The tools of a session in which the model fills this form, and no other."""
    others = (tool for tool in tools if tool["name"] != names.UPDATE_FORM)
    return (*others, schemas.update_form(form))


def _descriptions(targets: Mapping[str, Target]) -> dict[str, str]:
    return {name: target.description for name, target in targets.items()}


def _collect_dtmf(agent: Agent) -> dict[str, Any] | None:
    wanted = {name: _how(preset) for name, preset in agent.offered_presets.items()}
    wanted |= _code_wanted(agent.verification)
    return schemas.collect_dtmf(wanted) if wanted else None


def _how(preset: DtmfPreset) -> str:
    """What the model has to know of a preset, to ask for it."""
    count = f"{preset.num_digits} digits" if preset.num_digits else ""
    if preset.max_digits:
        count = f"{preset.min_digits or 1} to {preset.max_digits} digits"
    choices = "; ".join(f"{key} for {what}" for key, what in preset.choices.items())
    ending = "" if preset.num_digits or not preset.finish_on_key else preset.finish_on_key
    told = (
        preset.description,
        choices or count,
        f"to be finished with the key {ending}" if ending else "",
        "secret" if preset.sensitive else "",
    )
    return ", ".join(filter(None, told))


def _code_wanted(verification: Verification | None) -> dict[str, str]:
    if verification is None:
        return {}
    how = f"the code that verify_code has sent, {verification.digits} digits, secret"
    return {schemas.CODE_PRESET: how}


def _send_sms(agent: Agent) -> dict[str, Any] | None:
    return None if agent.sms is None else schemas.send_sms(_texting(agent.sms))


def _texting(sms: Sms) -> schemas.Texting:
    media = {name: one.description or "" for name, one in sms.media.items()}
    return schemas.Texting(sms.to, media, sms.segments)


def _verifying(agent: Agent, means: Means) -> Run:
    given = agent.verification
    codes = Codes()
    if given is not None:
        codes = Codes(given.digits, given.text, given.expires_ms, given.attempts)
    return Verifying(codes, means.texting.send).run


def _calling_back(agent: Agent, means: Means) -> Run:
    """What the agent may promise."""
    allowed = agent.callbacks or Callbacks()
    within = timedelta(milliseconds=allowed.within_ms)
    arranging = CallingBack(
        means.dialling,
        means.archive,
        means.callees,
        means.spawn,
        within=within,
        attempts=allowed.attempts,
    )
    return arranging.run


def _reminding(agent: Agent, means: Means) -> Run:
    told = agent.tells(DUE)
    return Reminders(means.archive, means.jobs, means.zones, means.spawn, tells=told).run


def form_of(agent: Agent) -> Form | None:
    """What this agent fills while it talks; None: nothing."""
    if agent.form is None or not agent.has(names.UPDATE_FORM):
        return None
    fields = (FormField(**one.model_dump()) for one in agent.forms[agent.form].fields)
    return Form(agent.form, tuple(fields))


def _form(agent: Agent) -> dict[str, Any] | None:
    form = form_of(agent)
    return None if form is None else schemas.update_form(form)


def _noting(agent: Agent, _means: Means) -> Run:
    return Forms(form_of(agent) or Form("", ())).run


def _looking_up(agent: Agent, means: Means) -> Run:
    known = agent.knowledge
    paths, most = (known.paths, known.top_k) if known else ((), 1)
    return partial(means.libraries.of(paths).run, most=most)


def _linking(agent: Agent, means: Means) -> Run:
    given = agent.send_link or SendLink()
    return partial(means.links.run, text=given.text, good_for_ms=given.ttl_ms)


ALL = (
    BuiltIn(names.END_CALL, lambda _agent: schemas.end_call()),
    BuiltIn(names.TRANSFER_CALL, _transfer_call),
    BuiltIn(names.COLLECT_DTMF, _collect_dtmf),
    BuiltIn(names.SEND_DTMF, lambda agent: schemas.send_dtmf() if agent.dtmf.send else None),
    BuiltIn(
        names.SCHEDULE_CALLBACK,
        lambda agent: schemas.schedule_callback() if agent.callbacks else None,
        _calling_back,
        dials=True,
    ),
    BuiltIn(
        names.SET_REMINDER,
        lambda agent: schemas.set_reminder() if agent.reminders else None,
        _reminding,
    ),
    BuiltIn(names.HOLD, lambda agent: schemas.hold() if agent.hold_audio else None),
    BuiltIn(names.SEND_SMS, _send_sms, lambda _agent, means: means.texting.run),
    BuiltIn(
        names.VERIFY_CODE,
        lambda agent: schemas.verify_code() if agent.verification else None,
        _verifying,
    ),
    BuiltIn(
        names.SEND_LINK,
        lambda agent: schemas.send_link() if agent.send_link else None,
        _linking,
    ),
    BuiltIn(names.UPDATE_FORM, _form, _noting),
    BuiltIn(
        names.SEARCH_KNOWLEDGE,
        lambda agent: schemas.search_knowledge() if agent.knowledge else None,
        _looking_up,
    ),
    BuiltIn(
        names.HANDOFF,
        lambda agent: schemas.handoff(agent.colleagues) if agent.colleagues else None,
    ),
)
"""In the order in which the model reads them."""
