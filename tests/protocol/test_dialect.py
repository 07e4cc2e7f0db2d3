"""Dialects: what is written for each server, what is read, what confirms the format."""

from typing import Any, get_args

import orjson
import pytest

from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.dialect import (
    AZURE,
    DIALECTS,
    HF_SPEECH_TO_SPEECH,
    LOCALAI,
    MULAW,
    OPENAI,
    XAI,
    AudioFormat,
    Dialect,
)
from app.protocol.realtime_client_events import SessionConfig, session_update, write, writer
from app.protocol.realtime_server_events import (
    SessionCreated,
    SessionUpdated,
    Unknown,
    parse,
    reader,
)
from app.settings import Settings
from tests.call.words import b64

CONFIG = SessionConfig(
    model="m",
    instructions="Answer the phone.",
    turn_detection={"type": "semantic_vad", "eagerness": "low", "create_response": True},
    transcription={"model": "gpt-transcribe", "language": "fr", "keywords": ["Contoso"]},
)
PART = {"response_id": "r", "item_id": "i", "content_index": 7}
ALL = list(DIALECTS.values())


def session_of(dialect: Dialect) -> dict[str, Any]:
    session: dict[str, Any] = orjson.loads(session_update(CONFIG, dialect))["session"]
    return session


def message(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields})


def updated(into: object, out: object) -> SessionUpdated:
    session = {"audio": {"input": {"format": into}, "output": {"format": out}}}
    read = parse(message("session.updated", session=session))
    assert isinstance(read, SessionUpdated)
    return read


def test_the_setting_takes_the_names_of_all_dialects() -> None:
    """The settings know no protocol, so the names stand in two places."""
    taken = get_args(Settings.model_fields["realtime_dialect"].annotation)

    assert set(taken) == set(DIALECTS)


@pytest.mark.parametrize("dialect", [OPENAI, AZURE], ids=lambda d: d.name)
def test_ga_servers_are_read_and_written_by_the_functions_themselves(dialect: Dialect) -> None:
    """The audio path of the default must not pay for the others."""
    assert reader(dialect) is parse
    assert writer(dialect) is write
    assert not dialect.converts
    assert session_update(CONFIG, dialect) == session_update(CONFIG)


def test_xai_has_voice_and_turn_detection_at_the_top() -> None:
    """In `audio` they would be ignored, and the caller would hear another voice."""
    session = session_of(XAI)

    assert session["voice"] == "marin"
    assert session["turn_detection"] == {"type": "server_vad", "create_response": True}
    assert session["audio"] == {
        "input": {"format": {"type": "audio/pcmu"}, "transcription": {}},
        "output": {"format": {"type": "audio/pcmu"}, "speed": 1.0},
    }


def test_localai_is_not_given_a_transcription_model_it_does_not_have() -> None:
    """It would load it, fail, and refuse the session."""
    heard = session_of(LOCALAI)["audio"]["input"]

    assert heard["format"] == {"type": "audio/pcm", "rate": 8000}
    assert heard["transcription"] == {"language": "fr"}


def test_hf_speech_to_speech_is_asked_for_samples_without_a_rate() -> None:
    """A rate of 16,000 is not one of the GA types it reads messages by."""
    assert session_of(HF_SPEECH_TO_SPEECH)["audio"]["output"]["format"] == {"type": "audio/pcm"}


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
def test_a_transcript_that_is_not_wanted_is_not_asked_for(dialect: Dialect) -> None:
    """After a refusal the session is configured again without."""
    config = SessionConfig(model="m", instructions="", turn_detection={"type": "server_vad"})

    heard = orjson.loads(session_update(config, dialect))["session"]["audio"]["input"]
    assert heard["transcription"] is None


LINEAR_16 = AudioFormat("audio/pcm", 16_000)
LINEAR_24 = AudioFormat("audio/pcm", 24_000, says_rate=True)


