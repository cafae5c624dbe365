"""Whether two texts name the same buyer, as people would read them.

QuickBooks knows a customer by its Id; what it is called changes without anybody being another:
" (deleted)" is appended to one that is made inactive, and a customer that gets a parent is written
as the path to it, "Marsh Group:Dock 5".
"""

import re
import unicodedata

_DELETED = re.compile(r"(\s*\(deleted[\s\d-]*\))+\s*$", re.IGNORECASE)


def same_name(one: object, other: object, *, same_customer: bool) -> bool:
    """Return whether the names read the same; of the same customer, the end of the path is enough.

    Case, blanks, "(deleted)" and what nobody can see make no difference. No name is like no other.
    """
    shorter, longer = sorted((_path(one), _path(other)), key=len)
    if not shorter:
        return False
    return shorter == (longer[-len(shorter) :] if same_customer else longer)


def same_address(one: object, other: object) -> bool:
    """Return whether the e-mail addresses read the same."""
    return bool(_folded(one)) and _folded(one) == _folded(other)


def _path(name: object) -> tuple[str, ...]:
    parts = name.split(":") if isinstance(name, str) else []
    return tuple(filter(None, (_folded(_DELETED.sub("", part)) for part in parts)))


def _folded(text: object) -> str:
    if not isinstance(text, str):
        return ""
    visible = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return " ".join("".join(visible).split()).casefold()
