"""What is wrong now."""

from service.watch import companies, flow, infactor, processes
from service.watch.condition import Condition
from service.watch.facts import Facts

# In the order in which they are shown, the most urgent first.
_CHECKS = (
    processes.silent_processes,
    infactor.critical_findings,
    infactor.infactor_away,
    infactor.stuck_deliveries,
    flow.stuck_notices,
    companies.dead_connections,
    companies.stopped_withdrawals,
    companies.red_reconciles,
    flow.broken_webhooks,
    companies.lasting_throttle,
    companies.ending_tokens,
    flow.high_reads,
    flow.parked_notices,
    infactor.refused_deliveries,
    flow.forged_webhooks,
)


def wrong_now(facts: Facts) -> list[Condition]:
    """Return everything that is wrong at this moment, the critical first.

    A handful of short queries, however many companies and notices there are.
    """
    found = [condition for check in _CHECKS for condition in check(facts)]
    return sorted(found, key=lambda condition: condition.severity != "critical")
