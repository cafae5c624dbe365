"""Notices before operators: found, and retried."""

import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service import wording
from service.coordination import heartbeats
from service.database.tables import AuditEntry, Notice
from service.domain import OwnNotice
from service.kit.clock import now
from tests.web.conftest import Place, said
from tests.web.ops.operators import (
    add_companies,
    add_finding,
    add_notice,
    audited,
    flash_in,
    live_address,
)


@pytest.fixture
def company(place: Place, company: str) -> str:
    """The connection of a company that was imported, without a notice."""
    place.do("DELETE FROM notices")
    return company


def shown(page: str) -> list[int]:
    """Return the notices that a page shows."""
    return [int(part.split("<")[0]) for part in page.split("no. ")[1:]]


def test_of_what_was_decided_before_the_findings_are_told(
    place: Place, company: str, browser: TestClient
) -> None:
    add_notice(place, company, "done", reason="not withdrawn: already decided in Infactor")
    add_notice(place, company, "failed")
    add_notice(place, company, "done", entity_id="2", reason="refreshed")
    words = "See its findings"
    assert words not in browser.get("/ops/events").text
    add_finding(place, company, "critical")
    page = browser.get("/ops/events").text
    assert page.count(words) == 1
    link = f'<a href="/ops/findings?company={company}">{words}</a>'
    assert f"not withdrawn: already decided in Infactor. {link}" in page


def found(browser: TestClient, text: str, **form: str) -> list[int]:
    answer = browser.post("/ops/events", data={"q": text, **form})
    assert answer.status_code == 303
    assert not re.search("@|%40", answer.headers["location"])
    return shown(browser.get(answer.headers["location"]).text)


def replayed(browser: TestClient, *ids: int, **form: str) -> tuple[str, str]:
    """Put notices back; return (where that leads, what it says)."""
    answer: httpx.Response = browser.post(
        "/ops/events/replay", data={"notice": [str(one) for one in ids], **form}
    )
    assert answer.status_code == 303
    where = answer.headers["location"]
    return where, flash_in(browser.get(where).text)


@pytest.mark.parametrize(
    "where", ["status=stuck&after=7", "q=101&status=failed&before=9", "status=done"]
)
def test_the_way_back_leads_to_the_list_that_one_came_from(
    place: Place, company: str, browser: TestClient, where: str
) -> None:
    notice_id = add_notice(place, company, "failed")
    form = dict(part.split("=") for part in where.split("&"))
    back = replayed(browser, notice_id, **form)[0]
    assert set(where.split("&")) <= set(back.partition("?")[2].split("&"))


def status_of(place: Place, notice_id: int) -> str:
    return place.only(f"SELECT status FROM notices WHERE id = {notice_id}")


def test_without_a_notice_the_page_says_where_to_look(browser: TestClient) -> None:
    page = said(browser.get("/ops/events").text)
    assert "No event yet" in page
    assert "events and verifier token in Intuit" in page


def test_a_failed_notice_says_why_how_often_and_intuits_id(
    place: Place, company: str, browser: TestClient
) -> None:
    add_notice(
        place,
        company,
        "failed",
        error_class="Unmappable",
        error_message="QuickBooks answered <nothing>",
        attempts=7,
        intuit_tid="1-abc-def",
        handled_at=now(),
    )
    page = said(browser.get("/ops/events?status=failed").text)
    assert "Invoice 101 updated Id 1 · no. " in page
    assert "QuickBooks answered <nothing> 7 attempts failed since " in page
    assert "intuit_tid 1-abc-def" in page


def test_one_can_look_at_notices_of_one_status(
    place: Place, company: str, browser: TestClient
) -> None:
    ids = {s: add_notice(place, company, s) for s in ("pending", "done", "failed", "ignored")}
    for status, notice_id in ids.items():
        assert shown(browser.get(f"/ops/events?status={status}").text) == [notice_id]
    assert shown(browser.get("/ops/events").text) == sorted(ids.values(), reverse=True)
    assert len(shown(browser.get("/ops/events?status=odd").text)) == 4


