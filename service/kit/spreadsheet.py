"""Cells of a CSV file that a spreadsheet opens without taking text for a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

BYTE_ORDER_MARK = "\ufeff"
"""Begins a file, or Excel would misread its UTF-8."""

_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
# What a spreadsheet takes for a formula, including wide forms and leading blanks. If it splits
# lines at semicolons, also what would begin a cell of its own, with or without quotes.
_FORMULA = re.compile(rf"[\s\u200b\ufeff]*{_SIGN}|[\t\r\n]")
# Each run from its first character on, or a long one would be read again from each.
_INNER = re.compile(rf"(?<![;\s\u200b\ufeff\x22])[;\s\u200b\ufeff\x22]+(?={_SIGN})")
_LAST_SEPARATOR = re.compile(r"[;\t\r\n](?=[^;\t\r\n]*\Z)")


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """Return the rows as lines of a CSV file."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(value) for value in row] for row in rows)
    return written.getvalue()


def cell(value: Any) -> str:
    """Return a value for a spreadsheet: text never as a formula, a number unchanged."""
    if isinstance(value, Decimal | int):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    text = "" if value is None else str(value)
    text = _INNER.sub(_as_text, text)
    return f"'{text}" if _FORMULA.match(text) else text


def _as_text(before_a_sign: re.Match[str]) -> str:
    return _LAST_SEPARATOR.sub(r"\g<0>'", before_a_sign[0], count=1)
