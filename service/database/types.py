"""Column types that mean the same on SQLite and PostgreSQL, and how moments are compared there."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    Numeric,
    Text,
    bindparam,
    literal,
    literal_column,
    or_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float, NullType, TypeDecorator, TypeEngine

from service.kit import exact_json
from service.kit.backoff import LONGEST_PAUSE

_MICRO = Decimal("0.000001")

# SQLite numbers rows by itself only in a column that is spelled INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")


# Compared by its bytes, in either database and whatever the server's locale.
Key = Text().with_variant(Text(collation="C"), "postgresql")


class Instant(TypeDecorator[datetime]):
    """An aware instant in UTC, to the microsecond; a naive one raises ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def instant_text(instant: datetime) -> str:
    """Return the instant in UTC as either database reads it, on connections that are in UTC."""
    return instant.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")


class Money(TypeDecorator[Decimal]):
    """An amount to six decimals: NUMERIC on PostgreSQL, whole millionths on SQLite.

    SQLite would turn a decimal into a binary float; integers stay exact and sort correctly.
    """

    impl = Numeric(24, 6)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else Numeric(24, 6))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        exact = Decimal(value).quantize(_MICRO, rounding=ROUND_HALF_EVEN)
        return int(exact.scaleb(6)) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-6) if dialect.name == "sqlite" else Decimal(value)


class _MoneySum(Money):
    """A sum, on SQLite as a text of whole units and millionths: it may be beyond whole numbers."""

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        sqlite = dialect.name == "sqlite"
        return dialect.type_descriptor(Text() if sqlite else Numeric(asdecimal=True))

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None or dialect.name != "sqlite":
            return super().process_result_value(value, dialect)
        units, millionths = map(int, value.split())
        return units + Decimal(millionths).scaleb(-6)


class money_sum(FunctionElement[Any]):
    """The exact sum of amounts; NULL of none. SQL cannot compare or add it: see `rough_sum`."""

    type = _MoneySum()
    inherit_cache = True


@compiles(money_sum, "sqlite")
def _sqlite_money_sum(element: money_sum, compiler: SQLCompiler, **kw: Any) -> str:
    # Each with parameters of its own, which SQLite takes by their places.
    units, millionths = (compiler.process(element.clauses, **kw) for _ in range(2))
    return f"(SUM({units} / 1000000) || ' ' || SUM({millionths} % 1000000))"


@compiles(money_sum)
def _postgresql_money_sum(element: money_sum, compiler: SQLCompiler, **kw: Any) -> str:
    return f"SUM({compiler.process(element.clauses, **kw)})"


class rough_sum(FunctionElement[float]):
    """The sum of amounts to sort by and to take shares of; NULL of none.

    On SQLite it is of millionths, and rounded to 15 digits: a SUM of whole numbers that is beyond
    them is an error there.
    """

    type = Float()
    inherit_cache = True


@compiles(rough_sum, "sqlite")
def _sqlite_rough_sum(element: rough_sum, compiler: SQLCompiler, **kw: Any) -> str:
    return f"SUM({compiler.process(element.clauses, **kw)} * 1.0)"


@compiles(rough_sum)
def _postgresql_rough_sum(element: rough_sum, compiler: SQLCompiler, **kw: Any) -> str:
    return f"SUM({compiler.process(element.clauses, **kw)})"


class ExactJSON(TypeDecorator[Any]):
    """A JSON value kept as text, so that numbers keep the digits that QuickBooks wrote."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else exact_json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else exact_json.decode(value)


def condition(sql: str) -> ColumnElement[bool]:
    """Return a partial index's condition as it is written there, or SQLite would not use it."""
    # Without a type: of a Boolean, SQLAlchemy asks `(…) = 1` of SQLite, which is another one.
    return cast(ColumnElement[bool], literal_column(f"({sql})"))


def written_out(value: str) -> ColumnElement[str]:
    """Return the text as a part of the statement, where the databases recognise the condition of a
    partial index, or what is grouped by.
    """
    return literal(value, literal_execute=True)


class Many(TypeDecorator[Sequence[Any]]):
    """Any number of values as one parameter: an array on PostgreSQL, a JSON array on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[Text | BigInteger] = Text) -> None:
        """Texts, or whole numbers."""
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.kind()))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        given = list(value or ())
        return exact_json.encode(given).decode() if dialect.name == "sqlite" else given


class among(FunctionElement[Any]):
    """A condition: the column is one of these texts or whole numbers, however many.

    The statement is the same for any number of them, which IN is not: to write it anew for 500 ids
    took longer than to run it.
    """

    type = NullType()  # of a Boolean, SQLAlchemy asks "= 1", and SQLite uses no index
    inherit_cache = True

    def __init__(
        self,
        column: InstrumentedAttribute[Any] | ColumnElement[Any],
        values: Collection[str] | Collection[int] | str,
    ) -> None:
        """The values, or the name of the statement's parameter that is given them."""
        many = Many(BigInteger if isinstance(column.type, Integer) else Text)
        given = (
            bindparam(values, type_=many)
            if isinstance(values, str)
            else bindparam(None, list(values), type_=many)
        )
        super().__init__(column, given)


@compiles(among, "sqlite")
def _sqlite_among(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(one, **kw) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - no text of ours


@compiles(among)
def _postgresql_among(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(one, **kw) for one in element.clauses)
    return f"{column} = ANY ({values})"


class database_now(FunctionElement[float]):
    """The database's own clock in seconds since 1970, the one that all processes share."""

    type = Float()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now)
def _postgresql_now(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


LONGEST_FENCE = 60.0
"""The longest, in seconds, that a lease or a breaker keeps others out, unless it is made longer."""


Moment = datetime | BindParameter[datetime]
"""A time, or the parameter of a statement that is built once; see `moments`."""

NOW = bindparam("now", type_=Instant)


def has_come(
    due_at: SQLCoreOperations[Any], now: Moment, longest: timedelta = LONGEST_PAUSE
) -> ColumnElement[bool]:
    """A condition: this time, if there is one, has come; nobody waits longer than `longest`.

    A time that lies further ahead was written by a clock that has been set back since. It counts as
    over: else work would stand still until the clock is there again.
    """
    return or_(due_at.is_(None), due_at <= now, due_at > _after(now, longest))


def _after(now: Moment, longest: timedelta) -> Moment:
    if isinstance(now, datetime):
        return now + longest
    return bindparam(_name_after(longest), type_=Instant)


def _name_after(longest: timedelta) -> str:
    return f"now_and_{longest.total_seconds():.0f}"


def moments(now: datetime, *longest: timedelta) -> dict[str, datetime]:
    """Return the parameters of a statement that asks whether times have come by NOW, each waiting
    no longer than one of these.
    """
    return {"now": now, **{_name_after(one): now + one for one in longest}}


def waits(due_at: datetime | None, now: datetime) -> bool:
    """Return whether this time, if there is one, has still to come; see `has_come`."""
    return due_at is not None and now < due_at <= now + LONGEST_PAUSE


def is_over(
    until: SQLCoreOperations[Any], longest: float | BindParameter[float] = LONGEST_FENCE
) -> ColumnElement[bool]:
    """A condition: a moment of the database's clock has passed; see `has_come`."""
    now = database_now()
    return or_(until <= now, until > now + longest)
