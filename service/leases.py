"""The leases that this process holds, and the heartbeat that keeps them from lapsing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.store import leases
from service.store.database import Database

log = structlog.get_logger(__name__)

_BEAT_SECONDS = leases.TTL_SECONDS / 4


class HeldLeases:
    """Takes leases for as long as a block runs, however long that is.

    A heartbeat extends them; when the process dies they lapse by themselves and another process
    goes on. A holder that was frozen past its lease does no harm: what it writes is guarded by
    versions and checkpoints.
    """

    def __init__(self, database: Database, *, beat_seconds: float = _BEAT_SECONDS) -> None:
        self._database = database
        self._beat_seconds = beat_seconds
        self.owner = leases.new_owner()
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to extend what is held."""
        self._thread.start()

    def stop(self) -> None:
        """Stop extending; what is still held lapses."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @contextmanager
    def hold(self, name: str, *, spacing: float = 0.0) -> Iterator[bool]:
        """Give True while this block alone has the lease, False if somebody else has it."""
        with self._database.write() as session:
            mine = self._free_here(name) and leases.acquire(
                session, name, self.owner, spacing=spacing
            )
        if not mine:
            yield False
            return
        with self._lock:
            self._names.add(name)
        try:
            yield True
        finally:
            with self._lock:
                self._names.discard(name)
            with self._database.write() as session:
                leases.release(session, name, self.owner)

    def _free_here(self, name: str) -> bool:
        with self._lock:
            return name not in self._names

    def _beat(self) -> None:
        while not self._stopping.wait(self._beat_seconds):
            with self._lock:
                names = sorted(self._names)
            if not names:
                continue
            try:
                with self._database.write() as session:
                    leases.extend(session, names, self.owner)
            except Exception as e:
                # The next beat tries again; three may fail before a lease lapses.
                log.warning("lease.not_extended", error=type(e).__name__)