@pytest.mark.parametrize(
    ("wanted", "told", "rate_hz", "same"),
    [
        (MULAW, "audio/pcmu", None, True),
        (MULAW, "audio/pcmu", 8000, True),
        (MULAW, "audio/pcm", 8000, False),
        (MULAW, "", None, False),
        (LINEAR_24, "audio/pcm", 24_000, True),
        (LINEAR_24, "audio/pcm", 16_000, False),
        (LINEAR_24, "audio/pcm", None, False),
        (LINEAR_24, "audio/pcmu", None, False),
        (LINEAR_16, "audio/pcm", None, True),
        (LINEAR_16, "audio/pcm", 16_000, True),
        (LINEAR_16, "audio/pcm", 24_000, False),
    ],
)
def test_a_format_is_confirmed_by_its_type_and_rate(
    wanted: AudioFormat, told: str, rate_hz: int | None, same: bool
) -> None:
    """Samples at another rate are the right sound at the wrong speed."""
    assert wanted.confirmed_by(told, rate_hz) is same


def test_only_a_server_known_to_be_silent_about_the_format_is_believed_without() -> None:
    """LocalAI's echo has no format; one that has another format means it."""
    nothing = updated(None, None)

    assert nothing.confirms(LOCALAI)
    assert not nothing.confirms(OPENAI)
    assert not nothing.confirms(HF_SPEECH_TO_SPEECH)
    assert not updated({"type": "audio/pcm", "rate": 24_000}, None).confirms(LOCALAI)


def test_both_directions_must_be_confirmed() -> None:
    """Hearing well and speaking static is not half a call."""
    right, wrong = {"type": "audio/pcm", "rate": 8000}, {"type": "audio/pcm", "rate": 24_000}

    assert updated(right, right).confirms(LOCALAI)
    assert not updated(right, wrong).confirms(LOCALAI)
    assert not updated(wrong, right).confirms(LOCALAI)


def test_xai_opens_with_its_conversation_and_nothing_else() -> None:
    """What is sent before is not sure to be read."""
    read = reader(XAI)

    opened = message("conversation.created", conversation={"id": "conv_1"})
    assert read(opened) == SessionCreated("conv_1", None)
    assert read(message("session.created", session={"id": "s"})) == Unknown("session.created")
    assert parse(opened) == Unknown("conversation.created")


def test_a_transcript_in_progress_is_not_what_the_caller_said() -> None:
    """xAI tells its beginnings by the event that ends it."""
    kind = "conversation.item.input_audio_transcription.completed"
    half = message(kind, item_id="i", transcript="I wa", status="in_progress")
    whole = message(kind, item_id="i", transcript="I want", status="completed")

    assert parse(half) == Unknown("transcription_in_progress")
    assert parse(whole) == e.CallerTranscribed("i", "I want")


def words(read: Any, kind: str, text: str) -> str | None:
    """What is read of an event about words; None when it is passed over."""
    field = "delta" if kind == "delta" else "transcript"
    name = f"response.output_audio_transcript.{kind}"
    said = read(message(name, **PART, **{field: text}))
    return said.text if isinstance(said, e.SpeechText) else None


def test_words_that_come_in_sentences_are_put_together() -> None:
    """A sentence has no space before it, as a delta has."""
    read = reader(HF_SPEECH_TO_SPEECH)

    assert [words(read, "done", one) for one in ("Hello.", "Who is it?")] == [
        "Hello.", " Who is it?",
    ]  # fmt: skip
    assert words(parse, "done", "Hello.") is None


def test_words_that_come_in_pieces_are_not_read_twice() -> None:
    """Newer versions tell them all again at the end."""
    read = reader(HF_SPEECH_TO_SPEECH)

    assert [words(read, "delta", one) for one in ("Hello", ".")] == ["Hello", "."]
    assert words(read, "done", "Hello.") is None


def test_lines_do_not_share_what_was_said_on_them() -> None:
    """Items of two sessions may have one name."""
    assert words(reader(HF_SPEECH_TO_SPEECH), "delta", "Hello.") == "Hello."
    assert words(reader(HF_SPEECH_TO_SPEECH), "done", "Hello.") == "Hello."


