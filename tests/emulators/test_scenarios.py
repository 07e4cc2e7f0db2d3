"""The demonstration's scenarios: their ear, their names, and that they can fail."""

import audioop
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.audio import mulaw
from app.audio.tones import tone
from app.emulators.__main__ import cli
from app.emulators.demo_story import Screen
from app.emulators.phone_sounds import keys
from app.emulators.scenarios import ear
from app.emulators.scenarios.given import PLAYS, chosen, give
from app.emulators.scenarios.stage import Play, Stage, script

AGENT_HZ, MUSIC_HZ = 1500, 1000


def mixed(one: bytes, other: bytes) -> bytes:
    """Both at once."""
    return mulaw.encode(audioop.add(mulaw.decode(one), mulaw.decode(other), 2))


def test_the_ear_tells_how_long_a_tone_was_heard_by_itself() -> None:
    """Where it begins, too; silence and other tones are neither."""
    sound = mulaw.silence(60) + tone(AGENT_HZ, 400) + tone(MUSIC_HZ, 200)

    assert ear.lasts_ms(sound, AGENT_HZ) == 400
    assert ear.begins(sound, AGENT_HZ) == 60 * 8
    assert ear.lasts_ms(sound, 600) == 0
    assert ear.begins(sound, 600) is None


def test_what_must_not_be_heard_is_found_under_what_is() -> None:
    """Music at half the loudness of the agent; the agent alone leaves no trace of it."""
    agent = tone(AGENT_HZ, 400)

    assert ear.trace_ms(mixed(agent, tone(MUSIC_HZ, 400, amplitude=4000)), MUSIC_HZ) == 400
    assert ear.trace_ms(agent, MUSIC_HZ) == 0


def test_the_ear_tells_keys_from_voices() -> None:
    """Each once, however long it is held; the same key twice is two."""
    sound = mulaw.silence(30) + keys("4217", 200) + tone(AGENT_HZ, 200) + keys("99*D", 200)

    assert ear.keys(sound) == "421799*D"
    assert ear.keys(tone(697, 200) + tone(1209, 200)) == ""


def test_a_scenario_that_is_unknown_is_named_with_those_that_are() -> None:
    """And each has a name of its own."""
    assert chosen(["all"]) == list(PLAYS)
    assert [one.name for one in chosen(["pin", "sms", "pin"])] == ["pin", "sms"]
    assert len({one.name for one in PLAYS}) == len(PLAYS)
    with pytest.raises(ValueError, match=r'no scenario "pins": one of all, warm-accepted'):
        chosen(["pins"])


async def test_a_scenario_that_cannot_be_given_has_failed(tmp_path: Path) -> None:
    """With the reason; the folder, the table and the verdict are there all the same."""

    async def act(_stage: Stage) -> None:
        raise AssertionError

    out = io.StringIO()
    broken = Play("broken", "an agent without instructions", "greeting: 7\n", script(), act)

    assert not await give([broken], tmp_path, Screen(out))
    assert "FAIL broken" in out.getvalue()
    assert "it could be given: the server ended with" in out.getvalue()


def test_a_check_fails_where_something_else_is_heard() -> None:
    """Each kind of them."""
    stage = Stage(None, None, None, None)  # type: ignore[arg-type]
    agent, pin = tone(AGENT_HZ, 400), keys("42", 200)

    stage.hears("agent", agent, AGENT_HZ, 400)
    stage.hears_no("music", agent, MUSIC_HZ)
    stage.keys("keys", pin, "42")
    stage.equal("end", "closed", "closed")
    good, stage.checks = stage.checks, []
    stage.hears("agent", agent, AGENT_HZ, 600)
    stage.hears_no("music", tone(MUSIC_HZ, 100), MUSIC_HZ)
    stage.keys("no keys", pin, "")
    stage.equal("end", "closed", "full")

    assert [one.fault for one in good] == [None] * 4
    assert all(one.fault is not None for one in stage.checks)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--list",), 0, "warm-accepted      a person is asked"),
        (("--scenario", "pins"), 2, 'no scenario "pins"'),
        (("--scenario", "pin", "--kill"), 2, "has servers of its own"),
    ],
)
def test_scenarios_are_chosen_by_name(words: tuple[str, ...], status: int, told: str) -> None:
    """What cannot be given is told before anything is started."""
    typed = CliRunner().invoke(cli, ["demo", *words], terminal_width=200)

    assert typed.exit_code == status
    assert told in typed.output
