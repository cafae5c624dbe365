"""A hash chain: each link is made from the one before, so nothing in it can be changed unseen."""

from hashlib import sha256

FIRST = "0" * 64
"""What the first link of a chain is made from."""


def digest_of(entry: str) -> str:
    """Return the SHA-256 of an entry in UTF-8, as 64 hexadecimal digits."""
    return sha256(entry.encode()).hexdigest()


def link_after(before: str, entry_digest: str) -> str:
    """Return the link of the entry with this digest: the SHA-256 of both as hexadecimal digits.

    It is made from the digest, so that an entry can be erased and the chain still be checked.
    """
    return sha256(f"{before}{entry_digest}".encode()).hexdigest()
