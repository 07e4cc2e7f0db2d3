"""The doors of HTTP: what strangers and mistakes send is refused, by name where that helps."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from app.call import leaving
from app.emulators.realtime import Faults, RealtimeEmulator
from app.emulators.scenario import Receptionist, Reply, Scenario
from app.emulators.twilio import SharedKey
from app.emulators.twilio_signing import signature
from app.emulators.twilio_words import APPLICATION_ERROR, new_sid
from app.runtime import invitations
from tests.waiting import until
from tests.walks.raw_stream import incoming, raw_stream
from tests.walks.stage import API_KEY, PUBLIC_URL, TOKEN, VOICE, Stage, heard_tone, stage

FORM = "application/x-www-form-urlencoded"
GREETING = Reply("Hello, this is the test line.", 200, 440)
ANSWER = Reply("What else?", 200, 880)
ROUTES = [
    "/incoming-call",
    "/twilio/stream-ended",
    "/twilio/stream-status",
    "/twilio/call-status",
    "/twilio/dial-result/some-token",
    "/twilio/fallback",
]


async def ask(
    s: Stage,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    """A request as it is: status and body of the answer."""
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.request(method, s.url + path, data=body) as answer,
    ):
        return answer.status, await answer.text()


def sealed(path: str, form: dict[str, str] | None = None, secret: str = TOKEN) -> dict[str, str]:
    """Headers of a signed form POST, or of a request without a form."""
    seal = signature(secret, PUBLIC_URL + path, (form or {}).items())
    return {"X-Twilio-Signature": seal, "Content-Type": FORM}


def quiet() -> RealtimeEmulator:
    """A model that nobody should reach."""
    return RealtimeEmulator(Scenario([]))


async def test_a_webhook_without_the_right_signature_is_refused(tmp_path: Path) -> None:
    """D-TS-7: an open webhook lets anybody burn model credit, or end a call."""
    async with stage(quiet(), tmp_path) as s:
        form = incoming(new_sid("CA")) | {"CallStatus": "completed", "DialCallStatus": "busy"}
        body = urlencode(form).encode()
        for route in ROUTES:
            forged = {
                "unsigned": {"Content-Type": FORM},
                "wrong_secret": sealed(route, form, "another token"),
                "other_url": sealed(route + "/", form),
                "other_parameters": sealed(route, form | {"From": "+19005550000"}),
                "garbage": {"Content-Type": FORM, "X-Twilio-Signature": "\xff" * 40},
                "endless": {"Content-Type": FORM, "X-Twilio-Signature": "A" * 5000},
            }

            answers = {
                name: (await ask(s, "POST", route, body=body, headers=headers))[0]
                for name, headers in forged.items()
            }

            assert answers == dict.fromkeys(forged, 403)
        assert s.openai.attempts == 0
        assert not s.board.book.unfinished


async def test_what_is_signed_and_still_wrong_is_refused_by_name(tmp_path: Path) -> None:
    """A form that lacks what nobody can do without is 400, too much of anything 413 or 400."""
    async with stage(quiet(), tmp_path) as s:

        async def signed(route: str, form: dict[str, str]) -> int:
            return (await s.post(route, form))[0]

        good = incoming(new_sid("CA"))
        assert await signed("/incoming-call", good | {"CallSid": ""}) == 400
        assert await signed("/incoming-call", good | {"CallSid": "CA../../etc"}) == 400
        assert await signed("/incoming-call", good | {"AccountSid": "x"}) == 400
        assert await signed("/twilio/stream-status", good) == 400
        assert await signed("/twilio/dial-result/x", good) == 400
        assert await signed("/twilio/call-status", {}) == 400
        many = {f"Field{number}": "" for number in range(1200)}
        assert await signed("/incoming-call", good | many) == 400
        assert await signed("/incoming-call", good | {"Comment": "x" * 70_000}) == 413
        binary = await ask(
            s, "POST", "/incoming-call", body=b"CallSid=\xff\xfe", headers=sealed("/incoming-call")
        )
        assert binary[0] == 400
        assert s.openai.attempts == 0


async def test_a_body_without_a_length_is_bounded_as_well(tmp_path: Path) -> None:
    """Nobody has to announce how much they are going to send."""
    async with stage(quiet(), tmp_path) as s:

        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 4096

        async with (
            aiohttp.ClientSession() as client,
            client.post(s.url + "/incoming-call", data=endless()) as answer,
        ):
            assert answer.status == 413


async def test_a_json_webhook_is_known_by_the_hash_of_its_body(tmp_path: Path) -> None:
    """Twilio signs JSON by naming its hash in the URL; without it anything could be inside."""
    async with stage(quiet(), tmp_path) as s:
        body = json.dumps({"ErrorCode": "11200"}).encode()
        digest = hashlib.sha256(body).hexdigest()

        async def posted(path: str, sent: bytes) -> int:
            headers = sealed(path) | {"Content-Type": "application/json"}
            return (await ask(s, "POST", path, body=sent, headers=headers))[0]

        assert await posted(f"/twilio/fallback?bodySHA256={digest}", body) == 200
        assert await posted(f"/twilio/fallback?bodySHA256={digest}", body + b" ") == 403
        assert await posted("/twilio/fallback", body) == 403


async def test_any_secret_that_is_being_rotated_will_do(tmp_path: Path) -> None:
    """Rotation must not cost a call: the old token and the new one are both Twilio's."""
    keys = {"key_a": "a-secret", "key_b": "another-secret"}
    openai = RealtimeEmulator(Receptionist)
    async with stage(
        openai,
        tmp_path,
        twilio_auth_tokens=("the-next-one", TOKEN),
        twilio_shared_keys=",".join(f"{name}:{text}" for name, text in keys.items()),
    ) as s:
        status, _ = await s.post("/incoming-call", incoming(new_sid("CA")))
        assert status == 200
        s.twilio.faults.shared_key = SharedKey("key_b", keys["key_b"])
        call = await s.twilio.call()
        await call.heard_at_least(100)
        await call.hang_up()

        s.twilio.faults.shared_key = SharedKey("key_c", "a-secret")
        refused = await s.twilio.call()
        assert await refused.ended() == "error"
        assert refused.said == [APPLICATION_ERROR]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_webhook_may_be_either_method(tmp_path: Path, method: Any) -> None:
    """O21: a number may be configured for GET or POST; both are checked, both are answered."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call = await s.twilio.call(method=method)
        await call.heard_at_least(100)
        await call.hang_up()
        record = await s.record(call)

        assert record["from"] == {"number": "+14155550100"}
        call.assert_clean()


async def test_what_a_proxy_claims_changes_nothing(tmp_path: Path) -> None:
    """O3, D-DG-4, D-TAC-10: the public origin is configured and never taken from a request."""
    spoofed = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-For": "127.0.0.1",
        "Forwarded": "host=evil.example;proto=http",
    }
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        form = incoming(new_sid("CA"))
        body = urlencode(form).encode()

        good = await ask(
            s, "POST", "/incoming-call", body=body, headers=sealed("/incoming-call", form) | spoofed
        )
        theirs = signature(TOKEN, "https://evil.example/incoming-call", form.items())
        bad = await ask(
            s,
            "POST",
            "/incoming-call",
            body=body,
            headers={"X-Twilio-Signature": theirs, "Content-Type": FORM} | spoofed,
        )

        assert good[0] == 200
        assert "wss://phone.contoso.test/media-stream" in good[1]
        assert "evil" not in good[1]
        assert bad[0] == 403


async def test_a_refusal_tells_the_operator_what_was_signed_and_nobody_the_secret(
    tmp_path: Path,
) -> None:
    """S16, D-DG-4: without this line operators switch the check off instead of mending a URL."""
    async with stage(quiet(), tmp_path) as s:
        with capture_logs() as lines:
            form = incoming(new_sid("CA"))
            query = urlencode(form)
            await ask(s, "GET", f"/incoming-call?{query}", headers=sealed("/incoming-call"))
            await ask(s, "POST", "/incoming-call", body=query.encode(), headers=sealed("/x", form))
            with pytest.raises(InvalidStatus):
                async with raw_stream(s, signature=signature(TOKEN, "wss://elsewhere/")):
                    pass

        refused = [line for line in lines if line["event"].endswith("_refused")]
        assert [line["event"] for line in refused] == [
            "webhook_refused",
            "webhook_refused",
            "upgrade_refused",
        ]
        for line in refused:
            assert line["signed_url"].split("?")[0].endswith(("/incoming-call", "/media-stream"))
            assert line["secret_ids"] == "auth_token[0]"
        everything = repr(lines)
        assert TOKEN not in everything.replace(form["CallSid"], "")
        assert "4155550100" not in everything


async def test_a_webhook_that_is_sent_twice_opens_one_call(tmp_path: Path) -> None:
    """A signature holds no nonce: a replayed request gets the same answer and nothing else."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        form = incoming(new_sid("CA"))

        first = await s.post("/incoming-call", form)
        second = await s.post("/incoming-call", form)
        await s.openai.connected(1)

        assert first == second
        assert s.board.book.live == 1
        assert s.openai.attempts == 1


