"""Reads the parts of a QuickBooks invoice and customer that the mapping needs.

QuickBooks omits empty fields; a null also counts as absent. Unknown fields are ignored, because new
ones appear. Errors name the path of a field, never its value, which may be personal.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec

from service.errors import Unmappable
from service.infactor.money import round_to_minor_unit

_MAX_DEPTH = 50
_MAX_INTEGER_DIGITS = 15
_PLAIN: int = 10**_MAX_INTEGER_DIGITS
_LONG = b"0" * (_MAX_INTEGER_DIGITS + 1)
_MAX_DECIMALS = 40  # QuickBooks has sent residues of its own arithmetic such as 5.68E-14

MOST_MONEY = 9_000_000_000_000
"""More than any invoice is worth: SQLite keeps amounts as millionths in 64 bits."""

_Filled = Annotated[str, msgspec.Meta(min_length=1)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# A time or an offset behind a date says nothing about the day: it is the one that is written.
_DATE = re.compile(
    r"\s*(\d{4}-\d{2}-\d{2})"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
    r"\s*(?:Z|[+-]\d{2}(?::?\d{2})?)?\s*",
    re.ASCII,
)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PATH = re.compile(r"`\$\.?([^`]*)`$")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A pointer to another record; its keys are lower case, unlike all others."""

    value: str | None = None
    name: str | None = None


