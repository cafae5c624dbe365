"""Which processes are alive, and of which version.

Ages are seconds of the database's own clock, so that no two machines' clocks are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from service.database.tables import Process
from service.database.types import LONGEST_FENCE, database_now
from service.database.upsert import insert
from service.domain import ProcessKind
from service.kit.version import running_version

ALIVE_SECONDS = 60.0
_FORGOTTEN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Living:
    """One process that is alive; `accepts_webhooks` is false for a receiver without a token."""

    kind: str
    version: str
    accepts_webhooks: bool


class Presence:
    """What this process says of itself; one that is receiver and worker says both."""

    def __init__(self, *, accepts_webhooks: bool) -> None:
        self._id = token_hex(16)
        self._accepts_webhooks = accepts_webhooks
        self.is_known = False

    def report(self, session: Session, kind: ProcessKind) -> None:
        """Note that this process is alive, and forget those that ended an hour ago.

        One that the clock has been set back behind may have ended: if it lives, it says so again.
        """
        now = database_now()
        said = {
            "version": running_version(),
            "accepts_webhooks": self._accepts_webhooks,
            "at": now,
        }
        statement = insert(session, Process).values(id=self._id, kind=kind, **said)
        keys = [Process.id, Process.kind]
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=said))
        forgotten = or_(Process.at < now - _FORGOTTEN_SECONDS, Process.at > now + LONGEST_FENCE)
        session.execute(delete(Process).where(forgotten))
        self.is_known = True

    def leave(self, session: Session) -> None:
        """Note that this process has ended."""
        session.execute(delete(Process).where(Process.id == self._id))


_alive = select(Process.kind, Process.version, Process.accepts_webhooks).where(
    Process.at.between(database_now() - ALIVE_SECONDS, database_now() + LONGEST_FENCE)
)


def living(session: Session) -> Sequence[Living]:
    """Return the processes that were alive within ALIVE_SECONDS."""
    return [Living(*row) for row in session.execute(_alive)]
