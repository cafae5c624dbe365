"""Records of QuickBooks, and rows of ours: ordinary but for what a test says."""

from datetime import date, datetime
from typing import Any

from service.database.engine import Database
from service.database.tables import Connection, Finding
from service.domain import RuleCode
from service.infactor.mapping import Mapped
from service.infactor.rules.book import rule_book
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import facts_of
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile


def an_invoice(quickbooks_id: str = "1", **fields: Any) -> dict[str, Any]:
    """Return an unpaid invoice of 100.00 for customer 7."""
    return {
        "Id": quickbooks_id,
        "DocNumber": f"10{quickbooks_id}",
        "TxnDate": "2026-11-01",
        "DueDate": "2099-12-01",
        "TotalAmt": 100.0,
        "Balance": 100.0,
        "CustomerRef": {"value": "7", "name": "Buyer Seven"},
        "Line": [],
        **fields,
    }


def a_customer(quickbooks_id: str = "7", **fields: Any) -> dict[str, Any]:
    """Return a customer with an e-mail address."""
    return {
        "Id": quickbooks_id,
        "DisplayName": "Buyer Seven",
        "FullyQualifiedName": "Buyer Seven",
        "Active": True,
        "PrimaryEmailAddr": {"Address": "buyer@example.com"},
        **fields,
    }


def a_finding(invoice_id: str, connection_id: str, severity: str, **given: Any) -> Finding:
    """Return a finding of one field, or with `fields`; its cause is the field unless given."""
    field = given.pop("field", "invoiceAmount")
    one = {"field": field, "severity": severity}
    one |= {name: given.pop(name, None) for name in ("approved", "current")}
    return Finding(
        invoice_id=invoice_id,
        connection_id=connection_id,
        severity=severity,
        **{
            "kind": "changed",
            "state": "invoice_accepted",
            "cause": field,
            "fields": [one],
            **given,
        },
    )


def a_connection(connection_id: str, supplier_id: int, at: datetime, **fields: Any) -> Connection:
    """Return a company that was connected at that moment, and has no tokens."""
    given = {
        "environment": "simulator",
        "realm_digest": connection_id,
        "realm_sealed": "",
        "company_name": f"Company {connection_id}",
        "state": "connected",
        "connected_at": at,
        "renewed_at": at,
        "changes_read_until": at,
        "reconciled_until": at,
        "reconcile_due_at": at,
        "proved_at": at,
        **fields,
    }
    return Connection(id=connection_id, supplier_id=supplier_id, **given)


def like(connection: Connection, connection_id: str, **fields: Any) -> Connection:
    """Return another company, like this one but for its ids and these fields."""
    same = {column.key: getattr(connection, column.key) for column in Connection.__table__.columns}
    return Connection(**{**same, "id": connection_id, "realm_digest": connection_id, **fields})


def add_like(database: Database, connection_id: str, **more: dict[str, object]) -> None:
    """Let there be further companies, each like the first but for what is given."""
    with database.write() as session:
        first = session.get_one(Connection, connection_id)
        session.add_all(like(first, name, **fields) for name, fields in more.items())


def hold_of(mapped: Mapped, currency: str = "USD") -> RuleCode | None:
    """Return the leading hold of an invoice that was mapped so, by the rules of every profile."""
    around = Circumstances(today=date(2026, 11, 30), currency=currency)
    facts = facts_of({}, mapped, called_void=False, today=around.today)
    return judge(facts, around, rule_book(Profile.STANDARD)).hold
