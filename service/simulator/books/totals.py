"""What an invoice's lines and tax come to."""

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
    """Return an amount of a record as Decimal; an absent or odd one is the default."""
    value = data.get(name)
    return Decimal(value if isinstance(value, int | Decimal) else default)


def gross(line: Json) -> Decimal:
    """Return what a line adds before discounts; a bundle's worth is in its inner lines."""
    if line.get("DetailType") in (SUBTOTAL, DISCOUNT):
        return Decimal(0)
    if line.get("DetailType") == GROUP:
        inner = line.get(GROUP, {}).get("Line", [])
        return sum((money(part, "Amount") for part in inner), Decimal(0))
    return money(line, "Amount")


def subtotal_line(lines: list[Json]) -> Json:
    """Return the line without Id in which QuickBooks repeats the sum."""
    value = sum((gross(line) for line in lines), Decimal(0))
    return {"Amount": value, "DetailType": SUBTOTAL, SUBTOTAL: {}}


def total(lines: list[Json], tax: Decimal) -> Decimal:
    """Return what is owed: lines, less discounts (which are written as positive), plus tax."""
    off = (money(line, "Amount") for line in lines if line.get("DetailType") == DISCOUNT)
    return sum((gross(line) for line in lines), tax) - sum(off, Decimal(0))


def unapplied(data: Json) -> Decimal:
    """Return what of a payment is applied to nothing."""
    left = money(data, "TotalAmt")
    for line in data.get("Line", []):
        credit = any(link.get("TxnType") == "CreditMemo" for link in line.get("LinkedTxn", []))
        left += money(line, "Amount") if credit else -money(line, "Amount")
    return left


def repriced(line: Json, lines: list[Json]) -> Json:
    """Return a percentage discount as it is for these lines; any other line stays as it is."""
    detail = line.get(DISCOUNT, {})
    if not detail.get("PercentBased"):
        return line
    base = sum((gross(other) for other in lines), Decimal(0))
    return {**line, "Amount": cents(base * money(detail, "DiscountPercent") / 100)}


def settle(data: Json) -> None:
    """The invoice has its subtotal line, its discount, its total, and nothing paid."""
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
