"""A <Dial> that rings a real phone: ringing heard, answered, both ways, and who left.

    ringing -> talking -> left        ringing -> left: busy, no-answer, or the caller gave up
       '-> screening -> talking       screening -> left: the person refused, or hung up

Rule: the person's phone is let go of on every way out, and the caller stops hearing the
ringing the moment it is over.
"""

import asyncio
from xml.etree.ElementTree import Element

from app.emulators.phone import Answer, Phone
from app.emulators.phone_book import Extension, rung
from app.emulators.phone_sounds import LONGEST_RINGING_MS, keys, ringing
from app.emulators.twilio_call import EmulatedCall, Fetch
from app.emulators.twilio_run import Ended, Run, http_method
from app.emulators.twilio_words import DialOutcome, monotonic_ms

_KEY_MS = 200


class PersonsPhone:
    """The dialled end of one <Dial>; it is also the leg the person talks on."""

    def __init__(
        self,
        call: EmulatedCall,
        extension: Extension,
        *,
        child_sid: str,
        caller_id: str,
        destination: str,
        unattended_ms: float,
    ) -> None:
        self._call = call
        self._extension = extension
        self._child_sid = child_sid
        self._caller_id = caller_id
        self._destination = destination
        self._unattended_ms = unattended_ms
        self._phone: Phone | None = None
        self._leg: EmulatedCall | None = None
        """The person's end as a call of its own, while it is told what <Number url> says."""

    async def ring(self, patience_ms: float) -> DialOutcome:
        """Ring the extension and let the caller hear it; ``bridged`` when it was answered."""
        call, caller = self._call, self._call.phone
        call.far_end_left.clear()
        if caller is not None:
            caller.tell("dialling", to=self._destination)
            caller.play(ringing(int(patience_ms)))
        try:
            answer, self._phone = await rung(
                self._extension,
                self,
                call_sid=self._child_sid,
                from_=self._caller_id,
                to=self._destination,
                sentence=f"The agent is putting {call.from_} through to you",
                patience_ms=patience_ms,
                unattended_ms=self._unattended_ms,
            )
        finally:
            if caller is not None:
                caller.clear()
        if answer is None:
            return DialOutcome("no-answer")
        return DialOutcome("bridged" if answer is Answer.ANSWERED else "busy", talk_ms=None)

    async def screen(self, run: Run, noun: Element, outcome: DialOutcome) -> DialOutcome:
        """Run the TwiML of <Number url> on the person's phone, while the caller hears ringing.

        A document that comes to its end accepts; <Hangup>, a fault and a person who leaves refuse.
        """
        url, caller = run.resolve(noun.attrib["url"]), self._call.phone
        if url is None or self._phone is None:
            return DialOutcome("unbridged")
        leg = self._leg = self._dialled_leg(self._phone)
        if caller is not None:
            caller.play(ringing(LONGEST_RINGING_MS))
        source = Fetch(url, http_method(noun.get("method")))
        told = asyncio.create_task(run.beside(leg, source), name="whisper")
        left = asyncio.create_task(self._call.far_end_left.wait(), name="person leaves")
        try:
            await asyncio.wait({told, left}, return_when=asyncio.FIRST_COMPLETED)
            accepted = told.done() and not left.done() and told.result() == Ended("end_of_twiml")
            return outcome if accepted else DialOutcome("unbridged")
        finally:
            for task in (told, left):
                task.cancel()
            await asyncio.wait({told, left})
            self._leg = None
            if caller is not None:
                caller.clear()
            self._call.whispered += leg.said
            self._call.requests += leg.requests
            for violation in leg.violations:
                self._call.complain(violation)

    def _dialled_leg(self, phone: Phone) -> EmulatedCall:
        leg = EmulatedCall(
            account_sid=self._call.account_sid,
            from_=self._caller_id,
            to=self._destination,
            direction="outbound-dial",
            keep_audio=False,
            phone=phone,
        )
        leg.call_sid, leg.parent_call_sid = self._child_sid, self._call.call_sid
        leg.status, leg.answered_at_ms = "in-progress", monotonic_ms()
        return leg

    async def talk(self) -> None:
        """Until the person hangs up; the caller who does cancels this."""
        call, person = self._call, self._phone
        if person is None:
            return
        person.tell("bridged")
        if call.phone is not None:
            call.phone.tell("bridged")
        call.other_party = person
        call.pulse.beat()
        await call.far_end_left.wait()
        call.left_by_person = True

    def leave(self, by: str = "", reason: str = "hangup") -> None:
        """Let go of the person's phone, whatever it was doing; a second time does nothing."""
        self._call.other_party = None
        if self._phone is not None:
            left = "person" if self._call.far_end_left.is_set() else "caller"
            self._phone.over(self, by or left, reason)
        if self._call.phone is not None:
            self._call.phone.clear()

    async def take_frame(self, mulaw: bytes) -> None:
        """20 ms the person says, to the caller."""
        if self._call.phone is not None and self._call.other_party is not None:
            self._call.phone.play(mulaw)

    async def press(self, digit: str) -> None:
        """A person's keys answer what they are asked first; later the caller hears them."""
        if self._leg is not None:
            await self._leg.press(digit)
        else:
            await self.take_frame(keys(digit, _KEY_MS))

    async def hang_up(self) -> None:
        """The person leaves."""
        self._call.far_end_left.set()
