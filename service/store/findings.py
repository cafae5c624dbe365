"""Findings: differences for an operator to review, each until it is over."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, bindparam, case, func, select, update
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, Document, Finding, FoundField, Invoice
from service.database.tables.invoices import ALARMING
from service.database.types import among, condition
from service.domain import EventType, FindingKind, Severity
from service.store import event_feed
from service.store.event_feed import Happening


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found of one field of an invoice, as it is now.

    Those of one kind and `cause` are one finding: a rule's code, or "" where a kind has one cause.
    """

    field: str
    severity: Severity
    state: str
    approved: str | None = None
    current: str | None = None
    cause: str = ""

    def as_field(self) -> FoundField:
        """Return it as a finding keeps it."""
        return FoundField(
            field=self.field,
            severity=self.severity.value,
            approved=self.approved,
            current=self.current,
        )


def keep(
    session: Session,
    connection_id: str,
    found: Mapping[FindingKind, Mapping[str, Collection[Found]]],
    now: datetime,
) -> list[Finding]:
    """Make `found` the open findings of these kinds of these invoices; return the new ones.

    One of the same cause stays. If a field has changed or joined it that is as serious as the
    whole, it is no longer acknowledged. A finding without fields closes and stays in the history.
    """
    open_now = _open(session, found)
    begun: list[Finding] = []
    altered: list[Finding] = []
    for kind, by_invoice in found.items():
        for invoice_id, those in by_invoice.items():
            for cause, group in _by_cause(those).items():
                known = open_now.pop((kind, invoice_id, cause), None)
                if known is None:
                    known = Finding(
                        invoice_id=invoice_id,
                        connection_id=connection_id,
                        kind=kind,
                        cause=cause,
                        fields=[],
                        found_at=now,
                    )
                    session.add(known)
                    begun.append(known)
                    _set(known, group, now)
                elif _set(known, group, now):
                    altered.append(known)
    for over in open_now.values():
        over.closed_at = now
    session.flush()  # new ones get their ids
    _tell(session, EventType.FINDING_OPENED, begun, now)
    _tell(session, EventType.FINDING_CHANGED, altered, now)
    _tell(session, EventType.FINDING_CLOSED, list(open_now.values()), now)
    return begun


def _tell(session: Session, kind: EventType, found: Sequence[Finding], now: datetime) -> None:
    """Tell what became of these findings; without their texts, which may name other suppliers."""
    happenings = (
        Happening(
            type=kind,
            connection_id=one.connection_id,
            subject=str(one.id),
            invoice_id=one.invoice_id,
            data={
                "finding": one.id,
                "kind": one.kind,
                "cause": one.cause,
                "severity": one.severity,
                "state": one.state,
                "fields": [field["field"] for field in one.fields],
            },
        )
        for one in found
    )
    event_feed.tell(session, happenings, now)


def _by_cause(found: Collection[Found]) -> dict[str, list[Found]]:
    groups: dict[str, list[Found]] = {}
    for one in found:
        groups.setdefault(one.cause, []).append(one)
    return groups


def _set(finding: Finding, group: Sequence[Found], now: datetime) -> bool:
    """Let the finding have these fields; what was approved stays as it was first found.

    Return whether a field has changed.
    """
    before = {one["field"]: one for one in finding.fields}
    severity = min((one.severity for one in group), key=list(Severity).index)
    fields = [one.as_field() for one in group]
    for one in fields:
        one["approved"] = before.get(one["field"], one)["approved"]
    finding.state = group[0].state
    if fields == finding.fields:
        return False
    finding.fields, finding.severity, finding.changed_at = fields, severity.value, now
    if any(one != before.get(one["field"]) and one["severity"] == severity for one in fields):
        finding.acknowledged_at = finding.note = None
    return True


def _open(
    session: Session, found: Mapping[FindingKind, Mapping[str, Collection[Found]]]
) -> dict[tuple[str, str, str], Finding]:
    """Return the open findings that `found` may change, by kind, invoice and cause."""
    every = sorted({invoice_id for by_invoice in found.values() for invoice_id in by_invoice})
    if not every:
        return {}
    query = select(Finding).where(
        among(Finding.invoice_id, every),
        Finding.kind.in_(found.keys()),
        Finding.closed_at.is_(None),
    )
    return {
        (finding.kind, finding.invoice_id, finding.cause): finding
        for finding in session.scalars(query.with_for_update())
        if finding.invoice_id in found[FindingKind(finding.kind)]
    }


