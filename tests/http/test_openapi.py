"""The description that clients are generated from, held against what is really answered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import validate

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.http.problems import Problem
from app.http.record import CallRecord
from tests.walks.raw_stream import invited
from tests.walks.stage import API_KEY, Stage, stage

PROBLEM = "application/problem+json"


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that tells about itself."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as made:
        yield made


async def described(s: Stage) -> dict[str, Any]:
    """The document as a client generator gets it."""
    async with aiohttp.ClientSession() as client, client.get(s.url + "/openapi.json") as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each operation by ``verb path``."""
    return {
        f"{verb} {path}": operation
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }


async def test_the_record_and_its_refusals_are_described(s: Stage) -> None:
    """A client generated from ``object`` and 422 knows nothing about a call."""
    document = await described(s)
    operation = operations(document)["get /v1/calls/{call_id}"]

    assert set(operation["responses"]) == {"200", "400", "401", "404", "503", "default"}
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/CallRecord"}
    assert {"from", "schema", "turns"} <= set(
        document["components"]["schemas"]["CallRecord"]["properties"]
    )
    for status in ("401", "404"):
        assert set(operation["responses"][status]["content"]) == {PROBLEM}
    assert operation["security"]


async def test_a_command_is_one_of_several_or_a_list(s: Stage) -> None:
    """Each kind under its own name: a generator makes classes of these."""
    document = await described(s)
    operation = operations(document)["post /v1/calls/{call_id}/commands"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]

    one, several = body["anyOf"]
    kinds = one["discriminator"]["mapping"]
    assert set(kinds) >= {"end_call", "transfer", "say", "add_message"}
    assert several["items"]["discriminator"]["mapping"] == kinds
    schemas = document["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in kinds.values()} <= set(schemas)
    assert not [name for name in schemas if name.endswith(("-Input", "-Output")) or "__" in name]
    assert {"200", "202", "404", "409", "413", "422", "502", "503"} <= set(operation["responses"])


async def test_every_operation_has_a_tag_a_summary_and_its_refusals(s: Stage) -> None:
    """Twilio's own routes stand apart: nobody but Twilio can call them."""
    document = await described(s)
    tags = {tag["name"] for tag in document["tags"]}

    for name, operation in operations(document).items():
        (tag,) = operation["tags"]
        assert tag in tags
        assert operation["summary"]
        refused = operation["responses"].get("422", {"content": {PROBLEM: {}}})
        assert set(refused["content"]) == {PROBLEM}
        of_twilio = "twilio" in name or "/incoming-" in name
        assert (tag == "twilio") is of_twilio
        if of_twilio:
            assert {"400", "403", "413", "503"} <= set(operation["responses"])
            done = operation["responses"].get("200", {"content": {"text/xml": {}}})
            assert "text/xml" in done["content"]
            assert ("204" in operation["responses"]) is name.endswith(
                ("-status", "/status", "/amd", "/machine", "/recording", "-recorded")
            )


async def test_the_document_is_one_that_generators_take(s: Stage) -> None:
    """Valid by the specification, each operation under a name that a function may have, and no
    schema of a refusal that is never sent."""
    document = await described(s)
    names = [operation["operationId"] for operation in operations(document).values()]

    validate(document)
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and "__" not in name for name in names)
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["components"]["schemas"]["NewCall"]["examples"]


async def test_who_may_ask_is_described(s: Stage) -> None:
    """A generated client that sends no key is refused everywhere; Twilio's routes want another."""
    document = await described(s)
    wanted = {"operator": "HTTPBearer", "setup": "HTTPBearer", "twilio": "TwilioSignature"}

    for name, operation in operations(document).items():
        (tag,) = operation["tags"]
        if tag in wanted and "/assets/" not in name:
            assert {wanted[tag]: []} in operation["security"], name
    assert set(document["components"]["securitySchemes"]) == set(wanted.values())


