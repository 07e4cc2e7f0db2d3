"""The tools of an agent document: Python functions, HTTP APIs and MCP servers.

What is common to them is written once. Whether a template can be filled, a schema be understood
and a ``${SECRET}`` be found is looked into by whoever makes the tools.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from app.agents.part import Part
from app.agents.sounds import HoldAudio
from app.agents.values import (
    DURATION_SCHEMA,
    Handler,
    PresetName,
    Text,
    Texts,
    between,
    empty_if_none,
    or_just,
    refuse,
    soon,
)

_BODILESS = ("GET", "DELETE")
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}
)


class Tool(Part):
    """What is common to tools of all kinds."""

    timeout_ms: Annotated[int, between("100ms", "10m"), DURATION_SCHEMA] | None = Field(
        default=None, alias="timeout"
    )
    """Left out: timeouts.tool."""
    background: bool = False
    """true: the conversation goes on meanwhile, and the result does not make the agent speak."""
    say_while_running: Texts = ()
    """What to say while the caller waits; one of several is chosen."""
    hold_audio: Annotated[HoldAudio, or_just("source", HoldAudio)] | None = None
    """What the caller hears until the answer: typing, or a sound file."""
    approval: Literal["never", "always"] = "never"
    """always: a person is asked each time, and it is not done before they approve."""
    approval_timeout_ms: Annotated[int, between("1s", "10m"), DURATION_SCHEMA] = Field(
        default=60_000, alias="approval_timeout", json_schema_extra={"default": "60s"}
    )
    """How long they are waited for; then it is refused."""


class PythonTool(Tool):
    """A Python function the model may call; its arguments come from its signature."""

    type: Literal["python"]
    handler: Handler
    """module:function, importable from the document's own folder."""
    description: Text | None = None
    """Replaces the function's docstring."""


def _address(value: str) -> str:
    """An address whose place is written plainly: it is the operator's to choose."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or any(c.isspace() for c in value.replace("{{ ", "{{").replace(" }}", "}}")):
        refuse('must be an address such as "https://core.example.com/policies/{{args.number}}"')
    if any(sign in parts.netloc for sign in "{}$"):
        refuse("must name its host plainly: nothing can be filled in there")
    if parts.scheme not in ("http", "https"):
        refuse("must begin with https://")
    if parts.username or parts.password:
        refuse('must hold no password: write a header, such as Authorization: "Bearer ${TOKEN}"')
    if parts.fragment:
        refuse('must end before "#": what follows is never sent')
    return value


def _no_secret(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if name.lower() in _SECRET_HEADERS and "${" not in text:
            refuse(f"shows a secret: write it as {name}: ${{NAME}}, and NAME into .env", at=name)
    return value


Headers = Annotated[Mapping[PresetName, Text], empty_if_none, AfterValidator(_no_secret)]


class HttpTool(Tool):
    """An HTTP API the model may call."""

    type: Literal["http"]
    description: Text
    """When to use it; the model reads it."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[Text, AfterValidator(_address)]
    """Arguments stand in its path and query as {{args.name}}, percent-encoded."""
    headers: Headers = Field(default={})
    """Secrets in them are written as ${NAME}: names of the environment or of .env."""
    query: Annotated[Mapping[Text, Text], empty_if_none] = {}
    """What is added behind the address; an argument that is missing is left out."""
    body: Any = None
    """A table, with places for arguments, is sent as JSON, a text as text. Left out: all arguments
    as JSON."""
    parameters: Mapping[Text, Any] = Field(default={}, validate_default=True)
    """The arguments, as the JSON Schema of an object."""
    retries: int = Field(default=0, ge=0, le=3, validate_default=True)
    """How often it is asked again, within the timeout, where the server cannot be reached or has no
    time (429, 502, 503, 504)."""
    idempotent: bool = Field(default=False, validate_default=True)
    """true: asked twice it does what it does once; retries of POST and PATCH need it."""
    save: Annotated[Mapping[PresetName, Text], empty_if_none] = {}
    """What of the answer the call is to know, by name, each as a path such as $.holder.name."""

    @field_validator("body")
    @classmethod
    def _has_one(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("method") in _BODILESS:
            refuse(f"has no place in a {info.data['method']}: write query, or another method")
        return value

    @field_validator("idempotent")
    @classmethod
    def _may_repeat(cls, value: bool, info: ValidationInfo) -> bool:
        repeats = info.data.get("retries") and info.data.get("method") in ("POST", "PATCH")
        if repeats and not value:
            refuse("must be true, or retries 0: the server may have done what it did not confirm")
        return value


class McpTool(Part):
    """An MCP server, whose tools the model may call by their own names."""

    type: Literal["mcp"]
    server_url: Annotated[Text, AfterValidator(_address)] | None = None
    """Where it answers, by streamable HTTP."""
    headers: Headers = Field(default={})
    """Secrets in them are written as ${NAME}: names of the environment or of .env."""
    command: Text | None = Field(default=None, validate_default=True)
    """A program instead, which is started and spoken to by its standard input and output."""
    args: Texts = ()
    env: Annotated[Mapping[Text, Text], empty_if_none] = {}
    """The environment of that program, besides where programs and temporary files are."""
    execution: Annotated[Literal["local"], soon("hosted")] = "local"
    """local: we ask the server, so that limits, approval and record are those of all tools."""
    allowed_tools: Texts | None = None
    """Which of its tools; left out: all of them."""
    timeout_ms: Annotated[int, between("100ms", "10m"), DURATION_SCHEMA] | None = Field(
        default=None, alias="timeout"
    )
    """Left out: timeouts.tool."""
    background: bool = False
    """true: the conversation goes on meanwhile, and the result does not make the agent speak."""
    say_while_running: Texts = ()
    """What to say while the caller waits; one of several is chosen."""
    approval: Literal["never", "always"] = "never"
    """always: a person is asked each time, and it is not done before they approve."""
    approval_timeout_ms: Annotated[int, between("1s", "10m"), DURATION_SCHEMA] = Field(
        default=60_000, alias="approval_timeout", json_schema_extra={"default": "60s"}
    )
    """How long they are waited for; then it is refused."""

    @field_validator("command")
    @classmethod
    def _one_way(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "server_url" in info.data and (value is None) == (info.data["server_url"] is None):
            refuse("or server_url must be there, and not both")
        return value


AnyTool = Annotated[PythonTool | HttpTool | McpTool, Field(discriminator="type")]
