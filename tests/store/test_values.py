"""Values that must come back as they went in, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, func, select
from sqlalchemy.exc import StatementError

from service.database.engine import Database
from service.database.tables import Supplier
from service.database.types import (
    ExactJSON,
    Instant,
    Money,
    RowId,
    database_now,
    money_sum,
    rough_sum,
)
from service.kit.clock import now
from service.store import connections

VALUES = Table(
    "values_to_try",
    MetaData(),
    Column("id", RowId, primary_key=True),
    Column("money", Money),
    Column("instant", Instant),
    Column("json", ExactJSON),
)


@pytest.fixture(autouse=True)
def table(database: Database) -> Iterator[None]:
    """A table to try values with."""
    VALUES.create(database.engine)
    yield
    VALUES.drop(database.engine)


def kept(database: Database, **value: Any) -> Any:
    """Store a value, and return it as it is read again."""
    with database.write() as session:
        session.execute(VALUES.insert().values(id=1, **value))
    (name,) = value
    with database.read() as session:
        return session.execute(select(VALUES.c[name])).scalar_one()


@pytest.mark.parametrize(
    "amount", ["0", "0.1", "-362.07", "1234567890123456.789012", "0.000001", "99999999999"]
)
def test_money_comes_back_exactly(database: Database, amount: str) -> None:
    if database.is_sqlite and amount == "1234567890123456.789012":
        amount = "123456789012.789012"  # a 64-bit number of millionths
    assert kept(database, money=Decimal(amount)) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "rounded"), [("0.0000005", "0"), ("0.0000015", "0.000002"), ("-5.68E-14", "0")]
)
def test_money_beyond_six_decimals_is_rounded_half_to_even(
    database: Database, amount: str, rounded: str
) -> None:
    assert kept(database, money=Decimal(amount)) == Decimal(rounded)


def test_money_sorts_as_numbers(database: Database) -> None:
    with database.write() as session:
        for number, amount in enumerate(["100", "9.5", "-3", "20"], 1):
            session.execute(VALUES.insert().values(id=number, money=Decimal(amount)))
    with database.read() as session:
        found = session.scalars(select(VALUES.c.money).order_by(VALUES.c.money)).all()
    assert [str(amount.normalize()) for amount in found] == ["-3", "9.5", "2E+1", "1E+2"]


def test_a_sum_is_exact_where_it_is_more_than_an_amount_can_be(database: Database) -> None:
    most = Decimal("8999999999999.999999")
    for amounts in ([most] * 3, [-most] * 3, [most, most, Decimal("-0.000002")]):
        with database.write() as session:
            session.execute(VALUES.delete())
            for number, amount in enumerate(amounts):
                session.execute(VALUES.insert().values(id=number, money=amount))
        with database.read() as session:
            exact, rough = session.execute(
                select(money_sum(VALUES.c.money), rough_sum(VALUES.c.money))
            ).one()
        assert exact == sum(amounts)
        unit = 1e6 if database.is_sqlite else 1
        assert rough == pytest.approx(float(sum(amounts)) * unit)


def test_a_sum_of_nothing_is_none(database: Database) -> None:
    with database.read() as session:
        query = select(money_sum(VALUES.c.money), rough_sum(VALUES.c.money))
        assert session.execute(query).one() == (None, None)


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 11, 20, 16, 19, 17, 123456, tzinfo=UTC),
        datetime(2026, 7, 1, 9, 0, tzinfo=timezone(timedelta(hours=-7))),
        datetime(1, 1, 2, tzinfo=UTC),
    ],
)
def test_an_instant_comes_back_as_the_same_instant_in_utc(
    database: Database, instant: datetime
) -> None:
    found = kept(database, instant=instant)
    assert (found, found.utcoffset()) == (instant, timedelta(0))


def test_an_instant_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        kept(database, instant=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    "value",
    [
        {"TotalAmt": Decimal("362.070"), "Id": "1"},
        {"text": "with \0 and \u20ac and \U0001f600"},
        [1, None, True, {"a": []}],
        {},
    ],
)
def test_json_comes_back_with_every_digit_and_character(database: Database, value: Any) -> None:
    found = kept(database, json=value)
    assert found == value
    assert repr(found) == repr(value)


def test_the_databases_clock_is_the_time_of_day(database: Database) -> None:
    """To a second or so: it need not agree with ours, but here both are this machine's."""
    with database.read() as session:
        found = session.execute(select(database_now())).scalar_one()
    assert abs(found - datetime.now(UTC).timestamp()) < 2


def test_a_transaction_that_reads_first_may_still_write(database: Database) -> None:
    """Ten read-then-write transactions at once lose nothing: on SQLite each begins as a writer."""
    with database.write() as session:
        session.execute(VALUES.insert().values(id=1, money=Decimal(0)))

    def add_one(_: int) -> None:
        with database.write() as session:
            query = select(VALUES.c.money).with_for_update()
            amount = session.execute(query).scalar_one()
            session.execute(VALUES.update().values(money=amount + 1))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add_one, range(20)))
    with database.read() as session:
        assert session.execute(select(VALUES.c.money)).scalar_one() == 20


def test_an_errors_text_holds_no_parameters(database: Database) -> None:
    kept(database, json={"email": "secret@example.com"})
    with pytest.raises(StatementError) as caught:
        kept(database, json={"email": "secret@example.com"})
    assert "secret" not in str(caught.value)


def test_a_reading_session_sees_one_moment(database: Database) -> None:
    count = select(func.count()).select_from(Supplier)
    with database.read() as reading:
        assert reading.execute(count).scalar_one() == 0
        with database.write() as session:
            connections.ensure_supplier(session, "one@example.com", "", "", now())
        assert reading.execute(count).scalar_one() == 0
    with database.read() as reading:
        assert reading.execute(count).scalar_one() == 1
