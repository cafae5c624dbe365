"""A world that delivers into Infactor's own database, and the people who decide there."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pymongo.database import Database
from sqlalchemy import select, update

from service.database.tables import Breaker, DeliveryState, Document, Finding, Invoice, Receipt
from service.domain import RuleCode
from service.infactor.collection import DeliveryOrder
from service.infactor.document_lifecycle import QUICKBOOKS_OWNED, SUPPLIER
from service.infactor.mapped_document import MappedDocument
from service.infactor.mapping import invoice_id
from service.kit import exact_json
from service.kit.clock import now
from service.store import findings
from service.store.infactor_outbox import with_delivery
from tests.workers.world import REALM, World, an_invoice
from workers.delivery.deliver import deliver_company
from workers.delivery.poll import poll_documents


def infactor_settings(infactors: Database[dict[str, Any]]) -> dict[str, str]:
    """Return the settings that lead to this database."""
    host, port = infactors.client.address or ("", 0)
    return {
        "INFACTOR_MONGODB_URL": f"mongodb://{host}:{port}",
        "INFACTOR_MONGODB_DATABASE": infactors.name,
    }


def seen_once(world: World) -> None:
    """Let an invoice have been delivered, before Infactor's database went away."""
    world.arrive(an_invoice())
    with world.services.database.write() as session:
        invoice = session.scalars(select(Invoice)).one()
        session.add(
            Document(
                invoice_id=invoice.id,
                connection_id=invoice.connection_id,
                supplier_id=world.connection().supplier_id,
                state="invoice_created",
                document={"state": "invoice_created"},
                revision=1,
                written_at=now(),
                seen_at=now(),
            )
        )


@dataclass
class Delivering:
    """What a test of deliveries needs, in the words of its story."""

    world: World
    infactors: Database[dict[str, Any]]

    def arrive(self, invoice: dict[str, Any]) -> None:
        """Create or change an invoice in QuickBooks, and let it come as far as Infactor."""
        self.world.arrive(invoice)
        self.deliver()

    def deliver(self) -> None:
        """Deliver what is outgoing, as a worker would some time later."""
        with self.world.services.database.write() as session:
            session.execute(update(DeliveryState).values(due_at=None))
            session.execute(update(Breaker).values(open_until=0.0))
        deliver_company(self.world.services, self.world.connection_id)

    def poll(self) -> None:
        """Poll Infactor's documents, as the clock does."""
        poll_documents(self.world.services)

    def document(self, quickbooks_id: str = "1") -> dict[str, Any] | None:
        """Return Infactor's document of an invoice."""
        return self.infactors.invoices.find_one({"_id": invoice_id(REALM, quickbooks_id)})

    def state(self, quickbooks_id: str = "1") -> tuple[Any, Any]:
        """Return state and remark of Infactor's document."""
        document = self.document(quickbooks_id) or {}
        return document.get("state"), document.get("buyerInvoiceRemark")

    def decide(self, quickbooks_id: str = "1", **fields: Any) -> None:
        """Let Infactor's people change a document, as its server does: without looking."""
        self.infactors.invoices.update_one(
            {"invoiceId": invoice_id(REALM, quickbooks_id)}, {"$set": fields}
        )

    def approved(self, *numbers: str) -> None:
        """Let these invoices arrive, and be approved by their buyers."""
        for number in numbers:
            self.arrive(an_invoice(number))
            self.decide(number, state="invoice_accepted")
        self.poll()

    def register(self, email: str, kind: str = "Buyer") -> None:
        """Let somebody sign up in Infactor."""
        self.infactors.users.insert_one(
            {"email": email, "type": kind, "accountStatus": "verified", "password": "secret"}
        )

    def addressed(self, quickbooks_id: str = "1") -> tuple[Any, Any, list[str]]:
        """Return the document's two addresses, and the codes of what only Infactor can warn of."""
        document = self.document(quickbooks_id) or {}
        codes = [warning["code"] for warning in self.record(quickbooks_id).delivery_warnings]
        return document.get("buyerEmail"), document.get("companyEmail"), codes

    def receipts(self, quickbooks_id: str = "1") -> list[tuple[int, str, str | None]]:
        """Return (revision, outcome, state) of each delivery of an invoice, the oldest first."""
        with self.world.services.database.read() as session:
            query = select(Receipt).where(Receipt.invoice_id == invoice_id(REALM, quickbooks_id))
            rows = session.scalars(query.order_by(Receipt.id)).all()
        return [(row.revision, row.outcome, row.state) for row in rows]

    def findings(self, *, history: bool = False) -> list[tuple[str, str, str | None, str | None]]:
        """Return (field, severity, approved, current) of the findings' fields, oldest first."""
        with self.world.services.database.read() as session:
            rows = findings.listed(session, "simulator", history=history)
        found = sorted((row.finding for row in rows), key=lambda finding: finding.id)
        return [
            (one["field"], one["severity"], one["approved"], one["current"])
            for finding in found
            for one in finding.fields
        ]

    def finding_rows(self) -> list[Finding]:
        """Return all findings, the oldest first."""
        with self.world.services.database.read() as session:
            return list(session.scalars(select(Finding).order_by(Finding.id)))

    def found(self, kind: str) -> list[tuple[Any, ...]]:
        """Return (field, severity, state, approved, current, whether open) of each finding."""
        return [
            (
                *(one["field"], one["severity"], f.state, one["approved"], one["current"]),
                f.closed_at is None,
            )
            for f in self.finding_rows()
            if f.kind == kind
            for one in f.fields
        ]

    def last_seen(self, quickbooks_id: str = "1") -> Document:
        """Return what was last seen of an invoice's document."""
        with self.world.services.database.read() as session:
            return session.get_one(Document, invoice_id(REALM, quickbooks_id))

    def change(self, table: Any, **values: Any) -> None:
        """Change every row of a table."""
        with self.world.services.database.write() as session:
            session.execute(update(table).values(**values))

    def record(self, quickbooks_id: str = "1") -> Invoice:
        """Return what is recorded of an invoice."""
        with self.world.services.database.read() as session:
            id_ = invoice_id(REALM, quickbooks_id)
            return session.get_one(Invoice, id_, options=[with_delivery()])


def order(
    key: str, revision: int, amount: float, hold: str | None = None, **more: Any
) -> DeliveryOrder:
    """Return one revision of an invoice that says its amount everywhere where one can look."""
    exact = Decimal(amount)
    mapped = {
        **dict.fromkeys((*QUICKBOOKS_OWNED, *SUPPLIER), ""),
        "invoiceAmount": exact,
        "purchaseAmount": exact,
        "taxAmount": exact,
        "invoiceNo": str(amount),
        "state": "invoice_created",
    }
    return DeliveryOrder(
        key=key,
        revision=revision,
        mapped=MappedDocument(exact_json.encode(mapped)),
        hold=RuleCode(hold) if hold else None,
        **more,
    )
