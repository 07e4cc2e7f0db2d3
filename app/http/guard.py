"""Who may ask: Twilio by signature, the operator by key. Both fail closed.

The URL that is verified is built from the configured origin and the raw path and query of
the request, never from ``Host`` or ``X-Forwarded-*``. A refusal's log line says which URL
string was signed and which secrets were tried by their ids, never a secret: that line is
what an operator behind a proxy needs to mend the setting instead of switching the check off.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qsl

import structlog
from fastapi import Depends, HTTPException, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect

from app.protocol.twilio_signature import Secrets, verify_request
from app.runtime.metrics import SIGNATURE_FAILURES

MAX_BODY_BYTES = 64 * 1024
MOST_FIELDS = 1_000
_signed = APIKeyHeader(
    name="X-Twilio-Signature",
    scheme_name="TwilioSignature",
    description="Twilio's, over PUBLIC_URL, this path and the parameters.",
    auto_error=False,
)
_FORM = "application/x-www-form-urlencoded"

FormPairs = list[tuple[str, str]]
log = structlog.get_logger("guard")


class TwilioGuard:
    """Lets signed requests in and hands over their parameters, in order, repeats included."""

    def __init__(self, origin: str, signing: Secrets | None) -> None:
        self._origin = origin
        self._signing = signing

    async def __call__(
        self, request: Request, signature: Annotated[str | None, Depends(_signed)]
    ) -> FormPairs:
        """The parameters of a signed request. Raises 400, 403, 413 or, unconfigured, 503."""
        if self._signing is None:
            raise HTTPException(503, "Twilio is not configured: set TWILIO_ACCOUNT_SID in .env")
        body = await bounded_body(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_form = request.method == "POST" and (kind == _FORM or not body)
        pairs = _pairs(body) if is_form else []
        query: bytes = request.scope["query_string"]
        target: bytes = request.scope["raw_path"] + (b"?" + query if query else b"")
        verdict = verify_request(
            self._signing,
            url=self._origin + target.decode("latin-1"),
            form=pairs if is_form else None,
            body=body,
            signature=signature,
            settings_header=request.headers.get("x-twilio-webhooks-signature-settings"),
        )
        if not verdict.accepted:
            SIGNATURE_FAILURES.labels("webhook").inc()
            log.warning(
                "webhook_refused",
                reason=verdict.reason,
                signed_url=verdict.loggable_url,
                secret_ids=verdict.secret_id,
            )
            raise HTTPException(403, "the signature does not match this URL and these parameters")
        return pairs if is_form else _pairs(query)


async def bounded_body(request: Request) -> bytes:
    """The body, up to 64 KiB; Twilio's largest webhooks have a few."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        # Nobody reads the answer; raised, it would be a traceback for everyone who leaves.
        raise HTTPException(400, "the body did not come") from None
    return bytes(body)


def _pairs(encoded: bytes) -> FormPairs:
    try:
        return parse_qsl(
            encoded.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except (UnicodeDecodeError, ValueError):
        raise HTTPException(400, "the parameters are not a URL-encoded form") from None


_bearer = HTTPBearer(auto_error=False, description="The API_KEY of this server.")


def operator(key: str) -> Callable[..., Awaitable[None]]:
    """A dependency that lets the bearer of ``key`` in and answers 401 to everybody else.

    Raises ValueError for an empty key, which everybody bears.
    """
    if not key:
        raise ValueError("the key of the operator API is empty")

    async def check(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        _let_in(given, key)

    return check


def holder(operators: str) -> Callable[..., Awaitable[None]]:
    """A dependency for an address with ``{key}`` in it: lets whoever bears that key in, or the
    ``operators``, and answers 401 to everybody else."""

    async def check(
        key: str, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        _let_in(given, operators, key)

    return check


def _let_in(given: HTTPAuthorizationCredentials | None, *keys: str) -> None:
    offered = given.credentials if given is not None else ""
    known = [secrets.compare_digest(offered.encode(), key.encode()) for key in keys]
    if not offered or not any(known):
        SIGNATURE_FAILURES.labels("api").inc()
        raise HTTPException(401, "a bearer key is needed: API_KEY", {"WWW-Authenticate": "Bearer"})
