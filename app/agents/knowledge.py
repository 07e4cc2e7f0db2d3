"""What an agent may look things up in: files and folders beside the agent document."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from app.agents.part import Part
from app.agents.values import Text, several


class Knowledge(Part):
    """Documents, by the tool search_knowledge: Markdown, text, HTML, PDF."""

    paths: Annotated[tuple[Text, ...], BeforeValidator(several), Field(min_length=1, max_length=20)]
    """Files and folders, from the folder of this document on."""
    top_k: int = Field(default=4, ge=1, le=10)
    """How many passages an answer quotes."""
