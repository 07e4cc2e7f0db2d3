"""The local OpenAI with somebody in it, for the command line: what it says is also shown.

Every session has an attendant of its own and a number, which stands before whatever is told of
it. Rule: what the client did against the protocol is told when its session ends, and kept from
nobody.
"""

import asyncio
import itertools
from collections.abc import Callable

from app.emulators.attendant import Attendant
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import Studio
from app.emulators.realtime import EmulatedSession, RealtimeEmulator
from app.emulators.realtime_turns import Brain


async def answer_calls(port: int, screen: Screen, settings: Callable[[str], str]) -> None:
    """Answer until cancelled. ``settings`` are the lines of .env that lead to a base URL."""
    studio = Studio.found()
    numbers = itertools.count(1)

    def attendant() -> Brain:
        number = next(numbers)
        return Attendant(studio, lambda who, text: screen.tell(who, f"[{number}] {text}"))

    def watch(session: EmulatedSession) -> None:
        tell_session(screen, session, model.connections.index(session) + 1)

    model = RealtimeEmulator(attendant, port=port, keep_audio=False, watch=watch)
    async with model:
        screen.write(f"For the server's .env:\n\n{settings(model.base_url)}\n")
        screen.write(
            "The agent speaks with espeak-ng."
            if studio.speaks
            else "espeak-ng is not installed: the agent beeps, a beep for every word."
        )
        screen.write("Listening; Ctrl-C ends it.\n")
        screen.begin()
        await asyncio.Event().wait()


def tell_session(screen: Screen, session: EmulatedSession, number: int) -> None:
    """That a session began or, with all that was wrong about it, ended."""
    if session.open:
        screen.tell("call", f"[{number}] a session for {session.model} opens")
        return
    for wrong in (*session.violations, *session.failures):
        screen.tell("bad", f"[{number}] {wrong}")
    screen.tell("call", f"[{number}] the session is closed ({session.close_code})")
