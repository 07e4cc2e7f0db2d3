"""Whether a simulated call was what was expected: the record against the case, and no more.

Rule: judged is what the caller heard and what the record says, never what somebody meant to do;
of what is not so, both are told, what was expected and what came instead.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.simulation.cases import Bounds, Case, Expect, Moment, Transferred, Words

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that had to be so."""

    expected: str
    got: str | None = None
    """None: it is so."""
    skipped: str | None = None
    """Why nobody looked."""


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a call."""

    record: Record | None
    said: Sequence[str] = ()
    """What the carrier said in the agent's place."""
    complaints: Sequence[str] = ()
    """In what the script, of the model or the caller, and the call differ."""
    timed_out: bool = False


def judged(case: Case, played: Played) -> list[Check]:
    """Every expectation of the case, met or not."""
    differing = [Check("script and call go together", one) for one in played.complaints]
    if played.timed_out:
        heard = _heard_of(played.record) if played.record else ""
        got = f"it was not; the caller heard: {heard or 'nothing'}"
        return [Check(f"the call is over within {case.timeout_ms / 1000:g} s", got), *differing]
    if played.record is None:
        return [Check("the call has a record", "the server has none of it")]
    return [*differing, *_checks(case.expect, played.record, played.said)]


def _checks(expect: Expect, record: Record, said: Sequence[str]) -> Iterator[Check]:
    moments = list(_moments(record))
    yield _ending(expect.end_reason, record)
    yield from _tools(expect, [text for kind, text in moments if kind == "tool"])
    heard = [*(text for kind, text in moments if kind == "heard"), *said]
    understood = [text for kind, text in moments if kind == "understood"]
    for one in expect.heard:
        yield Check(f"the caller hears {_shown(one)}", _missing(one, heard))
    for one in expect.not_heard:
        yield Check(f"the caller does not hear {_shown(one)}", _present(one, heard))
    for one in expect.understood:
        yield Check(f"the agent understands {_shown(one)}", _missing(one, understood))
    if expect.order:
        yield _in_order(expect.order, moments)
    yield from _form(expect.form, record.get("form"))
    yield from _latency(expect, record)
    if expect.turns is not None:
        yield _turns(expect.turns, record)
    if expect.transfer is not None:
        yield _transfer(expect.transfer, record)


def _heard_of(record: Record) -> str:
    return " / ".join(text for kind, text in _moments(record) if kind == "heard")


def _moments(record: Record) -> Iterator[tuple[str, str]]:
    """What was understood, heard and called, in the order in which it began."""
    for turn in record["turns"]:
        if turn.get("text"):
            yield "understood", str(turn["text"])
        for one in turn["responses"]:
            if one["type"] == "tool":
                yield "tool", str(one["name"])
            elif one["type"] == "speech" and one["text"]:
                yield "heard", str(one["text"])


def _ending(wanted: str | None, record: Record) -> Check:
    reason = str(record["end_reason"])
    if wanted is not None:
        return Check(f"the call ends with {wanted}", None if reason == wanted else reason)
    well = (record["ending"] or {}).get("result") == "success"
    return Check("the call ends well", None if well else reason)


def _tools(expect: Expect, used: Sequence[str]) -> Iterator[Check]:
    told = f"tools called: {', '.join(used) or 'none'}"
    wanted = expect.tools
    if wanted is not None and wanted.any:
        missing = Counter(wanted.any) - Counter(used)
        yield Check(f"tools in any order: {', '.join(wanted.any)}", told if missing else None)
    elif wanted is not None:
        rest, names = iter(used), wanted.in_order
        met = all(name in rest for name in names) and (bool(names) or not used)
        what = f"tools in this order: {', '.join(names)}" if names else "no tool is called"
        yield Check(what, None if met else told)
    for name in expect.no_tools:
        yield Check(f"the tool {name} is not called", told if name in used else None)


def _in_order(wanted: Sequence[Moment], moments: Sequence[tuple[str, str]]) -> Check:
    what = "in this order: " + ", ".join(_moment(one) for one in wanted)
    rest = iter(moments)
    for one in wanted:
        if not any(_is(one, kind, text) for kind, text in rest):
            happened = " / ".join(f"{kind} {text}" for kind, text in moments) or "nothing"
            return Check(what, f"no {_moment(one)} where it should come; there was: {happened}")
    return Check(what)


def _moment(one: Moment) -> str:
    if one.tool is not None:
        return f"tool {one.tool}"
    kind, said = ("heard", one.heard) if one.heard is not None else ("understood", one.understood)
    return f"{kind} {_shown(said) if said is not None else ''}"


def _is(one: Moment, kind: str, text: str) -> bool:
    if kind == "tool":
        return one.tool == text
    said = one.heard if kind == "heard" else one.understood
    return said is not None and _in(said, text)


def _form(wanted: Mapping[str, Any], form: Any) -> Iterator[Check]:
    values = (form or {}).get("values") or {}
    for name, value in wanted.items():
        found = values.get(name)
        yield Check(f"form: {name} is {value!r}", None if found == value else repr(found))


def _latency(expect: Expect, record: Record) -> Iterator[Check]:
    if expect.latency_ms is None:
        return
    found = record["latency_ms"]["turn_played"]
    for name, most_ms in expect.latency_ms.model_dump(exclude_none=True).items():
        what = f"answers are heard within {most_ms:,} ms ({name})"
        ms = found[name] if found is not None else None
        late = "no answer was measured" if ms is None else f"{ms:,} ms" if ms > most_ms else None
        yield Check(what, late)


def _turns(bounds: Bounds, record: Record) -> Check:
    count = sum(turn["type"] in ("speech", "dtmf", "sms") for turn in record["turns"])
    least, most = bounds.least, bounds.most
    what = f"{least} turns of the caller" if least == most else f"{least} to {most} turns"
    return Check(what, None if least <= count <= most else str(count))


def _transfer(wanted: Transferred, record: Record) -> Check:
    made = [(one["target"], one["outcome"]) for one in record["transfers"]]
    told = ", ".join(f"{target}: {outcome}" for target, outcome in made) or "nobody"
    if wanted.none:
        return Check("the caller is put through to nobody", told if made else None)
    what = f"put through to {wanted.target or 'somebody'}"
    what += f": {wanted.outcome}" if wanted.outcome else ""
    met = any(
        wanted.target in (None, target) and wanted.outcome in (None, outcome)
        for target, outcome in made
    )
    return Check(what, None if met else told)


def _missing(wanted: Words, lines: Sequence[str]) -> str | None:
    # A sentence may be told in two pieces, where it was cut.
    if any(_in(wanted, line) for line in (*lines, " ".join(lines))):
        return None
    return " / ".join(lines) or "nothing"


def _present(wanted: Words, lines: Sequence[str]) -> str | None:
    return next((line for line in lines if _in(wanted, line)), None)


def _in(wanted: Words, text: str) -> bool:
    if wanted.matches:
        return re.search(wanted.matches, text, re.IGNORECASE) is not None
    return _plain(wanted.says or "") in _plain(text)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _shown(wanted: Words) -> str:
    return f"/{wanted.matches}/" if wanted.matches else f'"{wanted.says}"'
