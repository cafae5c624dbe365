"""The operators' list of alerts: what was wrong from when to when, and what was sent of it."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from service.database.tables import Alert
from service.domain import Severity
from service.monitoring.pages import TITLES, guide_of, page_of
from service.queries import alerts, companies
from service.queries.alerts import AlertFilter
from service.web.ops.flash import page
from service.web.ops.forms import asking, number, one_of, page_links
from service.web.state import AppState
from service.wording import several

LIST = "/ops/alerts"
PAGE_SIZE = 50
_STATES = {AlertFilter.ON: "On now", AlertFilter.OVER: "Over", AlertFilter.UNSENT: "Not sent"}


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert in words, and where one acts on it."""

    alert: Alert
    title: str
    company: str
    page: str | None
    guide: str
    kind: str  # good | warn | bad | plain

    @property
    def tries(self) -> str:
        """How often its message was refused so far."""
        return several(self.alert.attempts, "attempt", "attempts")


def listing(request: Request[AppState]) -> Response:
    """Show a page of alerts, the newest first."""
    services, query = request.state["services"], request.query_params
    state = one_of(query, "state", list(AlertFilter))
    with services.database.read() as session:
        before = number(query.get("before"))
        found = alerts.page(session, state=state, before=before, limit=PAGE_SIZE + 1)
        shown = found[:PAGE_SIZE]
        following = shown[-1].id if len(found) > PAGE_SIZE else None
        names = companies.names(session, {one.subject for one in shown if one.subject})
    return page(
        request,
        "ops/alerts.html",
        {
            "rows": [_row(one, names) for one in shown],
            "states": [("", "All", LIST)]
            + [(name, words, asking(LIST, {"state": name})) for name, words in _STATES.items()],
            "state": state,
            "channels": [channel.name for channel in services.alert_channels],
            **page_links(LIST, {"state": state}, "before", query, following),
        },
    )


def _row(alert: Alert, names: dict[str, str]) -> AlertRow:
    wrong = "bad" if alert.severity == Severity.CRITICAL else "warn"
    return AlertRow(
        alert=alert,
        title=TITLES.get(alert.cause, alert.cause),
        company=names.get(alert.subject, ""),
        page=page_of(alert.cause, alert.subject, alert.page),
        guide=guide_of(alert.cause),
        kind=wrong if alert.ended_at is None else "plain",
    )
