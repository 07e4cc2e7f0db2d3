"""Getting a model line, getting another one, and what it is told first.

A line that is ready is seeded with what happened before, hears what the caller said meanwhile,
and is asked to speak: the greeting on the first line, where it left off on a later one, and
nothing at all where it takes over from another in a pause (``line_swap``).
"""

from dataclasses import replace

from app.audio.tones import COMFORT_TONE
from app.call import conversation
from app.call.alarms import Alarm
from app.call.answering import Answering
from app.call.departure import Departure
from app.call.failing import Remedy
from app.call.handoff import HANDED, TAKES_OVER
from app.call.line_swap import Quiet, Swap
from app.call.model_link import Link
from app.call.parts import Parts, Phase
from app.call.prompts import opening, resumed
from app.call.pulse import Sign
from app.call.responses import UNCOMMITTED_MS
from app.protocol import commands as c
from app.protocol import events as e

SHIELD_MS = 20_000
"""From the stream's start; an announcement that is still not over then must bear the caller."""

ELSEWHERE_MS = 5_000
"""A swap that is due while the call is being taken away is looked at again after this."""


class Connecting:
    """The comings and goings of the call's model lines."""

    def __init__(self, parts: Parts, departure: Departure, answering: Answering) -> None:
        self._parts = parts
        self._departure = departure
        self._answering = answering
        self._sent_when_mute: int | None = None
        """What the caller had been sent when a line was last given up."""
        departure.after_notice = self._noticed
        self._new_agent = False
        """The caller has not heard who has the conversation now."""
        self._listens_first = False
        """The next line may have a turn of the caller's to answer."""

    def begin(self, now_ms: int) -> list[c.Command]:
        """The TwiML was answered: open the model line and wait for the stream."""
        self._parts.leaving.park(now_ms)
        if self._parts.recording.owes:
            self._parts.hearing.shield()
        return [self._parts.link.open(now_ms)]

    def caller_came(self, now_ms: int) -> None:
        """The stream is there: what has not been heard yet is waited for from now on."""
        self._parts.patience.caller_came()
        if self._parts.recording.owes:
            self._parts.alarms.set(Alarm.SHIELD, now_ms + SHIELD_MS)
        if self._parts.link.state is Link.OPENING or self._parts.responses.owes:
            self._parts.patience.begins(now_ms)

    def shield_due(self, now_ms: int) -> list[c.Command]:
        """Whatever became of the announcement, the caller is heard from now on."""
        unheard = self._parts.recording.give_up()
        self._parts.hearing.unshield()
        return unheard + (self._first_words(now_ms) if unheard else [])

    def _noticed(self, now_ms: int) -> list[c.Command]:
        """Everything was heard, and the caller had yet to be told of the recording."""
        parts, recording = self._parts, self._parts.recording
        if recording.told:
            parts.hearing.unshield()
            return recording.heard() + self._first_words(now_ms)
        if parts.leaving_soon or parts.link.state is not Link.READY or parts.hold.silences:
            return []
        if recording.again():
            notice = recording.announcement()
            return parts.responses.ask(notice, now_ms) if notice is not None else []
        parts.hearing.unshield()
        return recording.give_up() + self._first_words(now_ms)

    def _first_words(self, now_ms: int) -> list[c.Command]:
        """What comes behind the announcement; a line that is yet to come has it anyway."""
        if self._parts.leaving_soon or self._parts.link.state is not Link.READY:
            return []
        wanted = self._opening(spoken=True)
        return [] if wanted is None else self._parts.responses.ask(wanted, now_ms)

    def ready(self, event: e.ModelReady, now_ms: int) -> list[c.Command]:
        """A line may carry audio: seed it, let it hear what waited, ask it to speak."""
        if self._parts.phase is Phase.LEAVING:
            self._parts.link.give_up()
        if not self._parts.link.ready(now_ms):
            return [c.CloseModel()]
        self._parts.swap.line_begins(event.life_ms, now_ms)
        if self._parts.plan.returning and not self._parts.greeted:
            self._parts.transcript.note(
                f"The caller is back with you: {self._parts.plan.returning}.", now_ms
            )
        return self._taken_up(now_ms)

    def _taken_up(self, now_ms: int) -> list[c.Command]:
        """A new line is told what happened, and asked to speak.

        Where nobody waits for words, it listens first: what it is given to hear may be a turn
        of the caller's that the last line took with it, and its answer is what is wanted then.
        """
        listens, self._listens_first = self._listens_first, False
        listens = listens and self._parts.hearing.waits
        out = self._told(now_ms)
        wanted = self._opening()
        if wanted is None:
            self._parts.patience.ends()
            return out + self._answering.ready(now_ms)
        if listens:
            self._parts.responses.ask_unless_heard(wanted, now_ms)
            return out
        return out + self._parts.responses.ask(wanted, now_ms)

    def _told(self, now_ms: int) -> list[c.Command]:
        """What a line that begins is told first: the conversation, then what was not heard."""
        parts = self._parts
        parts.pulse.begins(now_ms)
        memories = conversation.remember(parts.plan.memories, parts.transcript.entries)
        seed = conversation.seed(memories, parts.plan.known if parts.greeted else ())
        begun = [*parts.changes.line_begins(), *parts.attempts.line_begins()]
        parts.responses.taken_by(server=parts.attempts.server_takes_turns)
        return begun + seed + parts.hearing.model_ready()

    def _opening(self, *, spoken: bool = False) -> c.CreateResponse | None:
        """``spoken``: the caller has heard something already."""
        if self._parts.leaving_message or self._answering.waits or self._parts.hold.silences:
            self._parts.greeted = True
            return None
        notice = self._parts.recording.announcement()
        if notice is not None:
            return notice
        if self._parts.greeted and (first := self._first_of_agent()) is not None:
            return first
        if self._parts.greeted:
            return resumed(self._parts.transcript.broken_off)
        self._parts.greeted = True
        return opening(self._parts.plan, spoken=spoken)

    def refused(self, event: e.ModelRefused, now_ms: int) -> list[c.Command]:
        """An attempt failed: another one soon, or the failure treatment."""
        if self._parts.link.goes_on(event, now_ms):
            return []
        return self._departure.model_gone(now_ms)

    def attempt_due(self, _now_ms: int) -> list[c.Command]:
        """The next attempt, unless the call is leaving and would send the line away."""
        if self._parts.phase is Phase.LEAVING:
            self._parts.link.give_up()
            return []
        return [self._parts.link.again()]

    def lost(self, event: e.ModelLineLost | None, now_ms: int) -> list[c.Command]:
        """The line is gone, or given up: the spare one, another one, or the failure treatment."""
        if self._parts.link.state is not Link.READY:
            return []
        spare = self._parts.swap.state is Swap.SPARE
        self._lose(now_ms)
        if self._parts.phase is Phase.LEAVING:
            return self._departure.give_up()
        out = self._parts.playout.finish() if self._parts.live else []
        last_sign_ms = self._parts.responses.last_sign_ms if event is not None else now_ms
        again = self._parts.link.lost(now_ms, last_sign_ms=last_sign_ms)
        if again is None:
            return out + self._departure.model_gone(now_ms)
        self._parts.patience.line_lost(now_ms)
        if spare and self._parts.live:
            return [*out, *self._switched(now_ms), *self._taken_up(now_ms)]
        self._parts.comfort.line_lost(now_ms)
        handed = self._handed()  # The next line is theirs, where one was on its way.
        return [*out, *handed, *self._parts.swap.line_ends(), c.CloseModel(), *again]

    def comfort_due(self, now_ms: int) -> list[c.Command]:
        """The caller has heard nothing since the line was lost, and nobody is there to speak."""
        if not self._parts.live:
            return []
        if self._parts.mute.agent:
            self._parts.comfort.ends()  # Nobody is to be heard, and no word would ever end it.
            return []
        return self.tone(now_ms) if self._parts.comfort.due(now_ms) else []

    def tone(self, now_ms: int) -> list[c.Command]:
        """The caller hears that the line lives, unless they hear something that tells so."""
        if self._parts.background.tells_of_life or self._parts.presses.sounding:
            return []
        self._parts.background.beside(len(COMFORT_TONE), now_ms)
        return [c.PlayComfort()]

    def fails(self, remedy: Remedy, now_ms: int) -> list[c.Command]:
        """The line is of no use: another one, unless another one was not either."""
        if remedy is Remedy.GIVE_UP:
            return self._departure.model_gone(now_ms)
        return self.lost(None, now_ms)

    def _lose(self, now_ms: int) -> None:
        """What the caller was saying, or has had no answer to, is said to the next line."""
        parts = self._parts
        unanswered = parts.hearing.unanswered(parts.playout.ever_sent)
        in_turn = parts.responses.caller_speaking or unanswered
        self._listens_first = parts.live and (in_turn or not parts.responses.owes)
        self._departure.line_gone()

    def _switched(self, now_ms: int) -> list[c.Command]:
        """The spare line is the line."""
        self._parts.swap.changed_over()
        self._parts.link.changed_over(now_ms)
        return [*self._handed(), c.SwitchModel()]

    def _handed(self) -> list[c.Command]:
        """The next line in use is another agent's, where the conversation is to be theirs."""
        parts, handoff = self._parts, self._parts.handoff
        if not handoff.agent:
            return []
        command = c.HandOver(handoff.agent, handoff.reason)
        parts.transcript.tool_answered(handoff.tool_call_id, HANDED.format(agent=handoff.agent))
        parts.tools.settled(handoff.tool_call_id)
        parts.agent_is(handoff.agent)
        handoff.over()
        self._new_agent = True
        return [command]

    def swap_ordered(self, _event: e.SwapOrdered, now_ms: int) -> list[c.Command]:
        """Another line is wanted in place of this one."""
        usable = self._parts.live and self._parts.link.state is Link.READY
        return self._parts.swap.order(now_ms) if usable else []

    def swap_due(self, now_ms: int) -> list[c.Command]:
        """The line nears its end, or a spare one has waited for its moment."""
        if self._parts.link.state is not Link.READY:
            return []
        if not self._parts.live:
            self._parts.swap.wait(now_ms + ELSEWHERE_MS)
            return []
        return self._parts.swap.due(now_ms) or self.if_quiet(now_ms)

    def spare_ready(self, event: e.SpareReady, now_ms: int) -> list[c.Command]:
        """A spare line waits from now on, if it is still wanted."""
        if not self._parts.swap.spare_ready(event.life_ms, now_ms):
            return [c.CloseSpare()]
        return self.if_quiet(now_ms)

    def spare_refused(self, event: e.SpareRefused, now_ms: int) -> list[c.Command]:
        """No spare line yet; the one in use goes on."""
        self._parts.swap.spare_gone(now_ms, again=event.retryable)
        return []

    def spare_lost(self, _event: e.SpareLost, now_ms: int) -> list[c.Command]:
        """The spare line is gone before it was used."""
        self._parts.swap.spare_gone(now_ms, again=True)
        return []

    def pause_begins(self, now_ms: int) -> None:
        """The caller has paused: unless a turn follows at once, this is a quiet moment."""
        if self._parts.swap.state is Swap.SPARE:
            self._parts.swap.wait(now_ms + UNCOMMITTED_MS + 1)

    def if_quiet(self, now_ms: int) -> list[c.Command]:
        """Change over to the spare line, if there is one and this is a moment for it."""
        parts = self._parts
        if parts.swap.state is not Swap.SPARE or not parts.live:
            return []
        quiet = parts.quiet
        if quiet is Quiet.NOT and parts.handoff.agent:
            return []  # An agent takes nobody's word; only the end of a line does.
        if not parts.swap.takes(quiet, now_ms):
            return []
        if quiet is not Quiet.NOT:
            self._departure.line_gone(planned=True)
            out = [*self._switched(now_ms), *self._told(now_ms)]
            first = self._first_of_agent()
            return out + (parts.responses.ask(first, now_ms) if first else [])
        self._lose(now_ms)
        return [*parts.playout.finish(), *self._switched(now_ms), *self._taken_up(now_ms)]

    def _first_of_agent(self) -> c.CreateResponse | None:
        """What an agent says who has the conversation since this line."""
        new, self._new_agent = self._new_agent, False
        if not new or self._parts.hold.silences:
            return None
        # A handoff is a round of tools, too: two agents must not pass the caller to and fro.
        return replace(TAKES_OVER, tools=self._parts.tools.next_round())

    def mute(self, now_ms: int) -> list[c.Command]:
        """The line owes words and brings none: another one, unless that has been tried already."""
        sent, self._sent_when_mute = self._sent_when_mute, self._parts.playout.ever_sent
        if sent == self._sent_when_mute and self._parts.phase is not Phase.LEAVING:
            return self._departure.model_gone(now_ms)
        return self.lost(None, now_ms)

    def pulse_due(self, now_ms: int) -> list[c.Command]:
        """Nothing has been heard of the model for long: is it there?"""
        if not self._parts.live:
            self._parts.pulse.begins(now_ms)
            return []
        match self._parts.pulse.due(now_ms, last_speech_ms=self._parts.responses.last_sign_ms):
            case Sign.ASK:
                return [c.AskAlive()]
            case Sign.MUTE:
                return self.mute(now_ms)
            case Sign.ALIVE:
                return []
