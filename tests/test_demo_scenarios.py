"""Scenarios of the demonstration as a newcomer gives them, and what they ask Twilio for."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.test_prism import prism_url  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[1]
CHOSEN = ("warm-declined", "pin", "sms")
WITHIN_S = 90


@dataclass(frozen=True)
class Done:
    """What the command left."""

    status: int
    said: str
    folder: Path

    def requests(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Method, path and form of all that Twilio's REST API was asked for."""
        for file in sorted(self.folder.glob("*/requests.json")):
            yield from json.loads(file.read_text())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A few of them, at the same time."""
    folder = tmp_path_factory.mktemp("scenarios")
    names = [word for name in CHOSEN for word in ("--scenario", name)]
    ran = subprocess.run(
        [sys.executable, "-m", "app.emulators", "demo", "--out", str(folder), *names],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    return Done(ran.returncode, ran.stdout + ran.stderr, folder)


def test_each_is_heard_as_it_has_to_be(done: Done) -> None:
    """They judge themselves, here we believe it; what was heard can be listened to."""
    assert done.status == 0, done.said
    assert done.said.count("ok   ") == len(CHOSEN)
    for name, sound in (
        ("warm-declined", "person-heard"),
        ("pin", "recording"),
        ("sms", "caller-heard"),
    ):
        assert (done.folder / name / f"{sound}.wav").stat().st_size > 8_000


def test_what_they_ask_of_twilio_is_twilios_own(
    done: Done,
    prism_url: str,  # noqa: F811 - a fixture
) -> None:
    """Every request is judged by Twilio's document: what our own fake takes proves nothing."""
    judged = 0
    for method, path, form in done.requests():
        if "/Calls" in path or "/Messages" in path or "/Recordings" in path:
            assert answered(prism_url, method, path, form) < 300, (path, form)
            judged += 1

    assert judged >= 6
    assert answered(prism_url, "POST", path_of_calls(done), {"To": "+12125551234"}) == 422


def path_of_calls(done: Done) -> str:
    """Where calls are placed."""
    return next(path for _, path, _ in done.requests() if path.endswith("/Calls.json"))


def answered(url: str, method: str, path: str, form: dict[str, str]) -> int:
    """The status of the judge's answer."""
    data = urllib.parse.urlencode(form).encode() if method == "POST" else None
    request = urllib.request.Request(url + path, data, method=method)
    request.add_header("Authorization", "Basic QUM6dG9rZW4=")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
