"""What a caller in a terminal is to do, in the order in which it was typed.

Options that may be repeated lose their order among each other in every option parser; here
the parser itself is asked once more for the order of what it met. Rule: what cannot be done
is told before anybody is called.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand

from app.emulators import phone_wav
from app.emulators.phone_script import Pause, Play, Press, Say, Step, Write
from app.emulators.phone_tab import KEYS, MOST_TEXT

ORDER: Final = "order of the steps"
_STEPS: Final = frozenset({"say", "wav", "dtmf", "text", "pause", "interrupt_after_ms"})
_INTERRUPT: Final = "interrupt_after_ms"
_LONGEST_PAUSE_S = 600


class StepFault(Exception):
    """A step that cannot be done; the message is a sentence."""


class _Typed(typer.Context):
    """Help and usage errors name the command as it is documented, not the one behind it."""

    @property
    def command_path(self) -> str:
        """What is typed."""
        return "python -m app call --local"


class InOrder(TyperCommand):
    """A command that remembers the order of its steps, in ``ctx.meta[ORDER]``."""

    context_class = _Typed

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ever, and with the name of each step that was met."""
        _, _, met = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [one.name for one in met if one.name in _STEPS]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Script:
    """The steps, and what is to be known about them before."""

    steps: tuple[Step, ...]
    warnings: tuple[str, ...]


def script(order: Sequence[str], values: Mapping[str, Sequence[Any]]) -> Script:
    """The steps in ``order``, each with the next of its values. Raises ``StepFault``.

    Files are read here, so that a missing one is known before the call.
    """
    waiting = {name: iter(given) for name, given in values.items()}
    steps: list[Step] = []
    warnings: list[str] = []
    interrupts_after_ms: int | None = None
    for name in order:
        value = next(waiting[name])
        if name == _INTERRUPT:
            interrupts_after_ms = _interruption(value)
            continue
        step = _MADE[name](value)
        if interrupts_after_ms is not None and not isinstance(step, Pause):
            step = replace(step, interrupts_after_ms=interrupts_after_ms)
            interrupts_after_ms = None
        if isinstance(step, Play) and phone_wav.silent(step.mulaw):
            warnings.append(f"{step.name} is silent: nobody will hear anything of it.")
        steps.append(step)
    if interrupts_after_ms is not None:
        raise StepFault("--interrupt-after-ms is about the line behind it, and there is none.")
    return Script(tuple(steps), tuple(warnings))


def _interruption(after_ms: int) -> int:
    if after_ms <= 0:
        raise StepFault("--interrupt-after-ms is a number of milliseconds above 0.")
    return after_ms


def _say(text: str) -> Step:
    words = " ".join(text.split())
    if not words:
        raise StepFault("--say has no words to say.")
    return Say(words)


def _wav(file: Path) -> Step:
    return Play(phone_wav.read(file), file.name)


def _dtmf(keys: str) -> Step:
    digits = "".join(keys.split())
    wrong = sorted({key for key in digits if key.upper() not in KEYS})
    if not digits or wrong:
        found = f"{', '.join(wrong)} is on no telephone" if wrong else "there is no key to press"
        raise StepFault(f"--dtmf takes 0-9, *, # and A-D: {found}.")
    return Press(digits.upper())


def _text(text: str) -> Step:
    if not 0 < len(text.strip()) <= MOST_TEXT:
        raise StepFault(f"--text is 1 to {MOST_TEXT} characters.")
    return Write(text)


def _pause(length_s: float) -> Step:
    if not 0 < length_s <= _LONGEST_PAUSE_S:
        raise StepFault(f"--pause is a number of seconds above 0, up to {_LONGEST_PAUSE_S}.")
    return Pause(round(length_s * 1000))


_MADE: Final[dict[str, Callable[[Any], Step]]] = {
    "say": _say,
    "wav": _wav,
    "dtmf": _dtmf,
    "text": _text,
    "pause": _pause,
}


def order_of(ctx: typer.Context) -> list[str]:
    """What an ``InOrder`` command remembered."""
    return list(ctx.meta.get(ORDER, []))
