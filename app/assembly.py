"""From the agent document to what each floor needs of it. Used by ``main`` alone.

The document is read once at start; calls read plain values made here.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app import built_ins, judging
from app.agents.document import Agent, Voice
from app.agents.dtmf import DtmfPreset, DtmfSend
from app.agents.load import AgentDocument, Role
from app.agents.numbers import ANY, QUEUE, TAKE_MESSAGE, Full, Menu, Number
from app.agents.numbers import GOODBYE as ENDS
from app.agents.numbers import Instead as Wanted
from app.agents.targets import Target
from app.agents.timeouts import Silence
from app.agents.tooling import HttpTool, McpTool
from app.audio.mixing import Sound
from app.call.line_menu import Choice, LineMenu
from app.call.notices import asked_for
from app.call.plan import (
    BillPlan,
    CallPlan,
    DigitsPreset,
    MenuPlan,
    PressPlan,
    RecordingPlan,
    SilencePlan,
    SoundPlan,
    ToolPlan,
    WarmPlan,
)
from app.call.prices import OWN_LIST, PRICE_LIST, PRICES, Price
from app.call.reception import LEAVE, Instead, LinePlan, Lines, Lobby, Lookup
from app.call.templates import parse
from app.call.ways import KNOWN
from app.call.whereto import REQUESTED
from app.protocol.realtime_client_events import SessionConfig
from app.protocol.twiml import Fallback
from app.runtime.scripts import Destination, Scripts, message
from app.tools.builtin import CODE_PRESET
from app.tools.registry import Registry

MESSAGE_COMES_MS = 60_000
"""So long the caller may wait for the message with the code, and look for it."""
_NO_SOUNDS: Mapping[str, Sound] = {}


def listed(agent: Agent, tools: Registry) -> dict[str, ToolPlan]:
    """How the tools behave that servers offer now."""
    return {
        name: ToolPlan(_one_of(agent.tools[label].say_while_running))
        for label, theirs in tools.listed().items()
        for name in theirs
    }


def plan(
    agent: Agent, *, dials: bool = False, sounds: Mapping[str, Sound] = _NO_SOUNDS
) -> CallPlan:
    """The policies of a call with this agent. ``dials``: calls can be placed.
    ``sounds`` are those of its document."""
    greeting = agent.greeting
    return CallPlan(
        greeting=greeting.text if greeting else None,
        greeting_verbatim=greeting is None or greeting.mode == "verbatim",
        tools={
            name: ToolPlan(
                random.choice(tool.say_while_running) if tool.say_while_running else None,
                only_reads=isinstance(tool, HttpTool) and tool.method == "GET",
            )
            for name, tool in agent.tools.items()
            if not isinstance(tool, McpTool)
        }
        | built_ins.planned(agent, dials=dials),
        targets=tuple(agent.targets),
        offered=None if agent.built_ins is None else tuple(agent.offered_targets),
        warm={
            name: WarmPlan(one.ring_timeout_ms, one.on_failure.then, one.on_failure.say)
            for name, one in agent.targets.items()
            if one.mode == "warm"
        },
        modes={
            name: one.mode
            for name, one in agent.targets.items()
            if one.mode not in {"cold", "warm"}
        },
        presets=_presets(agent),
        **_interruptions(agent),
        sounds={name: SoundPlan(one.length_bytes, one.loop) for name, one in sounds.items()},
        presses=_presses(agent.dtmf.send or DtmfSend()),
        may_press=agent.dtmf.send is not None,
        menus=_menus(agent.dtmf.send),
        may_hold=agent.hold_audio is not None,
        handoffs=agent.handoffs,
        max_tool_rounds=agent.max_tool_rounds,
        recording=_recording(agent),
        silence=_silence(agent.timeouts.silence),
        filler_after_ms=agent.timeouts.thinking.filler_after_ms or None,
        give_up_ms=agent.timeouts.thinking.give_up_after_ms,
        max_call_ms=agent.timeouts.max_call_ms or None,
        bill=_bill(agent),
        guard=judging.plan(agent),
    )


def _bill(agent: Agent) -> BillPlan | None:
    """None where nobody knows what the model costs."""
    limits = agent.limits
    most = None if limits.cost_per_call is None else round(limits.cost_per_call * 1_000_000)
    if limits.prices is not None:
        return BillPlan(Price(**limits.prices.model_dump()), OWN_LIST, most)
    price = PRICES.get(agent.model)
    return None if price is None else BillPlan(price, PRICE_LIST, most)


def _silence(silence: Silence) -> SilencePlan | None:
    if not silence.after_ms:
        return None
    return SilencePlan(silence.after_ms, silence.say, silence.times, silence.then)


def _recording(agent: Agent) -> RecordingPlan | None:
    wanted = agent.recording
    if wanted is None or not wanted.enabled:
        return None
    announcement = wanted.announcement if wanted.consent == "announce" else ""
    return RecordingPlan(announcement, wanted.channels, wanted.pause_during)


def _menus(send: DtmfSend | None) -> MenuPlan | None:
    if send is None or send.menus is None:
        return None
    return MenuPlan(send.menus.pause_ms, send.menus.then == "end_call")


def _presses(send: DtmfSend) -> PressPlan:
    return PressPlan(send.via == "play", send.duration_ms, send.gap_ms, send.level)


def _interruptions(agent: Agent) -> dict[str, Any]:
    return {
        "interruptible": agent.interruptible,
        "greeting_interruptible": agent.greeting.interruptible if agent.greeting else None,
        "min_interruption_ms": agent.min_interruption_ms,
        "echo_guard": agent.echo_guard,
    }


def _one_of(phrases: tuple[str, ...]) -> str | None:
    return random.choice(phrases) if phrases else None


def session(agent: Agent, tools: Registry, *, dials: bool = False) -> SessionConfig:
    """The Realtime session of this agent, tools included."""
    by_server = CallPlan(**_interruptions(agent)).server_takes_turns
    return SessionConfig(
        model=agent.model,
        instructions=agent.instructions,
        voice=_voice(agent.voice),
        speed=agent.voice.speed,
        turn_detection={
            **agent.turn_detection.model_dump(),
            "create_response": by_server,
            "interrupt_response": by_server,
        },
        noise_reduction=agent.noise_reduction.model_dump() if agent.noise_reduction else None,
        transcription=_transcription(agent),
        tools=(*tools.schemas(), *built_ins.offered(agent, dials=dials)),
        reasoning=agent.reasoning.model_dump() if agent.reasoning else None,
    )


def _voice(voice: Voice) -> str | dict[str, str]:
    return {"id": voice.id} if voice.id else (voice.name or "marin")


def _transcription(agent: Agent) -> dict[str, Any] | None:
    if agent.transcription is None:
        return None
    given = agent.transcription.model_dump(exclude_none=True)
    if given["model"] == "gpt-transcribe" and "language" in given:
        # This model takes a list, also of one (openai_realtime 4.5).
        given["languages"] = (given.pop("language"),)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v}


def _presets(agent: Agent) -> dict[str, DigitsPreset]:
    presets = {name: _preset(preset) for name, preset in agent.dtmf.presets.items()}
    if agent.verification is not None:
        presets[CODE_PRESET] = DigitsPreset(
            num_digits=agent.verification.digits,
            first_digit_timeout_ms=MESSAGE_COMES_MS,
            sensitive=True,
        )
    return presets


def _preset(preset: DtmfPreset) -> DigitsPreset:
    return DigitsPreset(
        num_digits=preset.num_digits,
        min_digits=preset.min_digits or 1,
        max_digits=preset.max_digits,
        finish_on_key=preset.finish_on_key or "",
        first_digit_timeout_ms=preset.first_digit_timeout_ms,
        inter_digit_timeout_ms=preset.inter_digit_timeout_ms,
        ignore_speech=preset.ignore_speech,
        stop_after=preset.stop_after,
        sensitive=preset.sensitive,
        choices=dict(preset.choices),
        retries=preset.retries,
    )


def scripts(agent: Agent, origin: str, *, process: str = "") -> Scripts:
    """The TwiML of this agent's line at ``origin``; ``process`` as in ``Scripts``."""
    targets = agent.targets
    destinations = {name: _destination(agent, target) for name, target in targets.items()}
    fallback = Fallback(agent.failure.say)
    if agent.failure.then == TAKE_MESSAGE:
        asked = "say" in agent.failure.model_fields_set
        say = agent.failure.say if asked else f"{agent.failure.say} {LEAVE}"
        fallback = Fallback(say, message=message(origin))
    elif agent.failure_target:
        person = destinations[agent.failure_target]
        fallback = Fallback(agent.failure.say, person.to, person.ring_timeout_s, person.caller_id)
    return Scripts(origin, fallback, destinations, process=process)


