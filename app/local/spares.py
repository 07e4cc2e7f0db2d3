"""Decoders for any words, made before anybody calls and lent turn by turn.

Making one holds the interpreter's lock for 0.4 s, and for 1.4 to 2.0 s on a busy machine
(measured 2026-11-21): no thread helps, and the call whose ping is not answered within two
seconds gives its model up. Rule: they are made while no call lives, and one that failed is
not lent again.
"""

import weakref
from typing import Any

import structlog

from app.local import decoding
from app.local.foreign import Attempt

log = structlog.get_logger("local_model")


class Spares:
    """The decoders of a process; 91 MB each (measured 2026-11-21). For one thread."""

    def __init__(self) -> None:
        self._free: list[Any] = []
        self._lent = 0
        self._wanted = 0
        self._calls = 0

    def keep(self, wanted: int) -> None:
        """Have so many from now on; those that are missing are made now."""
        self._wanted = wanted
        self._fill()

    def during(self, ears: object) -> None:
        """``ears`` are a call's: until they are gone nothing is made that can wait."""
        self._calls += 1
        weakref.finalize(ears, self._gone).atexit = False

    def lend(self, borrower: object) -> "Loan":
        """One for a turn; given back with ``Loan.back``, or when ``borrower`` is gone.

        Where more are wanted at once than were kept one is made on the spot: a stall is better
        than a caller who is not heard.
        """
        if not self._free:
            log.warning("decoder_made_late", lent=self._lent)
        decoder = self._free.pop() if self._free else decoding.open_decoder()
        self._lent += 1
        return Loan(self, decoder, borrower)

    def _returned(self, decoder: Any) -> None:
        self._lent -= 1
        if len(self._free) + self._lent < self._wanted:
            self._free.append(decoder)

    def _lost(self) -> None:
        """One that was lent failed: it is replaced when no call lives."""
        self._lent -= 1

    def _left(self, decoder: Any) -> None:
        """Whoever had it went away in the middle of a turn."""
        with Attempt("PocketSphinx"):
            decoder.end_utt()
            return self._returned(decoder)
        self._lost()

    def _gone(self) -> None:
        self._calls -= 1
        if not self._calls:
            self._fill()

    def _fill(self) -> None:
        with Attempt("PocketSphinx"):
            while len(self._free) + self._lent < self._wanted:
                self._free.append(decoding.open_decoder())


class Loan:
    """A decoder for the length of a turn."""

    def __init__(self, spares: Spares, decoder: Any, borrower: object) -> None:
        self.decoder = decoder
        self._spares = spares
        self._left = weakref.finalize(borrower, spares._left, decoder)
        self._left.atexit = False

    def back(self) -> None:
        """Its turn is over."""
        if self._left.detach():
            self._spares._returned(self.decoder)

    def lost(self) -> None:
        """It failed, and is in a state that nobody knows."""
        if self._left.detach():
            self._spares._lost()


SPARES = Spares()
