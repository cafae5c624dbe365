"""Sealing of tokens and realm ids, and the keyed digest that finds a realm id again.

The keys are in the settings, outside the database: the database alone opens nothing (Intuit's
security requirements, point 3).
"""

import base64
import hmac
import os
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.domain import RealmId
from service.errors import ConfigurationError

_NONCE_BYTES = 12


class Vault:
    """Seals with the first encryption key, opens with any, and digests with `secret_key`."""

    def __init__(self, encryption_keys: Sequence[bytes], secret_key: str) -> None:
        self._ring = {_key_id(key): AESGCM(key) for key in encryption_keys}
        self._sealing_id = _key_id(encryption_keys[0])
        self._digest_key = derived_key(secret_key, b"realm digest")

    def __repr__(self) -> str:
        return f"Vault({len(self._ring)} keys)"

    def seal(self, plain: str, owner: str) -> str:
        """Return `plain` sealed so that it opens only as the value of `owner`, a row's column."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ring[self._sealing_id].encrypt(nonce, plain.encode(), owner.encode())
        return f"{self._sealing_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, owner: str) -> str:
        """Return what was sealed for `owner`; raises ConfigurationError if no key opens it."""
        key_id, _, body = sealed.partition(".")
        key = self._ring.get(key_id)
        if key is None:
            raise ConfigurationError(
                f"ENCRYPTION_KEYS: the key {key_id} that sealed a stored value is not in the list;"
                " add it again after the first one"
            )
        try:
            raw = base64.urlsafe_b64decode(body)
            return key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, ValueError) as e:
            raise ConfigurationError("a sealed value does not belong to its row") from e

    def digest(self, realm_id: RealmId) -> str:
        """Return the keyed digest by which rows of this company are found."""
        return hmac.new(self._digest_key, realm_id.encode(), sha256).hexdigest()


def derived_key(secret_key: str, purpose: bytes) -> bytes:
    """Return the 32-byte key that `secret_key` gives for one purpose."""
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(secret_key.encode())


def _key_id(key: bytes) -> str:
    return sha256(b"key id:" + key).hexdigest()[:8]