def test_what_is_stuck_is_what_the_alarm_counts_and_begins_with_the_oldest(
    place: Place, company: str, browser: TestClient
) -> None:
    long_ago = now() - timedelta(hours=1)
    place.do("UPDATE connections SET renewed_at = '2026-01-01 00:00:00.000000'")
    add_companies(place, ["Paused"])
    place.do("UPDATE connections SET suspended_at = connected_at WHERE id = 'c0'")
    ids = [add_notice(place, company, "pending", received_at=long_ago) for _ in range(52)]
    add_notice(place, company, "pending")  # has just come
    add_notice(place, "c0", "pending", received_at=long_ago)  # nobody may work on it
    add_notice(place, company, "done", received_at=long_ago)
    with place.services.database.write() as session:
        heartbeats.beat(session, "clock")
    page = browser.get("/ops/").text
    assert "52 webhook events of 1 company are overdue" in said(page)
    address = page.split('" href="/ops/events?')[1].split('"')[0]
    first = browser.get(f"/ops/events?{address}").text
    assert "the oldest first" in said(first)
    assert shown(first) == ids[:50]
    newer = first.split('">Newer')[0].rpartition('href="')[2].replace("&amp;", "&")
    last = browser.get(newer).text
    assert shown(last) == ids[50:]
    assert '<a href="/ops/events?status=stuck">Oldest</a>' in last
    assert found(browser, "1", status="stuck") == ids[:50]
    assert found(browser, "2", status="stuck") == []


def test_what_is_stuck_says_what_to_do_and_offers_nothing_else(
    place: Place, company: str, browser: TestClient
) -> None:
    place.do("UPDATE connections SET renewed_at = '2026-01-01 00:00:00.000000'")
    long_ago, soon = now() - timedelta(hours=1), now() + timedelta(minutes=1)
    add_notice(place, company, "pending", received_at=long_ago, due_at=long_ago)
    add_notice(place, company, "pending", received_at=long_ago, due_at=soon, attempts=3)
    page = browser.get("/ops/events?status=stuck").text
    advice = "Those with an error: QuickBooks answered so; check the company. Those without"
    assert advice in said(page)
    assert "Choose" not in page
    assert "Retry selected" not in page
    first, second = said(page.split("<tbody")[1]).split("3 attempts")
    assert "was due" in first
    assert "next try" not in first
    assert "next try" in second
    add_notice(place, company, "failed")
    assert "Choose" in browser.get("/ops/events").text
    assert advice not in said(browser.get("/ops/events").text)


def test_fifty_notices_are_a_page(place: Place, company: str, browser: TestClient) -> None:
    ids = [add_notice(place, company, "done") for _ in range(101)]
    pages, address = [], "/ops/events"
    for _ in range(3):
        page = browser.get(address).text
        pages.append(shown(page))
        address = page.split('">Older')[0].rpartition('href="')[2]
    assert [len(page) for page in pages] == [50, 50, 1]
    assert [one for page in pages for one in page] == ids[::-1]
    assert "Older" not in page
    assert '<a href="/ops/events">Newest</a>' in page


def test_a_search_finds_by_every_id_and_by_company(
    place: Place, company: str, browser: TestClient
) -> None:
    mine = add_notice(place, company, "done", webhook_id="d" * 32, intuit_tid="1-abc")
    other = add_notice(place, None, "pending", entity_id="77")
    place.do("UPDATE invoices SET doc_number = 'INV-2026/1'")
    for text in ("INV-2026/1", "1", "d" * 32, "1-abc", "our <b>", "BOOKS"):
        assert found(browser, text) == [mine], text
    assert found(browser, "77") == [other]
    assert found(browser, "77", status="done") == []
    assert found(browser, "supplier@example.com") == []
    assert "No event fits" in said(browser.get("/ops/events?q=nothing").text)


@pytest.mark.parametrize("status", ["pending", "stuck", "failed", "done", "ignored"])
def test_an_empty_list_speaks_of_a_search_only_where_there_was_one(
    browser: TestClient, status: str
) -> None:
    page = said(browser.get(f"/ops/events?status={status}").text)
    assert f"Nothing is {status}" in page
    assert "fits" not in page
    assert "No event fits" in said(browser.get(f"/ops/events?status={status}&q=7").text)
    turned = browser.get(f"/ops/events?status={status}&before=1&after=99").text
    assert "Nothing more on this page" in said(turned)
    assert f'<a href="/ops/events?status={status}">Start again' in turned


@pytest.mark.parametrize("odd", ["before=x", "before=-1", "before=99999999999999999999", "q=%00"])
def test_an_odd_address_is_a_page_all_the_same(browser: TestClient, odd: str) -> None:
    assert browser.get(f"/ops/events?{odd}").status_code == 200


