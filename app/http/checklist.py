"""The checklist of the first page: all questions at once, beside the calls, asked on demand.

The one rule: however many look at the page, the other computers are asked once at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.http.pages import PhoneSetup
from app.http.steps import (
    Calls,
    Numbers,
    Place,
    Step,
    Told,
    openai,
    public_url,
    real_call,
    talk,
    twilio,
    webhook,
)

AtOnce = Callable[[Sequence[Coroutine[Any, Any, Any]]], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the settings say by themselves."""

    reason: str
    names: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    without_fallback: tuple[str, ...] = ()
    without_messages: tuple[str, ...] = ()
    more: bool = False


_NOT_SET = _Known("unset")
_NOT_ASKED = _Known("not_asked")


class Questions(Protocol):
    """Asks other computers. Nothing here raises, and each is over in bounded time."""

    async def openai(self) -> Told: ...
    async def account(self) -> Told: ...
    async def public_url(self) -> Told: ...
    async def numbers(self) -> Numbers: ...
    async def listens(self, url: str) -> bool: ...
    def close(self) -> None: ...


class Checklist:
    """The six steps, asked for or not. Belongs to the loop."""

    def __init__(
        self,
        place: Place,
        questions: Questions,
        *,
        phone: Callable[[], PhoneSetup | None],
        calls: Callable[[], Calls],
        at_once: AtOnce,
    ) -> None:
        self.place = place
        self.phone = phone
        self.calls = calls
        self._questions = questions
        self._at_once = at_once
        self._asking = asyncio.Lock()
        self._rounds = 0
        """Begun so far."""
        self._asked: list[Step] = []

    def close(self) -> None:
        """Ask nothing more."""
        self._questions.close()

    def unasked(self) -> list[Step]:
        """What is known without asking anybody."""
        place, setup = self.place, self.phone()
        model = _NOT_SET if place.local_model else _NOT_ASKED
        carrier = _NOT_SET if place.local_line else _NOT_ASKED
        public = _NOT_ASKED if place.public_url else _NOT_SET
        return self._steps(talk(place, setup, up=True), model, carrier, public, carrier)

    async def asked(self) -> list[Step]:
        """What the others say now; those who wait together get the same answer.

        It is never older than the question: a round that was under way does not count.
        """
        rounds = self._rounds
        async with self._asking:
            if self._rounds == rounds:
                self._rounds += 1
                self._asked = await self._ask()
            return self._asked

    async def _ask(self) -> list[Step]:
        ask, setup = self._questions, self.phone()
        questions = [ask.openai(), ask.account(), ask.public_url(), ask.numbers()]
        line = [ask.listens(setup.line)] if setup is not None else []
        model, account, public, numbers, *up = await self._at_once([*questions, *line])
        return self._steps(talk(self.place, setup, up=all(up)), model, account, public, numbers)

    def _steps(
        self, first: Step, model: Told, account: Told, public: Told, numbers: Numbers
    ) -> list[Step]:
        steps = [
            first,
            openai(self.place, model),
            twilio(account),
            public_url(self.place, public),
            webhook(self.place, numbers),
        ]
        return [*steps, real_call(self.place, steps, numbers.here, self.calls())]
