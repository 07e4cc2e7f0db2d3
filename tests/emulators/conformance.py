"""Judges Realtime events by the types of the official client, and refuses what those let pass.

The client's models accept unknown fields at any depth; the walker here finds them. What this
module calls good is good by somebody else's definition, not by ours.
"""

import base64
from typing import Annotated, Any

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter

CLIENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeClientEvent, Field(discriminator="type")])
SERVER: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])

_SERVER_EXTRAS = {".session.object", ".session.id", ".session.expires_at", ".obfuscation"}
"""What the real service sends although the types do not name it."""


def extras(value: object, path: str = "") -> list[str]:
    """Paths of all fields, at any depth, that the model of ``value`` does not know."""
    found: list[str] = []
    if isinstance(value, BaseModel):
        found += [f"{path}.{name}" for name in (value.model_extra or {})]
        for name in type(value).model_fields:
            found += extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            found += extras(one, f"{path}[{index}]")
    return found


def check_server_event(event: dict[str, Any]) -> None:
    """Raise unless the official client knows the event and every field in it."""
    model = SERVER.validate_python(event)
    unknown = [
        path
        for path in extras(model)
        if path not in _SERVER_EXTRAS and not path.endswith(".strict")
    ]
    assert unknown == [], f"{event['type']} has unknown fields {unknown}"


def check_client_event(event: dict[str, Any]) -> None:
    """Raise unless the official client could have sent the event, field by field.

    ``item_reference`` is legal inside ``response.input`` but unknown to the event's type, so
    references are looked at by hand and the rest by the type.
    """
    event = _without_references(event)
    model = CLIENT.validate_python(event)
    assert extras(model) == [], f"{event['type']} has unknown fields {extras(model)}"
    if event["type"] == "input_audio_buffer.append":
        base64.b64decode(event["audio"], validate=True)


def _without_references(event: dict[str, Any]) -> dict[str, Any]:
    response = event.get("response")
    if event.get("type") != "response.create" or not response or "input" not in response:
        return event
    kept = []
    for item in response["input"]:
        if item.get("type") == "item_reference":
            assert set(item) == {"type", "id"}, f"a reference is a type and an id: {item}"
            assert isinstance(item["id"], str)
        else:
            kept.append(item)
    return event | {"response": response | {"input": kept}}
