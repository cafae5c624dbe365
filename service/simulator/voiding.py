"""What voiding leaves of a transaction."""

from service.simulator.records import Json


def voided(data: Json) -> Json:
    """Return the fields that voiding changes: everything zero, the rest kept."""
    note = data.get("PrivateNote")
    fields: Json = {
        "PrivateNote": f"Voided - {note}" if note else "Voided",
        "Line": [_zeroed(line) for line in data.get("Line", [])],
        "LinkedTxn": [],
        "TotalAmt": 0,
        "Balance": 0,
    }
    zero = ("HomeTotalAmt", "HomeBalance", "RemainingCredit")
    fields |= {name: 0 for name in zero if name in data}
    if "TxnTaxDetail" in data:
        fields["TxnTaxDetail"] = _untaxed(data["TxnTaxDetail"])
    return fields


def _zeroed(line: Json) -> Json:
    zero: Json = {**line, "Amount": 0} if "Amount" in line else dict(line)
    group = line.get("GroupLineDetail")
    if isinstance(group, dict):
        inner = [_zeroed(part) for part in group.get("Line", [])]
        zero["GroupLineDetail"] = {**group, "Line": inner}
    return zero


def _untaxed(detail: Json) -> Json:
    untaxed: Json = {**detail, "TotalTax": 0}
    if "TaxLine" in detail:
        untaxed["TaxLine"] = [_zeroed(line) for line in detail["TaxLine"]]
    return untaxed


def voided_payment(data: Json) -> Json:
    """Return the fields that voiding a payment changes: it is of nothing, and for nothing."""
    note = data.get("PrivateNote")
    return {
        "PrivateNote": f"Voided - {note}" if note else "Voided",
        "Line": [],
        "TotalAmt": 0,
        "UnappliedAmt": 0,
    }
