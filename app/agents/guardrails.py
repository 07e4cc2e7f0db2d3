"""What must not be said, and what callers must not ask for, as the operator writes it.

Rule: what cannot be looked at is refused here, so that nobody relies on it.
"""

import csv
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field

from app.agents.part import Part
from app.agents.values import (
    DURATION_SCHEMA,
    TargetName,
    Text,
    Texts,
    between,
    none_if_none,
    or_just,
    refuse,
)
from app.call.blocklist import Blocklist, words

CANCEL, REFUSE, END_CALL, TRANSFER_CALL = "cancel", "refuse", "end_call", "transfer_call"
MOST_PHRASES = 2_000
_LONGEST_PHRASE = 200


class _Rule(Part):
    name: TargetName | None = None
    """What the record, events and warnings call it. Left out: its type."""
    then: Text | None = None
    """What follows: for output cancel (the answer is cut), for input refuse (it is not answered),
    for both end_call, the name of a target, or transfer_call where there is only one target.
    Left out: cancel or refuse."""
    say: Text | None = None
    """What the caller is told then, word for word; left out: that of guardrails."""


class BlocklistRule(_Rule):
    """Words and phrases, whatever their case and accents."""

    type: Literal["blocklist"]
    words: Texts = ()
    file: Text | None = None
    """A text file beside the document: a phrase a line, or in the first column (CSV)."""


class _Judged(_Rule):
    on_error: Literal["open", "closed"] = "open"
    """Where nobody answers in time: open, it counts as kept; closed, as broken."""
    timeout_ms: Annotated[int, between("200ms", "10s"), DURATION_SCHEMA] = Field(
        default=2_000, alias="timeout", json_schema_extra={"default": "2s"}
    )


class ModerationRule(_Judged):
    """OpenAI's moderation: hate, harassment, violence, sex, self-harm, crime."""

    type: Literal["moderation"]
    model: Text = "omni-moderation-latest"


class ClassifierRule(_Judged):
    """A text model is asked whether a description fits."""

    type: Literal["classifier"]
    description: Text
    """What must not be said, as a sentence: Gives legal or medical advice."""
    model: Text = "gpt-5.4-mini"
    """A model of OPENAI_BASE_URL that answers in a JSON schema."""


class JailbreakRule(_Judged):
    """A text model is asked whether the caller tries to talk the agent out of its instructions."""

    type: Literal["jailbreak"]
    model: Text = "gpt-5.4-mini"


OutputRule = Annotated[
    BlocklistRule | ModerationRule | ClassifierRule,
    Field(discriminator="type"),
    or_just("type", ModerationRule),
]
InputRule = Annotated[
    BlocklistRule | ModerationRule | ClassifierRule | JailbreakRule,
    Field(discriminator="type"),
    or_just("type", ModerationRule, JailbreakRule),
]
AnyRule = BlocklistRule | ModerationRule | ClassifierRule | JailbreakRule


class Limit(Part):
    """What follows where rules are broken again and again."""

    trips: int = Field(default=3, ge=1, le=100)
    """So often in a call."""
    then: Text = END_CALL
    """end_call, the name of a target, or transfer_call where there is only one."""


class Guardrails(Part):
    """What is looked at while it is said."""

    input: Annotated[tuple[InputRule, ...], none_if_none, Field(max_length=8)] = ()
    """Of what callers say and write."""
    output: Annotated[tuple[OutputRule, ...], none_if_none, Field(max_length=8)] = ()
    """Of what the agent says."""
    say: Text = "I'm sorry, I can't talk about that."
    """What the caller is told, word for word, where a rule has no sentence of its own."""
    debounce_text_length: int = Field(default=100, ge=20, le=2_000)
    """After so many more characters of an answer it is asked about again."""
    limit: Limit = Limit()

    def named(self) -> Iterator[tuple[str, str, int, AnyRule]]:
        """Each rule with its name, its side and its place there. Of those that have the same type
        and no name, the later ones have a number."""
        used = {rule.name for rule in (*self.input, *self.output)}
        for side in ("input", "output"):
            rules: tuple[AnyRule, ...] = self.input if side == "input" else self.output
            for index, rule in enumerate(rules):
                name, number = rule.name or rule.type, 1
                while rule.name is None and name in used:
                    number += 1
                    name = f"{rule.type}-{number}"
                used.add(name)
                yield name, side, index, rule


def consequence(then: str, targets: Collection[str]) -> str:
    """What a word of the document means: the one target there is, for ``transfer_call``."""
    return next(iter(targets)) if then == TRANSFER_CALL else then


def check(written: Guardrails, targets: Collection[str], *, transcribed: bool) -> None:
    """Refuse what names nobody, or could never be looked at."""
    _then(written.limit.then, (END_CALL,), targets, at="limit.then")
    if written.input and not transcribed:
        refuse("look at what the caller says in writing: transcription must not be null")
    names = [rule.name for rule in (*written.input, *written.output) if rule.name]
    for _, side, index, rule in written.named():
        at = f"{side}.{index}"
        if rule.name and names.count(rule.name) > 1:
            refuse(f'two rules are called "{rule.name}"', at=f"{at}.name")
        own = CANCEL if side == "output" else REFUSE
        _then(rule.then or own, (own, END_CALL), targets, at=f"{at}.then")
        if isinstance(rule, BlocklistRule):
            if not rule.words and rule.file is None:
                refuse("must have words or a file", at=at)
            if any(not words(phrase) for phrase in rule.words):
                refuse("has a phrase without a word in it", at=f"{at}.words")
    refuse_own_words(written)


def refuse_own_words(written: Guardrails) -> None:
    """A sentence of the operator's that breaks a rule would be cut like any other."""
    lists = [rule for rule in written.output if isinstance(rule, BlocklistRule)]
    said = [("say", written.say)]
    for _, side, index, rule in written.named():
        if rule.say:
            said.append((f"{side}.{index}.say", rule.say))
    for rule in lists:
        found = Blocklist(rule.words)
        for at, sentence in said:
            if found.found(sentence):
                refuse("holds a word of a blocklist: it would be cut, too", at=at)


def _then(then: str, own: tuple[str, ...], targets: Collection[str], *, at: str) -> None:
    if then in own or then in targets:
        return
    if then == TRANSFER_CALL:
        if len(targets) == 1:
            return
        refuse("needs exactly one target: name it instead", at=at)
    known = [*own, TRANSFER_CALL, *targets]
    meant = next(iter(get_close_matches(then, known, n=1)), "")
    refuse(f'unknown target "{then}"', at=at, meant=meant)


def phrases_of(text: str) -> tuple[str, ...]:
    """The phrases of a file: one a line, in its first column; # begins a remark. Raises
    ``ValueError`` with the end of a sentence."""
    lines = (line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#")
    found = tuple(row[0].strip() for row in csv.reader(lines) if row and row[0].strip())
    if not found:
        raise ValueError("is empty")
    if len(found) > MOST_PHRASES:
        raise ValueError(f"has more than {MOST_PHRASES} phrases")
    for phrase in found:
        if not words(phrase) or len(phrase) > _LONGEST_PHRASE:
            raise ValueError(f'has a phrase that is none: "{phrase[:40]}"')
    return found
