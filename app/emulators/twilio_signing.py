"""X-Twilio-Signature, computed once more and independently of the server that checks it.

Rule: a signature covers the URL as Twilio believes it dialled it and, for a form, every
parameter once; nothing of the request's own headers enters.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from app.emulators.twilio_words import SignatureMode

_DIGESTS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}


def signature(
    secret: str,
    url: str,
    form: Iterable[tuple[str, str]] = (),
    *,
    algorithm: str = "HMAC_SHA1",
) -> str:
    """Base64 of the HMAC over the URL and the sorted, de-duplicated parameters.

    Raises KeyError for an algorithm that Twilio does not have.
    """
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    digest = hmac.new(secret.encode(), signed.encode(), _DIGESTS[algorithm]).digest()
    return base64.b64encode(digest).decode()


def signed_url(url: str) -> str:
    """The form of ``url`` that Twilio signs: no credentials, no fragment, no port over HTTPS."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https":
        host = host.removesuffix(f":{parts.port}") if parts.port else host
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def toggled_slash(url: str) -> str:
    """``url`` with the slash at the end of its path taken away or added."""
    parts = urlsplit(url)
    path = parts.path[:-1] if parts.path.endswith("/") else parts.path + "/"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def signature_header(
    mode: SignatureMode,
    secret: str,
    url: str,
    form: Iterable[tuple[str, str]] = (),
    *,
    algorithm: str = "HMAC_SHA1",
) -> dict[str, str]:
    """The header for ``mode``; empty where the mode is to send none."""
    match mode:
        case "none":
            return {}
        case "wrong":
            secret += " of somebody else"
        case "trailing_slash":
            url = toggled_slash(url)
        case "good":
            pass
    return {"X-Twilio-Signature": signature(secret, url, form, algorithm=algorithm)}
