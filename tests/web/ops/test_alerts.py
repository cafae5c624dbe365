"""Alerts before operators: what was wrong from when to when, and what was sent of it."""

from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.database.tables import Alert
from service.kit.clock import now
from tests.web.conftest import Place, said
from tests.web.ops.operators import two_operators


def add(place: Place, cause: str, subject: str = "", **fields: Any) -> int:
    """Add an alert that began an hour ago; return its id."""
    begun = now() - timedelta(hours=1)
    given = {"severity": "critical", "text": f"Text of {cause}", "command": "status"}
    with place.services.database.write() as session:
        alert = Alert(
            **{"cause": cause, "subject": subject, "since": begun, "raised_at": begun},
            **{**given, **fields},
        )
        session.add(alert)
        session.flush()
        return alert.id


def shown(browser: TestClient, query: str = "") -> list[int]:
    page = browser.get(f"/ops/alerts{query}").text
    return [int(part.split('"')[0]) for part in page.split('id="alert-')[1:]]


def test_without_an_alert_it_says_where_they_come_from(browser: TestClient) -> None:
    words = said(browser.get("/ops/alerts").text)
    assert "No alert yet" in words
    assert "neither ALERT_URL nor ALERT_URLS is set" in words
    assert "No alert is on" in browser.get("/ops/alerts?state=on").text
    assert "Every message was sent" in browser.get("/ops/alerts?state=unsent").text


def test_alerts_are_listed_by_state_the_newest_first(
    place: Place, company: str, browser: TestClient
) -> None:
    over = add(place, "quickbooks.away", ended_at=now())
    unsent = add(place, "reads.high", error="ALERT_URL answered 502", attempts=3)
    on = add(place, "connection.dead", company)
    assert shown(browser) == shown(browser, "?state=odd") == [on, unsent, over]
    assert shown(browser, "?state=on") == [on, unsent]
    assert shown(browser, "?state=over") == [over]
    assert shown(browser, "?state=unsent") == [unsent]
    assert shown(browser, f"?before={unsent}") == [over]
    page = browser.get("/ops/alerts").text
    words = said(page)
    assert "Connection ended by QuickBooks: Our <b>Books</b> connection.dead" in words
    assert f'<a href="/ops/connections/{company}">See details' in page
    assert '<a href="/ops/guide/operating#reads.high">What to do' in page
    assert "Not sent 3 attempts, ALERT_URL answered 502" in words


class TestWithAChannel:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        sends = {"ALERT_URL": "https://127.0.0.1:1/secret", "ALERT_SECRET": f"whsec_{'c' * 44}"}
        return {**two_operators(), **sends}

    def test_it_says_what_was_sent_where(self, place: Place, browser: TestClient) -> None:
        at = now()
        ended = {"ended_at": at, "sent_at": at, "end_sent_at": at}
        add(place, "reads.high", sent_to="ALERT_URL, slack:// in ALERT_URLS", **ended)
        add(place, "queue.away")
        page = browser.get("/ops/alerts").text
        words = said(page)
        assert "Sent to ALERT_URL." in words
        assert "infactor-quickbooks alerts test" in words
        assert "UTC to ALERT_URL, slack:// in ALERT_URLS Over: sent" in words
        assert "not sent yet" in words
        assert "secret" not in page.split("</header>")[1]
