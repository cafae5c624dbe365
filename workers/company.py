"""One company at work: its connection, its supplier, its accounting API."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from service.company_access import Purpose
from service.database.engine import after_commit
from service.database.tables import Connection, Supplier
from service.errors import Disconnected, SyncError, Throttled, TransientError
from service.infactor import mapping
from service.kit.clock import now
from service.quickbooks.client import CompanyClient
from service.services import Services
from service.store import connections, proof, quickbooks_times, runs


@dataclass(frozen=True)
class RecordedCompany:
    """A company as recorded, whether QuickBooks can be asked for it or not."""

    services: Services
    connection_id: str
    supplier_id: int
    supplier: mapping.SupplierDetails
    country: str  # as QuickBooks writes it; "" where it is not known
    realm_id: str = field(repr=False)

    @classmethod
    def recorded(cls, services: Services, connection_id: str) -> "RecordedCompany | None":
        """Return the company of this connection, alive or not; None if it was forgotten."""
        with services.database.read() as session:
            connection = connections.get(session, connection_id)
            if connection is None:
                return None
            owner = connections.supplier(session, connection.supplier_id)
        if owner is None:
            return None
        return RecordedCompany(
            services=services,
            connection_id=connection_id,
            supplier_id=owner.id,
            supplier=mapping.SupplierDetails(owner.email, owner.name, owner.address),
            country=connection.country,
            realm_id=services.access.realm_id(connection),
        )

    def invoice_id(self, quickbooks_id: str) -> str:
        """Return Infactor's `invoiceId` of one of the company's invoices."""
        return mapping.invoice_id(self.realm_id, quickbooks_id)

    def prove(self, session: Session, fetch_number: int) -> None:
        """Note that a look has proved the company, in the transaction that records what it found.

        See `proof.prove`. Whatever was held because nothing did is judged again afterwards.
        """
        if proof.prove(session, self.connection_id, fetch_number, now()):
            after_commit(session, self.services.jobs.judge, self.connection_id)


@dataclass(frozen=True)
class CompanyContext(RecordedCompany):
    """A company that QuickBooks can be asked for."""

    api: CompanyClient

    @classmethod
    def of(
        cls, services: Services, connection_id: str, purpose: Purpose = "notice"
    ) -> "CompanyContext":
        """Return the company of a live connection; `purpose` decides its share of the month's
        reads.

        Raises Disconnected if it is not connected, has no supplier, or is of another environment.
        """
        with services.database.read() as session:
            connection = connections.connected(session, connection_id)
            if connection.environment != services.settings.quickbooks_environment:
                raise Disconnected("the company was connected in another QuickBooks environment")
            owner = connections.supplier(session, connection.supplier_id)
        if owner is None:
            raise Disconnected("the connection has no supplier")
        return cls.from_rows(services, connection, owner, purpose)

    @classmethod
    def from_rows(
        cls,
        services: Services,
        connection: Connection,
        owner: Supplier,
        purpose: Purpose = "notice",
    ) -> "CompanyContext":
        """Return the company of a connection that may be called, as it was just read."""
        return cls(
            services=services,
            connection_id=connection.id,
            supplier_id=owner.id,
            supplier=mapping.SupplierDetails(owner.email, owner.name, owner.address),
            country=connection.country,
            realm_id=services.access.realm_id(connection),
            api=services.access.company(connection, purpose),
        )

    def latest_believed(self) -> datetime:
        """Return the latest time of QuickBooks' that is believed at this moment."""
        with self.services.database.read() as session:
            return quickbooks_times.latest(session)

    def draw_fetch_number(self) -> int:
        """Return the next fetch number, to be drawn before each read; the higher one is the later
        read.
        """
        with self.services.database.statement() as session:
            return connections.draw_fetch_number(session, self.connection_id)


def note_outage(session: Session, connection_id: str, error: SyncError) -> None:
    """Note from this error whether QuickBooks can be reached for the company.

    An error of our own before any call, such as a spent budget, says nothing about that.
    """
    if isinstance(error, TransientError) and error.is_outage:
        connections.outage_began(session, connection_id, str(error), now())
        return
    answered = isinstance(error, Throttled) or not isinstance(error, TransientError)
    if answered and connections.outage_ended(session, connection_id):
        runs.hurry_all(session, connection_id)


def note_success(session: Session, connection_id: str) -> None:
    """Note that the company was read without an error.

    If that ends an outage, runs that failed because of it are tried at once, and not told to fail
    until then.
    """
    if connections.synced(session, connection_id, now()):
        runs.hurry_all(session, connection_id)
