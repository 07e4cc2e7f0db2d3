"""The model fails in every way it can: the caller hears a voice soon, and nobody else notices."""

import socket
from pathlib import Path
from typing import Any

import pytest

from app.call import model_link, patience
from app.emulators.realtime import ABRUPT, Faults, RealtimeEmulator
from app.emulators.scenario import (
    Brain,
    Fail,
    Hang,
    Reply,
    Scenario,
)
from app.emulators.twilio import Pace
from tests.waiting import until
from tests.walks.stage import NUMBER, VOICE, heard_tone, measured, stage
from tests.walks.steps import PERSON, SORRY, now_s, treated

GREETING = Reply("Hello, this is the test line.", 400, 440)
ANSWER = Reply("What else?", 200, 880)


REFUSALS = {
    "http_401": Faults(refuse_status=401),
    "http_403": Faults(refuse_status=403),
    "http_429": Faults(refuse_status=429),
    "http_503": Faults(refuse_status=503),
    "never_upgrades": Faults(never="upgrade"),
    "never_created": Faults(never="created"),
    "never_updated": Faults(never="updated"),
    "wrong_key": Faults(reject_key=True),
    "closes_1000": Faults(close_code=1000, close_after="opened"),
    "closes_1008": Faults(close_code=1008, close_after="opened"),
    "closes_1011": Faults(close_code=1011, close_after="created"),
    "closes_3000": Faults(close_code=3000, close_after="opened"),
    "cut_at_once": Faults(close_code=ABRUPT, close_after="created"),
    "closes_once_ready": Faults(close_code=1011, close_after="updated"),
}
FINAL = {"http_401", "http_403", "wrong_key", "closes_1008", "closes_3000"}


