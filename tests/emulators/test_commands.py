"""`python -m app.emulators`, typed by a newcomer: what it says, and what its exit status means."""

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.audio import tones
from app.emulators.call_story import CallStory, conclude, went_well
from app.emulators.demo_server import Server
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import stereo_wav
from app.emulators.one_call import CallOptions, place
from app.emulators.preflight import (
    NotReady,
    check_answers,
    check_data,
    check_operator_key,
    check_signatures,
    claim_folder,
    claim_port,
)
from tests.emulators.tiny_server import CONNECT, PUBLIC_URL, TinyServer, telephone

ROOT = Path(__file__).parents[2]
ACCOUNT = "AC" + "0" * 32


class Page:
    """What a terminal of 80 columns, that is none, would show."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Everything is there already."""

    def isatty(self) -> bool:
        return False


def typed(*words: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, without settings of the person who tests."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return subprocess.run(
        [sys.executable, "-m", "app.emulators", *words],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def known(url: str, **changed: Any) -> Server:
    facts = {
        "url": url,
        "public_url": PUBLIC_URL,
        "account_sid": ACCOUNT,
        "auth_token": "12345",
        "api_key": "key",
        "data": Path(),
    }
    return Server(**{**facts, **changed})


@asynccontextmanager
async def answering(statuses: dict[str, int]) -> AsyncIterator[str]:
    """A server that answers each path with a status; 404 where nothing is said."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=statuses.get(request.path, 404))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("call", "--server", "localhost:5050"), "is not an address like"),
        (("call", "--wav", "nowhere.wav"), "does not exist"),
        (("call", "--after-s", "-1"), "is no number of seconds"),
        (("openai", "--port", "80000"), "is no port"),
        (("openai", "--port", "http"), "is no port"),
        (("demo", "--kill", "--server", "http://127.0.0.1:9"), "servers of its own"),
    ],
)
def test_wrong_arguments_are_told_by_name(words: tuple[str, ...], said: str) -> None:
    """A traceback, or a call that fails later, does not tell a newcomer what to type."""
    done = typed(*words)

    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["call", "demo"])
def test_no_server_is_said_before_anything_else(command: str, tmp_path: Path) -> None:
    """Status 2: nothing was tried. The settings to put into .env come with it."""
    ports = ["--openai-port", "0"] if command == "demo" else []

    done = typed(command, "--server", "http://127.0.0.1:9", "--twilio-port", "0", *ports)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("No server answers at http://127.0.0.1:9: start one with")
    assert "TWILIO_ACCOUNT_SID=AC" in done.stderr


def test_a_port_in_use_is_named_with_the_option_that_changes_it() -> None:
    """Errno 98 is no sentence."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        with pytest.raises(NotReady, match=rf"Port {port} .* --port \(0: any\)"):
            claim_port(port, "--port")
    claim_port(port, "--port")


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ({"/ready": 200, "/twilio/call-status": 204, "/v1/calls/CA" + "0" * 32: 404}, None),
        ({"/ready": 503}, "shutting down"),
        ({}, "no Patchline server"),
        ({"/ready": 200, "/twilio/call-status": 503}, "set TWILIO_ACCOUNT_SID"),
        ({"/ready": 200, "/twilio/call-status": 403}, "TWILIO_AUTH_TOKEN and PUBLIC_URL"),
        (
            {"/ready": 200, "/twilio/call-status": 204, "/v1/calls/CA" + "0" * 32: 401},
            "set API_KEY",
        ),
    ],
)
async def test_a_server_that_would_refuse_is_told_before_the_call(
    statuses: dict[str, int], said: str | None
) -> None:
    """Which key differs is clear before a call is placed, and not from its failure."""
    async with answering(statuses) as url:
        with pytest.raises(NotReady, match=said) if said else contextlib.nullcontext():
            await check_answers(known(url))
            await check_signatures(known(url))
            await check_operator_key(known(url))


