"""Notices as operators list, search and retry them."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, and_, case, or_, select, update
from sqlalchemy.orm import Session, aliased

from service.database.tables import Connection, Invoice, Notice, NoticeAttempt
from service.database.types import written_out
from service.domain import ConnectionState, NoticeStatus, OwnNotice
from service.queries import companies
from service.store import findings

_MOST = 100
_WEBHOOK_ID = re.compile(r"[0-9a-f]{32}")


def newest(
    session: Session,
    before: int | None,
    limit: int,
    statuses: Collection[str] = tuple(NoticeStatus),
) -> Sequence[Notice]:
    """Return the notices below the id `before` in one of these statuses, the newest first."""
    query = select(Notice).where(*_in_status(statuses))
    if before is not None:
        query = query.where(Notice.id < before)
    return session.scalars(query.order_by(Notice.id.desc()).limit(limit)).all()


def companies_of(
    session: Session, environment: str, notice_ids: Collection[int]
) -> Sequence[Connection]:
    """Return the companies that these notices are about."""
    theirs = select(Notice.connection_id).where(Notice.id.in_(notice_ids))
    query = select(Connection).where(
        Connection.environment == environment, Connection.id.in_(theirs)
    )
    return session.scalars(query).all()


def replay(
    session: Session,
    connection_ids: Collection[str],
    now: datetime,
    *,
    notice_ids: Collection[int] | None = None,
    invoice_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[int, set[str]]:
    """Make failed and done notices of these companies pending again; return (how many, whose).

    A notice only names what to read, so repeating it changes nothing. Ignored ones stay ignored.
    """
    chosen = [
        Notice.connection_id.in_(connection_ids),
        Notice.status.in_((NoticeStatus.FAILED, NoticeStatus.DONE)),
        *([Notice.id.in_(notice_ids)] if notice_ids is not None else []),
        *(
            [Notice.entity == "Invoice", Notice.entity_id == invoice_id]
            if invoice_id is not None
            else []
        ),
        *([Notice.received_at >= since] if since is not None else []),
        *([Notice.received_at < until] if until is not None else []),
    ]
    put_back = session.execute(
        update(Notice)
        .where(*chosen)
        .values(
            status=NoticeStatus.PENDING,
            # As when work begins: a place that is met again then gets a new notice.
            dedupe_key=case((Notice.event_id.is_not(None), Notice.dedupe_key)),
            reason=case(
                (Notice.operation == OwnNotice.UNREADABLE, Notice.reason),  # where it is
                else_="retried by an operator",
            ),
            attempts=0,
            losses=0,
            # From now on it counts as waiting, not from when it came.
            due_at=now,
            handled_at=None,
            error_class=None,
            error_message=None,
            intuit_tid=None,
        )
        .returning(Notice.connection_id)
    )
    owners = [owner for owner in put_back.scalars() if owner is not None]
    return len(owners), set(owners)


def found(
    session: Session,
    environment: str,
    *,
    before: int | None = None,
    statuses: Collection[str] = tuple(NoticeStatus),
    text: str = "",
    limit: int,
) -> Sequence[Notice]:
    """Return the notices below the id `before` that match this text, the newest first.

    It may be an invoice's number, an id of QuickBooks, a webhook or Intuit (intuit_tid), a
    connection's id, or part of a company's name.
    """
    query = select(Notice).where(is_ours(environment)).order_by(Notice.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Notice.id < before)
    query = query.where(*_in_status(statuses))
    if text:
        query = query.where(_about(session, environment, text))
    return session.scalars(query).all()


def _in_status(statuses: Collection[str]) -> list[ColumnElement[bool]]:
    """Return the condition on the status, if any; a single one leads to its partial index.

    The index of what is open is by company. So ids are taken from it first, as SQLite would else
    walk through all notices in their order.
    """
    if set(statuses) == set(NoticeStatus):
        return []
    if len(statuses) > 1:
        return [Notice.status.in_(statuses)]
    (status,) = statuses
    written = written_out(NoticeStatus(status))
    if status not in (NoticeStatus.PENDING, NoticeStatus.FAILED):
        return [Notice.status == written]
    one_of_them = aliased(Notice)
    return [Notice.id.in_(select(one_of_them.id).where(one_of_them.status == written))]


def one(session: Session, environment: str, notice_id: int) -> Notice | None:
    """Return the notice, unless it is of another environment."""
    return session.scalars(
        select(Notice).where(Notice.id == notice_id, is_ours(environment))
    ).first()


def failed_attempts(session: Session, notice_id: int, limit: int) -> Sequence[NoticeAttempt]:
    """Return the attempts at a notice that failed, the newest first."""
    return session.scalars(
        select(NoticeAttempt)
        .where(NoticeAttempt.notice_id == notice_id)
        .order_by(NoticeAttempt.id.desc())
        .limit(limit)
    ).all()


def invoice_of(session: Session, notice: Notice) -> str | None:
    """Return the row id of the recorded invoice that a notice is about, if it is about one."""
    if notice.entity != "Invoice" or notice.connection_id is None:
        return None
    return session.scalars(
        select(Invoice.id).where(
            Invoice.connection_id == notice.connection_id,
            Invoice.quickbooks_id == notice.entity_id,
        )
    ).first()


def is_ours(environment: str | BindParameter[str]) -> ColumnElement[bool]:
    """A condition: the notice is not of another environment; that of a stranger's is unknown."""
    elsewhere = select(Connection.id).where(Connection.environment != environment)
    return or_(Notice.connection_id.is_(None), Notice.connection_id.not_in(elsewhere))


