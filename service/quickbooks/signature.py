"""The signature that Intuit puts on a webhook delivery (reference 1.4)."""

import hmac
from binascii import b2a_base64
from collections.abc import Sequence


def sign(body: bytes, verifier_token: str) -> str:
    """Return the value of `intuit-signature` for the exact bytes of a body."""
    return _sign(body, verifier_token).decode("ascii")


def verify(body: bytes, signature: str | None, verifier_tokens: Sequence[str]) -> bool:
    """Tell whether one of the verifier tokens made this signature.

    The time taken does not depend on how much of the signature is right, nor on which token is.
    An empty token verifies nothing: anybody could sign with it.
    """
    given = (signature or "").encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, _sign(body, token)) for token in verifier_tokens if token]
    return any(matches)


def _sign(body: bytes, verifier_token: str) -> bytes:
    return b2a_base64(hmac.digest(verifier_token.encode(), body, "sha256"), newline=False)
