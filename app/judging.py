"""From the guardrails of a document to a call's plan, and to who is asked. Used by ``assembly``
and ``main``.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from app.agents.document import Agent
from app.agents.guardrails import (
    BlocklistRule,
    ClassifierRule,
    Guardrails,
    JailbreakRule,
    ModerationRule,
    consequence,
)
from app.call.blocklist import blocklist
from app.call.plan import GuardPlan, RulePlan
from app.call.verdicts import JAILBREAK
from app.errors import ModelFault
from app.runtime.ports import Judge
from app.settings import Settings

if TYPE_CHECKING:
    from app.services.analyst import Judges


def plan(agent: Agent) -> GuardPlan | None:
    """What is looked at in a call with this agent; None where nobody looks."""
    written = agent.guardrails
    rules = () if written is None else tuple(_rules(written, agent))
    if written is None or not rules:
        return None
    asked = [rule.timeout_ms for rule in written.input if not isinstance(rule, BlocklistRule)]
    for rule in rules:
        blocklist(rule.words)  # Made now, and not when somebody is on the telephone.
    return GuardPlan(
        rules,
        debounce_chars=written.debounce_text_length,
        words_ms=max(asked, default=GuardPlan(()).words_ms),
        most=written.limit.trips,
        then=consequence(written.limit.then, agent.targets),
    )


def _rules(written: Guardrails, agent: Agent) -> list[RulePlan]:
    return [
        RulePlan(
            name,
            rule.type,
            side,
            consequence(rule.then or ("cancel" if side == "output" else "refuse"), agent.targets),
            rule.say or written.say,
            words=rule.words if isinstance(rule, BlocklistRule) else (),
            closed=not isinstance(rule, BlocklistRule) and rule.on_error == "closed",
        )
        for name, side, _, rule in written.named()
    ]


def judge(settings: Settings) -> Callable[[Agent], Judge]:
    """Who is asked about the rules of an agent: one set of places for all calls."""
    key = settings.openai_api_key

    @cache
    def judges() -> "Judges":
        # Half a second and 25 MB, for the agents only whose rules ask a model.
        from app.services.analyst import Judges  # noqa: PLC0415

        return Judges(
            api_key=key.get_secret_value() if key else "", base_url=settings.openai_base_url
        )

    def of(agent: Agent) -> Judge:
        named = () if agent.guardrails is None else agent.guardrails.named()
        rules = {
            name: (side, rule)
            for name, side, _, rule in named
            if not isinstance(rule, BlocklistRule)
        }
        asked = judges() if rules and key else None

        async def ask(name: str, text: str) -> bool:
            if asked is None or name not in rules:
                raise ModelFault("not_configured")
            return await _asked(asked, *rules[name], text)

        return ask

    return of


async def _asked(
    judges: "Judges", side: str, rule: ModerationRule | ClassifierRule | JailbreakRule, text: str
) -> bool:
    if isinstance(rule, ModerationRule):
        return await judges.moderated(text, model=rule.model, timeout_ms=rule.timeout_ms)
    description = rule.description if isinstance(rule, ClassifierRule) else JAILBREAK
    return await judges.classified(
        description, text, side=side, model=rule.model, timeout_ms=rule.timeout_ms
    )
