"""Whether any receiver and any worker is alive, and whether all run the same version."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from service.config.settings import Settings
from service.coordination import clocks
from service.coordination.clocks import WrongClock
from service.domain import ProcessKind, Severity
from service.kit.version import running_version
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.store import inbox, runs
from service.wording import several, span

RECEIVER = "receiver"
CLOCK = "clock"
SILENT_SECONDS = 120.0


def silent_processes(facts: Facts) -> Iterator[Condition]:
    """Yield a condition for each kind of process of which none is alive.

    A new installation misses a receiver once there has been one, and a worker once there is work.
    """
    silence = facts.beats.get(RECEIVER)
    if silence is not None and silence >= SILENT_SECONDS:
        yield Condition(
            cause="receivers.silent",
            severity=Severity.CRITICAL,
            since=facts.now - timedelta(seconds=silence),
            text=f"No receiver has been alive for {span(silence)}, so webhooks reach nobody."
            " QuickBooks sends them again later.",
            command="infactor-quickbooks serve",
        )
    silence = facts.beats.get(CLOCK)
    if silence is None and _has_work(facts):
        yield _silent_workers(facts.settings, "No worker has ever been alive")
    elif silence is not None and silence >= SILENT_SECONDS:
        how_long = f"No worker has been alive for {span(silence)}"
        yield _silent_workers(facts.settings, how_long, facts.now - timedelta(seconds=silence))


def _silent_workers(settings: Settings, how_long: str, since: datetime | None = None) -> Condition:
    return Condition(
        cause="workers.silent",
        severity=Severity.CRITICAL,
        since=since,
        text=f"{how_long}. Webhooks are stored, but invoices are not brought up to date.",
        command=_command(settings, workers_only=True),
    )


def _has_work(facts: Facts) -> bool:
    ours = (facts.session, facts.environment, facts.now)
    return bool(inbox.due_connections(*ours) or runs.due(*ours))


def mixed_versions(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when a living process runs another version than this one, or another."""
    mine = running_version()
    others = [one for one in facts.processes if one.version != mine]
    if not others:
        return
    running = Counter((one.kind, one.version) for one in facts.processes)
    what = ", ".join(
        f"{several(count, kind, f'{kind}s')} of {version}"
        for (kind, version), count in sorted(running.items())
    )
    workers_only = {one.kind for one in others} == {ProcessKind.WORKER}
    yield Condition(
        cause="versions.differ",
        severity=Severity.WARNING,
        text=f"Not all processes run the same version: {what}; this check is of {mine}."
        " Restart the outdated ones.",
        command=_command(facts.settings, workers_only=workers_only),
    )


def _command(settings: Settings, *, workers_only: bool) -> str:
    return f"infactor-quickbooks {'worker' if workers_only and not settings.embedded else 'serve'}"


def wrong_clocks(facts: Facts) -> Iterator[Condition]:
    """Yield each clock that was set within the last hour, or differs from the database's."""
    for one in clocks.wrong(facts.session):
        yield Condition(
            cause="clock.wrong",
            subject=one.name,
            severity=Severity.CRITICAL,
            since=facts.now - timedelta(seconds=one.ago),
            text=f"{_in_words(one)} Let NTP set the clocks. Work goes on by the database's.",
            command="infactor-quickbooks doctor",
        )


def _in_words(clock: WrongClock) -> str:
    how_much = span(round(abs(clock.seconds), -1))
    if clock.name == clocks.DATABASE:
        way = "back" if clock.seconds < 0 else "forward"
        return f"The clock of the database was set {way} by {how_much}."
    way = "behind" if clock.seconds < 0 else "ahead of"
    return f"The clock of the machine {clock.name} is {how_much} {way} the database's."
