"""Programs written for call-center-ai place calls here and read what became of them."""

from pathlib import Path
from typing import Any

import aiohttp

from app.emulators.scenario import Reply, ToolUse
from tests.walks.stage import API_KEY, VOICE, Stage, heard_tone
from tests.walks.test_outbound import ANSWER, TO, ended, placed, placing
from tests.walks.test_tools import outputs

BODY: dict[str, Any] = {
    "bot_company": "Contoso",
    "bot_name": "Amélie",
    "phone_number": TO,
    "task": "Help the customer with their digital workplace.",
    "agent_phone_number": "+33612345678",
    "claim": [
        {"name": "hardware_info", "type": "text"},
        {"name": "first_seen", "type": "datetime", "description": "When it began"},
    ],
}
"""The example of the article."""


NOTES = Reply(
    "I note that.",
    100,
    550,
    tools=[
        ToolUse(
            "update_form", {"fields": {"hardware_info": "a red laptop", "first_seen": "long ago"}}
        )
    ],
)
NOTED = Reply("It is noted.", 200, 880)


async def initiate(s: Stage, body: dict[str, Any], key: str = API_KEY) -> tuple[int, Any]:
    """``POST /call``: status and answer."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{s.url}/call", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_the_body_of_the_article_places_a_call(tmp_path: Path) -> None:
    """And its claim is a form that fills while they talk, in a call found by id and by number."""
    async with placing(tmp_path, replies=(ANSWER, NOTES, NOTED)) as (s, _):
        status, told = await initiate(s, BODY)
        call = await placed(s)
        await call.stream_started()
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 440) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        await ended(s, told["call_id"])
        by_id = await s.get(f"/call/{told['call_id']}")
        by_number = await s.get(f"/call/{TO}")
        report: Any = await s.get(f"/report/{TO}")
        record = await s.get(f"/v1/calls/{told['call_id']}")

    seeded = next(e for e in s.session.client_events if e["type"] == "conversation.item.create")
    assert (status, len(s.twilio.calls)) == (201, 1)
    assert told["initiate"] == BODY | {
        "claim": [{"description": None, **BODY["claim"][0]}, BODY["claim"][1]]
    }
    assert "first_seen" in outputs(s)[0]
    assert by_id["claim"] == record["form"]["values"] == {"hardware_info": "a red laptop"}
    for words in ("digital workplace", "company: Contoso", "Amélie"):
        assert words in seeded["item"]["content"][0]["text"]
    assert by_id == by_number == report[0]
    assert by_id["initiate"]["phone_number"] == TO
    assert by_id["messages"]
    assert record["custom_data"] == {"agent_phone_number": "+33612345678"}


async def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """By name, and without a key nothing is read at all."""
    async with placing(tmp_path) as (s, jobs):
        no_number = await initiate(s, BODY | {"phone_number": "(11) 234"})
        twice = await initiate(s, BODY | {"claim": [{"name": "x", "type": "text"}] * 2})
        no_type = await initiate(s, BODY | {"claim": [{"name": "age", "type": "number"}]})
        unknown = await initiate(s, BODY | {"colour": "red"})
        no_key = await initiate(s, BODY, key="wrong")

        assert [status for status, _ in (no_number, no_type, unknown, twice, no_key)] == [
            *(422, 422, 422, 422),
            401,
        ]
        assert "phone_number" in no_number[1]["detail"]
        assert "colour" in unknown[1]["detail"]
        assert not jobs.runs
        for path in ("/call/call_unknown", "/call/+12125550199", "/report/+12125550199"):
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as client,
                client.get(s.url + path) as answer,
            ):
                assert answer.status == 404
