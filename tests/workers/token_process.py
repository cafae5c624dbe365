"""A process that asks for a company's access token in several threads at the same moment.

It says that it is ready, begins at a line on standard input, and prints what each thread got: the
digest of a token, or the name of an error.
"""

import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from dramatiq.brokers.stub import StubBroker

from service.config.loading import load_settings
from service.errors import SyncError
from service.kit import logs
from service.services import build_services


def main(connection_id: str, threads: int) -> None:
    """Print a line for each thread."""
    logs.configure()
    services = build_services(load_settings(None), StubBroker())
    gate = threading.Barrier(threads)

    def ask(_: int) -> str:
        gate.wait()
        try:
            token = services.access.access_token(connection_id)
        except SyncError as e:
            return type(e).__name__
        return hashlib.sha256(token.encode()).hexdigest()

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(threads) as pool:
        for got in pool.map(ask, range(threads)):
            print(got, flush=True)
    services.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
