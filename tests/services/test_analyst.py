"""Asking a model about a call: every way in which it may not answer has its word."""

import json
from typing import Any

import pytest

from app.call.analysis import NoAnswer, Wish
from app.emulators.openai_responses import ResponsesDesk, fault_of
from app.services.analyst import Analyst
from tests.call.test_analysis import RECORD, answer

KEY = "sk-0123456789abcdef"


def asking(desk: ResponsesDesk, *, key: str = KEY, patience_s: float = 20) -> Analyst:
    """Somebody with the desk's address."""
    return Analyst(Wish("gpt-5.4-mini"), api_key=key, base_url=desk.url, patience_s=patience_s)


async def test_the_request_is_what_the_reference_describes() -> None:
    """The desk refuses what strict mode refuses; nothing is stored with the model's maker."""
    async with ResponsesDesk(KEY, [answer()]) as desk:
        told = await asking(desk).analyse(RECORD)

    [body] = desk.asked
    assert told["analysis"]["short"] == "the post"
    assert (body["store"], body["model"], desk.faults) == (False, "gpt-5.4-mini", [])
    assert body["input"].startswith("[0] agent: Hello.")
    assert body["text"]["format"]["strict"] is True


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("REFUSAL", "refused"),
        ("FILTERED", "refused"),
        ("TRUNCATED", "truncated"),
        ("HTML", "server_error"),
        ("RESET", "unreachable"),
        ("ENDLESS", "server_error"),
        ("REDIRECT", "refused_307"),
        ("not JSON", "invalid"),
        ({"short": 1}, "invalid"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
        (404, "refused_404"),
    ],
)
async def test_what_went_wrong_has_a_word(given: Any, reason: str) -> None:
    """It decides whether, and when, it is asked again; and the library asks once."""
    async with ResponsesDesk(KEY, [given]) as desk:
        with pytest.raises(NoAnswer) as caught:
            await asking(desk).analyse(RECORD)

        assert caught.value.reason == reason
        assert len(desk.asked) == 1


async def test_a_model_that_hangs_is_not_waited_for_for_ever() -> None:
    """Eight of them would be all that are analysed at a time."""
    async with ResponsesDesk(KEY, ["HANG"]) as desk:
        with pytest.raises(NoAnswer, match="timed_out"):
            await asking(desk, patience_s=0.3).analyse(RECORD)


async def test_a_wrong_key_is_a_wrong_key() -> None:
    """It is not tried again, and is in no message."""
    async with ResponsesDesk(KEY, [answer()]) as desk:
        with pytest.raises(NoAnswer, match="credentials") as caught:
            await asking(desk, key="sk-wrong").analyse(RECORD)

    assert "sk-wrong" not in repr(caught.value)


async def test_nobody_is_asked_about_silence() -> None:
    """A caller who hung up at once costs nothing."""
    async with ResponsesDesk(KEY, [answer()]) as desk:
        told = await asking(desk).analyse({"turns": []})

    assert (told["status"], desk.asked) == ("skipped", [])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"temperature": 1, "response_format": {}}, "Unknown parameter"),
        ({"input": ""}, "input"),
        ({"text": {"format": {"type": "json_schema"}}}, "format.name"),
    ],
)
def test_the_desk_is_strict(change: dict[str, Any], fault: str) -> None:
    """A desk that takes everything judges nothing."""
    shape = {"type": "json_schema", "strict": True, "name": "a", "schema": {"type": "string"}}
    body = {"model": "m", "input": "a", "max_output_tokens": 99, "text": {"format": shape}}

    assert fault_of(body) == ""
    assert fault in fault_of(body | change)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "required": [],
            "additionalProperties": False,
        },
        {"type": "string", "default": "a"},
        {"type": "text"},
        {"type": "array", "items": {}},
        None,
    ],
    ids=json.dumps,
)
def test_the_desk_refuses_what_strict_mode_refuses(schema: Any) -> None:
    """Optional properties, defaults, things of no kind."""
    shape = {"type": "json_schema", "strict": True, "name": "a", "schema": schema}
    body = {"model": "m", "input": "a", "max_output_tokens": 99, "text": {"format": shape}}

    assert fault_of(body)
