"""The actors: shims that hand a row's id to its use case, with the policy for what goes wrong.

What QuickBooks answers is dealt with in the use cases and in rows, where it outlives the queue.
An exception that gets as far as here is a bug, or the database is away: it is tried a few times
soon, and after that the sweep asks again.
"""

from dramatiq import Actor, Broker

from service.bootstrap import Services
from service.jobs import DELIVER, RUN, SYNC
from workers import run, sync

_MAX_RETRIES = 3
_MIN_BACKOFF_MS = 1_000
_MAX_BACKOFF_MS = 30_000
# Longer than any sync: 500 confirmations at 6 a second, and a page that takes its minute.
_TIME_LIMIT_MS = 10 * 60 * 1000
# A nudge that nobody took for an hour has been sent again by the sweep many times over.
_MAX_AGE_MS = 60 * 60 * 1000


def declare(broker: Broker, services: Services) -> None:
    """Declare every actor on this broker."""

    def sync_company(connection_id: str) -> None:
        sync.sync_company(services, connection_id)

    def deliver_company(connection_id: str) -> None:
        if services.infactor is not None:
            from workers import deliver  # noqa: PLC0415 - needs an extra

            deliver.deliver_company(services, connection_id)

    def work_on_run(run_id: int) -> None:
        run.work_on_run(services, run_id)

    for job, function in ((SYNC, sync_company), (DELIVER, deliver_company), (RUN, work_on_run)):
        Actor(
            function,
            broker=broker,
            actor_name=job.name,
            queue_name=job.queue,
            priority=job.priority,
            options={
                "max_retries": _MAX_RETRIES,
                "min_backoff": _MIN_BACKOFF_MS,
                "max_backoff": _MAX_BACKOFF_MS,
                "time_limit": _TIME_LIMIT_MS,
                "max_age": _MAX_AGE_MS,
            },
        )