class Email(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One text that may hold several addresses, or none that is valid."""

    address: str | None = None


class MetaData(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """When QuickBooks created the record, with its offset."""

    create_time: str


class Invoice(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    id: _Filled
    meta_data: MetaData
    total_amt: Decimal
    balance: Decimal | None = None
    doc_number: str | None = None
    txn_date: str | None = None
    due_date: str | None = None
    private_note: str | None = None
    currency_ref: Reference | None = None
    customer_ref: Reference | None = None
    bill_email: Email | None = None
    line: list[dict[str, Any]] | None = None
    txn_tax_detail: dict[str, Any] | None = None

    @property
    def created(self) -> datetime:
        """The time of creation, in the offset that QuickBooks wrote."""
        return parse_offset_time(self.meta_data.create_time, "MetaData.CreateTime")

    def rounded(self, amount: Decimal, currency: str) -> Decimal:
        """Return the amount to the decimals of the invoice's currency, else of this one."""
        code = self.currency_ref.value if self.currency_ref else None
        return round_to_minor_unit(amount, code or currency)

    @property
    def total_tax(self) -> Decimal:
        """The tax of the whole invoice; 0 if none is given."""
        total = (self.txn_tax_detail or {}).get("TotalTax")
        return Decimal(0) if total is None else number(total, "TxnTaxDetail.TotalTax")


class Customer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    display_name: str | None = None
    primary_email_addr: Email | None = None


_Record = TypeVar("_Record", Invoice, Customer)


def read_invoice(raw: Mapping[str, Any], currency: str, text: bytes | None = None) -> Invoice:
    """Return the invoice's fields; raises Unmappable.

    Total and balance are rounded as its currency is, or `currency` if it names none. `text` is
    `raw` as `exact_json.encode` writes it, where that is known: most show at once that they are
    clean.
    """
    invoice = _read(raw, Invoice, "", text)
    check_money(invoice.total_amt, "TotalAmt")
    total, balance = invoice.rounded(invoice.total_amt, currency), invoice.balance
    if balance is not None:
        check_money(balance, "Balance")
        balance = invoice.rounded(balance, currency)
    return msgspec.structs.replace(invoice, total_amt=total, balance=balance)


def read_customer(raw: Mapping[str, Any]) -> Customer:
    """Return the customer's fields; raises Unmappable."""
    return _read(raw, Customer, "Customer.")


def _read(
    raw: Mapping[str, Any], kind: type[_Record], prefix: str, text: bytes | None = None
) -> _Record:
    if not isinstance(raw, Mapping):
        raise Unmappable(prefix.rstrip(".") or "Invoice", "not an object")
    clean = {name: raw[name] for name in kind.__struct_encode_fields__ if name in raw}
    if not (_is_clean(clean) if text is None else _is_clean_text(text)):
        clean = {name: _cleaned(value, prefix + name, 0) for name, value in clean.items()}
    try:
        return msgspec.convert(clean, kind)
    except msgspec.ValidationError as e:
        raise _unmappable(str(e), prefix) from e


def _unmappable(message: str, prefix: str) -> Unmappable:
    """Return msgspec's error in our words."""
    path = found[1] if (found := _PATH.search(message)) else ""
    if missing := _MISSING.match(message):
        return Unmappable(f"{prefix}{path}{'.' if path else ''}{missing[1]}", "missing")
    why = message.partition(" - at ")[0].replace("`", "")
    return Unmappable(prefix + path, why[:1].lower() + why[1:])


def parse_offset_time(text: str, field: str) -> datetime:
    """Return an ISO 8601 date and time with its offset; raises Unmappable."""
    if not _MOMENT.fullmatch(text):
        raise Unmappable(field, "not an ISO 8601 date and time with an offset")
    try:
        return datetime.fromisoformat(text)
    except ValueError as e:
        raise Unmappable(field, "no such date and time") from e


def milliseconds(when: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return (when - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=4096)  # many invoices share their days
def calendar_date(text: str | None) -> date | None:
    """Return the day of a text that begins YYYY-MM-DD, also with a time or offset; or None."""
    # fromisoformat also accepts 20261029 and 2026-W44-4, which Infactor's pages do not.
    written = None if text is None else _DATE.fullmatch(text)
    if written is None:
        return None
    try:
        return date.fromisoformat(written[1])
    except ValueError:
        return None


def number(value: object, field: str) -> Decimal:
    """Return a JSON number, or the numeric text that QuickBooks may send; raises Unmappable."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise Unmappable(field, "not a number")
    try:
        result = Decimal(value)
    except ArithmeticError as e:
        raise Unmappable(field, "not a number") from e
    check_size(result, field)
    return result


def check_size(value: Decimal | int, field: str) -> None:
    """Raise Unmappable unless `value` is finite and of a size that an invoice may have."""
    if _is_plain(value):
        return
    # Compare exponents before any arithmetic: int(Decimal("1E+999999999")) never returns.
    if isinstance(value, int):
        in_range = abs(value) < 10**_MAX_INTEGER_DIGITS
    elif not value.is_finite():
        raise Unmappable(field, "not a finite number")
    else:
        exponent = value.as_tuple().exponent
        in_range = (
            value.adjusted() < _MAX_INTEGER_DIGITS
            and isinstance(exponent, int)
            and exponent >= -_MAX_DECIMALS
        )
    if not in_range:
        raise Unmappable(field, "number out of range")


def check_money(value: Decimal | int, field: str) -> None:
    """Raise Unmappable unless `value` is an amount that the record can hold."""
    check_size(value, field)
    if not -MOST_MONEY < value < MOST_MONEY:
        raise Unmappable(field, "number out of range")


def _is_clean(value: Any) -> bool:
    """Return True only if there is nothing to change or to refuse.

    Nearly every record goes through here whole, level by level, so only the common is known here.
    """
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is dict:
                inner += one
                inner += one.values()
            elif kind is list:
                inner += one
            elif "\0" in one if kind is str else not _is_plain(one):
                return False
        if not inner:
            return True
        level = inner
    return False


_SIGNS = bytes.maketrans(b"0123456789.+-E", b"0000000000000e")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _is_clean_text(text: bytes) -> bool:
    """Return the same of a record as JSON, or False where that is not certain.

    What matters is searched for in the whole text: an escaped NUL, a number longer than a plain
    one or with an exponent, and nesting, of which each round removes the innermost level.
    """
    if b"\\u0000" in text:
        return False
    digits = text.translate(_SIGNS)
    if _LONG in digits or b"0e0" in digits:
        return False
    brackets = text.translate(None, _NO_BRACKETS)
    for _ in range(_MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return False


def _is_plain(value: object) -> bool:
    if type(value) is Decimal:
        text = str(value)
        return len(text) <= _MAX_INTEGER_DIGITS and text[-1].isdigit() and "E" not in text
    if type(value) is int:
        return -_PLAIN < value < _PLAIN
    return value is None or type(value) is bool


def _cleaned(value: Any, field: str, depth: int) -> Any:
    """Return a deep copy of `value` without NUL characters; `field` is its path, for errors.

    Raises Unmappable for a number of impossible size or too deep nesting.
    """
    if depth > _MAX_DEPTH:
        raise Unmappable(field, "nested too deeply")
    match value:
        case None | bool():
            return value
        case str():
            return without_nul(value)
        case int() | Decimal():
            check_size(value, field)
            return value
        case dict():
            named = ((without_nul(key), inner) for key, inner in value.items())
            return {key: _cleaned(inner, f"{field}.{key}", depth + 1) for key, inner in named}
        case list():
            return [_cleaned(inner, f"{field}[{i}]", depth + 1) for i, inner in enumerate(value)]
    raise Unmappable(field, f"a {type(value).__name__} is not exact JSON")


def without_nul(text: str) -> str:
    """Return `text` without NUL, which PostgreSQL cannot store."""
    return text.replace("\0", "")
