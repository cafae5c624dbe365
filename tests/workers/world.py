"""A company at the simulator, connected to a service on a database of its own."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from dramatiq import Broker, Message
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import ColumnElement, delete, func, select, text, update
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.database.tables import (
    Base,
    Connection,
    Customer,
    Lease,
    Notice,
    Pace,
    Reads,
    Revision,
    Run,
)
from service.database.types import database_now
from service.infactor.document_lifecycle import is_withdrawn
from service.infactor.rules.book import RuleChange, rule_book
from service.infactor.rules.rule import Mode, Profile
from service.jobs import Jobs
from service.kit.clock import now
from service.quickbooks.oauth import Tokens
from service.quickbooks.webhooks import sign
from service.services import Services, build_services
from service.simulator.app import RunningSimulator
from service.simulator.config import SimulatorConfig
from service.simulator.faults import Fault, poisoned
from service.simulator.records import Record, Shelf
from service.store import connections, invoices, runs, watermarks
from service.store import tokens as authorisations
from service.store.tokens import SealedTokens
from tests import databases
from tests.builders import a_connection, a_customer, an_invoice  # noqa: F401 - of a world, too
from tests.servers import wait_until
from workers.rejudging import judge_company
from workers.runs.run import advance, work_on_run
from workers.sync import sync_company
from workers.upkeep import requeue_due

VERIFIER = "a-verifier-token"
REALM = "9341455000000001"

CONFIG = SimulatorConfig(
    client_id="client-1",
    client_secret="secret-1",
    verifier_token=VERIFIER,
    redirect_uri="http://localhost:3000/quickbook/connect",
)


# Let the database fail at one step, so that the whole transaction must be undone. With a name of
# its own each time, because SQLite looks for it in the schema as this connection last saw it.
REFUSE = {
    "sqlite": (
        "CREATE TRIGGER {name} BEFORE {step} BEGIN SELECT RAISE(ABORT, 'refused'); END",
        "DROP TRIGGER {name}",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused'; END $$;"
        " CREATE TRIGGER {name} BEFORE {step} EXECUTE FUNCTION refuse()",
        "DROP FUNCTION refuse CASCADE",
    ),
}
DOCUMENTS = "INSERT ON documents FOR EACH ROW WHEN (NEW.revision > 0)"
ENDS_OF_NOTICES = "UPDATE ON notices FOR EACH ROW WHEN (NEW.status = 'done')"
CHECKPOINTS = "UPDATE ON runs FOR EACH ROW WHEN (NEW.cursor IS NOT NULL)"


def environment(simulator_url: str, database_url: str, **more: str) -> dict[str, str]:
    """Return the settings of a service that talks to this simulator."""
    return {
        "QUICKBOOKS_CLIENT_ID": CONFIG.client_id,
        "QUICKBOOKS_CLIENT_SECRET": CONFIG.client_secret,
        "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": VERIFIER,
        "QUICKBOOKS_ENVIRONMENT": "simulator",
        "QUICKBOOKS_SIMULATOR_URL": simulator_url,
        "DATABASE_URL": database_url,
        "SECRET_KEY": "s" * 40,
        "INFACTOR_SHARED_SECRET": "i" * 40,
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"k" * 32).decode(),
        **more,
    }


def an_event(entity: str, quickbooks_id: str, operation: str, **fields: Any) -> dict[str, Any]:
    """Return one CloudEvent as Intuit sends it."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "intuit.c291cmNl",
        "type": f"qbo.{entity.lower()}.{operation}.v1",
        "time": "2026-11-20T16:19:17Z",
        "intuitentityid": quickbooks_id,
        "intuitaccountid": REALM,
        **fields,
    }


def legacy_body(entity: str, quickbooks_id: str, operation: str, at: str) -> bytes:
    """Return a delivery of one event in the legacy format, which has no event ids."""
    entities = [
        {"name": entity, "id": quickbooks_id, "operation": operation, "lastUpdated": at},
    ]
    notification = {"realmId": REALM, "dataChangeEvent": {"entities": entities}}
    return json.dumps({"eventNotifications": [notification]}).encode()


