"""Routing: which process a request about a call belongs to, and what becomes of it there.

Twilio's requests reach any process. One about a call that lives here is answered here; the
owner of another call is asked over the bus; a call whose owner does not answer is claimed and
goes on here. The store says whose call it is; where the store cannot be asked in time, a
request is answered as if there were no other process. So the rule: whatever fails here, Twilio
gets a document, and a caller is never worse off than with one process.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

import structlog

from app.call.reception import Refusal
from app.protocol.events import CallerAudio, Event, PickedUp
from app.runtime.book import MOST_RESUMES, Book
from app.runtime.continuing import Earlier, earlier, recalled
from app.runtime.deadline import within
from app.runtime.effects import contained
from app.runtime.invitations import TOKEN_S, digest_of, drawn_ms_of
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.ports import CallerLine, Feed
from app.runtime.reception import ALL_LINES_OPEN, WELCOME, Reception, Welcome
from app.runtime.side_calls import News, SideCalls
from app.runtime.signalling import Signalling
from app.services.store.archive import UNREACHABLE, Archive
from app.services.store.calls import CallRow

OPERATOR_ENDED = "operator_ended"
LOOK_UP_S = 0.5
"""For what a new call can do without."""
KNOW_S = 2.0
"""For what nobody else's call goes on without, and no stream that comes to another process: a
pair on two busy cores needed more than half a second for every third question (2026-11-21)."""
FETCH_S = 4.0
"""For bringing a call to its stream; then Twilio asks again, and others may answer."""
ANSWER_S = 1.5
"""For an owner's answer; Twilio waits 15 s for ours."""
YIELD_S = 2.0
"""For an owner to write down what it knows and let go."""
MOST_ASKED = 3
"""So often Twilio is told to ask again, of whichever process then comes."""
MOST_WAITING = 500
"""Events of a stream kept while its call is fetched: ten seconds of audio; the oldest goes."""

log = structlog.get_logger("routing")


class Bus(Protocol):
    """The way to the other processes."""

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """What process ``to`` answers; None where it does not in time."""


