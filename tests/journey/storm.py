"""A storm over a whole deployment: people at work in many companies, while everything breaks.

Everything that chance decides comes from one seed, so that a storm can be repeated; how it meets
the processes does not repeat exactly.
"""

import json
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import msgspec
import psycopg
import redis
from pymongo import ReturnDocument
from pymongo.database import Database

from service.quickbooks.faults import GONE
from service.simulator import exact_json
from service.simulator.faults import CATALOGUE, SPOILS
from service.simulator.records import Json
from service.simulator.script import Rule
from tests.journey.books import BUYERS, a_customer, an_invoice, realm
from tests.journey.deployment import Deployment

FAR = "2099-01-01T00:00:00-08:00"
_STRANGER = {
    **an_invoice("901", 5000),
    "SyncToken": "0",
    "MetaData": {"CreateTime": "2000-01-01T00:00:00Z", "LastUpdatedTime": "2000-01-01T00:00:00Z"},
}
_STRANGERS_CUSTOMER = {**a_customer(99, "901"), "SyncToken": "0", "MetaData": _STRANGER["MetaData"]}
_WRONG_KEYS = {"error": "invalid_grant", "error_description": "Incorrect Token type or clientID"}
_SPOILT = (
    '{"QueryResponse":{"Invoice":[{"Id":"1","DocNumber":"\v"}]},"time":"2026-11-20T16:19:17Z"}'
)

