"""What the tokens of a response cost, by the list of the model. Pure, in millionths of a dollar.

A price per million tokens in dollars is one per token in millionths of a dollar. Rule: a model
that is on no list has no price, never the price zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.protocol.events import Usage

CURRENCY = "USD"
PRICE_LIST = "2026-09-18"
"""When the tables that ``PRICES`` was copied from agreed with each other the last time."""
OWN_LIST = "own"
"""In its place where the operator wrote the prices."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    text_in: float
    text_cached: float
    text_out: float
    audio_in: float
    audio_cached: float
    audio_out: float


_GREAT = Price(4.00, 0.40, 24.00, 32.00, 0.40, 64.00)
PRICES: Mapping[str, Price] = {
    "gpt-realtime-2.1": _GREAT,
    "gpt-realtime-2": _GREAT,
    "gpt-realtime-2.1-mini": Price(0.60, 0.06, 2.40, 10.00, 0.30, 20.00),
    "gpt-realtime": Price(4.00, 0.40, 16.00, 32.00, 0.40, 64.00),
}
"""What OpenAI asks, as four independent tables of July to September 2026 had it."""


def cost_microusd(usage: Usage, price: Price) -> int:
    """Millionths of a dollar. Cached tokens of which it was not told what they are count as
    text, as far as there is text."""
    cached_audio = min(usage.input_cached_audio, usage.input_audio)
    cached_text = min(usage.input_cached - usage.input_cached_audio, usage.input_text)
    return round(
        (usage.input_text - cached_text) * price.text_in
        + cached_text * price.text_cached
        + (usage.input_audio - cached_audio) * price.audio_in
        + cached_audio * price.audio_cached
        + usage.output_text * price.text_out
        + usage.output_audio * price.audio_out
    )


def dollars(microusd: int) -> str:
    """An amount as a decimal text with four places, as the record has it."""
    return f"{microusd / 1_000_000:.4f}"
