"""What is wrong, for whoever does not look at the overview: in its title, and read aloud."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from service.watch.condition import Condition, several

_MOST = 5
_TITLES = {
    "connection.dead": "Connection ended by QuickBooks",
    "token.ending": "Authorisation ends within 30 days",
    "token.ending_soon": "Authorisation ends within 7 days",
    "reconcile.red": "Reconcile failed or left a difference",
    "withdrawals.stopped": "Many withdrawals wait for a decision",
    "throttled.lasting": "QuickBooks answers too many requests",
    "webhooks.forged": "Many deliveries without a right signature",
    "webhooks.broken": "Changes come without a notification",
    "notices.stuck": "Notices are stuck",
    "notices.parked": "Notices failed for good",
    "reads.high": "Most reads of the month are used",
    "infactor.away": "Infactor's database does not answer",
    "deliveries.stuck": "Invoices do not get into Infactor",
    "deliveries.refused": "Infactor does not take some invoices",
    "finding.critical": "Changed after an approval",
    "receivers.silent": "Receivers are silent",
    "workers.silent": "Workers are silent",
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """How much is wrong, and what: `version` changes when anything else is, not with its age."""

    count: int
    sentence: str
    version: str

    @property
    def title(self) -> str:
        """The overview's title."""
        return f"{self.count:,} wrong · Overview" if self.count else "Overview"


def alarm_of(wrong: Sequence[Condition]) -> Alarm:
    """Return what is to be told of everything that is wrong."""
    which = sorted(f"{condition.cause} {condition.subject}" for condition in wrong)
    version = sha256("\n".join(which).encode()).hexdigest()[:16]
    return Alarm(len(wrong), _sentence(wrong), version)


def title_of(condition: Condition) -> str:
    """Return what this is called before people."""
    return _TITLES[condition.cause]


def _sentence(wrong: Sequence[Condition]) -> str:
    if not wrong:
        return "Nothing is wrong any more."
    named = [_name(condition) for condition in wrong[:_MOST]]
    more = f" and {len(wrong) - _MOST:,} more" if len(wrong) > _MOST else ""
    return f"{several(len(wrong), 'thing is', 'things are')} wrong: {', '.join(named)}{more}."


def _name(condition: Condition) -> str:
    title = title_of(condition)
    return f"{title} ({condition.company})" if condition.company else title
