"""What the receiver stores: new notices, and the one statement that inserts them."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ClauseElement, and_, bindparam, case, literal, select, true

from service.database.engine import Statements
from service.database.tables import Connection, Notice
from service.database.types import instant_text
from service.database.upsert import insert_for, instant_given, rows_given, rows_text
from service.domain import ConnectionState, NoticeStatus


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
        _statement(statements.dialect),
        {
            "rows": rows_text(list(first.values())),
            "environment": environment,
            "now": instant_text(now),
        },
    )
    return {id_ for id_, status in stored if id_ is not None and status == NoticeStatus.PENDING}


@cache
def _statement(dialect: str) -> ClauseElement:
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