def open_of(session: Session, kind: FindingKind, invoice_ids: Collection[str]) -> set[str]:
    """Return those of these invoices that have an open finding of this kind."""
    return set(
        session.scalars(
            select(Finding.invoice_id).where(
                among(Finding.invoice_id, invoice_ids),
                Finding.kind == kind,
                Finding.closed_at.is_(None),
            )
        )
    )


def found_of(
    session: Session, kind: FindingKind, invoice_ids: Collection[str]
) -> dict[str, list[Found]]:
    """Return the open findings of this kind of these invoices, by invoice id."""
    found: dict[str, list[Found]] = {}
    query = select(Finding).where(
        among(Finding.invoice_id, sorted(invoice_ids)),
        Finding.kind == kind,
        Finding.closed_at.is_(None),
    )
    for finding in session.scalars(query) if invoice_ids else ():
        found.setdefault(finding.invoice_id, []).extend(
            Found(
                field=one["field"],
                severity=Severity(one["severity"]),
                state=finding.state,
                approved=one["approved"],
                current=one["current"],
                cause=finding.cause,
            )
            for one in finding.fields
        )
    return found


def open_of_company(session: Session, kind: FindingKind, connection_id: str) -> set[str]:
    """Return those of the company's invoices that have an open finding of this kind."""
    return set(
        session.scalars(
            select(Finding.invoice_id).where(
                Finding.connection_id == connection_id,
                Finding.kind == kind,
                Finding.closed_at.is_(None),
            )
        )
    )


def acknowledge(
    session: Session,
    finding_id: int,
    environment: str,
    note: str,
    now: datetime,
    *,
    seen: datetime | None = None,
) -> Finding | None:
    """Mark this open finding as handled by an operator; return None if there is none such.

    With `seen`, also None if it has changed since then or is acknowledged. It stays open, but
    alerts nobody unless it changes.
    """
    finding = session.scalars(
        select(Finding)
        .join(Connection, Connection.id == Finding.connection_id)
        .where(
            Finding.id == finding_id,
            Finding.closed_at.is_(None),
            Connection.environment == environment,
        )
        .with_for_update(of=Finding)
    ).first()
    if finding is None:
        return None
    if seen is not None and (finding.changed_at != seen or finding.acknowledged_at is not None):
        return None
    finding.acknowledged_at, finding.note = now, note
    return finding


def of_invoice(session: Session, invoice_id: str) -> Sequence[Finding]:
    """Return the open findings about an invoice, the oldest first."""
    return session.scalars(
        select(Finding)
        .where(Finding.invoice_id == invoice_id, Finding.closed_at.is_(None))
        .order_by(Finding.id)
    ).all()


def changed(*more: ColumnElement[bool]) -> Select[str]:
    """Return a query for the ids of invoices with an open, serious change after a decision."""
    return select(Finding.invoice_id).where(
        Finding.kind == FindingKind.CHANGED,
        Finding.closed_at.is_(None),
        Finding.severity != Severity.INFO,
        *more,
    )


def missing(connection_ids: Collection[str]) -> Select[str]:
    """Return a query for the ids of these companies' invoices whose document is gone."""
    return select(Finding.invoice_id).where(
        Finding.connection_id.in_(connection_ids),
        Finding.kind == FindingKind.MISSING,
        Finding.closed_at.is_(None),
    )


def changed_of(session: Session, invoice_ids: Collection[str]) -> frozenset[str]:
    """Return those of these invoices that `changed` names."""
    return frozenset(session.scalars(changed(Finding.invoice_id.in_(invoice_ids))))


def close_old(session: Session, kind: FindingKind, before: datetime, now: datetime) -> None:
    """Close the findings of this kind that were found before then."""
    closed = session.scalars(
        update(Finding)
        .where(Finding.kind == kind, Finding.closed_at.is_(None), Finding.found_at < before)
        .values(closed_at=now)
        .returning(Finding)
    ).all()
    _tell(session, EventType.FINDING_CLOSED, closed, now)


