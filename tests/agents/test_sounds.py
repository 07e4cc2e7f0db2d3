"""Music, ambience and typing: as the operator writes them, and what is refused at load."""

from pathlib import Path

import pytest

from app.agents.load import AgentDocument, check_file, load_document
from app.agents.sounds import DUCKED
from app.assembly import plan, session
from app.audio import mulaw
from app.audio.made import MADE
from app.audio.tones import strength
from app.call.plan import SoundPlan
from app.tool_kinds import registry
from tests.audio.sound_files import sine_file

WHOLE = """
instructions: You answer the phone.
ambience: {source: room.wav, volume: 0.5}
hold_audio: music/hold.mp3
tools:
  opening_hours:
    {type: python, handler: "app.agents.example_tools:opening_hours", hold_audio: typing}
transfer_targets:
  desk: {description: A person., to: "+33612345678", hold_audio: {source: room.wav, loop: false}}
"""


def document(folder: Path, text: str = WHOLE) -> AgentDocument:
    """This document, beside two files of sound."""
    (folder / "music").mkdir(exist_ok=True)
    (folder / "room.wav").write_bytes(sine_file(500, 0.5, rate_hz=16_000))
    (folder / "music" / "hold.mp3").write_bytes(
        sine_file(1_000, 2, rate_hz=44_100, channels=2, kind="MP3")
    )
    (folder / "agent.yaml").write_text(text, encoding="utf-8")
    return load_document(folder / "agent.yaml")


def told(folder: Path, text: str) -> list[str]:
    """What is wrong with it."""
    (folder / "agent.yaml").write_text(text, encoding="utf-8")
    return [str(one).removeprefix(f"{folder}/") for one in check_file(folder / "agent.yaml")]


def test_every_sound_is_ready_when_the_document_is(tmp_path: Path) -> None:
    """W45: decoded and resampled once, at load; a call only takes what it needs."""
    sounds = document(tmp_path).sounds

    assert set(sounds) == {"ambience", "hold", "tool:opening_hours", "target:desk"}
    assert strength(sounds["hold"].alone, 1_000) > 0.9
    assert strength(sounds["ambience"].alone, 500) > 0.9
    assert sounds["ambience"].length_bytes == 4_000
    assert sounds["tool:opening_hours"].alone == mulaw.encode(MADE["typing"]())


def test_a_file_at_8_khz_is_heard_byte_by_byte(tmp_path: Path) -> None:
    """W45: the bytes at Twilio are the file's."""
    (tmp_path / "own.wav").write_bytes(sine_file(700, 0.5))
    (tmp_path / "a.yaml").write_text("instructions: Hi.\nhold_audio: own.wav", encoding="utf-8")

    sound = load_document(tmp_path / "a.yaml").sounds["hold"]

    assert sound.alone == mulaw.encode(sine_file(700, 0.5)[44:])


def test_volume_and_loop_are_what_was_written(tmp_path: Path) -> None:
    """W46; and music makes room for words, ambience does not."""
    sounds = document(tmp_path).sounds

    assert [sounds[name].loop for name in ("ambience", "hold", "target:desk")] == [
        True,
        True,
        False,
    ]
    whole, half = mulaw.rms(sounds["target:desk"].alone), mulaw.rms(sounds["ambience"].alone)
    assert abs(half / whole - 0.5) < 0.05
    assert abs(mulaw.rms(mulaw.encode(sounds["ambience"].under)) / half - 1) < 0.05
    ducked = mulaw.rms(mulaw.encode(sounds["target:desk"].under))
    assert abs(ducked / whole - DUCKED) < 0.05


def test_the_plan_knows_lengths_and_the_model_its_tool(tmp_path: Path) -> None:
    """The machine decides by lengths; the model may hold where there is music."""
    loaded = document(tmp_path)
    known = plan(loaded.agent, sounds=loaded.sounds)
    tools = registry(loaded)

    assert known.sounds["target:desk"] == SoundPlan(4_000, loop=False)
    assert known.may_hold
    assert "hold" in [tool["name"] for tool in session(loaded.agent, tools).tools]
    tools.close()


def test_without_music_a_hold_is_a_soft_tone(tmp_path: Path) -> None:
    """The operator may hold any call; the model was given nothing to hold it with."""
    loaded = document(tmp_path, "instructions: Hi.")
    known = plan(loaded.agent, sounds=loaded.sounds)

    assert set(loaded.sounds) == {"hold"}
    assert strength(loaded.sounds["hold"].alone[:1_440], 425) > 0.6
    assert not known.may_hold


def test_the_version_changes_with_the_sound(tmp_path: Path) -> None:
    """A record tells which document a call was held with."""
    before = document(tmp_path).version
    (tmp_path / "room.wav").write_bytes(sine_file(600, 0.5, rate_hz=16_000))

    assert load_document(tmp_path / "agent.yaml").version != before


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("hold_audio: hold.wav", 'agent.yaml:2 hold_audio: "hold.wav": there is no such file'),
        ("hold_audio: {source: .}", 'agent.yaml:2 hold_audio: ".": is a folder: name the file'),
        (
            "ambience: agent.yaml",
            'agent.yaml:2 ambience: "agent.yaml" is no sound file that can be read: save it as',
        ),
        (
            "hold_audio: https://cdn.contoso.com/hold.mp3",
            "agent.yaml:2 hold_audio: must be a file beside the document: download it",
        ),
        ("ambience: {source: typing, volume: 3}", "agent.yaml:2 ambience.volume: must be at most"),
        ("ambience: {volume: 0.5}", "agent.yaml:2 ambience.source: is missing"),
        ("ambience: {source: typing, loop: false}", "agent.yaml:2 ambience.loop: "),
        ("hold_audio: {source: typing, lop: false}", "hold_audio.lop: unknown field (did you mean"),
        ("hold_audio: 7", "agent.yaml:2 hold_audio: must be a table of fields"),
    ],
)
def test_what_is_no_sound_is_told_at_load(tmp_path: Path, written: str, problem: str) -> None:
    """Not when the first caller is put on hold."""
    problems = told(tmp_path, f"instructions: Hi.\n{written}\n")

    assert len(problems) == 1
    assert problem in problems[0]


def test_a_sound_of_a_tool_is_told_where_it_is(tmp_path: Path) -> None:
    """Line and path of the field, however deep."""
    text = WHOLE.replace("hold_audio: typing", "hold_audio: tpying").replace(
        "room.wav, volume", "typing, volume"
    )
    text = text.replace("music/hold.mp3", "tones")

    assert told(tmp_path, text) == [
        'agent.yaml:7 tools.opening_hours.hold_audio: "tpying": there is no such file'
        ' (did you mean "typing"?)'
    ]


def test_sounds_can_be_left_out(tmp_path: Path) -> None:
    """The process of the jobs plays none, and need not wait for them."""
    document(tmp_path)

    assert load_document(tmp_path / "agent.yaml", sounds=False).sounds == {}
