"""The numbers of telephone audio, and what base64 text is worth without decoding it."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.base64_text import checked_length
from app.protocol.errors import Malformed
from app.protocol.units import (
    B64_QUANTUM_BYTES,
    B64_QUANTUM_CHARS,
    FRAME_BYTES,
    bytes_of_b64,
    bytes_of_ms,
    ms_of_bytes,
)


def test_a_frame_is_160_bytes() -> None:
    """Twilio's 20 ms of mu-law."""
    assert FRAME_BYTES == 160
    assert bytes_of_ms(20) == 160
    assert ms_of_bytes(160) == 20
    assert ms_of_bytes(7) == 0


@given(st.binary(max_size=2_000))
def test_base64_tells_its_length(data: bytes) -> None:
    """Nothing on the audio path decodes, so the length must come from the text."""
    assert bytes_of_b64(b64encode(data).decode()) == len(data)


@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 70))
def test_base64_may_be_cut_at_every_quantum(data: bytes, quanta: int) -> None:
    """Pieces are valid by themselves, and whole when put together again."""
    text, size = b64encode(data).decode(), quanta * B64_QUANTUM_CHARS
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    decoded = [b64decode(piece, validate=True) for piece in pieces]

    assert b"".join(decoded) == data
    assert all(len(piece) == quanta * B64_QUANTUM_BYTES for piece in decoded[:-1])


@given(st.binary(min_size=1, max_size=500))
def test_honest_payloads_pass(data: bytes) -> None:
    """Any audio is some base64."""
    assert checked_length(b64encode(data).decode()) == len(data)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "payload_not_text"),
        (7, "payload_not_text"),
        (["AAAA"], "payload_not_text"),
        (b"AAAA", "payload_not_text"),
        ("", "payload_empty"),
        ("A", "payload_not_base64"),
        ("AAA", "payload_not_base64"),
        ("AA=A", "payload_not_base64"),
        ("AAAA====", "payload_not_base64"),
        ("====", "payload_not_base64"),
        ("AAAA AAA", "payload_not_base64"),
        ("AAAA\n", "payload_not_base64"),
        ("AAA-", "payload_not_base64"),
        ("AAAé", "payload_not_base64"),
        ("AAA\x00", "payload_not_base64"),
        ('AAAA"}', "payload_not_base64"),
        ("\\u0022", "payload_not_base64"),
        ("AAAA\ud800", "payload_not_base64"),
    ],
)
def test_what_is_not_base64_never_gets_in(payload: object, reason: str) -> None:
    """A quote in a payload would close our JSON string."""
    with pytest.raises(Malformed, match=reason):
        checked_length(payload)


@given(st.text(max_size=60))
def test_what_passes_can_be_pasted_into_json(text: str) -> None:
    """The alphabet holds nothing that JSON would read as its own."""
    try:
        checked_length(text)
    except Malformed:
        return
    assert text.isascii()
    assert not set(text) & set('"\\{}[]:, \n\r\t')