async def test_call_number_n_and_one_hears_a_sentence(tmp_path: Path) -> None:
    """O23, D-AZ-1, D-PT-4: capacity is decided where a sentence can still be said."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path, max_concurrent_calls=2) as s:
        calls = [await s.twilio.call() for _ in range(2)]
        for call in calls:
            await call.heard_at_least(100)

        third = await s.twilio.call()
        assert await third.ended() == "hangup"

        assert third.said == ["All lines are busy. Please call again later."]
        assert third.streams == []
        assert s.openai.attempts == 2
        refused = await s.record(third)
        assert refused["ending"] == {"result": "server_error", "reason": "capacity"}
        again = await s.post(
            "/incoming-call", {**incoming(third.call_sid), "CallStatus": "ringing"}
        )
        assert "All lines are busy" in again[1]
        assert (await s.record(third)) == refused
        await calls[0].hang_up()
        await s.record(calls[0])
        fourth = await s.twilio.call()
        await fourth.heard_at_least(100)


async def test_hundreds_of_webhooks_without_a_stream_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-TAC-7: whatever a webhook opens must go by itself when nobody comes."""
    monkeypatch.setattr(leaving, "PARKED_MS", 100)
    monkeypatch.setattr(invitations, "TOKEN_S", 0.1)
    openai = RealtimeEmulator(Scenario([]), faults=Faults(refuse_status=401))
    async with stage(openai, tmp_path) as s:
        gate = asyncio.Semaphore(20)

        async def one(call_sid: str) -> None:
            async with gate:
                status, _ = await s.post("/incoming-call", incoming(call_sid))
                assert status == 200

        sids = [new_sid("CA") for _ in range(300)]
        await asyncio.gather(*map(one, sids))
        await until(lambda: not s.board.book.unfinished)

        assert not any(s.board.book.lives(sid) for sid in sids)
        assert not len(s.board.book._invitations)
        assert not len(s.board.book.dials)


