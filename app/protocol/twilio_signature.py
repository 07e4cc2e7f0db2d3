"""Who signed a request that claims to come from Twilio.

Everything a stranger can send to our door passes here first, so the one rule is that no
input raises and that a doubt is a refusal. Signatures are over the URL as *we* publish it
(PUBLIC_URL plus raw path and raw query); nothing of a request's ``Host`` or
``X-Forwarded-*`` may reach these functions. A signature holds neither time nor nonce, so a
replayed request is accepted: whoever acts on one must be idempotent.

https://www.twilio.com/docs/usage/security
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

FormPairs = Sequence[tuple[str, str]]
"""A form's names and values in the order they came, empty values and repeats included."""

_DIGESTS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DIGEST_LENGTHS_BYTES = frozenset({20, 32})
_MAX_SIGNATURE_CHARS = 64
_MAX_SETTINGS_CHARS = 512
_DEFAULT_PORTS = {"https": "443", "wss": "443", "http": "80", "ws": "80"}
_KEY_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_MAX_LOGGED_CHARS = 512
_TOKEN = re.compile(r"(/twilio/[^/]+/).+", re.S)
"""Of our routes these alone have anything behind their name: what ties them to a call."""
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.S)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What Twilio may have signed with. Raises ValueError for an empty secret, which anybody
    could sign with."""

    auth_tokens: tuple[str, ...] = field(repr=False)
    """The account's auth tokens, primary first; more than one while they are rotated."""
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Webhook SharedKeys: key id to secret."""

    def __post_init__(self) -> None:
        if not all((*self.auth_tokens, *self.shared_keys.values())):
            raise ValueError("a signing secret is empty")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is Twilio's, in words that may be logged; never holds a secret."""

    accepted: bool
    signed_url: str
    """The URL the signature was checked over: the one that matched, or the first one tried.
    A GET webhook has the caller's number in it: log ``loggable_url``."""
    secret_id: str
    """``auth_token[0]`` or ``shared_key:ID``; all that were tried, with commas; ``-`` for none."""
    reason: str
    """Short and stable; ``ok`` when accepted."""

    @property
    def loggable_url(self) -> str:
        """``signed_url`` without the values of its query and without a token in its path.

        Cut where it gets long: whoever is refused does not choose how much is written.
        """
        path, mark, query = self.signed_url.partition("?")
        url = _TOKEN.sub(r"\1[token]", path) + mark + re.sub(r"=[^&]*", "=…", query)
        left = len(url) - _MAX_LOGGED_CHARS
        return url if left <= 0 else f"{url[:_MAX_LOGGED_CHARS]}… and {left} more"


def verify_request(
    secrets: Secrets,
    *,
    url: str,
    form: FormPairs | None,
    body: bytes,
    signature: str | None,
    settings_header: str | None,
) -> Verdict:
    """Tell whether Twilio signed an HTTP request. Never raises.

    ``url`` is the public URL with raw path and query. ``form`` holds all pairs of a form POST
    and is None for every other request; a request with a ``body`` and no form is accepted
    only if its query names the body's hash. ``signature`` is the ``X-Twilio-Signature``
    header, ``settings_header`` the ``X-Twilio-Webhooks-Signature-Settings`` header; None when
    there was none.
    """
    urls = _http_variants(url)
    if form is None and (problem := _body_problem(url, body)):
        return Verdict(accepted=False, signed_url=urls[0], secret_id="-", reason=problem)
    return _verify(secrets, urls, _flatten(form or ()), signature, settings_header)


def verify_upgrade(
    secrets: Secrets, *, url: str, signature: str | None, settings_header: str | None = None
) -> Verdict:
    """Tell whether Twilio signed the upgrade to the media socket at ``url``. Never raises.

    Twilio signs the ``wss`` URL as it dialled it, sometimes with a slash at its end that the
    TwiML did not have; these two forms count and no other. The signature of a constant URL
    is a constant: a stream needs its one-time token besides.
    """
    urls = _upgrade_variants(url)
    if not urls[0].startswith(("wss://", "ws://")):
        return Verdict(accepted=False, signed_url=urls[0], secret_id="-", reason="url_not_wss")
    return _verify(secrets, urls, "", signature, settings_header)


