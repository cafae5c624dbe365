"""What there may be one of: the database itself refuses a second one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import (
    Alert,
    Base,
    Connection,
    Finding,
    Invoice,
    Notice,
    Run,
    Supplier,
)
from service.store import alerts, runs
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
# Of each key: the table, the fields in which a second row differs, and those by which it may stand.
KEYS: dict[str, tuple[type[Base], dict[str, Any], dict[str, Any]]] = {
    "a supplier's address": (Supplier, {}, {"email": "other@example.com"}),
    "a company of QuickBooks": (Connection, {"id": "c2"}, {"environment": "production"}),
    "an event": (Notice, {}, {"dedupe_key": "another"}),
    "an invoice of a company": (Invoice, {"id": "qbk-2", "adopted": None}, {"quickbooks_id": "2"}),
    "a row of the old import": (
        Invoice,
        {"id": "qbk-2", "quickbooks_id": "2"},
        {"adopted": "b" * 24},
    ),
    "an open finding": (Finding, {}, {"closed_at": AT}),
    "an active run": (Run, {}, {"state": "done"}),
    "an open alert": (Alert, {}, {"ended_at": AT}),
}


@pytest.fixture
def rows(database: Database, connection_id: str) -> None:
    """One row of each."""
    made = DeliveryRows(database, connection_id)
    made.invoice("1", adopted="a" * 24)
    made.finding("1", "critical")
    with database.write() as session:
        runs.create_or_join(session, connection_id, "command", None, AT)
        alerts.begin(
            session,
            ("queue.away", "", ""),
            severity="critical",
            text="Away.",
            command="doctor",
            since=AT,
            now=AT,
        )
        session.add(
            Notice(
                dedupe_key="a key",
                connection_id=connection_id,
                format="cloudevents",
                status="done",
                received_at=AT,
            )
        )


def add_another(session: Session, table: type[Base], fields: dict[str, Any]) -> None:
    """Add a row that is like the only one but for these fields, and for a number as its id."""
    only = session.scalars(select(table)).one()
    same = {c.key: getattr(only, c.key) for c in inspect(table).column_attrs}
    if isinstance(same["id"], int):
        del same["id"]
    session.add(table(**{**same, **fields}))
    session.flush()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("key", KEYS)
def test_there_is_one_of(database: Database, key: str) -> None:
    table, differs, may_stand = KEYS[key]
    with pytest.raises(IntegrityError), database.write() as session:
        add_another(session, table, differs)
    with database.write() as session:
        add_another(session, table, {**differs, **may_stand})
