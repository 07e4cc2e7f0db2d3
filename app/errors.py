"""What can go wrong, sorted by whose doing it is.

Vendors' errors are translated once, at the boundary where they appear, into one of these;
nobody above that boundary knows a vendor's exception. The one rule: ``reason`` is short,
stable and free of personal data (it goes into logs, metrics and records), and so is the
message, which never quotes a number, a key or an argument.
"""


class PatchlineFault(Exception):
    """Something failed; the subclass names the blame, ``reason`` the case."""

    def __init__(self, reason: str, sentence: str | None = None) -> None:
        super().__init__(reason if sentence is None else sentence)
        self.reason = reason


class CallerFault(PatchlineFault):
    """What the caller, or a client on the caller's side, sent cannot be used."""


class ModelFault(PatchlineFault):
    """The speech-to-speech model, or the way to it, failed."""

    def __init__(
        self, reason: str, sentence: str | None = None, *, retryable: bool = False
    ) -> None:
        super().__init__(reason, sentence)
        self.retryable = retryable
        """Another attempt may succeed."""


class CarrierFault(PatchlineFault):
    """Twilio, or the way to it, failed or refused.

    Reasons: ``call_over``, ``credentials``, ``rate_limited``, ``unreachable`` (no connection
    could be had), ``connection_lost`` (after the request was sent), ``timed_out`` (no answer
    in time), ``server_error``, and ``refused_<code>`` with Twilio's error code.
    """

    @property
    def unclear(self) -> bool:
        """The request may have taken effect all the same, or may yet do so."""
        return self.reason in {"connection_lost", "timed_out", "server_error"}


class OurFault(PatchlineFault):
    """This program, or what its operator told it, is wrong."""


class ToolFault(OurFault):
    """A tool cannot be offered as it is written; the message names it and the fix."""


class StoreFault(OurFault):
    """What is kept about calls cannot be reached just now; it may be in a moment."""
