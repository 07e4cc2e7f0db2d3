"""A companion for the tests of companions: says when it starts, ends with its input.

``python -m tests.companion_double NOTIFY [--mute] [--port N]``: connects to NOTIFY at each
start and tells its process id and port.
"""

import json
import os
import socket
import sys


def main(arguments: list[str]) -> None:
    """Live as long as the standard input is open."""
    port = int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else 1234
    with socket.create_connection(("127.0.0.1", int(arguments[0]))) as notify:
        notify.sendall(json.dumps({"pid": os.getpid(), "port": port}).encode() + b"\n")
        if "--mute" in arguments:
            sys.exit(3)
        sys.stdout.write(json.dumps({"ready": True, "port": port}) + "\n")
        sys.stdout.write("more than that nobody waits for\n")
        sys.stdout.write(json.dumps({"hear": "less"}) + "\n[]\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
