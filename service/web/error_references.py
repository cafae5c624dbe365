"""Reference numbers: shown on a page and logged, so that support can match the two."""

import re
import secrets

import structlog

log = structlog.get_logger(__name__)

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # without those that are mixed up when read aloud
_FORM = re.compile(f"[{_LETTERS}]{{4}}-[{_LETTERS}]{{4}}")


def new_reference() -> str:
    """Return a new reference number, such as K7QM-2F4T."""
    letters = [secrets.choice(_LETTERS) for _ in range(8)]
    return "".join(letters[:4]) + "-" + "".join(letters[4:])


def is_reference(text: str) -> bool:
    """Return whether the text has the form of a reference number."""
    return _FORM.fullmatch(text) is not None


def crashed(route: str | None) -> str:
    """Log the current exception; return the reference in that log line."""
    reference = new_reference()
    log.exception("request.crashed", reference=reference, route=route)
    return reference
