"""Standard Webhooks signatures: what a receiver checks to know that we sent it, and when.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
While a secret is being replaced, the old and the new one both sign. Pure.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The bytes of a secret: base64 behind ``whsec_``. Raises ``ValueError`` where it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if not secret.startswith(_PREFIX) or len(key) < 16:
        raise ValueError("not whsec_ and at least 16 bytes in base64")
    return key


def signed(message_id: str, sent_at_s: int, body: str, secrets: Iterable[str]) -> dict[str, str]:
    """The headers of a message, one signature for each secret; without secrets there is none."""
    content = f"{message_id}.{sent_at_s}.{body}".encode()
    signatures = [
        "v1," + base64.b64encode(hmac.new(key_of(one), content, hashlib.sha256).digest()).decode()
        for one in secrets
    ]
    headers = {"webhook-id": message_id, "webhook-timestamp": str(sent_at_s)}
    return headers | ({"webhook-signature": " ".join(signatures)} if signatures else {})
