"""What Intuit's discovery document says about the endpoints (reference 2.1), and Intuit's clock."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.errors import Unrecognised
from service.quickbooks.endpoints import Endpoints
from service.quickbooks.headers import date_of

_NAMES = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "revocation_endpoint": "revoke",
}


@dataclass(frozen=True, slots=True)
class Discovery:
    """The endpoints that we use and Intuit names otherwise, and the time of the answer."""

    moved: tuple[str, ...]
    time: datetime | None


def discovery_of(
    status: int, headers: Mapping[str, str], body: bytes, ours: Endpoints
) -> Discovery:
    """Return how Intuit's endpoints compare with ours; raises Unrecognised for another answer."""
    try:
        told = json.loads(body) if status == 200 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Unrecognised(f"the discovery document could not be read (HTTP {status})")
    moved = tuple(
        name for name, attribute in _NAMES.items() if told.get(name) != getattr(ours, attribute)
    )
    return Discovery(moved, date_of(headers))
