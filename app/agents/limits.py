"""What a call may cost, as the operator writes it, and what the model's tokens cost."""

from pydantic import Field

from app.agents.part import Part
from app.agents.values import refuse
from app.call.prices import PRICES


class Prices(Part):
    """US dollars per million tokens of the agent's model."""

    text_in: float = Field(ge=0)
    text_cached: float = Field(ge=0)
    text_out: float = Field(ge=0)
    audio_in: float = Field(ge=0)
    audio_cached: float = Field(ge=0)
    audio_out: float = Field(ge=0)


class Limits(Part):
    """What one call may come to."""

    cost_per_call: float | None = Field(default=None, ge=0.01, le=1000)
    """US dollars for the model's responses. A call that has cost so much is wound up."""
    prices: Prices | None = None
    """What the model costs; left out: what is known of OpenAI's models."""


def check(limits: Limits, model: str) -> None:
    """Refuse an amount that nobody could count."""
    if limits.cost_per_call is not None and limits.prices is None and model not in PRICES:
        refuse(f'needs the prices of "{model}", which nobody knows here: add prices', at="prices")
