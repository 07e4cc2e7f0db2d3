"""The failure treatment's person does not answer: the caller hears a sentence, not silence."""

from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import Faults, RealtimeEmulator
from app.emulators.scenario import Scenario
from app.emulators.twilio import DialOutcome, Pace
from app.protocol.twiml import FAREWELL
from tests.walks.stage import NUMBER, stage
from tests.walks.steps import PERSON, SORRY, finish


@pytest.fixture
def broken() -> RealtimeEmulator:
    """A model that lets nobody in."""
    return RealtimeEmulator(Scenario([]), faults=Faults(refuse_status=401))


@pytest.mark.parametrize("kind", ["busy", "no-answer", "failed"])
async def test_a_caller_whom_nobody_helps_hears_goodbye(
    tmp_path: Path, broken: RealtimeEmulator, kind: Any
) -> None:
    """Without a verb behind ``<Dial>`` the line goes dead after the ringing."""
    async with stage(broken, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call(answers={NUMBER: DialOutcome(kind)})

        assert await call.ended() == "hangup"

        assert call.dialled == [NUMBER]
        assert call.said == [SORRY, FAREWELL]
        assert (await finish(s, call))["end_reason"] == "model_failed"


async def test_the_person_has_as_long_as_in_a_transfer(
    tmp_path: Path, broken: RealtimeEmulator
) -> None:
    """The operator's ring timeout holds here too, and not Twilio's."""
    agent = PERSON.replace(
        f'transfer_to: "{NUMBER}"',
        f'transfer_targets:\n  human: {{description: A person., to: "{NUMBER}", ring_timeout: 7s}}',
    )
    twilio = {"pace": Pace(say_ms_per_character=1, pause_factor=0.01)}
    async with stage(broken, tmp_path, agent=agent, twilio=twilio) as s:
        call = await s.twilio.call(answers={NUMBER: DialOutcome(ring_ms=60_000)})

        assert await call.ended() == "hangup"

        assert [one.ring_ms for one in call.dial_results] == [70]
        assert call.said == [SORRY, FAREWELL]


async def test_a_caller_too_many_is_not_left_alone_either(
    tmp_path: Path, broken: RealtimeEmulator
) -> None:
    """Capacity leads to the same person, who may be busy as well."""
    async with stage(broken, tmp_path, agent=PERSON) as s:
        s.board.book.drain()
        call = await s.twilio.call(answers={NUMBER: DialOutcome("busy")})

        assert await call.ended() == "hangup"

        assert call.said == ["All lines are busy. One moment, please.", FAREWELL]
