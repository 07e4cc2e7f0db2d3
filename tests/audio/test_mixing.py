"""A sound alone, and under speech: heard by its frequency, never by its bytes."""

from base64 import b64decode, b64encode

from app.audio import mulaw
from app.audio.mixing import Mixer, Sound, sound
from app.audio.tones import strength, tone
from app.protocol.units import bytes_of_ms

MUSIC = mulaw.decode(tone(1_000, 300))
SPEECH = tone(400, 100)


def mixer(*, at: int = 0, **how: float) -> Mixer:
    made = Mixer({"hold": sound(MUSIC, **how)})
    made.cue("hold", at)
    return made


def under(mixing: Mixer, speech: bytes) -> bytes:
    return b64decode(mixing.under(b64encode(speech).decode(), len(speech)))


def test_alone_it_is_the_file_byte_by_byte() -> None:
    """W45: the caller hears the file's mu-law bytes."""
    mixing = mixer()

    heard = b64decode(mixing.alone(1_000)) + b64decode(mixing.alone(1_000))

    assert heard == mulaw.encode(MUSIC)[:2_000]


def test_a_loop_goes_on_from_its_beginning() -> None:
    """W46: 300 ms of sound, a second of hold."""
    once = mulaw.encode(MUSIC)

    heard = b64decode(mixer().alone(bytes_of_ms(1_000)))

    assert heard == (once * 4)[: bytes_of_ms(1_000)]
    assert b64decode(mixer(at=2_000).alone(800)) == (once * 2)[2_000:2_800]


def test_what_is_played_once_is_followed_by_silence() -> None:
    """W46: no loop is the default of a prompt."""
    mixing = Mixer({"prompt": sound(MUSIC, loop=False)})
    mixing.cue("prompt", 0)

    heard = b64decode(mixing.alone(bytes_of_ms(400)))

    assert heard == mulaw.encode(MUSIC) + mulaw.silence(100)
    assert b64decode(mixing.alone(160)) == mulaw.silence(20)


def test_both_are_heard_when_somebody_speaks() -> None:
    """Ambience under the agent's words."""
    heard = under(mixer(), SPEECH)

    assert len(heard) == len(SPEECH)
    assert strength(heard, 400) > 0.4
    assert strength(heard, 1_000) > 0.4


def test_music_makes_room_for_words() -> None:
    """Two things of the same loudness are none."""
    heard = under(mixer(under=0.2), SPEECH)

    assert strength(heard, 400) > 0.9
    assert 0.01 < strength(heard, 1_000) < 0.1


def test_speech_after_the_music_is_unharmed() -> None:
    """Without a sound the text that came is the text that is sent."""
    mixing = mixer()
    mixing.cue("", 0)
    payload = b64encode(SPEECH).decode()

    assert mixing.under(payload, len(SPEECH)) is payload


def test_two_loud_sounds_are_clipped() -> None:
    """A sum that wraps around is a bang in the caller's ear."""
    loud = mulaw.decode(tone(1_000, 100, amplitude=32_000))
    mixing = Mixer({"loud": sound(loud)})
    mixing.cue("loud", 0)

    heard = under(mixing, tone(1_000, 100, amplitude=32_000))

    assert strength(heard, 1_000) > 0.9


def test_the_place_moves_with_what_was_heard_under_speech() -> None:
    """The song does not stand still while somebody speaks over it."""
    mixing = mixer()
    under(mixing, SPEECH)

    assert b64decode(mixing.alone(800)) == mulaw.encode(MUSIC)[800:1_600]


def test_a_volume_is_a_volume() -> None:
    """Half the samples, half the loudness."""
    quiet, full = sound(MUSIC, volume=0.5), sound(MUSIC)

    assert isinstance(quiet, Sound)
    assert abs(mulaw.rms(quiet.alone) / mulaw.rms(full.alone) - 0.5) < 0.02
    assert quiet.length_bytes == full.length_bytes == bytes_of_ms(300)


def test_a_name_nobody_knows_is_silence() -> None:
    """A plan and its sounds are made together; if not, the call goes on."""
    mixing = Mixer({})

    assert not mixing.cue("hold", 0)
    assert b64decode(mixing.alone(160)) == mulaw.silence(20)
