"""The scripts a newcomer types, run as they are; stand-ins are programs on the PATH.

The environment of the person who runs the tests is never touched: what makes one is tried in
a folder of its own.
"""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needs

ROOT = Path(__file__).parents[1]
SHELL_SCRIPTS = [
    *(ROOT / "scripts" / name for name in ("setup", "start", "test", "demo", "check")),
    ROOT / ".ci" / "run",
]
DEMO = [sys.executable, "-m", "app.emulators", "demo"]
DEMO_WITHIN_S = 90


def program(path: Path, text: str) -> None:
    """Make an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Clone:
    """A fresh clone as far as ``scripts/setup`` can tell, with a PATH of our choosing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        (self.folder / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "setup", self.folder / "scripts" / "setup")
        (self.folder / "uv.lock").write_text("version = 1\n")
        self.bin.mkdir()
        for tool in ("cat", "cmp", "cp", "dirname", "env", "rm", "sh"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def venv(self) -> None:
        """As if an environment had been made before."""
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        (self.folder / ".venv" / "bin" / "python").symlink_to(sys.executable)

    def uv(self) -> None:
        """A uv that only writes down what it was asked."""
        program(self.bin / "uv", f'echo "$@" >> {self.calls}')

    def setup(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``scripts/setup``."""
        return subprocess.run(
            ["/bin/sh", str(self.folder / "scripts" / "setup"), *arguments],
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def asked(self) -> list[str]:
        """What uv was asked so far."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_scripts_can_be_run_as_they_were_cloned(script: Path) -> None:
    """Without the mode bit the README's first command answers "permission denied"."""
    assert script.stat().st_mode & stat.S_IXUSR
    assert script.read_text().startswith("#!")


@needs("shellcheck", there=shutil.which("shellcheck") is not None)
@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean_shell(script: Path) -> None:
    """They run on shells we do not have."""
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_image_is_built_with_the_uv_of_the_scripts() -> None:
    """Two versions read one lock file in two ways, and only one of them is tried here."""
    pinned = [
        re.search(r"UV_VERSION=([\d.]+)", (ROOT / file).read_text())
        for file in ("scripts/setup", "Dockerfile")
    ]

    assert len({found and found[1] for found in pinned}) == 1
    assert pinned[0] is not None


def test_an_environment_is_filled_once_for_each_lock_file(clone: Clone) -> None:
    """The second start must not ask the network, and a pulled change must be installed."""
    clone.venv()
    clone.uv()

    first = clone.setup()
    again = clone.setup()

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert len(clone.asked()) == 1
    assert "--frozen --inexact --extra local --no-dev" in clone.asked()[0]

    (clone.folder / "uv.lock").write_text("version = 2\n")
    clone.setup()

    assert len(clone.asked()) == 2


def test_what_the_tests_need_includes_what_the_server_needs(clone: Clone) -> None:
    """Starting after testing installs nothing; testing after starting does."""
    clone.venv()
    clone.uv()

    clone.setup()
    clone.setup("dev")
    clone.setup()

    assert ["--dev" in asked for asked in clone.asked()] == [False, True]


def test_an_interrupted_installation_is_taken_up_again(clone: Clone) -> None:
    """Half an environment that counts as whole fails later, somewhere else."""
    clone.venv()
    program(clone.bin / "uv", "exit 3")
    broken = clone.setup()
    clone.uv()

    clone.setup()

    assert broken.returncode == 3
    assert len(clone.asked()) == 1


def test_without_python_the_fix_is_named(clone: Clone) -> None:
    """A shell's "command not found" helps nobody."""
    program(clone.bin / "python3", "exit 1")

    done = clone.setup()

    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_without_ensurepip_the_package_is_named(clone: Clone) -> None:
    """Debian's own Python cannot make environments until python3-venv is installed."""
    program(
        clone.bin / "python3",
        'case "$2" in *ensurepip*) exit 1 ;; *print*) echo python3.11-venv ;; esac',
    )

    done = clone.setup()

    assert done.returncode == 1
    assert "sudo apt-get install python3.11-venv" in done.stderr


def test_an_unknown_group_is_refused(clone: Clone) -> None:
    """A typing mistake must not install something else."""
    assert clone.setup("prod").returncode == 2


def demonstration(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """One that leaves its files in ``folder/demo``."""
    folder.mkdir()
    # An empty PATH: no espeak-ng, so that the call is the same on every machine.
    mine = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(
        [*DEMO, "--out", str(folder / "demo"), *options],
        cwd=ROOT,
        env={**mine, "PATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demonstration_goes_as_scripted(tmp_path: Path) -> None:
    """A newcomer's first call, through real sockets, and the same call with its process killed in
    the middle; each judges itself, here we believe it. Both at once: a call takes its time."""
    whole = demonstration(tmp_path / "whole")
    killed = demonstration(tmp_path / "killed", "--kill")
    try:
        for process, name, streams in ((whole, "whole", (1, 2)), (killed, "killed", (2, 3))):
            said, complained = process.communicate(timeout=DEMO_WITHIN_S)

            assert process.returncode == 0, said + complained
            assert "\x1b[" not in said
            left = {file.name for file in (tmp_path / name / "demo").iterdir()}
            flights = {f"flight-{number}.jsonl" for number in streams}
            assert left == {"call.wav", "record.json"} | flights
    finally:
        for process in (whole, killed):
            process.kill()


def test_the_demonstration_fails_where_nobody_answers(tmp_path: Path) -> None:
    """A demonstration that cannot fail shows nothing."""
    ports = ["--openai-port", "0", "--twilio-port", "0"]
    done = subprocess.run(
        [*DEMO, "--server", "http://127.0.0.1:9", *ports, "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEMO_WITHIN_S,
        check=False,
    )

    assert done.returncode == 2
    assert "No server answers at http://127.0.0.1:9" in done.stderr


def test_ctrl_c_ends_the_demonstration_and_its_server(tmp_path: Path) -> None:
    """A server left behind keeps its port and answers the next demonstration's calls."""
    with subprocess.Popen(
        [*DEMO, "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        listens = next(line for line in running.stdout if "listens at" in line)
        next(line for line in running.stdout if "agent" in line)

        running.send_signal(signal.SIGINT)
        running.communicate(timeout=DEMO_WITHIN_S)

    assert running.returncode == 130
    port = listens.rpartition(":")[2].strip()
    held = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
    assert f":{int(port):04X} 00000000:0000 0A" not in held
