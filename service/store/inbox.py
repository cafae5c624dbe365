"""The inbox: every notice that QuickBooks sent, stored before it was acknowledged.

A notice is `pending` until the transaction that records its result makes it `done`. One that
nothing can be done about is `ignored` from the start; one that keeps failing is `failed`, and is
tried again at its `due_at`, if it has one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql.dml import ReturningUpdate

from service.database.engine import Statements, rows_of
from service.database.tables import Connection, Notice, NoticeAttempt, Run, Supplier
from service.database.types import (
    NOW,
    Moment,
    among,
    has_come,
    instant_text,
    moments,
    written_out,
)
from service.database.upsert import insert_for, instant_given, rows_given, rows_text
from service.domain import ConnectionState, NoticeStatus, OwnNotice, RunKind, RunState
from service.kit.backoff import LONGEST_PAUSE
from service.store.connections import may_be_called

_PENDING = written_out(NoticeStatus.PENDING)
_FAILED = written_out(NoticeStatus.FAILED)
_WORKABLE = (NoticeStatus.PENDING, NoticeStatus.FAILED)
_later = aliased(Notice)

CLAIM_LIMIT = 500
# Nothing that has failed waits longer to come back; see `pause_of_failed`.
_LONGEST_FAILED = timedelta(days=1)
# A batch lost this often is taken one by one, to find the notice that kills its worker without
# failing the others.
_SUSPECT_LOSSES = 2
_FATAL_LOSSES = 5


def due_company(
    session: Session, connection_id: str, environment: str, now: datetime
) -> tuple[Connection, Supplier] | None:
    """Return the connection and its supplier if it has due notices and may be called now."""
    row = session.execute(_due_company(), _of_due(connection_id, environment, now)).first()
    return None if row is None else (row[0], row[1])


@cache
def _due_company() -> Select[Connection, Supplier]:
    return (
        select(Connection, Supplier)
        .join(Supplier, Supplier.id == Connection.supplier_id)
        .where(Connection.id == bindparam("company"), _has_work(bindparam("environment"), NOW))
    )


def is_company_due(session: Session, connection_id: str, environment: str, now: datetime) -> bool:
    """Return whether the company has due notices and may be called now."""
    given = _of_due(connection_id, environment, now)
    return rows_of(session, _is_company_due(), given).first() is not None


@cache
def _is_company_due() -> Select[str]:
    return select(Connection.id).where(
        Connection.id == bindparam("company"), _has_work(bindparam("environment"), NOW)
    )


def _of_due(connection_id: str, environment: str, now: datetime) -> dict[str, Any]:
    waits = moments(now, LONGEST_PAUSE, _LONGEST_FAILED)
    return {"company": connection_id, "environment": environment, **waits}


def claim(
    session: Session, connection_id: str, owner: str, now: datetime
) -> tuple[Sequence[Notice], Sequence[Notice]]:
    """Mark the next batch of due notices as being worked on; return (batch, hopeless).

    Only the holder of the connection's sync lease may claim. What another process claimed and
    never gave back is lost: that process died. A notice that kills its worker is tried alone until
    it was lost five times, and then hopeless, for the caller to mark as failed.
    """
    given = {"company": connection_id, "owner": owner}
    lost = session.connection().execute(_losing(), given).all()
    _keep_lost_attempts(session, [(id_, began or now) for id_, began in lost], now)
    due = {"company": connection_id, **moments(now, LONGEST_PAUSE, _LONGEST_FAILED)}
    found = session.scalars(_clear(), due).all()
    fatal = [notice for notice in found if notice.losses >= _FATAL_LOSSES]
    batch: Sequence[Notice] = [notice for notice in found if notice.losses < _SUSPECT_LOSSES]
    if not batch:
        batch = session.scalars(_suspects(), due).all()
    _mark_claimed(session, batch, owner, now)
    return batch, fatal


@cache
def _losing() -> ReturningUpdate[int, datetime | None]:
    """Return the statement that takes from other owners what they claimed."""
    theirs = (
        select(Notice.id).where(
            Notice.connection_id == bindparam("company"),
            Notice.status == status,
            Notice.claimed_by != bindparam("owner"),
        )
        for status in (_PENDING, _FAILED)  # each has an index of its own
    )
    return (
        update(Notice)
        .where(Notice.id.in_(union_all(*theirs)))
        .values(losses=Notice.losses + 1, claimed_by=None)
        .returning(Notice.id, Notice.last_attempt_at)
    )


@cache
def _clear() -> Select[Notice]:
    """Return the query for a batch of due notices, without those to be tried alone."""
    clear = or_(Notice.losses >= _FATAL_LOSSES, Notice.losses < _SUSPECT_LOSSES)
    return _due_notices().where(clear).limit(CLAIM_LIMIT)


@cache
def _suspects() -> Select[Notice]:
    return _due_notices().where(Notice.losses < _FATAL_LOSSES).limit(1)


def _due_notices() -> Select[Notice]:
    return (
        select(Notice)
        .where(Notice.connection_id == bindparam("company"), _is_due(NOW))
        .order_by(Notice.id)
        .execution_options(populate_existing=True)
    )


def _mark_claimed(session: Session, batch: Sequence[Notice], owner: str, now: datetime) -> None:
    """Mark these notices in one statement: to write each by itself took as long as to record it."""
    if not batch:
        return
    given = {"ids": [notice.id for notice in batch], "owner": owner, "now": now}
    session.connection().execute(_claiming(), given)
    for notice in batch:  # as the caller reads them
        set_committed_value(notice, "attempts", notice.attempts + 1)
        set_committed_value(notice, "claimed_by", owner)
        set_committed_value(notice, "last_attempt_at", now)


@cache
def _claiming() -> Update:
    # Another notice of the same change may come from now on, and must not vanish.
    forgets_key = and_(
        Notice.event_id.is_(None), Notice.operation.is_distinct_from(OwnNotice.UNREADABLE)
    )
    return (
        update(Notice)
        .where(among(Notice.id, "ids"))
        .values(
            attempts=Notice.attempts + 1,
            claimed_by=bindparam("owner"),
            last_attempt_at=NOW,
            dedupe_key=case((forgets_key, None), else_=Notice.dedupe_key),
        )
    )


def webhooks_of(
    session: Session, connection_id: str, recorded: Mapping[str, datetime]
) -> dict[str, str]:
    """Return the webhook that brought each invoice as it is now, by QuickBooks' Id.

    `recorded` says when each was recorded last. Its notice ended in the same transaction, so it is
    the first that ended from then on. An invoice that a payment, a customer or we ourselves had
    recorded is not in it.
    """
    if not recorded:
        return {}
    rows = session.execute(
        select(Notice.entity_id, Notice.webhook_id, Notice.handled_at)
        .where(
            Notice.connection_id == connection_id,
            Notice.entity == "Invoice",
            among(Notice.entity_id, recorded),
            Notice.webhook_id.is_not(None),
            Notice.handled_at >= min(recorded.values()),
        )
        .order_by(Notice.handled_at, Notice.id)
    )
    found: dict[str, str] = {}
    for invoice, webhook_id, handled_at in rows:
        if invoice and webhook_id and handled_at and handled_at >= recorded[invoice]:
            found.setdefault(invoice, webhook_id)
    return found


def finish(session: Session, ids: Collection[int], outcome: str, now: datetime) -> None:
    """Mark these notices as done, inside the transaction that records their result."""
    given = {"ids": list(ids), "outcome": outcome, "now": now}
    session.connection().execute(_finishing(), given)


@cache
def _finishing() -> Update:
    return _closing("ids", NoticeStatus.DONE, bindparam("outcome"), handled_at=NOW, losses=0)


def mark_failed(
    session: Session,
    ids: Collection[int],
    error: Exception,
    now: datetime,
    due_at: datetime | None = None,
) -> None:
    """Mark these notices as failed, with the error; they are due again at `due_at`, if given.

    One that was lost too often is tried once more then, and is lost too often after one more loss.
    """
    _keep_attempts(session, ids, error, now, due_at)
    # Keeps since when it has failed.
    failed = {"handled_at": func.coalesce(Notice.handled_at, now), "due_at": due_at}
    losses = case((Notice.losses >= _FATAL_LOSSES, _FATAL_LOSSES - 1), else_=0)
    # An unreadable place is known by its reason alone.
    reason = case((Notice.operation == OwnNotice.UNREADABLE, Notice.reason), else_=None)
    closing = _closing(ids, NoticeStatus.FAILED, reason, **failed, losses=losses, **evidence(error))
    session.execute(closing)


def retry(
    session: Session,
    ids: Collection[int],
    error: Exception,
    now: datetime,
    due_at: datetime,
    *,
    suspect: bool = False,
) -> None:
    """Make these notices due again at `due_at`, and keep the error.

    Those that are failed stay so. `suspect` ones are taken one by one from the second time on.
    """
    _keep_attempts(session, ids, error, now, due_at)
    losses = case((Notice.losses < _SUSPECT_LOSSES, Notice.losses + 1), else_=_SUSPECT_LOSSES)
    session.execute(
        update(Notice)
        .where(among(Notice.id, ids), Notice.status.in_(_WORKABLE))
        .values(
            due_at=due_at,
            losses=losses if suspect else 0,
            claimed_by=None,
            reason=case(
                (
                    (Notice.status == NoticeStatus.PENDING)
                    & Notice.operation.is_distinct_from(OwnNotice.UNREADABLE),
                    "waiting for the next attempt",
                ),
                else_=Notice.reason,
            ),
            **evidence(error),
        )
    )


LOST = "lost"
"""The class of the error of an attempt whose process ended before it did."""


def _keep_attempts(
    session: Session,
    ids: Collection[int],
    error: Exception,
    now: datetime,
    due_at: datetime | None,
) -> None:
    """Keep the failed attempt at each of these notices that is being worked on."""
    failed = {
        "ended_at": now,
        "due_at": due_at,
        **evidence(error),
    }
    given = [
        literal(value, NoticeAttempt.__table__.c[name].type).label(name)
        for name, value in failed.items()
    ]
    attempts = select(Notice.id, Notice.last_attempt_at, *given).where(
        among(Notice.id, ids),
        Notice.status.in_(_WORKABLE),
        Notice.claimed_by.is_not(None),
        Notice.last_attempt_at.is_not(None),
    )
    columns = ["notice_id", "began_at", *failed]
    session.execute(insert(NoticeAttempt).from_select(columns, attempts))


def _keep_lost_attempts(
    session: Session, lost: Sequence[tuple[int, datetime]], now: datetime
) -> None:
    """Keep these attempts, (notice id, when it began), as ones whose process ended."""
    rows = [
        {
            "notice_id": notice_id,
            "began_at": began,
            "ended_at": now,
            "error_class": LOST,
            "error_message": "the worker ended before it was done",
        }
        for notice_id, began in lost
    ]
    if rows:
        session.execute(insert(NoticeAttempt), rows)


_PROMISES = ("refreshed", "withdrawn", "restored")


def kept(promise: str) -> str:
    """Return the outcome of a notice about an invoice that Infactor keeps as it was decided."""
    return f"not {promise}: already decided in Infactor"


def take_back(session: Session, connection_id: str, quickbooks_id: str, since: datetime) -> None:
    """Correct the outcomes since then of notices about an invoice that nothing was written for.

    They were noted when it was recorded, before its delivery met a decision in Infactor.
    """
    promised = [(Notice.reason.startswith(promise), kept(promise)) for promise in _PROMISES]
    session.execute(
        update(Notice)
        .where(
            Notice.connection_id == connection_id,
            Notice.entity == "Invoice",
            Notice.entity_id == quickbooks_id,
            Notice.status == NoticeStatus.DONE,
            Notice.handled_at >= since,
            or_(*(condition for condition, _ in promised)),
        )
        .values(reason=case(*promised, else_=Notice.reason))
    )


def hurry(session: Session, connection_id: str, now: datetime) -> int:
    """Make the company's waiting notices due now; return how many."""
    hurried = session.execute(
        update(Notice)
        .where(
            Notice.connection_id == connection_id,
            Notice.status.in_(_WORKABLE),
            Notice.due_at > now,
        )
        .values(due_at=now)
        .returning(Notice.id)
    )
    return len(hurried.all())


