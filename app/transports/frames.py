"""WebSocket frames to whole text messages.

Both vendors send every message as one frame; a proxy in between may split it, which the
protocol allows. Whole frames pass without a copy, pieces are put together up to a size.
"""

from collections import Counter

from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from app.protocol.errors import Malformed

ABNORMAL = 1006
CLOSE_WITHIN_S = 1
MOST_REASONS = 64


def answer_close(transport: WSTransport, frame: WSFrame) -> None:
    """The peer closes: its code is echoed, as RFC 6455 asks, and the socket goes.

    Where it gave none, picows reads a 0, and can write no close without a code.
    """
    transport.send_close(frame.get_close_code() or WSCloseCode.OK)
    transport.disconnect()


def begin_close(transport: WSTransport, code: int) -> None:
    """We close: the peer should answer; whoever calls this aborts if it does not."""
    transport.send_close(WSCloseCode(code))


def received_code(transport: WSTransport) -> int:
    """The close code the peer sent; 1006 when the socket went without one."""
    handshake = transport.close_handshake
    if handshake is None or handshake.recv is None:
        return ABNORMAL
    return int(handshake.recv.code)  # type: ignore[call-overload,no-any-return]


def count(ignored: Counter[str], reason: str) -> int:
    """One more message ignored for ``reason``; how many that makes.

    Some reasons are words of the peer's: there is room for so many and no more.
    """
    if len(ignored) >= MOST_REASONS and reason not in ignored:
        reason = "other"
    ignored[reason] += 1
    return ignored[reason]


class Assembler:
    """One connection's messages. Memory is bounded by ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.pieces: bytearray | None = None
        """What has come of a split message; None where a whole frame is one by itself."""

    def message(self, frame: WSFrame) -> bytes | memoryview | None:
        """The text message that this data frame completes, None while more is to come.

        The memoryview is valid until the callback returns. Raises ``Malformed`` for binary
        messages, pieces out of order and messages over the limit.
        """
        begins = frame.msg_type == WSMsgType.TEXT
        if begins and frame.fin and self.pieces is None:
            return frame.get_payload_as_memoryview()
        if not begins and frame.msg_type != WSMsgType.CONTINUATION:
            raise Malformed("binary_message")
        if begins == (self.pieces is not None):
            self.pieces = None
            raise Malformed("pieces_out_of_order")
        if self.pieces is None:
            self.pieces = bytearray()
        self.pieces += frame.get_payload_as_memoryview()
        if len(self.pieces) > self._max_bytes:
            self.pieces = None
            raise Malformed("message_too_big")
        if not frame.fin:
            return None
        whole, self.pieces = bytes(self.pieces), None
        return whole
