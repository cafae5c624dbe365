"""How fast the simulator answers pages of a large generated company.

Not a test: `python -m tests.simulator.benchmark_simulator_pages [invoices]` prints the median and
the slowest of twenty answers, over HTTP on this machine.
"""

import resource
import statistics
import sys
import time

from service.simulator.app import running
from service.simulator.books.book import Book
from tests.simulator.wire import Wire, a_config

REALM = "9341455000000003"
TIMES = 20
CHANGED = "MetaData.LastUpdatedTime"
STATEMENTS = {
    "first page": "select * from Invoice maxresults 1000",
    "late page": "select * from Invoice startposition {late} maxresults 1000",
    "by id": "select * from Invoice orderby Id startposition {late} maxresults 1000",
    "newest first": f"select * from Invoice orderby {CHANGED} desc maxresults 1000",
    "since, by time": f"select * from Invoice where {CHANGED} >= '{{half}}' orderby {CHANGED} "
    "startposition 1001 maxresults 1000",
    "since, by id": f"select * from Invoice where {CHANGED} >= '{{half}}' maxresults 1000",
    "1,000 ids": "select * from Invoice where Id in ({ids}) maxresults 1000",
    "count": "select count(*) from Invoice",
    "count since": f"select count(*) from Invoice where {CHANGED} >= '{{half}}'",
}


def main(count: int) -> None:
    """Print one line per kind of page."""
    began = time.perf_counter()
    with running(a_config(generate=count), Book({})) as simulator:
        print(f"{count:,} invoices, started in {time.perf_counter() - began:.2f} s")
        simulator.simulator.switch({"requests_per_second": None, "requests_per_minute": None})
        wire = Wire(simulator)
        with wire.http:
            wire.connect(REALM)
            half = wire.get(f"invoice/{101 + count // 2}", REALM).json()["Invoice"]["MetaData"]
            known = {
                "late": count - 1500,
                "half": half["LastUpdatedTime"],
                "ids": ",".join(f"'{101 + n * (count // 1000)}'" for n in range(1000)),
            }
            for name, statement in STATEMENTS.items():
                _measure(wire, name, statement.format(**known))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"most memory of the whole process: {memory} MB")


def _measure(wire: Wire, name: str, statement: str) -> None:
    times, size = [], 0
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = wire.query(statement, REALM)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
        size = len(answer.content)
    print(
        f"{name:15} median {statistics.median(times):6.1f} ms, slowest {max(times):6.1f} ms,"
        f" {size / 1000:8.0f} kB"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