def _closing(
    ids: Collection[int] | str,
    status: NoticeStatus,
    reason: ColumnElement[str],
    **values: Any,
) -> Update:
    return (
        update(Notice)
        .where(among(Notice.id, ids), Notice.status.in_(_WORKABLE))
        .values(status=status, reason=reason, claimed_by=None, **values)
    )


def evidence(error: Exception) -> dict[str, str | None]:
    """Return what a notice keeps of an error: its class, message and `intuit_tid`, by column."""
    return {
        "error_class": type(error).__name__,
        "error_message": str(error)[:2000],
        "intuit_tid": getattr(error, "intuit_tid", None),
    }


def link(session: Session, connection_id: str, realm_digest: str) -> int:
    """Give the connection the notices that came before its company connected; return how many."""
    linked = session.execute(
        update(Notice)
        .where(Notice.connection_id.is_(None), Notice.realm_digest == realm_digest)
        .values(
            connection_id=connection_id,
            realm_digest=None,
            realm_sealed=None,
            reason=case((Notice.status == NoticeStatus.PENDING, None), else_=Notice.reason),
        )
        .returning(Notice.id)
    )
    return len(linked.all())


def strays(session: Session, environment: str) -> Sequence[tuple[str, str]]:
    """Return (connection id, realm digest) of notices without a connection although there is one.

    They were stored while their company connected: neither transaction saw the other.
    """
    rows = session.execute(
        select(Connection.id, Connection.realm_digest)
        .join(Notice, Notice.realm_digest == Connection.realm_digest)
        .where(Notice.connection_id.is_(None), Connection.environment == environment)
        .distinct()
    )
    return [(connection_id, digest) for connection_id, digest in rows]


