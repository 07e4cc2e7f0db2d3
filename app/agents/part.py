"""What every part of the agent document has in common: nothing unknown, nothing converted."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of the document: unknown fields are refused, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
        use_attribute_docstrings=True,
    )
