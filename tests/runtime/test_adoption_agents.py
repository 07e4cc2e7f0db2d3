"""A call that another process held when its conversation had been handed to another agent."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.call.plan import CallPlan
from app.call.reception import LinePlan, Lines
from app.protocol.twiml import Fallback
from app.runtime.book import Book
from app.runtime.line import Line
from app.runtime.live_call import LiveCall
from app.runtime.roster import Edition, Roster
from app.runtime.runner import Runner
from app.runtime.scripts import Scripts
from app.services.store.calls import StoredFact
from tests.runtime.test_adoption import row
from tests.runtime.test_draining import Unwritten, _no_task
from tests.runtime.test_signalling import Opened

SCRIPTS = Scripts("https://x.test", Fallback("Sorry."), {})


def colleague(agent: str, _number: str) -> Line:
    """By name."""
    return {"intake": INTAKE, "billing": BILLING}[agent]


CLAIMS, BILLS = CallPlan("Claims.", handoffs=("billing",)), CallPlan(handoffs=("intake",))
INTAKE = Line(CLAIMS, SCRIPTS, "1", agent="intake", colleague=colleague)
BILLING = Line(BILLS, SCRIPTS, "1", agent="billing", colleague=colleague)


def planned(*handed_to: str, lines: tuple[Line, ...] = (INTAKE, BILLING)) -> tuple[str, CallPlan]:
    """Who goes on with a call that was handed to these, and the plan of its next stream."""
    plans: list[CallPlan] = []

    def opened(_call: LiveCall, plan: CallPlan) -> Runner:
        plans.append(plan)
        raise Opened

    told = [
        StoredFact(1, 0, "call.created", {"direction": "inbound", "agent": "intake"}),
        StoredFact(2, 1, "call.stream_started", {"stream": 1, "stream_sid": "MZ1"}),
        *(
            StoredFact(3 + n, 2 + n, "agent.changed", {"agent": name, "reason": ""})
            for n, name in enumerate(handed_to)
        ),
    ]
    edition = Edition(
        "1", {one.agent: one for one in lines}, Lines(others=LinePlan(agent="intake"))
    )
    here = Book(Roster(edition), capacity=9, make_runner=opened, store=Unwritten(), spawn=_no_task)
    call = here.take_over(row(datetime.now(UTC)), told)
    with pytest.raises(Opened):
        here.come_back(call)
    return call.met.agent, plans[0]


async def test_who_had_the_conversation_last_goes_on() -> None:
    """Not who answered the number: the caller is with billing, and may be handed back."""
    agent, plan = planned("billing")

    assert (agent, plan.handoffs) == ("billing", ("intake",))
    assert set(plan.colleagues) == {"intake", "billing"}
    assert planned("billing", "intake")[0] == "intake"


async def test_where_they_are_not_in_the_document_any_more_who_answers_the_number_does() -> None:
    """An operator took them out meanwhile: the caller is not left with nobody."""
    alone = replace(INTAKE, plan=CallPlan("Claims."))

    assert planned("billing", lines=(alone,))[0] == "intake"
