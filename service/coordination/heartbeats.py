"""Heartbeats: when a process of each kind was last alive, and how many webhooks were answered.

Ages are seconds of the database's own clock, so that no two machines' clocks are compared.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, func, select, update
from sqlalchemy.orm import Session

from service.coordination import clocks
from service.database.tables import Connection, Heartbeat, WebhookAnswers
from service.database.types import LONGEST_FENCE, database_now
from service.database.upsert import insert
from service.domain import ConnectionState
from service.kit.clock import followed_now

BEAT_SECONDS = 10.0
# After a longer gap without a receiver, each company is asked for what was missed.
LONGEST_GAP_SECONDS = 300.0
_SPREAD = timedelta(minutes=10)

_TRIAL = "trial"  # nobody's: when the database last took a write for the sake of it

_since = database_now() - Heartbeat.at
# One from the future was left before the clock was set back, by as much at least.
_age = case((_since < -LONGEST_FENCE, -_since), (_since < 0, 0.0), else_=_since)
_ages = select(Heartbeat.name, Heartbeat.at, _age, database_now()).where(Heartbeat.name != _TRIAL)


def beat(session: Session, name: str) -> float | None:
    """Note that a process of this kind is alive; return the seconds since any last was, or None.

    None is the first ever. Of several that come back at once, only the first learns of the gap.
    """
    now = database_now()
    gap = session.execute(
        select(_age).where(Heartbeat.name == name).with_for_update()
    ).scalar_one_or_none()
    statement = insert(session, Heartbeat).values(name=name, at=now)
    session.execute(
        statement.on_conflict_do_update(index_elements=[Heartbeat.name], set_={"at": now})
    )
    return None if gap is None else float(gap)


def try_to_write(session: Session) -> None:
    """Write what nobody needs: it fails where the database answers, but takes no writes."""
    beat(session, _TRIAL)


def ages(session: Session) -> dict[str, float]:
    """Return how many seconds ago any process of each kind was last alive, at least.

    When the database's clock is set, its times of before say nothing: a process that has not heard
    of it counts by the clock as it was, and everybody else from the step on.
    """
    followed, since_step = followed_now(), clocks.seconds_since_step(session)
    found: dict[str, float] = {}
    for name, at, age, present in session.execute(_ages):
        known = [float(age)]
        if followed is not None and abs(present - followed) > clocks.STEP_SECONDS:
            known.append(max(0.0, followed - at))
        if since_step is not None:
            known.append(since_step)
        found[name] = min(known)
    return found


def reconcile_soon(session: Session, environment: str, now: datetime) -> int:
    """Spread later reconciles of connected companies over ten minutes; return how many moved."""
    ids = session.scalars(
        select(Connection.id)
        .where(
            Connection.environment == environment,
            Connection.state == ConnectionState.CONNECTED,
            Connection.reconcile_due_at > now,
        )
        .order_by(Connection.id)
    ).all()
    if ids:
        session.connection().execute(
            update(Connection)
            .where(Connection.id == bindparam("id_"), Connection.reconcile_due_at > bindparam("at"))
            .values(reconcile_due_at=bindparam("at")),
            [
                {"id_": connection_id, "at": now + _SPREAD * number / len(ids)}
                for number, connection_id in enumerate(ids)
            ],
        )
    return len(ids)


def add_answers(session: Session, counts: Mapping[tuple[datetime, str], int]) -> None:
    """Add what one receiver has counted, by (minute, outcome)."""
    # In one order everywhere, so that two receivers cannot deadlock.
    for (minute, outcome), count in sorted(counts.items()):
        statement = insert(session, WebhookAnswers).values(
            minute=minute, outcome=outcome, count=count
        )
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[WebhookAnswers.minute, WebhookAnswers.outcome],
                set_={"count": WebhookAnswers.count + statement.excluded.count},
            )
        )


def answers_since(session: Session, since: datetime) -> dict[str, int]:
    """Return how many webhooks were answered since then, by outcome."""
    rows = session.execute(
        select(WebhookAnswers.outcome, func.sum(WebhookAnswers.count))
        .where(WebhookAnswers.minute >= since)
        .group_by(WebhookAnswers.outcome)
    )
    return {outcome: int(count) for outcome, count in rows}