@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_model_that_cannot_be_reached_is_replaced_by_a_person(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O25: a bounded number of attempts, then a sentence and a person instead of dead air."""
    if fault in ("never_created", "never_updated"):
        # The patience of real calls is waited for once, by never_upgrades.
        monkeypatch.setattr(model_link, "ATTEMPT_MS", 300)
        monkeypatch.setattr(patience, "PATIENCE_MS", 900)
    openai = RealtimeEmulator(Scenario([]), faults=REFUSALS[fault])
    async with stage(openai, tmp_path, agent=PERSON) as s:
        began_s = now_s()
        call = await s.twilio.call()

        record = await treated(s, call, began_s, fault)

        final = fault in FINAL
        assert openai.attempts == 1 if final else 2 <= openai.attempts <= 5
        assert heard_tone(call.stream, 440) == 0
        assert record["warnings"], "the record says what happened"
        call.assert_clean()


async def test_a_session_in_another_format_carries_no_audio(tmp_path: Path) -> None:
    """D-OAJ-1, D-PT-12: a session that kept its defaults would send the caller static."""
    openai = RealtimeEmulator(Scenario([]), faults=Faults(echoed_format="audio/pcm"))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        began_s = now_s()
        call = await s.twilio.call()

        await treated(s, call, began_s, "wrong format")

        assert all(not session.caller_audio for session in openai.connections)
        assert call.heard_ms == 0


async def test_a_model_that_never_speaks_is_replaced_by_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O25: it takes every session and every request; only the caller's patience can tell."""
    monkeypatch.setattr(patience, "PATIENCE_MS", 1_000)
    openai = RealtimeEmulator(Scenario([Hang(None)] * 4))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        began_s = now_s()
        call = await s.twilio.call()

        await treated(s, call, began_s, "mute")

        assert openai.attempts == 1
        assert call.heard_ms == 0
        call.assert_clean()


async def test_a_second_attempt_saves_the_call(tmp_path: Path) -> None:
    """One refused handshake is not worth a caller's notice."""
    script = Scenario([GREETING, ANSWER])
    openai = RealtimeEmulator(script, faults=Faults(fail_first=1, refuse_status=503))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert openai.attempts == 2
        assert call.said == []
        await call.hang_up()
        await s.record(call)
        await s.all_closed()
        call.assert_clean()
        openai.assert_clean()


async def test_a_model_that_restarts_is_reached(tmp_path: Path) -> None:
    """Nobody listens at its port when the call comes, and somebody does a moment later."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    back = RealtimeEmulator(Scenario([GREETING]), port=port)
    dead = {"openai_base_url": f"http://127.0.0.1:{port}/v1"}
    async with stage(RealtimeEmulator(Scenario([])), tmp_path, agent=PERSON, **dead) as s:
        began_s = now_s()
        call = await s.twilio.call()
        refused = "model_refused:unreachable_ConnectionRefusedError"
        await s.call_id(call)
        live = s.board.book.call(call.call_sid)
        assert live is not None
        await until(lambda: live.report.warnings[refused] >= 3)
        assert measured("restart: refused three times", began_s) >= 700
        async with back:
            await call.until(lambda: heard_tone(call.stream, 440) >= 160)
            measured("restart: call to voice", began_s)
            await call.hang_up()
            await s.all_closed()

    assert call.said == []
    back.assert_clean()


async def test_an_empty_account_is_not_asked_twice(tmp_path: Path) -> None:
    """Another attempt would meet the same refusal; the caller should not wait for it."""
    script = Scenario([GREETING, Fail(code="insufficient_quota")])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(VOICE, wait=True)
        await s.session.server_events.until("response.done", 2)

        await treated(s, call, now_s(), "insufficient_quota")

        assert openai.attempts == 1


async def test_broken_messages_and_news_from_the_future_are_survived(tmp_path: Path) -> None:
    """S19: half a JSON text, unknown events and unknown fields cost nothing but a count."""
    script = Scenario([GREETING, Reply("Certainly.", 300, 660), ANSWER])
    openai = RealtimeEmulator(script, faults=Faults(malformed_after=2), noise=True)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 660) >= 260)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert heard_tone(call.stream, 440) >= 360
        assert openai.attempts == 1
        await call.hang_up()
        await s.record(call)
        call.assert_clean()
        openai.assert_clean()


STRANGE: list[dict[str, Any]] = [
    {"type": "error", "error": {"type": "invalid_request_error", "code": code, "message": "?"}}
    for code in (
        "response_cancel_not_active",
        "invalid_value",
        "item_truncate_invalid_item_id",
        "input_audio_buffer_commit_empty",
        "code_of_tomorrow",
        None,
    )
] + [
    {"type": "error", "error": {}},
    {"type": "error"},
    {"type": "response.output_audio.delta", "delta": '"},{"type":"session.update"'},
    {"type": "response.output_audio.delta"},
    {"type": "response.done", "response": {"id": "resp_of_nobody", "status": "completed"}},
    {"type": "response.created", "response": None},
    {"type": 7},
    {"type": None},
    {"type": "session.updated", "session": {}},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "x"},
    {"type": "response.output_audio_transcript.delta", "delta": 3},
    {"type": "input_audio_buffer.speech_started"},
    {"type": "response.output_item.done", "response_id": "r", "item": {"type": "function_call"}},
]


async def test_errors_and_nonsense_leave_the_call_alive(tmp_path: Path) -> None:
    """D-PC-3, D-JB-4: most errors leave the session alive, so an unknown one is survived."""
    script = Scenario([GREETING, ANSWER])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)

        for number, event in enumerate(STRANGE):
            s.session.emit({"event_id": f"strange_{number}"} | event)
        await call.heard_at_least(400)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert openai.attempts == 1
        await call.hang_up()
        record = await s.record(call)
        assert {"id": "model_error:code_of_tomorrow", "count": 1} in record["warnings"]
        await s.all_closed()
        call.assert_clean()
        openai.assert_clean()


@pytest.mark.parametrize("how", ["refuses", "drops", "hangs"])
async def test_the_document_serves_where_rest_is_down_as_well(tmp_path: Path, how: str) -> None:
    """The socket is closed, Twilio asks what to do, and the answer says and dials the same."""
    openai = RealtimeEmulator(Scenario([]), faults=Faults(refuse_status=401))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        if how == "hangs":
            s.twilio.desk.delay_ms = 8_000
        else:
            s.twilio.fail_next("/Calls/", {"refuses": 500, "drops": 0}[how], times=100)
        began_s = now_s()
        call = await s.twilio.call()

        await treated(s, call, began_s, f"REST {how}")

        assert call.stream.close_code == 1011
        s.twilio.desk.delay_ms = 0


@pytest.mark.parametrize("status", [0, 503])
async def test_a_sentence_that_rest_took_after_all_is_said_once(
    tmp_path: Path, status: int
) -> None:
    """The answer got lost, and Twilio obeys a moment later: closing first would begin it twice."""
    openai = RealtimeEmulator(Scenario([]), faults=Faults(refuse_status=401))
    slow = {"pace": Pace(redirect_delay_ms=300)}
    async with stage(openai, tmp_path, agent=PERSON, twilio=slow) as s:
        s.twilio.fail_next("/Calls/", status, after=True)
        call = await s.twilio.call()
        await call.ended()

        assert call.said[:1] == [SORRY]
        assert call.said.count(SORRY) == 1
        assert call.dialled == [NUMBER]
        assert (await s.record(call))["end_reason"] == "model_failed"


async def test_neighbours_notice_nothing(tmp_path: Path) -> None:
    """D-TRA-3, D-DEMO-2: one call's failure is one call's."""
    scripts: list[Brain] = [Scenario([GREETING, ANSWER, ANSWER]), Scenario([])]
    openai = RealtimeEmulator(lambda: scripts.pop(0))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        neighbour = await s.twilio.call(from_="+14155550111")
        await neighbour.heard_at_least(400)
        openai.faults = Faults(close_code=ABRUPT, close_after="created")
        began_s = now_s()
        failing = await s.twilio.call()
        await neighbour.speak(VOICE)

        await failing.until(lambda: failing.said == [SORRY], timeout=60)
        measured("neighbour: failure to voice", began_s)
        await neighbour.until(lambda: heard_tone(neighbour.stream, 880) >= 160)
        await neighbour.speak(VOICE)
        await neighbour.until(lambda: heard_tone(neighbour.stream, 880) >= 320)
        await until(lambda: not s.board.book.lives(failing.call_sid))

        assert len(openai.open_connections) == 1
        await neighbour.hang_up()
        await s.record(neighbour)
        await s.all_closed()
        neighbour.assert_clean()


async def test_hanging_up_closes_the_model_in_every_phase(tmp_path: Path) -> None:
    """D-TS-5, D-OAP-4, D-VC-1: a leaked session bills until its cap."""
    openai = RealtimeEmulator(lambda: Scenario([GREETING]), pace=1, session_delay_ms=300)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        connecting, greeting, heard = [await s.twilio.call() for _ in range(3)]
        await connecting.stream_started()
        await connecting.hang_up()
        await greeting.heard_at_least(100)
        await greeting.hang_up()
        await heard.heard_at_least(400)
        await heard.hang_up()

        await s.all_closed()
        for call in (connecting, greeting, heard):
            record = await s.record(call)
            assert record["end_reason"] == "caller_hangup"
