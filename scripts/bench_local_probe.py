"""Asks a server whether it is there, every 20 ms, and prints how long each answer took, as JSON.

A process of its own: the bench beside it drives a browser, and would wait for itself.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlsplit

EVERY_S = 0.02


def answer_times_ms(url: str, seconds: float) -> list[float]:
    """Over one connection, so that nothing but the server's loop is waited for."""
    client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    over_s = time.monotonic() + seconds
    times_ms = []
    while (asked_s := time.monotonic()) < over_s:
        client.request("GET", "/health")
        client.getresponse().read()
        answered_s = time.monotonic()
        times_ms.append(1000 * (answered_s - asked_s))
        time.sleep(max(0.0, asked_s + EVERY_S - answered_s))
    return times_ms


if __name__ == "__main__":
    print(json.dumps(answer_times_ms(sys.argv[1], float(sys.argv[2]))))