def _verify(
    secrets: Secrets,
    urls: tuple[str, ...],
    parameters: str,
    signature: str | None,
    settings_header: str | None,
) -> Verdict:
    def refused(reason: str, tried: str = "-") -> Verdict:
        return Verdict(accepted=False, signed_url=urls[0], secret_id=tried, reason=reason)

    if problem := _signature_problem(signature):
        return refused(problem)
    assert signature is not None
    candidates = _candidates(secrets, settings_header)
    if isinstance(candidates, str):
        return refused(candidates)
    for secret_id, secret, digest in candidates:
        for url in urls:
            if hmac.compare_digest(_sign(secret, url + parameters, digest), signature):
                return Verdict(accepted=True, signed_url=url, secret_id=secret_id, reason="ok")
    tried = ",".join(secret_id for secret_id, _, _ in candidates)
    return refused("signature_mismatch" if candidates else "no_secret", tried or "-")


def _signature_problem(signature: str | None) -> str | None:
    if not signature:
        return "signature_missing"
    if len(signature) > _MAX_SIGNATURE_CHARS:
        return "signature_overlong"
    try:
        mac = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return "signature_malformed"
    return None if len(mac) in _DIGEST_LENGTHS_BYTES else "signature_malformed"


def _candidates(
    secrets: Secrets, settings_header: str | None
) -> tuple[tuple[str, str, str], ...] | str:
    """(id, secret, digest) of every secret the request may be signed with, or why there is none.

    The header is written by whoever sent the request: it may choose among what is configured
    and nothing else.
    """
    if not settings_header:
        tokens = enumerate(secrets.auth_tokens)
        return tuple((f"auth_token[{index}]", token, "sha1") for index, token in tokens)
    if len(settings_header) > _MAX_SETTINGS_CHARS:
        return "settings_overlong"
    parts = [part.partition("=") for part in settings_header.split(",")]
    settings = {name.strip(): value.strip() for name, _, value in parts}
    if len(parts) != 2 or settings.keys() != {"key", "algorithm"}:
        return "settings_malformed"
    key_id, digest = settings["key"], _DIGESTS.get(settings["algorithm"])
    if digest is None:
        return "algorithm_unknown"
    secret = secrets.shared_keys.get(key_id)
    if secret is None or not _KEY_ID.fullmatch(key_id):
        return "shared_key_unknown"
    return ((f"shared_key:{key_id}", secret, digest),)


def _sign(secret: str, text: str, digest: str) -> str:
    # Lone surrogates can come out of a hostile form; nobody has signed such bytes.
    mac = hmac.digest(_utf8(secret), _utf8(text), digest)
    return base64.b64encode(mac).decode()


def seal(auth_token: str, url: str, form: FormPairs = ()) -> str:
    """What Twilio would put into ``X-Twilio-Signature``: for a probe of our own address."""
    return _sign(auth_token, url + _flatten(form), "sha1")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _flatten(form: FormPairs) -> str:
    """Names and values without any delimiter, sorted by name, then value, each pair once."""
    return "".join(name + value for name, value in sorted(set(form)))


def _body_problem(url: str, body: bytes) -> str | None:
    claimed = _claimed_body_hash(url)
    if claimed is None:
        return "body_hash_missing" if body else None
    computed = hashlib.sha256(body).hexdigest()
    same = hmac.compare_digest(_utf8(computed), _utf8(claimed))
    return None if same else "body_hash_mismatch"


def _claimed_body_hash(url: str) -> str | None:
    query = url.partition("?")[2].partition("#")[0]
    try:
        values = parse_qs(query, keep_blank_values=True).get("bodySHA256")
    except ValueError:
        return None
    return values[0] if values else None


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme, host, port (empty when there is none) and everything behind, without userinfo."""
    whole = _URL.fullmatch(url)
    if whole is None:
        return "", "", "", url
    authority = whole["authority"].rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdigit():
        host, port = authority, ""
    return whole["scheme"].lower(), host, port, whole["rest"]


def _http_variants(url: str) -> tuple[str, ...]:
    """The URL without its port and with it, or with the scheme's own: Twilio does either."""
    scheme, host, port, rest = _split(url)
    if not scheme:
        return (url,)
    numbered = port or _DEFAULT_PORTS.get(scheme, "80")
    return f"{scheme}://{host}{rest}", f"{scheme}://{host}:{numbered}{rest}"


def _upgrade_variants(url: str) -> tuple[str, ...]:
    scheme, host, port, rest = _split(url)
    if not scheme:
        return (url,)
    base = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
    path, mark, query = rest.partition("?")
    toggled = path[:-1] if path.endswith("/") else path + "/"
    return base + path + mark + query, base + toggled + mark + query
