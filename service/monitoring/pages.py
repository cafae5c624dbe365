"""What operators read first about each condition, and the page where they can act on it."""

from collections.abc import Mapping

GUIDE = "/ops/guide"
"""Where operators read the guide."""

TITLES: Mapping[str, str] = {
    "connection.dead": "Connection ended by QuickBooks",
    "books.unproven": "Approved invoices are unconfirmed",
    "connection.barred": "QuickBooks refuses access",
    "keys.refused": "QuickBooks refuses the app's keys",
    "run.failing": "A backfill or reconcile is failing",
    "token.ending": "Authorisation ends within 30 days",
    "token.ending_soon": "Authorisation ends within 7 days",
    "reconcile.red": "Reconcile failed or left a difference",
    "withdrawals.stopped": "Many withdrawals need a decision",
    "company.silent": "Webhooks have stopped",
    "answers.unasked": "QuickBooks sent records that were not asked for",
    "throttled.lasting": "QuickBooks is rate limiting",
    "webhooks.forged": "Webhooks with wrong signatures",
    "webhooks.misdirected": "Webhooks go to a wrong address",
    "verifier.missing": "No verifier token",
    "webhooks.broken": "Changes arrive without a webhook",
    "webhooks.stuck": "Webhook events are overdue",
    "webhooks.failed": "Webhook events failed",
    "reads.high": "Most reads of the month are used",
    "infactor.away": "Infactor's database is not responding",
    "deliveries.stuck": "Invoices are stuck on their way to Infactor",
    "deliveries.refused": "Infactor refuses some invoices",
    "events.refused": "Infactor does not take events, or too slowly",
    "old_rows.held": "Rows of the old import block invoices",
    "finding.critical": "Changed after an approval",
    "database.refuses": "The database refuses writes",
    "queue.away": "Redis is not responding",
    "queue.refuses": "Redis refuses work",
    "quickbooks.away": "QuickBooks is down",
    "alerts.refused": "Alerts cannot be sent",
    "versions.differ": "Processes run different versions",
    "receivers.crowded": "Receivers turn connections away",
    "clock.wrong": "A clock is wrong",
    "time.ahead": "A time in QuickBooks is ahead of the clock",
    "receivers.silent": "Receivers are silent",
    "workers.silent": "Workers are silent",
}
_PAGES: Mapping[str, str] = {
    "withdrawals.stopped": "/ops/connections/{subject}#stopped",
    "finding.critical": "/ops/findings?severity=critical&company={subject}",
    "webhooks.stuck": "/ops/events?status=stuck",
    "webhooks.failed": "/ops/events?status=failed",
    "webhooks.broken": "/ops/events",
    "webhooks.misdirected": "/ops/events",
    "webhooks.forged": "/ops/events",
    "deliveries.stuck": "/ops/connections?state=late",
    "deliveries.refused": "/ops/connections?state=late",
    "reads.high": "/ops/#reads",
    "quickbooks.away": "/ops/connections",
    "throttled.lasting": "/ops/connections",
}


def title_of(cause: str) -> str:
    return TITLES[cause]


def guide_of(cause: str) -> str:
    """Return the path of the guide's paragraph about this condition."""
    return f"{GUIDE}/operating#{cause}"


def page_of(cause: str, subject: str, own: str = "") -> str | None:
    """Return the path of the page where an operator can act on this condition, if any.

    `own` is the condition's own page, where it has one.
    """
    if own:
        return own
    known = "/ops/connections/{subject}" if subject else None
    page = _PAGES.get(cause, known)
    return page and page.format(subject=subject)


def link_of(cause: str, subject: str, base: str, own: str = "") -> str:
    """Return the address of that page below `base`, or of the overview."""
    return base + (page_of(cause, subject, own) or "/ops/")
