"""How fast everybody else is served while a supplier searches and downloads 300,000 invoices.

Not a test: `python -m tests.web.benchmark_searches [--postgresql] [INVOICES]` fills a database by
SQL, starts `serve` on it, and prints the milliseconds of a webhook, of another supplier's page and
of `/livez`, as p50, p95 and the most, first alone and then beside eight browsers that search and
four that download without a pause; and what each of these was told. Each part takes a minute at
most. The browsers are on the same machine, and each part asks in its own turn: compare the two.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from service.database.engine import Database
from service.database.tables import Invoice
from service.kit.clock import now
from service.kit.exact_json import decode
from service.quickbooks.webhooks import sign
from service.store import connections, sessions
from tests.builders import a_connection
from tests.copies import ADD_DELIVERY_STATES, analyze, copy_row, without_indexes
from tests.journey.deployment import VERIFIER, Deployment, deployed
from tests.journey.two_companies import a_book
from tests.servers import postgres

PAYLOADS = Path(__file__).parents[1] / "payloads"
SEARCHERS, DOWNLOADERS, ROUNDS = 8, 4, 40
# What is in no invoice, in a tenth of them and in all; each in an order that no index has.
SEARCHES = ("nobody at all", "buyer 7", "buyer")
_LONGEST_SECONDS = 60.0
# Of each row but the first, which all others repeat.
_OWN = {
    "id": "'qbk-' || n",
    "quickbooks_id": "CAST(n AS text)",
    "doc_number": "CAST(n AS text)",
    "number_key": "CAST(10000000 + n AS text)",
    "due_key": "'2026-' || (10 + n % 3) || '-' || (10 + n % 19)",
    "sought": "'buyer ' || (n % 4000) || ' ' || n",
    "total": "n % 9973",
    "created_ms": "1000 * n",
}


def fill(database: Database, count: int) -> str:
    """Give a supplier so many invoices, and another one none; return the session of each."""
    with database.write() as session:
        ids = [
            connections.upsert_supplier(session, f"{name}@example.com", name, "", now())
            for name in ("large", "other")
        ]
        for number, supplier_id in enumerate(ids):
            session.add(a_connection(f"c{number}", supplier_id, now()))
        session.flush()
        cookies = [sessions.SUPPLIERS.begin(session, now(), supplier_id=i) for i in ids]
    with without_indexes(database, Invoice), database.write() as session:
        session.add(_first())
        session.flush()
        copy_row(session, Invoice, (2, count), _OWN)
        session.execute(text(ADD_DELIVERY_STATES))
    analyze(database)
    return " ".join(cookies)


def _first() -> Invoice:
    mapped = decode((PAYLOADS / "typical.infactor.json").read_bytes())["document"]
    return Invoice(
        id="qbk-1",
        connection_id="c0",
        quickbooks_id="1",
        sync_token=0,
        last_updated=now(),
        fetch_number=1,
        source=decode((PAYLOADS / "typical.json").read_bytes()),
        mapped=mapped,
        doc_number="1",
        sought="buyer 1 1",
        total=1,
        balance=1,
        created_ms=1000,
        recorded_at=now(),
        warnings=[],
        buyer_emails=[],
        delivery_warnings=[],
        revision=1,
    )


class Crowd:
    """Browsers of the large supplier, which ask again as soon as they are answered."""

    def __init__(self, base: str, cookie: str) -> None:
        self._base = base
        self._cookies = {"infactor_quickbooks": cookie}
        self._stopping = threading.Event()
        self.told: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {"search": [], "download": []}

    @contextmanager
    def asking(self) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._repeat, args=(self._search,)) for _ in range(SEARCHERS)
        ] + [
            threading.Thread(target=self._repeat, args=(self._download,))
            for _ in range(DOWNLOADERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _repeat(self, ask: Callable[[httpx.Client, int], None]) -> None:
        with httpx.Client(base_url=self._base, cookies=self._cookies, timeout=120) as browser:
            number = 0
            while not self._stopping.is_set():
                ask(browser, number)
                number += 1

    def _search(self, browser: httpx.Client, number: int) -> None:
        began = time.monotonic()
        words = SEARCHES[number % len(SEARCHES)]
        page = browser.get("/quickbook/", params={"q": words, "sort": "buyer"})
        self.seconds["search"].append(time.monotonic() - began)
        assert page.status_code == 200, page.status_code
        late = ", and says that it takes too long" if "takes too long" in page.text else ""
        self.told[f"search answered{late}"] += 1

    def _download(self, browser: httpx.Client, number: int) -> None:
        began = time.monotonic()
        size, end = 0, b""
        with browser.stream("GET", "/quickbook/invoices.csv") as file:
            for part in file.iter_raw():
                size, end = size + len(part), part[-200:]
                if self._stopping.is_set():
                    self.told["download going on at the end"] += 1
                    return
        self.seconds["download"].append(time.monotonic() - began)
        cut = ", and says that it is not complete" if b"is not complete" in end else ""
        self.told[f"download of {size // 1_000_000} MB{cut}"] += 1


def measure(made: Deployment, cookie: str) -> dict[str, list[float]]:
    """Return the milliseconds of what everybody else asks, in turn."""
    base, body = made.receivers[0], b"[]"
    signed = {"intuit-signature": sign(body, VERIFIER)}
    found: dict[str, list[float]] = {"webhook": [], "another supplier's page": [], "/livez": []}
    ends_at = time.monotonic() + _LONGEST_SECONDS
    with httpx.Client(base_url=base, cookies={"infactor_quickbooks": cookie}, timeout=60) as one:
        asks: dict[str, Callable[[], int]] = {
            "webhook": lambda: (
                one.post("/quickbook/webhook", content=body, headers=signed).status_code
            ),
            "another supplier's page": lambda: one.get("/quickbook/").status_code,
            "/livez": lambda: one.get("/livez").status_code,
        }
        for _ in range(ROUNDS):
            for name, ask in asks.items():
                began = time.monotonic()
                assert ask() == 200, name
                found[name].append((time.monotonic() - began) * 1000)
            if time.monotonic() > ends_at:
                break
    return found


def show(when: str, found: dict[str, list[float]]) -> None:
    """Print the figures of each."""
    for name, times in found.items():
        cuts = statistics.quantiles(times, n=20)
        half, most, longest = cuts[9], cuts[18], max(times)
        figures = f"p50 {half:7.1f}   p95 {most:7.1f}   most {longest:7.1f} ms of {len(times)}"
        print(f"{when:8}{name:25} {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.web.benchmark_searches")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("invoices", nargs="?", type=int, default=300_000)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/it.db"
        if given.postgresql:
            url = stack.enter_context(postgres())
        made = stack.enter_context(deployed(folder, a_book(), url))
        database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
        stack.callback(database.close)
        began = time.monotonic()
        large, other = fill(database, given.invoices).split()
        print(f"{given.invoices:,} invoices, filled in {time.monotonic() - began:.0f} s")
        show("alone", measure(made, other))
        crowd = Crowd(made.receivers[0], large)
        with crowd.asking():
            show("beside", measure(made, other))
        for name, seconds in crowd.seconds.items():
            print(f"{name}: {len(seconds)} times, the longest {max(seconds, default=0):.1f} s")
        for what, count in sorted(crowd.told.items()):
            print(f"    {count:4} x {what}")


if __name__ == "__main__":
    main()
