"""Sampling: how the service did in each five minutes is kept, to be drawn for operators."""

from service.bootstrap import Services
from service.store import samples
from service.times import now


def sample(services: Services) -> None:
    """Leave a sample of the five minutes that ended last."""
    at = now()
    slot = samples.slot_of(at) - 1
    with services.database.read() as session:
        if samples.is_taken(session, slot):
            return
    with services.database.write() as session:
        samples.take(session, services.settings.quickbooks_environment, slot, at)
