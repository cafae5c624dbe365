"""Instants as QuickBooks writes and wants them."""

import re
from datetime import UTC, datetime

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)


def moment(text: str) -> datetime:
    """Return the instant, in UTC, cut to microseconds.

    QuickBooks writes 0 to 9 fractional digits, and `Z`, `-07:00` or `-0700` (reference 1.2, 1.3).
    Raises ValueError, which does not repeat the text.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("is not a time with an offset")
    if not "1970" < text[:4] < "9000":
        raise ValueError("is not a time of our days")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists") from None


def quickbooks_time(instant: datetime) -> str:
    """Return the instant as a query wants it: UTC, `Z`, rounded down to the second.

    Rounded down because QuickBooks keeps seconds only, and a query must not skip a change.
    """
    if instant.tzinfo is None:
        raise ValueError("a time without a zone is no instant")
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
