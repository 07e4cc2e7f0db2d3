"""The server as the bench measures it: with a probe on its loop, all else as ever."""

import json
from pathlib import Path

import aiohttp

from tests.page.rehearsal import API_KEY, house

ASKED = (
    "/",
    "/metrics",
    "/phone",
    "/phone/setup.json",
    "/phone/events?callSid=CA00000000000000000000000000000000",
    "/v1/calls",
)


async def test_no_request_imports_anything(tmp_path: Path) -> None:
    """What the first reader of a live call needed took the loop 75 ms, and all other calls."""
    moments = tmp_path / "moments.json"

    async with (
        house(tmp_path, command=("scripts.bench_local_server", str(moments))) as made,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as client,
    ):
        for path in ASKED:
            async with client.get(f"{made.url}{path}") as answer:
                await answer.read()

    told = json.loads(moments.read_text(encoding="utf-8"))
    assert told["imported"] == []
    assert len(told["moments"]["late_ms"]) > 1
