"""A company's id at QuickBooks, in the one form in which it is compared, digested and stored."""

import re
from typing import NewType

RealmId = NewType("RealmId", str)

_DIGITS = re.compile(r"0*([1-9][0-9]{0,19})")


def realm_id_of(text: str) -> RealmId | None:
    """Return the id that was written, or None for what is none: it is ASCII digits, 20 at most.

    Without blanks around it and leading zeros: two spellings of one company would be two companies,
    with an owner each.
    """
    found = _DIGITS.fullmatch(text.strip()) if len(text) <= 64 else None
    return RealmId(found[1]) if found else None
