"""The operators' pages under /ops, outside the prefix that is proxied to the internet."""

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, request_response

from service.monitoring.pages import GUIDE
from service.web.ops import (
    actions,
    alerts,
    approvals,
    audit,
    companies,
    events,
    findings,
    forms,
    guide,
    invite,
    invoices,
    ledger,
    login,
    overview,
    runs,
)
from service.web.ops.forms import posted
from service.web.ops.session import OperatorsOnly

_MOST_BYTES = 64 * 1024


def routes() -> list[BaseRoute]:
    """Return the operators' routes: all but the log-in need a session."""
    log_in = Route(forms.LOGIN, login.login, methods=["GET"], max_body_size=0)
    try_it = Route(forms.LOGIN, login.log_in(), methods=["POST"], max_body_size=_MOST_BYTES)
    guarded = [
        ("GET", "/ops", login.home),
        ("POST", "/ops/logout", login.log_out),
        ("GET", "/ops/", overview.overview),
        ("GET", "/ops/live", overview.live),
        ("GET", companies.LIST, companies.listing),
        ("POST", companies.LIST, posted(companies.search)),
        ("GET", "/ops/connections/{id}", companies.detail),
        ("GET", "/ops/connections/{id}/live", companies.live),
        ("GET", "/ops/connections/{id}/link", actions.again),
        ("POST", "/ops/connections/{id}/link", posted(actions.make)),
        ("GET", "/ops/connections/{id}/{order}", actions.confirmation),
        ("POST", "/ops/connections/{id}/{order}", posted(actions.act)),
        ("GET", invite.PAGE, invite.question),
        ("POST", invite.PAGE, posted(invite.invite)),
        ("GET", runs.LIST, runs.listing),
        ("GET", "/ops/runs/{id}", approvals.question),
        ("GET", "/ops/runs/{id}/live", runs.live),
        ("POST", "/ops/runs/{id}/confirm", posted(approvals.approve)),
        ("POST", "/ops/runs/{id}/drop", posted(approvals.reject)),
        ("GET", events.LIST, events.listing),
        ("POST", events.LIST, posted(events.search)),
        ("GET", events.NEWS, events.news),
        ("POST", "/ops/events/replay", posted(events.replay)),
        ("GET", "/ops/events/{id}", events.detail),
        ("GET", "/ops/events/{id}/live", events.live),
        ("POST", "/ops/events/{id}/replay", posted(events.replay_one)),
        ("GET", alerts.LIST, alerts.listing),
        ("GET", audit.PAGE, audit.listing),
        ("GET", invoices.LIST, invoices.listing),
        ("POST", invoices.LIST, posted(invoices.search)),
        ("GET", "/ops/invoices/{id}", invoices.detail),
        ("GET", ledger.PAGE, ledger.listing),
        ("GET", f"{ledger.PAGE}.csv", ledger.download),
        ("GET", GUIDE, guide.contents),
        ("GET", f"{GUIDE}/{{name}}", guide.chapter),
        ("GET", findings.LIST, findings.listing),
        ("POST", "/ops/findings/{id}/acknowledge", posted(findings.acknowledge)),
    ]
    # For any method: without a session nobody learns which pages and actions exist.
    nowhere = OperatorsOnly(request_response(login.nowhere))
    return [
        log_in,
        try_it,
        *(
            Route(
                path,
                endpoint,
                methods=[method],
                middleware=[Middleware(OperatorsOnly)],
                max_body_size=_MOST_BYTES,
            )
            for method, path, endpoint in guarded
        ),
        *(Route(path, nowhere, max_body_size=_MOST_BYTES) for path in ("/ops", "/ops/{rest:path}")),
    ]
