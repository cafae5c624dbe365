"""The fields of an old row, whatever is in them: text, numbers of any type, nothing, rubbish.

Nothing here raises; what cannot be read agrees with nothing.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.errors import Unmappable
from service.infactor import source
from service.infactor.mapping import addresses

_ROW_ID = re.compile("[0-9a-f]{24}")
_LONGEST_ID = 64
_LONGEST_TEXT = 80


def row_id(row: Mapping[str, Any]) -> str | None:
    """Return the row's ObjectId as 24 hexadecimal digits, or None if its `_id` is something else.

    Text of the very same look is something else: a filter with an ObjectId would not find it.
    """
    value = row.get("_id")
    if isinstance(value, str | int | float) or not _ROW_ID.fullmatch(str(value)):
        return None
    return str(value)


def id_of(row: Mapping[str, Any]) -> str | None:
    """Return the QuickBooks Id that the row names, or None: an Id is digits."""
    value = text(row.get("qbkInvoiceId"))
    return value if value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID else None


def text(value: object) -> str:
    """Return a text or a whole number as text without blanks around it; anything else is empty."""
    if isinstance(value, str):
        return value.strip()
    number = amount(value)
    if number is None or number != number.to_integral_value():
        return ""
    return str(int(number))


def shown(value: object) -> str:
    """Return what people are shown of a value."""
    if value is None:
        return ""
    if isinstance(value, dict | list | bytes):
        return f"({type(value).__name__})"
    return str(value)[:_LONGEST_TEXT]


def amount(value: object) -> Decimal | None:
    """Return a number of any type, or the text of one, as it is written; else None."""
    if isinstance(value, bool) or value is None:
        return None
    if not isinstance(value, str | int | float | Decimal) and type(value).__name__ != "Decimal128":
        return None
    try:
        # By way of the text: a double's own digits are those that were written into it.
        return source.number(str(value).strip(), "")
    except Unmappable:
        return None


def mails(row: Mapping[str, Any]) -> set[str]:
    """Return every address that the row gives for the buyer, in lower case."""
    texts = (row.get("buyerEmail"), row.get("companyEmail"))
    return {
        address.casefold()
        for value in texts
        if isinstance(value, str)
        for address in addresses(value)
    }


def same_number(doc_number: str, row: Mapping[str, Any]) -> bool:
    """Return whether the row has this DocNumber; a number has lost its leading zeros."""
    value, wanted = row.get("invoiceNo"), doc_number.strip()
    if isinstance(value, str) or not (wanted.isascii() and wanted.isdigit()):
        return text(value) == wanted
    return amount(value) == Decimal(wanted)