async def test_the_operator_s_routes_want_the_operator_s_key(tmp_path: Path) -> None:
    """D-DEMO-3: records hold what was said; nobody reads them without the key."""
    async with stage(quiet(), tmp_path) as s:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {API_KEY}"}):
            status, body = await ask(s, "GET", "/v1/calls/call_x", headers=headers)
            assert status == 401
            assert API_KEY not in body
        good = {"Authorization": f"Bearer {API_KEY}"}
        assert (await ask(s, "GET", "/v1/calls/call_x", headers=good))[0] == 404


async def test_what_watches_is_told_nothing_personal(tmp_path: Path) -> None:
    """O20: a load balancer and a scraper get what they need, and nothing else."""
    async with stage(RealtimeEmulator(Scenario([GREETING, ANSWER])), tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        await s.record(call)

        root = await ask(s, "GET", "/")
        assert root[0] == 200
        assert "/incoming-call" in root[1]
        status, health = await ask(s, "GET", "/health")
        assert (status, json.loads(health)["status"]) == (200, "ok")
        assert (await ask(s, "GET", "/ready"))[0] == 200
        key = {"Authorization": f"Bearer {API_KEY}"}
        status, metrics = await ask(s, "GET", "/metrics", headers=key)
        assert status == 200
        for name in (
            "voice_calls_active",
            "voice_calls_total",
            "voice_calls_refused_total",
            "voice_call_duration_seconds",
            "voice_answer_delay_seconds",
            "voice_turn_latency_seconds",
            "voice_barge_in_stop_seconds",
            "voice_model_lines_lost_total",
            "voice_tokens_total",
            "voice_signature_failures_total",
        ):
            assert f"# TYPE {name} " in metrics
        assert 'voice_turn_latency_seconds_count{stage="played"}' in metrics
        assert "4155550100" not in metrics
        assert call.call_sid not in metrics


async def test_without_an_account_every_twilio_route_says_so(tmp_path: Path) -> None:
    """Fail closed: an unconfigured server must not answer calls of whoever asks first."""
    nothing = {"twilio_account_sid": None, "twilio_auth_tokens": (), "public_url": None}
    async with stage(quiet(), tmp_path, **nothing) as s:
        for route in ROUTES:
            status, body = await ask(s, "POST", route, body=b"", headers=sealed(route))
            assert status == 503
            assert "TWILIO_ACCOUNT_SID" in body
        with pytest.raises(InvalidStatus) as refused:
            async with raw_stream(s):
                pass
        assert refused.value.response.status_code == 503
        assert (await ask(s, "GET", "/health"))[0] == 200
