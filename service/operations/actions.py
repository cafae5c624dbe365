"""What operators do, on the command line or in a browser. Each action leaves a line in the audit.

Each commits before it returns, unless it takes a session. The caller sends the nudges afterwards.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import Connection, FeedEvent, Finding, ReconcileCursor, Run
from service.domain import ConnectionState, OwnNotice, RunCause
from service.errors import SyncError
from service.kit.clock import now
from service.queries import notices
from service.services import Services
from service.store import (
    approvals,
    audit,
    connection_lifecycle,
    connections,
    event_feed,
    findings,
    inbox,
    own_notices,
    runs,
    sessions,
    watermarks,
)

_LONGEST_NOTE = 500


def pause(database: Database, connection_id: str, actor: str) -> bool:
    """Pause the company: nobody calls QuickBooks for it. Return False if it is paused already."""
    return _once(database, connection_id, actor, "pause", connection_lifecycle.suspend)


def resume(database: Database, connection_id: str, actor: str) -> bool:
    """End the pause, and ask for what was missed; return False if there was none."""
    return _once(database, connection_id, actor, "resume", connection_lifecycle.resume)


def release(database: Database, connection_id: str, actor: str) -> bool:
    """Let any supplier connect the company next; return False while it is connected."""
    return _once(database, connection_id, actor, "release", connection_lifecycle.release)


def reset_watermarks(database: Database, connection_id: str, actor: str) -> bool:
    """Put watermarks that lie ahead of the clock back, and reconcile the company at once.

    Returns False when none does.
    """
    return _once(database, connection_id, actor, "reset watermarks", watermarks.reset)


def _once(
    database: Database,
    connection_id: str,
    actor: str,
    action: str,
    change: Callable[[Session, str, datetime], bool],
) -> bool:
    """Change the company, with a line in the audit if that changed anything."""
    with database.write() as session:
        connections.lock(session, connection_id)
        changed = change(session, connection_id, now())
        if changed:
            audit.record(session, actor, action, connection_id, {}, now())
    return changed


def link(database: Database, connection_id: str, actor: str) -> None:
    """Record in the audit that a link was made for the company's supplier to connect it again."""
    with database.write() as session:
        audit.record(session, actor, "link", connection_id, {}, now())


def invite(
    database: Database, supplier_id: int | None, actor: str, *, another_company: bool
) -> None:
    """Record in the audit that a link was made for a supplier, who may not be known here yet."""
    details = {"supplier": supplier_id, "another_company": another_company}
    with database.write() as session:
        audit.record(session, actor, "invite", None, details, now())


def log_out(database: Database, supplier_id: int, actor: str) -> int:
    """End the supplier's sessions in every browser; return how many were living."""
    with database.write() as session:
        ended = sessions.end_all(session, supplier_id, now())
        if ended:
            details = {"supplier": supplier_id, "sessions": ended}
            audit.record(session, actor, "log out", None, details, now())
    return ended


def sync(session: Session, connection_id: str, actor: str) -> int:
    """Ask for what changed in the company since the watermark; return the notice's id."""
    notice_id = own_notices.ask_for_changes(session, connection_id, OwnNotice.SYNC, now())
    audit.record(session, actor, "sync", connection_id, {}, now())
    return notice_id


def backfill(session: Session, connection_id: str, since: datetime | None, actor: str) -> int:
    """Begin or join the company's backfill, which is due at once; return its id."""
    run_id = runs.create_or_join(session, connection_id, RunCause.COMMAND, since, now())
    connections.call_again(session, connection_id, barred=True)
    runs.hurry(session, run_id)
    details = {"run": run_id, "since": since}
    audit.record(session, actor, "backfill", connection_id, details, now())
    return run_id


def reconcile(
    session: Session, connection_id: str, fix: bool, actor: str, *, overrule: bool = False
) -> int:
    """Begin or join the company's reconcile over everything, likewise; return its id.

    With `overrule` it fixes even where the record looks newer than what QuickBooks says now.
    """
    order: ReconcileCursor = {"full": True, "fix": fix}
    if overrule:
        order["overrule"] = True
    run_id = runs.begin_reconcile(session, connection_id, RunCause.COMMAND, order, now())
    connections.call_again(session, connection_id, barred=True)
    runs.hurry(session, run_id)
    details = {"run": run_id, "fix": fix, "overrule": overrule}
    audit.record(session, actor, "reconcile", connection_id, details, now())
    return run_id


