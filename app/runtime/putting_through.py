"""Putting a caller through by REST: redirected, or given back to whoever handed the call to us.

Everything that has to be found out first is, and the caller stays on the stream meanwhile. Rule
for giving a call back (``mode: hangup``): it ends when a program of the operator's has said that
it knows where the caller is to go, and not before; a caller is never just hung up on.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson
import structlog

from app.call.notices import notice
from app.call.whereto import REQUESTED, WITHIN_S
from app.errors import CarrierFault, OurFault
from app.protocol.commands import Transfer
from app.runtime.live_call import LiveCall
from app.runtime.ports import Carrier
from app.runtime.reception import Ask, Unanswered
from app.runtime.scripts import Destination
from app.runtime.signalling import Signalling
from app.runtime.ways import Ways, about

HANDED_OVER = "handed_over"
TRANSFERRED = "transferred"

log = structlog.get_logger("putting_through")


class PuttingThrough:
    """Of all calls. Holds nothing between them."""

    def __init__(self, signalling: Signalling, ways: Ways, carrier: Carrier, ask: Ask) -> None:
        """``ask`` posts to a program of the operator's."""
        self._signalling = signalling
        self._ways = ways
        self._carrier = carrier
        self._ask = ask

    async def __call__(self, call: LiveCall, wish: Transfer) -> None:
        """Raises ``CarrierFault``, whose ``unclear`` leaves it open whether it was done, and
        ``OurFault`` with the word for why not."""
        destination = call.scripts.destinations[wish.target]
        if destination.mode == "hangup":
            await self._give_back(call, wish, destination)
            return
        await self._ways.find(call, wish.target, wish.summary)
        document = self._signalling.transfer_twiml(call, wish.target, summary=wish.summary)
        await self._carrier.redirect(call.facts.call_sid, document)

    async def _give_back(self, call: LiveCall, wish: Transfer, to: Destination) -> None:
        way = self._ways.of(call, wish.target, wish.summary)
        headers = {to.target_header: way.to, **way.headers}
        more = {"target": wish.target, "to": way.to, "headers": headers}
        if not await self._told(call, more, to.told):
            raise OurFault("not_told")
        call.ends_as = TRANSFERRED  # Twilio's word of the end may be faster than its answer.
        try:
            await self._carrier.hang_up(call.facts.call_sid)
        except CarrierFault as fault:
            if not fault.unclear:
                call.ends_as = None
            raise
        call.transfer_ended(HANDED_OVER)

    async def _told(self, call: LiveCall, more: Mapping[str, object], urls: Sequence[str]) -> bool:
        """Whether any of the operator's programs knows now where the caller is to go."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = notice(REQUESTED, stamp, call.report.seq, about(call), {})
        told["data"] |= {"line": told["data"]["to"], **more}
        name, body = f"msg_{secrets.token_hex(16)}", orjson.dumps(told).decode()
        return any([await self._known(one, name, body, call) for one in urls])

    async def _known(self, url: str, name: str, body: str, call: LiveCall) -> bool:
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._ask(url, name, body, WITHIN_S)
        except (Unanswered, TimeoutError) as exc:
            reason = str(exc) or "timed_out"
            log.warning("transfer_not_told", reason=reason, call_id=call.call_id)
            return False
        return True
