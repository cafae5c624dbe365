"""Along which indexes SQLite goes, where it would else read every invoice: they are large."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import Invoice
from service.queries import api_lists, invoices
from service.queries.api_lists import InvoiceFilter
from service.queries.invoices import Sort, StatusFilter, StatusKind, Wanted
from service.store import connections, event_feed, pruning
from tests import databases
from tests.builders import a_connection
from tests.copies import copy_row
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
MINE = {"connection_ids": ("c1",), "supplier_id": 1}
BY_ID = "SEARCH invoices USING INDEX sqlite_autoindex_invoices_1"
SOUGHT = "SEARCH invoices USING COVERING INDEX ix_invoices_sought"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """A SQLite file with a supplier's company, and no invoice: of those it learns nothing."""
    made = databases.opened(sqlite_url)
    with made.write() as session:
        supplier_id = connections.ensure_supplier(session, "s@example.com", "", "", AT)
        session.add(a_connection("c1", supplier_id, AT, environment="sandbox"))
    yield made
    made.close()


def steps(database: Database, read: Callable[[Session], object]) -> set[str]:
    """Return each step of the plans of all that is asked, without its conditions."""
    with database.read() as session, databases.statements(database) as asked:
        read(session)
    plans = (databases.plan_of(database, one, one.parameters) for one in asked)
    return {re.sub(r" \(.*", "", step) for plan in plans for step in plan}


@pytest.mark.parametrize("sort", list(Sort))
def test_a_search_and_its_count_read_their_index_alone(database: Database, sort: Sort) -> None:
    wanted = Wanted(**MINE, words="buyer", sort=sort)
    found = steps(database, lambda s: (invoices.page(s, wanted, 25), invoices.count(s, wanted)))
    assert {one for one in found if "invoices" in one} == {SOUGHT, BY_ID}


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("to fix", "to_fix"),
        ("to correct", "to_correct"),
        ("to invite", "to_invite"),
        ("unseen", "unseen"),
        ("not in infactor", "outside"),
        ("closed", "closed"),
    ],
)
def test_the_newest_of_a_status_are_found_in_an_index_of_their_own(
    database: Database, kind: StatusKind, part: str
) -> None:
    """These do not wait for the searches of others."""
    found = steps(
        database, lambda s: invoices.page(s, Wanted(**MINE, status=StatusFilter(kind)), 25)
    )
    assert {one for one in found if "invoices" in one} == {
        f"SEARCH invoices USING INDEX ix_invoices_{part}",
        BY_ID,
    }


def test_the_counts_of_companies_read_indexes_alone(database: Database) -> None:
    found = steps(database, lambda s: invoices.of_companies(s, ["c1"], shown_to=1))
    assert {one for one in found if "invoices" in one} == {SOUGHT}


def test_what_is_held_is_counted_from_its_index(database: Database) -> None:
    invoice_id = DeliveryRows(database, "c1").invoice()
    with database.write() as session:
        own = {"id": "'qbk-' || n", "quickbooks_id": "n", "hold": "CASE n WHEN 2 THEN 'paid' END"}
        copy_row(session, Invoice, (2, 500), own, f"id = '{invoice_id}'")
    database.learn()
    found = steps(database, lambda s: api_lists.connection_lines(s, "sandbox", limit=50))
    assert "SEARCH invoices USING INDEX ix_invoices_held" in found


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, BY_ID),
        ({"connection_id": "c1"}, "SEARCH invoices USING INDEX ix_invoices_company"),
        ({"supplier_id": 1}, "SEARCH invoices USING INDEX ix_invoices_company"),
        ({"state": "completed"}, "SEARCH documents USING COVERING INDEX ix_documents_of_state"),
        ({"held": True}, "SCAN invoices USING INDEX ix_invoices_held"),
        ({"changed_since": AT}, "SEARCH documents USING COVERING INDEX ix_documents_changed_at"),
        ({"changed_since": AT}, "SEARCH invoices USING COVERING INDEX ix_invoices_recorded_at"),
    ],
)
def test_a_list_of_the_api_goes_along_an_index(
    database: Database, asked: dict[str, Any], index: str
) -> None:
    wanted = InvoiceFilter(**asked)
    found = steps(
        database, lambda s: api_lists.invoice_lines(s, "sandbox", wanted, after="qbk-1", limit=50)
    )
    assert index in found
    assert not found & {"SCAN invoices", "SCAN documents"}


def test_events_that_wait_are_found_in_indexes_of_their_own(database: Database) -> None:
    assert steps(database, lambda s: event_feed.backlog(s, "sandbox")) == {
        "SEARCH events USING COVERING INDEX ix_events_waiting_since"
    }
    assert steps(database, lambda s: event_feed.unsent(s, "sandbox", refused=True, limit=9)) == {
        "SEARCH events USING INDEX ix_events_refused"
    }


def test_pruning_looks_only_at_notices_that_may_be_old_enough(database: Database) -> None:
    """They are the largest table but the invoices, and the one writer waits meanwhile."""
    for prune, where in (
        (pruning.handled_notices, "SEARCH notices USING INDEX ix_notices_handled"),
        (pruning.ignored_notices, "SCAN notices USING INDEX ix_notices_ignored"),
        (pruning.unreadable_notices, "SCAN notices USING INDEX ix_notices_ignored"),
        (pruning.unconnected_notices, "SEARCH notices USING COVERING INDEX ix_notices_connection"),
    ):
        found = steps(database, lambda session, prune=prune: prune(session, AT, 10))
        assert where in found
        assert "SCAN notices" not in found