def _destination(agent: Agent, target: Target) -> Destination:
    return Destination(
        to=target.to,
        ring_timeout_s=max(5, round(target.ring_timeout_ms / 1000)),
        caller_id=None if target.caller_id == "caller" else target.caller_id,
        say_on_failure=target.on_failure.say,
        then=target.on_failure.then,
        whisper=parse(target.whisper, KNOWN) if target.mode == "warm" else None,
        accept_key=target.accept_key,
        reject_machines=target.reject_machines,
        mode=target.mode,
        headers={name: parse(text, KNOWN) for name, text in target.headers.items()},
        attributes={
            name: parse(given, KNOWN) if isinstance(given, str) else given
            for name, given in target.attributes.items()
        },
        wait_url=target.wait_url,
        target_header=target.target_header,
        told=tuple(one.url for one in agent.webhooks if asked_for(one.events, REQUESTED)),
        opening=agent.hours[target.hours].opening if target.hours else None,
    )


def lines(document: AgentDocument, *, all_others: bool = False) -> Lines:
    """The operator's numbers. ``all_others``: those that are not in the document are answered
    all the same, as on a local line, whose number nobody chose."""
    if document.agent.numbers is None:
        return Lines()
    changed = {role.number: called(role) for role in document.roles if role.number}
    plans = {
        number: replace(_line(agent, one), agent=changed.get(number, name))
        for name, agent in document.agents.items()
        for number, one in (agent.numbers or {}).items()
    }
    others = plans.pop(ANY, LinePlan() if all_others else None)
    return Lines(plans, others)


