"""Reference numbers: shown on a page and logged, so that support finds the one by the other."""

import re
import secrets

import structlog

log = structlog.get_logger(__name__)

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # without those that are mixed up when read aloud
_FORM = re.compile(f"[{_LETTERS}]{{4}}-[{_LETTERS}]{{4}}")


def new_reference() -> str:
    """Return a fresh reference number, such as K7QM-2F4T."""
    letters = [secrets.choice(_LETTERS) for _ in range(8)]
    return "".join(letters[:4]) + "-" + "".join(letters[4:])


def is_reference(text: str) -> bool:
    """Tell whether this could have been given out as a reference number."""
    return _FORM.fullmatch(text) is not None


def crashed(route: str | None) -> str:
    """Log the exception that is being handled; return the reference under which it is found."""
    reference = new_reference()
    log.exception("request.crashed", reference=reference, route=route)
    return reference
