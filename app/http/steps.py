"""The way to a real call in six steps: what each answer means, and what to do next.

Pure: the questions are asked elsewhere, and their reasons become a state, a sentence and the
exact lines to copy. The one rule: where an answer allows two readings the step is ``unknown``,
so that nobody mends what is not broken. No secret and no whole number comes in here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.http.advice import (
    ANYBODY,
    NUMBERS,
    OPENAI,
    PASTE,
    PUBLIC,
    TWILIO,
    WITH_TUNNEL,
    State,
    Words,
)
from app.http.pages import PhoneSetup, answers_at_home, out_of_reach


@dataclass(frozen=True, slots=True)
class Line:
    """Something to be copied as it is."""

    text: str
    where: str = ""
    """Where it belongs: a terminal, a file, a field of a form."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way, and how far it is."""

    id: str
    title: str
    state: State
    sentence: str
    next_step: str = ""
    """What to do now; empty where nothing is."""
    lines: tuple[Line, ...] = ()
    link: str | None = None
    """Where the next step is done."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the operator has set, as far as it may be shown."""

    port: int
    model: str
    """Of the agent document; on Azure the deployment."""
    model_host: str
    """Who serves it; not asked while ``local_model``."""
    agent_file: str
    """The name of the agent document, without its folder."""
    public_url: str | None
    local_model: bool
    local_line: bool
    texts: bool = False
    """The agent reads text messages."""
    host: str = ""
    """What the server listens on; empty: every address."""

    @property
    def at_home(self) -> bool:
        """Whether it is reached as ``localhost``, which the telephone and this page need."""
        return answers_at_home(self.host)


@dataclass(frozen=True, slots=True)
class Calls:
    """What came in."""

    live: int
    since_start: int


class Told(Protocol):
    """What a question came to."""

    @property
    def reason(self) -> str:
        """``ok``, ``unset``, or why it is not well."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of models or a host, where the reason speaks of them."""


class Numbers(Protocol):
    """Where the account's numbers bring their callers; none of them whole."""

    @property
    def reason(self) -> str:
        """As in ``Told``."""

    @property
    def here(self) -> tuple[str, ...]:
        """To this server."""

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Anywhere else."""

    @property
    def without_fallback(self) -> tuple[str, ...]:
        """Those of ``here`` that name no other address for bad moments."""

    @property
    def without_messages(self) -> tuple[str, ...]:
        """Those of ``here`` whose text messages go elsewhere, though they are read here."""

    @property
    def more(self) -> bool:
        """There are others that were not looked at."""


_LEAD = "Paste this address there, or have it written:"
_TALK, _WEBHOOK = "Talk to it now", "Your number's webhook"
CONSOLE = "https://console.twilio.com/"
NUMBERS_CONSOLE = f"{CONSOLE}us1/develop/phone-numbers/manage/incoming"
_KEYS_CONSOLE = "https://platform.openai.com/api-keys"
_NGROK_CONSOLE = "https://dashboard.ngrok.com/get-started/your-authtoken"
_ENV, _TERMINAL = ".env", "terminal"


def talk(place: Place, setup: PhoneSetup | None, *, up: bool) -> Step:
    """A conversation from the browser; ``up``: the local line takes connections."""
    if setup is None and place.local_line:
        lines = (Line("./scripts/start", _TERMINAL),)
        return Step("talk", _TALK, "todo", "The local line is not running.", "Start it", lines)
    if setup is None:
        sentence = "By telephone, through Twilio: see the last step."
        return Step("talk", _TALK, "ok", sentence)
    if not place.at_home:
        sentence = "The telephone on the page cannot ring."
        return Step("talk", _TALK, "failed", sentence, out_of_reach(place.host))
    if not up:
        sentence = "The local line does not answer; it is being started again."
        return Step("talk", _TALK, "failed", sentence, "Check again in a few seconds.")
    sentence = "The local line is up. Call from your browser, no account needed."
    return Step("talk", _TALK, "ok", sentence, link="/phone")


def openai(place: Place, told: Told) -> Step:
    """The model's key."""
    who = "OpenAI" if place.model_host == "api.openai.com" else place.model_host
    near = f", such as {', '.join(told.names)}." if told.names else "."
    words = _words(OPENAI, told, who=who, model=place.model, near=near)
    if told.reason not in ("unset", "refused"):
        return Step("openai", "OpenAI key", *words)
    key = (Line("OPENAI_API_KEY=sk-…", _ENV),)
    return Step("openai", "OpenAI key", *words, lines=key, link=_KEYS_CONSOLE)


def twilio(told: Told) -> Step:
    """The account that carries the calls."""
    keys = (Line("TWILIO_ACCOUNT_SID=AC…", _ENV), Line("TWILIO_AUTH_TOKEN=…", _ENV))
    return Step(
        "twilio",
        "Twilio credentials",
        *_words(TWILIO, told, who="Twilio"),
        lines=keys if told.reason == "unset" else (),
        link=None if told.reason in ("ok", "not_asked") else CONSOLE,
    )


