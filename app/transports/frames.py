"""WebSocket frames to whole text messages.

Both vendors send every message as one frame; a proxy in between may split it, which the
protocol allows. Whole frames pass without a copy, pieces are put together up to a size.
"""

from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from app.protocol.errors import Malformed

ABNORMAL = 1006
CLOSE_WITHIN_S = 1


def answer_close(transport: WSTransport, frame: WSFrame) -> None:
    """The peer closes: its code is echoed, as RFC 6455 asks, and the socket goes."""
    transport.send_close(frame.get_close_code())
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


class Assembler:
    """One connection's messages. Memory is bounded by ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: bytearray | None = None

    @property
    def idle(self) -> bool:
        """No piece is waiting: a whole frame is a message by itself."""
        return self._pieces is None

    def message(self, frame: WSFrame) -> bytes | memoryview | None:
        """The text message that this data frame completes, None while more is to come.

        The memoryview is valid until the callback returns. Raises ``Malformed`` for binary
        messages, pieces out of order and messages over the limit.
        """
        if frame.msg_type == WSMsgType.TEXT:
            if frame.fin:
                self._pieces = None
                return frame.get_payload_as_memoryview()
            self._pieces = bytearray(frame.get_payload_as_memoryview())
            return None
        if frame.msg_type != WSMsgType.CONTINUATION or self._pieces is None:
            raise Malformed("binary_message")
        self._pieces += frame.get_payload_as_memoryview()
        if len(self._pieces) > self._max_bytes:
            self._pieces = None
            raise Malformed("message_too_big")
        if not frame.fin:
            return None
        whole, self._pieces = bytes(self._pieces), None
        return whole
