"""Whether alerts reach those who are to act on them."""

from collections.abc import Iterator

from service.domain import Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.store import alerts
from service.wording import several, shortened


def refused_alerts(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while alerts could not be sent where the settings want them."""
    if not facts.settings.sends_alerts:
        return
    count, since, why = alerts.refused(facts.session, facts.now)
    if count:
        yield Condition(
            cause="alerts.refused",
            severity=Severity.CRITICAL,
            since=since,
            text=f"{several(count, 'alert', 'alerts')} could not be sent, so nobody is alerted:"
            f" {shortened(why or 'no reason')}. Check the address and whoever listens there. They"
            " are sent again automatically, at most an hour apart; the command sends them now.",
            command="infactor-quickbooks alerts test",
        )
