"""Our REST requests before an outside judge: Prism on Twilio's own OpenAPI document.

Prism is an npm program; it is installed once into pytest's cache. Without CI=true the test
runs only where PRISM=1 asks for it or the installation is there already.
"""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import CarrierFault
from app.protocol import twiml
from app.services.twilio_rest import Patience, TwilioRest

SPEC = Path(__file__).parents[3] / "shared" / "twilio" / "calls-messages.strict.json"
PACKAGE = "@stoplight/prism-cli@5.14.2"
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
CALL_SID = "CA" + "0123456789abcdef" * 2
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
STARTED_WITHIN_S = 60


def absent(reason: str) -> None:
    """Skip where a developer merely lacks something; CI has no such excuse."""
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


def installed(folder: Path) -> Path:
    """The Prism program inside ``folder``, put there by npm if need be."""
    program = folder / "node_modules" / ".bin" / "prism"
    if program.exists():
        return program
    if not IN_CI and "PRISM" not in os.environ:
        absent("set PRISM=1 to install Prism (90 MB, npm) and judge our REST requests")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        absent(f"npm could not install Prism: {done.stderr[-300:]}")
    return program


@pytest.fixture(scope="module")
def prism_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if not SPEC.exists():
        absent(f"Twilio's OpenAPI document is not at {SPEC}")
    if not (shutil.which("node") and shutil.which("npm")):
        absent("Node and npm are needed to run Prism")
    assert request.config.cache is not None
    program = installed(request.config.cache.mkdir("prism"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    process = subprocess.Popen(
        [str(program), "mock", "-h", "127.0.0.1", "-p", port, "--errors", str(SPEC)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    limit = threading.Timer(STARTED_WITHIN_S, process.kill)
    limit.start()
    started = any("Prism is listening" in line for line in process.stdout)
    limit.cancel()
    # Prism logs every request; a full pipe would stop it.
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    try:
        assert started, "Prism did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)
        drain.join(10)
        process.stdout.close()


@pytest.fixture
def twilio(prism_url: str) -> Iterator[TwilioRest]:
    twilio = TwilioRest(
        account_sid=ACCOUNT_SID,
        username=ACCOUNT_SID,
        password="token",
        base_url=prism_url,
        patience=Patience(read_s=20, total_s=30),
    )
    yield twilio
    twilio.close()


async def test_every_request_we_make_is_twilios_own(twilio: TwilioRest) -> None:
    """What our own fake accepts proves nothing about Twilio."""
    fallback = twiml.Fallback(say="Sorry.", dial="+33612345678")
    documents = [
        twiml.failure(fallback),
        twiml.dial(to="sip:q@h.test?X-A=1&X-B=2", action_url="https://h.test/r", timeout_s=20),
        twiml.connect_stream(
            stream_url="wss://h.test/media-stream",
            token="t" * 43,
            action_url="https://h.test/twilio/stream-ended",
            status_url="https://h.test/twilio/stream-status",
            fallback=fallback,
        ),
    ]

    for document in documents:
        await twilio.redirect(CALL_SID, document)
    await twilio.hang_up(CALL_SID)
    await twilio.message("+33612345678", "+14155550123", "See you.")
    news = "https://h.test/twilio/message-status?call=x&to=caller"
    await twilio.message(
        "+33612345678",
        "MG" + "0" * 32,
        "See you.",
        media_url="https://h.test/map.png",
        status_callback=news,
    )
    status = await twilio.call_status(CALL_SID)
    asked_first = {
        "timeout": 20,
        "status_callback": "https://h.test/status",
        "status_callback_event": ["ringing", "answered", "completed"],
        "machine_detection": "Enable",
        "async_amd": "true",
        "async_amd_status_callback": "https://h.test/machine",
    }
    await twilio.place("+33612345678", "+15005550006", "https://h.test/person", asked_first)

    told = "https://h.test/twilio/recording"
    recording = await twilio.record(CALL_SID, channels="dual", status_callback=told)
    for change in ("paused", "in-progress", "stopped"):
        await twilio.change_recording(CALL_SID, recording, change)
    await twilio.change_recording(CALL_SID, None, "paused")
    await twilio.recorded_call(recording)
    await twilio.delete_recording(recording)

    assert status in {"queued", "ringing", "in-progress", "completed", "canceled"}


async def test_the_judge_refuses_what_twilio_would(twilio: TwilioRest) -> None:
    """A judge that lets everything pass would make the test above worthless."""
    document = twiml.say_and_hangup("x" * twiml.REST_LIMIT_CHARS)

    with pytest.raises(CarrierFault) as caught:
        await twilio.redirect(CALL_SID, document)

    assert not twiml.fits_rest(document)
    assert caught.value.reason == "refused_422"