def test_a_selection_is_retried_and_nothing_else(
    place: Place, company: str, browser: TestClient
) -> None:
    first, second, third = (add_notice(place, company, s) for s in ("failed", "done", "failed"))
    ignored, pending = add_notice(place, company, "ignored"), add_notice(place, company, "pending")
    where, told = replayed(browser, first, second, ignored, pending, status="failed", before="99")
    assert where == "/ops/events?status=failed&before=99"
    assert told == "2 events will be retried."
    assert [status_of(place, one) for one in (first, second, third, ignored)] == [
        "pending",
        "pending",
        "failed",
        "ignored",
    ]
    assert audited(place)[1:] == [("ops:ada", "replay", company)]
    with place.services.database.read() as session:
        entry_ = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry_ is not None
    assert entry_.details == {"events": 2, "companies": 1}


def test_one_notice_is_retried_by_its_number(
    place: Place, company: str, browser: TestClient
) -> None:
    one = add_notice(place, company, "failed")
    assert replayed(browser, one)[1] == "1 event will be retried."
    assert place.only("SELECT details FROM audit ORDER BY id DESC LIMIT 1") == (
        f'{{"events":1,"companies":1,"event":{one}}}'
    )


def test_all_failed_notices_of_a_page_are_retried_at_once(
    place: Place, company: str, browser: TestClient
) -> None:
    ids = [add_notice(place, company, "failed") for _ in range(52)]
    unknown = add_notice(place, None, "failed")
    page = browser.get("/ops/events?status=failed").text
    assert page.count('name="all" value="yes">Retry all on this page') == 2  # above and below
    shown_ids = re.findall('name="shown" value="([0-9]+)"', page)
    assert len(shown_ids) == 49
    form = {"shown": shown_ids, "notice": shown_ids[:1], "status": "failed"}
    answer = browser.post("/ops/events/replay", data={**form, "all": "yes"})
    assert answer.headers["location"] == "/ops/events?status=failed"
    page = browser.get("/ops/events?status=failed").text
    assert flash_in(page) == "49 events will be retried."
    assert shown(page) == [unknown, *ids[2::-1]]
    assert page.count("Retry all on this page") == 1
    add_notice(place, company, "done")
    for elsewhere in ("", "?status=done"):
        page = browser.get(f"/ops/events{elsewhere}").text
        assert "Retry selected" in page
        assert "Retry all on this page" not in page
        assert 'name="shown"' not in page


def test_without_a_choice_nothing_is_retried(
    place: Place, company: str, browser: TestClient
) -> None:
    failed = add_notice(place, company, "failed")
    assert replayed(browser)[1].startswith("Nothing to retry")
    assert status_of(place, failed) == "failed"
    assert audited(place)[1:] == []


def test_a_notice_of_another_environment_is_not_retried(
    place: Place, company: str, browser: TestClient
) -> None:
    failed = add_notice(place, company, "failed")
    place.do("UPDATE connections SET environment = 'production'")
    assert replayed(browser, failed)[1].startswith("Nothing to retry")
    assert status_of(place, failed) == "failed"


@pytest.mark.postgresql("the statements are its own")
class TestOnPostgreSQL:
    def test_what_no_text_of_a_database_can_be_is_nothing_to_find(
        self, browser: TestClient
    ) -> None:
        for page in ("events", "connections"):
            assert browser.get(f"/ops/{page}?q=a%00b").status_code == 200
            assert browser.post(f"/ops/{page}", data={"q": "a\0b@"}).status_code == 303

    def test_every_page_and_the_replay_of_a_selection_work(
        self, place: Place, company: str, browser: TestClient
    ) -> None:
        failed = add_notice(place, company, "failed", intuit_tid="1-abc", webhook_id="e" * 32)
        add_finding(place, company, "critical")
        pages = ("", "?range=30d", "connections", "findings", "events?status=stuck")
        for page in (*pages, f"connections/{company}", f"findings?company={company}"):
            assert browser.get(f"/ops/{page}").status_code == 200, page
        for after in (company, "nobody"):
            assert browser.get(f"/ops/connections?after={after}").status_code == 200
        for text in ("1", "1-abc", "e" * 32, "books"):
            assert found(browser, text) == [failed], text
        assert replayed(browser, failed)[1].startswith("1 event will be retried")
        assert audited(place)[1:] == [("ops:ada", "replay", company)]


