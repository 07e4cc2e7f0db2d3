"""One inbound call from the command line: placed, told, recorded, judged.

The caller waits, says what they were given to say, waits again and hangs up. Rule: whatever
becomes of the call, its recording is written and its end is told.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.emulators.call_story import CallStory, conclude, went_well
from app.emulators.demo_server import Server
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import CALLER, Studio, read_caller, stereo_wav
from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_call import EmulatedCall
from app.protocol.units import ms_of_bytes


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Whom to call, what to say, and when."""

    server: Server
    from_: str
    to: str
    twilio_port: int
    out: Path
    """Where the recording goes; its folder is there."""
    say: str | None
    wav: Path | None
    after_s: float
    """When the caller begins to speak, from the beginning of the call."""
    hang_up_s: float


@dataclass(frozen=True, slots=True)
class Words:
    """What the caller says, and how it is told."""

    audio: bytes
    """Mu-law; empty for a caller who says nothing."""
    told: str


async def place(options: CallOptions, screen: Screen) -> bool:
    """Place the call; whether it went well. Raises ``VoiceFault`` or ``OSError``."""
    words = await _words(options)
    known = options.server
    twilio = TwilioEmulator(
        account_sid=known.account_sid,
        auth_token=known.auth_token,
        public_url=known.public_url,
        server_url=known.url,
        api_port=options.twilio_port,
    )
    async with twilio:
        screen.begin()
        call = await twilio.call(from_=options.from_, to=options.to)
        screen.tell("call", f"{call.from_} calls {call.to}")
        with _told(CallStory(screen, call)) as story:
            await _converse(call, words, options, story)
            await call.hang_up()
            await call.ended()
        sound = stereo_wav(*call.recording())
        await asyncio.to_thread(options.out.write_bytes, sound)
    conclude(screen, call, str(options.out))
    return went_well(call)


async def _words(options: CallOptions) -> Words:
    if options.wav is not None:
        audio = await asyncio.to_thread(read_caller, options.wav)
        return Words(audio, f"plays {options.wav} ({ms_of_bytes(len(audio)) / 1000:.1f} s)")
    if options.say is None:
        return Words(b"", "")
    return Words(await Studio.found().say(options.say, CALLER), options.say)


async def _converse(
    call: EmulatedCall, words: Words, options: CallOptions, story: CallStory
) -> None:
    """The caller's part until they have had enough, or the call is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.hang_up_s):
            with contextlib.suppress(TimeoutError):
                await call.until(lambda: call.over, options.after_s)
            if words.audio and not call.over:
                story.caller_says(words.told)
                await call.speak(words.audio)
            await call.until(lambda: call.over, options.hang_up_s)


@contextmanager
def _told(story: CallStory) -> Iterator[CallStory]:
    watching = asyncio.create_task(story.watch(), name="story")
    try:
        yield story
    finally:
        watching.cancel()
        story.look()