def due_connections(session: Session, environment: str, now: datetime) -> Sequence[str]:
    """Return the ids of connections that have due notices and may be called now."""
    return session.scalars(select(Connection.id).where(_has_work(environment, now))).all()


def _has_work(environment: str | BindParameter[str], now: Moment) -> ColumnElement[bool]:
    """A condition: the connection has due notices and may be called now."""
    due = (has.where(Notice.connection_id == Connection.id).exists() for has in _due(now))
    return and_(may_be_called(environment, now), or_(*due))


def _due(now: Moment) -> tuple[Select[int], Select[int]]:
    """Return the queries for what is pending and for what is failed, each with its own index."""
    return select(Notice.id).where(_is_pending(now)), select(Notice.id).where(_comes_back(now))


def _is_due(now: Moment) -> ColumnElement[bool]:
    return or_(_is_pending(now), _comes_back(now))


def _is_pending(now: Moment) -> ColumnElement[bool]:
    return and_(Notice.status == _PENDING, has_come(Notice.due_at, now))


def _comes_back(now: Moment) -> ColumnElement[bool]:
    again = and_(Notice.due_at.is_not(None), has_come(Notice.due_at, now, _LONGEST_FAILED))
    return and_(Notice.status == _FAILED, again)


def open_invoices(
    session: Session, connection_id: str, quickbooks_ids: Collection[str]
) -> set[str]:
    """Return those of these invoices that have a pending or failed notice."""
    if not quickbooks_ids:
        return set()
    theirs = (
        select(Notice.entity_id).where(
            Notice.connection_id == connection_id,
            Notice.status == status,
            Notice.entity == "Invoice",
            among(Notice.entity_id, quickbooks_ids),
        )
        for status in (_PENDING, _FAILED)  # each has an index of its own
    )
    return set(session.scalars(union_all(*theirs)))


