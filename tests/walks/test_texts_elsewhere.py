"""Text messages and news of them that reach another process than the one that has the call."""

from pathlib import Path

import aiohttp

from app.emulators.twilio_signing import signature
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture
from tests.waiting import until
from tests.walks.stage import PUBLIC_URL, TOKEN
from tests.walks.test_reentry import pair, talked

CALLER = "+12125551234"


async def webhook(port: int, path: str, form: dict[str, str]) -> int:
    """A webhook of Twilio's, as it comes to this process."""
    seal = {"X-Twilio-Signature": signature(TOKEN, PUBLIC_URL + path, form.items())}
    async with (
        aiohttp.ClientSession(headers=seal) as client,
        client.post(f"http://127.0.0.1:{port}{path}", data=form) as answer,
    ):
        return answer.status


async def test_messages_reach_their_call_in_another_process(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """W73, W74: Twilio asks whichever process it finds, twice; the agent is told once."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        document = tmp_path / "agent.yaml"
        document.write_text(document.read_text() + "sms: line\n")
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await talked(p, from_=CALLER)
        came = {"MessageSid": "SM" + "1" * 32, "From": CALLER, "To": call.to, "Body": "Main St 1"}
        status = f"/twilio/message-status?call={call.call_sid}&to=caller"
        news = {"MessageSid": "SM" + "2" * 32, "MessageStatus": "failed", "ErrorCode": "30006"}

        answers = [await webhook(second, "/incoming-message", came) for _ in range(2)]
        answers += [await webhook(first, "/incoming-message", came)]
        answers += [await webhook(port, status, news) for port in (second, first)]
        session = p.openai.connections[0]
        await until(lambda: "has not arrived" in str(session.client_events), 60)
        await call.hang_up()
        record = await p.ended(second, call)

    assert answers == [200, 200, 200, 204, 204]
    assert str(session.client_events).count("[SMS] Main St 1") == 1
    assert str(session.client_events).count("has not arrived") == 1
    told = [(x["direction"], x["status"], x["error_code"]) for x in record["sms"]]
    assert told == [("inbound", "received", None), ("outbound", "failed", 30006)]
