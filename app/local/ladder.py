"""Which ears, wits and voice the local model has: the best of what is there.

    hearing    STT_BASE_URL -> grammar -> any words -> typed text and keypad
    thinking   LLM_BASE_URL -> scenario file -> rules of the agent document
    speaking   TTS_BASE_URL -> flite -> espeak-ng -> lines rendered in advance -> captions

What is taken is decided once, at the start, and told; what fails later falls to the next rung
for that turn, which is told as well, and so is its return.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog

from app.audio import mulaw
from app.local import stock
from app.local.budget import HEARS_SHARE, THINKS_SHARE
from app.local.decoding import available
from app.local.hear import Ears, intent_of
from app.local.intents import COMMON
from app.local.llm import LanguageModel
from app.local.ports import Hear, Speak, Think
from app.local.prompts import Prompts
from app.local.remote import ANSWER_S, Remote
from app.local.scenario_file import Scenario, Scripted, load
from app.local.spares import SPARES
from app.local.speak import SENTENCE_S, Engine, Server, Voice, espeak, flite
from app.local.think import Rules

log = structlog.get_logger("local_model")


def _nobody(_told: Mapping[str, Any]) -> None:
    """Nobody wants to know."""


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

    def __init__(
        self,
        offers: Offers,
        changed: Callable[[Mapping[str, Any]], None] = _nobody,
        *,
        sessions: int = 1,
    ) -> None:
        """``changed`` is told ``rungs()`` whenever another one serves, from the loop's thread.

        Raises ``ScenarioFault`` when there is a scenario and it cannot be used.
        """
        self._changed = changed
        self._sessions = sessions
        self._remotes: list[Remote] = []
        self._scenario: Scenario | None = load(offers.scenario) if offers.scenario else None
        self._llm = self._remote("LLM_BASE_URL", *offers.think[:2], share=THINKS_SHARE)
        self._llm_model = offers.think[2] or "default"
        stt = self._remote("STT_BASE_URL", *offers.hear[:2], share=HEARS_SHARE)
        self._hears_elsewhere = stt is not None
        self._ears = Ears(stt, offers.hear[2], partial(self._took, "hear"))
        self._voice = Voice(self._engines(offers), Prompts.stored(), partial(self._took, "speak"))
        self._serving = {
            "hear": self.hear().rung,
            "think": self.think().rung,
            "speak": self._voice.rung,
        }
        self._why: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        """Hear something once: the first turn of a call is no time to load what all share."""
        if available():
            SPARES.keep(self._sessions if self._streams_any_words else 1)
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

    @property
    def _streams_any_words(self) -> bool:
        """Any words are decoded as they are spoken, in all calls at once.

        What a speech-to-text server failed at is decoded in one go, by one call at a time; a
        caller of the rules is seldom asked for any words.
        """
        return self._llm is not None and not self._hears_elsewhere

    def hear(self) -> Hear:
        """Ears for a call."""
        return self._ears.of_call()

    def think(self) -> Think:
        """Wits for a call."""
        rules = Rules(intent_of)
        thinking: Think = Scripted(self._scenario, rules) if self._scenario else rules
        if self._llm is None:
            return thinking
        took = partial(self._took, "think")
        return LanguageModel(self._llm, self._llm_model, thinking, took)

    def speak(self) -> Speak:
        """The voice, which calls share."""
        return self._voice

    def rungs(self) -> dict[str, Any]:
        """What served last, or will first; ``why``: what is the matter with better ones."""
        return {**self._serving, "why": dict(self._why)}

    def _took(self, part: str, rung: str, why: str) -> None:
        """A port was served by ``rung``: told where that is news, by whichever call."""
        if self._serving[part] == rung and bool(self._why.get(part)) is bool(why):
            return
        self._serving[part] = rung
        self._why.pop(part, None)
        if why:
            self._why[part] = why
        log.info("rung_changed", part=part, rung=rung)  # the port that fell has said why
        self._changed(self.rungs())

    def _engines(self, offers: Offers) -> Sequence[Engine]:
        url, key, model, voice = offers.speak
        remote = self._remote("TTS_BASE_URL", url, key, within_s=SENTENCE_S)
        server = Server(remote, model, voice) if remote is not None else None
        return [engine for engine in (server, flite(), espeak()) if engine is not None]

    def _remote(
        self, setting: str, url: str, key: str, *, within_s: float = ANSWER_S, share: float = 1
    ) -> Remote | None:
        if not url:
            return None
        remote = Remote(setting, url, key, within_s=within_s, share=share)
        self._remotes.append(remote)
        return remote
