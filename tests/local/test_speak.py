"""The local model's voice: whatever is missing, the next rung speaks."""

import shutil
from pathlib import Path

import pytest

from app.audio import mulaw
from app.emulators.demo_voice import VoiceFault
from app.local import stock
from app.local.prompts import Prompts, needed, pack
from app.local.speak import PAUSE_MS, Engine, Program, Voice, espeak, flite
from scripts.render_prompts import lines


class Counting:
    """An engine that says tones and counts, or fails."""

    def __init__(self, rung: str = "counting", *, fails: bool = False) -> None:
        self.rung = rung
        self.fails = fails
        self.asked: list[str] = []

    async def sentence(self, text: str) -> bytes:
        """Its letters as bytes."""
        self.asked.append(text)
        if self.fails:
            raise VoiceFault("no voice today")
        return text.encode()


def test_every_stock_line_was_rendered_in_advance() -> None:
    """Run scripts/render_prompts.py after changing a line, or the first call is silent there."""
    stored = Prompts.stored()

    assert set(needed(stock.LINES)) <= set(needed(lines())) <= set(stored._places)


async def test_stored_lines_are_speech_and_not_silence() -> None:
    """A file that was packed wrongly would still have the right length."""
    stored = Prompts.stored()

    for sentence in needed(stock.LINES):
        sound = await stored.sentence(sentence)
        assert mulaw.rms(sound) > 1000, sentence


async def test_what_was_packed_is_found_again() -> None:
    """Places are counted in bytes of one file."""
    index, sound = pack({"One.": b"\x01\x02", "Two.": b"\x03"})
    assert index.startswith("[")

    stored = Prompts({"One.": (0, 2), "Two.": (2, 1)}, sound)

    assert await stored.sentence("Two.") == b"\x03"


async def test_a_sentence_is_made_once() -> None:
    """Fixed lines cost nothing at call time."""
    engine = Counting()
    voice = Voice([engine], Prompts({}, b""))

    first = await voice.say("Hello. Hello. Bye.")
    again = await voice.say("Hello. Hello. Bye.")

    assert first == again == mulaw.silence(PAUSE_MS).join([b"Hello.", b"Hello.", b"Bye."])
    assert engine.asked == ["Hello.", "Bye."]


async def test_a_failing_engine_is_mended_by_the_next() -> None:
    """A voice server that is down must not take the agent's voice away."""
    stored = Prompts({"Hello.": (0, 3)}, b"abc")
    voice = Voice([Counting(fails=True)], stored)

    assert voice.rung == "counting"
    assert await voice.say("Hello. Nobody rendered this.") == b"abc"


@pytest.mark.parametrize("engine", [flite(), espeak()], ids=["flite", "espeak-ng"])
async def test_a_program_speaks_at_the_usual_loudness(engine: Engine | None) -> None:
    """Recognition and people both expect about -20 dBFS."""
    if engine is None:
        pytest.skip("not installed")

    sound = await engine.sentence("--help is what I need, -o really.")

    assert 2000 < mulaw.rms(sound) < 4000
    assert len(sound) > 8000


async def test_a_program_that_fails_says_which_and_why(tmp_path: Path) -> None:
    """The log is where somebody looks for the missing voice."""
    shell = shutil.which("sh")
    assert shell is not None
    engine = Program("broken", [shell, "-c", "echo no sound card >&2; exit 3"])

    with pytest.raises(VoiceFault, match="broken failed: no sound card"):
        await engine.sentence("Hello.")


async def test_what_no_program_can_be_given_is_left_to_the_next_rung() -> None:
    """A tool's output may hold a zero byte or half a character; the call must survive it."""
    voice = Voice([Program("cat", ["/bin/echo"])], Prompts({}, b""))

    assert await voice.say("nothing\x00here") == b""
    assert await voice.say("half \ud83d of it") == b""


async def test_a_program_that_was_uninstalled_is_left_to_the_next_rung(tmp_path: Path) -> None:
    """It was there when the ladder was built."""
    voice = Voice([Program("gone", [str(tmp_path / "gone")])], Prompts({"Hi.": (0, 2)}, b"ok"))

    assert await voice.say("Hi.") == b"ok"


async def test_the_same_sentence_of_two_calls_counts_once() -> None:
    """Counted twice the store would believe itself full, and in the end fail for being empty."""
    voice = Voice([Counting()], Prompts({}, b""))

    voice._keep(("counting", "Hello."), b"123")
    voice._keep(("counting", "Hello."), b"1234")

    assert voice._kept_bytes == 4


async def test_what_a_fallback_said_is_not_kept_for_longer_than_it_is_needed() -> None:
    """A server that was started late spoke every line but those it had missed once."""
    server, program = Counting("server", fails=True), Counting("program")
    voice = Voice([server, program], Prompts({}, b""))

    await voice.say("Hello.")
    await voice.say("Hello.")
    server.fails = False
    await voice.say("Hello.")
    await voice.say("Hello.")

    assert server.asked == ["Hello."] * 3
    assert program.asked == ["Hello."]
