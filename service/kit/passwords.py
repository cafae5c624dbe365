"""Operators' passwords as scrypt hashes: `scrypt.<n>.<r>.<p>.<salt>.<hash>`.

Salt and hash are URL-safe base64 without padding. There is no `$`, which docker-compose would eat.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading

_N, _R, _P = 2**15, 8, 1
_BYTES = 32
_FORM = re.compile(
    r"scrypt\.(\d{1,7})\.(\d{1,2})\.(\d{1,2})\.([\w-]{22,86})\.([\w-]{43})", re.ASCII
)
_LEAST_N = 2**14
_MOST_MEMORY = 128 * 1024 * 1024
LEAST = 12
MOST = 256

# Each takes 32 MB and a core for a tenth of a second, so many guesses at once queue here.
_one_at_a_time = threading.Lock()


def hashed(password: str, n: int = _N) -> str:
    """Return the password's hash; `n` is its cost, a power of two."""
    salt = secrets.token_bytes(16)
    return f"scrypt.{n}.{_R}.{_P}.{_text(salt)}.{_text(_scrypt(password, salt, n, _R, _P))}"


def is_hash(text: str) -> bool:
    """Return whether this is a hash of `hashed`'s form, at a cost that is safe and affordable."""
    match = _FORM.fullmatch(text)
    if match is None:
        return False
    n, r, p = (int(match[number]) for number in (1, 2, 3))
    bearable = 128 * n * r <= _MOST_MEMORY and n & (n - 1) == 0 and r >= 8 and 1 <= p <= 4
    return (
        n >= _LEAST_N
        and bearable
        and len(_bytes(match[5])) == _BYTES
        and len(_bytes(match[4])) >= 16
    )


def fits(password: str, text: str) -> bool:
    """Return whether `text` is this password's hash; raises ValueError if it is no hash."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("not a hash of ours")
    n, r, p = (int(match[number]) for number in (1, 2, 3))
    with _one_at_a_time:
        made = _scrypt(password, _bytes(match[4]), n, r, p)
    return hmac.compare_digest(made, _bytes(match[5]))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=2 * _MOST_MEMORY, dklen=_BYTES
    )


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
