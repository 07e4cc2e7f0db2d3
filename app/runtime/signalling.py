"""Signalling: what the carrier tells and asks about a call, and the TwiML it is answered with.

Twilio repeats, reorders and loses requests: every one of them is idempotent, finds its call by
the CallSid, and opens nothing for a call that is over. What they decide is carried out by the
book; the media of a call goes past here.
"""

import asyncio

import structlog

from app.call.reception import Refusal
from app.call.warm import END_CALL, MESSAGE, RESUME, TAKE_MESSAGE
from app.errors import OurFault
from app.protocol.events import CallEnded, CallerLineLost, PickedUp, StreamReportedOver
from app.runtime.book import INTERRUPTED, Book
from app.runtime.continuing import Earlier
from app.runtime.dials import put_through
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.metrics import CALLS_REFUSED
from app.runtime.reception import INBOUND, WELCOME, Welcome
from app.runtime.scripts import Dial, Scripts
from app.runtime.ways import Ways

ABNORMAL = 1006
_ANSWERED = frozenset({"completed", "answered"})
"""A leg that was answered, by a mailbox for instance, and never bridged says this, too."""
_DONE = frozenset(
    {"assistant_hangup", "operator_ended", "caller_hangup", "transferred"}
    | {"voicemail_left", "voicemail_hangup", "ivr", "silence_timeout", "max_duration", "cost_limit"}
    | {"guardrail"}
)
_REFUSED = {"capacity": "capacity", "draining": "server_shutdown", "cost": "cost_limit"}
"""What a call ends with that was not taken."""
_NOT_TAKEN = frozenset({"blocked", "closed_hours"})
"""What was not answered; asked again of another process, the call is over."""
MOST_SENDINGS = 3
"""A call that finds nobody else after so many attempts gets the failure treatment."""
SAME_QUESTION_S = 2.0
"""A repetition of Twilio's; later it means that the new stream could not be had either."""
DIAL_RESULT_S = 5
"""From the end of a call that was put through to the result of its dialling, at most."""

log = structlog.get_logger("signalling")


