"""Which ears, wits and voice the local model has: the best of what is there.

    hearing    STT_BASE_URL -> grammar -> any words -> typed text and keypad
    thinking   LLM_BASE_URL -> scenario file -> rules of the agent document
    speaking   TTS_BASE_URL -> flite -> espeak-ng -> lines rendered in advance -> captions

What is taken is decided once, at the start, and told; what fails later falls to the next rung
for that turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from app.audio import mulaw
from app.local import stock
from app.local.hear import Ears, intent_of
from app.local.intents import COMMON
from app.local.llm import LanguageModel
from app.local.ports import Hear, Speak, Think
from app.local.prompts import Prompts
from app.local.remote import ANSWER_S, Remote
from app.local.scenario_file import Scenario, Scripted, load
from app.local.speak import SENTENCE_S, Engine, Server, Voice, espeak, flite
from app.local.think import Rules


@dataclass(frozen=True, slots=True)
class Offers:
    """What the operator has set; empty texts are absent."""

    hear: tuple[str, str, str] = ("", "", "")
    """URL, key, model."""
    think: tuple[str, str, str] = ("", "", "")
    """URL, key, model."""
    speak: tuple[str, str, str, str] = ("", "", "", "")
    """URL, key, model, voice."""
    scenario: str = ""


class Ladder:
    """What all calls share, and a new set of ports for each. Use it with ``async with``."""

    def __init__(self, offers: Offers) -> None:
        """Raises ``ScenarioFault`` when there is a scenario and it cannot be used."""
        self._remotes: list[Remote] = []
        self._scenario: Scenario | None = load(offers.scenario) if offers.scenario else None
        self._llm = self._remote("LLM_BASE_URL", *offers.think[:2])
        self._llm_model = offers.think[2] or "default"
        self._ears = Ears(self._remote("STT_BASE_URL", *offers.hear[:2]), offers.hear[2])
        self._voice = Voice(self._engines(offers), Prompts.stored())

    async def __aenter__(self) -> Self:
        """Hear something once: the first turn of a call is no time to load what all share."""
        ears = Ears().of_call()
        ears.begin(COMMON)
        ears.feed(mulaw.decode(await Prompts.stored().sentence(stock.GOODBYE.split(". ")[-1])))
        await ears.end()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for remote in self._remotes:
            await remote.close()

    def hear(self) -> Hear:
        """Ears for a call."""
        return self._ears.of_call()

    def think(self) -> Think:
        """Wits for a call."""
        rules = Rules(intent_of)
        thinking: Think = Scripted(self._scenario, rules) if self._scenario else rules
        if self._llm is None:
            return thinking
        return LanguageModel(self._llm, self._llm_model, thinking)

    def speak(self) -> Speak:
        """The voice, which calls share."""
        return self._voice

    def rungs(self) -> dict[str, str]:
        """What was taken, for the log and the page."""
        return {
            "hear": self.hear().rung,
            "think": self.think().rung,
            "speak": self._voice.rung,
        }

    def _engines(self, offers: Offers) -> Sequence[Engine]:
        url, key, model, voice = offers.speak
        remote = self._remote("TTS_BASE_URL", url, key, SENTENCE_S)
        server = Server(remote, model, voice) if remote is not None else None
        return [engine for engine in (server, flite(), espeak()) if engine is not None]

    def _remote(
        self, setting: str, url: str, key: str, within_s: float = ANSWER_S
    ) -> Remote | None:
        if not url:
            return None
        remote = Remote(setting, url, key, within_s=within_s)
        self._remotes.append(remote)
        return remote
