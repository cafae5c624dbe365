"""Changes one company's records as QuickBooks does, and collects the events that follow."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from service.simulator.books.book import record_problem
from service.simulator.books.company import Company, with_defaults
from service.simulator.books.receivables import MOST_LEVELS, customer_of, owed, owing, parent_of
from service.simulator.books.totals import money, unapplied
from service.simulator.clock import to_seconds
from service.simulator.events import Event
from service.simulator.faults import not_found
from service.simulator.records import ENTITIES, NAMES, TRANSACTIONS, Json, Record
from service.simulator.switches import Switches

DELETED = " (deleted)"


class Ledger:
    """Changes of one moment; the caller holds the lock, and announces `events` afterwards."""

    def __init__(self, company: Company, switches: Switches, now: datetime) -> None:
        self.company = company
        self.events: list[Event] = []
        self._switches = switches
        # QuickBooks stamps a record a moment after it has begun its answer.
        self.now = (now + timedelta(seconds=switches.stamped_later)).replace(microsecond=0)

    def put(self, entity: str, given: Any) -> Record:
        """Create the record, or replace it by its Id; raises ValueError for a bad one."""
        data = {"Id": self.next_id(entity), **given} if isinstance(given, dict) else given
        problem = record_problem(data)
        if problem:
            raise ValueError(f"{entity}: {problem}")
        if entity != "CompanyInfo":
            self.company.profile.learn(entity, data)
        if entity == "CompanyInfo":
            return self.company.set_info(data, self.now)
        old = self.company.shelves[entity].get(data["Id"])
        record = self._save(entity, self._versioned(data, old), _operation(entity, data, old))
        if entity == "Payment" and old is None:
            self._apply(record, 1)
        return record

    def next_id(self, entity: str) -> str:
        """Return a free Id; transactions share one series, as in QuickBooks."""
        series = TRANSACTIONS if entity in TRANSACTIONS else NAMES
        return str(max(self.company.shelves[name].next_id() for name in series))

    def find(self, entity: str, id_: str) -> Record:
        """Return the live record; raises Fault 610."""
        record = self.company.shelves[entity].get(id_) if entity in ENTITIES else None
        if record is None:
            raise not_found()
        return record

    def revise(self, entity: str, id_: str, fields: Json, operation: str = "updated") -> Record:
        """Set these fields, the next SyncToken and the time; None removes a field."""
        old = self.find(entity, id_)
        merged = {**old.data, **fields}
        data = {name: value for name, value in merged.items() if value is not None}
        return self._save(entity, self._bumped(data), operation)

    def update(self, entity: str, old: Record, data: Json) -> Record:
        """Replace the record, as a client's update does; a payment is applied again."""
        if entity == "Payment":
            self._apply(old, -1)
        record = self._save(entity, self._bumped(data), _operation(entity, data, old))
        if entity == "Payment":
            self._apply(record, 1)
        return record

    def void(self, id_: str, entity: str = "Invoice") -> Record:
        """Void the transaction as QuickBooks does: set all amounts to zero, keep the rest."""
        old = self.find(entity, id_)
        if entity == "Payment":
            self._apply(old, -1)
            return self.revise(entity, id_, voided_payment(old.data), "void")
        self._unlink(entity, old)
        record = self.revise(entity, id_, voided(old.data), "void")
        if entity == "Invoice" and self._switches.void_updates_invoice:
            self._note("Invoice", id_, "updated")
        return record

    def delete(self, entity: str, id_: str) -> Record:
        """Delete the transaction; a customer only becomes inactive, as in QuickBooks."""
        record = self.find(entity, id_)
        if entity == "Customer":
            fields: Json = {"Active": False}
            for name in ("DisplayName", "FullyQualifiedName"):
                if name in record.data and not record.data[name].endswith(DELETED):
                    fields[name] = record.data[name] + DELETED
            return self.revise("Customer", id_, fields, "deleted")
        self._unlink(entity, record)
        self._owe(entity, record, None)
        self.company.shelves[entity].remove(record, self.now)
        self._note(entity, id_, "deleted")
        if entity == "Payment":
            self._apply(record, -1)
        return record

    def merge(self, loser: str, survivor: str) -> Record:
        """Remove the loser, and move its transactions to the survivor."""
        gone, kept = self.find("Customer", loser), self.find("Customer", survivor)
        if gone is kept:
            raise ValueError("a customer cannot be merged into itself")
        self.company.shelves["Customer"].remove(gone, self.now)
        ref = {"value": survivor, "name": kept.data.get("DisplayName", "")}
        for entity in TRANSACTIONS:
            for record in list(self.company.shelves[entity].by_id()):
                if record.data.get("CustomerRef", {}).get("value") == loser:
                    self._store(entity, self._touched({**record.data, "CustomerRef": ref}))
        self.events.append(
            Event(self.company.realm, "Customer", survivor, "merged", self.now, loser)
        )
        return kept

    def pay(self, invoice_id: str, amount: Decimal | None = None) -> Record:
        """Create a payment of `amount`, or of the whole balance; raises ValueError for more."""
        invoice = self.find("Invoice", invoice_id).data
        amount = money(invoice, "Balance") if amount is None else amount
        if not amount.is_finite() or not 0 < amount <= money(invoice, "Balance"):
            raise ValueError(f"{amount} is not between 0 and the open balance")
        linked = [{"TxnId": invoice_id, "TxnType": "Invoice"}]
        payment: Json = {
            "TotalAmt": amount,
            "UnappliedAmt": 0,
            "domain": "QBO",
            "sparse": False,
            "TxnDate": to_seconds(self.now)[:10],
            "Line": [{"Amount": amount, "LinkedTxn": linked}],
        }
        kept = ("CustomerRef", "CurrencyRef")
        return self.put("Payment", payment | {k: invoice[k] for k in kept if k in invoice})

    def email(self, id_: str) -> Record:
        """Mark the invoice as sent by e-mail."""
        delivery = {"DeliveryType": "Email", "DeliveryTime": to_seconds(self.now)}
        fields = {"EmailStatus": "EmailSent", "DeliveryInfo": delivery}
        record = self.revise("Invoice", id_, fields, "emailed")
        if self._switches.email_updates_invoice:
            self._note("Invoice", id_, "updated")
        return record

    @contextmanager
    def without_payment(self, id_: str) -> Iterator[None]:
        """Unapply this payment during the block."""
        payment = self.company.shelves["Payment"].get(id_)
        before = [(e, self.company.shelves[e].get(i)) for e, i, _ in _applied(payment)]
        events = list(self.events)
        if payment:
            self._apply(payment, -1)
        try:
            yield
        finally:
            for entity, record in before:
                if record:
                    self._shelve(entity, record)
            self.events = events

    def _apply(self, payment: Record, sign: int) -> None:
        """Apply a payment to its transactions, or undo that with sign -1."""
        for entity, id_, amount in _applied(payment):
            record = self.company.shelves[entity].get(id_)
            if record:
                self._settle(entity, record, payment.id, sign * amount)

    def _settle(self, entity: str, record: Record, payment_id: str, amount: Decimal) -> None:
        link = {"TxnId": payment_id, "TxnType": "Payment"}
        data = {**record.data, "Balance": money(record.data, "Balance") - amount}
        if entity == "Invoice":  # a credit memo does not name the payments that use it up
            links = record.data.get("LinkedTxn", [])
            if (link in links) == (amount > 0):
                return
            others = [other for other in links if other != link]
            data["LinkedTxn"] = [*links, link] if amount > 0 else others
        balance = data["Balance"]
        if "HomeBalance" in data:
            data["HomeBalance"] = balance * money(data, "ExchangeRate", 1)
        if "RemainingCredit" in data:
            data["RemainingCredit"] = balance
        moves = self._switches.payment_moves_sync_token
        self._store(entity, self._bumped(data) if moves else self._touched(data))
        if self._switches.payment_updates_invoice:
            self._note(entity, record.id, "updated")

    def _unlink(self, entity: str, gone: Record) -> None:
        """Unapply the payments of a transaction that ends; they keep their amount."""
        mine = {"TxnId": gone.id, "TxnType": entity}
        for payment in list(self.company.shelves["Payment"].by_id()):
            lines = payment.data.get("Line", [])
            kept = [line for line in lines if mine not in line.get("LinkedTxn", [])]
            if len(kept) < len(lines):
                data = {**payment.data, "Line": kept}
                data["UnappliedAmt"] = unapplied(data)
                self._store("Payment", self._bumped(data))

    def _versioned(self, data: Json, old: Record | None) -> Json:
        """Return the data with missing version fields set as QuickBooks would."""
        now = to_seconds(self.now)
        created = old.data["MetaData"]["CreateTime"] if old else now
        meta = {"CreateTime": created, "LastUpdatedTime": now, **data.get("MetaData", {})}
        if old is not None:
            token = str(int(old.data["SyncToken"]) + 1)
            data = {**data, "SyncToken": data.get("SyncToken", token)}
        return with_defaults({**data, "MetaData": meta}, self.now)

    def _touched(self, data: Json) -> Json:
        return {**data, "MetaData": {**data["MetaData"], "LastUpdatedTime": to_seconds(self.now)}}

    def _bumped(self, data: Json) -> Json:
        return {**self._touched(data), "SyncToken": str(int(data["SyncToken"]) + 1)}

    def _store(self, entity: str, data: Json) -> Record:
        return self._shelve(entity, Record(data))

    def _shelve(self, entity: str, record: Record) -> Record:
        if entity in TRANSACTIONS:
            self._owe(entity, self.company.shelves[entity].get(record.id), record)
        self.company.shelves[entity].put(record)
        return record

    def _owe(self, entity: str, before: Record | None, after: Record | None) -> None:
        """Keep what the customers owe; QuickBooks does not count that as a change of theirs."""
        shelf = self.company.shelves["Customer"]
        for record, sign in ((before, -1), (after, 1)):
            amount = sign * owed(entity, record.data) if record else Decimal(0)
            customer_id = customer_of(record.data) if record else ""
            for _ in range(MOST_LEVELS if amount else 0):
                customer = shelf.get(customer_id)
                if customer is None:
                    break
                itself = record is not None and customer_id == customer_of(record.data)
                shelf.put(Record(owing(customer.data, amount, itself=itself)))
                customer_id = parent_of(customer.data)

    def _save(self, entity: str, data: Json, operation: str) -> Record:
        for _ in range(self._switches.updates_per_save if operation == "updated" else 1):
            self._note(entity, data["Id"], operation)
        return self._store(entity, data)

    def _note(self, entity: str, id_: str, operation: str) -> None:
        self.events.append(Event(self.company.realm, entity, id_, operation, self.now))


def _applied(payment: Record | None) -> list[tuple[str, str, Decimal]]:
    """Return a payment's (entity, id, amount), each transaction once."""
    found: dict[tuple[str, str], Decimal] = {}
    for line in payment.data.get("Line", []) if payment else []:
        for link in line.get("LinkedTxn", []):
            key = str(link.get("TxnType")), str(link.get("TxnId", ""))
            if key[0] in ("Invoice", "CreditMemo"):
                found[key] = found.get(key, Decimal(0)) + money(line, "Amount")
    return [(entity, id_, amount) for (entity, id_), amount in found.items()]


def _operation(entity: str, data: Json, old: Record | None) -> str:
    if entity == "Customer" and data.get("Active") is False:
        return "deleted"
    return "created" if old is None else "updated"


def voided(data: Json) -> Json:
    """Return the fields that a void changes."""
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
    """Return the fields that a payment's void changes."""
    note = data.get("PrivateNote")
    return {
        "PrivateNote": f"Voided - {note}" if note else "Voided",
        "Line": [],
        "TotalAmt": 0,
        "UnappliedAmt": 0,
    }