class Signalling:
    """The carrier's requests about the calls in the book."""

    def __init__(self, book: Book, ways: Ways | None = None) -> None:
        self._book = book
        self._ways = ways or Ways()

    @property
    def _scripts(self) -> Scripts:
        """Where it is not known which agent a request is about."""
        return self._scripts_at("", "")

    def _scripts_at(self, number: str, caller: str) -> Scripts:
        """Of who answers this number."""
        line = self._book.roster.edition.answering(number)
        known = line.lore.values(ours=number, theirs=caller, direction=INBOUND)
        return line.scripts.filled(known)

    def admit(
        self,
        facts: CallFacts,
        sent_before: int = 0,
        earlier: Earlier | None = None,
        verdict: Welcome | Refusal = WELCOME,
    ) -> str:
        """The TwiML for an incoming call. Repeated webhooks get the same document again.

        ``sent_before``: how often the call was sent to another process already. ``verdict``:
        what the reception says of a new one.
        """
        call = self._book.call(facts.call_sid)
        again = self._answered_before(facts.call_sid) if call is None else self._goes_on(call)
        if again is not None:
            return again
        if call is None and isinstance(verdict, Refusal):
            return self._instead(facts, verdict)
        welcome = verdict if isinstance(verdict, Welcome) else WELCOME
        why = self._book.capacity.refusal()
        goes_on = call is None and sent_before < MOST_SENDINGS and self._book.capacity.sends_on
        if why is not None and goes_on:
            attempt = sent_before + 1
            log.info("call_sent_elsewhere", why=why, attempt=attempt, call_sid=facts.call_sid)
            return self._scripts.elsewhere(sent_before + 1, facts.pressed)
        if call is not None and why is None:
            return self._book.invite(call, returning=self._why_again(call))
        if why is None and self._unspeakable(facts, welcome):
            failure = self._scripts_at(facts.to_number, facts.from_number).failure()
            return self._turn_away(facts, "variables", failure)
        why = why or self._line_full(facts, welcome)
        queues = why is not None and call is None and welcome.line.lobby is not None
        menu = welcome.line.menu
        if menu is not None and facts.pressed is None and (why is None or queues):
            return self._scripts_at(facts.to_number, facts.from_number).menu(menu)
        if queues and welcome.line.lobby is not None:
            say = welcome.line.when_full.say if welcome.line.when_full is not None else None
            log.info("call_waits", why=why, call_sid=facts.call_sid)
            scripts = self._scripts_at(facts.to_number, facts.from_number)
            return scripts.lobby(facts.to_number, welcome.line.lobby, say, facts.pressed)
        if why is not None:
            instead = welcome.line.when_full
            if instead is not None:
                return self._instead(facts, Refusal(why, instead))
            full = self._scripts_at(facts.to_number, facts.from_number).full()
            return self._turn_away(facts, why, full)
        call = self._book.enter(facts, earlier, welcome.guest)
        return self._book.invite(call, returning=earlier.why if earlier else None)

    def _answered_before(self, call_sid: str) -> str | None:
        """For a call that is over: a repeated or replayed webhook opens nothing for it."""
        ended = self._book.ended.reason(call_sid)
        if ended is None:
            return None
        if (answer := self._book.ended.answer(call_sid)) is not None:
            return answer
        if ended == "capacity":
            return self._scripts.full()
        if ended in _NOT_TAKEN:
            return self._scripts.hang_up()
        return self.stream_ended(call_sid, call_over=True)

    def _goes_on(self, call: LiveCall) -> str | None:
        """Where the caller is, or comes back to; None where a line must be opened."""
        if call.invitation is not None and call.awaited:
            return call.invitation
        if call.at_carrier and call.dial is not None:
            return self._transfer_again(call, call.dial)
        if call.cut_off:
            return self._book.come_back(call) or call.scripts.failure()
        if call.runner is not None and call.runner.reason is None:
            # Nothing is done to a live stream before another one really comes.
            return self._book.door(call)
        return None

    def _why_again(self, call: LiveCall) -> str | None:
        return INTERRUPTED if call.report.stream_sids else call.returning

    def _unspeakable(self, facts: CallFacts, welcome: Welcome) -> bool:
        """A variable without which the agent's texts have a hole is not known."""
        lore = self._book.roster.edition.answering(facts.to_number, facts.pressed).lore
        missing = lore.missing(welcome.guest.variables)
        if missing:
            log.warning("variables_missing", names=", ".join(missing), call_sid=facts.call_sid)
        return bool(missing)

    def _line_full(self, facts: CallFacts, welcome: Welcome) -> str | None:
        """Why this number takes no more calls; None where it does."""
        most = welcome.line.max_concurrent
        full = most is not None and self._book.on_line(facts.to_number) >= most
        return "line_full" if full else None

    def _instead(self, facts: CallFacts, refused: Refusal) -> str:
        """What the operator wrote for callers whom the agent does not answer."""
        dial = put_through(refused)
        scripts = self._scripts_at(facts.to_number, facts.from_number)
        return self._turn_away(facts, refused.why, scripts.instead(refused, dial), dial)

    def unreached(self, number: str, caller: str, target: str) -> str:
        """To a caller of ``number`` who was put through to ``target`` in the agent's place, where
        nobody answered either."""
        return self._scripts_at(number, caller).unreached(target)

    def _turn_away(self, facts: CallFacts, why: str, answer: str, dial: Dial | None = None) -> str:
        """The caller gets ``answer`` and no more; a call that was here before stays as it is."""
        CALLS_REFUSED.labels(why).inc()
        log.warning("call_refused", why=why, call_sid=facts.call_sid)
        if not self._book.lives(facts.call_sid):
            reason = _REFUSED.get(why) or Refusal(why).reason
            self._book.refused(facts, reason, why, answer, dial)
        return answer

    def stream_ended(self, call_sid: str, *, call_over: bool, drawn_ms: int = 0) -> str:
        """Twilio asks what to do after ``<Connect>``: the TwiML for it.

        ``drawn_ms`` is the document's, as the invitation has it; 0: it is not known.
        A caller who is still there, although we thought they had hung up, is not hung up on.
        """
        call = self._book.call(call_sid)
        if call is not None and not call_over and self._has_moved_on(call, drawn_ms):
            return self._where_it_is(call)
        if call_over:
            self.call_over(call_sid, "completed")
        elif call is not None and call.runner is not None and call.runner.has_stream:
            # ``stop`` is late, or never comes.
            call.runner.feed(CallerLineLost(ABNORMAL))
        if call is not None and call.at_carrier and call.dial is not None and not call_over:
            return self._transfer_again(call, call.dial)
        if call is not None and not call_over and self._lost_its_stream(call):
            return self._book.come_back(call) or call.scripts.failure()
        if call is not None and not call_over and self._asks_again(call):
            return call.invitation or call.scripts.failure()
        if call is not None and not call_over and self._went_astray(call):
            return self._book.door(call)
        reason = self._why_over(call_sid)
        if reason in _DONE and (call_over or reason != "caller_hangup"):
            return self._scripts.hang_up()
        return call.scripts.failure() if call is not None else self._scripts.failure()

    def ask_again(self, asked_before: int, drawn_ms: int = 0) -> str:
        """For a call of which nobody could find out whose it is: another process may know."""
        return self._scripts.ask_again(asked_before + 1, drawn_ms)

    def _has_moved_on(self, call: LiveCall, drawn_ms: int) -> bool:
        """The question is a repetition: it is about a stream before the one there is, or awaited.

        Answered, it would take the caller from the new one, and count as another loss.
        """
        runner = call.runner
        if not drawn_ms or runner is None or runner.reason is not None:
            return False
        return drawn_ms < (call.followed_ms if runner.has_stream else call.drawn_ms)

    def _where_it_is(self, call: LiveCall) -> str:
        """Harmless to a caller who is where they should be: another stream replaces this one only
        when it really comes."""
        if call.awaited and call.invitation is not None:
            return call.invitation
        return self._book.door(call)

    def _lost_its_stream(self, call: LiveCall) -> bool:
        runner = call.runner
        return call.cut_off or (runner is not None and runner.reason == "stream_lost")

    def _asks_again(self, call: LiveCall) -> bool:
        """Twilio repeats the question that brought the caller back a moment ago."""
        just_now = asyncio.get_running_loop().time() - call.invited_at_s < SAME_QUESTION_S
        return call.awaited and call.report.resumes > 0 and just_now

    def _went_astray(self, call: LiveCall) -> bool:
        """Its stream came to a process that could not find out whose it is."""
        again = call.awaited and call.invited <= MOST_SENDINGS
        return again and self._book.capacity.shared

    def _transfer_again(self, call: LiveCall, dial: Dial) -> str:
        """The document that puts the caller through, with a token that is known here."""
        if dial.token:
            return call.scripts.transfer(dial)
        if dial.room:
            return call.scripts.transfer(self._book.dials.draw(call, dial.target, dial.room))
        return self._through_or_back(call, dial.target, summary=_about(call))

    def _through_or_back(
        self, call: LiveCall, target: str, say: str | None = None, *, summary: str = ""
    ) -> str:
        """The document that puts the caller through or, where they cannot be, brings them back."""
        try:
            return self.transfer_twiml(call, target, say, summary=summary)
        except OurFault as fault:
            call.transfer_ended(fault.reason)
            self._book.returned(call)
            return self._book.invite(call, returning=_failed(target, fault.reason))

    def _why_over(self, call_sid: str) -> str | None:
        """Why the call has ended, or its last stream while that is settling."""
        ended, call = self._book.ended.reason(call_sid), self._book.call(call_sid)
        if ended is not None:
            return ended
        return call.runner.reason if call is not None and call.runner is not None else None

    def stream_stopped(self, call_sid: str, stream_sid: str) -> None:
        """The stream's status callback: a second witness of its end, who does not know whether
        the call ended with it. Idempotent."""
        call = self._book.call(call_sid)
        if call is None or call.runner is None or not call.report.stream_sids:
            return
        if call.report.stream_sids[-1] == stream_sid and call.runner.has_stream:
            call.runner.feed(StreamReportedOver())

    def call_over(self, call_sid: str, status: str) -> None:
        """Twilio says so: nobody is on the line any more. Idempotent."""
        call = self._book.call(call_sid)
        if call is None:
            return
        if call.runner is not None and call.runner.reason is None:
            call.runner.feed(CallEnded(status))
        elif call.runner is not None or call.at_carrier:
            # The dial result tells how the transfer ended; it may come after this.
            call.gone = True
            loop = asyncio.get_running_loop()
            loop.call_later(DIAL_RESULT_S, self._book.end, call, "caller_hangup")
        else:
            self._book.end(call, "caller_hangup")

    def dialled(
        self,
        dial_token: str,
        *,
        call_sid: str,
        connected: bool,
        status: str,
        talk_s: int | None,
        call_over: bool,
    ) -> str:
        """How a transfer ended: hang up, or back to the agent, who knows why.

        ``call_over``: the caller is gone, and nobody is left to come back.
        """
        dials = self._book.dials
        call = dials.call(dial_token, call_sid)
        if call is None or call.dial is None:
            if connected:
                self._correct(dial_token, call_sid, talk_s)
            # Of a process before this one, or of a redirect that was given up and took effect.
            there = not (connected or call_over)
            late = self.failure() if there else self._scripts.hang_up()
            return dials.answer(dial_token, call_sid) or late
        dial = call.dial
        self._book.returned(call)
        if connected:
            call.transfer_ended("connected", talk_s)
            self._book.end(call, "transferred")
            twiml = self._scripts.hang_up()
        else:
            status = why_not(status)
            call.transfer_ended(status)
            call.gone = call.gone or call_over
            twiml = self._nobody_reached(call, dial, status)
        return dials.answered(dial_token, call_sid, twiml)

    def _correct(self, dial_token: str, call_sid: str, talk_s: int | None) -> None:
        """A redirect that was given up took effect after all: the closed record says so."""
        call = self._book.dials.late(dial_token, call_sid)
        if call is not None:
            call.transfer_ended("connected", talk_s)
            self._book.corrected(call, "transferred")

    def _nobody_reached(self, call: LiveCall, dial: Dial, status: str) -> str:
        """The caller was not put through: what becomes of them, in TwiML."""
        destination = call.scripts.destinations.get(dial.target)
        # Who took the call over may have a document that knows the target no longer.
        then = destination.then if destination is not None else RESUME
        say = destination.say_on_failure if destination is not None else None
        if call.gone:
            self._book.end(call, "caller_hangup")
            return call.scripts.hang_up()
        if then == END_CALL and not dial.room:
            self._book.end(call, "transfer_failed")
            return call.scripts.hang_up(say)
        if then in call.scripts.destinations and not dial.room:
            return self._put_through_to(call, then, say)
        why = _failed(dial.target, status)
        if say:
            why += f'. Tell them exactly this: "{say}"'
        if then == TAKE_MESSAGE:
            why += f". {MESSAGE}"
        return self._book.invite(call, returning=why)

    def left_alone(self, call: LiveCall) -> str:
        """The person had left the room before the caller came: back to the agent."""
        if call.dial is None:
            return call.scripts.failure()
        return self.dialled(
            call.dial.token,
            call_sid=call.facts.call_sid,
            connected=False,
            status="left",
            talk_s=None,
            call_over=False,
        )

    def _put_through_to(self, call: LiveCall, target: str, say: str | None) -> str:
        """Another target takes the place of one that was not reached."""
        mode, summary = call.scripts.destinations[target].mode, _about(call)
        told = {"target": target, "mode": mode} | ({"summary": summary} if summary else {})
        call.tell(call.now_ms(), "transfer.started", told)
        twiml = self._through_or_back(call, target, say, summary=summary)
        if call.dial is None:
            return twiml
        call.tell(call.now_ms(), "transfer.answered", {"outcome": "ringing"})
        self._book.put_through(call)
        return twiml

    def picked_up(self, call_sid: str, who: PickedUp, twilios_word: str) -> bool:
        """Who picked up a call that we placed. Idempotent; False where the call is not here."""
        call = self._book.call(call_sid)
        if call is None:
            return False
        if call.report.answered_by is None:
            told = {"answered_by": who.who, "detected": twilios_word}
            call.tell(call.now_ms(), "call.answered", told)
            if call.runner is not None and call.runner.reason is None:
                call.runner.feed(who)
        return True

    def failure(self) -> str:
        """The failure treatment, for a request that cannot be answered better."""
        return self._scripts.failure()

    @property
    def targets(self) -> tuple[str, ...]:
        """Whom callers can be put through to, as the operator wrote it."""
        return self._book.roster.edition.targets

    def target(self, call: LiveCall, named: str) -> str:
        """The operator's spelling of a target of this call's. Raises ``KeyError``."""
        names = {name.casefold(): name for name in call.scripts.destinations}
        return names[named.strip().casefold()]

    def refusal(self, call: LiveCall, target: str) -> str | None:
        """Why the caller cannot be put through by a document alone, as a stable word."""
        destination = call.scripts.destinations[target]
        leaves = destination.dialled or destination.mode in {"queue", "refer"}
        return self._ways.refusal(call, destination) if leaves else "needs_stream"

    def transfer_twiml(
        self, call: LiveCall, target: str, say: str | None = None, *, summary: str = ""
    ) -> str:
        """The document that puts this call through, saying something before. ``summary``: what
        the other side may be told.

        Raises ``OurFault`` where it cannot be put through there.
        """
        way = self._ways.of(call, target, summary)
        return call.scripts.transfer(self._book.dials.draw(call, target, way=way), say)


def why_not(status: str) -> str:
    """The outcome of a dial that connected nobody, from Twilio's word."""
    return "not-connected" if status in _ANSWERED else status


def _about(call: LiveCall) -> str:
    """What the caller wanted from whom they were put through to last."""
    return call.report.transfers[-1].summary if call.report.transfers else ""


def _failed(target: str, why: str) -> str:
    return f"putting them through to {target} failed ({why})"
