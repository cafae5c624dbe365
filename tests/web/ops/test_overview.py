"""The overview: what is wrong, where one can act, and how the service did."""

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service.database.tables import Reads
from service.kit.clock import now
from service.queries import measures
from service.queries.measures import Span
from service.web.ops.overview import RANGES, charts
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies, add_samples, live_address, two_operators


@pytest.fixture
def more_settings() -> dict[str, str]:
    return {**two_operators(), "QUICKBOOKS_READS_PER_MONTH": "1000"}


def test_a_new_service_says_what_to_do_first(browser: TestClient) -> None:
    page = said(browser.get("/ops/").text)
    assert "Nothing is wrong." in page
    assert "No company is connected yet." in page
    assert "No charts yet" in page
    assert "0 of 1,000 (0%)" in page


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
    for address in ("connections?state=dead", "events?status=failed"):
        assert f'href="/ops/{address}"><strong>' in page
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
    assert "Reconciled up to nothing to compare" in said(browser.get("/ops/").text)
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
    assert "Reconciled up to 21 Nov, 09:00 UTC" in page


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
    assert "Sync latency" in words
    assert "p95 8.0 s latest, 8.0 s highest Median 2.0 s latest" in words
    assert "Done 10 latest, 10 highest Ignored 0 latest, 0 highest Failed 1.0 latest" in words
    assert "p95: latest 8.0 s, highest 8.0 s. Median: latest 2.0 s" in words
    assert page.count('class="picture"') == 3
    # A value for each sample, and nothing for the time before.
    values = re.findall(r'data-name="p95" data-values="(,*)8,8,8"', page)
    assert values == ["," * 284]
    assert not re.search(r"nan|inf|None", " ".join(re.findall(r' d="([^"]*)"', page)))
    longer = said(browser.get("/ops/?range=7d").text)
    assert "p95 8.0 s latest, 40 s highest" in longer


def test_the_labels_of_time_say_their_zone_and_leave_it_to_the_reader(
    place: Place, browser: TestClient
) -> None:
    add_samples(place, timedelta(minutes=5))
    for name in RANGES:
        page = browser.get(f"/ops/?range={name}").text
        along = page.split('id="lag-along" class="unseen along">')[1].split("</p>")[0]
        assert len(re.findall(r"<time datetime=[^>]* data-yearless>[^<]* UTC</time>", along)) == 2
        assert re.fullmatch(r"From \d+ \w+, \S+ UTC to \d+ \w+, \S+ UTC", said(along).strip())
        assert 'aria-describedby="lag-d lag-along"' in page


def test_the_pictures_stand_still_between_two_samples() -> None:
    known = (Span(now() - timedelta(hours=2), 5.0, 5.0, 0, 5.0, 25, 0, 0),)
    slot = measures.slot_of(now())
    drawn = charts(known, RANGES["24h"], slot)
    assert charts(tuple(known), RANGES["24h"], slot) is drawn
    assert charts(known, RANGES["24h"], slot + 1) != drawn
    assert charts(known, RANGES["7d"], slot) != drawn
    more = (*known, Span(now() - timedelta(hours=1), 5.0, 5.0, 0, 5.0, 25, 0, 0))
    assert charts(more, RANGES["24h"], slot) != drawn


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


def test_what_began_before_the_picture_is_drawn_at_its_left_edge() -> None:
    at = now()
    early = Span(at - timedelta(hours=24, minutes=3), 5.0, 5.0, 0, 5.0, 25, 0, 0)
    lag, ended, oldest = charts((early,), RANGES["24h"], measures.slot_of(at))
    assert [one.dots for one in lag.series] == ["M0 26.7h0", "M0 26.7h0"]
    assert ended.series[0].path.startswith("M0 26.7h")
    assert oldest.series[0].dots == "M0 26.7h0"


def test_the_first_bar_is_one_sample_like_any_other(place: Place, browser: TestClient) -> None:
    add_samples(place, *(timedelta(minutes=5 * n) for n in range(1, 320)), done=100)
    page = browser.get("/ops/?range=24h").text
    bars = re.findall(r'<path class="series s1" [^>]* d="([^"]*z)"', page)[0]
    starts = re.findall(r"M([\d.]+) ([\d.]+)h", bars)
    assert len({left for left, _ in starts}) == len(starts) == 287
    assert {height for _, height in starts} == {starts[0][1]}
