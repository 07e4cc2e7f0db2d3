"""The small pure parts of durable work: signatures, turns, ids."""

import base64

import pytest

from app.jobs.engine import limiter
from app.jobs.ids import first_run, gone_id, job_id_of, next_run, taken_apart
from app.jobs.pace import Turnstile
from app.jobs.port import Dial, Retry
from app.jobs.signing import signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The example of the Standard Webhooks libraries, which every receiver's library checks."""
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}', [SECRET])

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_secrets_sign_while_one_is_being_replaced() -> None:
    """The receiver may know only the old one, or only the new one."""
    other = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()

    one, two = signed("m", 1, "{}", [SECRET, other])["webhook-signature"].split(" ")

    assert one == signed("m", 1, "{}", [SECRET])["webhook-signature"]
    assert two == signed("m", 1, "{}", [other])["webhook-signature"]


@pytest.mark.parametrize(
    "secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_?", "whsec_YQ=="]
)
def test_what_is_no_secret_is_refused(secret: str) -> None:
    """A guessable one would be worse than none, because somebody trusts it."""
    with pytest.raises(ValueError, match="not"):
        signed("m", 1, "{}", [secret])


def test_turns_are_a_gap_apart_and_the_first_is_not_at_once() -> None:
    """A process that was killed may have placed a call a moment ago."""
    turns = Turnstile(2.0, now_s=100.0)

    assert [turns.take(100.0) for _ in range(3)] == pytest.approx([0.5, 1.0, 1.5])
    assert turns.take(200.0) == 0
    assert turns.take(200.0) == pytest.approx(0.5)


@pytest.mark.parametrize("per_second", [0.1, 1, 2.5, 7, 10, 20, 33, 100])
def test_the_limiter_of_the_database_never_allows_more(per_second: float) -> None:
    """Twilio's limit is of the account, however many processes there are."""
    limit, period_s = limiter(per_second)

    assert limit >= 1
    assert 0.8 * per_second <= limit / period_s <= per_second * 1.001


def test_a_client_s_key_names_one_job_and_runs_follow_each_other() -> None:
    """Ids are made again after a crash, and have to be the same."""
    job_id = job_id_of("dial", "order 7 / +33612345678")

    assert job_id == job_id_of("dial", "order 7 / +33612345678")
    assert "33612345678" not in job_id
    assert taken_apart(first_run(job_id)) == (job_id, 1)
    assert next_run(next_run(first_run(job_id))) == f"{job_id}.3"
    assert gone_id("https://a") != gone_id("https://b")


def test_a_job_survives_its_way_through_a_database() -> None:
    """And a name that only a newer version knows does no harm."""
    job = Dial(
        "+1", "+2", "https://x", parameters={"timeout": "20"}, retries={"busy": Retry(2, 60)}
    )

    assert Dial.of({**job.to_json(), "later": 1}) == job
