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
from typing import Any

import httpx
import psycopg
import redis
from pymongo import ReturnDocument
from pymongo.database import Database

from service.simulator.records import Json
from tests.journey.books import BUYERS, a_customer, an_invoice, realm
from tests.journey.deployment import Deployment

# What QuickBooks answers out of the blue; each ends by itself, and none says that anything is gone.
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
)

# What Infactor's database does out of the blue: refuse, break off, or apply and not say so.
AWAY: tuple[Json, ...] = (
    {"failCommands": ["update"], "closeConnection": True},
    {"failCommands": ["find"], "closeConnection": True},
    {"failCommands": ["update"], "errorCode": 91},
    {"failCommands": ["update"], "writeConcernError": {"code": 64, "errmsg": "timed out"}},
)


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

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._highest = dict.fromkeys(range(self.companies), self.invoices)
        self._gone: set[tuple[int, str]] = set()
        self._versions: Counter[tuple[int, str]] = Counter()
        self._http = httpx.Client(base_url=self.deployment.simulator.url, timeout=30)
        self._poisoned: list[tuple[float, Json]] = []

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
        self.sim("POST", "behave")
        # What just failed comes again soon, not in five minutes as by Intuit's own ladder.
        self.sim("POST", "settings", {"retry_seconds": [0.5, 1, 2]})
        self.infactors.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def _disasters(self, seconds: float) -> deque[tuple[float, Callable[[], None]]]:
        """Return what happens when, as shares of the storm, the first one first."""
        planned: list[tuple[float, Callable[[], None]]] = []
        planned += [(t, self._fault) for t in _every(1.0, seconds)]
        planned += [(t, self._poison) for t in _every(7.0, seconds)]
        planned += [(t, self._kill) for t in _every(4.0, seconds)]
        planned += [(t, self._tokens_end) for t in _every(20.0, seconds)]
        planned += [(t, self._stray_notices) for t in _every(2.0, seconds)]
        planned += [(t, self._infactor_away) for t in _every(5.0, seconds)]
        planned += [(t, self._approve) for t in _every(0.5, seconds)]
        planned += [(0.4, self._flush_redis), (0.6, self._restart_database)]
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
        company = realm(self._random.randrange(self.companies))
        fault = self._random.choice(FAULTS)
        whose = {} if fault.get("kind") == "token" else {"company": company}
        self.sim("POST", "faults", {**fault, **whose, "count": self._random.randint(1, 3)})
        self.counted["faults"] += 1

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

    def _restart_database(self) -> None:
        """End every connection and let nobody in for a second, as a restart does."""
        name = self.database_url.rpartition("/")[2]
        server = self.database_url.rpartition("/")[0] + "/postgres"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            time.sleep(1)  # how long the outage lasts
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        self.counted["database restarts"] += 1

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


def _every(gap: float, seconds: float) -> list[float]:
    return [gap * n / seconds for n in range(1, int(seconds / gap))]
