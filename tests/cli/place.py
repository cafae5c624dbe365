"""A folder in which commands are typed, on a SQLite database that tests fill themselves."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.config.loading import settings_from
from service.database import schema
from service.database.tables import Connection, Notice
from service.jobs import receiver_broker
from service.services import Services, build_services
from service.store import connections
from tests import builders, commands, databases
from tests.journey.deployment import SECRETS

NOW = datetime(2026, 11, 22, 9, 36, tzinfo=UTC)


@dataclass
class Place:
    """A working folder and the settings of its commands."""

    folder: Path
    settings: dict[str, str] = field(default_factory=lambda: dict(SECRETS))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return how a command ended and what it printed."""
        env = {"PATH": os.environ["PATH"], **self.settings}
        return commands.run(*arguments, env=env, cwd=self.folder)

    def with_settings(self, changes: Mapping[str, str]) -> "Place":
        """Return the same folder with other settings."""
        return Place(self.folder, {**self.settings, **changes})

    @contextmanager
    def services(self) -> Iterator[Services]:
        """Give the services of these settings, on a prepared database."""
        url = f"sqlite:///{self.folder}/infactor-quickbooks.db"
        services = build_services(
            settings_from({"DATABASE_URL": url, **self.settings}), receiver_broker(None)
        )
        try:
            if services.database.is_sqlite:
                databases.copy_migrated_sqlite(Path(str(services.database.engine.url.database)))
            else:
                schema.migrate(services.database)
            yield services
        finally:
            services.close()

    def add_company(self, realm_id: str, name: str, state: str = "connected") -> str:
        """Store a company's connection; return the connection's id."""
        with self.services() as services, services.database.write() as session:
            email = "supplier@example.com"
            supplier_id = connections.ensure_supplier(session, email, "Supplies", "", NOW)
            added = a_connection(services, supplier_id, realm_id, name, state)
            connections.add(session, added)
            return added.id

    def add_notices(self, *notices: Notice) -> list[int]:
        """Store notices; return their ids."""
        with self.services() as services, services.database.write() as session:
            session.add_all(notices)
            session.flush()
            return [notice.id for notice in notices]


def a_connection(
    services: Services, supplier_id: int, realm_id: str, name: str, state: str
) -> Connection:
    connection_id = f"connection-of-{realm_id}"
    return builders.a_connection(
        connection_id,
        supplier_id,
        NOW,
        environment=services.settings.quickbooks_environment,
        realm_digest=services.vault.digest(realm_id),
        realm_sealed=services.access.seal_realm_id(connection_id, realm_id),
        company_name=name,
        state=state,
        last_synced_at=NOW,
    )


def a_notice(connection_id: str, status: str, **fields: Any) -> Notice:
    """A notice about invoice 145 that was received at NOW, or `minutes` later."""
    minutes = fields.pop("minutes", 0)
    given = {"entity": "Invoice", "entity_id": "145", "operation": "Update", **fields}
    return Notice(
        connection_id=connection_id,
        format="legacy",
        received_at=NOW + timedelta(minutes=minutes),
        status=status,
        **given,
    )


def rows(place: Place, *arguments: str) -> list[dict[str, Any]]:
    """Return what a command prints with `--json`, each line decoded."""
    ended = place.run(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def an_invoice(quickbooks_id: str, **fields: Any) -> dict[str, Any]:
    changed = f"2026-10-01T09:19:{int(quickbooks_id) % 60:02}-07:00"
    given = {
        "MetaData": {"CreateTime": "2026-09-29T23:30:00-07:00", "LastUpdatedTime": changed},
        "DocNumber": f"C-{quickbooks_id}",
        "TotalAmt": 10.5,
        "Balance": 10.5,
        "BillEmail": {"Address": "buyer@example.com"},
        "CustomerRef": {"value": "7", "name": "Buyer"},
    }
    return builders.an_invoice(quickbooks_id, **{**given, **fields})
