"""How many messages a network makes of a text (3GPP TS 23.038); Twilio bills each of them."""

MOST_CHARS = 1_600
"""Of one message, whatever its letters (Twilio: 21617)."""
GSM_JOINED, UCS_JOINED = 153, 67
"""Characters of one of several, in GSM's letters and in others."""
_GSM_CHARS, _UCS_CHARS = 160, 70
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€\f")
"""Of GSM 03.38's extension: each takes two places."""


def plain(text: str) -> bool:
    """Every letter is one of GSM's."""
    return all(sign in _GSM or sign in _GSM_TWICE for sign in text)


def segments(text: str) -> int:
    """160 characters, or 153 of several; 70 or 67 UTF-16 units where a letter is not GSM's."""
    if plain(text):
        length = len(text) + sum(sign in _GSM_TWICE for sign in text)
        return 1 if length <= _GSM_CHARS else -(-length // GSM_JOINED)
    length = len(text.encode("utf-16-le")) // 2
    return 1 if length <= _UCS_CHARS else -(-length // UCS_JOINED)


def shortened(text: str, most: int) -> str:
    """``text`` in no more than ``most`` segments, cut behind a word and marked with dots where it
    was longer. Empty only where ``text`` is."""
    text = text[:MOST_CHARS].strip()
    if segments(text) <= most:
        return text
    room = most * (GSM_JOINED if plain(text) else UCS_JOINED)
    while segments(f"{text[:room]}...") > most:
        room -= 1
    cut = text[:room]
    return f"{cut.rpartition(' ')[0] or cut}..."