def public_url(place: Place, told: Told) -> Step:
    """Whether Twilio can reach this server."""
    words = _words(PUBLIC, told, who="the public address")
    if told.reason not in WITH_TUNNEL:
        return Step("public_url", "Public address", *words)
    tunnel = (
        Line("ngrok config add-authtoken <your ngrok token>", _TERMINAL),
        Line(f"ngrok http {place.port}", _TERMINAL),
        Line("PUBLIC_URL=https://<the address ngrok shows>", _ENV),
    )
    return Step("public_url", "Public address", *words, lines=tunnel, link=_NGROK_CONSOLE)


def webhook(place: Place, numbers: Numbers) -> Step:
    """Where the numbers of the account bring their callers."""
    if numbers.reason == "ok" and numbers.here:
        return _leading_here(place, numbers)
    state, sentence, next_step = _numbers_words(numbers)
    if state == "failed" or numbers.reason not in ("ok", "unset"):
        return Step("webhook", _WEBHOOK, state, sentence, next_step)
    origin = place.public_url or "https://<the public address>"
    lines = _webhooks(origin) + ((_messages(origin),) if place.texts else ())
    return Step("webhook", _WEBHOOK, state, sentence, next_step, lines, NUMBERS_CONSOLE)


def _numbers_words(numbers: Numbers) -> Words:
    """Of an account none of whose numbers leads here, as far as that was seen."""
    if numbers.reason != "ok":
        return _words(NUMBERS, numbers, who="Twilio")
    if not numbers.elsewhere:
        return "todo", "The account has no number yet.", f"Buy one with voice. {PASTE}"
    if numbers.more:
        seen = len(numbers.elsewhere)
        return "unknown", f"None of the first {seen} numbers leads here; there are more.", PASTE
    return "todo", f"No number leads here. Elsewhere: {_few(numbers.elsewhere)}.", PASTE


def _leading_here(place: Place, numbers: Numbers) -> Step:
    sentence = f"Leading here: {_few(numbers.here)}."
    if numbers.elsewhere:
        sentence += f" Elsewhere: {_few(numbers.elsewhere)}."
    if numbers.without_messages:
        sentence += f" Text messages to {_few(numbers.without_messages)} go elsewhere."
        lines = (_messages(place.public_url or ""), Line("python -m app doctor --fix", _TERMINAL))
        return Step("webhook", _WEBHOOK, "failed", sentence, _LEAD, lines, NUMBERS_CONSOLE)
    if not numbers.without_fallback:
        return Step("webhook", _WEBHOOK, "ok", sentence)
    advice = (
        f"Better still for {_few(numbers.without_fallback)}: let callers hear a sentence, and not"
        " an error, when an answer of this server fails."
    )
    line = _webhooks(place.public_url or "")[1:2]
    return Step("webhook", _WEBHOOK, "ok", sentence, advice, line, NUMBERS_CONSOLE)


def real_call(place: Place, before: Sequence[Step], here: Sequence[str], calls: Calls) -> Step:
    """The proof: a call that came from Twilio, whatever the checks of the way to here say."""
    title = "A real test call"
    if place.local_line:
        sentence = "Comes last, from any telephone in the world."
        return Step("real_call", title, "todo", sentence)
    if calls.since_start:
        return Step("real_call", title, "ok", "Calls come in: Twilio reaches this server.")
    if all(step.state == "ok" for step in before):
        whom = f"Ring {_few(here)}, and talk."
        return Step("real_call", title, "todo", "All is ready; no call came in yet.", whom)
    open_ = ", ".join(step.title for step in before if step.state != "ok")
    return Step("real_call", title, "todo", "No call came in yet.", f"First: {open_}.")


def _words(table: dict[str, Words], told: Told | Numbers, **names: str) -> Words:
    """A reason nobody has words for is told as it is, and judged by nobody."""
    strange: Words = ("unknown", f"It came to: {told.reason}.", "")
    state, sentence, next_step = table.get(told.reason) or ANYBODY.get(told.reason) or strange
    names["names"] = ", ".join(getattr(told, "names", ())) or "another address"
    return state, _capital(sentence.format(**names)), next_step.format(**names)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _webhooks(origin: str) -> tuple[Line, ...]:
    return (
        Line(f"{origin}/incoming-call", "A call comes in: webhook, POST"),
        Line(f"{origin}/twilio/fallback", "Primary handler fails"),
        Line(f"{origin}/twilio/call-status", "Call status changes"),
    )


def _messages(origin: str) -> Line:
    return Line(f"{origin}/incoming-message", "A message comes in: webhook, POST")


def _few(numbers: Sequence[str]) -> str:
    shown = ", ".join(numbers[:3])
    return shown if len(numbers) <= 3 else f"{shown} and {len(numbers) - 3} more"
