"""The form of an invoice: its values, and the invoice from them."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from service.simulator.books.totals import cents, money, repriced, subtotal_line, total
from service.simulator.records import Json

SALES = "SalesItemLineDetail"
BLANK_ROWS = 3


class FormError(ValueError):
    """The input is no valid invoice; the message is for the person who typed it."""


def shown(data: Json) -> Json:
    """Return the form's values for an invoice; {} gives an empty form."""
    sales = [line for line in data.get("Line", []) if line.get("DetailType") == SALES]
    rows = [_row(line) for line in sales] + [{} for _ in range(BLANK_ROWS)]
    return {
        "customer": data.get("CustomerRef", {}).get("value", ""),
        "doc_number": data.get("DocNumber", ""),
        "email": data.get("BillEmail", {}).get("Address", ""),
        "txn_date": data.get("TxnDate", ""),
        "due_date": data.get("DueDate", ""),
        "tax": data.get("TxnTaxDetail", {}).get("TotalTax", ""),
        "rows": rows,
        "kept": [_named(line) for line in data.get("Line", []) if _is_kept(line)],
    }


def typed(form: Mapping[str, str], old: Json) -> Json:
    """Return the form's values as typed, to show them again with the error."""
    view = shown(old)
    names = ("customer", "doc_number", "email", "txn_date", "due_date", "tax")
    return {**view, **{name: form.get(name, "") for name in names}, "rows": _typed_rows(form)}


def fields(form: Mapping[str, str], old: Json, customers: Mapping[str, str]) -> Json:
    """Return the invoice's fields from the form, None for emptied ones; raises FormError."""
    customer = form.get("customer", "")
    if customer not in customers:
        raise FormError("Choose a customer.")
    lines = _lines(form, old)
    tax_text = form.get("tax", "").strip()
    tax = _number(tax_text, "Tax") if tax_text else Decimal(0)
    owed = total(lines, tax)
    paid = money(old, "TotalAmt") - money(old, "Balance")
    email = form.get("email", "").strip()
    changed: Json = {
        "CustomerRef": {"value": customer, "name": customers[customer]},
        "DocNumber": _doc_number(form) or None,
        "BillEmail": {"Address": email} if email else None,
        "TxnDate": _day(form, "txn_date", "Invoice date"),
        "DueDate": _day(form, "due_date", "Due date"),
        "Line": [*lines, subtotal_line(lines)],
        "TotalAmt": owed,
        "Balance": max(owed - paid, Decimal(0)),
    }
    if "ExchangeRate" in old:
        rate = money(old, "ExchangeRate", 1)
        home = {"HomeTotalAmt": owed, "HomeBalance": changed["Balance"]}
        changed |= {name: cents(value * rate) for name, value in home.items()}
    if tax_text or "TxnTaxDetail" in old:
        changed["TxnTaxDetail"] = {**old.get("TxnTaxDetail", {}), "TotalTax": tax}
    return changed


def _lines(form: Mapping[str, str], old: Json) -> list[Json]:
    """Return the typed sales lines, then the lines that the form does not show."""
    sales = [line for line in old.get("Line", []) if line.get("DetailType") == SALES]
    lines = []
    for index, row in enumerate(_typed_rows(form)):
        before = sales[index] if index < len(sales) else None
        if not any(row.values()):
            continue
        lines.append(before if before and row == _row(before) else _line(row, before or {}))
    if not lines and not any(_is_kept(line) for line in old.get("Line", [])):
        raise FormError("An invoice needs at least one line.")
    kept = [line for line in old.get("Line", []) if _is_kept(line)]
    numbered = [{**line, "Id": str(n), "LineNum": n} for n, line in enumerate(lines, 1)]
    return numbered + [repriced(line, numbered) for line in kept]


def _line(row: Mapping[str, str], before: Json) -> Json:
    qty = _number(row["qty"], "Quantity") if row["qty"] else None
    price = _number(row["price"], "Price") if row["price"] else None
    if qty is not None and price is not None:
        value = cents(qty * price)
    elif row["amount"]:
        value = _number(row["amount"], "Amount")
    else:
        raise FormError("Each line needs a quantity and a price, or an amount.")
    detail = {k: v for k, v in before.get(SALES, {}).items() if k not in ("Qty", "UnitPrice")}
    detail |= {"UnitPrice": price} if price is not None else {}
    detail |= {"Qty": qty} if qty is not None else {}
    described = {"Description": row["description"]} if row["description"] else {}
    return {**described, "Amount": value, "DetailType": SALES, SALES: detail}


def _is_kept(line: Json) -> bool:
    return line.get("DetailType") not in (SALES, "SubTotalLineDetail")


def _named(line: Json) -> str:
    kind = str(line.get("DetailType", "")).removesuffix("LineDetail")
    return f"{kind}: {line.get('Description') or line.get('Amount', '')}"


def _row(line: Json) -> dict[str, str]:
    detail = line.get(SALES, {})
    values = {
        "description": line.get("Description"),
        "qty": detail.get("Qty"),
        "price": detail.get("UnitPrice"),
        "amount": line.get("Amount"),
    }
    return {name: "" if value is None else str(value) for name, value in values.items()}


def _typed_rows(form: Mapping[str, str]) -> list[dict[str, str]]:
    count = sum(name.startswith("description-") for name in form)
    names = ("description", "qty", "price", "amount")
    return [{name: form.get(f"{name}-{i}", "").strip() for name in names} for i in range(count)]


def _number(text: Any, what: str) -> Decimal:
    try:
        number = Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise FormError(f"{what} is not a number: {text}") from None
    if not number.is_finite() or abs(number) > Decimal("1e12"):
        raise FormError(f"{what} is too large: {text}")
    return number


def _doc_number(form: Mapping[str, str]) -> str:
    number = form.get("doc_number", "").strip()
    if len(number) > 21:
        raise FormError("The number may have 21 characters at most.")
    return number


def _day(form: Mapping[str, str], name: str, what: str) -> str | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise FormError(f"{what} is not a date: {text}") from None
