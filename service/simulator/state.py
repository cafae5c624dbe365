"""The simulator's state: companies, authorisations, meters and the webhook queue."""

import secrets
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from service.simulator.books.book import Book
from service.simulator.books.company import Company
from service.simulator.books.ledger import Ledger
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig
from service.simulator.events import Event, described
from service.simulator.generate.companies import VAST_REALM, vast_company
from service.simulator.generate.vast import VastShelf
from service.simulator.grants import Grants, OpenId
from service.simulator.limits import Limits, Windows
from service.simulator.records import ENTITIES, Json, is_id
from service.simulator.script import Script
from service.simulator.switches import Switches
from service.simulator.webhooks.sender import Sender

KEPT = 500


@dataclass(frozen=True)
class Served:
    """One call as the list of calls shows it; never a token."""

    at: str
    kind: str
    company: str | None
    what: str
    status: int
    ms: float
    intuit_tid: str


class Calls:
    """Counts accounting calls, and lists the last calls of any kind."""

    def __init__(self) -> None:
        self._by_company: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_status: Counter[int] = Counter()
        self._last: deque[Served] = deque(maxlen=KEPT)

    def count(self, realm: str, kind: str, status: int) -> None:
        """Count an answered call; a dropped one has status 444."""
        self._by_company[realm][kind] += 1
        self._by_status[status] += 1

    def note(self, call: Served) -> None:
        self._last.append(call)

    def last(self, most: int = KEPT) -> list[Json]:
        return [asdict(call) for call in islice(reversed(self._last), most)]

    def clear(self) -> None:
        self._by_company.clear()
        self._by_status.clear()
        self._last.clear()

    def summary(self) -> Json:
        """Return {"total", "by_kind", "by_company", "by_status"}."""
        by_kind: Counter[str] = Counter()
        for kinds in self._by_company.values():
            by_kind.update(kinds)
        return {
            "total": by_kind.total(),
            "by_kind": dict(by_kind),
            "by_company": {
                realm: {"total": kinds.total(), **kinds}
                for realm, kinds in self._by_company.items()
            },
            "by_status": {str(status): n for status, n in sorted(self._by_status.items())},
        }


T = TypeVar("T")


@dataclass
class Consent:
    """What the consent page does by itself: nothing while `approve` is None."""

    approve: bool | None = None
    realm: str | None = None


class Simulator:
    """Everything that Intuit would store for one app; `lock` guards every change of it."""

    def __init__(self, config: SimulatorConfig, book: Book, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or Clock()
        self.lock = threading.RLock()
        self.companies: dict[str, Company] = {}
        self.grants = Grants()
        self.calls = Calls()
        self.limits = Limits()
        self.openid = OpenId()
        self.script = Script()
        self.consent = Consent()
        self.switches = Switches(notify_unconnected=config.notify_unconnected)
        self.sender = Sender(config, self.clock, self.switches)
        for realm, content in book.companies.items():
            self._load(realm, content)

    def _load(self, realm: str, content: Json) -> None:
        now = self.clock.now()
        company = self.companies[realm] = Company(realm, content.get("CompanyInfo"), now=now)
        if "Generated" in content:
            seed = 1 if realm == VAST_REALM else int(realm)
            series, buyers = vast_company(now, content["Generated"]["Invoice"], seed)
            company.shelves["Invoice"] = VastShelf(series)
            company.load("Customer", buyers, now)
        for entity in ENTITIES:
            company.load(entity, content.get(entity, []), now)

    def company(self, realm: str) -> Company:
        """Return a company, created if unknown; raises ValueError for a bad realm id."""
        if not is_id(realm):
            raise ValueError(f"{realm!r} is not a realm id (digits only)")
        if realm not in self.companies:
            self.companies[realm] = Company(realm, now=self.clock.now())
        return self.companies[realm]

    def switch(self, wanted: Any) -> None:
        """Change these settings; raises ValueError that says what is wrong."""
        self.switches = self.sender.switches = self.switches.changed(wanted)
        if "seed" in wanted:
            self.sender.reseed(self.switches.seed)

    def behave(self) -> None:
        """End all misbehaviour: faults, tricks, poison, used limits, switches."""
        self.script.clear()
        self.forget_limits()
        self.sender.mischief.tricks.clear()
        for company in self.companies.values():
            company.poison.clear()
        self.switches = Switches(notify_unconnected=self.config.notify_unconnected)
        self.sender.switches = self.switches
        self.sender.reseed(self.switches.seed)

    def forget_limits(self) -> None:
        self.limits = Limits()
        for company in self.companies.values():
            company.used = Windows()

    def limits_shown(self) -> Json:
        """Return {"month", "reads", "by_company"}: what is used of each limit."""
        now = self.clock.now()
        used = {r: c.used.shown(now) for r, c in self.companies.items() if c.used.calls}
        return {**self.limits.shown(now), "by_company": used}

    def announce(self, events: list[Event]) -> Json:
        """Queue events of connected companies; return {"queued", "events", "delivery"?, "why"?}."""
        if not events:
            return {"queued": False, "why": "QuickBooks sends no event for this", "events": []}
        now = self.clock.now()
        heard = [
            event
            for event in events
            if self.switches.notify_unconnected or self.grants.connected(event.realm, now)
        ]
        if not heard:
            return {"queued": False, "why": "the company has no live connection", "events": []}
        delivery = self.sender.announce(heard)
        queued = delivery.state in ("waiting", "failing", "delivered")
        said = [described(event) for event in heard]
        shown: Json = {"queued": queued, "delivery": delivery.id, "events": said}
        return shown if queued else {**shown, "why": delivery.state}

    def disconnect_address(self, realm: str) -> str | None:
        """Return where the user's browser is sent after disconnecting, if anywhere."""
        address = self.config.disconnect_url
        if address is None or not self.switches.disconnect_names_company:
            return address
        return f"{address}{'&' if urlsplit(address).query else '?'}realmId={realm}"

    def change(self, realm: str, work: Callable[[Ledger], T]) -> tuple[T, Json]:
        """Return the work's result, and what was announced; the caller holds the lock."""
        ledger = Ledger(self.company(realm), self.switches, self.clock.now())
        result = work(ledger)
        return result, self.announce(ledger.events)


def trace_id() -> str:
    return f"1-{secrets.token_hex(4)}-{secrets.token_hex(12)}"
