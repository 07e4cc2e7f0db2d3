"""The first walk: a call is answered, greeted, heard and ended, on real sockets."""

from pathlib import Path

from app.audio.tones import strength, tone
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario
from tests.walks.stage import stage


async def test_a_call_is_greeted_answered_and_hung_up(tmp_path: Path) -> None:
    """The thread through everything: TwiML, both sockets, a turn, the record, no leak."""
    script = Scenario(
        [
            Expect(origin="client", instructions_contain="Hello, this is the test line."),
            Reply("Hello, this is the test line.", 800, 440),
            Expect(origin="turn"),
            Reply("You said something.", 700, 880),
        ],
        heard=["Good morning"],
    )
    async with stage(RealtimeEmulator(script), tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(800)
        await call.speak(tone(300, 600), wait=True)
        await call.heard_at_least(1500)

        await call.hang_up()
        record = await s.record(call)
        await s.all_closed()

        heard = call.stream.line.heard
        assert strength(heard[:6000], 440) > 0.5
        assert record["end_reason"] == "caller_hangup"
        texts = [turn["text"] for turn in record["turns"]]
        assert texts == [None, "Good morning"]
        assert record["turns"][1]["responses"][0]["text"] == "You said something."
        call.assert_clean()
        s.openai.assert_clean()
        s.assert_conforms()
