"""What the tests of looks at Infactor do with a world."""

from typing import Any

from sqlalchemy import update

from service.database.tables import Document
from service.infactor.mapping import invoice_id
from tests.workers.delivering import Delivering
from tests.workers.world import REALM
from workers.delivery.poll import poll_documents


def look_at(delivering: Delivering) -> None:
    """Look at Infactor, as the clock does."""
    poll_documents(delivering.world.services)


def mirrored(delivering: Delivering, quickbooks_id: str = "1") -> Document:
    """Return what was last seen of an invoice's document."""
    with delivering.world.services.database.read() as session:
        return session.get_one(Document, invoice_id(REALM, quickbooks_id))


def change(delivering: Delivering, table: Any, **values: Any) -> None:
    """Change every row of a table."""
    with delivering.world.services.database.write() as session:
        session.execute(update(table).values(**values))


def found(delivering: Delivering, kind: str) -> list[tuple[Any, ...]]:
    """Return (field, severity, state, approved, current, whether open) of each finding."""
    return [
        (f.field, f.severity, f.state, f.approved, f.current, f.closed_at is None)
        for f in delivering.finding_rows()
        if f.kind == kind
    ]
