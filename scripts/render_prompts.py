"""Renders the local model's lines anew, with flite: run it after changing app/local/stock.py.

    .venv/bin/python -m scripts.render_prompts

The lines are the stock ones and what the example agent's rehearsal needs: its greeting, its
filler, what its tool returns, and the failure sentence.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from app.agents.document import Agent
from app.agents.example_tools import opening_hours
from app.agents.load import load_agent
from app.assembly import session
from app.local import stock
from app.local.intents import DAYS
from app.local.keyed import COLLECT_DTMF, presets
from app.local.prompts import INDEX, SOUND, needed, pack
from app.local.reading import readable
from app.local.speak import flite
from app.settings import EXAMPLE_AGENT
from app.tools.registry import Registry


def lines() -> tuple[str, ...]:
    """Everything that is rendered."""
    agent = load_agent(EXAMPLE_AGENT)
    tools = agent.tools.values()
    return (
        *stock.LINES,
        agent.greeting.text if agent.greeting else "",
        agent.failure.say,
        *(phrase for tool in tools for phrase in tool.say_while_running),
        *(readable(opening_hours(day)) for day in DAYS),
        *(wanted.question for wanted in presets(_keypad(agent)).values()),
        "Ask me for opening hours, or booking number.",
    )


def _keypad(agent: Agent) -> Mapping[str, Any]:
    """The parameters of the tool that has something keyed in."""
    (tool,) = (one for one in session(agent, Registry()).tools if one["name"] == COLLECT_DTMF)
    parameters: Mapping[str, Any] = tool["parameters"]
    return parameters


async def render() -> int:
    """Write the two files; returns their size in bytes. Raises ``VoiceFault``."""
    voice = flite()
    if voice is None:
        sys.exit("flite is not installed: sudo apt-get install flite")
    sounds = {text: await voice.sentence(text) for text in needed(lines())}
    index, sound = pack(sounds)
    INDEX.write_text(index, encoding="utf-8")
    SOUND.write_bytes(sound)
    return len(sound)


if __name__ == "__main__":
    print(f"{asyncio.run(render())} bytes of speech")
