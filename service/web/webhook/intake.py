"""The group commit: webhooks that arrive together are stored in one transaction.

A writer thread takes whatever arrived during its last commit. So the more webhooks there are, the
less a commit costs each; each is answered only when it is stored.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import structlog
from msgspec import Struct
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.database.engine import Database, Statements
from service.jobs import Nudges
from service.kit.clock import now
from service.store.inbox import NewNotice, insert_notices

log = structlog.get_logger(__name__)

# Intuit gives a receiver three seconds.
TIMEOUT_SECONDS = 2.5
MAX_WAITING = 2000
# Committing so many events takes far less than the time-out.
_MOST_EVENTS = 5000
_MOST_IN_A_LINE = 50
# The database is away: retrying webhook by webhook would not help.
_AWAY = (OperationalError, InterfaceError, PoolTimeout)


class NotStored(Exception):
    """The webhook may not be stored, and has to be sent again."""


class _Webhook(Struct):
    notices: Sequence[NewNotice]
    trace_id: str | None
    stored: asyncio.Future[None]


class Intake:
    """Stores webhooks, many in one commit, then nudges each company once; for one event loop."""

    def __init__(
        self,
        database: Database,
        environment: str,
        nudges: Nudges,
        *,
        most_waiting: int = MAX_WAITING,
        most_webhooks: int = MAX_WAITING,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._statements = Statements(database.engine)
        self._environment = environment
        self._nudges = nudges
        self._most_waiting = most_waiting
        self._most_webhooks = most_webhooks
        self._timeout_seconds = timeout_seconds
        self._waiting: deque[_Webhook] = deque()
        self._arrived = threading.Condition()
        self._stored: list[_Webhook] = []  # and not logged yet
        self._newest: list[asyncio.Future[None]] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store what is waiting, and end; later webhooks are refused."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify()
        self._thread.join(timeout=10)

    async def store(self, notices: Sequence[NewNotice], trace_id: str | None = None) -> None:
        """Return once everything is committed; raises NotStored, after 2.5 s at the latest."""
        if self._stopping or len(self._waiting) >= self._most_waiting:
            raise NotStored("too many deliveries are waiting to be stored")
        loop = asyncio.get_running_loop()
        stored = loop.create_future()
        # Without the lock, for which this thread might have to wait.
        self._waiting.append(_Webhook(notices, trace_id, stored))
        if self._newest is None:
            # Only after all requests that came with this one are waiting too.
            self._newest = []
            loop.call_soon(self._wake, loop, self._newest)
        self._newest.append(stored)
        await stored

    def _wake(
        self, loop: asyncio.AbstractEventLoop, newest: Sequence[asyncio.Future[None]]
    ) -> None:
        """Wake the writer, and set one time limit for all that came together."""
        self._newest = None
        late = NotStored("the database did not commit in time")
        loop.call_later(self._timeout_seconds, _settle, newest, late)
        with self._arrived:
            self._arrived.notify()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)
        self._log_stored()
        self._statements.close()

    def _next_batch(self) -> list[_Webhook]:
        """Wait for webhooks and take them; an empty list ends the writer."""
        with self._arrived:
            while True:
                batch = self._take()
                if batch or self._stopping:
                    return batch
                self._log_stored()  # left over from a failure or time-out
                self._arrived.wait()

    def _take(self) -> list[_Webhook]:
        batch: list[_Webhook] = []
        events = 0
        while self._waiting and len(batch) < self._most_webhooks and events < _MOST_EVENTS:
            webhook = self._waiting.popleft()
            if webhook.stored.done():  # its sender was answered 503
                continue
            events += len(webhook.notices)
            batch.append(webhook)
        return batch

    def _commit(self, batch: Sequence[_Webhook]) -> None:
        notices = [notice for webhook in batch for notice in webhook.notices]
        try:
            touched = insert_notices(self._statements, notices, self._environment, now())
        except Exception as e:
            # Any exception: without its writer the receiver would refuse everything from then on.
            self._fail(batch, e)
            return
        self._stored += batch
        if not self._waiting or len(self._stored) >= _MOST_IN_A_LINE:
            self._log_stored()
        _answer(batch, None)
        for connection_id in touched:
            self._nudges.sync(connection_id)

    def _log_stored(self) -> None:
        """Log one line for many webhooks: a line each took as long as storing them."""
        stored, self._stored = self._stored, []
        if not stored:
            return
        notices = [notice for webhook in stored for notice in webhook.notices]
        log.info(
            "webhook.stored",
            deliveries=list(dict.fromkeys(notice.webhook_id for notice in notices)),
            events=len(notices),
            intuit_tids=[webhook.trace_id for webhook in stored if webhook.trace_id],
        )

    def _fail(self, batch: Sequence[_Webhook], error: Exception) -> None:
        """Answer that nothing is stored; or store one by one, if one may have failed the others."""
        if len(batch) > 1 and not isinstance(error, _AWAY):
            for webhook in batch:
                self._commit([webhook])
            return
        log.warning("webhook.not_stored", deliveries=len(batch), error=type(error).__name__)
        _answer(batch, NotStored("the database did not take the delivery"))


def _answer(batch: Sequence[_Webhook], error: Exception | None) -> None:
    """Answer the requests, in their own thread."""
    stored = [webhook.stored for webhook in batch]
    with suppress(RuntimeError):  # the event loop has ended; nobody waits for the answers
        stored[0].get_loop().call_soon_threadsafe(_settle, stored, error)


def _settle(stored: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for future in stored:
        if future.done():  # in time, or because its time was up
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
