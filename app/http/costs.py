"""What the model has cost, by the day, as the operator is told of it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict

from app.call.prices import CURRENCY, dollars
from app.http.problems import described

MONTH = timedelta(days=30)
MOST = timedelta(days=365)

Days = Callable[[date, date], Awaitable[Sequence[tuple[date, int]]]]
"""Millionths of a dollar of each day on which something was spent, both days included."""


class Day(BaseModel):
    """One day of UTC's."""

    model_config = ConfigDict(extra="forbid")

    day: date
    amount: str


class CostsOfDays(BaseModel):
    """What the responses of the model came to, by the price lists of the agents."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    currency: str
    amount: str
    """Of all these days together."""
    days: list[Day]
    """Newest first, without days on which nothing was spent."""
    cost_per_day: str | None
    """What may be spent on a day (MAX_COST_PER_DAY); null: any amount."""


def routes(
    days: Days, most_microusd: int | None, check: Callable[..., Awaitable[None]]
) -> APIRouter:
    """``/v1/costs``: behind the bearer key."""
    router = APIRouter(tags=["operator"], dependencies=[Depends(check)])

    @router.get(
        "/v1/costs",
        operation_id="list_costs",
        summary="What the model has cost, by the day",
        responses=described(401, 422, 503),
    )
    async def costs(first: date | None = None, last: date | None = None) -> CostsOfDays:
        """The days from ``first`` to ``last``, both included; left out: the last 31."""
        last = last or datetime.now(UTC).date()
        first = first or last - MONTH
        if not timedelta(0) <= last - first <= MOST:
            raise HTTPException(422, "last must be on the day first or up to a year after it")
        found = await days(first, last)
        return CostsOfDays(
            currency=CURRENCY,
            amount=dollars(sum(amount for _, amount in found)),
            days=[Day(day=day, amount=dollars(amount)) for day, amount in found],
            cost_per_day=None if most_microusd is None else dollars(most_microusd),
        )

    return router
