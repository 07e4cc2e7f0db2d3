"""The operator's telephone numbers: who is answered there, when, how many, and who is not.

Rule: what cannot be done does not load, so that no caller finds out first.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from pydantic import BeforeValidator, Field, WithJsonSchema

from app.agents.part import Part
from app.agents.values import (
    DURATION_SCHEMA,
    Language,
    Text,
    WebhookUrl,
    between,
    destination,
    or_just,
    refuse,
    several,
)
from app.hours import OpeningHours, Rule, Week, rule

ANY = "*"
"""In place of a number: every other one."""
GOODBYE = "end_call"
LONGEST_SAY_CHARS = 1000
TAKE_MESSAGE = "take_message"
QUEUE = "queue"
"""In place of a target, where it is full: they wait."""
_SOON = (QUEUE,)


def _line(value: object) -> str:
    if value == ANY:
        return ANY
    if isinstance(value, str) and value.startswith("client:"):
        refuse('must be a number of yours, a SIP address, or "*" for every other one')
    return destination(value)


def _time_zone(value: object) -> str:
    if not isinstance(value, str) or value not in available_timezones():
        meant = get_close_matches(str(value), available_timezones(), n=1)
        refuse('must be a time zone such as "Europe/Paris"', meant=next(iter(meant), ""))
    return value


def _span(value: object) -> Rule:
    if not isinstance(value, str):
        refuse('must be hours of the week in quotes, such as "Mo-Fr 09:00-17:00"')
    try:
        return rule(value.strip())
    except ValueError as fault:
        refuse(str(fault))


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value  # TOML has days of its own.
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        refuse('must be a day such as "2026-12-25"')


def _country(value: object) -> str:
    if not isinstance(value, str) or value not in phonenumbers.SUPPORTED_REGIONS:
        known = phonenumbers.SUPPORTED_REGIONS
        upper = str(value).upper()
        meant = "GB" if upper == "UK" else upper if upper in known else ""
        refuse('must be the code of a country, such as "US" or "FR"', meant=meant)
    return value


def _spoken(value: object) -> object:
    if isinstance(value, str) and len(value) > LONGEST_SAY_CHARS:
        refuse(f"has more than {LONGEST_SAY_CHARS} characters: nobody listens for so long")
    return value


_SPAN_SCHEMA = WithJsonSchema({"type": "string", "examples": ["Mo-Fr 09:00-17:00"]})
_DAY_SCHEMA = WithJsonSchema({"type": "string", "format": "date"})
_COUNTRY_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["US"]})


def _key(value: object) -> str:
    if not (isinstance(value, str) and len(value) == 1 and value in "0123456789"):
        refuse('must be a key in quotes, "0" to "9"')
    return value


Key = Annotated[str, BeforeValidator(_key)]
LineNumber = Annotated[str, BeforeValidator(_line)]
Spoken = Annotated[Text, BeforeValidator(_spoken)]


class Hours(Part):
    """When somebody is there."""

    timezone: Annotated[str, BeforeValidator(_time_zone), WithJsonSchema({"type": "string"})]
    """Whose clock it is: a name such as Europe/Paris."""
    open: Annotated[
        tuple[Annotated[Rule, BeforeValidator(_span), _SPAN_SCHEMA], ...],
        BeforeValidator(several),
        Field(min_length=1),
    ]
    """Days and times, such as "Mo-Fr 09:00-17:00"; what goes on past midnight is two of them."""
    closed: Annotated[
        tuple[Annotated[date, BeforeValidator(_day), _DAY_SCHEMA], ...], BeforeValidator(several)
    ] = ()
    """Holidays, such as "2026-12-25"."""

    @property
    def opening(self) -> OpeningHours:
        """As what decides."""
        return OpeningHours(ZoneInfo(self.timezone), Week(self.open), frozenset(self.closed))


class BeforeCall(Part):
    """A program of yours that is asked who calls, while it rings."""

    url: WebhookUrl
    timeout_ms: Annotated[int, between("100ms", "7s"), DURATION_SCHEMA] = Field(
        default=2_000, alias="timeout", json_schema_extra={"default": "2s"}
    )
    """Twilio gives up after 15 seconds, and the caller sooner."""
    then: Literal["continue", "reject"] = "continue"
    """What happens where it does not answer, or not as it should."""


class Instead(Part):
    """What a caller gets who is not answered by the agent."""

    say: Spoken | None = None
    then: Text = GOODBYE
    """end_call, take_message (they may leave one after a tone), or the name of a target."""


class Full(Instead):
    """What a caller too many gets: with ``then: queue`` they wait for a place."""

    most_waiting: Annotated[int, Field(ge=1, le=1_000)] = 20
    """So many wait at most."""
    longest_wait_ms: Annotated[int, between("30s", "60m"), DURATION_SCHEMA] = Field(
        default=600_000, alias="longest_wait", json_schema_extra={"default": "10m"}
    )
    otherwise: Annotated[Instead, or_just("say", Instead)] | None = None
    """What a caller gets who has waited that long, or finds so many waiting."""


class Choice(Part):
    """What a key stands for."""

    say: Spoken
    """How it is offered, such as "Pour le français, tapez 2."."""
    language: Language
    """In which it is offered, and the caller is spoken to."""
    agent: Text | None = None
    """Which agent answers. Left out: who answers the number."""


class Menu(Part):
    """What callers choose from before anybody answers them, and before a model costs anything."""

    choices: Annotated[Mapping[Key, Choice], Field(min_length=1, max_length=10)]
    """By key, 0 to 9."""
    timeout_ms: Annotated[int, between("1s", "30s"), DURATION_SCHEMA] = Field(
        default=5_000, alias="timeout", json_schema_extra={"default": "5s"}
    )
    """So long a key is waited for; then the number is answered as without a menu."""


class Number(Part):
    """A number of yours, and whom the agent answers there. What is written here of the agent
    itself holds for calls to this number, under what the agent says."""

    agent: Text | None = None
    """Which agent answers it. May be left out where there is one."""
    label: Text | None = None
    """What you call it."""
    hours: Text | None = None
    """The name of the hours in which it is answered. Left out: always."""
    when_closed: Annotated[Instead, or_just("say", Instead)] | None = None
    """Outside of them."""
    max_concurrent: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many calls to it may be answered at once, by all processes together; beside
    MAX_CONCURRENT_CALLS."""
    when_full: Annotated[Full, or_just("say", Full)] | None = None
    """What a caller too many gets. Left out: as MAX_CONCURRENT_CALLS has it."""
    allow_countries: (
        Annotated[
            tuple[Annotated[str, BeforeValidator(_country), _COUNTRY_SCHEMA], ...],
            BeforeValidator(several),
            Field(min_length=1),
        ]
        | None
    ) = None
    """Where callers may call from, by their number; withheld numbers are from nowhere. Left out:
    from anywhere. Calls by SIP are not asked."""
    before_call: Annotated[BeforeCall, or_just("url", BeforeCall)] | None = None
    menu: Menu | None = None
    """Which language, and which agent: asked by keys."""