class Routing:
    """Twilio's requests, answered by whoever holds the call."""

    def __init__(
        self,
        signalling: Signalling,
        book: Book,
        archive: Archive,
        bus: Bus,
        *,
        me: str,
        shared: bool,
        people: SideCalls | None = None,
        reception: Reception = ALL_LINES_OPEN,
    ) -> None:
        """``people``: whom callers' machines ask; None: nobody.
        ``shared``: other processes answer under the same address."""
        self._signalling = signalling
        self._book = book
        self._archive = archive
        self._bus = bus
        self._me = me
        self._shared = shared
        self._reception = reception
        self._undecided: dict[str, asyncio.Event] = {}
        """New calls that were asked for and are not here yet."""
        self._people = people

    async def admit(self, facts: CallFacts, sent_before: int = 0) -> str:
        """The TwiML for an incoming call."""
        args = {"facts": asdict(facts), "sent_before": sent_before}
        with self._entering(facts.call_sid):
            theirs = await self._elsewhere(facts.call_sid, "admit", args)
            if theirs is not None:
                return str(theirs["twiml"])
            is_new = not self._book.lives(facts.call_sid)
            verdict = await self._received(facts) if is_new else WELCOME
            before = await self._earlier(facts) if is_new else None
            twiml = self._signalling.admit(facts, sent_before, before, verdict)
            return await self.told(facts.call_sid, twiml)

    @contextmanager
    def _entering(self, call_sid: str) -> Iterator[None]:
        """Whoever asks about the call meanwhile waits until it is here, or is not."""
        decided = self._undecided.setdefault(call_sid, asyncio.Event())
        try:
            yield
        finally:
            decided.set()
            self._undecided.pop(call_sid, None)

    async def _received(self, facts: CallFacts) -> Welcome | Refusal:
        """What the reception says of a call; of one that is over it is not asked."""
        over = self._book.ended.reason(facts.call_sid) is not None
        return WELCOME if over else await self._reception.receive(facts)

    async def _earlier(self, facts: CallFacts) -> Earlier | None:
        """The conversation that this call goes on with, looked for within bounds."""
        line = self._book.roster.edition.answering(facts.to_number, facts.pressed)
        looking = earlier(self._archive, facts.from_number, line.resume_s, line.agent)
        try:
            return await within(LOOK_UP_S, looking, self._book.spawn)
        except TimeoutError:
            return None

    async def stream_ended(
        self, call_sid: str, *, call_over: bool, drawn_ms: int = 0, asked_before: int = 0
    ) -> str:
        """Twilio asks what to do after ``<Connect>``, of the document drawn then.

        ``asked_before``: how often a process could not find out whose call it is.
        """
        args: dict[str, Any] = {"call_sid": call_sid, "call_over": call_over}
        if drawn_ms:  # Only who draws such documents knows what it is.
            args["drawn_ms"] = drawn_ms
        again = self._shared and not call_over and asked_before < MOST_ASKED
        unknown = {"twiml": self._signalling.ask_again(asked_before, drawn_ms)} if again else None
        theirs = await self._elsewhere(call_sid, "stream_ended", args, unknown=unknown)
        if theirs is not None:
            return str(theirs["twiml"])
        twiml = self._signalling.stream_ended(call_sid, call_over=call_over, drawn_ms=drawn_ms)
        return await self.told(call_sid, twiml)

    async def stream_stopped(self, call_sid: str, stream_sid: str) -> None:
        """The stream's status callback. It claims nothing: Twilio asks for the call itself."""
        args = {"call_sid": call_sid, "stream_sid": stream_sid}
        if await self._elsewhere(call_sid, "stream_stopped", args, claims=False) is None:
            self._signalling.stream_stopped(call_sid, stream_sid)

    async def call_over(self, call_sid: str, status: str) -> None:
        """Twilio says that nobody is on the line any more."""
        args = {"call_sid": call_sid, "status": status}
        if await self._elsewhere(call_sid, "call_over", args) is None:
            self._signalling.call_over(call_sid, status)

    async def dialled(self, dial_token: str, **result: Any) -> str:
        """How a transfer ended; ``result`` as in ``Signalling.dialled``."""
        call_sid = result["call_sid"]
        args = {"dial_token": dial_token, **result}
        theirs = await self._elsewhere(call_sid, "dialled", args)
        if theirs is not None:
            return str(theirs["twiml"])
        return await self.told(call_sid, self._signalling.dialled(dial_token, **result))

    async def picked_up(self, call_sid: str, who: str, records: bool, word: str) -> bool:
        """Who picked up a call that we placed; False where nobody has the call yet."""
        args = {"call_sid": call_sid, "who": who, "records": records, "word": word}
        theirs = await self._elsewhere(call_sid, "picked_up", args, claims=False)
        if theirs is not None:
            return bool(theirs["known"])
        return self._signalling.picked_up(call_sid, PickedUp(who, records), word)

    async def side_call(self, call_sid: str, news: News) -> str:
        """What Twilio tells of the call to a person, who is asked for the caller ``call_sid``."""
        args = {"call_sid": call_sid, **asdict(news)}
        theirs = await self._elsewhere(call_sid, "side_call", args, claims=False)
        if theirs is not None:
            return str(theirs["twiml"])
        return self._people.told(news) if self._people else self._signalling.failure()

    def failure(self) -> str:
        """The failure treatment, for a request that cannot be answered better."""
        return self._signalling.failure()

    def claim(self, line: CallerLine, token: str, *, call_sid: str, stream_sid: str) -> Feed | None:
        """Where the events of a stream go; None when its token opens nothing anywhere."""
        here = self._book.claim(line, token, call_sid=call_sid, stream_sid=stream_sid)
        if here is not None or not self._shared:
            return here
        waiting = _Waiting()
        self._book.spawn(
            contained(self._fetch(line, waiting, token, call_sid, stream_sid), None),
            f"fetch-{call_sid}",
        )
        return waiting

    async def _fetch(
        self, line: CallerLine, waiting: "_Waiting", token: str, call_sid: str, stream_sid: str
    ) -> None:
        """Bring the call of a stream that was invited by another process.

        Whatever goes wrong, the stream is not left with nobody: closed, it makes Twilio ask.
        """
        feed = None
        try:
            call = await within(FETCH_S, self._taken(token, call_sid), self._book.spawn)
            if call is None:
                log.warning("stream_refused", reason="unknown_token", call_sid=call_sid)
            else:
                feed = self._book.attach(call, line, stream_sid, drawn_ms_of(token))
        except TimeoutError:
            log.warning("call_not_fetched", reason="TimeoutError", call_sid=call_sid)
        finally:
            line.hand_to(feed)
        if feed is not None:
            for event in waiting.events:
                feed(event)

    async def _taken(self, token: str, call_sid: str) -> LiveCall | None:
        try:
            row = await self._archive.leases.take(digest_of(token), call_sid, self._me)
            if row is None:
                return None
            if row.owner not in (None, self._me):
                await self._bus.ask(row.owner, "yield", {"call_id": row.call_id}, YIELD_S)
            return await self.adopt(row)
        except UNREACHABLE as exc:
            log.warning("call_not_fetched", reason=type(exc).__name__, call_sid=call_sid)
            return None

    async def _elsewhere(
        self,
        call_sid: str,
        op: str,
        args: dict[str, Any],
        *,
        claims: bool = True,
        unknown: Any | None = None,
    ) -> Any | None:
        """What the owner of a call that is not here answers; None where we are to answer, and
        ``unknown`` where nobody can be asked whose call it is.

        A call of nobody's is claimed first, if that is asked for.
        """
        if self._book.lives(call_sid) or self._book.ended.reason(call_sid) is not None:
            return None
        try:
            patience_s = LOOK_UP_S if op == "admit" else KNOW_S
            row = await within(patience_s, self._archive.calls.get(call_sid), self._book.spawn)
            if row is None:
                return await self._first_asked(call_sid, args) if op == "admit" else None
            if row.status == "ended":
                self._book.ended.add(call_sid, row.call_id, row.end_reason or "stream_lost")
                return None
            if row.owner not in (None, self._me):
                answer = await self._bus.ask(row.owner, op, args, ANSWER_S)
                if answer is not None:
                    return answer
            if claims:
                await self.adopt(row)
        except UNREACHABLE as exc:
            log.warning("call_not_looked_up", reason=type(exc).__name__, call_sid=call_sid)
            return unknown
        return None

    async def _first_asked(self, call_sid: str, args: dict[str, Any]) -> Any | None:
        """What the process answers to which the same new call came a moment ago; None where that
        is this one. Raises what ``UNREACHABLE`` names."""
        if not self._shared:
            return None
        asked = self._archive.keys.first_asked(call_sid, self._me)
        first = await within(LOOK_UP_S, asked, self._book.spawn)
        return None if first == self._me else await self._bus.ask(first, "admit", args, ANSWER_S)

    async def adopt(self, seen: CallRow, *, force: bool = True) -> LiveCall | None:
        """Claim a call whose owner is gone or has let go; None where another was faster.

        Without ``force`` its lease must be over. Raises what ``UNREACHABLE`` names.
        """
        if (mine := self._book.here(seen.call_id)) is not None:
            return mine
        row = await self._archive.leases.claim(
            seen.call_id,
            self._me,
            most_resumes=MOST_RESUMES + 1,
            force=force,
            seen_resumes=seen.resume_count,
        )
        if row is None:
            return None
        told = await self._archive.all_facts(row.call_id)
        return self._book.take_over(row, told, await recalled(self._archive, row.resumed_from))

    async def told(self, call_sid: str, twiml: str) -> str:
        """``twiml``, when the other processes know the token in it."""
        call = self._book.call(call_sid)
        if call is not None and self._shared:
            await self.share(call)
        return twiml

    async def press(self, call: LiveCall, digits: str) -> str:
        """The document that presses keys and brings the caller back, to whichever process."""
        return await self.told(call.facts.call_sid, self._book.press(call, digits))

    async def share(self, call: LiveCall) -> None:
        """Let every process know the last invitation of a call. Raises nothing."""
        digest = call.token_digest
        if not digest or digest == call.shared_digest:
            return
        try:
            await within(KNOW_S, self._invited(call.call_id, digest), self._book.spawn)
            call.shared_digest = digest
        except UNREACHABLE as exc:
            # The stream may still come to this process, which knows the token.
            log.warning("invitation_not_shared", reason=type(exc).__name__, call_id=call.call_id)

    async def _invited(self, call_id: str, digest: str) -> None:
        await self._archive.writer.flush(call_id, KNOW_S)
        await self._archive.leases.invite(call_id, digest, TOKEN_S)

    async def answer(self, op: str, args: dict[str, Any]) -> dict[str, Any] | None:
        """Another process asks about a call that it takes to be here; None where it is not."""
        return await contained(self._answered(op, args), None)

    async def _answered(self, op: str, args: dict[str, Any]) -> dict[str, Any] | None:
        if op == "yield":
            return await self._yielded(str(args["call_id"]))
        call_sid = args["facts"]["call_sid"] if op == "admit" else args["call_sid"]
        if op == "admit" and (entering := self._undecided.get(call_sid)) is not None:
            await entering.wait()
        call = self._book.call(call_sid)
        if call is None:
            return None
        if call.leaving_process:
            await self._yielded(call.call_id)
            return None
        return await self._asked(op, args)

    async def _asked(self, op: str, args: dict[str, Any]) -> dict[str, Any] | None:
        match op:
            case "admit":
                facts = CallFacts(**args["facts"])
                return {"twiml": await self.admit(facts, args["sent_before"])}
            case "stream_ended":
                return {"twiml": await self.stream_ended(**args)}
            case "dialled":
                return {"twiml": await self.dialled(**args)}
            case "stream_stopped":
                await self.stream_stopped(**args)
                return {}
            case "call_over":
                await self.call_over(**args)
                return {}
            case "side_call":
                news = News(**{name: args[name] for name in ("what", "token", "leg_sid", "said")})
                return {"twiml": await self.side_call(args["call_sid"], news)}
            case "picked_up":
                return {"known": await self.picked_up(**args)}
            case _:
                return None

    async def _yielded(self, call_id: str) -> dict[str, Any] | None:
        call = self._book.here(call_id)
        if call is None:
            return None
        await self.let_go(call)
        return {}

    async def let_go(self, call: LiveCall) -> None:
        """Write down what is known of a call, and leave it to whoever asks for it next."""
        self._book.give_away(call)
        await self._archive.writer.flush(call.call_id, YIELD_S)
        await self._archive.leases.release(call.call_id, self._me)


class _Waiting:
    """The events of a stream whose call is on its way here."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        if len(self.events) >= MOST_WAITING:
            oldest = next((e for e in self.events if isinstance(e, CallerAudio)), None)
            if oldest is None:
                return
            self.events.remove(oldest)
        self.events.append(event)
