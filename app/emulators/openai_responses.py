"""A local OpenAI for what is asked about calls: ``POST /v1/responses`` with a strict schema,
and ``POST /v1/moderations``.

It knows nothing of the server that asks: it checks the request as the API's reference describes
it, refuses what strict mode refuses, and answers what it was told to: a text, a refusal, a
failure. It does not think.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_KNOWN = frozenset(
    {"model", "instructions", "input", "store", "max_output_tokens", "text", "metadata"}
)
_FORMAT = frozenset({"type", "name", "schema", "strict", "description"})
_KINDS = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})


@dataclass
class ResponsesDesk:
    """Answers in the order of ``answers``, the last one for ever. Use it with ``async with``.

    An answer is a text (what the model wrote), a table (as JSON), or one of ``REFUSAL``,
    ``TRUNCATED``, ``FILTERED``, ``HANG``, ``HTML``, ``RESET``, ``ENDLESS``, ``REDIRECT`` or an
    HTTP status such as ``429``.
    """

    key: str
    answers: list[str | int | Mapping[str, Any]]
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of requests, in their order."""
    answered_at_s: list[float] = field(default_factory=list)
    """When their answers were given, by the loop's time."""
    faults: list[str] = field(default_factory=list)
    """What was wrong with requests."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    harmful: str = ""
    """What is flagged where it is in a text; empty: nothing is."""

    async def __aenter__(self) -> "ResponsesDesk":
        application = web.Application()
        application.router.add_post("/v1/responses", self._respond)
        application.router.add_post("/v1/moderations", self._moderate)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"{site.name}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release.set()
        await self._runner.cleanup()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "invalid_api_key", "Incorrect API key provided.")
        try:
            body = json.loads(await request.text())
        except ValueError:
            return _error(400, "invalid_json", "We could not parse the JSON body.")
        fault = fault_of(body)
        if fault:
            self.faults.append(fault)
            return _error(400, "invalid_request_error", fault)
        self.asked.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await self._answered(request, body, answer)

    async def _moderate(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "invalid_api_key", "Incorrect API key provided.")
        body = json.loads(await request.text())
        if set(body) != {"model", "input"} or not isinstance(body["input"], str):
            self.faults.append("moderation")
            return _error(400, "invalid_request_error", "Invalid value: 'input'.")
        flagged = bool(self.harmful) and self.harmful in body["input"]
        result = {"flagged": flagged, "categories": {"hate": flagged}, "category_scores": {}}
        return web.json_response({"id": "modr-1", "model": body["model"], "results": [result]})

    async def _answered(
        self, request: web.Request, body: Mapping[str, Any], answer: Any
    ) -> web.StreamResponse:
        self.arrived.set()
        self.answered_at_s.append(asyncio.get_running_loop().time())
        match answer:
            case "HANG":
                await self.release.wait()
                return _error(500, "server_error", "The server had an error.")
            case "RESET":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            case "HTML":
                return web.Response(text="<html>It works!</html>", content_type="text/html")
            case "REDIRECT":
                raise web.HTTPTemporaryRedirect("/v1/elsewhere")
            case "ENDLESS":
                return await _endless(request)
            case int():
                code = "rate_limit_exceeded" if answer == 429 else "server_error"
                return _error(answer, code, "The server had an error.")
            case _:
                pass
        return web.json_response(_response(body, answer))


def fault_of(body: Any) -> str:
    """What the API would refuse in a request; empty where there is nothing."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return "Missing required parameter: 'model'."
    if unknown := sorted(set(body) - _KNOWN):
        return f"Unknown parameter: '{unknown[0]}'."
    if not isinstance(body.get("input"), str) or not body["input"]:
        return "Missing required parameter: 'input'."
    if type(body.get("max_output_tokens")) is not int or body["max_output_tokens"] < 16:
        return "Invalid 'max_output_tokens': integer below minimum value."
    form = (body.get("text") or {}).get("format")
    if not isinstance(form, dict) or form.get("type") != "json_schema" or set(form) - _FORMAT:
        return "Invalid value: 'text.format'."
    if form.get("strict") is not True or not isinstance(form.get("name"), str):
        return "Missing required parameter: 'text.format.name'."
    return _not_strict(form.get("schema"), "schema")


def _not_strict(schema: Any, where: str) -> str:
    """Strict mode: every property required, nothing besides, kinds and enums only."""
    kinds = schema.get("type") if isinstance(schema, dict) else None
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(kinds, list) or not kinds or set(kinds) - _KINDS:
        return f"Invalid schema for response_format: 'type' in {where}."
    if set(schema) - {"type", "properties", "required", "additionalProperties", "items", "enum"}:
        return f"Invalid schema for response_format: keyword in {where}."
    if "array" in kinds:
        return _not_strict(schema.get("items"), f"{where}.items")
    if "object" not in kinds:
        return ""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or schema.get("additionalProperties") is not False:
        return f"Invalid schema: 'additionalProperties' must be false in {where}."
    if sorted(schema.get("required", [])) != sorted(properties):
        return f"Invalid schema: 'required' must name every property in {where}."
    faults = (_not_strict(one, f"{where}.{name}") for name, one in properties.items())
    return next((fault for fault in faults if fault), "")


def _response(body: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    status, details = "completed", None
    if answer == "REFUSAL":
        part = {"type": "refusal", "refusal": "I cannot help with that."}
    if answer in ("TRUNCATED", "FILTERED"):
        status = "incomplete"
        reason = "max_output_tokens" if answer == "TRUNCATED" else "content_filter"
        details, part["text"] = {"reason": reason}, '{"short": "the acc'
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_795_000_000,
        "status": status,
        "incomplete_details": details,
        "error": None,
        "model": body["model"],
        "instructions": body.get("instructions"),
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": status,
                "content": [part],
            },
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    try:
        while True:
            await response.write(b" " * 65_536)
    except ConnectionError:
        return response


def _error(status: int, code: str, message: str) -> web.Response:
    error = {"message": message, "type": code, "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
