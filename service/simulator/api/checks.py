"""Checks of a write; each raises Fault, before anything has changed."""

from decimal import Decimal
from typing import Any

from service.simulator import faults
from service.simulator.books.company import Company
from service.simulator.books.schema import ADDRESS_LENGTH, LENGTHS, SCHEMA
from service.simulator.books.totals import money, unapplied
from service.simulator.faults import not_found
from service.simulator.records import Json, Record, is_id
from service.simulator.switches import Switches


def check_shape(entity: str, given: Json) -> None:
    """Refuse unknown properties, texts that are too long, and ids that are not numbers."""
    known = SCHEMA[entity]
    for name in given:
        if name not in known:
            raise faults.unknown_property(name, entity, known)
    if given.get("Id") not in (None, "") and not is_id(str(given["Id"])):
        raise faults.invalid_id(given["Id"])
    for name, most in LENGTHS.items():
        _check_length(name, given.get(name), most)
    for name in ("BillEmail", "PrimaryEmailAddr"):
        if isinstance(given.get(name), dict):
            _check_length(f"{name}.Address", given[name].get("Address"), ADDRESS_LENGTH)


def shape_problem(data: Json) -> str | None:
    """Return which part of an object has the wrong type, or None."""
    for name, value in data.items():
        if name.endswith(("Ref", "Addr", "Memo", "Email")) and not isinstance(value, dict):
            return f"{name} must be an object"
        if name in LENGTHS and not isinstance(value, str):
            return f"{name} must be a text"
    for line in data.get("Line", []):
        links = line.get("LinkedTxn", [])
        if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
            return "LinkedTxn must be a list of objects"
        for name, value in line.items():
            if name.endswith("Detail") and not isinstance(value, dict):
                return f"{name} must be an object"
    return None


def check_version(given: Json, old: Record) -> None:
    """Refuse an old SyncToken."""
    if given.get("SyncToken") in (None, ""):
        raise faults.missing("SyncToken")
    if str(given["SyncToken"]) != old.data["SyncToken"]:
        raise faults.stale()


def check_date(data: Json, switches: Switches) -> None:
    """Refuse a transaction dated in closed books."""
    closed = switches.books_closed_until
    if closed is not None and str(data.get("TxnDate", "9")) <= closed.isoformat():
        raise faults.books_closed()


def check_sale(company: Company, entity: str, data: Json, id_: str, switches: Switches) -> None:
    """Refuse an invoice or credit memo without lines or customer, or with a used number."""
    if not data.get("Line"):
        raise faults.missing("Line")
    for line in data["Line"]:
        if not isinstance(line, dict) or not line.get("DetailType"):
            raise faults.missing("DetailType")
        if line["DetailType"] == "SalesItemLineDetail" and "Amount" not in line:
            raise faults.missing("Amount")
    check_customer(company, data)
    number = data.get("DocNumber")
    if switches.unique_numbers and number and _is_taken(company, entity, "DocNumber", number, id_):
        raise faults.duplicate_number(number)


def check_customer(company: Company, data: Json) -> None:
    """Refuse a transaction without customer, or of an unknown or inactive one."""
    ref = data.get("CustomerRef")
    if not isinstance(ref, dict) or not ref.get("value"):
        raise faults.missing("CustomerRef")
    customer = company.shelves["Customer"].get(str(ref["value"]))
    if customer is None:
        raise faults.invalid_reference(ref["value"])
    if customer.data.get("Active") is False:
        raise not_found()


def check_payment(company: Company, data: Json, before: Json) -> None:
    """Refuse a payment without amount, or of more than is open or paid.

    What it paid before the change may be of kinds that the simulator does not have.
    """
    check_customer(company, data)
    if "TotalAmt" not in data:
        raise faults.business("You must set a transaction amount.")
    applied: dict[str, Decimal] = {}
    as_before = [_paid(line) for line in before.get("Line", [])]
    for line in data.get("Line", []):
        if _paid(line) in as_before:
            continue
        if not line.get("LinkedTxn"):
            raise faults.missing("LinkedTxn")
        for link in line["LinkedTxn"]:
            record = _linked(company, link)
            amount = applied.get(record.id, Decimal(0)) + money(line, "Amount")
            applied[record.id] = amount
            name = "RemainingCredit" if link["TxnType"] == "CreditMemo" else "Balance"
            if amount > money(record.data, name):
                raise faults.business("You can't apply more than the open balance.")
    if unapplied(data) < 0:
        raise faults.business("The amount applied is more than the amount of the payment.")


def _paid(line: Json) -> tuple[Any, Any]:
    return line.get("LinkedTxn"), line.get("Amount")


def check_name(company: Company, entity: str, data: Json, id_: str) -> None:
    """Refuse a customer without a name, with a used name, or under an unknown parent."""
    if not data.get("DisplayName"):
        raise faults.missing("DisplayName")
    if _is_taken(company, entity, "DisplayName", data["DisplayName"], id_):
        raise faults.duplicate_name()
    parent = data.get("ParentRef")
    if parent and company.shelves["Customer"].get(str(parent.get("value"))) is None:
        raise faults.invalid_reference(parent.get("value"))


def _linked(company: Company, link: Json) -> Record:
    kind, id_ = link.get("TxnType"), str(link.get("TxnId", ""))
    if kind not in ("Invoice", "CreditMemo"):
        raise faults.invalid_reference(id_)
    record = company.shelves[kind].get(id_)
    if record is None:
        raise not_found()
    return record


def _is_taken(company: Company, entity: str, name: str, value: str, id_: str) -> bool:
    wanted = value.casefold()
    others = (r.data for r in company.shelves[entity].by_id() if r.id != id_)
    return any(str(other.get(name, "")).casefold() == wanted for other in others)


def _check_length(name: str, value: Any, most: int) -> None:
    if isinstance(value, str) and len(value) > most:
        raise faults.too_long(name, most, len(value))
