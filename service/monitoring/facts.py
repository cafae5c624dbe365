"""What the checks of one moment ask the database for, each at most once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Row, bindparam, func, or_, select
from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.coordination import circuit_breaker, heartbeats, presence, rate_limit
from service.coordination.circuit_breaker import Broken
from service.coordination.presence import Living
from service.database.tables import Connection
from service.monitoring.refusals import Refusals
from service.store import connections, findings, infactor_outbox
from service.store.findings import Open
from service.store.infactor_outbox import Backlog

_NOT_ASKED = Refusals()
ENDING = timedelta(days=30)
THROTTLED = timedelta(minutes=15)

_is_throttled = Connection.throttled_since <= bindparam("throttled_before")
_by_state = (
    select(
        connections.company_state.label("state"),
        func.count().label("companies"),
        func.min(Connection.reconciled_until).label("reconciled_until"),
        func.count(Connection.keys_refused_since).label("keys_refused"),
        func.min(Connection.keys_refused_since).label("keys_refused_since"),
        func.count(Connection.outage_since).label("away"),
        func.min(Connection.outage_since).label("away_since"),
        func.max(Connection.outage).label("outage"),
        func.count().filter(_is_throttled).label("throttled"),
        func.min(Connection.throttled_since).filter(_is_throttled).label("throttled_since"),
    )
    .where(Connection.environment == bindparam("environment"))
    .group_by(connections.company_state)
)
# One statement for several checks, each of which takes its rows from these. So what it looks for
# has to be among the conditions, and what it reads among the columns.
_troubled = (
    select(
        *(Connection.id, Connection.company_name, Connection.state, Connection.problem),
        *(Connection.disconnected_at, Connection.suspended_at, Connection.barred_since),
        *(Connection.unasked, Connection.unasked_at, Connection.hard_expires_at),
    )
    .where(
        Connection.environment == bindparam("environment"),
        or_(
            Connection.problem.is_not(None),
            Connection.barred_since.is_not(None),
            Connection.unasked_at > bindparam("unasked_after"),
            Connection.hard_expires_at <= bindparam("ends_before"),
        ),
    )
    .order_by(Connection.id)
)


@dataclass(frozen=True)
class Facts:
    """The database at one moment, with the settings; what several checks ask for is kept."""

    session: Session
    settings: Settings
    now: datetime
    refusals: Refusals = _NOT_ASKED

    @property
    def environment(self) -> str:
        return self.settings.quickbooks_environment

    @property
    def month(self) -> str:
        """The month of the meter of reads: YYYY-MM."""
        return f"{self.now:%Y-%m}"

    @cached_property
    def by_state(self) -> Mapping[str, Row[Any]]:
        """How many companies are in each `CompanyState`, and how they fare; none has no row."""
        values = {"environment": self.environment, "throttled_before": self.now - THROTTLED}
        return {row.state: row for row in self.session.execute(_by_state, values)}

    @cached_property
    def troubled(self) -> Sequence[Row[Any]]:
        """The companies of which their own row says that something may be wrong."""
        values = {
            "environment": self.environment,
            "unasked_after": self.now - connections.UNASKED_WHILE,
            "ends_before": self.now + ENDING,
        }
        return list(self.session.execute(_troubled, values))

    @cached_property
    def beats(self) -> Mapping[str, float]:
        """Seconds since a process of each kind was alive."""
        return heartbeats.ages(self.session)

    @cached_property
    def processes(self) -> Sequence[Living]:
        """The processes that are alive."""
        return presence.living(self.session)

    @cached_property
    def reads(self) -> int:
        """How many metered reads were made this month."""
        return rate_limit.reads_used(self.session, self.month)

    @cached_property
    def findings(self) -> Sequence[Open]:
        """The open findings of each company that has any."""
        return findings.by_company(self.session, self.environment)

    @cached_property
    def away(self) -> Broken | None:
        """For how long Infactor's own database has been away; None also where there is none."""
        return (
            circuit_breaker.broken(self.session, circuit_breaker.INFACTOR)
            if self.settings.delivers
            else None
        )

    @cached_property
    def outgoing(self) -> Backlog:
        """The backlog for Infactor's own database; empty where there is none."""
        if not self.settings.delivers:
            return Backlog(0, None, 0)
        return infactor_outbox.backlog(self.session, self.environment)
