"""The cookie by which Infactor's server knows a browser, as express-session writes and signs it."""

import base64
import hmac
from urllib.parse import unquote

COOKIE = "connect.sid"

_SIGNED = "s:"
_LONGEST = 1024


def session_id(cookie_header: str, secret: str) -> str | None:
    """Return the id of the session that `connect.sid` names, or None unless `secret` signed it.

    None, too, when there are several: another site of the same domain may have planted one.
    """
    pairs = (pair.strip().partition("=") for pair in cookie_header.split(";"))
    values = {value for name, _, value in pairs if name == COOKIE}
    if len(values) != 1 or not secret:
        return None
    return _unsigned(values.pop(), secret)


def _unsigned(value: str, secret: str) -> str | None:
    if len(value) > _LONGEST:
        return None
    marked = unquote(value)
    found, _, signature = marked.removeprefix(_SIGNED).rpartition(".")
    made = hmac.digest(secret.encode(), found.encode(), "sha256")
    right = base64.b64encode(made).rstrip(b"=")
    matches = hmac.compare_digest(right, signature.encode())
    return found if matches and found and marked.startswith(_SIGNED) else None