def is_open() -> ColumnElement[bool]:
    """A condition: the notice is failed, and nothing since has done its work.

    That would be a later notice about the same object that is done, or a later reconcile that ended
    without a difference.
    """
    done_since = select(_later.id).where(
        _later.entity_id == Notice.entity_id,
        _later.entity == Notice.entity,
        _later.connection_id == Notice.connection_id,
        _later.status == NoticeStatus.DONE,
        _later.id > Notice.id,
    )
    agreed_since = select(Run.id).where(
        Run.connection_id == Notice.connection_id,
        Run.kind == RunKind.RECONCILE,
        Run.state == RunState.DONE,
        Run.error.is_(None),
        Run.created_at >= Notice.handled_at,
    )
    return and_(Notice.status == _FAILED, ~done_since.exists(), ~agreed_since.exists())


_failed_of_companies = (
    select(Notice.connection_id, func.count())
    .where(is_open(), Notice.connection_id.is_not(None))
    .group_by(Notice.connection_id)
)


def failed_of_companies(session: Session, connection_ids: Collection[str]) -> dict[str, int]:
    """Return how many open failed notices there are, by connection id, without zeros."""
    rows = session.execute(_failed_of_companies.where(Notice.connection_id.in_(connection_ids)))
    return {connection_id: count for connection_id, count in rows if connection_id}


