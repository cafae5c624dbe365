"""Leases: the right of one process to do one thing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from service.coordination import leases
from service.coordination.leases import HeldLeases
from service.database.engine import Database
from service.database.tables import Lease
from service.database.types import database_now
from tests.servers import wait_until


def acquired(database: Database, owner: str, **how: float) -> bool:
    with database.write() as session:
        return leases.acquire(session, "work", owner, **how)


def move(database: Database, *, seconds: float) -> None:
    """Let so much time pass for the lease."""
    with database.write() as session:
        moved = {"until": Lease.until - seconds, "taken_at": Lease.taken_at - seconds}
        session.execute(update(Lease).values(moved))


def undone(database: Database, work: Callable[[Session], object]) -> None:
    """Do the work in a transaction that fails."""

    def fail() -> None:
        with database.write() as session:
            assert work(session)
            print(1 / 0)

    with pytest.raises(ZeroDivisionError):
        fail()


def remaining(database: Database) -> float:
    with database.read() as session:
        return session.execute(select(Lease.until - database_now())).scalar_one()


def end_connections(database: Database) -> None:
    """End the server's side of each connection that waits in the pool, as a restart would."""
    others = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    url = database.engine.url.render_as_string(hide_password=False)
    with closing(Database(url)) as other, other.read() as session:
        session.execute(others)


def test_a_lease_has_one_holder(database: Database) -> None:
    assert acquired(database, "a")
    assert not acquired(database, "b")
    assert not acquired(database, "a")


def test_of_many_who_ask_at_once_one_gets_it(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: acquired(database, f"o{n}"), range(8)))
    assert got.count(True) == 1


def test_a_lease_that_was_given_back_is_free(database: Database) -> None:
    assert acquired(database, "a")
    with database.write() as session:
        leases.release(session, "work", "a")
    assert acquired(database, "b")


def test_nobody_gives_back_the_lease_of_another(database: Database) -> None:
    assert acquired(database, "a")
    with database.write() as session:
        leases.release(session, "work", "b")
    assert not acquired(database, "b")


def test_a_lease_lapses_by_itself(database: Database) -> None:
    assert acquired(database, "a")
    move(database, seconds=19)
    assert not acquired(database, "b")
    move(database, seconds=1.5)
    assert acquired(database, "b")


def test_a_lease_may_be_taken_for_longer(database: Database) -> None:
    assert acquired(database, "a", seconds=60)
    move(database, seconds=50)
    assert not acquired(database, "b")


def test_an_extended_lease_lasts(database: Database) -> None:
    assert acquired(database, "a")
    move(database, seconds=15)
    with database.write() as session:
        leases.extend(session, ["work"], "a")
        leases.extend(session, ["work"], "b")
    assert 19 < remaining(database) <= 20


def test_a_lease_that_somebody_else_took_over_is_not_extended(database: Database) -> None:
    assert acquired(database, "a")
    move(database, seconds=25)
    assert acquired(database, "b")
    move(database, seconds=10)
    with database.write() as session:
        leases.extend(session, ["work"], "a")
    assert remaining(database) < 11


def test_spacing_counts_from_the_moment_it_was_taken(database: Database) -> None:
    assert acquired(database, "a", spacing=5)
    with database.write() as session:
        leases.release(session, "work", "a")
    assert not acquired(database, "b", spacing=5)
    with database.read() as session:
        wait = leases.wait_seconds(session, "work", 5)
    assert wait is not None
    assert 4 < wait <= 5
    move(database, seconds=5)
    assert acquired(database, "b", spacing=5)


def test_nobody_knows_how_long_to_wait_for_a_lease_that_is_held(database: Database) -> None:
    assert acquired(database, "a")
    with database.read() as session:
        assert leases.wait_seconds(session, "work", 5) is None
        assert leases.wait_seconds(session, "other", 5) == 0.0


def test_old_leases_are_forgotten_and_held_ones_are_not(database: Database) -> None:
    assert acquired(database, "a")
    with database.write() as session:
        leases.acquire(session, "held", "a", seconds=10**6)
        session.execute(update(Lease).values(taken_at=Lease.taken_at - 100_000))
        session.execute(update(Lease).where(Lease.name == "work").values(until=0.0))
        leases.prune(session, older_than_seconds=86_400)
        assert session.scalars(select(Lease.name)).all() == ["held"]


def test_a_block_holds_its_lease_and_gives_it_back(database: Database) -> None:
    first, second = HeldLeases(database), HeldLeases(database)
    with first.hold("work") as mine:
        assert mine
        with second.hold("work") as theirs, first.hold("work") as again:
            assert (theirs, again) == (False, False)
    with second.hold("work") as mine:
        assert mine


def test_a_block_that_fails_gives_its_lease_back(database: Database) -> None:
    held = HeldLeases(database)
    with pytest.raises(ZeroDivisionError), held.hold("work"):
        print(1 / 0)
    assert acquired(database, "b")


@pytest.mark.postgresql("its connections break")
def test_a_lease_is_given_back_though_the_connection_broke_a_moment_ago(
    database: Database,
) -> None:
    """Sooner than the pool tests it."""
    url = database.engine.url.render_as_string(hide_password=False)
    with closing(Database(url)) as alone:  # which has no older connection, that would be tested
        held = HeldLeases(alone)
        with held.hold("work"):
            end_connections(alone)
        assert acquired(alone, "b")