# What QuickBooks answers out of the blue. Each ends by itself or by an operator's `retry`, and none
# says that anything is gone.
FAULTS: tuple[Json, ...] = (
    {"preset": "5xx"},
    {"preset": "503-html"},
    {"preset": "fault-in-200"},
    {"preset": "truncated"},
    {"preset": "401"},
    {"preset": "4000", "kind": "query"},
    {"preset": "4002", "kind": "query"},
    {"preset": "empty", "kind": "query"},
    {"preset": "610", "kind": "query"},
    {"preset": "429-json", "headers": {"Retry-After": "2"}},
    {"preset": "429-xml", "headers": {"Retry-After": "2"}},
    {"fault": "10000"},
    {"drop": True},
    {"lose": True},
    {"cut": True},
    {"delay": 2.5},
    {"kind": "token", "status": 503},
    {"kind": "token", "drop": True},
    {"kind": "token", "lose": True},
    # A known code under another status, and in another envelope.
    {"fault": "4000", "status": 500, "kind": "query"},
    {"fault": "4001", "status": 404, "kind": "query"},
    {"fault": "4002", "status": 500, "kind": "query", "format": "gateway"},
    {"fault": "610", "status": 500, "kind": "query"},
    {"fault": "610", "status": 404, "kind": "query", "format": "list"},
    {"fault": "3001", "status": 500},
    {"fault": "10000", "status": 404, "format": "xml"},
    {"fault": "120", "status": 500},
    {"fault": "3100", "status": 404},
    {"fault": "6190", "status": 500, "format": "gateway"},
    # What a read should never be told, and what nobody knows.
    {"fault": "6000"},
    {"fault": "500"},
    {"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}},
    {"status": 418, "count": 3},
    {"body": {"Answer": 42}, "count": 3},
    {"status": 503, "headers": {"Retry-After": "86400"}},
    # Spoilt, endless, byte by byte, of another time, and with what nobody asked for.
    {"body": _SPOILT, "kind": "query"},
    {"endless": True, "count": 1},
    {"drip": 0.5, "count": 1},
    {"says": FAR, "kind": "query"},
    {"says": FAR, "kind": "cdc"},
    {"adds": {"Bill": [_STRANGER]}, "kind": "query"},
    {"adds": {"Customer": [_STRANGERS_CUSTOMER]}, "kind": "query", "entity": "Customer"},
    {"adds": {"Invoice": [_STRANGER]}, "kind": "read", "entity": "Invoice"},
    {"adds": {"Invoice": [_STRANGER]}, "kind": "cdc"},
    # About the tokens, and none of it true.
    {"preset": "invalid_grant", "count": 1},
    {"preset": "invalid_client"},
    {"kind": "token", "status": 400, "body": _WRONG_KEYS},
)

# Any other answer: a code of the table under a status, an envelope and a call that chance picks.
# Left out: what would end a connection, and a 610 to a read, which says that something is gone.
_ODD_STATUSES = (None, 200, 302, 400, 401, 403, 404, 413, 418, 429, 500, 503)
_ODD_FORMATS = ("json", "xml", "gateway", "list", "batch")
_ODD_KINDS = ("query", "cdc", "token", "accounting")

# What Infactor's database does out of the blue: refuse, break off, or apply and not say so.
AWAY: tuple[Json, ...] = (
    {"failCommands": ["update", "insert"], "closeConnection": True},
    {"failCommands": ["find"], "closeConnection": True},
    {"failCommands": ["update", "insert"], "errorCode": 91},
    {
        "failCommands": ["update", "insert"],
        "writeConcernError": {"code": 64, "errmsg": "timed out"},
    },
)


_KINDS = {"invalid_grant": "token", "invalid_client": "token"}
_CLOCK = """
    CREATE TABLE public.clock_ahead AS SELECT interval '0' AS by;
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
      $$ SELECT pg_catalog.clock_timestamp() + by FROM public.clock_ahead $$;
"""

_DISK = """
    CREATE TABLE public.disk AS SELECT false AS is_full;
    CREATE FUNCTION public.find_room() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF (SELECT is_full FROM public.disk) THEN
          RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full';
        END IF;
        RETURN NULL;
      END $$;
    CREATE TRIGGER find_room BEFORE INSERT OR UPDATE ON invoices EXECUTE FUNCTION find_room();
    CREATE TRIGGER find_room BEFORE UPDATE ON runs EXECUTE FUNCTION find_room();
"""


@dataclass
class Storm:
    """People, faults and kills over a deployment; `counted` says what happened."""

    deployment: Deployment
    seed: int
    companies: int
    invoices: int
    database_url: str
    redis_url: str
    infactors: Database[dict[str, Any]]
    approved: dict[str, dict[str, Any]] = field(default_factory=dict)  # as it was, by invoiceId
    counted: Counter[str] = field(default_factory=Counter)
    connections: dict[int, str] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)  # calls that met a fault, by the fault
    lied_to: set[int] = field(default_factory=set)  # companies of which QuickBooks said untrue rows

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._highest = dict.fromkeys(range(self.companies), self.invoices)
        self._gone: set[tuple[int, str]] = set()
        self._versions: Counter[tuple[int, str]] = Counter()
        self._http = httpx.Client(base_url=self.deployment.simulator.url, timeout=30)
        self._faults: list[Json] = []
        self._codes: list[str] = []
        self._ordered: Counter[str] = Counter()
        self._spoilt: tuple[int, str] | None = None
        self._disk_is_full = False
        name = self.database_url.rpartition("/")[2]
        self._database = name
        self._server = self.database_url.rpartition("/")[0] + "/postgres"
        self._let_it_fail()

    @property
    def imported(self) -> range:
        """The companies that are imported before the storm."""
        return range(self.companies // 2)

    def rage(self, events: int, seconds: float) -> None:
        """Let so many things happen in at least so many seconds."""
        self.sim("POST", "settings", {
            "collect_seconds": 0.2,
            "mix_companies": True,
            "order": "free",
            "delay_seconds": [0, 1],
            "drop_share": 0.08,
            "duplicate_share": 0.15,
            "hold_share": 0.1,
            "retry_seconds": [0.5, 1, 2],
            "old_refresh_grace": 86400,
            "payment_updates_invoice": False,
            "void_updates_invoice": True,
            "seed": self.seed,
        })  # fmt: skip
        disasters = self._disasters(seconds)
        begun = time.monotonic()
        for number in range(events):
            while disasters and disasters[0][0] <= number / events:
                disasters.popleft()[1]()
            self._someone_works()
            ahead = begun + seconds * number / events - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)  # the pace of the storm, not a wait for anything
        while disasters:
            disasters.popleft()[1]()
        for name, process in self.deployment.processes.items():
            assert process.exitcode is None, self.deployment.log_of(name)
        self._fix_spoilt()
        self._count_answered()
        self.sim("POST", "behave")
        # What just failed comes again soon, not in five minutes as by Intuit's own ladder.
        self.sim("POST", "settings", {"retry_seconds": [0.5, 1, 2]})
        self.infactors.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def _disasters(self, seconds: float) -> deque[tuple[float, Callable[[], None]]]:
        """Return what happens when, as shares of the storm, the first one first."""
        planned: list[tuple[float, Callable[[], None]]] = []
        planned += [(t, self._fault) for t in _every(0.55, seconds)]
        planned += [(t, self._odd_answer) for t in _every(1.1, seconds)]
        planned += [(t, self._poison) for t in _every(7.0, seconds)]
        planned += [(t, self._kill) for t in _every(4.0, seconds)]
        planned += [(t, self._tokens_end) for t in _every(20.0, seconds)]
        planned += [(t, self._stray_notices) for t in _every(2.0, seconds)]
        planned += [(t, self._infactor_away) for t in _every(5.0, seconds)]
        planned += [(t, self._approve) for t in _every(0.5, seconds)]
        planned += [(t, self._spoil) for t in _every(6.0, seconds)]
        planned += [(t, self._say_2099) for t in _every(6.0, seconds)]
        planned += [(t, self._strangers) for t in _every(3.0, seconds)]
        planned += [(t, self._let_an_hour_pass) for t in _every(5.0, seconds)]
        planned += [(t, self._slow_down) for t in _every(12.0, seconds)]
        planned += [(0.35, self._lie), (0.7, self._lie)]
        planned += [(0.4, self._flush_redis), (0.6, self._restart_database)]
        planned += [(0.3, self._fill_redis), (0.38, self._empty_redis)]
        planned += [(0.8, self._read_only_database)]
        planned += [(0.72, self._fill_disk), (0.79, self._empty_disk)]
        # A day ahead and back, then two hours back, and right again.
        for share, seconds_ahead in ((0.2, 86_400), (0.45, 0), (0.65, -7200), (0.95, 0)):
            planned.append((share, partial(self._set_clock, seconds_ahead)))
        # The clock of one process' machine, as far, while the database's is right or wrong.
        for share, name, seconds_ahead in (
            *((0.1, "worker-0", 86_400), (0.3, "worker-0", 0), (0.5, "worker-1", -7200)),
            *((0.25, "serve-0", -7200), (0.55, "serve-0", 86_400), (0.85, "serve-0", 0)),
            (0.9, "worker-1", 0),
        ):
            planned.append((share, partial(self._set_machine, name, seconds_ahead)))
        return deque(sorted(planned, key=lambda one: one[0]))

    # What people do in QuickBooks.

    def _someone_works(self) -> None:
        company = self._random.randrange(self.companies)
        act = self._random.choices(
            (self._create, self._change, self._pay, self._void, self._delete, self._rename),
            weights=(3, 6, 3, 1, 1, 1),
        )[0]
        act(company)
        self.counted["changes"] += 1

    def _create(self, company: int) -> None:
        self._highest[company] += 1
        id_ = str(self._highest[company])
        self._put(company, "Invoice", an_invoice(id_, self._amount()))

    def _change(self, company: int) -> None:
        if id_ := self._some_invoice(company):
            self._put(company, "Invoice", an_invoice(id_, self._amount()))

    def _pay(self, company: int) -> None:
        if id_ := self._some_invoice(company):
            amount = self._random.choice((1, 10, None))
            body = {} if amount is None else {"amount": amount}
            self._act(company, f"Invoice/{id_}/pay", body)

    def _void(self, company: int) -> None:
        if id_ := self._some_invoice(company):
            self._act(company, f"Invoice/{id_}/void")

    def _delete(self, company: int) -> None:
        if id_ := self._some_invoice(company):
            self._gone.add((company, id_))
            self.sim("DELETE", f"companies/{realm(company)}/Invoice/{id_}")

    def _rename(self, company: int) -> None:
        buyer = str(self._random.randint(1, BUYERS))
        self._versions[company, buyer] += 1
        self._put(company, "Customer", a_customer(company, buyer, self._versions[company, buyer]))

    def _some_invoice(self, company: int) -> str | None:
        id_ = str(self._random.randint(1, self._highest[company]))
        return None if (company, id_) in self._gone else id_

    def _amount(self) -> float:
        return self._random.randint(1_00, 9_999_99) / 100

    def _put(self, company: int, entity: str, record: Json) -> None:
        self.sim("PUT", f"companies/{realm(company)}/{entity}", record)

    def _act(self, company: int, what: str, body: Any = None) -> None:
        # Nothing is open of it any more, or it was voided: people are told so, too.
        self.sim("POST", f"companies/{realm(company)}/{what}", body, refused=True)

    def _approve(self) -> None:
        """Let a buyer approve what stands in Infactor, without looking at QuickBooks."""
        approved = self.infactors.invoices.find_one_and_update(
            {"state": "invoice_created"},
            {"$set": {"state": "invoice_accepted"}},
            return_document=ReturnDocument.AFTER,
        )
        if approved is not None:
            self.approved[approved["_id"]] = approved
            self.counted["approvals"] += 1

    # What goes wrong.

    def _infactor_away(self) -> None:
        what = {**self._random.choice(AWAY), "appName": "infactor-quickbooks"}
        mode = {"times": self._random.randint(1, 4)}
        order = {"configureFailPoint": "failCommand", "mode": mode, "data": what}
        self.infactors.client.admin.command(order)
        self.counted["Infactor away"] += 1

    def _fault(self) -> None:
        """Order the next fault; each comes once before any comes again."""
        if not self._faults:
            self._faults = self._random.sample(FAULTS, len(FAULTS))
        fault = self._faults.pop()
        self._order({"count": self._random.randint(1, 3), **fault})
        self.counted["faults"] += 1

    def _odd_answer(self) -> None:
        """Order the next code of the table; each comes once before any comes again."""
        if not self._codes:
            self._codes = self._random.sample(sorted(CATALOGUE), len(CATALOGUE))
        kind, status = self._random.choice(_ODD_KINDS), self._random.choice(_ODD_STATUSES)
        code = self._codes.pop()
        if (code, kind) == (GONE, "accounting"):
            kind = "query"
        rule: Json = {"fault": code, "kind": kind, "format": self._random.choice(_ODD_FORMATS)}
        self._order({**rule, "count": 1, **({"status": status} if status else {})})
        self.counted["odd answers"] += 1

    def _order(self, rule: Json) -> None:
        """Let some company's next calls be answered so; of tokens, nobody knows whose they are."""
        of_tokens = "token" in (rule.get("kind"), _KINDS.get(rule.get("preset", "")))
        of_changes = rule.get("kind") == "cdc"
        company = self._random.choice(self.imported if of_changes else range(self.companies))
        whose = {} if of_tokens else {"company": realm(company)}
        self.sim("POST", "faults", {**rule, **whose})
        if of_changes:
            self._let_a_day_pass(company)
        self._ordered[_named(exact_json.convert(rule, Rule))] += rule["count"]

    def _count_answered(self) -> None:
        """Count how many calls met each fault, which may be fewer than was ordered."""
        simulator = self.deployment.simulator.simulator
        with simulator.lock:
            left = Counter[str]()
            for rule in simulator.script.rules:
                left[_named(rule)] += rule.count or 0
        for name, ordered in self._ordered.items():
            self.answered[name] += ordered - left[name]

    @property
    def never_met(self) -> list[Json]:
        """The faults and codes that no call of the service has met."""
        met = {name for name, count in self.answered.items() if count > 0}
        faults = [fault for fault in FAULTS if _named(exact_json.convert(fault, Rule)) not in met]
        codes = {exact_json.decode(name).get("fault") for name in met}
        return faults + [{"fault": code} for code in sorted(CATALOGUE.keys() - codes)]

    def _slow_down(self) -> None:
        """Let four companies answer slowly for a while."""
        for company in self._random.sample(range(self.companies), 4):
            self.sim("POST", "faults", {"delay": 5, "company": realm(company), "count": 3})
        self.counted["slow companies"] += 4

    def _let_a_day_pass(self, company: int) -> None:
        """Let the daily reconcile of a company be due, which asks what has changed."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            due = "UPDATE connections SET reconcile_due_at = clock_timestamp() WHERE id = %s"
            connection.execute(due, [self.connections[company]])
        self.counted["days passed"] += 1

    def _let_an_hour_pass(self) -> None:
        """Let all pauses be over: else a company that is barred once would see no more."""
        if self._disk_is_full:
            return
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for table, until in (("connections", "paused_until"), ("runs", "due_at")):
                connection.execute(
                    f"UPDATE {table} SET {until} = NULL WHERE id IN (SELECT id FROM {table}"
                    f" WHERE {until} IS NOT NULL FOR UPDATE SKIP LOCKED)"
                )
        self.counted["hours passed"] += 1

    def _spoil(self) -> None:
        """Let an invoice spoil every answer that holds it, until the next one does."""
        self._fix_spoilt()
        company = self._random.randrange(self.companies)
        if id_ := self._some_invoice(company):
            text = self._random.choice(sorted(SPOILS)).decode().strip('"')
            self._put(company, "Invoice", {**an_invoice(id_, self._amount()), "PrivateNote": text})
            self._spoilt = company, id_
            self.counted["spoilt"] += 1

    def _fix_spoilt(self) -> None:
        if self._spoilt is not None and self._spoilt not in self._gone:
            company, id_ = self._spoilt
            self._put(company, "Invoice", an_invoice(id_, self._amount()))
        self._spoilt = None

    def _say_2099(self) -> None:
        """Let QuickBooks say that an invoice changed in 2099, and a notice of it come."""
        company = self._random.randrange(self.companies)
        if id_ := self._some_invoice(company):
            simulator = self.deployment.simulator.simulator
            with simulator.lock:
                record = simulator.companies[realm(company)].shelves["Invoice"].get(id_)
                if record is None or not record.data:
                    return
                meta = {**record.data["MetaData"], "LastUpdatedTime": FAR}
                rows = [{**record.data, "MetaData": meta}]
                simulator.companies[realm(company)].load("Invoice", rows, simulator.clock.now())
            told = {"company": realm(company), "entity": "Invoice", "id": id_}
            self.sim("POST", "webhooks/events", [told])
            self.counted["rows of 2099"] += 1

    def _strangers(self) -> None:
        """Let an answer about invoices hold a stranger's, which changed before what is read."""
        company = self._random.choice(self.imported)
        rule = {"adds": {"Invoice": [_STRANGER]}, "kind": "query", "entity": "Invoice"}
        self.sim("POST", "faults", {**rule, "company": realm(company), "count": 1})
        self.counted["strangers"] += 1

    def _lie(self) -> None:
        """Answer a payment's query for changes with nothing but paid invoices."""
        company = self._random.choice(self.imported)
        simulator = self.deployment.simulator.simulator
        with simulator.lock:
            shelf = simulator.companies[realm(company)].shelves["Invoice"]
            at = simulator.clock.now().isoformat(timespec="seconds")
            rows = [
                {**r.data, "Balance": 0, "MetaData": {**r.data["MetaData"], "LastUpdatedTime": at}}
                for r in shelf.by_id()
                if r.data
            ]
        body = exact_json.encode({"QueryResponse": {"Invoice": rows}, "time": at}).decode()
        rule = {"kind": "query", "entity": "Invoice", "company": realm(company), "count": 1}
        self.sim("POST", "faults", {**rule, "body": body})
        self.lied_to.add(company)
        told = {"company": realm(company), "entity": "Payment", "id": "900"}
        self.sim("POST", "webhooks/events", [told])
        self.counted["lies"] += 1

    def _poison(self) -> None:
        self.sim("DELETE", "poison")
        company = self._random.randrange(self.companies)
        if id_ := self._some_invoice(company):
            self.sim("POST", "poison", {"company": realm(company), "id": id_})
            self.counted["poisoned"] += 1

    def _kill(self) -> None:
        self.deployment.kill_and_restart(self._random.choice(sorted(self.deployment.processes)))
        self.counted["kills"] += 1

    def _tokens_end(self) -> None:
        # Not by its clock, which would then be hours ahead of everybody's.
        simulator = self.deployment.simulator.simulator
        with simulator.lock:
            simulator.grants._access.clear()
        self.counted["token ends"] += 1

    def _flush_redis(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()
        self.counted["Redis flushed"] += 1

    def _fill_redis(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
        self.counted["Redis full"] += 1

    def _empty_redis(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.config_set("maxmemory", "0")

    def _restart_database(self) -> None:
        """End every connection and let nobody in for a second, as a restart does."""
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false")
            self._end_connections(connection)
            time.sleep(1)  # how long the outage lasts
            connection.execute(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true")
        self.counted["database restarts"] += 1

    def _read_only_database(self) -> None:
        """Let the database take no writes for two seconds."""
        read_only = f"ALTER DATABASE {self._database} %s default_transaction_read_only%s"
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(read_only % ("SET", " = on"))
            self._end_connections(connection)
            time.sleep(2)  # how long it lasts
            connection.execute(read_only % ("RESET", ""))
            self._end_connections(connection)
        self.counted["database read-only"] += 1

    def _fill_disk(self) -> None:
        """Let whatever would be recorded find no room, as on a disk that is full."""
        self._set_disk(is_full=True)
        self.counted["disk full"] += 1

    def _empty_disk(self) -> None:
        self._set_disk(is_full=False)

    def _set_disk(self, *, is_full: bool) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("UPDATE public.disk SET is_full = %s", [is_full])
        self._disk_is_full = is_full

    def _end_connections(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [self._database],
        )

    def _let_it_fail(self) -> None:
        """Give the database a clock and a disk that can be set, for all who connect from now on."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(_CLOCK)
            connection.execute(_DISK)
            connection.execute(
                f"ALTER DATABASE {self._database} SET search_path = public, pg_catalog"
            )
        with psycopg.connect(self._server, autocommit=True) as connection:
            self._end_connections(connection)

    def _set_clock(self, seconds_ahead: int) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE clock_ahead SET by = make_interval(secs => %s)", [seconds_ahead]
            )
        self.counted["clock steps"] += 1

    def _set_machine(self, name: str, seconds_ahead: int) -> None:
        self.deployment.set_clock(name, seconds_ahead)
        self.counted["clock steps of one process"] += 1

    def _stray_notices(self) -> None:
        """Deliver notices to the other receiver: repeated, of nobody, unreadable, or unsigned."""
        company, id_ = self._random.randrange(self.companies), self._random.randint(1, 60)
        event = {
            "specversion": "1.0",
            "id": str(uuid.UUID(int=self._random.getrandbits(128))),
            "source": "intuit.c291cmNl",
            "type": "qbo.invoice.updated.v1",
            "time": "2026-11-20T16:19:17Z",
            "intuitentityid": str(id_),
            "intuitaccountid": realm(company),
        }
        stranger = {**event, "id": "of-nobody", "intuitaccountid": "9349999999999999"}
        for body in ([event], [event, stranger], [event, event], "not what anybody expects"):
            self._deliver(json.dumps(body).encode())

    def _deliver(self, body: bytes) -> None:
        try:
            status = self.deployment.deliver(1, body)
        except httpx.TransportError:
            status = 0  # that receiver has just been killed
        self.counted[f"stray deliveries answered {status or 'by nobody'}"] += 1

    def close(self) -> None:
        """Close the connections to the simulator."""
        self._http.close()

    def sim(self, method: str, path: str, body: Any = None, *, refused: bool = False) -> Any:
        """Give an order at the simulator."""
        answer = self._http.request(method, f"/_sim/{path}", json=body)
        if not (refused and answer.status_code in (400, 404)):
            answer.raise_for_status()
        return answer.json() if answer.content else None


def _named(rule: Rule) -> str:
    """Return what a fault is, whosever and however often."""
    given = msgspec.structs.asdict(rule).items()
    usual = msgspec.structs.asdict(Rule(company=rule.company, count=rule.count))
    return exact_json.encode({name: v for name, v in given if v != usual[name]}).decode()


def _every(gap: float, seconds: float) -> list[float]:
    return [gap * n / seconds for n in range(1, int(seconds / gap))]
