"""Signatures of the webhooks that we send (standardwebhooks.com, version 1.0.0, symmetric)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def signing_key(text: str) -> bytes:
    """Return the key in a `whsec_…` secret; raises ValueError, whose text repeats nothing of it."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
    return key


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers webhook-id, webhook-timestamp and webhook-signature for this body."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
