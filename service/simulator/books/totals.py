"""Computes the totals of an invoice from its lines and tax."""

from decimal import ROUND_HALF_UP, Decimal

from service.simulator.records import Json

CENT = Decimal("0.01")
DISCOUNT = "DiscountLineDetail"
GROUP = "GroupLineDetail"
SALES = "SalesItemLineDetail"
SUBTOTAL = "SubTotalLineDetail"


def cents(value: Decimal) -> Decimal:
    """Return an amount rounded as QuickBooks does."""
    return value.quantize(CENT, ROUND_HALF_UP)


def money(data: Json, name: str, default: int = 0) -> Decimal:
    """Return an amount of a record as Decimal; the default if it is absent or no number."""
    value = data.get(name)
    return Decimal(value if isinstance(value, int | Decimal) else default)


def gross(line: Json) -> Decimal:
    """Return what a line adds before discounts; a bundle's amount is that of its inner lines."""
    if line.get("DetailType") in (SUBTOTAL, DISCOUNT):
        return Decimal(0)
    if line.get("DetailType") == GROUP:
        inner = line.get(GROUP, {}).get("Line", [])
        return sum((money(part, "Amount") for part in inner), Decimal(0))
    return money(line, "Amount")


def subtotal_line(lines: list[Json]) -> Json:
    """Return the line, without Id, in which QuickBooks repeats the sum."""
    value = sum((gross(line) for line in lines), Decimal(0))
    return {"Amount": value, "DetailType": SUBTOTAL, SUBTOTAL: {}}


def total(lines: list[Json], tax: Decimal) -> Decimal:
    """Return lines less discounts (which are written as positive numbers) plus tax."""
    off = (money(line, "Amount") for line in lines if line.get("DetailType") == DISCOUNT)
    return sum((gross(line) for line in lines), tax) - sum(off, Decimal(0))


def unapplied(data: Json) -> Decimal:
    """Return the amount of a payment that is not applied."""
    left = money(data, "TotalAmt")
    for line in data.get("Line", []):
        credit = any(link.get("TxnType") == "CreditMemo" for link in line.get("LinkedTxn", []))
        left += money(line, "Amount") if credit else -money(line, "Amount")
    return left


def repriced(line: Json, lines: list[Json]) -> Json:
    """Return a percentage discount recomputed for these lines; other lines unchanged."""
    detail = line.get(DISCOUNT, {})
    if not detail.get("PercentBased"):
        return line
    base = sum((gross(other) for other in lines), Decimal(0))
    return {**line, "Amount": cents(base * money(detail, "DiscountPercent") / 100)}


def settle(data: Json) -> None:
    """Set the invoice's subtotal, discounts and total, with nothing paid."""
    lines = [line for line in data["Line"] if line.get("DetailType") != SUBTOTAL]
    discounts = [line for line in lines if line.get("DetailType") == DISCOUNT]
    plain = [line for line in lines if line.get("DetailType") != DISCOUNT]
    data["Line"] = [*plain, subtotal_line(plain), *(repriced(d, plain) for d in discounts)]
    inclusive = data.get("GlobalTaxCalculation") == "TaxInclusive"
    tax = Decimal(0) if inclusive else money(data.get("TxnTaxDetail", {}), "TotalTax")
    data["TotalAmt"] = data["Balance"] = total(data["Line"], tax)
    if "ExchangeRate" in data:
        rate = money(data, "ExchangeRate", 1)
        data["HomeTotalAmt"] = data["HomeBalance"] = cents(data["TotalAmt"] * rate)
