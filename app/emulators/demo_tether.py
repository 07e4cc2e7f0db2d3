"""`python -m app.emulators.demo_tether FOLDER serve`: a server that ends with who started it.

The server alone outlives its parent, and is right to: a service manager owes it no pipe. One
that was started for a call must not stay behind when the call's process is killed. Rule: the
standard input is a pipe from whoever started it; when that closes the server is told to end as
by a service manager, and is killed if it does not. FOLDER is the temporary one it works in:
whoever was killed could not remove it, so then the server does.
"""

import os
import runpy
import shutil
import signal
import sys
import threading

_ENDS_WITHIN_S = 20.0
"""More than a server takes that was told not to wait for its calls."""


def main() -> None:
    """Be ``python -m app`` with these arguments, until it ends or the standard input does."""
    tether = _Tether(sys.argv.pop(1))
    threading.Thread(target=tether.follow, name="standard input", daemon=True).start()
    # While it starts, and has no handler of its own, what is below comes about all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        # The same process and not a child of ours: nothing is left if it is killed.
        runpy.run_module("app", run_name="__main__", alter_sys=True)
    finally:
        tether.tidy()


class _Tether:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._alone = False

    def follow(self) -> None:
        """Wait for the end of the standard input, and end this process."""
        # Not sys.stdin: its lock would be held when the interpreter ends.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        self._alone = True
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(_ENDS_WITHIN_S)
        self.tidy()
        os.kill(os.getpid(), signal.SIGKILL)

    def tidy(self) -> None:
        """Remove the folder if nobody is left who would."""
        if self._alone:
            shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    main()