def test_a_data_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The flight logs are looked for in it when the call is over: too late to learn of it."""
    check_data(known("http://127.0.0.1:9", data=tmp_path))
    with pytest.raises(NotReady, match="--data"):
        check_data(known("http://127.0.0.1:9", data=tmp_path / "none"))


def test_a_place_that_cannot_be_written_to_is_told_before_the_call(tmp_path: Path) -> None:
    """A recording that cannot be kept is known before the twenty seconds it takes."""
    (tmp_path / "file").write_text("")

    claim_folder(tmp_path / "new" / "folder")
    with pytest.raises(NotReady, match="choose another --out"):
        claim_folder(tmp_path / "file" / "folder")

    assert (tmp_path / "new" / "folder").is_dir()


async def test_a_call_is_told_as_it_is_heard() -> None:
    """Who speaks, for how long, where it was cut, who hung up, and the id to look it up by."""
    page = Page()
    screen = Screen(page)  # type: ignore[arg-type]
    async with telephone(CONNECT.format(behind="")) as (twilio, server):
        call = await twilio.call()
        story = CallStory(screen, call)
        peer = await server.peer()
        await peer.play(tones.tone(440, 2000))
        await call.heard_at_least(200)
        story.look()
        await peer.clear()
        await call.until(lambda: bool(call.stream.cleared_at_ms))
        await call.hang_up()
        await call.ended()
        story.look()
        conclude(screen, call, "call.wav")

    told = [line[8:] for line in page.text.splitlines() if re.match(r" +\d+\.\d\d  ", line)]
    assert told[0] == "webhook   /incoming-call: answered 200"
    assert told[1:3] == ["call      the media stream opens", "agent     begins to speak"]
    assert re.fullmatch(r"cut       the agent is cut off after 0\.\d s", told[-2])
    assert told[-1] == "call      the caller hung up"
    assert call.call_sid in page.text
    assert page.text.endswith("call.wav (caller left, agent right)\n\nNothing to complain about.\n")
    assert went_well(call)


async def test_what_twilio_would_complain_of_is_told_and_fails(tmp_path: Path) -> None:
    """A refused socket gives silence: the code of it belongs on the screen."""
    page = Page()
    async with TinyServer(CONNECT.format(behind="")) as server:
        server.upgrade_status = 403
        options = CallOptions(
            known(server.url), "+14155550100", "+15005550006", 0, tmp_path / "call.wav",
            say=None, wav=None, after_s=0, hang_up_s=5,
        )  # fmt: skip
        good = await place(options, Screen(page))  # type: ignore[arg-type]

    assert not good
    assert "the media stream is refused: 31920 upgrade answered with 403" in page.text
    assert page.text.endswith("Twilio would complain: 1.\n")
    assert (tmp_path / "call.wav").exists()


async def test_the_caller_says_what_the_file_holds(tmp_path: Path) -> None:
    """What was said reaches the server's socket, and the left track of the recording."""
    spoken = tones.tone(300, 400)
    wav, page = tmp_path / "caller.wav", Page()
    _mono(wav, spoken)
    async with TinyServer(CONNECT.format(behind="")) as server:
        options = CallOptions(
            known(server.url), "+14155550100", "+15005550006", 0, tmp_path / "call.wav",
            say=None, wav=wav, after_s=0, hang_up_s=1,
        )  # fmt: skip
        good = await place(options, Screen(page))  # type: ignore[arg-type]

    assert not good, "the tiny server said nothing"
    assert "The caller heard nothing of the agent." in page.text
    assert f"plays {wav}"[:20] in page.text
    assert _loud(server)


def _mono(file: Path, mulaw: bytes) -> None:
    with wave.open(io.BytesIO(stereo_wav(mulaw, mulaw))) as both:
        rate_hz, frames = both.getframerate(), both.readframes(both.getnframes())
    with wave.open(str(file), "wb") as one:
        one.setnchannels(1)
        one.setsampwidth(2)
        one.setframerate(rate_hz)
        one.writeframes(b"".join(frames[at : at + 2] for at in range(0, len(frames), 4)))


def _loud(server: TinyServer) -> bool:
    media = [one["media"]["payload"] for one in server.peers[0].of("media")]
    return any(set(payload.rstrip("=")) != {"/"} for payload in media)


def test_help_fits_a_terminal() -> None:
    """What is wider than 80 columns is broken in the middle of words."""
    for words in (
        ["--help"],
        ["openai", "--help"],
        ["call", "--help"],
        ["demo", "--help"],
        ["phone", "--help"],
    ):
        done = typed(*words)
        assert done.returncode == 0
        assert max(len(line) for line in done.stdout.splitlines()) <= 80
        assert "…" not in done.stdout, "something is cut off"


def test_the_help_of_a_call_names_what_is_typed() -> None:
    """What runs behind ``python -m app call --local`` is nobody's business."""
    done = typed("phone", "--help")

    assert "Usage: python -m app call --local [OPTIONS]" in done.stdout
    assert "app.emulators" not in done.stdout