def test_where_calls_come_whole_they_are_read_once() -> None:
    """The other events about a call may be missing there."""
    read = reader(HF_SPEECH_TO_SPEECH)
    done = message(
        "response.function_call_arguments.done",
        response_id="r", item_id="i", call_id="c", name="look_up", arguments='{"a":1}',
    )  # fmt: skip

    assert read(done) == e.ToolCalled("r", "i", "c", "look_up", '{"a":1}')
    assert parse(done) == Unknown("response.function_call_arguments.done")


def test_an_item_is_one_part_however_its_deltas_are_counted() -> None:
    """A part for each delta would be as many truncations."""
    read = reader(HF_SPEECH_TO_SPEECH)
    delta, done = "response.output_audio.delta", "response.output_audio.done"

    assert read(message(delta, **PART, delta=b64(480))) == e.SpeechAudio("r", "i", 0, b64(480), 480)
    assert read(message(done, **PART)) == e.SpeechAudioDone("r", "i", 0)


def test_what_a_server_cannot_do_is_not_asked_of_it() -> None:
    """It would answer with an error at best."""
    cut, stop = c.TruncateItem("i", 0, 500), c.CancelResponse("r")
    silent = c.CreateResponse("greeting", tools=False)

    assert writer(HF_SPEECH_TO_SPEECH)(cut) == ""
    assert writer(LOCALAI)(cut) == write(cut)
    assert writer(Dialect("x", cancel=False))(stop) == ""
    assert "tool_choice" not in orjson.loads(writer(XAI)(silent))["response"]
    assert orjson.loads(write(silent))["response"]["tool_choice"] == "none"


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
def test_who_takes_turns_is_told_where_turn_detection_stands(dialect: Dialect) -> None:
    """W23: the whole object as the line was set up with it, in the dialect's place for it."""
    detection = {"type": "server_vad", "threshold": 0.7, "create_response": True}
    config = SessionConfig(model="m", instructions="", turn_detection=detection)

    text = writer(dialect, config)(c.SetTurnTaking(by_server=False))

    told = orjson.loads(text)["session"]
    told = told if dialect.top_level else told["audio"]["input"]
    assert told["turn_detection"] == detection | {
        "create_response": False,
        "interrupt_response": False,
    }


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
def test_every_command_is_written_in_every_dialect(dialect: Dialect) -> None:
    """What is not said is empty text, never an exception in the middle of a call."""
    for kind, command in SAMPLES.items():
        text = writer(dialect)(command)
        assert text == "" or orjson.loads(text)["type"], kind


SAMPLES: dict[type, c.ToModel] = {
    type(one): one
    for one in (
        c.AppendAudio(b64(160)),
        c.AppendSilence(20),
        c.CreateResponse("greeting"),
        c.CancelResponse("r"),
        c.TruncateItem("i", 0, 0),
        c.DeleteItem("i"),
        c.SetTurnTaking(by_server=False),
        c.ChangeSession({}, {}),
        c.AddMessage("user", "Hello."),
        c.AddToolCall("c", "look_up", "{}"),
        c.AddToolOutput("c", "42"),
        c.AskAlive(),
    )
}


def test_the_samples_are_all_commands() -> None:
    """A new command must be tried in every dialect, too."""
    assert set(SAMPLES) == set(get_args(c.ToModel))


@pytest.mark.parametrize(
    ("dialect", "headers", "address"),
    [
        (OPENAI, {"Authorization": "Bearer sk-1"}, "ws://h/v1/realtime?model=m"),
        (AZURE, {"Authorization": "Bearer sk-1", "api-key": "sk-1"}, "ws://h/v1/realtime?model=m"),
        (HF_SPEECH_TO_SPEECH, {"Authorization": "Bearer sk-1"}, "ws://h/v1/realtime"),
    ],
)
def test_the_handshake_is_the_dialects(
    dialect: Dialect, headers: dict[str, str], address: str
) -> None:
    """Where the key goes and whether the model is named differs."""
    assert dict(dialect.headers("sk-1")) == headers
    assert dialect.address("ws://h/v1/realtime?model=m") == address
