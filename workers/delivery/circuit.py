"""Circuit breaker for Infactor's database: while it is away, one process at a time tries it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from service.coordination import circuit_breaker
from service.coordination.circuit_breaker import INFACTOR
from service.errors import InfactorAway, ServiceError
from service.infactor.collection import InvoiceCollection
from service.infactor.users import Users
from service.services import Services

log = structlog.get_logger(__name__)


class InfactorUnavailable(ServiceError):
    """Infactor's database is away, or not configured; the message says why. The work waits."""


@dataclass(frozen=True, slots=True)
class Infactor:
    """Infactor's collections; both raise InfactorAway if the database does not answer."""

    invoices: InvoiceCollection
    users: Users


@contextmanager
def reaching_infactor(services: Services) -> Iterator[Infactor]:
    """Give Infactor's collections, and record for all processes whether they answered.

    Raises InfactorUnavailable if none is configured or it is away, before or during the block.
    """
    if services.infactor is None:
        raise InfactorUnavailable("INFACTOR_MONGODB_URL is not set")
    with services.database.read() as session:
        broken = circuit_breaker.broken(session, INFACTOR)
    if broken is not None:
        with services.database.write() as session:
            if not circuit_breaker.may_try(session, INFACTOR):
                raise InfactorUnavailable(broken.why)
    try:
        yield Infactor(
            invoices=InvoiceCollection(
                services.infactor, withdraw=services.settings.infactor_withdraw
            ),
            users=Users(services.infactor),
        )
    except InfactorAway as e:
        with services.database.write() as session:
            circuit_breaker.failed(session, INFACTOR, str(e))
        log.warning("infactor.away", why=str(e))
        raise InfactorUnavailable(str(e)) from e
    if broken is not None:
        with services.database.write() as session:
            circuit_breaker.works(session, INFACTOR)
