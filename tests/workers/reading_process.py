"""A process that reads invoices of a company in several threads, as fast as it is let.

It says that it is ready, begins at a line on standard input, and prints what became of each read.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from dramatiq.brokers.stub import StubBroker

from service.config.loading import load_settings
from service.errors import SyncError
from service.kit import logs
from service.services import build_services
from service.store import connections


def main(connection_id: str, threads: int, reads: int) -> None:
    """Print a line for each read: `read`, or the name of an error."""
    logs.configure()
    services = build_services(load_settings(None), StubBroker())
    with services.database.read() as session:
        connection = connections.get(session, connection_id)
    assert connection is not None
    company = services.access.company(connection)

    def read(_: int) -> str:
        try:
            company.read("Customer", "7")
        except SyncError as e:
            return type(e).__name__
        return "read"

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(threads) as pool:
        for became in pool.map(read, range(reads)):
            print(became, flush=True)
    services.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