def check(numbers: Mapping[str, Number], hours: Collection[str], targets: Collection[str]) -> None:
    """Refuse numbers that speak of what is not there."""
    for number, one in numbers.items():
        if one.hours is not None and one.hours not in hours:
            meant = _near(one.hours, hours)
            refuse(f'unknown hours "{one.hours}"', at=f"{number}.hours", meant=meant)
        if one.when_closed is not None and one.hours is None:
            refuse("means nothing without hours", at=f"{number}.when_closed")
        if one.when_closed is not None:
            _check_target(one.when_closed.then, targets, at=f"{number}.when_closed.then")
        if one.when_full is not None:
            _check_full(one.when_full, targets, at=f"{number}.when_full")


def _check_full(full: Full, targets: Collection[str], *, at: str) -> None:
    if full.then != QUEUE:
        _check_target(full.then, targets, at=f"{at}.then")
        if full.otherwise is not None:
            refuse("means nothing without then: queue", at=f"{at}.otherwise")
    elif full.otherwise is not None:
        _check_target(full.otherwise.then, targets, at=f"{at}.otherwise.then")


def _check_target(then: str, targets: Collection[str], *, at: str) -> None:
    known = [*targets, GOODBYE, TAKE_MESSAGE]
    if then in known:
        return
    if then in _SOON:
        instead = f"write the name of a target, {TAKE_MESSAGE} or {GOODBYE}"
        refuse(f'"{then}" is not available yet: {instead}', at=at)
    refuse(f'unknown target "{then}"', at=at, meant=_near(then, known))


def _near(word: str, words: Collection[str]) -> str:
    return next(iter(get_close_matches(word, words, n=1)), "")
