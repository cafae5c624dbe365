"""Rows of invoices on their way to Infactor: set as a test likes, by QuickBooks' id."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update

from service.database.engine import Database
from service.database.tables import Connection, DeliveryState, Document, Finding, Invoice, Receipt
from service.kit.clock import now
from tests.builders import a_finding

_OF_DELIVERY = {"delivered_revision", "due_at", "attempts", "error"}


@dataclass
class DeliveryRows:
    """What there is of one company's invoices."""

    database: Database
    connection_id: str

    def id(self, quickbooks_id: str) -> str:
        """Return Infactor's id of an invoice."""
        return f"qbk-{self.connection_id[:8]}-{quickbooks_id}"

    def invoice(self, quickbooks_id: str = "1", **fields: Any) -> str:
        """Add an invoice at revision 1 that is not delivered yet."""
        given = {
            "recorded_at": now(),
            "mapped": {"invoiceNo": "1"},
            "sought": "\n1",
            "doc_number": "101",
            "source": {"Id": quickbooks_id},
            **fields,
        }
        state = DeliveryState(
            connection_id=self.connection_id,
            recorded_at=given["recorded_at"],
            **{name: given.pop(name) for name in _OF_DELIVERY & given.keys()},
        )
        row = Invoice(
            id=self.id(quickbooks_id),
            connection_id=self.connection_id,
            quickbooks_id=quickbooks_id,
            sync_token=0,
            last_updated=now(),
            fetch_number=1,
            warnings=[],
            buyer_emails=[],
            delivery_warnings=[],
            delivery=state,
            **given,
        )
        with self.database.write() as session:
            session.add(row)
        return row.id

    def change(self, quickbooks_id: str = "1", **values: Any) -> None:
        """Change the invoice's row, and how far its delivery is."""
        id_ = self.id(quickbooks_id)
        state = {name: values.pop(name) for name in _OF_DELIVERY & values.keys()}
        with self.database.write() as session:
            if values:
                session.execute(update(Invoice).where(Invoice.id == id_).values(**values))
            if state:
                of_invoice = DeliveryState.invoice_id == id_
                session.execute(update(DeliveryState).where(of_invoice).values(**state))

    def document(self, quickbooks_id: str = "1", state: str = "invoice_created") -> None:
        """Let the invoice have been seen in Infactor in this state."""
        with self.database.write() as session:
            session.add(
                Document(
                    invoice_id=self.id(quickbooks_id),
                    connection_id=self.connection_id,
                    supplier_id=session.get_one(Connection, self.connection_id).supplier_id,
                    state=state,
                    document={"state": state},
                    revision=1,
                    written_at=now(),
                    seen_at=now(),
                )
            )

    def receipt(self, quickbooks_id: str, outcome: str, at: datetime) -> None:
        """Add a receipt."""
        with self.database.write() as session:
            session.add(
                Receipt(
                    invoice_id=self.id(quickbooks_id),
                    revision=1,
                    at=at,
                    outcome=outcome,
                    state="invoice_created",
                    changed=[],
                )
            )

    def finding(self, quickbooks_id: str, severity: str, **fields: Any) -> None:
        """Add a finding that is open, unless the fields say otherwise."""
        given = {
            "approved": "100",
            "current": "90",
            "found_at": now(),
            "changed_at": now(),
            **fields,
        }
        with self.database.write() as session:
            session.add(a_finding(self.id(quickbooks_id), self.connection_id, severity, **given))

    def close_findings(self) -> None:
        """Let everything be over."""
        with self.database.write() as session:
            session.execute(update(Finding).values(closed_at=now()))
