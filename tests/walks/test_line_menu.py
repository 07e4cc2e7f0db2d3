"""Callers choose a language before a model costs anything: row C12."""

from pathlib import Path

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from app.emulators.twilio import Pace
from tests.walks.stage import stage

AGENT = """
agents:
  desk: {instructions: You are the desk., greeting: Hello.}
  accueil: {instructions: Vous répondez., greeting: Bonjour.}
numbers:
  "*":
    agent: desk
    menu:
      choices:
        "1": {say: For English press 1., language: en-US}
        "2": {say: "Pour le français, tapez 2.", language: fr-FR, agent: accueil}
"""
PACE = Pace(pause_factor=0.02, say_ms_per_character=0)


async def test_c12_a_key_picks_the_language_and_who_answers(tmp_path: Path) -> None:
    """Menu press 2 is French, no key is as without a menu; no line is opened before."""
    openai = RealtimeEmulator(Receptionist(), pace=0)
    async with stage(openai, tmp_path, agent=AGENT, twilio={"pace": PACE}) as s:
        french = await s.twilio.call()
        await french.until(lambda: len(french.said) == 2)
        asked_before = s.openai.attempts
        await french.press("2")
        await french.heard_at_least(100)
        told = s.session.client_events.of("session.update")[0]["session"]["instructions"]
        await french.hang_up()
        silent = await s.twilio.call()
        await silent.heard_at_least(100)
        await silent.hang_up()

        assert asked_before == 0
        assert french.said == ["For English press 1.", "Pour le français, tapez 2."]
        assert "Vous répondez." in told
        record, other = await s.record(french), await s.record(silent)
        assert (record["language"], record["agents"][0]["name"]) == ("fr-FR", "accueil")
        assert (other["language"], other["agents"][0]["name"]) == (None, "desk")
        french.assert_clean()
        silent.assert_clean()
