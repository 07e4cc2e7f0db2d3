"""A caller who speaks while the answer is being rendered."""

import asyncio
import time
from pathlib import Path

from app.local.speak import Program
from tests.waiting import until

WRITES = "touch $0/began; head -c 400000 /dev/zero; touch $0/wrote; sleep 0.2; :"
"""More than a pipe and its reader hold; then, as a synthesiser does, some tidying up."""


async def test_an_answer_that_is_interrupted_while_it_is_rendered_ends(tmp_path: Path) -> None:
    """One that waited for its program for good kept the call silent and the process alive."""
    for turns in range(8):
        folder = tmp_path / str(turns)
        folder.mkdir()
        program = Program("a long sentence", ["/bin/sh", "-c", WRITES, str(folder)])
        saying = asyncio.create_task(program.sentence("."))
        await until((folder / "began").exists)
        time.sleep(0.02)  # noqa: ASYNC251 - a recogniser holds the loop as long
        for _ in range(turns):
            await asyncio.sleep(0)

        saying.cancel()
        done, _ = await asyncio.wait({saying}, timeout=60)

        assert done
