"""How far the import of a company's past has come, for people."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.store import halts, runs
from service.store.tables import Connection, Run


@dataclass(frozen=True, slots=True)
class Progress:
    """One run: what it has read of what there is, and what became of that."""

    state: str  # active | done | failed
    whole: bool
    read: int
    expected: int | None
    held: int
    failed: int
    waiting: bool
    stopped: bool  # until somebody at Infactor has looked at it

    @property
    def active(self) -> bool:
        """True while more is coming."""
        return self.state == "active"


def progress_of(session: Session, connection_ids: Collection[str]) -> dict[str, Progress]:
    """Return by company how far its newest run has come; not of those that never had one."""
    return {i: _progress(run) for i, run in runs.latest_of(session, connection_ids).items()}


def news_of(session: Session, connection: Connection) -> Progress | None:
    """Return how far the newest run has come, unless it had ended before the latest consent."""
    run = runs.latest(session, connection.id)
    ended = None if run is None else run.finished_at
    is_old = ended is not None and ended < connection.renewed_at
    return None if run is None or is_old else _progress(run)


def _progress(run: Run) -> Progress:
    tally = run.tally
    return Progress(
        state=run.state,
        whole=run.since is None,
        read=tally.get("read", 0),
        expected=run.expected,
        held=sum(tally.get("held", {}).values()),
        failed=tally.get("failed", 0),
        waiting=run.state == "active" and run.error is not None,
        stopped=halts.waits(run),
    )
