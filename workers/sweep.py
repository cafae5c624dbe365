"""The sweep: asks again for every piece of work whose row is due, whatever became of its message.

A flushed queue, a lost nudge, a worker that died: each costs at most one interval of the sweep.
"""

import structlog

from service.bootstrap import Services
from service.store import inbox, outgoing, runs
from service.times import now

log = structlog.get_logger(__name__)


def sweep(services: Services) -> None:
    """Send a nudge for each company with due notices or deliveries, and each run that may go on.

    Nudges for work that somebody is doing already are harmless: the lease turns them away.
    """
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        strays = inbox.strays(session, environment)
    if strays:
        with services.database.write() as session:
            for connection_id, realm_digest in strays:
                inbox.link(session, connection_id, realm_digest)
    with services.database.read() as session:
        companies = inbox.due_connections(session, environment, now())
        due_runs = runs.due(session, environment, now())
        delivering = (
            outgoing.due_connections(session, environment, now())
            if services.settings.delivers
            else ()
        )
    for connection_id in companies:
        services.jobs.sync(connection_id)
    for connection_id in delivering:
        services.jobs.deliver(connection_id)
    for run_id in due_runs:
        services.jobs.run(run_id)
