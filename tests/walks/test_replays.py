"""Webhooks that come again: a signature has no time in it, so a repeat must do no harm."""

from pathlib import Path

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from tests.walks.stage import stage


async def test_a_repeated_voice_webhook_does_nothing_to_a_live_call(tmp_path: Path) -> None:
    """Twilio repeats, and whoever captured a webhook can: the caller must not notice."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(300)

        status, document = await s.post("/incoming-call", call.form())

        assert status == 200
        assert "<Stream" in document
        await call.heard_at_least(900)
        assert len(s.openai.connections) == 1
        await call.hang_up()
        assert (await s.record(call))["end_reason"] == "caller_hangup"

        status, document = await s.post("/incoming-call", call.form())

        assert (status, "<Stream" in document) == (200, False)
        assert len(s.openai.connections) == 1
        await s.all_closed()
        call.assert_clean()
