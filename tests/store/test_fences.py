"""What keeps others out by the database's clock, when that is set back: no longer than it may."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.coordination import circuit_breaker, heartbeats, leases, presence, rate_limit
from service.coordination.presence import Presence
from service.database.engine import Database
from service.database.tables import Breaker, Heartbeat, Lease, Pace, Process
from service.database.types import database_now
from service.domain import ProcessKind

STEPS = [61.0, 7200.0, 86_400.0]


def set_back(database: Database, by: float) -> None:
    """Let the database's clock be set back: all that it has written lies ahead."""
    with database.write() as session:
        ahead = {"until": Lease.until + by, "taken_at": Lease.taken_at + by}
        session.execute(update(Lease).values(ahead))
        session.execute(update(Pace).values(free_at=Pace.free_at + by))
        later = {"open_until": Breaker.open_until + by, "since": Breaker.since + by}
        session.execute(update(Breaker).values(later))
        session.execute(update(Heartbeat).values(at=Heartbeat.at + by))
        session.execute(update(Process).values(at=Process.at + by))


def lease(session: Session) -> bool:
    return leases.acquire(session, "work", "a")


def spaced_lease(session: Session) -> bool:
    taken = leases.acquire(session, "work", "a", spacing=3240.0)
    leases.release(session, "work", "a")
    return taken


def refresh_lease(session: Session) -> bool:
    return leases.acquire(session, "work", "a", seconds=60.0)


def breaker(session: Session) -> bool:
    may_try = circuit_breaker.may_try(session, "infactor")
    circuit_breaker.failed(session, "infactor", "away")
    return may_try


def full_pace(session: Session) -> bool:
    """Take a place within a second, and every other of the next half a minute."""
    may_call = rate_limit.reserve(session, "c1", 1.0) is not None
    session.execute(update(Pace).values(free_at=database_now() + 30.0))
    return may_call


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize("taken", [lease, spaced_lease, refresh_lease, breaker, full_pace])
def test_no_fence_stands_until_the_clock_is_there_again(
    database: Database, connection_id: str, taken: Callable[[Session], bool], seconds: float
) -> None:
    with database.write() as session:
        assert taken(session)
    with database.write() as session:
        assert not taken(session)
    set_back(database, seconds)
    with database.write() as session:
        assert taken(session)


def test_who_waits_for_a_spacing_waits_no_longer_than_that(database: Database) -> None:
    with database.write() as session:
        assert leases.acquire(session, "work", "a", spacing=1.0)
        leases.release(session, "work", "a")
    set_back(database, 7200.0)
    with database.read() as session:
        assert leases.wait_seconds(session, "work", 1.0) == 0.0


def test_a_holder_keeps_its_lease_by_its_next_beat(database: Database) -> None:
    with database.write() as session:
        assert lease(session)
    set_back(database, 7200.0)
    with database.write() as session:
        leases.extend(session, ["work"], "a")
        assert not leases.acquire(session, "work", "b")


def test_a_heartbeat_from_the_future_is_as_old_as_the_clock_was_set_back(
    database: Database,
) -> None:
    """Whoever lives beats again within ten seconds; who died then is not alive for two hours."""
    with database.write() as session:
        heartbeats.beat(session, "receiver")
    set_back(database, 7200.0)
    with database.write() as session:
        assert heartbeats.ages(session)["receiver"] == pytest.approx(7200, abs=30)
        assert heartbeats.beat(session, "receiver") == pytest.approx(7200, abs=30)
        assert heartbeats.ages(session)["receiver"] < 30


def test_a_process_of_the_future_is_not_alive_until_it_says_so_again(database: Database) -> None:
    """Who was replaced by another version before the clock was set back is not there for a day."""
    ended, living = Presence(accepts_webhooks=False), Presence(accepts_webhooks=True)
    with database.write() as session:
        ended.report(session, ProcessKind.RECEIVER)
        living.report(session, ProcessKind.WORKER)
    set_back(database, 7200.0)
    with database.write() as session:
        assert presence.living(session) == []
        living.report(session, ProcessKind.WORKER)
        assert [one.kind for one in presence.living(session)] == ["worker"]
        assert session.query(Process).count() == 1


def test_what_is_away_is_so_since_now_at_the_latest(database: Database) -> None:
    with database.write() as session:
        circuit_breaker.failed(session, "infactor", "away")
    set_back(database, 7200.0)
    with database.write() as session:
        circuit_breaker.failed(session, "infactor", "away")
        ago = session.execute(select(database_now() - Breaker.since)).scalar_one()
    assert 0 <= ago < 30
