"""What the caller typed is a turn of theirs."""

from app.call.transcript import Voice
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import on_the_phone, speech, started


def test_a_typed_line_is_the_callers_turn() -> None:
    """It stands in the story as theirs, and is answered."""
    machine = on_the_phone()

    out = machine.handle(e.CallerTyped("Are you open?"), 100)

    assert out == [c.AddMessage("user", "Are you open?"), c.CreateResponse("typed")]
    last = machine.transcript.entries[-1]
    assert (last.voice, last.text, last.at_ms) == (Voice.CALLER, "Are you open?", 100)


def test_a_typed_line_interrupts() -> None:
    """Whoever types while the agent speaks does not want to hear the rest."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(1000), 0)

    out = machine.handle(e.CallerTyped("Stop."), 100)

    assert isinstance(out[0], c.ClearPlayback)
    assert c.AddMessage("user", "Stop.") in out
