"""What `/readyz` and `/metrics` ask the database and the queue."""

from dataclasses import dataclass

from service.bootstrap import Services
from service.store import breakers, measures, schema
from service.store.measures import Measures
from service.times import now
from service.web.probe import Probe

_DATABASE_SECONDS = 2.0
_QUEUE_SECONDS = 0.5


@dataclass(frozen=True)
class Vitals:
    """The questions of one application; no answer is None."""

    oldest_due: Probe[float | None]  # in seconds; None, too, for another version's schema
    queue: Probe[bool]
    sink: Probe[str]  # "own record" where Infactor's table is ours, else "ok" or "away"
    measures: Probe[Measures | None]


def vitals(services: Services) -> Vitals:
    """Return the questions to what these services stand on."""
    environment = services.settings.quickbooks_environment

    def oldest_due() -> float | None:
        with services.database.read() as session:
            if not schema.is_current(session):
                return None
            return measures.oldest_due(session, environment, now())

    def measured() -> Measures | None:
        with services.database.read() as session:
            if not schema.is_current(session):
                return None
            delivers = services.settings.delivers
            return measures.measure(session, environment, now(), delivers=delivers)

    def sink() -> str:
        if not services.settings.delivers:
            return "own record"
        with services.database.read() as session:
            return "ok" if breakers.broken(session, breakers.INFACTOR) is None else "away"

    return Vitals(
        oldest_due=Probe(oldest_due, seconds=_DATABASE_SECONDS),
        sink=Probe(sink, seconds=_DATABASE_SECONDS),
        queue=Probe(services.jobs.answers, seconds=_QUEUE_SECONDS),
        measures=Probe(measured, seconds=_DATABASE_SECONDS),
    )
