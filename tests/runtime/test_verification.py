"""A code grows old, and belongs to one call."""

from typing import Any

import orjson

from app.protocol.commands import RunTool
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.verification import Codes, Verification
from app.tools.builtin import CODE_PRESET
from app.tools.texts import Text

SENDS = RunTool("T1", "verify_code", '{"step":"send"}')
CHECKS = RunTool("T2", "verify_code", '{"step":"check"}')


def a_call(call_id: str = "call_1") -> LiveCall:
    """A live one."""
    facts = CallFacts("CA" + "0" * 32, "AC" + "0" * 32, "+12125551234", "+14155550100")
    return LiveCall(call_id, facts, lambda *_: None)


def verification(sent: list[str]) -> Verification:
    """Whose messages are ``sent``, which hold the bare code."""

    async def send(_call: LiveCall, text: Text, _key: str, **_more: Any) -> None:
        sent.append(text.body)

    return Verification(Codes(text="{{code}}", expires_ms=60_000), send)


async def verdict(of: Verification, call: LiveCall) -> dict[str, Any]:
    """What the model is told of a check."""
    told: dict[str, Any] = orjson.loads((await of.run(call, CHECKS)).output)
    return told


async def test_a_code_is_good_for_so_long_and_once() -> None:
    """W2."""
    sent: list[str] = []
    codes, call = verification(sent), a_call()
    await codes.run(call, SENDS)
    call.kept[CODE_PRESET] = sent[0]
    first = await verdict(codes, call)
    call.kept[CODE_PRESET] = sent[0]
    second = await verdict(codes, call)

    await codes.run(call, SENDS)
    call.kept[CODE_PRESET] = sent[1]
    call.began_ns -= 60_000 * 1_000_000
    late = await verdict(codes, call)

    assert (first["verified"], second["verified"], late["verified"]) == (True, False, False)
    assert "too old" in late["reason"]


async def test_a_code_of_another_call_or_of_before_is_none() -> None:
    """W2: neither somebody else's code, nor one that a newer has replaced, nor keys of before."""
    sent: list[str] = []
    codes, call, other = verification(sent), a_call(), a_call("call_2")
    for one in (call, other):
        await codes.run(one, SENDS)
    call.kept[CODE_PRESET] = sent[1]
    theirs = await verdict(codes, call)
    call.kept[CODE_PRESET] = sent[0]
    await codes.run(call, SENDS)
    stale = await verdict(codes, call)
    call.kept[CODE_PRESET] = sent[0]
    replaced = await verdict(codes, call)
    call.kept[CODE_PRESET] = sent[2]
    right = await verdict(codes, call)

    assert len(set(sent)) == 3
    assert not any(x["verified"] for x in (theirs, stale, replaced))
    assert "Nothing has been keyed in" in stale["reason"]
    assert right == {"verified": True}
