"""The overview: what is wrong, where one can act, and how the service did."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from service.store import samples
from service.store.samples import Span
from service.store.tables import Connection, Reads, Sample
from service.times import now
from service.watch import look
from service.watch.condition import Condition
from service.web.ops.alarm import _TITLES, alarm_of
from service.web.ops.overview import RANGES, charts, page_of
from tests.servers import free_port
from tests.store.delivery_rows import DeliveryRows
from tests.web.conftest import Place, said
from tests.web.ops import add_companies, entry, operator


@pytest.fixture
def more_settings() -> dict[str, str]:
    return {"OPS_USERS": entry("ada"), "QUICKBOOKS_READS_PER_MONTH": "1000"}


@pytest.fixture
def browser(place: Place) -> TestClient:
    return operator(place)


@pytest.fixture
def company(place: Place) -> str:
    place.connect(place.browser())
    connection_id = place.connections()[0].id
    place.imported(connection_id)
    return connection_id


def add_samples(place: Place, *ago: timedelta, **fields: Any) -> None:
    given = {"lag_p50": 2.0, "lag_p95": 8.0, "pending": 1, "oldest_pending": 3.0}
    counted = {"done": 50, "parked": 5, "ignored": 0}
    with place.services.database.write() as session:
        for one in ago:
            slot = samples.slot_of(now() - one)
            session.add(Sample(slot=slot, **{**given, **counted, **fields}))


def live_address(page: str) -> str:
    return page.split('hx-get="')[1].split('"', maxsplit=1)[0].replace("&amp;", "&")


def test_a_new_service_says_what_to_do_first(browser: TestClient) -> None:
    page = said(browser.get("/ops/").text)
    assert "Nothing is wrong." in page
    assert "No company is connected yet." in page
    assert "No course to draw yet" in page
    assert "0 of 1,000 (0%)" in page


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
    assert f'href="/ops/connections/{company}">Look and act' in page
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
    sources = Path(look.__file__).parent.glob("*.py")
    causes = {one for path in sources for one in re.findall(r'cause="([^"]+)"', path.read_text())}
    assert causes == _TITLES.keys()


@pytest.mark.parametrize(
    ("cause", "subject", "page"),
    [
        ("connection.dead", "c1", "/ops/connections/c1"),
        ("withdrawals.stopped", "c1", "/ops/connections/c1#stopped"),
        ("finding.critical", "c1", "/ops/findings?severity=critical&company=c1"),
        ("notices.stuck", "", "/ops/notices?status=stuck"),
        ("notices.parked", "", "/ops/notices?status=parked"),
        ("webhooks.forged", "", "/ops/notices"),
        ("deliveries.stuck", "", "/ops/connections?state=late"),
        ("deliveries.refused", "", "/ops/connections?state=late"),
        ("reads.high", "", "/ops/#reads"),
        ("workers.silent", "", None),
    ],
)
def test_each_condition_leads_to_where_it_can_be_mended(
    cause: str, subject: str, page: str | None
) -> None:
    condition = Condition(cause=cause, subject=subject, severity="critical", text="", command="")
    assert page_of(condition) == page


def test_the_alarm_stands_above_everything_and_the_range_beside_the_charts(
    place: Place, company: str, browser: TestClient
) -> None:
    add_samples(place, timedelta(minutes=5))
    place.do("UPDATE connections SET state = 'disconnected', problem = 'invalid_grant'")
    page = browser.get("/ops/?range=7d").text
    alarm, figures, ranges, charts_ = (
        page.index(mark)
        for mark in ('id="wrong"', 'id="figures"', 'id="course"', '<div class="charts">')
    )
    assert page.index("<h1>") < alarm < figures < ranges < charts_
    assert '<a id="range-7d" href="/ops/?range=7d#course" aria-current="true">7 days</a>' in page


def test_the_reads_of_the_month_are_told_against_the_budget(
    place: Place, company: str, browser: TestClient
) -> None:
    place.do("DELETE FROM reads")
    with place.services.database.write() as session:
        session.add(Reads(connection_id=company, month=f"{now():%Y-%m}", kind="query", count=250))
    page = browser.get("/ops/").text
    assert "250 of 1,000 (25%)" in said(page)
    assert '<meter min="0" max="1000" high="800" value="250">' in page
    assert re.search(r"about [\d,]+ by the month|a forecast needs a day", said(page))


def test_how_far_every_company_was_compared_is_told(place: Place, browser: TestClient) -> None:
    assert "All compared with QuickBooks until nothing to compare" in said(
        browser.get("/ops/").text
    )
    add_companies(place, ["Late", "Later", "Paused", "Gone"])
    add_companies(place, ["Elsewhere"], environment="production", prefix="p")
    until = {"c0": "21", "c1": "22", "c2": "03", "c3": "04", "p0": "05"}
    for connection_id, day in until.items():
        place.do(
            f"UPDATE connections SET reconciled_until = '2026-11-{day} 09:00:00.000000'"
            f" WHERE id = '{connection_id}'"
        )
    place.do("UPDATE connections SET suspended_at = connected_at WHERE id = 'c2'")
    place.do("UPDATE connections SET state = 'disconnected' WHERE id = 'c3'")
    page = said(browser.get("/ops/").text)
    assert "All compared with QuickBooks until 21 Nov 2026, 09:00 UTC" in page


def test_high_reads_lead_to_whose_they_are(place: Place, company: str, browser: TestClient) -> None:
    add_companies(place, [f"Company {n}" for n in range(6)])
    place.do("DELETE FROM reads")

    def add_reads(connection_id: str, count: int, kind: str = "query") -> None:
        with place.services.database.write() as session:
            month = f"{now():%Y-%m}"
            session.add(Reads(connection_id=connection_id, month=month, kind=kind, count=count))

    for number in range(6):
        add_reads(f"c{number}", 10 * number + 1)
    add_reads(company, 400)
    assert "The companies with the most:" not in browser.get("/ops/").text
    add_reads(company, 300, "cdc")
    page = browser.get("/ops/").text
    assert "reads.high" in page
    assert 'href="/ops/#reads"' in page
    reads = page.split('id="reads"')[1].split("</section>")[0]
    assert f'<a id="reader-{company}" href="/ops/connections/{company}">' in reads
    assert "Our <b>Books</b> 700 Company 5 51 Company 4 41 Company 3 31 Company 2 21" in said(reads)
    assert "Company 1" not in reads


def test_the_course_is_drawn_from_samples(place: Place, browser: TestClient) -> None:
    minutes = (timedelta(minutes=5 * n) for n in range(1, 4))
    add_samples(place, *minutes)
    add_samples(place, timedelta(days=3), lag_p95=40.0, done=500)
    page = browser.get("/ops/").text
    words = said(page)
    assert "From change in QuickBooks to record" in words
    assert "95 of 100 within 8.0 s at most 8.0 s Half within 2.0 s at most 2.0 s" in words
    assert "Done 10 at most 10 Parked 1.0 at most 1.0" in words
    assert page.count("<svg viewBox") == 3
    assert len(re.findall(r"<title id=", page)) == len(re.findall(r"<desc id=", page)) == 3
    assert not re.search(r"nan|inf|None", " ".join(re.findall(r' d="([^"]*)"', page)))
    longer = said(browser.get("/ops/?range=7d").text)
    assert "95 of 100 within 8.0 s at most 40 s" in longer


def test_the_labels_of_time_say_their_zone_and_leave_it_to_the_reader(
    place: Place, browser: TestClient
) -> None:
    add_samples(place, timedelta(minutes=5))
    for name in RANGES:
        page = browser.get(f"/ops/?range={name}").text
        along = page.split('id="lag-along">')[1].split("</div>")[0]
        assert len(re.findall(r"<time datetime=[^>]* data-yearless>[^<]* UTC</time>", along)) == 3
        assert re.fullmatch(r"From \d+ \w+, \S+ UTC .* to \d+ \w+, \S+ UTC", said(along).strip())
        assert 'aria-describedby="lag-along"' in page
        assert " UTC" not in " ".join(re.findall(r"<(?:title|desc) [^>]*>([^<]*)", page))


def test_the_pictures_stand_still_between_two_samples() -> None:
    at = now().replace(minute=1, second=0, microsecond=0)
    known = [Span(at - timedelta(hours=2), 5.0, 5.0, 0, 5.0, 25, 0, 0)]
    later = at + timedelta(minutes=3)
    assert charts(known, RANGES["24h"], at) == charts(known, RANGES["24h"], later)
    next_one = at + timedelta(minutes=4)
    assert charts(known, RANGES["24h"], at) != charts(known, RANGES["24h"], next_one)


@pytest.mark.parametrize("name", ["24h", "7d", "30d", "odd", ""])
def test_every_range_reads_few_rows(place: Place, browser: TestClient, name: str) -> None:
    add_samples(place, *(timedelta(minutes=5 * n) for n in range(1, 8640, 2)))
    page = browser.get(f"/ops/?range={name}").text
    assert 100 < max(path.count("z") for path in re.findall(r' d="([^"]*)"', page)) <= 362


def test_an_open_page_is_updated_only_when_something_changed(
    place: Place, company: str, browser: TestClient
) -> None:
    address = live_address(browser.get("/ops/?range=7d").text)
    assert address.startswith("/ops/live?range=7d&seen=")
    assert browser.get(address).status_code == 204
    place.do("UPDATE connections SET suspended_at = '2026-11-25 00:00:00.000000'")
    changed = browser.get(address)
    assert changed.status_code == 200
    assert browser.get(live_address(changed.text)).status_code == 204


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


def test_what_began_before_the_picture_is_drawn_at_its_left_edge() -> None:
    at = now()
    early = Span(at - timedelta(hours=24, minutes=3), 5.0, 5.0, 0, 5.0, 25, 0, 0)
    lag, ended, oldest = charts([early], RANGES["24h"], at)
    assert [one.path for one in lag.series] == ["M0 0h0", "M0 0h0"]
    assert ended.series[0].path.startswith("M0 0h")
    assert oldest.series[0].path == "M0 0h0"


def test_of_very_many_things_that_are_wrong_the_first_are_shown(
    place: Place, company: str, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        known = session.get_one(Connection, company)
        for number in range(35):
            session.add(
                Connection(
                    **{
                        column.key: getattr(known, column.key)
                        for column in Connection.__table__.columns
                    }
                    | {
                        "id": f"c{number}",
                        "realm_digest": f"d{number}",
                        "state": "disconnected",
                        "problem": "invalid_grant",
                        "disconnected_at": now(),
                    }
                )
            )
    page = said(browser.get("/ops/").text)
    assert "35 things are wrong" in page
    assert page.count("QuickBooks no longer accepts") == 30
    assert "And 5 more: infactor-quickbooks status names them all." in page


class TestWithInfactorsDatabase:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {
            "OPS_USERS": entry("ada"),
            "INFACTOR_MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}",
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
        assert "Findings 2 2 critical, not seen to" in said(browser.get("/ops/").text)
        place.do("UPDATE findings SET acknowledged_at = changed_at WHERE field = 'balance'")
        page = browser.get("/ops/").text
        assert "Findings 2 1 critical, not seen to" in said(page)
        assert "1 critical finding:" in said(page)
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
        rows.invoice("2", **late, delivery_error="error <121>")
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
        rows.invoice("2", delivery_error="error <121>")
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


class TestOnPostgreSQL(TestWithInfactorsDatabase):
    @pytest.fixture
    def web_database_url(self, postgres_database: str) -> str:
        return postgres_database


def test_without_infactors_database_no_company_is_late(
    place: Place, company: str, browser: TestClient
) -> None:
    page = browser.get("/ops/connections?state=late").text
    assert "Late in Infactor" not in page
    assert "Our &lt;b&gt;Books" in page
    assert "On their way" not in browser.get(f"/ops/connections/{company}").text
