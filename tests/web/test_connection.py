"""A connection's own page, and its end when its supplier wants it."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.database.tables import AuditEntry, Notice
from service.database.types import instant_text
from service.kit.clock import now
from tests.web.conftest import OTHER, Place, said


def address(place: Place) -> str:
    """Return where the first company's page is."""
    return f"/quickbook/connections/{place.connections()[0].id}"


def audited(place: Place) -> list[tuple[str, str, dict[str, object]]]:
    """Return who did what."""
    with place.services.database.read() as session:
        return [(e.actor, e.action, e.details) for e in session.scalars(select(AuditEntry))]


def test_the_dashboard_leads_to_the_page_of_each_company(place: Place, browser: TestClient) -> None:
    assert f'<a href="{address(place)}">Our &lt;b&gt;Books' in browser.get("/quickbook/").text


def test_the_page_says_how_the_connection_stands(place: Place, browser: TestClient) -> None:
    place.do("UPDATE connections SET connected_at = '2026-01-02 03:04:05.000000',"
             " last_synced_at = '2026-11-20 16:19:17.000000'")  # fmt: skip
    shown = said(browser.get(address(place)).text)
    assert "Our <b>Books</b> Connected" in shown
    assert "Connected since 2 Jan 2026, 03:04 UTC" in shown
    assert "Last update from QuickBooks none yet" in shown
    assert "Last read 20 Nov 2026, 16:19 UTC" in shown
    assert "1, 1 of them in Infactor" in shown
    assert "Reconnect" not in shown
    assert "for another company; this one stays connected." in shown


def test_the_last_notice_is_quickbooks_own(place: Place, browser: TestClient) -> None:
    place.do("UPDATE connections SET connected_at = '2026-01-02 03:04:05.000000'")
    with place.services.database.write() as session:
        for form, day in (("cloudevents", 20), ("own", 21), ("cloudevents", 19)):
            at = now().replace(2026, 11, day, 16, 19)
            connection_id = place.connections()[0].id
            session.add(
                Notice(connection_id=connection_id, format=form, received_at=at, status="done")
            )
    assert "Last update from QuickBooks 20 Nov 2026, 16:19 UTC" in said(
        browser.get(address(place)).text
    )


@pytest.mark.parametrize(
    ("column", "days", "words"),
    [
        ("hard_expires_at", 29, "QuickBooks ends every connection after five years"),
        ("hard_expires_at", 31, None),
        ("refresh_expires_at", 13, "The permission lapses on"),
        ("refresh_expires_at", 15, None),
    ],
)
def test_an_end_that_is_near_is_told_with_a_button(
    place: Place, browser: TestClient, column: str, days: int, words: str | None
) -> None:
    place.do("UPDATE connections SET hard_expires_at = NULL")
    end = instant_text(now() + timedelta(days=days))
    place.do(f"UPDATE connections SET {column} = '{end}'")
    shown = said(browser.get(address(place)).text)
    assert ("Renew the connection for" in shown) == (words is not None)
    assert (words or "Connected") in shown


def test_a_lost_connection_has_a_button_to_reconnect_and_none_to_disconnect(
    place: Place, browser: TestClient
) -> None:
    place.do("UPDATE connections SET state = 'disconnected', problem = 'invalid_grant'")
    for path in (address(place), "/quickbook/"):
        shown = browser.get(path).text
        assert "QuickBooks no longer lets us read this company" in said(shown)
        assert "Reconnect to QuickBooks</button>" in shown
        assert "/disconnect" not in shown
        assert "this one stays connected" not in shown


def test_whoever_wants_to_disconnect_is_told_first_what_stays(
    place: Place, browser: TestClient
) -> None:
    asked = browser.get(f"{address(place)}/disconnect")
    assert "Disconnect Our <b>Books</b>?" in said(asked.text)
    assert "already in Infactor stay there" in said(asked.text)
    assert place.connections()[0].state == "connected"
    assert place.is_granted()


def test_a_supplier_disconnects_at_quickbooks_and_here(place: Place, browser: TestClient) -> None:
    answer = browser.post(f"{address(place)}/disconnect")
    assert (answer.status_code, answer.headers["location"]) == (303, address(place))
    [connection] = place.connections()
    assert (connection.state, connection.refresh_sealed) == ("disconnected", None)
    assert not place.is_granted()
    supplier = place.only("SELECT id FROM suppliers")
    assert audited(place) == [(f"supplier:{supplier}", "disconnect", {"revoked": True})]
    for path in (address(place), "/quickbook/"):
        shown = said(browser.get(path).text)
        assert re.search(r"Disconnected on \d.* UTC\s?\. Invoices already", shown)
        assert "lets us read" not in shown
        assert "this one stays connected" not in shown
    assert browser.post(f"{address(place)}/disconnect").status_code == 303
    assert len(audited(place)) == 1


def test_nothing_is_changed_while_quickbooks_does_not_confirm(
    place: Place, browser: TestClient
) -> None:
    place.sim("POST", "/faults", {"kind": "revoke", "status": 503, "count": 9})
    answer = browser.post(f"{address(place)}/disconnect")
    assert answer.status_code == 503
    assert "Here Our <b>Books</b> is still connected" in said(answer.text)
    assert place.connections()[0].state == "connected"
    supplier = place.only("SELECT id FROM suppliers")
    why = {"why": "QuickBooks' token service is down (HTTP 503)"}
    assert audited(place) == [(f"supplier:{supplier}", "disconnect failed", why)]


def test_what_was_ended_without_an_answer_is_known_to_have_been_wanted(
    place: Place, browser: TestClient
) -> None:
    place.sim("POST", "/faults", {"kind": "revoke", "lose": True, "count": None})
    assert browser.post(f"{address(place)}/disconnect").status_code == 503
    assert not place.is_granted()
    assert [action for _, action, _ in audited(place)] == ["disconnect failed"]


@pytest.mark.parametrize("path", ["", "/disconnect"])
def test_another_suppliers_connection_is_unknown(
    place: Place, browser: TestClient, path: str
) -> None:
    other = place.browser()
    place.connect(other, place.token("other@example.com"), OTHER)
    foreign, unknown = (
        other.get(address(place) + path),
        other.get(f"/quickbook/connections/x{path}"),
    )
    assert (foreign.status_code, foreign.text) == (404, unknown.text)
    assert other.post(f"{address(place)}/disconnect").status_code == 404
    assert place.connections()[0].state == "connected"


def test_another_site_disconnects_nobody(place: Place, browser: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    assert browser.post(f"{address(place)}/disconnect", headers=headers).status_code == 403
    assert place.connections()[0].state == "connected"
