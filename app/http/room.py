"""How many connections strangers may hold at once, and who leaves when there are too many.

Every socket is a file of this process, and there is a limit to those: whoever holds them all
lets no Twilio in, and no model line out. The one rule: a newcomer always gets in, and in the
place of one that leaves: of the address that holds the most, whichever has been in the same
phase for the longest. So idle sockets push out each other, a webhook that is answered in a
moment is safe, and nobody is refused for sharing an address, as all do behind a proxy.
Sockets that were taken over for a call are not in here: they were let in by signature.
"""

from ipaddress import IPv6Address, ip_address
from typing import Protocol

import structlog

MOST = 1_000
"""Where files are plenty. A thousand that wait cost a few MB."""
LEAST = 64
_FILES_OF_A_CALL = 4
"""Both lines, the line that takes over from one of them, the flight log."""
_FILES_OF_OURS = 64
_PREFIX_BITS = 64
"""Of an IPv6 address: the rest of it is the holder's to choose."""

log = structlog.get_logger("room")


class Guest(Protocol):
    """A connection that can be sent away."""

    def leave(self) -> None:
        """Give the socket back now, whatever it was waiting for."""


def places(files: int, calls: int) -> int:
    """How many connections may stay, of so many files and beside so many calls, 64 to 1,000."""
    left = files - _FILES_OF_OURS - _FILES_OF_A_CALL * calls
    if left < LEAST:
        log.warning("few_files", limit=files, wanted=files - left + LEAST)
    return max(LEAST, min(MOST, left))


class Room:
    """So many places. Belongs to the loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._guests: dict[Guest, str] = {}
        self._by_address: dict[str, dict[Guest, int]] = {}
        """In the order in which they entered their phases, with the number of that entry."""
        self._moves = 0
        self._crowded = False

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, guest: Guest, host: str) -> None:
        """A place for a newcomer from ``host``, if need be that of another."""
        while len(self._guests) >= self._most:
            self._send_one_away()
        address = _address(host)
        self._guests[guest] = address
        self._by_address.setdefault(address, {})
        self.moved(guest)

    def moved(self, guest: Guest) -> None:
        """It entered another phase: it has waited for nothing yet. Who is not here may call."""
        address = self._guests.get(guest)
        if address is None:
            return
        self._moves += 1
        mine = self._by_address[address]
        mine.pop(guest, None)
        mine[guest] = self._moves

    def left(self, guest: Guest) -> None:
        """It is gone. Safe to repeat."""
        address = self._guests.pop(guest, None)
        if address is None:
            return
        mine = self._by_address[address]
        del mine[guest]
        if not mine:
            del self._by_address[address]
        # One line for a crowd, and not one for each of it.
        self._crowded = self._crowded and 2 * len(self._guests) > self._most

    def _send_one_away(self) -> None:
        # As many steps as there are addresses, for an accepted connection; 1,000 take 0.1 ms.
        mine = max(self._by_address.values(), key=lambda one: (len(one), -next(iter(one.values()))))
        longest = next(iter(mine))
        if not self._crowded:
            log.warning("crowded", connections=len(self._guests), of_one_address=len(mine))
            self._crowded = True
        self.left(longest)
        longest.leave()


def _address(host: str) -> str:
    """What counts as one stranger: an IPv4 address, or the network of an IPv6 one."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(found, IPv6Address):
        return host
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return found.packed[: _PREFIX_BITS // 8].hex()
