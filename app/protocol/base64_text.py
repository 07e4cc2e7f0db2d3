"""Base64 text at the boundary: checked once, then passed by reference.

Audio payloads go from one socket's JSON into the other's by string building. A payload that
held a quote could close our JSON string and smuggle a second message into the model line,
so every payload is held against the base64 alphabet before it becomes an event.
"""

import string

from app.protocol.errors import Malformed

_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
_PADDING = {b"": "", b"=": "=", b"==": "=="}
"""What may be left, and how the text then ends. A frame of 160 bytes is always padded."""
_NEVER = "\u2400"
"""No text that is ASCII ends with this."""


def checked_length(text: str) -> int:
    """Bytes that the base64 ``text`` stands for, at least 1.

    Raises ``Malformed`` for anything but a non-empty, padded base64 string. Deleting the
    alphabet and looking at what is left is the fastest complete check in the standard
    library: 0.23 us for a 20 ms frame where decoding strictly took 0.53 and a regular
    expression 0.45, and 0.6 against 2.5 and 1.6 for a delta of 100 ms (2026-11).
    """
    try:
        rest = text.encode("ascii").translate(None, _ALPHABET)
    except UnicodeEncodeError:
        raise Malformed("payload_not_base64") from None
    except AttributeError:
        # No other value of JSON can be encoded; asking each frame what it is costs 25 ns.
        raise Malformed("payload_not_text") from None
    length = len(text)
    if length % 4 or not text.endswith(_PADDING.get(rest, _NEVER)):
        raise Malformed("payload_not_base64")
    if not length:
        raise Malformed("payload_empty")
    return length // 4 * 3 - len(rest)