class NewNotice(Struct, frozen=True, kw_only=True, rename={"webhook_id": "delivery_id"}):
    """One event from the receiver, with the columns of the notice that it becomes.

    `reason` says why nothing can be done about it, `changed_at` is as `instant_text` writes it, and
    `duplicates` counts repetitions in the same batch.
    """

    dedupe_key: str
    format: str
    event_id: str | None = None
    realm_digest: str | None = None
    realm_sealed: str | None = None
    entity: str | None = None
    operation: str | None = None
    entity_id: str | None = None
    deleted_id: str | None = None
    changed_at: str | None = None
    body_sealed: str | None = None
    reason: str | None = None
    webhook_id: str | None = None
    duplicates: int = 0


def insert_notices(
    statements: Statements, notices: Iterable[NewNotice], environment: str, now: datetime
) -> set[str]:
    """Store each notice once; return the ids of connections that have one of them pending.

    A repetition raises the counter of the stored notice. It is one statement, because a small batch
    spent its time on round trips.
    """
    first: dict[str, NewNotice] = {}
    for notice in notices:
        known = first.setdefault(notice.dedupe_key, notice)
        if known is not notice:
            first[notice.dedupe_key] = replace(known, duplicates=known.duplicates + 1)
    if not first:
        return set()
    stored = statements.run(
        _insert_statement(statements.dialect),
        {
            "rows": rows_text(list(first.values())),
            "environment": environment,
            "now": instant_text(now),
        },
    )
    return {id_ for id_, status in stored if id_ is not None and status == NoticeStatus.PENDING}


@cache
def _insert_statement(dialect: str) -> ClauseElement:
    """Insert `:rows`, each for the connection of its company, if it has one."""
    given = rows_given(dialect, Notice, NewNotice.__struct_encode_fields__)
    now = instant_given(dialect, "now")
    stranger, ignored = Connection.id.is_(None), given.c.reason.is_not(None)
    row = {name: given.c[name] for name in NewNotice.__struct_encode_fields__} | {
        "connection_id": Connection.id,
        "realm_digest": case((stranger, given.c.realm_digest)),
        "realm_sealed": case((stranger, given.c.realm_sealed)),
        "received_at": now,
        "handled_at": case((ignored, now)),
        "status": case((ignored, NoticeStatus.IGNORED.value), else_=NoticeStatus.PENDING.value),
        "reason": case(
            (ignored, given.c.reason),
            (stranger, "no connection for this company yet: kept until it connects"),
            (
                Connection.state == ConnectionState.DISCONNECTED,
                "the company is disconnected: kept until it connects again",
            ),
        ),
        "attempts": literal(0),
        "losses": literal(0),
    }
    theirs = and_(
        Connection.environment == bindparam("environment"),
        Connection.realm_digest == given.c.realm_digest,
    )
    rows = (
        select(*row.values())
        .select_from(given.outerjoin(Connection, theirs))
        .where(true())  # or SQLite takes the ON of ON CONFLICT for the join's
        # In one order everywhere, so that two receivers with the same events cannot deadlock.
        .order_by(given.c.dedupe_key)
    )
    insert = insert_for(dialect, Notice).from_select(list(row), rows)
    return insert.on_conflict_do_update(
        index_elements=[Notice.dedupe_key],
        set_={"duplicates": Notice.duplicates + insert.excluded.duplicates + 1},
    ).returning(Notice.connection_id, Notice.status)
