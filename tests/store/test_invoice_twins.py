"""Which recorded invoices share a key: the first ones of this environment, and no more."""

import re

import pytest

from service.database.engine import Database
from service.database.tables import Invoice
from service.store import connections, invoice_twins
from tests import databases
from tests.builders import a_connection
from tests.store.conftest import AT

KEY = (1, -7)


def a_row(id_: str, connection_id: str, created_ms: int) -> Invoice:
    return Invoice(
        id=id_,
        connection_id=connection_id,
        quickbooks_id=id_,
        sync_token=0,
        fetch_number=1,
        source={},
        warnings=[],
        recorded_at=AT,
        created_ms=created_ms,
        twin_number=-7,
        twin_buyer=-7,
    )


def test_invoices_of_another_environment_take_no_places(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        supplier = connections.upsert_supplier(session, "sandbox@example.com", "S", "", AT)
        session.add(a_connection("c2", supplier, AT, environment="sandbox"))
        session.flush()
        session.add_all(a_row(f"other-{n}", "c2", n) for n in range(25))
        session.add_all(a_row(f"ours-{n:02}", connection_id, 100 - n) for n in range(25))
    with database.read() as session:
        found = invoice_twins.sharing(session, "simulator", {KEY, (0, 5)}, besides={"ours-24"})
    assert found == {KEY: [f"ours-{n:02}" for n in range(23, 3, -1)]}


@pytest.mark.postgresql("SQLite plans without statistics")
def test_a_new_database_looks_up_each_key_by_itself(migrated_postgres_url: str) -> None:
    """Until it has statistics, which is a first import's most busy minute."""
    database = databases.opened(migrated_postgres_url)
    databases.empty_as_new(database)
    with database.read() as session, databases.statements(database) as sent:
        keys = {(0, 5), (1, 6), (2, 7), (3, 8)}
        assert invoice_twins.sharing(session, "simulator", keys, besides=["a"]) == {}
    (look,) = sent
    plan = " ".join(databases.plan_of(database, look, look.parameters))
    assert set(re.findall(r"(?:using|Index Scan on) (\w+)", plan)) == {
        "connections_pkey",
        "ix_invoices_twin_buyer",
        "ix_invoices_twin_email",
        "ix_invoices_twin_name",
        "ix_invoices_twin_number",
    }
