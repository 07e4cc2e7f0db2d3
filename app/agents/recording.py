"""The recording of calls, as an operator writes it.

Rule: who says nothing about consent has callers told.
"""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from app.agents.part import Part
from app.agents.values import Text, Texts, refuse, several


class Recording(Part):
    """Calls are recorded by Twilio; what is keyed in under a sensitive preset never is."""

    enabled: bool = True
    channels: Literal["dual", "mono"] = "dual"
    """dual: the caller on the left, the agent on the right."""
    consent: Literal["announce", "none"] = "announce"
    """announce: callers are told first, and nobody is recorded who has not heard it to its end.
    none: nobody is told; whether that is lawful is for you to know."""
    announcement: Text = "This call is recorded."
    """What they are told, word for word."""
    pause_during: Annotated[
        Texts, BeforeValidator(several, json_schema_input_type=Text | list[Text]), Field()
    ] = ()
    """Presets of dtmf during which nothing is recorded, either, although they are not sensitive."""


def check(recording: Recording, presets: Collection[str]) -> None:
    """Refuse presets that are not there: what was meant would be recorded."""
    for name in recording.pause_during:
        if name not in presets:
            meant = next(iter(get_close_matches(name, presets, n=1)), "")
            refuse(f'unknown preset "{name}"', at="pause_during", meant=meant)
