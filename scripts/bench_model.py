"""The model's end of a call: as much of OpenAI Realtime as a conversation needs, and no more.

One rule: strict where the server could be wrong (formats, unknown items, truncation past the
end, two responses at once are counted and refused), lean where the load is. Caller audio is
recognised by its bytes without parsing JSON; anything that looks different is parsed.
"""

import random
import time
from binascii import a2b_base64
from functools import partial
from typing import Any

import orjson
from bench_answers import Answer, Item, length_ms, message
from bench_session import merge, new_session
from bench_voice import CallerVoice, Floor, Interruption, ModelVoice
from bench_wire import (
    BYTES_PER_MS,
    FRAME_BYTES,
    FRAME_MS,
    SEAL_B64,
    SEAL_BYTES,
    read_seal,
    read_seal_b64,
    seal_b64,
)
from picows import WSFrame, WSListener, WSMsgType, WSTransport

CALLER_SPEAKS_MS = 800
_APPEND = b'{"type":"input_audio_buffer.append"'
_AUDIO = b'"audio":"'
_FRAME_B64 = (FRAME_BYTES + 2) // 3 * 4
_SILENCE = b"\xff"
_TEXT = WSMsgType.TEXT


class ModelLine(WSListener):
    """One Realtime session."""

    def __init__(self, floor: Floor, voice: ModelVoice) -> None:
        super().__init__()
        self.floor = floor
        self.voice = voice
        self.session = new_session(voice.number)
        self.caller: CallerVoice | None = None
        self.answer: Answer | None = None
        self.answers = 0
        self.items: dict[str, Item] = {}
        self.transport: WSTransport | None = None
        self.plans = random.Random(voice.number)
        self.caller_says = "Please go on."
        """How every turn of the caller's is transcribed."""

    # -- the socket ------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The server opened a session."""
        self.transport = transport
        self._send(message("session.created", session=self.session))
        conversation = {"id": f"conv_{self.voice.number}", "object": "realtime.conversation"}
        self._send(message("conversation.created", conversation=conversation))
        if not self.floor.plan.judged:
            self._think(None)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The server closed the session, or lost it."""
        self.transport = None
        if not self.voice.quiet:
            self.floor.tally.faults.model_lines_lost += 1
            self.floor.tally.note(f"model line {self.voice.number} was closed during the call")
        self.voice.quiet = True
        self.voice.gone.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One message of the server."""
        now_ns = time.perf_counter_ns()
        if frame.msg_type != _TEXT:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        if not payload.startswith(_APPEND) or not self._heard_frame(payload, now_ns):
            self._heard_message(payload, now_ns)

    def _send(self, payload: bytes) -> None:
        if self.transport is not None:
            self.transport.send(_TEXT, payload)

    # -- what the caller says --------------------------------------------------------------

    def _heard_frame(self, payload: bytes, now_ns: int) -> bool:
        """Take a message that is exactly one intact frame of our caller; False: look closer."""
        caller = self.caller
        begin = payload.find(_AUDIO) + len(_AUDIO)
        end = begin + _FRAME_B64
        if (
            caller is None
            or payload[begin + SEAL_B64 : end] != caller.tail_b64
            or payload[end : end + 1] != b'"'
        ):
            return False
        seal = read_seal_b64(payload[begin : begin + SEAL_B64])
        if seal is None or seal.owner != caller.number:
            return False
        caller.heard(seal, self.floor.tally)
        if self.floor.tally.measuring:
            self.floor.tally.caller_to_model.add(now_ns - seal.sent_at_ns)
        return True

    def _heard_audio(self, audio: bytes, now_ns: int) -> None:
        for begin in range(0, len(audio), FRAME_BYTES):
            piece = audio[begin : begin + FRAME_BYTES]
            seal = read_seal(piece)
            if seal is not None and len(piece) == FRAME_BYTES:
                self._heard_piece(seal, piece, now_ns)
            elif not piece.strip(_SILENCE):
                added_ms = 0 if self.voice.held else len(piece) // BYTES_PER_MS
                self.floor.tally.faults.silence_added_ms += added_ms
            else:
                self.floor.tally.faults.corrupt += 1

    def _heard_piece(self, seal: Any, piece: bytes, now_ns: int) -> None:
        tally = self.floor.tally
        caller = self.floor.callers.get(seal.owner)
        if self.caller is None and caller is not None and caller.heard_by is None:
            self.caller = caller
            caller.heard_by = self.voice.number
        if caller is None or caller is not self.caller:
            tally.faults.leaked += 1
            return
        if piece[SEAL_BYTES:] != caller.tail:
            tally.faults.corrupt += 1
        caller.heard(seal, tally)
        if tally.measuring:
            tally.caller_to_model.add(now_ns - seal.sent_at_ns)

    # -- what the server asks --------------------------------------------------------------

    def _heard_message(self, payload: bytes, now_ns: int) -> None:
        try:
            asked = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self._refuse("invalid_event", "this is not JSON")
            return
        kind = asked.get("type")
        if kind == "input_audio_buffer.append":
            self._heard_audio(a2b_base64(asked["audio"]), now_ns)
        elif kind == "session.update":
            merge(self.session, asked["session"])
            self._send(message("session.updated", session=self.session))
        elif kind == "response.create":
            self._asked_to_speak(asked, now_ns)
        elif kind == "response.cancel":
            self._asked_to_stop()
        elif kind == "conversation.item.truncate":
            self._truncate(asked)
        elif kind == "conversation.item.delete":
            self._delete(asked)
        elif kind == "conversation.item.create":
            item = {"object": "realtime.item", "status": "completed", **asked["item"]}
            item.setdefault("id", f"item_in_{time.perf_counter_ns()}")
            self._send(message("conversation.item.added", previous_item_id=None, item=item))
            self._send(message("conversation.item.done", previous_item_id=None, item=item))
        else:
            self._refuse("invalid_value", f"unknown event type {kind}")

    def _asked_to_speak(self, asked: dict[str, Any], now_ns: int) -> None:
        if self.answer is not None:
            self._refuse("conversation_already_has_active_response", "one answer at a time")
            return
        if not self.voice.asked_at_ns:
            self.voice.asked_at_ns = now_ns
        self._think((asked.get("response") or {}).get("metadata"))

    def _asked_to_stop(self) -> None:
        if self.answer is None:
            self._refuse("response_cancel_not_active", "no active response found")
        else:
            self._cancel("client_cancelled")

    def _truncate(self, asked: dict[str, Any]) -> None:
        item = self.items.get(asked["item_id"])
        end_ms = asked["audio_end_ms"]
        if item is None:
            self._refuse("item_truncate_invalid_item_id", asked["item_id"])
            return
        if not isinstance(end_ms, int) or end_ms > length_ms(item, self.voice.piece_bytes):
            self.floor.tally.faults.truncations_beyond += 1
            self._refuse("invalid_value", f"audio content is already shorter than {end_ms}ms")
            return
        if self.voice.interruption is not None:
            self.voice.interruption.truncated_ms[item.number] = end_ms
        self._send(
            message(
                "conversation.item.truncated",
                item_id=item.id,
                content_index=asked["content_index"],
                audio_end_ms=end_ms,
            )
        )

    def _delete(self, asked: dict[str, Any]) -> None:
        item = self.items.pop(asked["item_id"], None)
        if item is None:
            self._refuse("item_delete_invalid_item_id", asked["item_id"])
            return
        if self.voice.interruption is not None:
            self.voice.interruption.deleted.add(item.number)
        self._send(message("conversation.item.deleted", item_id=item.id))

    def _refuse(self, code: str, sentence: str) -> None:
        self.floor.tally.faults.model_messages_refused += 1
        self.floor.tally.note(f"model line {self.voice.number}: {code}: {sentence}")
        error = {"type": "invalid_request_error", "code": code, "message": sentence}
        self._send(message("error", error={**error, "param": None, "event_id": None}))

    # -- the conversation ------------------------------------------------------------------

    def _think(self, metadata: Any) -> None:
        self.floor.wheel.after(self.floor.plan.think_ms, partial(self._begin, metadata))

    def _begin(self, metadata: Any) -> None:
        if self.voice.quiet or self.answer is not None:
            return
        self.voice.answer_over()
        self.voice.interruption = None
        answer = self.answer = self._new_answer(metadata)
        self._send(answer.opening())
        self._open_item(answer, answer.items[0])
        answer.started_at_ns = time.perf_counter_ns()
        if not self.voice.first_sent_at_ns:
            self.voice.first_sent_at_ns = answer.started_at_ns
        self._plan_next_turn(answer)
        self._emit(answer, 0)

    def _new_answer(self, metadata: Any) -> Answer:
        """Some seconds of speech; every fourth answer comes as two items."""
        number, turn = self.voice.number, self.answers
        self.answers += 1
        self.floor.tally.answers += 1
        response_id = f"resp_{number}_{turn}"
        plan = self.floor.plan
        pieces = self.plans.randint(plan.shortest_ms, plan.longest_ms) // plan.piece_ms
        shares = (
            [pieces // 2, pieces - pieces // 2] if turn and (turn + number) % 4 == 0 else [pieces]
        )
        items = [
            Item(
                f"item_{number}_{turn}_{index}",
                number=turn * 2 + index + 1,
                index=index,
                response_id=response_id,
                pieces=share,
                tail=self.voice.tail_b64,
            )
            for index, share in enumerate(shares)
        ]
        self.items = {item.id: item for item in [*self.items.values(), *items][-4:]}
        return Answer(response_id, items, conversation_id=f"conv_{number}", metadata=metadata)

    def _plan_next_turn(self, answer: Answer) -> None:
        spoken_ms = sum(item.pieces for item in answer.items) * self.floor.plan.piece_ms
        turn = self.answers - 1
        if turn and (turn + self.voice.number) % self.floor.plan.interrupt_every == 0:
            after_ms = int(spoken_ms * self.plans.uniform(0.1, 0.9))
            self.floor.wheel.after(after_ms, partial(self._caller_speaks, True))
        else:
            after_ms = spoken_ms + self.plans.randint(400, 900)
            self.floor.wheel.after(after_ms, partial(self._caller_speaks, False))

    def _open_item(self, answer: Answer, item: Item) -> None:
        for payload in answer.item_opening(item):
            self._send(payload)

    def _emit(self, answer: Answer, index: int) -> None:
        voice = self.voice
        if self.answer is not answer or voice.quiet:
            return
        item = answer.items[index]
        seal = seal_b64(item.number, voice.number, voice.sent, time.perf_counter_ns())
        voice.sent += 1
        self._send(item.delta(seal))
        if item.sent % 3 == 0:
            self._send(item.text())
        if item.sent == item.pieces:
            index += 1
            self._close_item(answer, item)
        if self.answer is answer:
            step_ms = self.floor.plan.piece_ms // self.floor.plan.speed
            self.floor.wheel.after(step_ms, partial(self._emit, answer, index))

    def _close_item(self, answer: Answer, item: Item) -> None:
        for payload in answer.item_closing(item, "completed"):
            self._send(payload)
        if item is answer.items[-1]:
            self.answer = None
            for payload in answer.closing("completed", None):
                self._send(payload)
        else:
            self._open_item(answer, answer.items[answer.items.index(item) + 1])

    def _cancel(self, reason: str) -> None:
        answer, self.answer = self.answer, None
        if answer is None:
            return
        open_items = [item for item in answer.items if 0 < item.sent < item.pieces]
        for item in open_items:
            for payload in answer.item_closing(item, "incomplete"):
                self._send(payload)
        for payload in answer.closing("cancelled", reason):
            self._send(payload)

    def _turn_detection(self, what: str) -> bool:
        turns = self.session["audio"]["input"]["turn_detection"]
        return bool(turns and turns.get(what, True))

    def _caller_speaks(self, interrupting: bool) -> None:
        if self.voice.quiet or self.voice.held:
            return
        heard_ms = self.caller.expected * FRAME_MS if self.caller is not None else 0
        item_id = f"item_{self.voice.number}_{self.answers}_u"
        now_ns = time.perf_counter_ns()
        if interrupting and self.floor.plan.judged:
            self.voice.interruption = Interruption(now_ns)
        self._send(
            message(
                "input_audio_buffer.speech_started",
                audio_start_ms=max(0, heard_ms - 300),
                item_id=item_id,
            )
        )
        if self._turn_detection("interrupt_response"):
            self._cancel("turn_detected")
        self.floor.wheel.after(CALLER_SPEAKS_MS, partial(self._caller_ends, item_id))

    def _caller_ends(self, item_id: str) -> None:
        if self.voice.quiet:
            return
        if self.voice.interruption is not None:
            self.voice.interruption.settle(self.floor.tally)
        heard_ms = self.caller.expected * FRAME_MS if self.caller is not None else 0
        said = {"type": "input_audio", "transcript": None}
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [said],
        }
        for payload in (
            message("input_audio_buffer.speech_stopped", audio_end_ms=heard_ms, item_id=item_id),
            message("input_audio_buffer.committed", previous_item_id=None, item_id=item_id),
            message("conversation.item.added", previous_item_id=None, item=item),
            message("conversation.item.done", previous_item_id=None, item=item),
            message(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=self.caller_says,
                usage={"type": "duration", "seconds": 1},
            ),
        ):
            self._send(payload)
        if self._turn_detection("create_response"):
            self._think(None)
