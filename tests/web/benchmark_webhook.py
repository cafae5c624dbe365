"""What a durable acknowledgement costs: the webhook beside an endpoint that only reads the body.

Not a test: `python -m tests.web.benchmark_webhook [rounds] [seconds]` prints requests a second, p50
and p99 at 16 and 64 connections, all from one run and in turns, so that whatever else this machine
does hits all alike; then the ratios. Load comes from wrk, out of a pool of signed bodies that each
hold an event of their own. Each database is emptied before its turn, and syncs every commit.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
from sqlalchemy import func, select, text

from service.database.engine import Database
from service.database.schema import migrate
from service.database.tables import Notice
from service.kit.clock import now
from service.kit.vault import Vault
from service.quickbooks.webhooks import sign
from service.store import connections, watermarks
from tests.builders import a_connection
from tests.servers import PATIENCE, free_port, postgres, redis_server, wait_until
from tests.web.benchmark_server import BARE
from tests.workers.world import VERIFIER, an_event, environment

CONNECTIONS = (16, 64)
COMPANIES = 24
# More than any of the endpoints answers in one turn, so that hardly a body is sent twice.
BODIES_A_SECOND = 10_000
WEBHOOK = "/quickbook/webhook"
SCRIPT = """
local bodies = {}
for line in io.lines("BODIES") do
  local signature, body = line:match("^(%S+) (.*)$")
  bodies[#bodies + 1] = wrk.format("POST", nil, {["intuit-signature"] = signature}, body)
end
local sent = 0
function request()
  sent = sent + 1
  return bodies[(sent - 1) % #bodies + 1]
end
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.timeout + summary.errors.read
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
"""


@dataclass(frozen=True)
class Contender:
    """One row of the table: an address, and the database that stands behind it."""

    name: str
    url: str
    database: Database | None


@dataclass(frozen=True)
class Turn:
    """What one turn of a contender gave."""

    per_second: float
    p50: float
    p99: float
    repeated: float


def main(rounds: int, seconds: int) -> None:
    """Print the table and the ratios."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    turns: dict[tuple[int, str], list[Turn]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = _script(folder, seconds * BODIES_A_SECOND)
        contenders = stack.enter_context(_contenders(folder))
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for at_once in CONNECTIONS:
                for contender in contenders:
                    turn = _turn(contender, script, at_once, seconds)
                    turns[at_once, contender.name].append(turn)
    _print_table({key: _median(of) for key, of in turns.items()})


def _script(folder: Path, count: int) -> Path:
    """Write the pool of signed bodies, and the script that sends them one after the other."""
    with (folder / "bodies").open("w") as file:
        for number in range(count):
            realm = _realm(number % COMPANIES)
            event = an_event("Invoice", str(number + 1), "updated", intuitaccountid=realm)
            body = json.dumps([event])
            file.write(f"{sign(body.encode(), VERIFIER)} {body}\n")
    script = folder / "send.lua"
    script.write_text(SCRIPT.replace("BODIES", str(folder / "bodies")))
    return script


def _realm(number: int) -> str:
    return str(9341455000000000 + number)


@contextmanager
def _contenders(folder: Path) -> Iterator[list[Contender]]:
    """Start a receiver for each kind of database, with and without the group commit."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres(durable=True))
        redis = stack.enter_context(redis_server())
        made: list[Contender] = []
        for database_kind in ("PostgreSQL", "SQLite"):
            for batch in ("", ", batch of one"):
                name = f"webhook, {database_kind}{batch}"
                url = _database_url(server, folder, f"b{len(made)}", database_kind)
                database = Database(url)
                stack.callback(database.close)
                settings = environment("http://127.0.0.1:1", url)
                if database_kind == "PostgreSQL":
                    settings["REDIS_URL"] = redis
                _prepare(database, settings)
                address = stack.enter_context(_receiver(folder, settings, bool(batch)))
                made.append(Contender(name, address + WEBHOOK, database))
        bare = made[0].url.removesuffix(WEBHOOK) + BARE
        yield [Contender("only reads the body", bare, None), *made]


def _database_url(server: str, folder: Path, name: str, kind: str) -> str:
    if kind == "SQLite":
        return f"sqlite:///{folder}/{name}.db"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _prepare(database: Database, settings: dict[str, str]) -> None:
    """Leave a database in which the companies of the pool are connected."""
    migrate(database)
    vault, at = Vault([b"k" * 32], settings["SECRET_KEY"]), now()
    with database.write() as session:
        supplier_id = connections.ensure_supplier(session, "supplier@example.com", "S", "", at)
        for number in range(COMPANIES):
            connection_id = uuid.uuid4().hex
            realm = _realm(number)
            session.add(
                a_connection(
                    connection_id,
                    supplier_id,
                    at,
                    realm_digest=vault.digest(realm),
                    realm_sealed=vault.seal(realm, f"{connection_id}:realm"),
                    reconcile_due_at=at + watermarks.RECONCILE_EVERY,
                )
            )


@contextmanager
def _receiver(folder: Path, settings: dict[str, str], one_by_one: bool) -> Iterator[str]:
    port = free_port()
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.benchmark_server", str(port), str(int(one_by_one))],
            env={"PYTHONPATH": str(Path(__file__).parents[2]), **settings},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(process, address), 30, "the receiver")
        yield address
    finally:
        process.terminate()
        process.wait(40)


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    if process.poll() is not None:
        sys.exit("the receiver ended at its start")
    try:
        return httpx.get(f"{address}/livez", trust_env=False, timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False


def _turn(contender: Contender, script: Path, at_once: int, seconds: int) -> Turn:
    _empty(contender.database)
    command = ["wrk", "-t1", f"-c{at_once}", f"-d{seconds}s", "-s", str(script), contender.url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = next(line for line in printed.splitlines() if line.startswith("RESULT"))
    requests, microseconds, p50, p99, failed = map(int, result.split()[1:])
    if failed:
        sys.exit(f"{contender.name}: {failed} requests failed\n{printed}")
    stored = _stored(contender.database)
    repeated = 0.0 if stored is None else 1 - min(stored / requests, 1)
    return Turn(requests / microseconds * 1e6, p50 / 1000, p99 / 1000, repeated)


def _empty(database: Database | None) -> None:
    if database is None:
        return
    if database.is_sqlite:
        with database.write() as session:
            session.execute(text("DELETE FROM notices"))
    else:
        with database.write() as session:
            session.execute(text("TRUNCATE notices CASCADE"))


def _stored(database: Database | None) -> int | None:
    if database is None:
        return None
    with database.read() as session:
        return session.execute(select(func.count()).select_from(Notice)).scalar_one()


def _median(turns: list[Turn]) -> Turn:
    def of(value: Callable[[Turn], float]) -> float:
        return statistics.median(map(value, turns))

    return Turn(
        of(lambda turn: turn.per_second),
        of(lambda turn: turn.p50),
        of(lambda turn: turn.p99),
        of(lambda turn: turn.repeated),
    )


def _print_table(medians: dict[tuple[int, str], Turn]) -> None:
    print(
        f"{'at once':>7}  {'endpoint':35} {'per s':>7} {'p50 ms':>8} {'p99 ms':>8} {'repeated':>9}"
    )
    for (at_once, name), turn in medians.items():
        print(
            f"{at_once:7}  {name:35} {turn.per_second:7.0f} {turn.p50:8.2f} {turn.p99:8.2f}"
            f" {turn.repeated:9.1%}"
        )
    for at_once in CONNECTIONS:
        bare = medians[at_once, "only reads the body"].per_second
        for kind in ("PostgreSQL", "SQLite"):
            ours = medians[at_once, f"webhook, {kind}"]
            single = medians[at_once, f"webhook, {kind}, batch of one"]
            print(
                f"{at_once} connections, {kind}: {ours.per_second / single.per_second:.1f} times"
                f" the batch of one, {ours.per_second / bare:.2f} of the bare endpoint,"
                f" p99 {ours.p99:.1f} ms"
            )
    print("aims on PostgreSQL: 3 times and 0.25 at 64 connections, p99 under 15 ms at 16")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *(5, 4)[len(sys.argv[1:3]) :])