def test_a_notice_calls_its_invoice_as_people_do(
    place: Place, company: str, browser: TestClient
) -> None:
    add_notice(place, company, "done", entity_id="1", operation="created")
    add_notice(place, company, "done", entity_id="77")
    add_notice(place, company, "done", entity="Customer", entity_id="1")
    page = said(browser.get("/ops/events").text)
    assert "Invoice 101 created Id 1 · no. " in page
    assert "Invoice 77 updated no. " in page
    assert "Customer 1 updated no. " in page


@pytest.mark.parametrize(
    ("entity", "operation", "words"),
    [
        ("Connection", "sync", "What changed, asked for by an operator no. "),
        ("Connection", "resumed", "What changed while it was paused no. "),
        ("Connection", "renewed", "What changed until it was connected again no. "),
        ("Connection", "unreadable", "What QuickBooks cannot show no. "),
        ("Invoice", "unrecorded", "Invoice 101, which could not be recorded Id 1 · no. "),
    ],
)
def test_what_the_service_asks_itself_is_told_in_words(
    place: Place, company: str, browser: TestClient, entity: str, operation: str, words: str
) -> None:
    entity_id = "1" if entity == "Invoice" else None
    add_notice(
        place,
        company,
        "done",
        format="own",
        entity=entity,
        entity_id=entity_id,
        operation=operation,
    )
    assert words in said(browser.get("/ops/events").text)


def test_what_quickbooks_cannot_show_says_where_it_is_and_what_to_do(
    place: Place, company: str, browser: TestClient
) -> None:
    unreadable = add_notice(
        place,
        company,
        "failed",
        format="own",
        entity="Connection",
        entity_id=None,
        operation="unreadable",
        reason="QuickBooks cannot show the first invoice after 176 (Id 76) in the order of changes",
        error_message="QuickBooks failed on a record of the query",
        intuit_tid="1-abc-def",
    )
    page = browser.get("/ops/events?status=failed").text
    assert (
        "QuickBooks cannot show the first invoice after 176 (Id 76) in the order of changes:"
        " QuickBooks failed on a record of the query. Ask the supplier to open and save it in"
        " QuickBooks, then retry this. Or contact Intuit's support with this intuit_tid."
        " intuit_tid 1-abc-def"
    ) in said(page)
    assert f'aria-label="Choose event {unreadable}"' in page


@pytest.mark.parametrize("reason", OwnNotice)
def test_every_reason_for_a_notice_of_our_own_has_words(reason: OwnNotice) -> None:
    ours = Notice(format="own", entity="Connection", operation=reason.value)
    assert wording.what(ours) != f"Connection {reason}"


@pytest.mark.parametrize("query", ["", "?status=failed", "?status=stuck", "?q=101"])
def test_an_open_page_says_once_that_something_has_changed(
    place: Place, company: str, browser: TestClient, query: str
) -> None:
    place.do("UPDATE connections SET renewed_at = '2026-01-01 00:00:00.000000'")
    long_ago = now() - timedelta(hours=1)
    status = "pending" if "stuck" in query else "failed"
    add_notice(place, company, status, received_at=long_ago)
    address = live_address(browser.get(f"/ops/events{query}").text)
    assert address.startswith("/ops/events/live?")
    assert browser.get(address).status_code == 204
    add_notice(place, company, status, received_at=long_ago)
    answer = browser.get(address)
    assert answer.status_code == 286  # htmx shows it and asks no more
    assert said(answer.text) == "Something has changed here. Show what is new"
    assert f'href="/ops/events{query}"' in answer.text


def test_notices_of_another_environment_are_neither_listed_nor_counted(
    place: Place, company: str, browser: TestClient
) -> None:
    place.do("UPDATE connections SET environment = 'production'")
    for status in ("failed", "pending"):
        for _ in range(12):
            add_notice(place, company, status, handled_at=now())
    add_notice(place, None, "failed", handled_at=now())  # whose that is nobody knows
    assert len(shown(browser.get("/ops/events").text)) == 1
    overview = said(browser.get("/ops/").text)
    assert "Nothing is wrong." in overview
    assert "Events pending 0" in " ".join(overview.split()) or "0 Events pending" in overview
    assert "Events failed 1" in overview or "1 Events failed" in overview