def numbers(session: Session, some: Sequence[Notice]) -> dict[int, str]:
    """Return the numbers of the invoices that these notices are about, by notice id."""
    return {notice_id: number for notice_id, number in _numbers(session, some).items() if number}


def decided(session: Session, some: Sequence[Notice]) -> frozenset[int]:
    """Return the ids of those notices whose invoices have an open change after a decision."""
    return frozenset(_numbers(session, some, Invoice.id.in_(findings.changed())))


def _numbers(
    session: Session, some: Sequence[Notice], *which: ColumnElement[bool]
) -> dict[int, str]:
    """Return the numbers of those of the invoices that are recorded and meet these conditions."""
    about = {n.id: (n.connection_id, n.entity_id) for n in some if n.entity == "Invoice"}
    found = session.execute(
        select(Invoice.connection_id, Invoice.quickbooks_id, Invoice.doc_number).where(
            Invoice.connection_id.in_({company for company, _ in about.values()}),
            Invoice.quickbooks_id.in_({own_id for _, own_id in about.values()}),
            *which,
        )
    )
    names = {(company, own_id): number for company, own_id, number in found}
    return {notice_id: names[key] for notice_id, key in about.items() if key in names}


def has_waited(before: datetime | BindParameter[datetime]) -> list[ColumnElement[bool]]:
    """Conditions: the notice could have been worked on before then, and still waits.

    Waiting counts from when it came, or when it was replayed. One that is being retried still
    waits.
    """
    return [
        Notice.status == written_out(NoticeStatus.PENDING),
        Notice.received_at <= before,
        or_(Notice.due_at.is_(None), Notice.attempts > 0, Notice.due_at <= before),
    ]


def was_workable(
    environment: str | BindParameter[str], before: datetime | BindParameter[datetime]
) -> list[ColumnElement[bool]]:
    """Conditions: the company's notices could have been worked on ever since then."""
    return [
        Connection.environment == environment,
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
        Connection.renewed_at <= before,
    ]


def stuck(
    session: Session,
    environment: str,
    before: datetime,
    *,
    after: int | None = None,
    text: str = "",
    limit: int,
) -> Sequence[Notice]:
    """Return notices after the id `after` that should have been done by `before`, oldest first."""
    query = (
        select(Notice)
        .join(Connection, Connection.id == Notice.connection_id)
        .where(*has_waited(before), *was_workable(environment, before))
        .order_by(Notice.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Notice.id > after)
    if text:
        query = query.where(_about(session, environment, text))
    return session.scalars(query).all()


def _about(session: Session, environment: str, text: str) -> ColumnElement[bool]:
    """A condition: the notice matches this text, as far as texts of its shape can be meant.

    All but a webhook's id have an index, which every notice would pay for on its way in. That is
    sought in all of them, in no order, which is fastest.
    """
    if session.get(Connection, text) is not None:
        return Notice.connection_id == text
    if _WEBHOOK_ID.fullmatch(text):
        brought = select(Notice.id).where(Notice.webhook_id == text)
        return Notice.id.in_(session.scalars(brought).all())
    numbered = session.execute(
        select(Invoice.connection_id, Invoice.quickbooks_id)
        .where(Invoice.doc_number == text)
        .limit(_MOST)
    ).all()
    return or_(
        Notice.entity_id == text,
        Notice.intuit_tid == text,
        Notice.connection_id.in_(companies.named(session, environment, text, _MOST)),
        *(
            and_(
                Notice.connection_id == connection_id,
                Notice.entity == "Invoice",
                Notice.entity_id == quickbooks_id,
            )
            for connection_id, quickbooks_id in numbered
        ),
    )


def last_from_quickbooks(session: Session, connection_id: str, since: datetime) -> datetime | None:
    """Return when QuickBooks last sent something about the company, if it has since then."""
    return session.scalars(
        select(Notice.received_at)
        .where(
            Notice.connection_id == connection_id,
            Notice.received_at >= since,
            Notice.format != "own",
        )
        .order_by(Notice.received_at.desc())
        .limit(1)
    ).first()
