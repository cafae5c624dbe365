"""Operators before the application: who they are, and their browsers."""

import re
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
from starlette.testclient import TestClient

from service.database.tables import Notice, Sample
from service.kit.clock import now
from service.kit.passwords import hashed
from service.queries import measures
from service.store import audit, connections, sessions
from tests.builders import a_connection, a_finding
from tests.web.conftest import PUBLIC_URL, Place

PASSWORD = "correct horse battery"
BOB = "another long password"


@cache
def entry(name: str, password: str = PASSWORD) -> str:
    """Return an operator's entry in OPS_USERS, at the least cost that is accepted."""
    return f"{name}:{hashed(password, n=2**14)}"


def two_operators() -> dict[str, str]:
    """Return settings by which ada and bob may log in."""
    return {"OPS_USERS": f"{entry('ada')}, {entry('bob', BOB)}"}


def try_to_log_in(
    browser: TestClient, name: str = "ada", password: str = PASSWORD, **more: str
) -> httpx.Response:
    """Fill in the form of the log-in."""
    return browser.post("/ops/login", data={"name": name, "password": password, **more})


def browser_at(place: Place, address: str) -> TestClient:
    """Return a new browser at another address of the network."""
    browser = TestClient(
        place.client.app, base_url=PUBLIC_URL, follow_redirects=False, client=(address, 50000)
    )
    browser.app_state.update(place.client.app_state)
    browser.portal = place.client.portal
    return browser


def operator(place: Place, name: str = "ada") -> TestClient:
    """Return a browser in which this operator is logged in.

    By the rows that a log-in leaves: to prove the password takes a tenth of a second, each time.
    """
    (known,) = (one for one in place.services.settings.ops_users if one.name == name)
    with place.services.database.write() as session:
        cookie = sessions.OPERATORS.begin(session, now(), name=name, mark=known.mark)
        audit.record(session, known.actor, "login", None, {}, now())
    browser = place.browser()
    browser.cookies.set("infactor_ops", cookie)
    return browser


def logged_in(place: Place, name: str = "ada") -> TestClient:
    """Return a browser in which this operator has filled in the form of the log-in."""
    browser = place.browser()
    answer = try_to_log_in(browser, name)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/")
    return browser


def flash_in(page: str) -> str:
    """Return what the page says of the order before it; nothing if that is nothing."""
    found = re.search(r'<p id="flash"[^>]*>([^<]*)</p>', page)
    return found[1] if found else ""


def audited(place: Place) -> list[tuple[str, str, str | None]]:
    """Return (actor, action, connection) of the audit, the oldest first."""
    with place.services.database.engine.connect() as connection:
        query = "SELECT actor, action, connection_id FROM audit ORDER BY id"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def add_finding(place: Place, company: str, severity: str, **fields: Any) -> int:
    """Add a finding about invoice 1; return its id."""
    given = {"kind": "changed", "approved": "100", "current": "40", **fields}
    with place.services.database.write() as session:
        times = {"found_at": now() - timedelta(hours=1), "changed_at": now()}
        finding = a_finding(place.invoice_id("1"), company, severity, **times, **given)
        session.add(finding)
        session.flush()
        return finding.id


def add_notice(place: Place, connection_id: str | None, status: str, **fields: Any) -> int:
    """Add a notice of invoice 1; return its id."""
    given = {
        "entity": "Invoice",
        "entity_id": "1",
        "operation": "updated",
        "received_at": now(),
        "format": "cloudevents",
        **fields,
    }
    with place.services.database.write() as session:
        notice = Notice(
            connection_id=connection_id,
            status=status,
            **given,
        )
        session.add(notice)
        session.flush()
        return notice.id


def add_companies(
    place: Place, names: list[str], environment: str = "simulator", prefix: str = "c"
) -> None:
    """Add companies of one supplier, by the ids c0, c1 …"""
    at = now()
    with place.services.database.write() as session:
        supplier_id = connections.ensure_supplier(session, "many@example.org", "Many", "", at)
        for number, name in enumerate(names):
            mine = {"environment": environment, "company_name": name}
            digest = f"{environment}-{prefix}{number}"
            session.add(
                a_connection(f"{prefix}{number}", supplier_id, at, realm_digest=digest, **mine)
            )


def add_samples(place: Place, *ago: timedelta, **fields: Any) -> None:
    """Add samples of the five minutes that were so long ago."""
    given = {"lag_p50": 2.0, "lag_p95": 8.0, "pending": 1, "oldest_pending": 3.0}
    counted = {"done": 50, "failed": 5, "ignored": 0}
    with place.services.database.write() as session:
        for one in ago:
            slot = measures.slot_of(now() - one)
            session.add(Sample(slot=slot, **{**given, **counted, **fields}))


def live_address(page: str) -> str:
    """Return the address at which a page asks whether it is out of date."""
    return page.split('hx-get="')[1].split('"', maxsplit=1)[0].replace("&amp;", "&")