class PoisonedShelf(Shelf):
    """The records of an entity at the simulator, some of which QuickBooks cannot show."""

    def __init__(self, shelf: Shelf, ids: Sequence[str], fault: Fault) -> None:
        self.__dict__.update(shelf.__dict__)
        self._poisoned = ids
        self._fault = fault

    def get(self, id_: str) -> Record | None:
        """Return the record, or raise the fault."""
        if id_ in self._poisoned:
            raise self._fault
        return super().get(id_)


class InterruptedShelf(Shelf):
    """The records of an entity at the simulator; something happens whenever a page is read."""

    def __init__(self, shelf: Shelf, happens: Callable[[], object]) -> None:
        self.__dict__.update(shelf.__dict__)
        self._happens = happens

    def by_change(self, *bounds: Any, descending: bool = False) -> Sequence[Record]:
        """Return the records in the order of change, after what happens."""
        self._happens()
        return super().by_change(*bounds, descending=descending)


@dataclass
class World:
    """What a test of the background work needs, in the words of its story."""

    services: Services
    simulator: RunningSimulator
    web: TestClient
    http: httpx.Client
    database_url: str = ""
    connection_id: str = ""
    others: list[Services] = field(default_factory=list)

    # What people do in QuickBooks.

    def put(self, entity: str, *records: dict[str, Any], realm: str = REALM) -> None:
        """Create or replace records in QuickBooks."""
        self.order("PUT", f"companies/{realm}/{entity}", list(records))

    def delete(self, entity: str, quickbooks_id: str, **params: str) -> None:
        """Delete a record in QuickBooks."""
        self.order("DELETE", f"companies/{REALM}/{entity}/{quickbooks_id}", params=params)

    def void(self, quickbooks_id: str) -> None:
        """Void an invoice in QuickBooks."""
        self.order("POST", f"companies/{REALM}/Invoice/{quickbooks_id}/void")

    def pay(self, quickbooks_id: str, amount: float | None = None) -> None:
        """Pay an invoice in QuickBooks, in full unless an amount is given."""
        body = {} if amount is None else {"amount": amount}
        self.order("POST", f"companies/{REALM}/Invoice/{quickbooks_id}/pay", body)

    # How QuickBooks behaves.

    def faults(self, *rules: dict[str, Any]) -> None:
        """Let QuickBooks misbehave."""
        self.order("POST", "faults", list(rules))

    def settings(self, **values: Any) -> None:
        """Change settings of the simulator."""
        self.order("POST", "settings", values)

    def no_faults(self) -> None:
        """Let QuickBooks behave again, and give at once what it holds back."""
        self.order("DELETE", "faults")

    def poison(self, entity: str, *quickbooks_ids: str, fault: Fault | None = None) -> None:
        """Let every query by id, and every read, fail that would bring one of these records."""
        shelves = self.simulator.simulator.companies[REALM].shelves
        shelves[entity] = PoisonedShelf(shelves[entity], quickbooks_ids, fault or poisoned())

    def pass_time_in_quickbooks(self, **delta: float) -> None:
        """Move QuickBooks' clock forward, so that tokens end there."""
        self.simulator.simulator.clock.advance(timedelta(**delta).total_seconds())

    def count_refreshes(self, delay: float = 0.0) -> None:
        """Count token calls from now on, each slowed down so that they meet."""
        self.faults({"kind": "token", "delay": delay or 0.001, "count": 1000})

    def refreshes(self) -> int:
        """Return how many token calls there were since `count_refreshes`."""
        rules = self.http.get(f"{self.simulator.url}/_sim/faults").json()["faults"]
        return 1000 - sum(int(rule["count"]) for rule in rules if rule["kind"] == "token")

    def wait_for_refresh(self) -> None:
        """Wait until the scripted token call is under way."""
        rules = self.simulator.simulator.script
        wait_until(lambda: not rules.rules, what="the token call")

    def calls(self, kind: str | None = None) -> int:
        """Return how many reads QuickBooks has served."""
        served = self.http.get(f"{self.simulator.url}/_sim/calls").json()
        return int(served["by_kind"].get(kind, 0) if kind else served["total"])

    def is_granted(self) -> bool:
        """Tell whether, for Intuit, the company is connected to the app."""
        simulator = self.simulator.simulator
        return simulator.grants.connected(REALM, simulator.clock.now())

    def forget_calls(self) -> None:
        """Count reads from now on."""
        self.order("DELETE", "calls")

    def order(self, method: str, path: str, body: Any = None, **more: Any) -> None:
        url = f"{self.simulator.url}/_sim/{path}"
        self.http.request(method, url, json=body, **more).raise_for_status()

    # What reaches the service.

    def connect(self, realm: str = REALM, email: str = "supplier@example.com") -> str:
        """Connect the company by a real grant of the simulator's."""
        tokens = self.grant(realm)
        at = now()
        with self.services.database.write() as session:
            supplier_id = connections.upsert_supplier(session, email, "Example Supplies", "", at)
            connection = a_connection(
                uuid.uuid4().hex,
                supplier_id,
                at,
                realm_digest=self.services.vault.digest(realm),
                company_name="Example Supplies",
                reconcile_due_at=at + watermarks.RECONCILE_EVERY,
            )
            connection.realm_sealed = self.services.access.seal_realm_id(connection.id, realm)
            session.add(connection)
            session.flush()
            sealed: SealedTokens = self.services.access.sealed(connection.id, tokens, at)
            authorisations.store_tokens(session, connection.id, sealed)
        self.connection_id = connection.id
        return connection.id

    def reconnect(self) -> None:
        """Connect the same company again, as the supplier would by the link."""
        tokens = self.grant(REALM)
        with self.services.database.write() as session:
            connections.renew(session, self.connection_id, "Example Supplies", now(), country="US")
            sealed = self.services.access.sealed(self.connection_id, tokens, now())
            authorisations.store_tokens(session, self.connection_id, sealed)

    def grant(self, realm: str) -> Tokens:
        """Return the tokens of a new consent in QuickBooks."""
        simulator = self.simulator.simulator
        simulator.company(realm)
        asked = parse_qs(urlsplit(self.services.oauth.authorize_url("state-1")).query)
        names = ("redirect_uri", "scope", "code_challenge")
        redirect, scope, challenge = (asked[name][0] for name in names)
        with simulator.lock:
            at = simulator.clock.now()
            code = simulator.grants.new_code(realm, redirect, scope, at, challenge)
        return self.services.oauth.exchange(code, "state-1")

    def webhook(self, *events: Any, body: bytes | None = None) -> httpx.Response:
        """Deliver these events, signed as Intuit signs them."""
        body = json.dumps(events).encode() if body is None else body
        headers = {"intuit-signature": sign(body, VERIFIER), "content-type": "application/json"}
        return self.web.post("/quickbook/webhook", content=body, headers=headers)

    def arrive(self, invoice: dict[str, Any]) -> None:
        """Create or change an invoice, let the notice come, and work on it."""
        self.put("Invoice", invoice)
        self.hear("Invoice", invoice["Id"], "updated")

    def hear(self, entity: str, quickbooks_id: str, operation: str, **fields: Any) -> None:
        """Let a notice come, and work on it."""
        answer = self.webhook(an_event(entity, quickbooks_id, operation, **fields))
        assert answer.status_code == 200
        self.sync()

    # What the service does.

    def sync(self) -> None:
        """Work on the company's due notices, as a worker would some time later."""
        self.let_time_pass()
        sync_company(self.services, self.connection_id)

    def judge(self) -> None:
        """Judge all of the company again if that is due, as a worker would within seconds."""
        judge_company(self.services, self.connection_id)

    def sync_at_once(self) -> None:
        """Work on the company's due notices, as a worker would at this moment."""
        sync_company(self.services, self.connection_id)

    def sweep(self) -> list[tuple[str, Any]]:
        """Sweep, and return the work that was asked for: (actor, row id)."""
        broker = StubBroker()
        requeue_due(replace(self.services, jobs=Jobs(broker)))
        return asked_for(broker)

    def delayed(self) -> list[tuple[str, Any]]:
        """Return the work that was asked for, for later: (actor, row id)."""
        return asked_for(self.services.jobs.broker, delayed=True)

    def let_time_pass(self) -> None:
        """Put the rows' times back: pauses, spacings and waiting times have ended.

        What is failed stays so: `let_failed_come_back`.
        """
        with self.services.database.write() as session:
            session.execute(update(Lease).values(taken_at=0.0))
            session.execute(update(Connection).values(paused_until=None, nudge_due_at=None))
            pending = update(Notice).where(Notice.status == "pending")
            session.execute(pending.values(due_at=None))
            session.execute(update(Run).values(due_at=None))
            session.execute(delete(Pace))

    def let_failed_come_back(self) -> None:
        """Let the time have come at which what is failed is tried once more."""
        with self.services.database.write() as session:
            failed = update(Notice).where(Notice.status == "failed", Notice.due_at.is_not(None))
            session.execute(failed.values(due_at=now()))

    def let_a_sync_have_begun_just_now(self) -> None:
        """Let the spacing to the last sync not be over, however slow this machine is."""
        with self.services.database.write() as session:
            session.execute(update(Lease).values(taken_at=database_now() + 60))

    def signal_nothing(self) -> None:
        """Let only the rules that hold by default be in force, so that nothing is judged anew."""
        default = rule_book(Profile.STANDARD).every
        off = tuple(
            RuleChange(one.rule.code, Mode.OFF, None) for one in default if one.mode is Mode.SIGNAL
        )
        settings = self.services.settings.model_copy(update={"infactor_rules": off})
        self.services = replace(self.services, settings=settings)

    def belong_to(self, environment: str) -> None:
        """Let the connection be one of this QuickBooks environment."""
        with self.services.database.write() as session:
            session.execute(update(Connection).values(environment=environment))

    def pause(self, *, seconds: float) -> None:
        """Let the company be paused for so long."""
        with self.services.database.write() as session:
            until = now() + timedelta(seconds=seconds)
            connections.pause(session, self.connection_id, until, "a pause")

    def note_success(self) -> None:
        """Note that the company was read without an error."""
        with self.services.database.write() as session:
            connections.synced(session, self.connection_id, now())

    def be_tried(self, *quickbooks_ids: str, times: int, since: timedelta) -> None:
        """Let these notices, or all, have been tried so often, and have come so long ago."""
        with self.services.database.write() as session:
            tried = update(Notice).values(attempts=times, received_at=now() - since)
            if quickbooks_ids:
                tried = tried.where(Notice.entity_id.in_(quickbooks_ids))
            session.execute(tried)

    def age_customers(self, *, days: int) -> None:
        """Let the cached customers have been read so many days ago."""
        with self.services.database.write() as session:
            session.execute(update(Customer).values(read_at=now() - timedelta(days=days)))

    @contextmanager
    def refusing(self, step: str) -> Iterator[None]:
        """Let the database fail at this step, and expect just that."""
        refuse, accept = REFUSE[self.services.database.engine.dialect.name]
        name = f"refused_{uuid.uuid4().hex}"
        with self.services.database.write() as session:
            session.execute(text(refuse.format(name=name, step=step)))
        with pytest.raises(Exception, match="refused"):
            yield
        with self.services.database.write() as session:
            session.execute(text(accept.format(name=name)))

    def lose_leases(self) -> None:
        """Let every lease lapse, as when its holder was killed."""
        with self.services.database.write() as session:
            session.execute(update(Lease).values(until=0.0, taken_at=0.0))

    def backfill(self, since: datetime | None = None) -> dict[str, Any]:
        """Run a whole backfill and return its tally."""
        run_id = self.begin_backfill(since)
        while advance(self.services, run_id):
            pass
        run = self.run(run_id)
        assert run.state == "done", run.error
        return {**run.tally, "error": run.error}

    def advance(self, run_id: int) -> bool:
        """Work on the run's next page, if it may be read now; return whether to go on."""
        return advance(self.services, run_id)

    def work_on_run(self, run_id: int) -> list[str]:
        """Do what the actor does with the run; return which work it asked for."""
        work_on_run(self.services, run_id)
        return [name for name, row_id in asked_for(self.services.jobs.broker) if row_id == run_id]

    @contextmanager
    def during_a_page(self, happens: Callable[[], object]) -> Iterator[None]:
        """Let something happen while QuickBooks is answering with a page of invoices."""
        shelves = self.simulator.simulator.companies[REALM].shelves
        kept = shelves["Invoice"]
        shelves["Invoice"] = InterruptedShelf(kept, happens)
        yield
        shelves["Invoice"] = kept

    def begin_backfill(self, since: datetime | None = None) -> int:
        """Create or join the company's backfill."""
        with self.services.database.write() as session:
            return runs.create_or_join(session, self.connection_id, "command", since, now())

    def another_process(self) -> Services:
        """Return the services of another process on the same database."""
        settings = settings_from(environment(self.simulator.url, self.database_url))
        self.others.append(build_services(settings, StubBroker(), call_interval=0.0))
        return self.others[-1]

    # What there is to see.

    def run(self, run_id: int) -> Run:
        """Return the run as it is now."""
        with self.services.database.read() as session:
            run = runs.get(session, run_id)
        assert run is not None
        return run

    def connection(self) -> Connection:
        """Return the connection as it is now."""
        with self.services.database.read() as session:
            return session.get_one(Connection, self.connection_id)

    def reads(self) -> dict[str, int]:
        """Return how many reads the service has counted, by kind."""
        with self.services.database.read() as session:
            return {row.kind: row.count for row in session.scalars(select(Reads))}

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what Infactor has, by QuickBooks id."""
        with self.services.database.read() as session:
            page = invoices.page(session, [self.connection_id], held=False)
        return {i.quickbooks_id: d.document for i, d in page if d is not None}

    def decide(self, quickbooks_id: str, **fields: Any) -> None:
        """Let Infactor's people change a document."""
        with self.services.database.write() as session:
            for invoice, document in invoices.page(session, [self.connection_id], held=False):
                if invoice.quickbooks_id == quickbooks_id and document is not None:
                    document.document = {**document.document, **fields}
                    document.state = document.document["state"]
                    document.withdrawn = is_withdrawn(document.document)

    def holds(self) -> dict[str, str | None]:
        """Return each recorded invoice's hold, by QuickBooks id."""
        with self.services.database.read() as session:
            page = invoices.page(session, [self.connection_id])
        return {invoice.quickbooks_id: invoice.hold for invoice, _ in page}

    def revisions(self) -> list[tuple[int, str]]:
        """Return number and cause of every revision, the oldest first."""
        with self.services.database.read() as session:
            rows = session.scalars(select(Revision).order_by(Revision.recorded_at)).all()
        return [(row.number, row.cause) for row in rows]

    def notice_rows(self) -> list[Notice]:
        """Return every notice, the oldest first."""
        with self.services.database.read() as session:
            return list(session.scalars(select(Notice).order_by(Notice.id)))

    def notices(self) -> list[tuple[str, str | None]]:
        """Return status and reason of each notice, the oldest first."""
        return [(row.status, row.reason) for row in self.notice_rows()]


