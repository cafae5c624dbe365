"""A database in which something is wrong, row by row, at a moment of the test's choice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, update

from service.config.loading import settings_from
from service.config.settings import Settings
from service.coordination import circuit_breaker
from service.database.engine import Database
from service.database.tables import (
    Breaker,
    Connection,
    Heartbeat,
    Notice,
    Reads,
    Run,
    WebhookAnswers,
)
from service.database.types import database_now
from service.monitoring.checks import wrong_now
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.store import connections, runs
from tests.builders import a_connection
from tests.store.delivery_rows import DeliveryRows
from tests.workers.world import environment

NOW = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
SECONDS, MINUTES, HOURS, DAYS = (
    timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days")
)
LONG_AGO = NOW - timedelta(days=90)


def some_settings(**more: str) -> Settings:
    """Return settings of the simulator's environment."""
    return settings_from(environment("http://127.0.0.1:8700", "sqlite:///unused.db", **more))


@dataclass
class Scene:
    """Rows, and what is wrong with them."""

    database: Database
    settings: Settings = field(default_factory=some_settings)

    def wrong(self, now: datetime = NOW) -> list[Condition]:
        """Return what is wrong."""
        with self.database.read() as session:
            return wrong_now(Facts(session, self.settings, now))

    def causes(self, now: datetime = NOW) -> list[str]:
        """Return the causes of what is wrong."""
        return [condition.cause for condition in self.wrong(now)]

    def company(self, connection_id: str = "c1", **fields: Any) -> str:
        """Add a company, connected for long unless the fields say otherwise."""
        given = {"reconcile_due_at": NOW + timedelta(days=1), "proved_at": NOW, **fields}
        with self.database.write() as session:
            supplier_id = connections.ensure_supplier(session, "s@example.com", "S", "", LONG_AGO)
            session.add(a_connection(connection_id, supplier_id, LONG_AGO, **given))
        return connection_id

    def change(self, connection_id: str = "c1", **values: Any) -> None:
        """Change the company's row."""
        with self.database.write() as session:
            session.execute(
                update(Connection).where(Connection.id == connection_id).values(**values)
            )

    def reconciled(self, connection_id: str = "c1", *, ago: timedelta, **fields: Any) -> None:
        """Add a reconcile that ended so long ago."""
        given = {"cause": "daily", "state": "done", **fields}
        with self.database.write() as session:
            session.add(
                Run(
                    connection_id=connection_id,
                    kind=given.pop("kind", "reconcile"),
                    tally=given.pop("tally", runs.EMPTY_RECONCILE),
                    created_at=NOW - ago,
                    finished_at=NOW - ago,
                    **given,
                )
            )

    def run(self, run_id: int, **values: Any) -> None:
        """Change a run's row."""
        with self.database.write() as session:
            session.execute(update(Run).where(Run.id == run_id).values(**values))

    def notices(
        self, count: int, connection_id: str | None = "c1", *, ago: timedelta, **fields: Any
    ) -> None:
        """Add notices that came so long ago."""
        given = {"status": "pending", "received_at": NOW - ago, **fields}
        with self.database.write() as session:
            session.add_all(
                Notice(connection_id=connection_id, format="cloudevents", **given)
                for _ in range(count)
            )

    def end_notices(self, **values: Any) -> None:
        """Change every notice."""
        with self.database.write() as session:
            session.execute(update(Notice).values(**values))

    def webhooks(self, count: int, outcome: str, *, ago: timedelta) -> None:
        """Add so many deliveries of the minute that long ago."""
        minute = (NOW - ago).replace(second=0, microsecond=0)
        with self.database.write() as session:
            session.add(WebhookAnswers(minute=minute, outcome=outcome, count=count))

    def reads(self, count: int, month: str = "2026-11", connection_id: str = "c1") -> None:
        """Let the company have cost so many reads in a month."""
        with self.database.write() as session:
            session.merge(
                Reads(connection_id=connection_id, month=month, kind="query", count=count)
            )

    def deliver(self) -> None:
        """Let invoices be delivered into Infactor's own database from now on."""
        mongodb = {"URL": "mongodb://127.0.0.1:9", "DATABASE": "unused"}
        self.settings = some_settings(**{f"INFACTOR_MONGODB_{n}": v for n, v in mongodb.items()})

    def rows(self, connection_id: str = "c1") -> DeliveryRows:
        """Return what adds invoices, receipts and findings of this company."""
        return DeliveryRows(self.database, connection_id)

    def infactor_away(self, seconds: float, why: str = "no answer") -> None:
        """Let Infactor's own database have been away for so long."""
        with self.database.write() as session:
            circuit_breaker.failed(session, "infactor", why)
        with self.database.write() as session:
            session.execute(update(Breaker).values(since=database_now() - seconds))

    def infactor_works(self) -> None:
        """Let it answer again."""
        with self.database.write() as session:
            circuit_breaker.works(session, "infactor")

    def last_beat(self, name: str, seconds: float) -> None:
        """Let a process of this kind have been alive so many seconds ago."""
        with self.database.write() as session:
            session.execute(delete(Heartbeat).where(Heartbeat.name == name))
            session.add(Heartbeat(name=name, at=database_now() - seconds))
