"""What an invoice is sorted and searched by, beside its amounts and moments."""

import re
from collections.abc import Mapping
from typing import Any

NAMES = ("number_key", "due_key", "sought")

# An index takes 2,700 bytes of a row, and a character has up to four.
_LONGEST_BUYER = 200
_LONGEST_NUMBER = 100
_DIGITS = re.compile("[0-9]+")
_WIDTH = 12


def keys(mapped: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the columns `NAMES` of an invoice whose Infactor document would be this one."""
    found = mapped or {}
    number, buyer, due = (
        str(found.get(name) or "") for name in ("invoiceNo", "companyName", "payableDate")
    )
    return {
        "number_key": _natural(folded(number)[:_LONGEST_NUMBER]),
        "due_key": due[:10] or "~",  # after every date
        "sought": f"{folded(buyer)[:_LONGEST_BUYER]}\n{folded(number)[:_LONGEST_NUMBER]}",
    }


def folded(text: str) -> str:
    """Return a text so that upper and lower case count the same."""
    return " ".join(text.casefold().split())


def _natural(number: str) -> str:
    """Return a text that sorts 9 before 10, whatever stands before or after."""
    padded = _DIGITS.sub(lambda digits: digits[0].lstrip("0").rjust(_WIDTH, "0"), number)
    return padded[:_LONGEST_NUMBER]
