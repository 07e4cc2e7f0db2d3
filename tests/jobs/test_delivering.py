"""Webhooks: told until the receiver has it, gives up, or wants nothing any more."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.jobs.port import Deliver
from app.jobs.signing import signed
from tests.jobs.conftest import House

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"type":"call.ended","data":{}}'


class Receiver:
    """Answers what it is told to, the last answer for ever."""

    def __init__(self) -> None:
        self.answers = [200]
        self.heard: list[tuple[dict[str, str], str]] = []
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """A webhook."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append((headers, await request.text()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """On this machine, which the test's worker may tell."""
    made = Receiver()
    runner = web.ServerRunner(web.Server(made.answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"{site.name}/hook"
    yield made
    await runner.cleanup()


async def test_it_is_told_again_until_it_was_heard(house: House, receiver: Receiver) -> None:
    """Each try has the same id and a signature of its own moment."""
    receiver.answers = [503, 307, 200]
    await house.jobs.enqueue(Deliver(receiver.url, BODY), job_id="deliver-1")
    await house.start(WEBHOOK_SECRETS=SECRET)

    status = await house.done("deliver-1")

    assert status.result == {"state": "delivered", "status": 200, "reason": ""}
    assert [body for _, body in receiver.heard] == [BODY] * 3
    for headers, body in receiver.heard:
        assert headers["webhook-id"] == "deliver-1"
        expected = signed("deliver-1", int(headers["webhook-timestamp"]), body, [SECRET])
        assert headers["webhook-signature"] == expected["webhook-signature"]


async def test_a_dead_receiver_is_parked_and_told_when_asked_to(
    house: House, receiver: Receiver
) -> None:
    """Nothing is lost while somebody repairs it."""
    receiver.answers = [500]
    await house.jobs.enqueue(Deliver(receiver.url, BODY), job_id="deliver-1")
    await house.start()
    parked = await house.done("deliver-1")
    receiver.answers = [204]

    replayed = await house.jobs.replay("deliver-1")
    status = await house.done("deliver-1", "delivered")

    assert parked.result["state"] == "parked"
    assert (replayed, status.result["status"]) == (True, 204)
    assert len(receiver.heard) == 4


async def test_a_receiver_that_is_gone_is_told_nothing_more(
    house: House, receiver: Receiver
) -> None:
    """410 is its word for that; replaying takes it back."""
    receiver.answers = [410, 200]
    await house.start()
    await house.jobs.enqueue(Deliver(receiver.url, BODY), job_id="deliver-1")
    gone = await house.done("deliver-1")
    await house.jobs.enqueue(Deliver(receiver.url, BODY), job_id="deliver-2")
    disabled = await house.done("deliver-2")
    await house.jobs.replay("deliver-2")
    again = await house.done("deliver-2", "delivered")

    assert [one.result["state"] for one in (gone, disabled, again)] == [
        "gone",
        "disabled",
        "delivered",
    ]
    assert len(receiver.heard) == 2


async def test_this_house_is_not_told(house: House, receiver: Receiver) -> None:
    """Without the setting for tests, an address of this machine is refused."""
    await house.jobs.enqueue(Deliver("https://10.0.0.1/", BODY), job_id="deliver-1")
    await house.jobs.enqueue(Deliver(receiver.url, BODY), job_id="deliver-2")
    await house.start(WEBHOOK_LOOPBACK="false")

    private, loopback = [await house.done(f"deliver-{one}") for one in (1, 2)]

    assert private.result == {"state": "parked", "status": None, "reason": "refused_address"}
    assert loopback.result["reason"] == "refused_scheme"
    assert receiver.heard == []
