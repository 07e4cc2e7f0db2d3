"""A <Dial> that rings a real phone: ringing heard, answered, both ways, and who left.

    ringing -> talking -> left        ringing -> left: busy, no-answer, or the caller gave up

Rule: the person's phone is let go of on every way out, and the caller stops hearing the
ringing the moment it is over.
"""

from app.emulators.phone import Answer, Phone
from app.emulators.phone_book import Extension, rung
from app.emulators.phone_sounds import keys, ringing
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import DialOutcome

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
                patience_ms=patience_ms,
                unattended_ms=self._unattended_ms,
            )
        finally:
            if caller is not None:
                caller.clear()
        if answer is None:
            return DialOutcome("no-answer")
        return DialOutcome("bridged" if answer is Answer.ANSWERED else "busy", talk_ms=None)

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

    def leave(self) -> None:
        """Let go of the person's phone, whatever it was doing."""
        self._call.other_party = None
        if self._phone is not None:
            by = "person" if self._call.far_end_left.is_set() else "caller"
            self._phone.over(self, by, "hangup")
        if self._call.phone is not None:
            self._call.phone.clear()

    async def take_frame(self, mulaw: bytes) -> None:
        """20 ms the person says, to the caller."""
        if self._call.phone is not None and self._call.other_party is not None:
            self._call.phone.play(mulaw)

    async def press(self, digit: str) -> None:
        """A person's keys are heard by the caller, and mean nothing to the carrier."""
        await self.take_frame(keys(digit, _KEY_MS))

    async def hang_up(self) -> None:
        """The person leaves."""
        self._call.far_end_left.set()