def decide(session: Session, run: Run, actor: str, *, reject: bool) -> None:
    """Let a stopped run go on and not stop again, or end it; the caller has locked the run."""
    if reject:
        approvals.reject(session, run, now())
    else:
        approvals.approve(session, run)
    details = {"run": run.id, "kind": run.kind}
    action = "drop" if reject else "confirm"
    audit.record(session, actor, action, run.connection_id, details, now())


def replay(
    database: Database,
    connection_ids: Collection[str],
    actor: str,
    options: dict[str, Any],
    **chosen: Any,
) -> tuple[int, set[str]]:
    """Make the chosen notices of these companies pending again; return (how many, whose).

    A pause that errors caused ends, so that they are tried at once.

    `chosen` is what `notices.replay` takes, `options` what the audit says of it.
    """
    with database.write() as session:
        # Before the notices, as a sync does: else each could wait for the other.
        connections.lock_all(session, connection_ids)
        count, whose = notices.replay(session, connection_ids, now(), **chosen)
        for connection_id in sorted(whose):
            connections.call_again(session, connection_id)
        if count:
            entry = {"events": count, "companies": len(whose), **options}
            only = next(iter(whose)) if len(whose) == 1 else None
            audit.record(session, actor, "replay", only, entry, now())
    return count, whose


def acknowledge(
    database: Database,
    finding_id: int,
    environment: str,
    note: str,
    actor: str,
    *,
    seen: datetime | None = None,
) -> Finding | None:
    """Mark an open finding as handled; return None if there is none, or not as it was `seen`."""
    with database.write() as session:
        kept = note.strip()[:_LONGEST_NOTE]
        found = findings.acknowledge(session, finding_id, environment, kept, now(), seen=seen)
        if found is not None:
            details = {
                "finding": finding_id,
                "kind": found.kind,
                "fields": [one["field"] for one in found.fields],
            }
            audit.record(session, actor, "acknowledge", found.connection_id, details, now())
    return found


def skip_event(database: Database, environment: str, event_id: str, actor: str) -> FeedEvent | None:
    """Send an event that EVENTS_URL has refused no more; return None if none of this id is so."""
    with database.write() as session:
        skipped = event_feed.skip(session, environment, event_id)
        if skipped is not None:
            details = {"feed_event": event_id, "type": skipped.type, "attempts": skipped.attempts}
            audit.record(session, actor, "skip event", skipped.connection_id, details, now())
    return skipped


def retry_events(
    database: Database, environment: str, actor: str, event_id: str | None = None
) -> int:
    """Send what EVENTS_URL has refused again now, or this one event of it; return how many."""
    with database.write() as session:
        count = event_feed.hurry(session, environment, event_id)
        if count:
            details = {"feed_events": count} if event_id is None else {"feed_event": event_id}
            audit.record(session, actor, "retry events", None, details, now())
    return count


def is_readable(connection: Connection) -> bool:
    """Return whether the company is connected and not paused."""
    return connection.state == ConnectionState.CONNECTED and connection.suspended_at is None


def retry(services: Services, connection_id: str, actor: str) -> None:
    """End every wait that failures caused for this company, so that workers retry at once.

    Where QuickBooks has ended the connection, its last token is tried now: raises Disconnected if
    it is dead, another SyncError if nobody can tell. One that was ended on purpose has no token.
    """
    with services.database.read() as session:
        connection = connections.get(session, connection_id)
    if connection is not None and connection.state == ConnectionState.DISCONNECTED:
        try:
            services.access.revive(connection_id)
        except SyncError as e:
            with services.database.write() as session:
                audit.record(session, actor, "retry", connection_id, {"why": str(e)}, now())
            raise
    with services.database.write() as session:
        connections.call_again(session, connection_id)
        waiting = inbox.hurry(session, connection_id, now())
        waiting += len(runs.hurry_all(session, connection_id))
        # With nothing left to do, a read shows whether the company lets us in again.
        if not waiting and not approvals.waiting(session, [connection_id]):
            own_notices.ask_for_changes(session, connection_id, OwnNotice.SYNC, now())
        audit.record(session, actor, "retry", connection_id, {}, now())
