"""What the checks of one moment ask the database for, each at most once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.coordination import circuit_breaker, heartbeats, presence, rate_limit
from service.coordination.circuit_breaker import Broken
from service.coordination.presence import Living
from service.monitoring.refusals import Refusals
from service.store import findings, infactor_outbox
from service.store.findings import Open
from service.store.infactor_outbox import Backlog

_NOT_ASKED = Refusals()


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