def asked_for(broker: Broker, *, delayed: bool = False) -> list[tuple[str, Any]]:
    """Return (actor, row id) of every message that waits, in the queues or for its time."""
    assert isinstance(broker, StubBroker)
    names = broker.get_declared_delay_queues() if delayed else broker.get_declared_queues()
    messages = [Message.decode(raw) for name in names for raw in list(broker.queues[name].queue)]
    return [(message.actor_name, *message.kwargs.values()) for message in messages]


def with_settings(world: World, **changes: Any) -> None:
    """Let the service have these settings from now on."""
    settings = world.services.settings.model_copy(update=changes)
    world.services = replace(world.services, settings=settings)


def count(world: World, table: type[Base], *where: ColumnElement[bool]) -> int:
    """Return how many rows of a table these conditions hold for."""
    with world.services.database.read() as session:
        rows = select(func.count()).select_from(table).where(*where)
        return session.execute(rows).scalar_one()


def build(simulator: RunningSimulator, database_url: str, **more: str) -> World:
    """Return a world around a running simulator and a migrated database."""
    settings = settings_from(environment(simulator.url, database_url, **more))
    services = build_services(
        settings, StubBroker(), databases.opened(database_url), call_interval=0.0
    )
    web = TestClient(create_app(services))
    return World(services, simulator, web, httpx.Client(timeout=10, verify=False), database_url)
