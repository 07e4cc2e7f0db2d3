"""The caller line in hands that do not follow the rules: it ends, and what ends takes nothing."""

import asyncio
import json
from contextlib import suppress

from picows import WSUpgradeRequest

from app.protocol.twilio_stream import Start
from app.transports.caller import MOST_MALFORMED, CallerLine
from app.transports.frames import CLOSE_WITHIN_S
from tests.transports.test_takeover import UPGRADE, opened, serving, text_frame

START = json.dumps(
    {
        "event": "start",
        "streamSid": "MZ" + "0" * 32,
        "start": {
            "streamSid": "MZ" + "0" * 32,
            "accountSid": "AC" + "0" * 32,
            "callSid": "CA" + "0" * 32,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "t"},
        },
    }
).encode()
NONSENSE = text_frame(b"nonsense")


class Claims:
    """Who asked for a stream; nobody gets one."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.lines: list[CallerLine] = []

    def admit(self, _request: WSUpgradeRequest) -> CallerLine:
        """A line for every socket."""
        self.lines.append(CallerLine(self.claim))
        return self.lines[-1]

    def claim(self, _line: CallerLine, start: Start) -> None:
        """Note who asked."""
        self.starts.append(start)


async def test_a_stream_can_begin_on_a_line_that_is_open() -> None:
    """What the next test sends would be listened to."""
    claims = Claims()
    async with serving(claims.admit) as port:
        reader, writer = await opened(port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text_frame(START))
        await asyncio.wait_for(reader.read(), 60)
        writer.close()

    assert len(claims.starts) == 1


async def test_a_closing_line_is_deaf_and_gone_within_its_time() -> None:
    """Garbage that goes on after the close must not put the end off again and again, and no
    stream may begin on a socket that is being closed."""
    claims = Claims()
    async with serving(claims.admit) as port:
        reader, writer = await opened(port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NONSENSE * MOST_MALFORMED)
        assert (await reader.readexactly(4))[:1] == b"\x88", "a close frame"

        async def go_on() -> None:
            while not writer.is_closing():
                writer.write(NONSENSE + text_frame(START))
                await asyncio.sleep(CLOSE_WITHIN_S / 20)

        async with asyncio.timeout(4 * CLOSE_WITHIN_S), asyncio.TaskGroup() as group:
            noise = group.create_task(go_on())
            with suppress(ConnectionError):
                assert await reader.read() == b""
            noise.cancel()
        writer.close()

    assert claims.starts == []
