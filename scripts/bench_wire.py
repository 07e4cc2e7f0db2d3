"""How the bench's audio proves itself: every piece carries who sent it, when, and a checksum.

One rule: a piece of audio is believed only if all of its bytes are the ones its sender wrote.
The first 24 bytes of a piece (exactly 32 characters of base64) are a seal that changes; the
rest is filler that belongs to its sender alone and is compared byte by byte, so that loss,
reordering, corruption and audio of a neighbour's call cannot pass unseen, and the generator
encodes 24 bytes a frame instead of 160.
"""

import random
import struct
from binascii import a2b_base64, b2a_base64
from typing import NamedTuple
from zlib import crc32

BYTES_PER_MS = 8
NS_PER_BYTE = 125_000
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
SEAL_BYTES = 24
SEAL_B64 = 32
MAGIC = 0xB34C

_BODY = struct.Struct("<HHIIQ")
_SEAL = struct.Struct("<HHIIQI")


class Seal(NamedTuple):
    """What a piece of audio says about itself."""

    item: int
    """Number of the model's item on its line; 0 for caller frames."""
    owner: int
    """Number of the caller, or of the model line, that sent it."""
    sequence: int
    """Counts the owner's pieces from 0."""
    sent_at_ns: int
    """``time.perf_counter_ns`` of the generator."""


def seal_b64(item: int, owner: int, sequence: int, sent_at_ns: int) -> bytes:
    """The 32 base64 characters that begin a piece of audio."""
    body = _BODY.pack(MAGIC, item, owner, sequence, sent_at_ns)
    return b2a_base64(body + crc32(body).to_bytes(4, "little"), newline=False)


def read_seal(piece: bytes) -> Seal | None:
    """The seal in the first 24 bytes of ``piece``; None if they are not one, or are damaged."""
    if len(piece) < SEAL_BYTES:
        return None
    magic, item, owner, sequence, sent_at_ns, checksum = _SEAL.unpack_from(piece)
    if magic != MAGIC or checksum != crc32(piece[: SEAL_BYTES - 4]):
        return None
    return Seal(item, owner, sequence, sent_at_ns)


def read_seal_b64(text: bytes) -> Seal | None:
    """As ``read_seal``, from the 32 base64 characters that stand for the seal."""
    return read_seal(a2b_base64(text))


def filler(kind: str, owner: int, length_bytes: int) -> bytes:
    """The bytes that follow every seal of this sender; the same for the same arguments."""
    return random.Random(f"{kind} {owner}").randbytes(length_bytes - SEAL_BYTES)


def b64(raw: bytes) -> bytes:
    """Base64 without a newline."""
    return b2a_base64(raw, newline=False)