def test_a_lease_that_cannot_be_given_back_hides_no_error_of_its_block(
    sqlite_database: Database,
) -> None:
    held = HeldLeases(sqlite_database)

    def fail() -> None:
        with sqlite_database.write() as session:
            session.execute(text("ALTER TABLE leases RENAME TO away"))
        print(1 / 0)

    with pytest.raises(ZeroDivisionError), held.hold("work"):
        fail()


def test_another_thread_of_the_same_process_does_not_get_a_lapsed_lease(
    database: Database,
) -> None:
    """The process was frozen for longer than the lease; its block is still at work."""
    held = HeldLeases(database)
    with held.hold("work") as mine:
        assert mine
        move(database, seconds=30)
        with held.hold("work") as again:
            assert not again


def test_the_heartbeat_keeps_a_lease(database: Database) -> None:
    held = HeldLeases(database, beat_seconds=0.05)
    held.start()
    with held.hold("work") as mine:
        assert mine
        move(database, seconds=18)
        wait_until(lambda: remaining(database) > 19, what="a beat")
    held.stop()
    assert acquired(database, "b")


def test_the_heartbeat_survives_a_database_that_was_away(sqlite_database: Database) -> None:
    held = HeldLeases(sqlite_database, beat_seconds=0.05)
    held.start()
    with held.hold("work"):
        with sqlite_database.write() as session:
            session.execute(text("ALTER TABLE leases RENAME TO away"))
        errors: list[object] = []
        event.listen(sqlite_database.engine, "handle_error", errors.append)
        wait_until(lambda: errors, what="a failed beat")
        with sqlite_database.write() as session:
            session.execute(text("ALTER TABLE away RENAME TO leases"))
        move(sqlite_database, seconds=18)
        wait_until(lambda: remaining(sqlite_database) > 19, what="a beat")
    held.stop()


def test_a_heartbeat_that_comes_late_does_not_bring_a_lease_back(database: Database) -> None:
    """It has read which leases are held, and extends them when one was just given back."""
    assert acquired(database, "a")
    with database.write() as session:
        leases.release(session, "work", "a")
    with database.write() as session:
        leases.extend(session, ["work"], "a")
    assert acquired(database, "b")


def test_what_its_holder_does_not_hold_any_more_lapses(database: Database) -> None:
    """Though it could not be given back, as the database was away: its owner is still written."""
    with database.write() as session:
        for name in ("work", "more work"):
            assert leases.acquire(session, name, "a", seconds=5.0)
        leases.extend(session, ["more work"], "a")
    with database.read() as session:
        left = select(Lease.until - database_now()).order_by(Lease.name)
        more, work = session.scalars(left).all()
    assert (more > 10.0, work < 6.0) == (True, True)


def test_when_a_lease_was_taken_is_kept_for_as_long_as_anybody_may_ask(database: Database) -> None:
    assert acquired(database, "a")
    with database.write() as session:
        leases.release(session, "work", "a")
        leases.prune(session, 3600.0)
    assert not acquired(database, "b", spacing=600.0)
    move(database, seconds=3601.0)
    with database.write() as session:
        leases.prune(session, 3600.0)
    with database.read() as session:
        assert session.scalars(select(Lease.name)).all() == []


def test_a_lease_is_taken_and_given_back_in_its_holders_transactions(database: Database) -> None:
    held = HeldLeases(database)
    with held.join("work", spacing=5) as lease:
        with database.write() as session:
            assert lease.take(session)
        assert lease.is_held
        assert not acquired(database, "b")
        with database.write() as session:
            wait = lease.release(session)
            assert wait is not None
            assert 4 < wait <= 5
        assert not lease.is_held
        assert acquired(database, "b")
    assert not acquired(database, "c")


def test_a_lease_whose_transaction_is_undone_was_never_taken(database: Database) -> None:
    held = HeldLeases(database)
    with held.join("work", spacing=5) as lease:
        undone(database, lease.take)
        assert not lease.is_held
        assert acquired(database, "b", spacing=5)


def test_a_lease_that_its_transaction_did_not_give_back_is_given_back_at_the_end(
    database: Database,
) -> None:
    held = HeldLeases(database)
    with held.join("work", spacing=5) as lease:
        with database.write() as session:
            lease.take(session)
        undone(database, lease.release)
        assert not acquired(database, "b")
    assert acquired(database, "b")


def test_who_has_lost_a_lease_does_not_know_when_it_may_be_taken(database: Database) -> None:
    held = HeldLeases(database)
    with held.join("work") as lease:
        with database.write() as session:
            lease.take(session)
        move(database, seconds=30)
        assert acquired(database, "b")
        with database.write() as session:
            assert lease.release(session) is None
    assert not acquired(database, "c")


def test_the_heartbeat_keeps_a_lease_that_was_taken_in_a_transaction(database: Database) -> None:
    held = HeldLeases(database, beat_seconds=0.05)
    held.start()
    with held.join("work") as lease:
        with database.write() as session:
            lease.take(session)
        move(database, seconds=18)
        wait_until(lambda: remaining(database) > 19, what="a beat")
    held.stop()
    assert acquired(database, "b")
