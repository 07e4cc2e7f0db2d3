"""WebSocket frames to whole text messages."""

from dataclasses import dataclass
from typing import cast

import pytest
from picows import WSFrame, WSMsgType

from app.protocol.errors import Malformed
from app.transports.frames import Assembler

TEXT, MORE, BINARY = WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY


@dataclass(frozen=True, slots=True)
class Frame:
    """What the assembler reads of a frame."""

    msg_type: WSMsgType
    payload: bytes
    fin: bool = True

    def get_payload_as_memoryview(self) -> memoryview:
        return memoryview(self.payload)


def put(assembler: Assembler, *frames: Frame) -> list[bytes | None]:
    """What each frame completes."""
    out = [assembler.message(cast(WSFrame, frame)) for frame in frames]
    return [None if message is None else bytes(message) for message in out]


def test_a_whole_frame_passes_without_a_copy() -> None:
    """Fifty times a second and call."""
    message = Assembler(10).message(cast(WSFrame, Frame(TEXT, b"{}")))

    assert isinstance(message, memoryview)


def test_pieces_are_put_together() -> None:
    """A proxy may split what both vendors send whole."""
    assembler = Assembler(10)

    assert put(
        assembler,
        Frame(TEXT, b"{", fin=False),
        Frame(MORE, b'"a"', fin=False),
        Frame(MORE, b":1}"),
        Frame(TEXT, b"[]"),
    ) == [None, None, b'{"a":1}', b"[]"]


def test_a_letter_may_be_split() -> None:
    """Pieces are bytes; only the whole is text."""
    letter = "é".encode()

    assert put(Assembler(10), Frame(TEXT, letter[:1], fin=False), Frame(MORE, letter[1:])) == [
        None,
        letter,
    ]


def test_memory_is_bounded() -> None:
    """A message without an end must not fill it."""
    assembler = Assembler(10)
    put(assembler, Frame(TEXT, b"12345", fin=False), Frame(MORE, b"12345", fin=False))

    with pytest.raises(Malformed, match="message_too_big"):
        put(assembler, Frame(MORE, b"1", fin=False))
    with pytest.raises(Malformed):
        put(assembler, Frame(MORE, b"1"))


def test_pieces_are_not_copied_again_for_every_piece() -> None:
    """A message in many small pieces would cost the square of its length."""
    assembler = Assembler(64 * 1024)
    put(assembler, Frame(TEXT, b"x", fin=False))
    pieces = assembler.pieces

    for _ in range(1_000):
        put(assembler, Frame(MORE, b"x", fin=False))
        assert assembler.pieces is pieces

    assert put(assembler, Frame(MORE, b"x")) == [b"x" * 1_002]


@pytest.mark.parametrize("frame", [Frame(BINARY, b"\x00"), Frame(BINARY, b"", fin=False)])
def test_binary_is_refused(frame: Frame) -> None:
    """Neither vendor sends it."""
    with pytest.raises(Malformed, match="binary_message"):
        put(Assembler(10), frame)


def test_a_piece_of_nothing_is_refused() -> None:
    """A continuation needs a beginning."""
    assembler = Assembler(10)
    with pytest.raises(Malformed):
        put(assembler, Frame(MORE, b"}"))
    assert put(assembler, Frame(TEXT, b"{}")) == [b"{}"]


def test_a_new_message_in_the_middle_of_another_is_refused() -> None:
    """RFC 6455 forbids it; the pieces before it would be lost without a trace."""
    with pytest.raises(Malformed):
        put(Assembler(10), Frame(TEXT, b"{", fin=False), Frame(TEXT, b"{}"))


def test_a_first_piece_that_is_too_big_is_refused() -> None:
    """The bound holds from the first byte on."""
    with pytest.raises(Malformed, match="message_too_big"):
        put(Assembler(10), Frame(TEXT, b"x" * 11, fin=False))