@dataclass(frozen=True, slots=True)
class Open:
    """How many findings of one company are open.

    `critical` counts the unacknowledged critical ones, of which the oldest was found at `since`.
    """

    connection_id: str
    company: str
    count: int
    critical: int
    since: datetime | None


_alarming = condition(ALARMING)
_by_company = (
    select(
        Connection.id,
        Connection.company_name,
        func.count(),
        func.count().filter(_alarming),
        func.min(Finding.found_at).filter(_alarming),
    )
    .join(Finding, Finding.connection_id == Connection.id)
    .where(Connection.environment == bindparam("environment"), Finding.closed_at.is_(None))
    .group_by(Connection.id, Connection.company_name)
)


def by_company(session: Session, environment: str) -> list[Open]:
    """Return the open findings of each company that has any."""
    return [Open(*row) for row in session.execute(_by_company, {"environment": environment})]


_number = (
    func.row_number().over(partition_by=Finding.connection_id, order_by=Finding.id).label("number")
)
_numbered = (
    select(Finding.id, _number)
    .join(Connection, Connection.id == Finding.connection_id)
    .where(Connection.environment == bindparam("environment"), _alarming)
    .subquery()
)


def alarming(session: Session, environment: str, most: int) -> "list[FindingEntry]":
    """Return the unacknowledged critical findings, the oldest `most` of each company."""
    chosen = select(_numbered.c.id).where(_numbered.c.number <= most)
    query = (
        _entries()
        .where(Finding.id.in_(chosen))
        .order_by(Finding.id)
        .params(environment=environment)
    )
    return [FindingEntry(*row) for row in session.execute(query)]


def by_severity(
    session: Session, environment: str, connection_id: str | None = None
) -> dict[str, int]:
    """Count the open findings by severity, of one company if it is given."""
    rows = session.execute(
        select(Finding.severity, func.count())
        .join(Connection, Connection.id == Finding.connection_id)
        .where(*_open_in(environment, connection_id))
        .group_by(Finding.severity)
    )
    return {**dict[str, int].fromkeys(Severity, 0), **{severity: count for severity, count in rows}}


def _open_in(environment: str, connection_id: str | None) -> list[ColumnElement[bool]]:
    ours = [Connection.environment == environment, Finding.closed_at.is_(None)]
    return ours if connection_id is None else [*ours, Finding.connection_id == connection_id]


@dataclass(frozen=True, slots=True)
class FindingEntry:
    """A finding with what it is about; `approved_currency` is its document's, if it has one."""

    finding: Finding
    invoice: Invoice
    company: Connection
    approved_currency: str | None


def _entries() -> Select[Finding, Invoice, Connection, str | None]:
    return (
        select(Finding, Invoice, Connection, Document.currency)
        .join(Invoice, Invoice.id == Finding.invoice_id)
        .join(Connection, Connection.id == Finding.connection_id)
        .join(Document, Document.invoice_id == Finding.invoice_id, isouter=True)
        .options(defer(Invoice.source))
    )


def page(
    session: Session,
    environment: str,
    severity: str,
    *,
    connection_id: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[FindingEntry]:
    """Return open findings of this severity below the id `before`, the newest first."""
    query = (
        _entries()
        .where(*_open_in(environment, connection_id), Finding.severity == severity)
        .order_by(Finding.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(Finding.id < before)
    return [FindingEntry(*row) for row in session.execute(query)]


def listed(
    session: Session, environment: str, *, history: bool, limit: int | None = None
) -> list[FindingEntry]:
    """Return open findings, or all with `history`: open first, then by severity, then newest."""
    urgency = case(
        (Finding.closed_at.is_not(None), len(Severity)),
        *((Finding.severity == severity, n) for n, severity in enumerate(Severity)),
        else_=len(Severity),
    )
    query = (
        _entries()
        .where(Connection.environment == environment)
        .order_by(urgency, Finding.id.desc())
        .limit(limit)
        .options(defer(Invoice.mapped))
    )
    if not history:
        query = query.where(Finding.closed_at.is_(None))
    return [FindingEntry(*row) for row in session.execute(query)]
