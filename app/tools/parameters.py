"""From a Python signature to a JSON Schema, and from a model's arguments to values.

The signature is the only description of a tool's arguments, so that what the model is told
and what is checked cannot drift apart. The one rule: whatever a signature cannot express is
refused when the tool is loaded, with a sentence that names the function and the fix, and
never when a caller is on the line.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from app.errors import ToolFault

JsonSchema = dict[str, Any]

MAX_ARGUMENTS_CHARS = 64_000
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a tool may know about the call; a parameter annotated with this receives it."""

    call_id: str
    call_sid: str
    caller: str
    """The caller's number or address, as Twilio sent it."""
    line: str
    """The number that was called."""
    values: Callable[[], Mapping[str, object]] = field(default=dict, repr=False, compare=False)
    """What the places in the document's texts stand for by now, by their roots."""


class BadArguments(Exception):
    """The model's arguments do not fit; the message tells the model what to correct."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A tool's arguments: what the model is told of them, and how they are read."""

    schema: JsonSchema
    """JSON Schema of an object, without references."""
    facts_name: str | None
    """The parameter that receives CallFacts; None when there is none."""
    _model: type[BaseModel]
    _names: Mapping[str, str]
    """Field of the model to parameter of the function."""

    def read(self, arguments: str) -> dict[str, object]:
        """Values by parameter name from JSON text as the model wrote it.

        Nothing at all counts as no arguments. Raises BadArguments, and whatever a validator
        that came with the function raises.
        """
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            raise BadArguments("The arguments are too long. Call the tool again with less.")
        try:
            read = self._model.model_validate_json(arguments.strip() or "{}")
        except ValidationError as fault:
            raise BadArguments(self._explain(fault)) from None
        return {name: getattr(read, field) for field, name in self._names.items()}

    def _explain(self, fault: ValidationError) -> str:
        problems = fault.errors(include_url=False, include_context=False, include_input=False)
        if problems[0]["type"] == "json_invalid":
            return "The arguments are not complete JSON. Call the tool again with all of them."
        said = [self._sentence(problem) for problem in problems[:_MOST_PROBLEMS]]
        return f"{'; '.join(said)}. Call the tool again with corrected arguments."

    def _sentence(self, problem: Mapping[str, Any]) -> str:
        path = ".".join(str(step) for step in problem["loc"])
        match problem["type"]:
            case "model_type":
                return "The arguments must be a JSON object"
            case "missing":
                return f"{path}: is required"
            case "extra_forbidden":
                known = ", ".join(self._names.values()) or "none"
                return f"{path}: there is no such argument (there are: {known})"
            case _:
                return f"{path}: {problem['msg']}"


def parameters_of(function: Callable[..., object]) -> Parameters:
    """Read the signature of ``function``. Raises ToolFault, naming it and the fix."""
    hints = _hints(function)
    names: dict[str, str] = {}
    fields: dict[str, Any] = {}
    facts_name = None
    for parameter in inspect.signature(function).parameters.values():
        if hints.get(parameter.name) is CallFacts:
            facts_name = parameter.name
            continue
        # Parameters may be called anything, "schema" and "copy" included; fields may not.
        field_name = f"arg_{len(names)}"
        names[field_name] = parameter.name
        fields[field_name] = (_annotation(function, parameter, hints), _field(function, parameter))
    try:
        model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema(by_alias=True, schema_generator=_QuietSchema)
    except (PydanticUserError, TypeError, NameError) as exc:
        fix = f"give its parameters types that JSON can express ({_first_line(exc)})"
        raise unsupported(function, fix) from exc
    return Parameters(
        schema=_tidy(function, schema), facts_name=facts_name, _model=model, _names=names
    )


def unsupported(function: object, fix: str) -> ToolFault:
    """The fault of a function that cannot be a tool as it is written."""
    name = getattr(function, "__qualname__", repr(function))
    return ToolFault("tool_unsupported", f"the function {name} cannot be a tool: {fix}")


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    if not inspect.isroutine(function) or inspect.isbuiltin(function):
        raise unsupported(function, "write a plain function with def or async def")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise unsupported(function, "return one value instead of yielding several")
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as exc:
        raise unsupported(function, f"correct its annotations ({_first_line(exc)})") from exc


def _annotation(
    function: Callable[..., object], parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> Any:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise unsupported(function, f"replace *{name} by parameters with names")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise unsupported(function, f"let {name} be passed by name (remove the /)")
    if name not in hints:
        raise unsupported(function, f'annotate {name}, for example "{name}: str"')
    hint = hints[name]
    if typing.get_origin(hint) is not Annotated:
        return hint
    base, *notes = typing.get_args(hint)
    described = [Field(description=note) if isinstance(note, str) else note for note in notes]
    return Annotated[base, *described]


def _field(function: Callable[..., object], parameter: inspect.Parameter) -> Any:
    name, default = parameter.name, parameter.default
    if isinstance(default, FieldInfo):
        raise unsupported(function, f'write "{name}: Annotated[type, Field(...)]" instead of "="')
    if default is parameter.empty:
        return Field(alias=name)
    return Field(default=default, alias=name)


class _QuietSchema(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """A default that JSON cannot express is simply not told to the model."""


def _tidy(function: Callable[..., object], schema: JsonSchema) -> JsonSchema:
    """``schema`` without pydantic's titles, and with its references written out."""
    definitions = schema.pop("$defs", {})

    def tidy(part: Any, within: tuple[str, ...] = ()) -> Any:
        if isinstance(part, list):
            return [tidy(each, within) for each in part]
        if not isinstance(part, dict):
            return part
        part = dict(part)
        reference = part.pop("$ref", "").rpartition("/")[2]
        if reference in within:
            raise unsupported(function, f"{reference} contains itself; use a type that does not")
        if reference:
            part = {**definitions[reference], **part}
            within = (*within, reference)
        part.pop("title", None)
        return {key: _each(key, value, within) for key, value in part.items()}

    def _each(key: str, value: Any, within: tuple[str, ...]) -> Any:
        # The keys inside are names of the function's author, and one may be "title".
        if key == "properties":
            return {name: tidy(each, within) for name, each in value.items()}
        return value if key in {"default", "const", "enum", "examples"} else tidy(value, within)

    tidied: JsonSchema = tidy(schema)
    tidied.setdefault("properties", {})
    return tidied


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0]
