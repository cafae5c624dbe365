"""A supplier is found by their e-mail address, in whatever case if only one has it."""

import pytest

from service.database.engine import Database
from service.kit.clock import now
from service.store import connections

KNOWN = ("Henry@Example.com", "ada@example.com", "ADA@example.com", "\u00c4nne@example.com")


@pytest.mark.parametrize(
    ("email", "found"),
    [
        ("Henry@Example.com", [KNOWN[0]]),
        ("henry@example.com", [KNOWN[0]]),
        (" HENRY@EXAMPLE.COM ", [KNOWN[0]]),
        ("ada@example.com", [KNOWN[1]]),
        ("ADA@example.com", [KNOWN[2]]),
        ("Ada@example.com", [KNOWN[1], KNOWN[2]]),
        ("\u00e4nne@example.com", [KNOWN[3]]),
        ("nobody@example.com", []),
        ("henry@example.co", []),
    ],
)
def test_case_counts_only_where_several_have_it(
    database: Database, email: str, found: list[str]
) -> None:
    with database.write() as session:
        for known in KNOWN:
            connections.ensure_supplier(session, known, "", "", now())
    with database.read() as session:
        assert [one.email for one in connections.suppliers_named(session, email)] == found
