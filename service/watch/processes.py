"""Whether there are processes that receive, and processes that work."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service.settings import Settings
from service.store import heartbeats, inbox, runs
from service.watch.condition import Condition, span

RECEIVER = "receiver"
CLOCK = "clock"
SILENT_SECONDS = 120.0


def silent_processes(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give a condition for each kind of process of which none is alive, as far as it is missed.

    A new installation misses receivers once there has been one, and workers once there is work.
    """
    ages = heartbeats.ages(session)
    silence = ages.get(RECEIVER)
    if silence is not None and silence >= SILENT_SECONDS:
        yield Condition(
            cause="receivers.silent",
            severity="critical",
            since=now - timedelta(seconds=silence),
            text=f"No receiver has been alive for {span(silence)}: QuickBooks' notifications reach"
            " nobody.",
            command="infactor-quickbooks serve",
        )
    silence = ages.get(CLOCK)
    if silence is None and _has_work(session, settings, now):
        yield _silent_workers(settings, "None has ever been alive")
    elif silence is not None and silence >= SILENT_SECONDS:
        how_long = f"None has been alive for {span(silence)}"
        yield _silent_workers(settings, how_long, now - timedelta(seconds=silence))


def _silent_workers(settings: Settings, how_long: str, since: datetime | None = None) -> Condition:
    return Condition(
        cause="workers.silent",
        severity="critical",
        since=since,
        text=f"No worker works. {how_long}: notices are stored, but invoices stay as they are.",
        command=f"infactor-quickbooks {'serve' if settings.embedded else 'worker'}",
    )


def _has_work(session: Session, settings: Settings, now: datetime) -> bool:
    environment = settings.quickbooks_environment
    return bool(
        inbox.due_connections(session, environment, now) or runs.due(session, environment, now)
    )
