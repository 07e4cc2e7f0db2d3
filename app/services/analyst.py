"""Asking a text model about a call: what it came to, and what to write to whoever called; and
whether a text is harmful.

One request to the Responses API, answered in a strict JSON schema. Tries again are the caller's:
the library's own would wait in here, and count nothing. The answer is read by us and not by the
library, whose ``parse`` loses what was cut off. Words of callers are in the request and the
answer, and in no log and no exception.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import openai

from app.call import correspondence, verdicts
from app.call.analysis import (
    NoAnswer,
    Wish,
    began,
    instructions,
    judged,
    schema,
    shown,
    transcript,
)
from app.call.correspondence import Correspondent
from app.errors import ModelFault

PATIENCE_S = 90.0
"""For one answer, whole."""
_TOKENS = 4_000
"""Of an answer; four times as many where one was cut off. Thinking counts, too."""
_MOST_BYTES = 2_000_000
MOST_TOGETHER = 32
"""Questions about what is being said, of all calls of a process."""
_VERDICT_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    model: str
    instructions: str
    input: str
    form: str
    """What the schema is called."""
    schema: Mapping[str, Any]
    tokens: int
    """Of the answer, thinking included."""


@dataclass(frozen=True, slots=True)
class ResponsesApi:
    """Constructing it connects to nothing."""

    api_key: str = field(repr=False)
    base_url: str
    """Ends before ``/responses``."""
    patience_s: float = PATIENCE_S

    async def ask(self, question: Question) -> str:
        """The text of the answer. Raises NoAnswer."""
        form = {"type": "json_schema", "strict": True, "name": question.form}
        shape: Any = {"format": {**form, "schema": question.schema}}
        answer = await self._answered(
            lambda client: client.responses.with_streaming_response.create(
                model=question.model,
                instructions=question.instructions,
                input=question.input,
                store=False,
                max_output_tokens=question.tokens,
                text=shape,
            ),
            _text_of,
        )
        return str(answer)

    async def flagged(self, text: str, model: str) -> bool:
        """Whether the moderation endpoint flags a text. Raises NoAnswer."""
        answer = await self._answered(
            lambda client: client.moderations.with_streaming_response.create(
                model=model, input=text
            ),
            _flag_of,
        )
        return bool(answer)

    async def _answered(
        self,
        request: Callable[[openai.AsyncOpenAI], AbstractAsyncContextManager[Any]],
        read: Callable[[Any], object],
    ) -> object:
        try:
            async with (
                asyncio.timeout(self.patience_s),
                self._opened() as client,
                request(client) as response,
            ):
                return read(json.loads(await _read(response.iter_bytes())))
        except TimeoutError:
            raise NoAnswer("timed_out") from None
        except openai.APIError as exc:
            raise NoAnswer(_reason(exc)) from None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
            # Not what the API answers: a page, a list, nothing.
            raise NoAnswer("server_error") from None

    def _opened(self) -> openai.AsyncOpenAI:
        # One for each question: an hour may pass between two, and the last has no successor.
        return openai.AsyncOpenAI(
            api_key=self.api_key,
            base_url=self.base_url,
            max_retries=0,
            timeout=self.patience_s,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False),
        )


class Analyst:
    """Says what a call came to. Constructing it connects to nothing."""

    def __init__(self, wish: Wish, *, api_key: str, base_url: str, patience_s: float = PATIENCE_S):
        """``base_url`` ends before ``/responses``."""
        self._wish = wish
        self._api = ResponsesApi(api_key, base_url, patience_s)

    async def analyse(self, record: Mapping[str, Any], *, room: int = 1) -> dict[str, Any]:
        """``status``, ``analysis`` and ``sms`` of a call. Raises NoAnswer.

        ``room``: how many times the usual length the answer may have.
        """
        lines = transcript(record)
        if not lines:
            return {"status": "skipped", "reason": "nothing_said", "analysis": None, "sms": None}
        question = Question(
            model=self._wish.model,
            instructions=instructions(self._wish),
            input=f"{began(record)}{shown(lines)}",
            form="call_report",
            schema=schema(self._wish),
            tokens=_TOKENS * room,
        )
        answer = await self._api.ask(question)
        return judged(answer, self._wish, lines, record.get("form"))


class Penman:
    """Answers callers in writing. Constructing it connects to nothing."""

    def __init__(
        self,
        who: Correspondent,
        *,
        api_key: str,
        base_url: str,
        agents: Mapping[str, Correspondent] | None = None,
    ) -> None:
        """``agents`` by name, where there are several; ``who`` answers for any other.
        ``base_url`` ends before ``/responses``."""
        self._who = who
        self._agents = agents or {}
        self._api = ResponsesApi(api_key, base_url)

    async def reply(self, record: Mapping[str, Any], *, room: int = 1) -> str | None:
        """The answer to what the caller wrote last; None where none is needed. Raises NoAnswer."""
        who = self._answering(record)
        question = Question(
            model=who.model,
            instructions=correspondence.instructions(who),
            input=correspondence.letters(record),
            form="reply",
            schema=correspondence.SCHEMA,
            tokens=_TOKENS * room,
        )
        return correspondence.judged(await self._api.ask(question), who)

    def _answering(self, record: Mapping[str, Any]) -> Correspondent:
        """For the agent who answered the call."""
        agents = record.get("agents") or [{"name": ""}]
        return self._agents.get(agents[0]["name"], self._who)


class Judges:
    """Say whether what is being said is against a rule: in its time, or why not.

    Those of one process, so that it asks only so much at once, whatever its calls say.
    Constructing it connects to nothing.
    """

    def __init__(self, *, api_key: str, base_url: str) -> None:
        """``base_url`` ends before ``/responses`` and ``/moderations``."""
        self._api = ResponsesApi(api_key, base_url)
        self._places = asyncio.Semaphore(MOST_TOGETHER)

    async def classified(
        self, description: str, text: str, *, side: str, model: str, timeout_ms: int
    ) -> bool:
        """Whether a description fits what was said. Raises ModelFault."""
        question = Question(
            model=model,
            instructions=verdicts.instructions(description, side),
            input=verdicts.shown(text),
            form="verdict",
            schema=verdicts.SCHEMA,
            tokens=_VERDICT_TOKENS,
        )
        return await self._in_time(lambda: self._verdict(question), timeout_ms)

    async def _verdict(self, question: Question) -> bool:
        return verdicts.violates(await self._api.ask(question))

    async def moderated(self, text: str, *, model: str, timeout_ms: int) -> bool:
        """Whether OpenAI's moderation flags what was said. Raises ModelFault."""
        return await self._in_time(lambda: self._api.flagged(text, model), timeout_ms)

    async def _in_time(self, ask: Callable[[], Awaitable[bool]], timeout_ms: int) -> bool:
        try:
            async with asyncio.timeout(timeout_ms / 1000), self._places:
                return await ask()
        except TimeoutError:
            raise ModelFault("timed_out") from None
        except NoAnswer as fault:
            raise ModelFault(fault.reason) from None


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    """No more than an answer can have. Raises NoAnswer."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _MOST_BYTES:
            raise NoAnswer("server_error")
    return bytes(body)


def _text_of(answer: Mapping[str, Any]) -> str:
    """The text of an answer that is whole. Raises NoAnswer, and what a stranger's page raises."""
    if answer["status"] == "incomplete":
        why = (answer.get("incomplete_details") or {}).get("reason")
        raise NoAnswer("refused" if why == "content_filter" else "truncated")
    if answer["status"] != "completed":
        raise NoAnswer("server_error")
    messages = [item for item in answer["output"] if item["type"] == "message"]
    parts = [part for item in messages for part in item["content"]]
    if any(part["type"] == "refusal" for part in parts):
        raise NoAnswer("refused")
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    if not text:
        raise NoAnswer("invalid")
    return text


def _flag_of(answer: Mapping[str, Any]) -> bool:
    """Whether anything was found in the one text. Raises NoAnswer, and what a stranger's page
    raises."""
    flagged = answer["results"][0]["flagged"]
    if not isinstance(flagged, bool):
        raise NoAnswer("invalid")
    return flagged


def _reason(exc: openai.APIError) -> str:
    if isinstance(exc, openai.APITimeoutError):
        return "timed_out"
    if isinstance(exc, openai.APIConnectionError):
        return "unreachable"
    if isinstance(exc, openai.RateLimitError):
        # The account is empty: that does not pass by itself.
        return "no_credit" if exc.code == "insufficient_quota" else "rate_limited"
    if isinstance(exc, openai.AuthenticationError | openai.PermissionDeniedError):
        return "credentials"
    if isinstance(exc, openai.InternalServerError):
        return "server_error"
    if isinstance(exc, openai.APIStatusError):
        return f"refused_{exc.status_code}"
    return "server_error"
