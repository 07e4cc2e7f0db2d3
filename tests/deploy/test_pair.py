"""Two processes behind HAProxy as it is shipped: real processes, a real signal.

The calls themselves are ``./scripts/chaos drain``'s; here are the webhooks that begin them.
"""

import importlib
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.needs import needs
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the experiments; they import each other from their own folder."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module(name)


@pytest.mark.parametrize("how", ["terminate", "kill"])
@needs("HAProxy", there=shutil.which("haproxy") is not None)
@pytest.mark.usefixtures("postgres_url")  # skips where there is none
async def test_a_pair_takes_every_call_while_one_of_it_ends(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A deploy in the middle of the day, or a crash: nobody hears that all lines are busy."""
    chaos, edge, voice = (
        script(name, monkeypatch) for name in ("chaos_stage", "bench_edge", "bench_voice")
    )
    plan = voice.Plan(kind="server", calls=60, seconds=0)

    async with chaos.stage(plan, processes=2) as s:
        await edge.incoming_call(s.ports[0], f"CA{0:032x}")
        if how == "kill":
            s.servers[0].kill()
        else:
            chaos.terminate(s.servers[0])
        port = s.carrier.port
        answers = [await edge.incoming_call(port, f"CA{one:032x}") for one in range(1, 40)]

        if how == "terminate":
            assert not s.servers[0].ended()
            assert await edge.get(s.ports[0], "/ready") == 503
            assert await edge.get(s.ports[0], "/health") == 200
        assert s.errors() == 0

    # Raised NotAnsweredError otherwise; how many were sent on depends on HAProxy's clock.
    assert len(answers) == 39


async def test_a_call_goes_on_when_its_model_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge is judged: it must see calls go on, and who was told what."""
    experiment = script("chaos_model", monkeypatch)

    rows = {row.figure: row for row in await experiment.run(2)}

    assert rows["calls that go on with memory"].met
    assert rows["calls lost"].met
