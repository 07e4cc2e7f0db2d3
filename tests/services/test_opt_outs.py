"""Who wants no text messages, on both databases."""

import asyncio

from app.services.store.database import open_engine
from app.services.store.opt_outs import OptOuts

NUMBER = "+12125551234"


async def test_a_number_is_on_the_list_until_it_is_taken_off(url: str) -> None:
    """STOP comes twice, START after it."""
    engine = open_engine(url)
    known = OptOuts(engine)

    before = await known.has(NUMBER)
    await asyncio.gather(known.add(NUMBER), known.add(NUMBER))
    stopped = await known.has(NUMBER)
    other = await known.has("+12125551235")
    await known.remove(NUMBER)
    await known.remove(NUMBER)
    started = await known.has(NUMBER)
    await engine.dispose()

    assert (before, stopped, other, started) == (False, True, False, False)
