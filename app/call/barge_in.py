"""The caller spoke over the model: what is cleared, muted, cancelled and truncated.

All of it in one answer, with nothing awaited in between: playback is cleared, every response
with unheard audio is muted as a whole (late deltas of any of its items must stay silent),
the audible item is truncated at what was heard and every queued one at 0. The server cancels
the response itself when it is configured to; a second cancellation would only be an error.
On a WebSocket the server cannot know what was heard, so without the truncation the model
believes it said everything (OpenAI Realtime guide, interruption, 2026-11). Music and ambience
are none of what is interrupted: what was cleared of them is sent again. Keys that we press are
cut by nobody.
"""

from app.call.background import Background
from app.call.overture import Overture
from app.call.playout import Heard, Part, Playout
from app.call.presses import Presses
from app.call.recording import Recording
from app.call.responses import Responses
from app.call.transcript import Transcript
from app.protocol.commands import ClearPlayback, Command, TruncateItem
from app.protocol.units import ms_of_bytes


class BargeIn:
    """Decides an interruption from the ledger, the gate and the transcript."""

    def __init__(
        self,
        playout: Playout,
        responses: Responses,
        transcript: Transcript,
        background: Background,
        recording: Recording,
        *,
        presses: Presses,
        overture: Overture,
    ) -> None:
        self._playout = playout
        self._background = background
        self._responses = responses
        self._transcript = transcript
        self._recording = recording
        self._presses = presses
        self._overture = overture
        self._bygone: set[str] = set()
        """Responses of a line that is gone: no later one knows their items."""

    def line_lost(self) -> None:
        """What still plays was said on a line that can no longer be told how much was heard."""
        self._bygone = self._playout.responses | self._overture.responses

    def interrupt(self, now_ms: int, *, by_voice: bool = True) -> list[Command]:
        """Cut playback here. Nothing is truncated when everything had been said and heard.

        ``by_voice`` is false when the caller pressed a key, which the server cannot notice.
        """
        if self._responses.active is not None and not self._responses.spoke:
            self._transcript.unsaid(self._responses.active)
        if self._presses.sounding or self._overture.responses:
            return self._held_back(now_ms, by_voice=by_voice)
        if self._playout.at_rest:
            return self._responses.mute(set(), by_voice=by_voice)
        self._recording.cut()
        muted = self._playout.responses
        out: list[Command] = [ClearPlayback()]
        for part in self._playout.interrupt(now_ms):
            self._transcript.cut(part, now_ms)
            if part.response_id not in self._bygone:
                out.append(TruncateItem(part.item_id, part.content_index, part.heard_ms))
        out += self._responses.mute(muted, by_voice=by_voice)
        return out + self._background.cleared(now_ms)

    def _held_back(self, now_ms: int, *, by_voice: bool) -> list[Command]:
        """Keys are being pressed, which nobody cuts, or the caller is yet to come: what waits to
        be said never is."""
        out: list[Command] = []
        lengths: dict[Part, int] = {}
        for audio in self._overture.release():
            part = (audio.response_id, audio.item_id, audio.content_index)
            lengths[part] = lengths.get(part, 0) + audio.length_bytes
        for part, length in lengths.items():
            unheard = Heard(*part, heard_ms=0, sent_ms=ms_of_bytes(length))
            self._transcript.cut(unheard, now_ms)
            if unheard.response_id not in self._bygone:
                out.append(TruncateItem(unheard.item_id, unheard.content_index, 0))
        return out + self._responses.mute({part[0] for part in lengths}, by_voice=by_voice)
