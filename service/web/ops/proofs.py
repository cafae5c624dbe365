"""Proofs that what a browser brings back was given to it by us; the database knows none of it."""

import hmac
from hashlib import sha256

from service.settings import Settings
from service.vault import derived_key


def proof(settings: Settings, purpose: str, *about: str) -> str:
    """Return what only we can write beside these texts, which have no spaces in them."""
    key = derived_key(settings.secret_key.get_secret_value(), purpose.encode())
    return hmac.new(key, " ".join(about).encode(), sha256).hexdigest()


def is_proof(given: str, settings: Settings, purpose: str, *about: str) -> bool:
    """Return whether this is the proof for these texts."""
    return hmac.compare_digest(given.encode(), proof(settings, purpose, *about).encode())
