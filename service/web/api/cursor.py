"""Cursors: where a page ended, as a text that says nothing to whoever sends it back."""

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from service.web.api.problem_details import NotAnswered, ProblemKind

T = TypeVar("T")


def cursor_of(kind: str, key: Any) -> str:
    """Return the cursor of a list of this kind that ended with this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, key])).decode().rstrip("=")


def key_of(cursor: str, kind: str, key_type: type[T]) -> T:
    """Return the key in a cursor of a list of this kind; raises NotAnswered for any other text."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        found, key = msgspec.json.decode(raw, type=tuple[str, Any])
        # PostgreSQL keeps no text with a zero byte.
        if found == kind and b"\\u0000" not in raw:
            return msgspec.convert(key, key_type)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass
    raise NotAnswered(
        ProblemKind.INVALID_REQUEST,
        f"`after` is no cursor of this list: send `next` of an earlier page of {kind}",
    )