async def test_answers_are_as_described(s: Stage) -> None:
    """Of a live call, of none, and of what is refused: status, media type and every field."""
    call_sid, _ = await invited(s)
    document = await described(s)
    paths = {
        "/": "/",
        "/health": "/health",
        "/ready": "/ready",
        "/v1/calls": "/v1/calls?status=in_progress",
        "/v1/calls/{call_id}": f"/v1/calls/{call_sid}",
        "/v1/calls/{call_id}/timeline": f"/v1/calls/{call_sid}/timeline",
        "/call/{name}": f"/call/{(await s.get(f'/v1/calls/{call_sid}'))['call_id']}",
        "/report/{number}": "/report/+10000000",
        "/v1/costs": "/v1/costs",
        "/v1/numbers": "/v1/numbers",
        "/v1/approvals": "/v1/approvals",
        "/v1/context/{key}": "/v1/context/none",
        "/v1/recordings/{recording_sid}": "/v1/recordings/none",
        "/setup/calls": "/setup/calls",
        "/phone/setup.json": "/phone/setup.json",
        "/phone/events": "/phone/events",
        "/c/{token}": "/c/none",
        "/metrics": "/metrics",
    }
    headers = {"Authorization": f"Bearer {API_KEY}"}

    async with aiohttp.ClientSession(headers=headers) as client:
        for path, asked in paths.items():
            async with client.get(s.url + asked) as answer:
                judge(document, path, answer.status, answer.content_type, await answer.read())


def test_an_answer_that_is_not_as_described_is_found() -> None:
    """The judge of the test above must be able to refuse."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    content = {"content": {"application/json": {"schema": schema}}}
    document = {"components": {}, "paths": {"/x": {"get": {"responses": {"200": content}}}}}

    judge(document, "/x", 200, "application/json", b'{"a": ""}')
    for status, media_type, body in (
        (200, "application/json", b"{}"),
        (200, "text/plain", b""),
        (404, "application/json", b"{}"),
    ):
        with pytest.raises((AssertionError, ValidationError)):
            judge(document, "/x", status, media_type, body)


def judge(document: dict[str, Any], path: str, status: int, media_type: str, body: bytes) -> None:
    """Raise unless this is an answer to a GET that the document has."""
    responses = document["paths"][path]["get"]["responses"]
    assert str(status) in responses, (path, status)
    content = responses[str(status)]["content"]
    assert media_type in content, (path, media_type)
    if media_type.endswith("json"):
        parts = {"components": document["components"]}
        Draft202012Validator(content[media_type]["schema"] | parts).validate(orjson.loads(body))


async def test_a_live_record_is_as_described(s: Stage) -> None:
    """Nulls and empty lists are part of the shape; every walk checks the full ones."""
    call_sid, _ = await invited(s)

    record = CallRecord.model_validate(await s.get(f"/v1/calls/{call_sid}"))

    assert record.status == "in_progress"
    assert record.carrier.call_sid == call_sid
    assert record.ending is None


async def test_a_record_with_a_field_nobody_described_is_not_as_described(s: Stage) -> None:
    """The check that holds both together must be able to fail."""
    call_sid, _ = await invited(s)
    record = await s.get(f"/v1/calls/{call_sid}")

    with pytest.raises(ValueError, match="surprise"):
        CallRecord.model_validate(record | {"surprise": 1})
    with pytest.raises(ValueError, match="total"):
        CallRecord.model_validate(record | {"durations_ms": {}})


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/v1/calls/x", API_KEY, 404), ("/v1/calls/x", "wrong", 401), ("/nowhere", "", 404)],
)
async def test_a_refusal_is_as_described(s: Stage, path: str, key: str, status: int) -> None:
    """One shape for every mistake."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(s.url + path) as answer,
    ):
        assert (answer.status, answer.content_type) == (status, PROBLEM)
        assert Problem.model_validate(await answer.json()).status == status
