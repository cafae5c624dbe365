"""That no test sees in its database what another one did there."""

from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from tests import databases

SUPPLIER = "INSERT INTO suppliers (email, name, address, created_at) VALUES ('a', 'b', 'c', 'now')"


def do(url: str, statement: str) -> None:
    with databases.opened(url).write() as session:
        session.execute(text(statement))


def seen(url: str) -> tuple[list[str], list[int], list[str]]:
    """Return the names of all that is in the schema, the ids of suppliers, and the versions."""
    with databases.opened(url).read() as session:
        names = session.scalars(text("SELECT name FROM sqlite_master ORDER BY name")).all()
        suppliers = session.scalars(text("SELECT id FROM suppliers ORDER BY id")).all()
        versions = session.scalars(text("SELECT version_num FROM alembic_version")).all()
    return list(names), list(suppliers), list(versions)


@pytest.mark.parametrize(
    "change",
    [
        SUPPLIER,
        "CREATE TABLE left_over (id INTEGER)",
        "DROP TABLE findings",
        "ALTER TABLE findings RENAME TO away",
        "UPDATE alembic_version SET version_num = 'another'",
        "DELETE FROM alembic_version",
        "ANALYZE",
    ],
)
def test_a_file_is_as_new_for_each_test(
    sqlite_url: str, request: pytest.FixtureRequest, change: str
) -> None:
    new = seen(sqlite_url)
    assert new[1] == []
    do(sqlite_url, change)
    assert seen(sqlite_url) != new
    assert seen(databases.fresh("sqlite", request)) == new
    do(sqlite_url, SUPPLIER)
    assert seen(sqlite_url)[1] == [1]


def test_a_file_that_is_gone_is_made_anew(sqlite_url: str, request: pytest.FixtureRequest) -> None:
    new = seen(sqlite_url)
    do(sqlite_url, SUPPLIER)
    path = Path(str(make_url(sqlite_url).database))
    path.unlink()
    assert seen(databases.fresh("sqlite", request)) == new
    assert path.exists()  # what is connected still sees the one that is gone


def test_a_file_that_a_transaction_still_holds_is_made_anew(
    sqlite_url: str, request: pytest.FixtureRequest
) -> None:
    with databases.opened(sqlite_url).write() as session:
        session.execute(text(SUPPLIER))
        assert seen(databases.fresh("sqlite", request))[1] == []
