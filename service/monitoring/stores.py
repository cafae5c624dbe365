"""Whether the database and the queue take writes: one that is full or read-only answers a ping."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from service.coordination import heartbeats
from service.database.engine import Database
from service.domain import Severity
from service.jobs import Jobs
from service.kit.text import cause_of
from service.monitoring.condition import Condition


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why what all work stands on takes no writes; None where it does."""

    database: str | None = None
    queue: str | None = None

    def conditions(self) -> Iterator[Condition]:
        """Give a condition for each that takes none."""
        if self.database is not None:
            yield Condition(
                cause="database.refuses",
                severity=Severity.CRITICAL,
                text=f"The database takes no writes: {self.database}. Notifications are answered"
                " with 503, which QuickBooks repeats later, and nothing is brought up to date. Let"
                " it write again: end its read-only mode, or give it disk space.",
                command="infactor-quickbooks doctor",
            )
        if self.queue is not None:
            yield Condition(
                cause="queue.refuses",
                severity=Severity.CRITICAL,
                text=f"Redis takes no work: {self.queue}. Notifications are stored, but invoices"
                " stay as they are until it does; nothing is lost. Give Redis memory, a primary"
                " or its replicas again, and check REDIS_URL.",
                command="infactor-quickbooks doctor",
            )


def refusals(database: Database, jobs: Jobs) -> Refusals:
    """Return what each says to a write."""
    return Refusals(database_refusal(database), jobs.refusal())


def database_refusal(database: Database) -> str | None:
    """Return why the database commits nothing, or None where it does."""
    try:
        with database.write() as session:
            heartbeats.try_to_write(session)
    except DBAPIError as e:
        return cause_of(e.orig)
    return None
