"""What is wrong: how it is told on the overview, read aloud, and where one can act."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from service.database.tables import Connection
from service.kit.clock import now
from service.monitoring.condition import Condition
from service.monitoring.pages import TITLES, page_of
from service.web.ops.overview import alarm_of
from tests.builders import like
from tests.conditions import causes
from tests.servers import away
from tests.store.delivery_rows import DeliveryRows
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies, add_samples, entry, live_address


def test_what_is_wrong_is_told_with_the_page_where_one_can_act(
    place: Place, company: str, browser: TestClient
) -> None:
    at = now() - timedelta(hours=2)
    with place.services.database.write() as session:
        session.execute(
            update(Connection).values(
                state="disconnected", problem="invalid_grant", disconnected_at=at
            )
        )
    page = browser.get("/ops/").text
    words = said(page)
    title = "Connection ended by QuickBooks: Our <b>Books</b> connection.dead"
    assert f"1 thing is wrong Critical {title} since " in words
    assert "QuickBooks no longer accepts this company's connection" in words
    assert f"infactor-quickbooks connect-url --connection {company}" in words
    assert f'href="/ops/connections/{company}">See details' in page
    assert browser.get(f"/ops/connections/{company}").status_code == 200


def test_only_what_is_critical_is_framed_as_such(
    place: Place, company: str, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        session.execute(update(Connection).values(hard_expires_at=now() + timedelta(days=20)))
    page = browser.get("/ops/").text
    assert "Warning Authorisation ends within 30 days: Our <b>Books</b> token.ending" in said(page)
    assert 'class="card wrong mild"' in page
    with place.services.database.write() as session:
        session.execute(update(Connection).values(hard_expires_at=now() + timedelta(days=2)))
    assert 'class="card wrong"' in browser.get("/ops/").text


def test_everything_that_can_be_wrong_has_a_title_in_words() -> None:
    assert causes() == TITLES.keys()


@pytest.mark.parametrize(
    ("cause", "subject", "page"),
    [
        ("connection.dead", "c1", "/ops/connections/c1"),
        ("withdrawals.stopped", "c1", "/ops/connections/c1#stopped"),
        ("finding.critical", "c1", "/ops/findings?severity=critical&company=c1"),
        ("webhooks.stuck", "", "/ops/events?status=stuck"),
        ("webhooks.failed", "", "/ops/events?status=failed"),
        ("webhooks.forged", "", "/ops/events"),
        ("deliveries.stuck", "", "/ops/connections?state=late"),
        ("deliveries.refused", "", "/ops/connections?state=late"),
        ("old_rows.held", "c1", "/ops/connections/c1"),
        ("reads.high", "", "/ops/#reads"),
        ("quickbooks.away", "", "/ops/connections"),
        ("webhooks.misdirected", "", "/ops/events"),
        ("queue.away", "", None),
        ("workers.silent", "", None),
    ],
)
def test_each_condition_leads_to_where_it_can_be_fixed(
    cause: str, subject: str, page: str | None
) -> None:
    assert page_of(cause, subject) == page


def lose(place: Place, connection_id: str) -> None:
    place.do(
        "UPDATE connections SET state = 'disconnected', problem = 'invalid_grant'"
        f" WHERE id = '{connection_id}'"
    )


def test_news_is_told_aloud_once_and_counted_in_the_title(
    place: Place, company: str, browser: TestClient
) -> None:
    page = browser.get("/ops/").text
    assert "<title>Overview · Infactor</title>" in page
    assert '<p id="news" class="unseen" role="status"></p>' in page
    lose(place, company)
    bad = browser.get(live_address(page)).text
    assert bad.index("<title>1 wrong · Overview · Infactor</title>") < bad.index('id="live"')
    told = '<p id="news" hx-swap-oob="innerHTML">'
    name = "Our &lt;b&gt;Books&lt;/b&gt;"
    assert f"{told}1 thing is wrong: Connection ended by QuickBooks ({name}).</p>" in bad
    place.do("DELETE FROM reads")  # something else on the page
    add_samples(place, timedelta(minutes=5))
    same = browser.get(live_address(bad))
    assert same.status_code == 200
    assert told not in same.text
    place.do("UPDATE connections SET state = 'connected', problem = NULL")
    assert f"{told}Nothing is wrong any more.</p>" in browser.get(live_address(same.text)).text
    lose(place, company)
    assert "<title>1 wrong · Overview · Infactor</title>" in browser.get("/ops/").text


def test_of_much_that_is_wrong_the_first_is_read_aloud() -> None:
    wrong = [
        Condition(
            cause="token.ending_soon", subject=f"c{n}", severity="critical", text="", command=""
        )
        for n in range(7)
    ]
    ending = ", ".join(["Authorisation ends within 7 days"] * 5)
    assert alarm_of(wrong).sentence == f"7 things are wrong: {ending} and 2 more."
    assert alarm_of(wrong[:5]).sentence == f"5 things are wrong: {ending}."
    assert alarm_of(wrong).version == alarm_of(wrong[::-1]).version != alarm_of(wrong[1:]).version


def test_of_very_many_things_that_are_wrong_the_first_are_shown(
    place: Place, company: str, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        known = session.get_one(Connection, company)
        for number in range(35):
            ended = {"state": "disconnected", "problem": "invalid_grant", "disconnected_at": now()}
            session.add(like(known, f"c{number}", **ended))
    page = said(browser.get("/ops/").text)
    assert "35 things are wrong" in page
    assert page.count("QuickBooks no longer accepts") == 30
    command = "infactor-quickbooks status"
    assert f"And 5 more: {command} Copy {command} names them all." in page


class TestWithInfactorsDatabase:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {
            "OPS_USERS": entry("ada"),
            "INFACTOR_MONGODB_URL": away(),
            "INFACTOR_MONGODB_DATABASE": "unused",
        }

    @pytest.fixture
    def company(self, place: Place) -> str:
        add_companies(place, ["Our Books"])
        return "c0"

    def test_a_finding_that_somebody_has_seen_to_is_not_red(
        self, place: Place, company: str, browser: TestClient
    ) -> None:
        rows = DeliveryRows(place.services.database, company)
        rows.invoice("1", delivered_revision=1)
        rows.finding("1", "critical", field="invoiceAmount")
        rows.finding("1", "critical", field="balance")
        assert "Findings 2 2 critical, not acknowledged" in said(browser.get("/ops/").text)
        place.do("UPDATE findings SET acknowledged_at = changed_at WHERE cause = 'balance'")
        page = browser.get("/ops/").text
        assert "Findings 2 1 critical, not acknowledged" in said(page)
        assert "Changed after an approval" in said(page)
        assert 'class="figure bad"' in page
        place.do("UPDATE findings SET acknowledged_at = changed_at")
        page = browser.get("/ops/").text
        assert "Findings 2" in said(page)
        assert "critical" not in said(page).split("Findings 2")[1]
        assert 'class="figure bad"' not in page

    def test_late_deliveries_lead_to_the_companies_and_what_is_known_of_each(
        self, place: Place, company: str, browser: TestClient
    ) -> None:
        place.do("UPDATE connections SET company_name = 'Late Books'")
        add_companies(place, ["On Time"], prefix="t")
        late = {"recorded_at": now() - timedelta(minutes=25)}
        rows = DeliveryRows(place.services.database, company)
        rows.invoice("1", **late)
        rows.invoice("2", **late, error="error <121>")
        DeliveryRows(place.services.database, "t0").invoice("1")
        page = browser.get("/ops/").text
        assert "deliveries.stuck" in page
        assert 'href="/ops/connections?state=late"' in page
        listed = browser.get("/ops/connections?state=late").text
        assert (
            '<a href="/ops/connections?state=late" aria-current="true">Late in Infactor' in listed
        )
        assert "Late Books" in listed
        assert "On Time" not in listed
        found = browser.post("/ops/connections", data={"q": "Books", "state": "late"})
        assert found.headers["location"] == "/ops/connections?state=late&q=Books"
        about = said(browser.get(f"/ops/connections/{company}").text)
        assert "On their way to Infactor 2, the oldest since " in about
        assert "database does not take 1 of them: error <121>" in about
        assert "On their way to Infactor 1" in said(browser.get("/ops/connections/t0").text)

    def test_a_refusal_is_listed_at_once_with_what_waits_and_why(
        self, place: Place, company: str, browser: TestClient
    ) -> None:
        assert "No company is late in Infactor" in said(
            browser.get("/ops/connections?state=late").text
        )
        add_companies(place, ["On Time"], prefix="t")
        rows = DeliveryRows(place.services.database, company)
        rows.invoice("1")
        rows.invoice("2", error="error <121>")
        DeliveryRows(place.services.database, "t0").invoice("1")
        overview = browser.get("/ops/").text
        assert "deliveries.refused" in overview
        assert 'href="/ops/connections?state=late"' in overview
        page = browser.get("/ops/connections?state=late").text
        assert "On Time" not in page
        words = said(page.split("<tbody")[1])
        assert re.search("2 wait since .* 1 not taken error <121>", words)
        assert '<span class="tag warn">2 wait</span>' in page
        assert "Token and authorisation end" not in page
        assert "Token and authorisation end" in browser.get("/ops/connections").text


@pytest.mark.postgresql("the statements are its own")
class TestOnPostgreSQL(TestWithInfactorsDatabase):
    pass


def test_without_infactors_database_no_company_is_late(
    place: Place, company: str, browser: TestClient
) -> None:
    page = browser.get("/ops/connections?state=late").text
    assert "Late in Infactor" not in page
    assert "Our &lt;b&gt;Books" in page
    assert "On their way" not in browser.get(f"/ops/connections/{company}").text
