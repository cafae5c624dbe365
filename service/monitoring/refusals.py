"""Whether the database and the queue take writes: one that is full or read-only answers a ping."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from service.coordination import heartbeats
from service.database.engine import Database
from service.domain import Severity
from service.jobs import Jobs, QueueTrouble
from service.kit.text import cause_of
from service.monitoring.condition import Condition


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why what all work stands on takes no writes; None where it does."""

    database: str | None = None
    queue: QueueTrouble | None = None

    def conditions(self) -> Iterator[Condition]:
        """Yield a condition for each that takes none."""
        if self.database is not None:
            yield Condition(
                cause="database.refuses",
                severity=Severity.CRITICAL,
                text=f"The database refuses writes: {self.database}. Webhooks are answered with"
                " 503, and QuickBooks sends them again later. No invoice is brought up to date."
                " Let it write again: end its read-only mode, or give it disk space.",
                command="infactor-quickbooks doctor",
            )
        if self.queue is not None and self.queue.is_away:
            yield Condition(
                cause="queue.away",
                severity=Severity.CRITICAL,
                text=f"Redis is not responding: {self.queue.why}. Webhooks are stored, but invoices"
                " are not brought up to date until it is back. Nothing is lost. Start Redis, and"
                " check REDIS_URL.",
                command="infactor-quickbooks doctor",
            )
        elif self.queue is not None:
            yield Condition(
                cause="queue.refuses",
                severity=Severity.CRITICAL,
                text=f"Redis refuses work: {self.queue.why}. Webhooks are stored, but invoices are"
                " not brought up to date until it does. Nothing is lost. Give Redis memory, its"
                " primary or its replicas again, and check REDIS_URL.",
                command="infactor-quickbooks doctor",
            )


def refusals(database: Database, jobs: Jobs) -> Refusals:
    """Return what each says to a write."""
    return Refusals(database_refusal(database), jobs.trouble())


def database_refusal(database: Database) -> str | None:
    """Return why the database commits nothing, or None where it does."""
    try:
        with database.write() as session:
            heartbeats.try_to_write(session)
    except DBAPIError as e:
        return cause_of(e.orig)
    return None
