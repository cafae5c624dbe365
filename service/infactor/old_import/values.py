"""Reads the fields of an old row. Nothing here raises; what cannot be read agrees with nothing."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.errors import Unmappable
from service.infactor import quickbooks_records
from service.infactor.collection import REVISION
from service.infactor.mapping import addresses

_ROW_ID = re.compile("[0-9a-f]{24}")
_LONGEST_ID = 64
_LONGEST_TEXT = 80


def row_id(row: Mapping[str, Any]) -> str | None:
    """Return the row's ObjectId as 24 hexadecimal digits; None for any other type, even text."""
    value = row.get("_id")
    if isinstance(value, str | int | float) or not _ROW_ID.fullmatch(str(value)):
        return None
    return str(value)


def was_adopted(row: Mapping[str, Any]) -> bool:
    """Return whether we have written to the row, as an invoice's document."""
    return REVISION in row


def id_of(row: Mapping[str, Any]) -> str | None:
    """Return the QuickBooks Id that the row names, or None if it is not digits."""
    value = text(row.get("qbkInvoiceId"))
    return value if value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID else None


def text(value: object) -> str:
    """Return a text or whole number as stripped text; "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    number = amount(value)
    if number is None or number != number.to_integral_value():
        return ""
    return str(int(number))


def shown(value: object) -> str:
    """Return a value as people are shown it."""
    if value is None:
        return ""
    if isinstance(value, dict | list | bytes):
        return f"({type(value).__name__})"
    return str(value)[:_LONGEST_TEXT]


def amount(value: object) -> Decimal | None:
    """Return a number of any type, or its text, as written; else None."""
    if isinstance(value, bool) or value is None:
        return None
    if not isinstance(value, str | int | float | Decimal) and type(value).__name__ != "Decimal128":
        return None
    try:
        # Through the text: a double's shortest decimal is what was written into it.
        return quickbooks_records.number(str(value).strip(), "")
    except Unmappable:
        return None


def mails(row: Mapping[str, Any]) -> set[str]:
    """Return every buyer's address of the row, in lower case."""
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
