"""What a start costs: CPU until `/livez` answers, and memory before there is anything to do.

Not a test: `python -m tests.web.benchmark_start [rounds]` starts `serve` and `worker` with servers
of its own, and prints for each the least CPU of some rounds, also as a multiple of what
`python -c "import typer, rich"` takes in the same run, and the resident memory.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from service.database.engine import Database
from service.database.schema import migrate
from tests import processes
from tests.servers import PATIENCE, free_port, mongodb_server, postgres, redis_server, wait_until
from tests.workers.world import environment

ROOT = Path(__file__).parents[2]
_ENV = {**os.environ, "PYTHONPATH": str(ROOT), "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
_COMMANDS = {
    'python -c "import typer, rich"': ("-c", "import typer, rich"),
    "--version": ("-m", "service.cli", "--version"),
    "--help": ("-m", "service.cli", "--help"),
    "the imports of serve": ("-c", "import service.app, workers.process, uvicorn"),
}


def main(rounds: int) -> None:
    """Print the table."""
    unit = 0.0
    for name, arguments in _COMMANDS.items():
        least = min(_cpu_of(arguments) for _ in range(rounds))
        unit = unit or least
        print(f"{name:36} {least * 1000:6.0f} ms of CPU   {least / unit:5.1f} times")
    with postgres() as url, redis_server() as redis, mongodb_server() as mongodb:
        database = Database(url)
        migrate(database)
        database.close()
        shared = {"REDIS_URL": redis, "INFACTOR_MONGODB_URL": mongodb}
        shared["INFACTOR_MONGODB_DATABASE"] = "ifactor"
        for name, settings in (("serve, all in one, SQLite", {}), ("serve, PostgreSQL", shared)):
            measured = [_serve(url, settings) for _ in range(rounds)]
            least = min(cpu for cpu, _ in measured)
            megabytes = measured[-1][1]
            print(f"{name:36} {least:6.2f} s of CPU    {least / unit:5.1f} times  {megabytes:4} MB")
        print(f"{'worker, PostgreSQL':36} {'':32} {_worker(url, shared):4} MB")


def _cpu_of(arguments: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=_ENV, cwd=ROOT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _serve(url: str, settings: Mapping[str, str]) -> tuple[float, int]:
    """Return the seconds of CPU until `/livez` answers, and the megabytes soon afterwards."""
    port = free_port()
    with (
        _started(url, settings, "serve", "--port", str(port)) as process,
        httpx.Client(timeout=PATIENCE) as client,
    ):

        def lives() -> bool:
            try:
                return client.get(f"http://127.0.0.1:{port}/livez").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(lives, 60, "/livez")
        cpu = processes.cpu(process.pid)
        for _ in range(3):
            client.get(f"http://127.0.0.1:{port}/readyz")
        return cpu, processes.megabytes(process.pid)


def _worker(url: str, settings: Mapping[str, str]) -> int:
    """Return the megabytes of a worker that has started."""
    with _started(url, settings, "worker") as process:
        assert process.stderr
        for line in process.stderr:
            if b"worker.started" in line:
                break
        wait_until(lambda: processes.threads(process.pid) > 8, 60, "the threads")
        return processes.megabytes(process.pid)


@contextmanager
def _started(
    url: str, settings: Mapping[str, str], *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryDirectory(prefix="infactor-test-") as folder:
        database = url if settings else f"sqlite:///{folder}/start.db"
        values = environment("http://127.0.0.1:1", database, **settings)
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *arguments],
            env={**_ENV, **values},
            cwd=folder,
            stderr=subprocess.PIPE if "worker" in arguments else subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
