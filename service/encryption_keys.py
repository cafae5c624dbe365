"""Encryption keys as text: comma-separated, each 32 bytes in padded URL-safe base64."""

import base64
import binascii
import secrets

KEY_BYTES = 32


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys in their order; raises ValueError that says which one is malformed."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError("holds no key")
    return tuple(_parse(part, number) for number, part in enumerate(parts, start=1))


def key_text(key: bytes) -> str:
    """Return a key as it is written in the settings."""
    return base64.urlsafe_b64encode(key).decode()


def new_key() -> str:
    """Return a fresh key as text."""
    return key_text(secrets.token_bytes(KEY_BYTES))


def _parse(part: str, number: int) -> bytes:
    try:
        key = base64.b64decode(part, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES or key_text(key) != part:
        raise ValueError(f"key {number} is not 32 bytes in padded URL-safe base64")
    return key
