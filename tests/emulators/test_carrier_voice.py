"""What the carrier's voice cannot say is only shown; the call goes on."""

import pytest

from app.emulators.carrier_voice import FliteVoice


@pytest.mark.parametrize(
    ("program", "text"),
    [("/bin/echo", "zero\x00byte"), ("/bin/echo", "half \ud83d"), ("/nowhere/flite", "Hello.")],
    ids=["zero byte", "half a character", "uninstalled"],
)
async def test_what_cannot_be_said_is_silence(program: str, text: str) -> None:
    """Somebody typed it, or a tool returned it; the line must not go dead for it."""
    assert await FliteVoice(program, "slt").say(text) == b""