def called(role: Role) -> str:
    """What the roster calls an agent, everywhere or on one number."""
    return f"{role.name} {role.number}" if role.number else role.name


def _line(agent: Agent, number: Number) -> LinePlan:
    asked = number.before_call
    plan = LinePlan(
        hours=agent.hours[number.hours].opening if number.hours else None,
        countries=frozenset(number.allow_countries) if number.allow_countries else None,
        max_concurrent=number.max_concurrent,
        when_full=_instead(number.when_full) if number.when_full else None,
        lobby=_lobby(number.when_full) if number.when_full else None,
        menu=_menu(number.menu) if number.menu else None,
        before_call=Lookup(asked.url, asked.timeout_ms, asked.then == "continue")
        if asked
        else None,
    )
    return replace(plan, when_closed=_instead(number.when_closed)) if number.when_closed else plan


def _menu(menu: Menu) -> LineMenu:
    choices = {
        key: Choice(one.say, one.language, one.agent or "") for key, one in menu.choices.items()
    }
    return LineMenu(choices, menu.timeout_ms // 1000)


def _lobby(full: Full) -> Lobby | None:
    if full.then != QUEUE:
        return None
    made = Lobby(full.most_waiting, full.longest_wait_ms // 1000)
    return replace(made, otherwise=_instead(full.otherwise)) if full.otherwise else made


def _instead(wanted: Wanted) -> Instead:
    if wanted.then == TAKE_MESSAGE:
        return Instead(wanted.say, takes_message=True)
    return Instead(wanted.say, None if wanted.then in {ENDS, QUEUE} else wanted.then)
