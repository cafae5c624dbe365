"""The pace at which a company is called, over all processes."""

from collections import deque

import pytest
from sqlalchemy import select, update

from service.coordination import rate_limit
from service.database.engine import Database
from service.database.tables import Connection, Pace, Reads
from service.database.types import database_now
from tests.builders import like

NOW = select(database_now())


def granted(database: Database, times: int, connection_id: str = "c1") -> list[float]:
    """Ask so often at once; return when each call may be made, in seconds from the first on.

    Two sessions take turns. What has passed meanwhile is counted in: a wait is from its own moment.
    """
    moments: list[float] = []
    other = Database(database.engine.url.render_as_string(hide_password=False))
    began: float | None = None
    for number in range(times):
        with (database, other)[number % 2].write() as session:
            wait = rate_limit.reserve(session, connection_id, 1e9)
            at = session.execute(NOW).scalar_one()
        assert wait is not None
        began = at if began is None else began
        moments.append(at - began + wait)
    other.close()
    return moments


def most_within(moments: list[float], seconds: float) -> int:
    """Return the most moments that lie within any window of this length."""
    window: deque[float] = deque()
    most = 0
    for moment in sorted(moments):
        window.append(moment)
        while window[0] <= moment - seconds:
            window.popleft()
        most = max(most, len(window))
    return most


def test_a_company_is_called_at_most_8_times_in_any_second_and_500_in_any_minute(
    database: Database, connection_id: str
) -> None:
    """Intuit counts to 10: two calls may be held up on their way and arrive with later ones."""
    moments = granted(database, 600)
    assert most_within(moments, 1.0) <= 8
    assert most_within(moments, 60.0) <= 500
    assert max(moments) < 600 / 6 + 1


def test_the_first_calls_of_an_idle_company_do_not_wait(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        waits = [rate_limit.reserve(session, connection_id, 30.0) for _ in range(2)]
    assert waits == pytest.approx([0.0, 0.0], abs=1e-3)  # seconds since 1970 have no more digits


def test_a_rest_is_not_saved_up_for_later(database: Database, connection_id: str) -> None:
    granted(database, 1)
    with database.write() as session:
        session.execute(update(Pace).values(free_at=0.0))
    assert most_within(granted(database, 40), 1.0) <= 8


def test_who_would_wait_too_long_takes_no_place(database: Database, connection_id: str) -> None:
    granted(database, 20)
    with database.write() as session:
        before = session.get_one(Pace, connection_id).free_at
        assert rate_limit.reserve(session, connection_id, 1.0) is None
        session.expire_all()
        assert session.get_one(Pace, connection_id).free_at == before


def test_reads_are_counted_by_company_month_and_kind(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        first = session.get_one(Connection, "c1")
        session.add(like(first, "c2"))
        session.flush()
        for company, month, kind in (
            ("c1", "2026-11", "query"),
            ("c1", "2026-11", "query"),
            ("c2", "2026-11", "query"),
            ("c1", "2026-11", "read"),
            ("c1", "2026-12", "query"),
        ):
            rate_limit.count_read(session, company, month, kind)
    with database.read() as session:
        rows = session.scalars(select(Reads)).all()
        assert {(row.connection_id, row.month, row.kind): row.count for row in rows} == {
            ("c1", "2026-11", "query"): 2,
            ("c2", "2026-11", "query"): 1,
            ("c1", "2026-11", "read"): 1,
            ("c1", "2026-12", "query"): 1,
        }
        assert rate_limit.reads_by_connection(session, "2026-11") == {"c1": 3, "c2": 1}
        assert rate_limit.reads_by_connection(session, "2026-12") == {"c1": 1}
        assert rate_limit.reads_by_connection(session, "2027-01") == {}
